// SPDX-License-Identifier: GPL-2.0

//! A disk: `struct gendisk` with its request queue and limits.

// How the module waits for the ends of its disks.
mod freed;
// Limits in the units of the block layer.
mod limits;
// Partitions, when the table is another one.
mod partitions;

pub(crate) use self::{
    freed::AddedDisks,
    limits::Limits, //
};

use super::{freeze::Frozen, operations::Operations, requeue::RequeueTimer, tag_set::TagSet};
use crate::{
    num::SECTOR_SHIFT,
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

/// A disk: made and added by [`Disk::add`], removed when dropped.
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

/// The functions that a disk needs of the data of its queue.
pub(crate) trait DiskData {
    /// Copies the SCSI designator of the disk, of type EUI-64, to the beginning of `to`. Returns
    /// its length in bytes, or `None` without one.
    fn designator(&self, to: &mut [u8; 16]) -> Option<usize>;
    /// The timer for requests that wait before they are queued again.
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
        getgeo: Some(Self::getgeo),
        ..pin_init::zeroed()
    };

    /// Makes the disk `name` of `sectors` 512-byte sectors, and adds it; `parent` is its parent in
    /// sysfs.
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
        // SAFETY: this function gives the reference back only when it has failed.
        let requeue_timer = unsafe { &*data }.requeue_timer();
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
            // SAFETY: `disk` is new, so it and its queue are ours alone. The queue is of this set
            // and does not dispatch yet; `drop`, or the error path here, unlists it before it is
            // freed.
            let q = unsafe { (*disk).queue };
            // SAFETY: as above.
            let added = unsafe { set.list(q) }.and_then(|()| {
                // Before the disk is added, which reads the partition table.
                // SAFETY: `drop`, `update`, or the error path here, closes the timer before the
                // queue is shut down.
                unsafe { requeue_timer.open(q) };
                // SAFETY: as above.
                unsafe { Self::set_up(disk, parent, name, data.cast(), limits, sectors) }
            });
            added.inspect_err(|_| {
                // SAFETY: only `put_disk`, below, shuts the queue down.
                unsafe { requeue_timer.close(q) };
                // SAFETY: as above.
                unsafe { set.unlist(q) };
                // SAFETY: this is the reference that the disk was made with. The disk was not
                // added, so there is no other reference, and `free_disk` is not called.
                unsafe { bindings::put_disk(disk) }
            })?;
            NonNull::new(disk).ok_or(ENOMEM)
        });
        match result {
            // INVARIANT: the disk was added with `data`.
            Ok(disk) => Ok(Self { disk, set }),
            Err(e) => {
                // SAFETY: `data` came from `into_raw` and has not been given to an added disk.
                drop(unsafe { Arc::from_raw(data) });
                Err(e)
            }
        }
    }

    /// The data of the disk's queue, and the queue.
    fn data(&self) -> (&T::QueueData, *mut bindings::request_queue) {
        let disk = self.disk.as_ptr();
        // SAFETY: by the type invariant the disk was added, with this type of data. Only `update`
        // changes the data, and it borrows `self` exclusively.
        unsafe {
            let data = Self::private_data(disk).load(Ordering::Relaxed);
            (&*data.cast(), (*disk).queue)
        }
    }

    /// Marks the disk as dead, because its device is gone: new I/O fails at once, and a file system
    /// on it is told. The caller drops the disk next.
    pub(crate) fn mark_dead(&self) {
        // SAFETY: by the type invariant the disk was added.
        unsafe { bindings::blk_mark_disk_dead(self.disk.as_ptr()) }
    }

    /// Freezes the disk: waits until it has no requests, and lets none begin as long as the result
    /// lives. The requests must be able to end: the set must not be quiesced.
    pub(crate) fn freeze(&self) -> Frozen<'_> {
        let (_, q) = self.data();
        // SAFETY: by the type invariant the disk was added, so its queue is live.
        unsafe { Frozen::new(q) }
    }

    /// Changes the data, the limits and the size of the disk (`sectors` of 512 bytes) while no
    /// request is in flight. Waits as [`Self::freeze`] does.
    ///
    /// # Errors
    ///
    /// `EINVAL` for limits that the block layer refuses: the disk stays as it was.
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
        // SAFETY: `drop`, or the next update, closes the timer before the queue is shut down.
        unsafe { now.requeue_timer().open(q) };
        let old = replaced?;
        // `get_unique_id` may still read the old data.
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
        // SAFETY: the queue is live and its limits are locked; C unlocks them. The queue is frozen,
        // so it has no request that was made for the old limits.
        to_result(unsafe { bindings::queue_limits_commit_update(q, &mut raw) })?;
        let data = Arc::into_raw(data).cast_mut();
        // SAFETY: by the type invariant the disk was added with a counted reference to such data.
        // Requests use `queuedata`, and there are none. `get_unique_id` uses `private_data`, which
        // is exchanged atomically.
        let old = unsafe {
            core::ptr::addr_of_mut!((*q).queuedata).write(data.cast());
            Self::private_data(disk).swap(data.cast(), Ordering::AcqRel)
        };
        // SAFETY: as above. What a user has set with `blockdev --setro` is kept apart from the
        // device's own state.
        unsafe {
            bindings::set_capacity_and_notify(disk, sectors);
            bindings::set_disk_ro(disk, limits.read_only);
        }
        drop(frozen);
        // SAFETY: by the type invariant the disk was added; the limits are committed and unlocked.
        unsafe { limits.bound_read_ahead(disk) };
        // SAFETY: by the type invariant `old` was a counted reference, which the disk does not have
        // any more.
        Ok(unsafe { Arc::from_raw(old.cast()) })
    }

    /// The place where the disk keeps the pointer to its data.
    ///
    /// # Safety
    ///
    /// `disk` is live as long as the result is used, and set up.
    unsafe fn private_data<'a>(disk: *mut bindings::gendisk) -> &'a AtomicPtr<c_void> {
        // SAFETY: the caller promises that the disk is live and set up; no other code writes to the
        // field.
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
        limits: &Limits,
        sectors: u64,
    ) -> Result {
        // SAFETY: the caller owns the disk.
        let raw = unsafe { &mut *disk };
        raw.fops = Self::FOPS;
        raw.private_data = data;
        let mut writer = NullTerminatedFormatter::new(&mut raw.disk_name).ok_or(EINVAL)?;
        fmt::Write::write_fmt(&mut writer, name).map_err(|_| EINVAL)?;
        freed::added();
        // SAFETY: the disk is set up; `parent` is a valid device that the disk takes a reference
        // to.
        unsafe {
            bindings::set_disk_ro(disk, limits.read_only);
            bindings::set_capacity(disk, sectors);
            to_result(bindings::device_add_disk(
                crate::sys::pci::raw_device(parent),
                disk,
                core::ptr::null_mut(),
            ))
            .inspect_err(|_| freed::freed())?;
            limits.bound_read_ahead(disk);
        }
        Ok(())
    }

    /// # Safety
    ///
    /// For `struct block_device_operations` only.
    unsafe extern "C" fn free_disk(disk: *mut bindings::gendisk) {
        // SAFETY: the block layer calls this once, when the last reference to an added disk is
        // gone. The disk's reference to the data ends here.
        drop(unsafe { Arc::from_raw((*disk).private_data.cast::<T::QueueData>()) });
        freed::freed();
    }

    /// `HDIO_GETGEO`: a geometry for old boot loaders and partitioning tools, that of Linux's
    /// driver. The block layer adds the first sector of a partition.
    ///
    /// # Safety
    ///
    /// For `struct block_device_operations` only.
    unsafe extern "C" fn getgeo(
        disk: *mut bindings::gendisk,
        geometry: *mut bindings::hd_geometry,
    ) -> c_int {
        const HEADS: u8 = 1 << 6;
        const SECTORS: u8 = 1 << 5;
        // SAFETY: the block layer calls this for a live disk.
        let capacity = unsafe { (*(*disk).part0).bd_nr_sectors };
        // SAFETY: the block layer passes a `struct hd_geometry` of its own.
        let geometry = unsafe { &mut *geometry.cast::<bindings::HdGeometry>() };
        geometry.heads = HEADS;
        geometry.sectors = SECTORS;
        // CAST: the field has 16 bits: a tool that needs more asks for the size instead.
        geometry.cylinders = (capacity >> 11) as u16;
        0
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
        // exchanges the data, but waits for the release of this RCU read lock before it drops the
        // old data.
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
        // SAFETY: `id` has room for 16 bytes, and `len` is at most 16.
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
        // SAFETY: only `del_gendisk`, below, shuts the queue down.
        unsafe { data.requeue_timer().close(q) };
        // SAFETY: by the type invariant the disk was added. `del_gendisk` waits for its requests.
        // An opener may hold the disk, and with it the module, for longer.
        unsafe { bindings::del_gendisk(self.disk.as_ptr()) };
        // SAFETY: the disk still has a reference to its queue, which `add` has listed.
        unsafe { self.set.unlist(q) };
        // SAFETY: this is the reference that the disk was made with.
        unsafe { bindings::put_disk(self.disk.as_ptr()) }
    }
}
