// SPDX-License-Identifier: GPL-2.0

//! What Identify says of namespaces: which there are, and what each is.
//!
//! Base 5.17.2.2 (active namespaces); NVM 4.1.5.1 (namespace).

use super::IDENTIFY_SIZE;
use crate::spec::ids::Nsid;
use core::{
    mem::offset_of,
    slice, //
};
use kernel::{
    fmt,
    prelude::*, //
};
use zerocopy_derive::{
    Immutable,
    KnownLayout, //
};

/// An LBA format.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout)]
struct LbaFormat {
    ms: u16,
    lbads: u8,
    _rp: u8,
}

/// Identify Namespace (CNS 00h). Only what the driver looks at has a name.
#[repr(C)]
#[derive(FromBytes, Immutable, KnownLayout)]
pub(crate) struct IdentifyNamespace {
    nsze: u64,
    _ncap: [u8; 17],
    nlbaf_z: u8,
    flbas: u8,
    _mc: [u8; 55],
    nulbaf: u8,
    _kpiodaag: [u8; 45],
    lbaf: [LbaFormat; 64],
    _vs: [u8; 3712],
}

const _: () = {
    assert!(size_of::<IdentifyNamespace>() == IDENTIFY_SIZE);
    assert!(offset_of!(IdentifyNamespace, nsze) == 0);
    assert!(offset_of!(IdentifyNamespace, nlbaf_z) == 25);
    assert!(offset_of!(IdentifyNamespace, flbas) == 26);
    assert!(offset_of!(IdentifyNamespace, nulbaf) == 82);
    assert!(offset_of!(IdentifyNamespace, lbaf) == 128);
    assert!(offset_of!(LbaFormat, ms) == 0);
    assert!(offset_of!(LbaFormat, lbads) == 2);
    assert!(size_of::<LbaFormat>() == 4);
};

/// A namespace that can be a disk.
pub(crate) struct NamespaceInfo {
    /// log2 of the bytes of a logical block: 9 to 16.
    pub(crate) lba_shift: u32,
    /// Capacity in units of 512 bytes (from NSZE), 1 or more; in bytes it fits in an `i64`.
    pub(crate) sectors: u64,
}

/// Why a namespace cannot be a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamespaceError {
    /// It has no blocks: nothing is attached under this identifier.
    Inactive,
    /// FLBAS names a format that the namespace does not have.
    BadFormatIndex {
        /// Which one.
        index: u8,
        /// How many there are.
        formats: u16,
    },
    /// Logical blocks are smaller than 512 bytes or larger than 64 KiB.
    UnsupportedLbaSize {
        /// log2 of their bytes.
        shift: u8,
    },
    /// Blocks carry metadata.
    UnsupportedMetadata {
        /// Bytes of it with each block.
        bytes: u16,
    },
    /// The capacity is beyond what Linux can address.
    TooLarge {
        /// Blocks.
        blocks: u64,
        /// log2 of their bytes.
        shift: u8,
    },
}

impl fmt::Display for NamespaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inactive => f.write_str("inactive: it has no logical blocks"),
            Self::BadFormatIndex { index, formats } => write!(
                f,
                "formatted with LBA format {index}, but there are only {formats} formats"
            ),
            Self::UnsupportedLbaSize { shift } => {
                write!(f, "logical blocks of 2^{shift} bytes are not supported")
            }
            Self::UnsupportedMetadata { bytes } => {
                write!(f, "{bytes} bytes of metadata a block are not supported")
            }
            Self::TooLarge { blocks, shift } => {
                write!(f, "{blocks} logical blocks of 2^{shift} bytes are too many")
            }
        }
    }
}

