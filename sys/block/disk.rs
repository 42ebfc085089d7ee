// SPDX-License-Identifier: GPL-2.0

//! A disk: `struct gendisk` with its request queue and limits.

use super::{
    freeze::Frozen,
    requeue::RequeueTimer,
    tag_set::{
        Operations,
        TagSet, //
    },
};
use crate::{
    num::SECTOR_SHIFT,
    policy::DiskLimits,
    sys::ffi as bindings, //
};
use core::{
    ptr::NonNull,
    sync::atomic::{
        AtomicPtr,
        Ordering, //
    }, //
};
use kernel::{
    device::Device,
    error::{
        from_err_ptr,
        to_result, //
    },
    fmt,
    module::this_module,
    prelude::*,
    static_lock_class,
    str::NullTerminatedFormatter,
    sync::{
        rcu,
        Arc, //
    }, //
};

const _: () = assert!(SECTOR_SHIFT == bindings::SECTOR_SHIFT);

/// What a disk can do, in the units of the block layer. Validated by the caller: the block layer
/// refuses what is inconsistent, with a warning.
pub(crate) struct Limits {
    /// What the namespace says.
    pub(crate) disk: DiskLimits,
    /// Bytes of the largest transfer.
    pub(crate) max_transfer: u32,
    /// The most pieces that one transfer may be in.
    pub(crate) max_segments: u16,
    /// Pieces meet at multiples of this many bytes of memory: a power of two.
    pub(crate) boundary: usize,
    /// Whether there is a volatile write cache to be flushed, and writes can bypass it.
    pub(crate) write_cache: bool,
}

impl Limits {
    /// The features that [`Self::apply`] decides on.
    const FEATURES: bindings::blk_features_t =
        bindings::BLK_FEAT_WRITE_CACHE | bindings::BLK_FEAT_FUA | bindings::BLK_FEAT_ATOMIC_WRITES;

