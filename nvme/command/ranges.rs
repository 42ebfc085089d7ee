// SPDX-License-Identifier: GPL-2.0

//! Commands on ranges of blocks that do not transfer the data of the blocks: Write Zeroes (NVM
//! 3.2.8) and Dataset Management (NVM 3.2.3).

use super::{
    pair,
    DataPtr,
    Sqe, //
};
use crate::nvme::ids::{
    BlockCount,
    Lba,
    Nsid,
    RangeCount, //
};
use kernel::prelude::*;

/// Options of Write Zeroes: CDW12 (NVM 3.2.8).
#[derive(Clone, Copy, Default)]
pub(crate) struct ZeroesControl {
    /// Force Unit Access: the command completes once the zeroes are on non-volatile media.
    pub(crate) fua: bool,
    /// Deallocate (DEAC): the controller may deallocate the blocks.
    pub(crate) deallocate: bool,
}

/// A range of blocks, as Dataset Management names it: 16 bytes (NVM 3.2.3.1).
///
/// ```text
///    bytes 15:8         7:4          3:0
///  | first LBA |   blocks   | context attributes |
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// The first block.
    pub(crate) first: Lba,
    /// The number of blocks.
    pub(crate) blocks: u32,
}

impl Range {
    /// 64-bit words of a range.
    pub(crate) const WORDS: usize = 2;

    /// The range as it is stored, without attributes.
    pub(crate) fn words(&self) -> [u64; Self::WORDS] {
        [pair(0, self.blocks), self.first.get()]
    }
}

impl Sqe {
    /// Opcode of Write Zeroes.
    pub(crate) const OPCODE_WRITE_ZEROES: u8 = 0x08;
    /// Opcode of Dataset Management.
    pub(crate) const OPCODE_DATASET_MANAGEMENT: u8 = 0x09;
    /// Attribute of Dataset Management: Deallocate (AD).
    pub(crate) const DSM_DEALLOCATE: u32 = 1 << 2;
    /// Bit of CDW12 of Write Zeroes: Deallocate (DEAC).
    pub(crate) const ZEROES_DEALLOCATE: u32 = 1 << 25;

    /// Write Zeroes of `blocks` from `lba` on.
    pub(crate) fn write_zeroes(
        nsid: Nsid,
        lba: Lba,
        blocks: BlockCount,
        control: ZeroesControl,
    ) -> Self {
        let deallocate = if control.deallocate {
            Self::ZEROES_DEALLOCATE
        } else {
            0
        };
        // CAST: the two halves of the address.
        Self {
            cdw10: lba.get() as u32,
            cdw11: (lba.get() >> 32) as u32,
            cdw12: u32::from(blocks.zero_based()) | (u32::from(control.fua) << 30) | deallocate,
            ..Self::new(Self::OPCODE_WRITE_ZEROES, nsid.get())
        }
    }

    /// Dataset Management: deallocates the `count` ranges in the memory at `data`.
    pub(crate) fn deallocate(nsid: Nsid, count: RangeCount, data: DataPtr) -> Self {
        Self {
            dptr: data,
            cdw10: count.zero_based().into(),
            cdw11: Self::DSM_DEALLOCATE,
            ..Self::new(Self::OPCODE_DATASET_MANAGEMENT, nsid.get())
        }
    }
}

#[kunit_tests(rnvme_command_ranges)]
mod tests {
    use super::{
        super::tests::is,
        *, //
    };

    #[test]
    fn write_zeroes_images() {
        let nsid = Nsid::new(0x0a0b).unwrap();
        let lba = Lba::new(0x0102_0304_0506_0708);
        // FUA, deallocate, blocks, CDW12.
        let cases: [(bool, bool, u32, [u8; 4]); 4] = [
            (false, false, 1, [0, 0, 0, 0]),
            (true, false, 65536, [0xff, 0xff, 0, 0x40]),
            (false, true, 2, [1, 0, 0, 0x02]),
            (true, true, 257, [0, 1, 0, 0x42]),
        ];
        for (fua, deallocate, count, cdw12) in cases {
            let control = ZeroesControl { fua, deallocate };
            let blocks = BlockCount::new(count).unwrap();
            let fields: &[(usize, &[u8])] = &[
                (0, &[8]),
                (4, &[0x0b, 0x0a]),
                (40, &[8, 7, 6, 5, 4, 3, 2, 1]),
                (48, &cdw12),
            ];
            assert!(is(Sqe::write_zeroes(nsid, lba, blocks, control), fields));
        }
    }

    #[test]
    fn deallocate_images() {
        let data = DataPtr {
            prp1: 0x1234_5100,
            prp2: 0,
        };
        for (count, count_z) in [(1, 0), (2, 1), (256, 0xff)] {
            let count = RangeCount::new(count).unwrap();
            let sqe = Sqe::deallocate(Nsid::new(1).unwrap(), count, data);
            let fields: &[(usize, &[u8])] = &[
                (0, &[9]),
                (4, &[1]),
                (24, &[0x00, 0x51, 0x34, 0x12]),
                (40, &[count_z]),
                (44, &[4]),
            ];
            assert!(is(sqe, fields));
        }
    }

    #[test]
    fn range_image() {
        let range = Range {
            first: Lba::new(0x0102_0304_0506_0708),
            blocks: 0x090a_0b0c,
        };
        assert_eq!(
            range.words(),
            [0x090a_0b0c_0000_0000, 0x0102_0304_0506_0708]
        );
    }
}