impl NamespaceInfo {
    /// Checks what the controller says about a namespace.
    pub(crate) fn decode(raw: &IdentifyNamespace) -> Result<Self, NamespaceError> {
        if raw.nsze == 0 {
            return Err(NamespaceError::Inactive);
        }
        let formats = u16::from(raw.nlbaf_z) + u16::from(raw.nulbaf) + 1;
        // The upper bits of the index count only where there are formats for them to name.
        let index = match raw.flbas {
            flbas if formats > 16 => (flbas & 0xf) | ((flbas & 0x60) >> 1),
            flbas => flbas & 0xf,
        };
        let format = raw
            .lbaf
            .get(usize::from(index))
            .filter(|_| u16::from(index) < formats)
            .ok_or(NamespaceError::BadFormatIndex { index, formats })?;
        let shift = format.lbads;
        if !(9..=16).contains(&shift) {
            return Err(NamespaceError::UnsupportedLbaSize { shift });
        }
        if format.ms != 0 {
            return Err(NamespaceError::UnsupportedMetadata { bytes: format.ms });
        }
        let blocks = raw.nsze;
        // `loff_t` counts bytes: 63 bits.
        if blocks > (u64::MAX >> 1) >> shift {
            return Err(NamespaceError::TooLarge { blocks, shift });
        }
        let lba_shift = u32::from(shift);
        Ok(Self {
            lba_shift,
            sectors: blocks << (lba_shift - 9),
        })
    }
}

/// A page of the active namespace list (CNS 02h): ascending identifiers, then zeroes.
#[repr(C)]
#[derive(FromBytes, Immutable, KnownLayout)]
pub(crate) struct NamespaceList {
    nsids: [u32; Self::LEN],
}

const _: () = assert!(size_of::<NamespaceList>() == IDENTIFY_SIZE);

impl NamespaceList {
    /// Identifiers of a full page, after which another follows.
    pub(crate) const LEN: usize = 1024;

    /// The identifiers of a page that was asked for those above `after`.
    ///
    /// After an error there are no more: so a list ends, and so do the pages, whatever the device
    /// says.
    pub(crate) fn iter(&self, after: u32) -> ActiveNamespaces<'_> {
        ActiveNamespaces {
            rest: self.nsids.iter(),
            last: after,
        }
    }
}

/// The identifiers of a [`NamespaceList`].
pub(crate) struct ActiveNamespaces<'a> {
    rest: slice::Iter<'a, u32>,
    last: u32,
}

/// The list is not what the specification says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAscending {
    /// The identifier before, or the one that the list was asked to begin after.
    previous: u32,
    /// The one that is not above it, or is no namespace's.
    next: u32,
}

impl fmt::Display for NotAscending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "active namespace list: identifier {:#x} cannot follow {:#x}",
            self.next, self.previous
        )
    }
}

impl Iterator for ActiveNamespaces<'_> {
    type Item = Result<Nsid, NotAscending>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = *self.rest.next()?;
        if next == 0 {
            self.rest = [].iter();
            return None;
        }
        let previous = self.last;
        let valid = Nsid::new(next).filter(|_| next > previous);
        if valid.is_none() {
            self.rest = [].iter();
        }
        self.last = next;
        Some(valid.ok_or(NotAscending { previous, next }))
    }
}

#[kunit_tests(rnvme_identify_namespace)]
mod tests {
    use super::{
        super::tests::page,
        *, //
    };
    use zerocopy::FromBytes;

    fn namespace(page: &[u8]) -> Result<(u32, u64), NamespaceError> {
        let info = NamespaceInfo::decode(IdentifyNamespace::ref_from_bytes(page).unwrap())?;
        Ok((info.lba_shift, info.sectors))
    }

    #[test]
    fn namespace_sizes() -> Result {
        // NSZE, LBADS, sectors.
        let cases: [(u64, u8, u64); 6] = [
            (1, 9, 1),
            (1000, 12, 8000),
            (1, 16, 128),
            ((1 << 54) - 1, 9, (1 << 54) - 1),
            ((1 << 51) - 1, 12, (1 << 54) - 8),
            ((1 << 47) - 1, 16, (1 << 54) - 128),
        ];
        for (blocks, shift, sectors) in cases {
            let page = page(0, &[(0, &blocks.to_le_bytes()), (130, &[shift])])?;
            assert_eq!(namespace(&page), Ok((shift.into(), sectors)));
        }
        Ok(())
    }

    #[test]
    fn too_many_blocks() -> Result {
        for (blocks, shift) in [(1 << 54, 9), (1 << 47, 16), (u64::MAX, 12)] {
            let page = page(0, &[(0, &blocks.to_le_bytes()), (130, &[shift])])?;
            assert_eq!(
                namespace(&page),
                Err(NamespaceError::TooLarge { blocks, shift })
            );
        }
        Ok(())
    }