    /// Writes them to `limits`. What the block layer or a user has set there stays.
    fn apply(&self, limits: &mut bindings::queue_limits) {
        let disk = &self.disk;
        limits.features &= !Self::FEATURES;
        if self.write_cache {
            limits.features |= bindings::BLK_FEAT_WRITE_CACHE | bindings::BLK_FEAT_FUA;
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
}

/// A disk that is there: made and added by [`Disk::add`], removed when dropped.
///
/// # Invariants
///
/// `disk` was added; its `private_data` and its queue's `queuedata` are one counted reference to
/// a `T::QueueData`, which `free_disk` gives back.
pub(crate) struct Disk<T: Operations>
where
    T::QueueData: DiskData,
{
    disk: NonNull<bindings::gendisk>,
    set: Arc<TagSet<T>>,
}

// SAFETY: a disk may be used and removed by any thread; its data is `Send` and `Sync`.
unsafe impl<T: Operations> Send for Disk<T> where T::QueueData: DiskData {}
// SAFETY: as above.
unsafe impl<T: Operations> Sync for Disk<T> where T::QueueData: DiskData {}

/// What a disk asks of the data of its queue.
pub(crate) trait DiskData {
    /// Copies the identifier of the disk as a SCSI disk would have it, of type EUI-64, to the
    /// beginning of `to`; returns its length, if it has one.
    fn designator(&self, to: &mut [u8; 16]) -> Option<usize>;
    /// Which requests may wait before they are tried again.
    fn requeue_timer(&self) -> &RequeueTimer;
}

impl<T: Operations> Disk<T>
where
    T::QueueData: DiskData,
{
    const FOPS: &'static bindings::block_device_operations = &bindings::block_device_operations {
        owner: this_module::<crate::LocalModule>().as_ptr(),
        free_disk: Some(Self::free_disk),
        get_unique_id: Some(Self::get_unique_id),
        ..pin_init::zeroed()
    };

    /// Makes the disk `name` of `sectors` 512-byte sectors and announces it; `parent` is its
    /// parent in sysfs.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `EINVAL` for limits that the block layer refuses, `EEXIST` for a name in use.
    pub(crate) fn add(
        set: Arc<TagSet<T>>,
        parent: &Device,
        name: fmt::Arguments<'_>,
        data: Arc<T::QueueData>,
        limits: &Limits,
        sectors: u64,
    ) -> Result<Self> {
        let mut raw = bindings::queue_limits::default();
        limits.apply(&mut raw);
        let data = Arc::into_raw(data).cast_mut();
        let steady = set.keep_steady();
        // SAFETY: the set is allocated; the queue keeps `data`, which lives until `free_disk`.
        let made = from_err_ptr(unsafe {
            bindings::__blk_mq_alloc_disk(
                set.as_ptr(),
                &mut raw,
                data.cast(),
                static_lock_class!().as_ptr(),
            )
        });
        drop(steady);
        let result = made.and_then(|disk| {
            // SAFETY: `disk` is new, so it is ours alone, and so is its queue, of this set; `drop`, or
            // what follows here, takes that out before it goes.
            let q = unsafe { (*disk).queue };
            // SAFETY: as above.
            let added = unsafe { set.list(q) }.and_then(|()| {
                // SAFETY: as above.
                unsafe { Self::set_up(disk, parent, name, data.cast(), sectors) }
            });
            added.inspect_err(|_| {
                set.unlist(q);
                // SAFETY: this is the reference that it was made with. It was not added, so nobody
                // else has one, and `free_disk` is not called.
                unsafe { bindings::put_disk(disk) }
            })?;
            NonNull::new(disk).ok_or(ENOMEM)
        });
        match result {
            // INVARIANT: the disk was added with `data`.
            Ok(disk) => Ok(Self { disk, set }.let_wait()),
            Err(e) => {
                // SAFETY: `data` came from `into_raw` and has not been given to an added disk.
                drop(unsafe { Arc::from_raw(data) });
                Err(e)
            }
        }
    }

    /// Lets requests wait before they are tried again.
    fn let_wait(self) -> Self {
        let (data, q) = self.data();
        // SAFETY: `drop` closes it.
        unsafe { data.requeue_timer().open(q) };
        self
    }

    /// What the disk's queue has for data, and the queue.
    fn data(&self) -> (&T::QueueData, *mut bindings::request_queue) {
        let disk = self.disk.as_ptr();
        // SAFETY: by the type invariant the disk was added, with this type of data. `update` alone
        // changes it, which borrows `self` exclusively.
        unsafe {
            let data = Self::private_data(disk).load(Ordering::Relaxed);
            (&*data.cast(), (*disk).queue)
        }
    }

    /// The device is not there any more: new I/O fails at once, and whoever has mounted the disk
    /// is told. To be followed by the drop.
    pub(crate) fn mark_dead(&self) {
        // SAFETY: by the type invariant the disk was added.
        unsafe { bindings::blk_mark_disk_dead(self.disk.as_ptr()) }
    }

    /// Waits until the disk has no requests, and lets none begin as long as the result lives. The
    /// requests must be able to end: the set must not be quiesced.
    pub(crate) fn freeze(&self) -> Frozen<'_> {
        let (_, q) = self.data();
        // SAFETY: by the type invariant the disk was added, so its queue is live.
        unsafe { Frozen::new(q) }
    }

    /// Changes what the disk is, while nothing is in flight: its data is `data` from then on, its
    /// limits are `limits`, its size is `sectors`. Waits as [`Self::freeze`] does.
    ///
    /// # Errors
    ///
    /// `EINVAL` for limits that the block layer refuses: the disk is what it was.
    pub(crate) fn update(
        &mut self,
        data: Arc<T::QueueData>,
        limits: &Limits,
        sectors: u64,
    ) -> Result {
        let (old, q) = self.data();
        // Requests that wait would hold up the freeze.
        // SAFETY: the queue is shut down by `drop` only.
        unsafe { old.requeue_timer().close(q) };
        let replaced = self.replace(data, limits, sectors);
        let (now, q) = self.data();
        // SAFETY: `drop` closes it, or the next update.
        unsafe { now.requeue_timer().open(q) };
        let old = replaced?;
        // For `get_unique_id`, which may still look at it.
        rcu::synchronize_rcu();
        drop(old);
        Ok(())
    }

