// SPDX-License-Identifier: GPL-2.0

//! Limits of discards: size, granularity and ranges of a Dataset Management command (NVM 3.2.3).

use super::{
    Calculation,
    Ignored, //
};
use crate::{
    num::SECTOR_SHIFT,
    nvme::RangeCount, //
};
use core::num::{
    NonZeroU32,
    NonZeroU64,
    NonZeroU8, //
};
use kernel::prelude::*;

/// Limits of one discard command. All zero: discards are not supported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Discard {
    /// Maximum sectors of one range, and of all ranges of a command together.
    pub(crate) sectors: u32,
    /// Granularity in bytes: the device may leave smaller pieces allocated.
    pub(crate) granularity: u32,
    /// Maximum ranges of a command, 1 to 256.
    pub(crate) ranges: u16,
}

impl Calculation<'_> {
    pub(super) fn discard(&mut self, physical_block: u32) -> Discard {
        let source = self.source;
        if !source.controller.dataset_management {
            return Discard::default();
        }
        let nvm = source.nvm;
        let range = nvm
            .range_blocks
            .map_or(u64::MAX, |blocks| NonZeroU32::get(blocks).into());
        let total = nvm.total_blocks.map_or(u64::MAX, NonZeroU64::get);
        let sectors = range
            .min(total)
            .saturating_mul((self.block >> SECTOR_SHIFT).into());
        let sectors = u32::try_from(sectors).unwrap_or(u32::MAX);
        // The block layer raises the granularity to a physical block, and does not split a discard
        // that is smaller than the granularity. One command must therefore be able to cover that
        // many bytes.
        let most = u64::from(sectors) << SECTOR_SHIFT;
        if most < physical_block.into() {
            self.ignore(Ignored::DSM);
            return Discard::default();
        }
        let granularity = self.granularity();
        let granularity = match u32::try_from(granularity) {
            Ok(granularity) if u64::from(granularity) <= most => granularity,
            _ => {
                self.ignore(Ignored::NPDG);
                self.block
            }
        };
        Discard {
            sectors,
            granularity,
            ranges: nvm
                .ranges
                .map_or(RangeCount::MAX, |ranges| NonZeroU8::get(ranges).into()),
        }
    }

    /// Granularity in bytes. NPDG should be a multiple of NPDA, and NPDGL of NPDAL: the larger one
    /// counts.
    fn granularity(&self) -> u64 {
        let hints = self.hints();
        let optperf = self.optperf();
        let blocks = |large: Option<NonZeroU32>, is_valid, count_z| match large {
            Some(blocks) if optperf & 2 != 0 => u64::from(blocks.get()),
            _ if is_valid => u64::from(count_z) + 1,
            _ => 1,
        };
        let large = self.source.large;
        let length: u64 = blocks(
            large.deallocate_granularity,
            optperf & 1 != 0,
            hints.deallocate_granularity_z,
        );
        let alignment = blocks(
            large.deallocate_alignment,
            optperf != 0,
            hints.deallocate_alignment_z,
        );
        length.max(alignment) * u64::from(self.block)
    }
}

#[kunit_tests(rnvme_discard)]
mod tests {
    use super::{
        super::tests::{
            device,
            ALL,
            NO_HINTS, //
        },
        *, //
    };
    use crate::nvme::{
        LargeHints,
        NamespaceHints, //
    };

    #[test]
    fn discard_limits() {
        // Shift, DMRL, DMRSL, DMSL; sectors, ranges, ignored.
        let cases: [(u32, u8, u32, u64, (u32, u16), u8); 8] = [
            (9, 0, 0, 0, (u32::MAX, 256), 0),
            (9, 255, 0, 0, (u32::MAX, 255), 0),
            (9, 1, 1, 0, (1, 1), 0),
            (12, 16, 1000, 0, (8000, 16), 0),
            (12, 16, 1000, 999, (7992, 16), 0),
            (9, 0, u32::MAX, u64::MAX, (u32::MAX, 256), 0),
            (16, 0, u32::MAX, 1 << 63, (u32::MAX, 256), 0),
            (16, 0, 0x1ff_ffff, 0, (0xffff_ff80, 256), 0),
        ];
        for (shift, dmrl, dmrsl, dmsl, (sectors, ranges), ignored) in cases {
            let mut device = device(shift, NO_HINTS);
            device.nvm.ranges = NonZeroU8::new(dmrl);
            device.nvm.range_blocks = NonZeroU32::new(dmrsl);
            device.nvm.total_blocks = NonZeroU64::new(dmsl);
            let (limits, seen) = device.limits();
            let Discard { granularity, .. } = limits.discard;
            let discard = Discard {
                sectors,
                granularity,
                ranges,
            };
            assert_eq!((limits.discard, seen.0), (discard, ignored));
        }
    }

