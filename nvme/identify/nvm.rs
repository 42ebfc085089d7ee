// SPDX-License-Identifier: GPL-2.0

//! Identify data of the NVM command set: of a controller the limits that MDTS does not set, of a
//! namespace the granularity of deallocation.
//!
//! NVM 4.1.5.4 (CNS 06h), 4.1.5.3 (CNS 05h).

use super::IDENTIFY_SIZE;
use crate::nvme::regs::PAGE_SHIFT;
use core::{
    mem::offset_of,
    num::{
        NonZeroU32,
        NonZeroU64,
        NonZeroU8, //
    }, //
};
use kernel::prelude::*;
use zerocopy_derive::{
    Immutable,
    KnownLayout, //
};

/// Identify Controller for the NVM command set (CNS 06h). The names of fields that the driver does
/// not use begin with `_`.
#[repr(C)]
#[derive(FromBytes, Immutable, KnownLayout)]
pub(crate) struct IdentifyControllerNvm {
    _vsl: u8,
    wzsl: u8,
    _wusl: u8,
    dmrl: u8,
    dmrsl: u32,
    dmsl: u64,
    _rsvd16: [u8; 4080],
}

const _: () = {
    assert!(size_of::<IdentifyControllerNvm>() == IDENTIFY_SIZE);
    assert!(offset_of!(IdentifyControllerNvm, wzsl) == 1);
    assert!(offset_of!(IdentifyControllerNvm, dmrl) == 3);
    assert!(offset_of!(IdentifyControllerNvm, dmrsl) == 4);
    assert!(offset_of!(IdentifyControllerNvm, dmsl) == 8);
};

/// Limits of Write Zeroes and Dataset Management. `None`: not reported.
#[derive(Clone, Copy, Default)]
pub(crate) struct NvmLimits {
    /// Bytes of the largest Write Zeroes (WZSL).
    pub(crate) zeroes_bytes: Option<u64>,
    /// Maximum ranges of Dataset Management (DMRL).
    pub(crate) ranges: Option<NonZeroU8>,
    /// Blocks of the largest range (DMRSL).
    pub(crate) range_blocks: Option<NonZeroU32>,
    /// Blocks of all ranges of a command together (DMSL).
    pub(crate) total_blocks: Option<NonZeroU64>,
}

impl NvmLimits {
    /// Decodes the structure: any bytes are valid.
    pub(crate) fn decode(raw: &IdentifyControllerNvm) -> Self {
        Self {
            // The unit is the smallest page, which `Capabilities` has checked to be 4 KiB.
            zeroes_bytes: match raw.wzsl {
                0 => None,
                wzsl => 1u64.checked_shl(PAGE_SHIFT + u32::from(wzsl)),
            },
            ranges: NonZeroU8::new(raw.dmrl),
            range_blocks: NonZeroU32::new(raw.dmrsl),
            total_blocks: NonZeroU64::new(raw.dmsl),
        }
    }
}

/// Identify Namespace for the NVM command set (CNS 05h). The names of fields that the driver does
/// not use begin with `_`.
#[repr(C)]
#[derive(FromBytes, Immutable, KnownLayout)]
pub(crate) struct IdentifyNamespaceNvm {
    _lbstm: [u8; 12],
    _elbaf: [u32; 64],
    npdgl: u32,
    _nprg: [u8; 12],
    npdal: u32,
    _rsvd288: [u8; 3808],
}

const _: () = {
    assert!(size_of::<IdentifyNamespaceNvm>() == IDENTIFY_SIZE);
    assert!(offset_of!(IdentifyNamespaceNvm, npdgl) == 268);
    assert!(offset_of!(IdentifyNamespaceNvm, npdal) == 284);
};

/// Hints of a namespace on deallocation, in 32 bits instead of the 16 of
/// [`super::namespace::NamespaceHints`]. `None`: not reported.
#[derive(Clone, Copy, Default)]
pub(crate) struct LargeHints {
    /// Blocks of the preferred granularity (NPDGL).
    pub(crate) deallocate_granularity: Option<NonZeroU32>,
    /// Blocks of the preferred alignment (NPDAL).
    pub(crate) deallocate_alignment: Option<NonZeroU32>,
}

impl LargeHints {
    /// Decodes the structure: any bytes are valid.
    pub(crate) fn decode(raw: &IdentifyNamespaceNvm) -> Self {
        Self {
            deallocate_granularity: NonZeroU32::new(raw.npdgl),
            deallocate_alignment: NonZeroU32::new(raw.npdal),
        }
    }
}

#[kunit_tests(rnvme_identify_nvm)]
mod tests {
    use super::{
        super::tests::page,
        *, //
    };
    use zerocopy::FromBytes;

    fn limits(page: &[u8]) -> NvmLimits {
        NvmLimits::decode(IdentifyControllerNvm::ref_from_bytes(page).unwrap())
    }

    #[test]
    fn fields() -> Result {
        let fields: &[(usize, &[u8])] = &[
            (1, &[5]),
            (3, &[7]),
            (4, &[1, 2, 3, 4]),
            (8, &[8, 7, 6, 5, 4, 3, 2, 1]),
        ];
        let limits = limits(&page(0, fields)?);
        assert_eq!(limits.zeroes_bytes, Some(128 << 10));
        assert_eq!(limits.ranges.map(NonZeroU8::get), Some(7));
        let range = limits.range_blocks.map(NonZeroU32::get);
        assert_eq!(range, Some(0x0403_0201));
        let total = limits.total_blocks.map(NonZeroU64::get);
        assert_eq!(total, Some(0x0102_0304_0506_0708));
        Ok(())
    }

    #[test]
    fn large_hints() -> Result {
        let hints = |page: &[u8]| {
            let hints = LargeHints::decode(IdentifyNamespaceNvm::ref_from_bytes(page).unwrap());
            [hints.deallocate_granularity, hints.deallocate_alignment]
                .map(|blocks| blocks.map_or(0, NonZeroU32::get))
        };
        assert_eq!(hints(&page(0, &[])?), [0, 0]);
        let both: &[(usize, &[u8])] = &[(268, &[4, 3, 2, 1]), (284, &[8, 7, 6, 5])];
        assert_eq!(hints(&page(0, both)?), [0x0102_0304, 0x0506_0708]);
        let gap: &[(usize, &[u8])] = &[(268, &[0; 4]), (284, &[0; 4])];
        assert_eq!(hints(&page(0xff, gap)?), [0, 0]);
        Ok(())
    }

    #[test]
    fn zero_is_no_limit() -> Result {
        let limits = limits(&page(0, &[])?);
        assert_eq!(limits.zeroes_bytes, None);
        assert!(limits.ranges.is_none());
        assert!(limits.range_blocks.is_none() && limits.total_blocks.is_none());
        Ok(())
    }

    #[test]
    fn largest_zeroes() -> Result {
        for (wzsl, bytes) in [
            (1, Some(8 << 10)),
            (51, Some(1 << 63)),
            (52, None),
            (255, None),
        ] {
            assert_eq!(limits(&page(0, &[(1, &[wzsl])])?).zeroes_bytes, bytes);
        }
        Ok(())
    }
}
