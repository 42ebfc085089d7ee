// SPDX-License-Identifier: GPL-2.0

//! Identifiers and units, a type each, so that one cannot be taken for another.

use core::num::NonZeroU32;
use kernel::fmt;

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
/// The specification leaves the 16 bits to the host. The lower twelve are the tag of the request,
/// the upper four count how often that tag has been used, so that a late or repeated completion
/// is not taken for the tag's next command.
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

    /// Tags that there can be: 0 to `MAX_TAGS - 1`.
    pub(crate) const MAX_TAGS: u16 = 1 << Self::TAG_BITS;

    /// The identifier of tag `tag`, used for the `generation`th time. Both are cut to their bits.
    #[inline(always)]
    pub(crate) const fn new(tag: u16, generation: u8) -> Self {
        // CAST: widening; `From` is not const.
        Self(((generation as u16) << Self::TAG_BITS) | (tag & Self::TAG_MASK))
    }

    /// The identifier in a completion: any value.
    #[inline(always)]
    pub(crate) const fn from_raw(raw: u16) -> Self {
        Self(raw)
    }

    /// The value on the wire.
    #[inline(always)]
    pub(crate) const fn raw(self) -> u16 {
        self.0
    }

    /// The tag: below [`Self::MAX_TAGS`].
    #[inline(always)]
    pub(crate) const fn tag(self) -> u16 {
        self.0 & Self::TAG_MASK
    }
}

/// The entries that the driver gives a queue at most: one entry of a ring stays free, and the tags
/// of the others fit in the twelve bits of a [`CommandId`].
pub(crate) const MAX_QUEUE_DEPTH: u16 = CommandId::MAX_TAGS - 1;

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
    /// `count` blocks, if one command can transfer as many.
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

/// A version of the specification, as VS and Identify Controller's VER have it (Base 3.1.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(u32);

impl Version {
    /// The version that the register or field `raw` says.
    pub(crate) const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [tertiary, minor, ..] = self.0.to_le_bytes();
        write!(f, "{}.{}.{}", self.0 >> 16, minor, tertiary)
    }
}
