// SPDX-License-Identifier: GPL-2.0

//! A namespace as the data path sees it: its logical blocks, its limits, its log.

use super::readiness::Readiness;
use crate::{
    num::SECTOR_SHIFT,
    nvme::{
        BlockCount,
        Lba,
        Nsid,
        UniqueIds, //
    },
    policy::{
        Atomic,
        RetryPolicy, //
    },
    sys::{
        base::RateLimit,
        block::{
            DiskData,
            RequeueTimer, //
        },
    },
};
use core::sync::atomic::{
    AtomicU32,
    Ordering::Relaxed, //
};
use kernel::prelude::*;

/// What the data path knows of a namespace.
#[pin_data]
pub(crate) struct Geometry {
    /// The namespace.
    pub(crate) nsid: Nsid,
    /// Its logical blocks.
    pub(crate) blocks: Blocks,
    /// Which writes are atomic.
    pub(crate) atomic: Atomic,
    /// Whether a discard may have more than one range.
    pub(crate) many_ranges: bool,
    /// Whether Write Zeroes may deallocate.
    pub(crate) deallocating_zeroes: bool,
    /// Whether Dataset Management serves for Write Zeroes.
    pub(crate) zeroes_by_discard: bool,
    /// Its unique identifiers.
    pub(crate) ids: UniqueIds,
    /// Which failed commands are retried.
    pub(crate) retries: RetryPolicy,
    /// The wait while the namespace is not ready.
    pub(crate) readiness: Readiness,
    /// The delay of requests that are queued again.
    #[pin]
    pub(crate) requeue_timer: RequeueTimer,
    /// The numbers of the controller and of the disk, for log lines.
    pub(crate) name: (u32, u32),
    /// Bounds the log lines of a failing medium.
    #[pin]
    pub(crate) log: RateLimit,
}

impl DiskData for Geometry {
    fn designator(&self, to: &mut [u8; 16]) -> Option<usize> {
        self.ids.designator(to)
    }

    fn requeue_timer(&self) -> &RequeueTimer {
        &self.requeue_timer
    }
}

/// The logical blocks of a namespace.
pub(crate) struct Blocks {
    /// log2 of the bytes of a block.
    shift: u32,
    /// Mask for byte counts that are not whole blocks. All ones refuses every request, so the hot
    /// path needs no second test.
    in_bytes: AtomicU32,
    /// Mask for sector numbers at which no block begins.
    in_sectors: u32,
}

impl Blocks {
    /// Blocks of 2^`shift` bytes; `NamespaceInfo` has checked that `shift` is 9 to 16.
    pub(crate) const fn new(shift: u32) -> Self {
        Self {
            shift,
            in_bytes: AtomicU32::new((1u32.wrapping_shl(shift)).wrapping_sub(1)),
            in_sectors: (1u32.wrapping_shl(shift.wrapping_sub(SECTOR_SHIFT))).wrapping_sub(1),
        }
    }

    /// Refuses every request from now on: the namespace was reformatted or replaced.
    pub(crate) fn refuse(&self) {
        self.in_bytes.store(u32::MAX, Relaxed);
    }

    /// Whether [`Self::refuse`] was called.
    pub(crate) fn are_refused(&self) -> bool {
        self.in_bytes.load(Relaxed) == u32::MAX
    }

    /// log2 of the bytes of a block.
    pub(super) fn shift(&self) -> u32 {
        self.shift
    }

    /// `bytes` from `sector` on as a first block and a number of blocks; `None` unless they are
    /// whole blocks, 1 to 65536 of them.
    #[inline(always)]
    pub(super) fn range(&self, sector: u64, bytes: u32) -> Option<(Lba, BlockCount)> {
        // CAST: a block has at most 128 sectors.
        if bytes & self.in_bytes.load(Relaxed) | sector as u32 & self.in_sectors != 0 {
            return None;
        }
        let blocks = BlockCount::new(bytes.wrapping_shr(self.shift))?;
        Some((Lba::new(self.first(sector)), blocks))
    }

    /// The block that `sector` is in.
    #[inline(always)]
    pub(super) fn first(&self, sector: u64) -> u64 {
        sector.wrapping_shr(self.shift.wrapping_sub(SECTOR_SHIFT))
    }
}

#[kunit_tests(rnvme_blocks)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_whole_blocks() {
        for (shift, sector, bytes, expected) in [
            (9, 0, 512, Some((0, 0))),
            (9, 7, 4096, Some((7, 7))),
            (9, u64::from(u32::MAX) + 2, 512, Some((1 << 32 | 1, 0))),
            (9, 0, 65536 << 9, Some((0, 65535))),
            (12, 8, 4096, Some((1, 0))),
            (12, 16, 1 << 20, Some((2, 255))),
            (16, 128, 65536, Some((1, 0))),
            // Not a whole number of blocks, no block at all, more than a command can take.
            (9, 0, 511, None),
            (9, 0, 0, None),
            (9, 0, 65537 << 9, None),
            (12, 8, 512, None),
            (12, 8, 6144, None),
            // Not at the beginning of a block.
            (12, 1, 4096, None),
            (16, 8, 65536, None),
        ] {
            let range = Blocks::new(shift).range(sector, bytes);
            assert_eq!(
                range.map(|(lba, count)| (lba.get(), count.zero_based())),
                expected
            );
        }
    }

    #[test]
    fn blocks_that_are_refused_are_none() {
        let blocks = Blocks::new(9);
        assert!(!blocks.are_refused());
        blocks.refuse();
        assert!(blocks.are_refused());
        for bytes in [512, 4096, 1 << 20] {
            assert!(blocks.range(0, bytes).is_none());
        }
    }
}