    #[test]
    fn discard_granularity() {
        // Features, 2.1, NPDG, NPDA, DMRSL, NPWG and NAWUPF; granularity, ignored.
        let cases: [(u8, bool, [u16; 4], u32, u8); 9] = [
            (ALL, false, [7, 0, 0, 0], 4096, 0),
            (ALL, false, [7, 15, 0, 0], 8192, 0),
            (ALL, false, [0xffff, 0, 0, 0], 512 << 16, 0),
            (0x02, false, [7, 15, 0, 0], 512, 0),
            (0x22, false, [7, 15, 0, 0], 512, 0),
            // NPDG is valid with bit 0 only, NPDA with either.
            (0x22, true, [31, 15, 0, 0], 8192, 0),
            (0x32, true, [31, 15, 0, 0], 16384, 0),
            (ALL, false, [7, 0, 7, 0], 512, Ignored::NPDG),
            (ALL, false, [7, 0, 7, 7], 0, Ignored::DSM),
        ];
        for (features, is_2_1, [npdg, npda, dmrsl, npwg], granularity, ignored) in cases {
            let hints = NamespaceHints {
                features,
                deallocate_granularity_z: npdg,
                deallocate_alignment_z: npda,
                write_granularity_z: npwg,
                atomic_z: npwg,
                ..NO_HINTS
            };
            let mut device = device(9, hints);
            device.is_2_1 = is_2_1;
            device.nvm.range_blocks = NonZeroU32::new(dmrsl.into());
            let (limits, seen) = device.limits();
            assert_eq!((limits.discard.granularity, seen.0), (granularity, ignored));
        }
    }

    #[test]
    fn large_discard_granularity() {
        // Features, 2.1, NPDG, NPDA, NPDGL, NPDAL; granularity, ignored.
        let cases: [(u8, bool, [u16; 2], [u32; 2], u32, u8); 11] = [
            (0x30, true, [7, 3], [0, 0], 4096, 0),
            (0x30, true, [7, 3], [1, 1], 512, 0),
            (0x30, true, [7, 3], [1, 0], 2048, 0),
            (0x30, true, [7, 3], [0, 1], 4096, 0),
            (0x30, true, [7, 3], [0, 16], 8192, 0),
            (0x30, true, [7, 3], [0x10_0000, 16], 512 << 20, 0),
            // NPDG is not valid, NPDA is.
            (0x20, true, [7, 3], [0, 0], 2048, 0),
            (0x20, true, [7, 3], [24, 0], 12288, 0),
            // NPDGL and NPDAL are not valid.
            (0x10, true, [7, 3], [32, 32], 4096, 0),
            (0x30, false, [7, 3], [32, 32], 4096, 0),
            // More than the block layer can express.
            (0x30, true, [7, 3], [u32::MAX, 1 << 31], 512, Ignored::NPDG),
        ];
        for (features, is_2_1, [npdg, npda], [npdgl, npdal], granularity, ignored) in cases {
            let hints = NamespaceHints {
                features,
                deallocate_granularity_z: npdg,
                deallocate_alignment_z: npda,
                ..NO_HINTS
            };
            let mut device = device(9, hints);
            device.is_2_1 = is_2_1;
            device.large = LargeHints {
                deallocate_granularity: NonZeroU32::new(npdgl),
                deallocate_alignment: NonZeroU32::new(npdal),
            };
            let (limits, seen) = device.limits();
            assert_eq!((limits.discard.granularity, seen.0), (granularity, ignored));
        }
    }
}
