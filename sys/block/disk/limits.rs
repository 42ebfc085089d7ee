// SPDX-License-Identifier: GPL-2.0

//! The limits of a disk in the units of the block layer, and its read-ahead.

use crate::{
    num::{
        u32_as_usize,
        SECTOR_SHIFT, //
    },
    policy::DiskLimits,
    sys::ffi as bindings, //
};
use core::sync::atomic::{
    AtomicUsize,
    Ordering, //
};

/// The limits of a disk, in the units of the block layer. The caller has validated them: the block
/// layer refuses inconsistent limits, with a warning.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The limits of the namespace.
    pub(crate) disk: DiskLimits,
    /// The largest transfer, in bytes.
    pub(crate) max_transfer: u32,
    /// The most segments of one transfer.
    pub(crate) max_segments: u16,
    /// Segments meet at multiples of this many bytes of memory: a power of two.
    pub(crate) boundary: usize,
    /// Whether the device has a volatile write cache, so that it needs flushes and supports FUA.
    pub(crate) write_cache: bool,
    /// Whether the media rotate.
    pub(crate) rotational: bool,
    /// Whether the device refuses writes.
    pub(crate) read_only: bool,
}

impl Limits {
    /// The features that [`Self::apply`] decides on.
    const FEATURES: bindings::blk_features_t = bindings::BLK_FEAT_WRITE_CACHE
        | bindings::BLK_FEAT_FUA
        | bindings::BLK_FEAT_ROTATIONAL
        | bindings::BLK_FEAT_ATOMIC_WRITES;

    /// Writes the limits to `limits`. The other fields, set by the block layer or a user, stay.
    pub(super) fn apply(&self, limits: &mut bindings::queue_limits) {
        let disk = &self.disk;
        limits.features &= !Self::FEATURES;
        if self.write_cache {
            limits.features |= bindings::BLK_FEAT_WRITE_CACHE | bindings::BLK_FEAT_FUA;
        }
        if self.rotational {
            limits.features |= bindings::BLK_FEAT_ROTATIONAL;
        }
        if disk.atomic.max != 0 {
            limits.features |= bindings::BLK_FEAT_ATOMIC_WRITES;
        }
        limits.logical_block_size = disk.logical_block;
        limits.physical_block_size = disk.physical_block;
        limits.io_min = disk.io_min;
        limits.io_opt = disk.io_opt;
        limits.chunk_sectors = disk.chunk_sectors;
        limits.max_hw_discard_sectors = disk.discard.sectors;
        limits.discard_granularity = disk.discard.granularity;
        limits.max_discard_segments = disk.discard.ranges;
        limits.max_write_zeroes_sectors = disk.zeroes_sectors;
        limits.max_hw_wzeroes_unmap_sectors = if disk.deallocating_zeroes {
            disk.zeroes_sectors
        } else {
            0
        };
        limits.atomic_write_hw_max = disk.atomic.max;
        limits.atomic_write_hw_boundary = disk.atomic.boundary;
        limits.atomic_write_hw_unit_min = disk.atomic.max.min(disk.logical_block);
        limits.atomic_write_hw_unit_max = disk.atomic.unit();
        limits.max_hw_sectors = self.max_transfer >> SECTOR_SHIFT;
        limits.max_segments = self.max_segments;
        limits.max_segment_size = u32::MAX;
        limits.virt_boundary_mask = self.boundary.wrapping_sub(1);
        // NVMe takes any dword-aligned buffer (PRP1: NVMe Base 2.0, 4.1.1).
        limits.dma_alignment = 3;
    }

    /// Bounds the read-ahead of `disk` that the block layer has derived from the optimal size of
    /// I/O: at most what one command carries. A read-ahead that a user has set stays.
    ///
    /// # Safety
    ///
    /// `disk` was added and is live; its limits are these, and the caller does not hold their lock.
    pub(super) unsafe fn bound_read_ahead(&self, disk: *mut bindings::gendisk) {
        let derived = u32_as_usize(self.disk.io_opt).wrapping_mul(2) / bindings::PAGE_SIZE;
        let most = u32_as_usize(self.max_transfer) / bindings::PAGE_SIZE;
        if derived <= most {
            return;
        }
        // SAFETY: the caller promises that the disk is live; so are its queue, with an initialised
        // lock that this thread does not hold, and its `bdi`. The lock guards the field against
        // other writers; readers take no lock.
        unsafe {
            let lock = core::ptr::addr_of_mut!((*(*disk).queue).limits_lock);
            let bdi = (*disk).bdi;
            let pages = AtomicUsize::from_ptr(core::ptr::addr_of_mut!((*bdi).ra_pages).cast());
            bindings::mutex_lock(lock);
            if pages.load(Ordering::Relaxed) == derived {
                pages.store(most.max(DEFAULT_READ_AHEAD), Ordering::Relaxed);
            }
            bindings::mutex_unlock(lock);
        }
    }
}

/// Pages of read-ahead of any disk: `VM_READAHEAD_PAGES`, 128 KiB.
const DEFAULT_READ_AHEAD: usize = (128 << 10) / bindings::PAGE_SIZE;
