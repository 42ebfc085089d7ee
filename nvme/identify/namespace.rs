// SPDX-License-Identifier: GPL-2.0

//! Identify Namespace.
//!
//! NVM 4.1.5.1.

use super::IDENTIFY_SIZE;
use crate::num::SECTOR_SHIFT;
use core::mem::offset_of;
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

/// Identify Namespace (CNS 00h). The names of fields that the driver does not use begin with `_`.
#[repr(C)]
#[derive(FromBytes, Immutable, KnownLayout)]
pub(crate) struct IdentifyNamespace {
    nsze: u64,
    ncap: u64,
    _nuse: u64,
    nsfeat: u8,
    nlbaf_z: u8,
    flbas: u8,
    _mc: [u8; 3],
    nmic: u8,
    _rescap: [u8; 2],
    dlfeat: u8,
    _nawun_z: u16,
    nawupf_z: u16,
    _nacwu_z: u16,
    _nabsn_z: u16,
    nabo: u16,
    nabspf_z: u16,
    noiob: u16,
    _nvmcap: [u8; 16],
    npwg_z: u16,
    _npwa_z: u16,
    npdg_z: u16,
    npda_z: u16,
    nows_z: u16,
    _mssrl: [u8; 8],
    nulbaf: u8,
    _kpiodaag: [u8; 16],
    pub(crate) nsattr: u8,
    _nvmsetid: [u8; 4],
    nguid: [u8; 16],
    eui64: [u8; 8],
    lbaf: [LbaFormat; 64],
    _vs: [u8; 3712],
}

const _: () = {
    assert!(size_of::<IdentifyNamespace>() == IDENTIFY_SIZE);
    assert!(offset_of!(IdentifyNamespace, nsze) == 0);
    assert!(offset_of!(IdentifyNamespace, nsfeat) == 24);
    assert!(offset_of!(IdentifyNamespace, nlbaf_z) == 25);
    assert!(offset_of!(IdentifyNamespace, flbas) == 26);
    assert!(offset_of!(IdentifyNamespace, nmic) == 30);
    assert!(offset_of!(IdentifyNamespace, dlfeat) == 33);
    assert!(offset_of!(IdentifyNamespace, nawupf_z) == 36);
    assert!(offset_of!(IdentifyNamespace, nabo) == 42);
    assert!(offset_of!(IdentifyNamespace, nabspf_z) == 44);
    assert!(offset_of!(IdentifyNamespace, noiob) == 46);
    assert!(offset_of!(IdentifyNamespace, npwg_z) == 64);
    assert!(offset_of!(IdentifyNamespace, npdg_z) == 68);
    assert!(offset_of!(IdentifyNamespace, npda_z) == 70);
    assert!(offset_of!(IdentifyNamespace, nows_z) == 72);
    assert!(offset_of!(IdentifyNamespace, nulbaf) == 82);
    assert!(offset_of!(IdentifyNamespace, nsattr) == 99);
    assert!(offset_of!(IdentifyNamespace, nguid) == 104);
    assert!(offset_of!(IdentifyNamespace, eui64) == 120);
    assert!(offset_of!(IdentifyNamespace, lbaf) == 128);
    assert!(offset_of!(LbaFormat, ms) == 0);
    assert!(offset_of!(LbaFormat, lbads) == 2);
    assert!(size_of::<LbaFormat>() == 4);
};

/// Hints of a namespace on performance and atomic writes, unchecked. The unit is a logical block; a
/// field whose name ends in `_z` is zero-based (NVM 5.8.2).
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct NamespaceHints {
    /// NSFEAT: which of these fields are valid.
    pub(crate) features: u8,
    /// NAWUPF: the largest write that is atomic even if power fails.
    pub(crate) atomic_z: u16,
    /// NABSPF: a write across a multiple of this is not atomic; 0: no boundary.
    pub(crate) atomic_boundary_z: u16,
    /// NABO: the offset of the first boundary.
    pub(crate) atomic_offset: u16,
    /// NOIOB: a command should not cross a multiple of this; 0: no boundary.
    pub(crate) io_boundary: u16,
    /// NPWG: the preferred granularity of writes.
    pub(crate) write_granularity_z: u16,
    /// NOWS: the optimal size of writes.
    pub(crate) write_size_z: u16,
    /// NPDG: the preferred granularity of deallocation.
    pub(crate) deallocate_granularity_z: u16,
    /// NPDA: the preferred alignment of deallocation.
    pub(crate) deallocate_alignment_z: u16,
}

