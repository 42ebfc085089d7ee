// SPDX-License-Identifier: GPL-2.0

//! Identifiers and units, a type each, so that one cannot be taken for another.

use crate::num::u8_as_u16;
use core::num::NonZeroU32;
use kernel::prelude::*;

/// A namespace identifier (Base 3.2.1): neither 0 nor the broadcast value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Nsid(NonZeroU32);

impl Nsid {
    /// The identifier `raw`, if it can name one namespace: 1 to FFFFFFFEh.
    pub(crate) const fn new(raw: u32) -> Option<Self> {
        match NonZeroU32::new(raw) {
            Some(id) if raw != u32::MAX => Some(Self(id)),
            _ => None,
        }
    }

    /// The value on the wire.
    pub(crate) const fn get(self) -> u32 {
        self.0.get()
    }
}

/// A queue identifier (Base 3.3.1): the same for both queues of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct QueueId(u16);

impl QueueId {
    /// The admin queue pair.
    pub(crate) const ADMIN: Self = Self(0);

    /// Whether it is the admin queue.
    pub(crate) const fn is_admin(self) -> bool {
        self.0 == 0
    }

    /// Queue pair `raw`.
    pub(crate) const fn new(raw: u16) -> Self {
        Self(raw)
    }

    /// The value on the wire.
    pub(crate) const fn raw(self) -> u16 {
        self.0
    }
}

/// A command identifier (Base 3.3.3.1, CDW0 bits 31:16).
///
/// The specification leaves the 16 bits to the host. The lower twelve are the tag of the request.
/// The upper four count how often that tag has been used, so that a repeated completion, or one
/// that comes after its command was aborted, is not taken for the tag's next command.
///
/// ```text
///   15        12 11                              0
///  | generation |              tag                |
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommandId(u16);

impl CommandId {
    const TAG_BITS: u32 = 12;
    const TAG_MASK: u16 = (1 << Self::TAG_BITS) - 1;

    /// Number of tags: they run from 0 to `MAX_TAGS - 1`.
    pub(crate) const MAX_TAGS: u16 = 1 << Self::TAG_BITS;

    /// The identifier of tag `tag`, used for the `generation`th time. Excess upper bits of both are
    /// dropped.
    #[inline(always)]
    pub(crate) const fn new(tag: u16, generation: u8) -> Self {
        Self((u8_as_u16(generation) << Self::TAG_BITS) | (tag & Self::TAG_MASK))
    }

    /// The identifier in a completion: the device may write any value.
    #[inline(always)]
    pub(crate) const fn from_raw(raw: u16) -> Self {
        Self(raw)
    }

    /// The value on the wire.
    #[inline(always)]
    pub(crate) const fn raw(self) -> u16 {
        self.0
    }

    /// The next identifier of the same tag.
    #[inline(always)]
    pub(crate) const fn next_generation(self) -> Self {
        Self(self.0.wrapping_add(Self::MAX_TAGS))
    }

    /// The tag: below [`Self::MAX_TAGS`].
    #[inline(always)]
    pub(crate) const fn tag(self) -> u16 {
        self.0 & Self::TAG_MASK
    }
}

/// A logical block address, in logical blocks of the namespace (NVM 1.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lba(u64);

impl Lba {
    /// Block `raw` of the namespace.
    #[inline(always)]
    pub(crate) const fn new(raw: u64) -> Self {
        Self(raw)
    }

    /// The value on the wire.
    #[inline(always)]
    pub(crate) const fn get(self) -> u64 {
        self.0
    }
}

/// A number of logical blocks that one command can transfer: 1 to 65536.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockCount(u16);

impl BlockCount {
    /// `count` blocks; `None` if one command cannot transfer that many.
    #[inline(always)]
    pub(crate) const fn new(count: u32) -> Option<Self> {
        match count.wrapping_sub(1) {
            // CAST: the guard says that it fits.
            count_z if count_z <= 0xffff => Some(Self(count_z as u16)),
            _ => None,
        }
    }

    /// The zero-based value on the wire (NLB).
    #[inline(always)]
    pub(crate) const fn zero_based(self) -> u16 {
        self.0
    }
}

/// A number of ranges of one Dataset Management command: 1 to 256 (NVM 3.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RangeCount(u8);

impl RangeCount {
    /// Maximum number of ranges.
    pub(crate) const MAX: u16 = 256;

    /// `count` ranges; `None` if one command cannot have that many.
    pub(crate) const fn new(count: u16) -> Option<Self> {
        match count.wrapping_sub(1) {
            // CAST: the guard says that it fits.
            count_z if count_z < Self::MAX => Some(Self(count_z as u8)),
            _ => None,
        }
    }

    /// The number of ranges.
    pub(crate) fn get(self) -> usize {
        usize::from(self.0) + 1
    }

    /// The zero-based value on the wire (NR).
    pub(crate) const fn zero_based(self) -> u8 {
        self.0
    }
}

#[kunit_tests(rnvme_ids)]
mod tests {
    use super::*;

    #[test]
    fn namespace_ids() {
        let raw = |id| Nsid::new(id).map(Nsid::get);
        assert_eq!(raw(0), None);
        assert_eq!(raw(1), Some(1));
        assert_eq!(raw(0xffff_fffe), Some(0xffff_fffe));
        assert_eq!(raw(0xffff_ffff), None);
    }

    #[test]
    fn command_id_parts() {
        // Tag, generation, wire.
        let cases = [
            (0, 0, 0x0000),
            (1, 0, 0x0001),
            (0, 1, 0x1000),
            (0xfff, 15, 0xffff),
            (0x123, 10, 0xa123),
            (0xffe, 16, 0x0ffe),
            (0x1001, 0x12, 0x2001),
        ];
        for (tag, generation, wire) in cases {
            assert_eq!(CommandId::new(tag, generation).raw(), wire);
        }
    }

    #[test]
    fn any_command_id_has_a_tag_in_range() {
        for raw in 0..=u16::MAX {
            let id = CommandId::from_raw(raw);
            assert!(id.tag() < CommandId::MAX_TAGS);
            assert_eq!(id.raw(), raw);
        }
    }

    #[test]
    fn sixteen_uses_of_a_tag_differ() {
        for earlier in 0..16 {
            for later in earlier + 1..16 {
                assert!(CommandId::new(5, earlier) != CommandId::new(5, later));
            }
        }
        assert_eq!(CommandId::new(5, 16), CommandId::new(5, 0));
    }

    #[test]
    fn block_counts() {
        let wire = |count| BlockCount::new(count).map(BlockCount::zero_based);
        assert_eq!(wire(0), None);
        assert_eq!(wire(1), Some(0));
        assert_eq!(wire(65536), Some(0xffff));
        assert_eq!(wire(65537), None);
        assert_eq!(wire(u32::MAX), None);
    }

    #[test]
    fn range_counts() {
        let counts = |count| RangeCount::new(count).map(|c| (c.get(), c.zero_based()));
        assert_eq!(counts(0), None);
        assert_eq!(counts(1), Some((1, 0)));
        assert_eq!(counts(256), Some((256, 0xff)));
        assert_eq!(counts(257), None);
        assert_eq!(counts(u16::MAX), None);
    }
}