    #[test]
    fn lba_sizes_out_of_range() -> Result {
        for shift in [0, 8, 17, 31, 64, 255] {
            let page = page(0, &[(0, &[1]), (130, &[shift])])?;
            assert_eq!(
                namespace(&page),
                Err(NamespaceError::UnsupportedLbaSize { shift })
            );
        }
        Ok(())
    }

    #[test]
    fn empty_and_strange_namespaces() -> Result {
        assert_eq!(namespace(&page(0, &[])?), Err(NamespaceError::Inactive));
        let shift = 0xff;
        assert_eq!(
            namespace(&page(0xff, &[])?),
            Err(NamespaceError::UnsupportedLbaSize { shift })
        );
        let metadata = page(0, &[(0, &[1]), (128, &[8, 0, 9])])?;
        assert_eq!(
            namespace(&metadata),
            Err(NamespaceError::UnsupportedMetadata { bytes: 8 })
        );
        Ok(())
    }

    #[test]
    fn format_index() -> Result {
        // NLBAF, FLBAS, NULBAF, format: only that one has blocks of 4096 bytes.
        let cases: [(u8, u8, u8, Option<u8>); 9] = [
            (0, 0x00, 0, Some(0)),
            (7, 0x07, 0, Some(7)),
            (7, 0x08, 0, None),
            (15, 0x1f, 0, Some(15)),
            (15, 0x6f, 0, Some(15)),
            (16, 0x20, 0, Some(16)),
            (0, 0x21, 17, Some(17)),
            (63, 0x6f, 0, Some(63)),
            (40, 0x6f, 0, None),
        ];
        for (nlbaf, flbas, nulbaf, format) in cases {
            let place = 128 + 4 * usize::from(format.unwrap_or(0)) + 2;
            let fields: &[(usize, &[u8])] = &[
                (0, &[1]),
                (25, &[nlbaf, flbas]),
                (82, &[nulbaf]),
                (place, &[12]),
            ];
            let info = namespace(&page(0, fields)?);
            match format {
                Some(_) => assert_eq!(info, Ok((12, 8))),
                None => assert!(matches!(info, Err(NamespaceError::BadFormatIndex { .. }))),
            }
        }
        Ok(())
    }

    /// The identifiers of a list that begins with `ids` and what ended it, if that was an error.
    fn list(fill: u8, ids: &[u32], after: u32) -> Result<(u32, u32, Option<(u32, u32)>)> {
        let mut page = page(fill, &[])?;
        for (i, id) in ids.iter().enumerate() {
            page[4 * i..4 * i + 4].copy_from_slice(&id.to_le_bytes());
        }
        let list = NamespaceList::ref_from_bytes(&page).map_err(|_| EINVAL)?;
        let (mut count, mut sum, mut error) = (0, 0, None);
        for id in list.iter(after) {
            // Nothing follows an error.
            assert!(error.is_none());
            match id {
                Ok(id) => (count, sum) = (count + 1, sum + id.get()),
                Err(e) => error = Some((e.previous, e.next)),
            }
        }
        Ok((count, sum, error))
    }

    #[test]
    fn namespace_lists() -> Result {
        assert_eq!(list(0, &[], 0)?, (0, 0, None));
        assert_eq!(list(0, &[1, 2, 9], 0)?, (3, 12, None));
        assert_eq!(list(0, &[1, 0, 9], 0)?, (1, 1, None));
        assert_eq!(list(0, &[5], 4)?, (1, 5, None));
        Ok(())
    }

    #[test]
    fn lists_that_do_not_ascend() -> Result {
        assert_eq!(list(0, &[2, 1, 3], 0)?, (1, 2, Some((2, 1))));
        assert_eq!(list(0, &[1, 1], 0)?, (1, 1, Some((1, 1))));
        assert_eq!(list(0, &[4, 5], 4)?, (0, 0, Some((4, 4))));
        assert_eq!(list(0xff, &[], 0)?, (0, 0, Some((0, u32::MAX))));
        Ok(())
    }

    #[test]
    fn full_list() -> Result {
        let mut ids = KVec::with_capacity(NamespaceList::LEN, GFP_KERNEL)?;
        for id in 1..=1024 {
            ids.push(id, GFP_KERNEL)?;
        }
        assert_eq!(list(0, &ids, 0)?, (1024, 1024 * 1025 / 2, None));
        Ok(())
    }
}
