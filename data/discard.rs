// SPDX-License-Identifier: GPL-2.0

//! The pieces of a discard as the ranges of Dataset Management (NVM 3.2.3).
//!
//! The request has a page of its own for the ranges, so PRP1 points to all of them and PRP2 is 0. It
//! is a whole page because there are drives that read 4096 bytes whatever the number of ranges is.

use super::{
    request_data::Queued,
    Transfers, //
};
use crate::{
    num::SECTOR_SHIFT,
    nvme::{
        DataPtr,
        Lba,
        Range,
        RangeCount, //
    },
    prp::List,
    sys::block::{
        BlkStatus,
        Request, //
    },
};
use core::iter;
use kernel::prelude::*;

impl Transfers {
    /// Stores the `count` ranges of `rq`, in logical blocks of 2^`lba_shift` bytes, and returns the
    /// data pointer of its command. Each piece is a range; one range takes the whole request.
    /// [`Self::unmap`] undoes this.
    ///
    /// # Errors
    ///
    /// [`BlkStatus::RESOURCE`] if there is no memory for now, [`BlkStatus::IOERR`] if the request
    /// has more or fewer pieces, or a piece is not made of whole blocks.
    pub(crate) fn store_ranges<T: Queued>(
        &self,
        rq: &mut Request<T>,
        lba_shift: u32,
        count: RangeCount,
    ) -> Result<DataPtr, BlkStatus> {
        let mut list = self.lists.lease(1).ok_or(BlkStatus::RESOURCE)?;
        let data = match count.get() {
            1 => {
                let whole = iter::once((rq.sector(), rq.bytes()));
                store(&mut list, lba_shift, count, whole)
            }
            _ => store(&mut list, lba_shift, count, rq.pieces()),
        };
        rq.queue_part().mapping.hold(list);
        data.ok_or_else(|| {
            self.unmap(rq);
            BlkStatus::IOERR
        })
    }
}

/// `bytes` from `sector` on as a range of logical blocks of 2^`lba_shift` bytes (9 to 16). `None`
/// unless they are whole blocks, at least one.
fn range(lba_shift: u32, sector: u64, bytes: u32) -> Option<Range> {
    let in_sectors = lba_shift.wrapping_sub(SECTOR_SHIFT);
    let blocks = bytes.wrapping_shr(lba_shift);
    let first = sector.wrapping_shr(in_sectors);
    let whole = blocks.wrapping_shl(lba_shift) == bytes && first.wrapping_shl(in_sectors) == sector;
    (whole && blocks != 0).then_some(Range {
        first: Lba::new(first),
        blocks,
    })
}

/// Stores `count` pieces, each a sector and a number of bytes, as ranges in `list` and returns the
/// pointer to them.
///
/// `None` if there are more or fewer pieces, if a piece is not made of whole blocks, or if `list` is
/// too small.
fn store(
    list: &mut impl List,
    lba_shift: u32,
    count: RangeCount,
    pieces: impl Iterator<Item = (u64, u32)>,
) -> Option<DataPtr> {
    let end = count.get().checked_mul(Range::WORDS)?;
    let mut slot = 0;
    for (sector, bytes) in pieces {
        if slot >= end {
            return None;
        }
        for word in range(lba_shift, sector, bytes)?.words() {
            if !list.set(slot, word) {
                return None;
            }
            slot += 1;
        }
    }
    (slot == end).then(|| DataPtr {
        prp1: list.page_address(0),
        prp2: 0,
    })
}

#[kunit_tests(rnvme_ranges)]
mod tests {
    use super::*;

    /// A list in ordinary memory.
    struct Memory([u64; 8]);

    impl List for Memory {
        fn set(&mut self, slot: usize, value: u64) -> bool {
            self.0.get_mut(slot).map(|word| *word = value).is_some()
        }

        fn page_address(&self, page: usize) -> u64 {
            assert_eq!(page, 0);
            0x1_2340
        }

        fn capacity(&self) -> usize {
            self.0.len()
        }
    }

    #[test]
    fn pieces_are_whole_blocks() {
        // Shift, sector, bytes, first and number of blocks.
        let cases: [(u32, u64, u32, Option<(u64, u32)>); 10] = [
            (9, 0, 512, Some((0, 1))),
            (9, 7, 0xffff_fe00, Some((7, 0x7f_ffff))),
            (9, 1 << 40, 1024, Some((1 << 40, 2))),
            (12, 8, 4096, Some((1, 1))),
            (16, 128, 1 << 31, Some((1, 1 << 15))),
            (9, 0, 0, None),
            (9, 0, 513, None),
            (12, 8, 512, None),
            (12, 4, 4096, None),
            (16, 8, 65536, None),
        ];
        for (shift, sector, bytes, expected) in cases {
            let range = range(shift, sector, bytes).map(|r| (r.first.get(), r.blocks));
            assert_eq!(range, expected);
        }
    }

    #[test]
    fn ranges_are_stored_in_order() {
        let mut list = Memory([u64::MAX; 8]);
        let count = RangeCount::new(3).unwrap();
        let pieces = [(80, 4096), (8, 8192), (1 << 33, 1 << 20)];
        let data = store(&mut list, 12, count, pieces.into_iter());
        let expected = DataPtr {
            prp1: 0x1_2340,
            prp2: 0,
        };
        assert_eq!(data, Some(expected));
        let words = [1 << 32, 10, 2 << 32, 1, 256 << 32, 1 << 30];
        assert_eq!(list.0[..6], words);
        assert_eq!(list.0[6..], [u64::MAX; 2]);
    }

    #[test]
    fn counts_must_agree() {
        // Announced, given: a list has room for four.
        for (count, given, good) in [
            (1, 1, true),
            (4, 4, true),
            (1, 0, false),
            (2, 1, false),
            (1, 2, false),
            (5, 5, false),
            (256, 256, false),
        ] {
            let mut list = Memory([0; 8]);
            let pieces = iter::repeat_n((0, 512), given);
            let count = RangeCount::new(count).unwrap();
            let data = store(&mut list, 9, count, pieces);
            assert_eq!(data.is_some(), good);
        }
    }

    #[test]
    fn one_bad_piece_spoils_all() {
        let mut list = Memory([0; 8]);
        let count = RangeCount::new(2).unwrap();
        let pieces = [(0, 4096), (1, 4096)];
        assert_eq!(store(&mut list, 12, count, pieces.into_iter()), None);
    }
}
