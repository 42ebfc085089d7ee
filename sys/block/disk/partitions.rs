// SPDX-License-Identifier: GPL-2.0

//! The partitions of a disk, when the table on it is another one.

use super::{
    Disk,
    DiskData, //
};
use crate::sys::{
    block::operations::Operations,
    ffi as bindings, //
};
use core::sync::atomic::{
    AtomicUsize,
    Ordering, //
};
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    prelude::*, //
};

impl<T: Operations> Disk<T>
where
    T::QueueData: DiskData,
{
    /// Removes all partitions and what the page cache has of the disk. The disk has no capacity
    /// then, until the next [`Self::update`]. Waits for I/O.
    ///
    /// # Errors
    ///
    /// `EBUSY` if a partition is open: nothing has changed then.
    pub(crate) fn remove_partitions(&self) -> Result {
        let disk = self.disk.as_ptr();
        // SAFETY: by the type invariant the disk was added, so it is live.
        let lock = unsafe { core::ptr::addr_of_mut!((*disk).open_mutex) };
        // SAFETY: the lock was initialised with the disk. `bdev_disk_changed` wants it held.
        // `open_partitions` is protected by it.
        unsafe {
            bindings::mutex_lock(lock);
            let result = match (*disk).open_partitions {
                0 => to_result(bindings::bdev_disk_changed(disk, true)),
                _ => Err(EBUSY),
            };
            bindings::mutex_unlock(lock);
            result
        }
    }

    /// Reads the partition table again. The partitions stay as they are if one of them is open.
    /// Waits for I/O.
    pub(crate) fn read_partitions(&self) {
        let disk = self.disk.as_ptr();
        // SAFETY: by the type invariant the disk was added, so it is live. The kernel changes the
        // bits of the field atomically, too.
        let state = unsafe { AtomicUsize::from_ptr(core::ptr::addr_of_mut!((*disk).state).cast()) };
        // Opening the disk reads the table then.
        state.fetch_or(1 << bindings::GD_NEED_PART_SCAN, Ordering::Relaxed);
        // SAFETY: the disk was added, so `part0` has its number.
        let file = from_err_ptr(unsafe {
            bindings::bdev_file_open_by_dev(
                (*(*disk).part0).bd_dev,
                bindings::BLK_OPEN_READ,
                core::ptr::null_mut(),
                core::ptr::null(),
            )
        });
        if let Ok(file) = file {
            // SAFETY: the file was just opened, and this is its only reference.
            unsafe { bindings::fput(file) };
        }
        // An open partition keeps the old ones. A later opener must not drop them unasked.
        state.fetch_and(!(1 << bindings::GD_NEED_PART_SCAN), Ordering::Relaxed);
    }
}