impl NamespaceHints {
    /// OPTPERF of NSFEAT: which of the performance hints are valid. `is_2_1`: whether the device
    /// follows NVMe 2.1 or later, where the field has two bits; before, it has one.
    pub(crate) fn optperf(&self, is_2_1: bool) -> u8 {
        let mask = if is_2_1 { 3 } else { 1 };
        (self.features >> 4) & mask
    }

    /// Whether [`super::nvm::LargeHints`] are valid.
    pub(crate) fn has_large(&self, is_2_1: bool) -> bool {
        self.optperf(is_2_1) & 2 != 0
    }
}

/// A namespace that can be a disk.
#[derive(Clone, Copy)]
pub(crate) struct NamespaceInfo {
    /// log2 of the bytes of a logical block: 9 to 16.
    pub(crate) lba_shift: u32,
    /// Capacity in units of 512 bytes (from NSZE), 1 or more; in bytes it fits in an `i64`.
    pub(crate) sectors: u64,
    /// Whether Write Zeroes may deallocate, and deallocated blocks read as zeroes (DLFEAT).
    pub(crate) deallocating_zeroes: bool,
    /// Whether it may be attached to other controllers, too (NMIC bit 0).
    pub(crate) shared: bool,
    /// Whether it is write protected now (NSATTR bit 0).
    pub(crate) write_protected: bool,
    /// Hints, unchecked.
    pub(crate) hints: NamespaceHints,
    /// NGUID; all zeroes: not reported.
    pub(crate) nguid: [u8; 16],
    /// EUI64; all zeroes: not reported.
    pub(crate) eui64: [u8; 8],
}

/// Why a namespace cannot be a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamespaceError {
    /// NSZE is 0: no namespace is attached under this identifier.
    Inactive,
    /// FLBAS names a format that the namespace does not have.
    BadFormatIndex {
        /// The index of the format.
        index: u8,
        /// The number of formats.
        formats: u16,
    },
    /// Logical blocks are smaller than 512 bytes or larger than 64 KiB.
    UnsupportedLbaSize {
        /// log2 of the bytes of a block.
        shift: u8,
    },
    /// Blocks carry metadata.
    UnsupportedMetadata {
        /// Bytes of metadata of each block.
        bytes: u16,
    },
    /// The capacity is beyond what Linux can address.
    TooLarge {
        /// Capacity in blocks.
        blocks: u64,
        /// log2 of the bytes of a block.
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
                write!(f, "metadata of {bytes} bytes per block is not supported")
            }
            Self::TooLarge { blocks, shift } => {
                write!(f, "{blocks} logical blocks of 2^{shift} bytes are too many")
            }
        }
    }
}

impl NamespaceInfo {
    /// Checks and decodes Identify Namespace.
    pub(crate) fn decode(raw: &IdentifyNamespace) -> Result<Self, NamespaceError> {
        // A namespace without capacity has no block that can be written.
        if raw.nsze == 0 || raw.ncap == 0 {
            return Err(NamespaceError::Inactive);
        }
        let formats = u16::from(raw.nlbaf_z) + u16::from(raw.nulbaf) + 1;
        // FLBAS bits 6:5 are part of the index only if there are more than 16 formats.
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
            sectors: blocks << (lba_shift - SECTOR_SHIFT),
            // Bits 2:0: what deallocated blocks read as, 1 is zeroes; bit 3: DEAC is supported.
            deallocating_zeroes: raw.dlfeat & 0xf == 0x9,
            shared: raw.nmic & 1 != 0,
            write_protected: raw.nsattr & 1 != 0,
            hints: NamespaceHints {
                features: raw.nsfeat,
                atomic_z: raw.nawupf_z,
                atomic_boundary_z: raw.nabspf_z,
                atomic_offset: raw.nabo,
                io_boundary: raw.noiob,
                write_granularity_z: raw.npwg_z,
                write_size_z: raw.nows_z,
                deallocate_granularity_z: raw.npdg_z,
                deallocate_alignment_z: raw.npda_z,
            },
            nguid: raw.nguid,
            eui64: raw.eui64,
        })
    }
}