    /// The middle of [`Self::update`]: returns the old data.
    fn replace(
        &mut self,
        data: Arc<T::QueueData>,
        limits: &Limits,
        sectors: u64,
    ) -> Result<Arc<T::QueueData>> {
        let disk = self.disk.as_ptr();
        let (_, q) = self.data();
        // SAFETY: by the type invariant the disk was added, so its queue is live. The lock comes
        // before the freeze, as it does everywhere (`queue_limits_start_update`).
        let mut raw = unsafe {
            bindings::mutex_lock(core::ptr::addr_of_mut!((*q).limits_lock));
            core::ptr::addr_of!((*q).limits).read()
        };
        limits.apply(&mut raw);
        let frozen = self.freeze();
        // SAFETY: the queue is live and its limits are locked; this unlocks them. It has no
        // requests that the old limits were made for.
        to_result(unsafe { bindings::queue_limits_commit_update(q, &mut raw) })?;
        let data = Arc::into_raw(data).cast_mut();
        // SAFETY: by the type invariant the disk was added with a counted reference to such data.
        // `queuedata` is for requests, and there are none; `private_data` for `get_unique_id`.
        let old = unsafe {
            core::ptr::addr_of_mut!((*q).queuedata).write(data.cast());
            Self::private_data(disk).swap(data.cast(), Ordering::AcqRel)
        };
        // SAFETY: as above.
        unsafe { bindings::set_capacity_and_notify(disk, sectors) };
        drop(frozen);
        // SAFETY: by the type invariant it was a counted reference; the disk does not have it any
        // more.
        Ok(unsafe { Arc::from_raw(old.cast()) })
    }

    /// Where the disk has its data.
    ///
    /// # Safety
    ///
    /// `disk` is live as long as the result is used, and set up.
    unsafe fn private_data<'a>(disk: *mut bindings::gendisk) -> &'a AtomicPtr<c_void> {
        // SAFETY: so says the caller; nobody else writes to the field.
        unsafe { AtomicPtr::from_ptr(core::ptr::addr_of_mut!((*disk).private_data)) }
    }

    /// # Safety
    ///
    /// `disk` is new and not added; `data` comes from `Arc::into_raw`.
    unsafe fn set_up(
        disk: *mut bindings::gendisk,
        parent: &Device,
        name: fmt::Arguments<'_>,
        data: *mut c_void,
        sectors: u64,
    ) -> Result {
        // SAFETY: the caller owns the disk.
        let raw = unsafe { &mut *disk };
        raw.fops = Self::FOPS;
        raw.private_data = data;
        let mut writer = NullTerminatedFormatter::new(&mut raw.disk_name).ok_or(EINVAL)?;
        fmt::Write::write_fmt(&mut writer, name).map_err(|_| EINVAL)?;
        // SAFETY: the disk is set up; `parent` is a valid device that the disk takes a reference
        // to.
        unsafe {
            bindings::set_capacity(disk, sectors);
            to_result(bindings::device_add_disk(
                crate::sys::pci::raw_device(parent),
                disk,
                core::ptr::null_mut(),
            ))
        }
    }

    /// # Safety
    ///
    /// For `struct block_device_operations` only.
    unsafe extern "C" fn free_disk(disk: *mut bindings::gendisk) {
        // SAFETY: called once, when the last reference to an added disk is gone: its reference
        // to the data goes with it.
        drop(unsafe { Arc::from_raw((*disk).private_data.cast::<T::QueueData>()) })
    }

    /// # Safety
    ///
    /// For `struct block_device_operations` only.
    unsafe extern "C" fn get_unique_id(
        disk: *mut bindings::gendisk,
        id: *mut u8,
        kind: bindings::blk_unique_id,
    ) -> c_int {
        let _guard = rcu::read_lock();
        // SAFETY: the disk was added, so it has a reference to its data until `free_disk`. `update`
        // exchanges it, but waits for the end of this lock before it drops the old one.
        let data: &T::QueueData =
            unsafe { &*Self::private_data(disk).load(Ordering::Acquire).cast() };
        let mut designator = [0; 16];
        let Some(len) = data
            .designator(&mut designator)
            .filter(|_| kind == bindings::blk_unique_id_BLK_UID_EUI64)
        else {
            return EINVAL.to_errno();
        };
        let len = len.min(designator.len());
        // SAFETY: `id` has room for 16 bytes, and this is not more.
        unsafe { core::ptr::copy_nonoverlapping(designator.as_ptr(), id, len) };
        // CAST: at most 16.
        len as c_int
    }
}

impl<T: Operations> Drop for Disk<T>
where
    T::QueueData: DiskData,
{
    fn drop(&mut self) {
        let (data, q) = self.data();
        // SAFETY: `del_gendisk`, just below, is what shuts the queue down.
        unsafe { data.requeue_timer().close(q) };
        // SAFETY: by the type invariant the disk was added. `del_gendisk` waits for its requests;
        // the last opener may hold it for longer, and with it the module.
        unsafe { bindings::del_gendisk(self.disk.as_ptr()) };
        self.set.unlist(q);
        // SAFETY: this is the reference that it was made with.
        unsafe { bindings::put_disk(self.disk.as_ptr()) }
    }
}