#[kunit_tests(rnvme_identify_namespace)]
mod tests {
    use super::{
        super::tests,
        *, //
    };
    use zerocopy::FromBytes;

    /// A page of `fill` but for `fields`; all of the namespace's blocks have a place, unless `fields`
    /// says otherwise.
    fn page(fill: u8, fields: &[(usize, &[u8])]) -> Result<KVec<u8>> {
        let mut page = tests::page(fill, fields)?;
        if fields.iter().all(|(offset, _)| *offset != 8) {
            page.copy_within(0..8, 8);
        }
        Ok(page)
    }

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
        let no_capacity = page(0, &[(0, &[1]), (8, &[0]), (130, &[9])])?;
        assert_eq!(namespace(&no_capacity), Err(NamespaceError::Inactive));
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
        // NLBAF, FLBAS, NULBAF, format: only this one has blocks of 4096 bytes.
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

    #[test]
    fn hints_are_at_their_places() -> Result {
        let mut fields = [0; 128];
        for (place, byte) in (0u8..).zip(&mut fields) {
            *byte = place;
        }
        // FLBAS and the metadata size stay 0: `decode` would refuse their place as a value.
        let fields: &[(usize, &[u8])] = &[
            (0, &1u64.to_le_bytes()),
            (24, &fields[24..26]),
            (33, &fields[33..48]),
            (64, &fields[64..74]),
            (104, &fields[104..128]),
            (130, &[9]),
        ];
        let page = page(0, fields)?;
        let raw = IdentifyNamespace::ref_from_bytes(&page).map_err(|_| EINVAL)?;
        let info = NamespaceInfo::decode(raw).map_err(|_| EINVAL)?;
        let hints = info.hints;
        assert_eq!(hints.features, 24);
        assert_eq!(hints.atomic_z.to_le_bytes(), [36, 37]);
        assert_eq!(hints.atomic_offset.to_le_bytes(), [42, 43]);
        assert_eq!(hints.atomic_boundary_z.to_le_bytes(), [44, 45]);
        assert_eq!(hints.io_boundary.to_le_bytes(), [46, 47]);
        assert_eq!(hints.write_granularity_z.to_le_bytes(), [64, 65]);
        assert_eq!(hints.deallocate_granularity_z.to_le_bytes(), [68, 69]);
        assert_eq!(hints.deallocate_alignment_z.to_le_bytes(), [70, 71]);
        assert_eq!(hints.write_size_z.to_le_bytes(), [72, 73]);
        assert_eq!((info.nguid[0], info.nguid[15]), (104, 119));
        assert_eq!((info.eui64[0], info.eui64[7]), (120, 127));
        Ok(())
    }

    #[test]
    fn write_protection() -> Result {
        for (nsattr, expected) in [(0x00, false), (0x01, true), (0xfe, false), (0xff, true)] {
            let page = page(0, &[(0, &[1]), (99, &[nsattr]), (130, &[9])])?;
            let raw = IdentifyNamespace::ref_from_bytes(&page).map_err(|_| EINVAL)?;
            let info = NamespaceInfo::decode(raw).map_err(|_| EINVAL)?;
            assert_eq!(info.write_protected, expected);
        }
        Ok(())
    }

    #[test]
    fn zeroes_by_deallocation() -> Result {
        for (dlfeat, expected) in [
            (0x00, false),
            (0x01, false),
            (0x08, false),
            (0x09, true),
            (0x19, true),
            (0x0a, false),
            (0x0d, false),
            (0xff, false),
        ] {
            let page = page(0, &[(0, &[1]), (33, &[dlfeat]), (130, &[9])])?;
            let raw = IdentifyNamespace::ref_from_bytes(&page).map_err(|_| EINVAL)?;
            let info = NamespaceInfo::decode(raw).map_err(|_| EINVAL)?;
            assert_eq!(info.deallocating_zeroes, expected);
        }
        Ok(())
    }
}
