// SPDX-License-Identifier: GPL-2.0

//! The end of the module waits for the ends of its disks: an open file keeps the module, but when the
//! last file of a removed disk is closed, the block layer gives the module back first, and calls
//! `free_disk`, which is code of the module, after that.

use crate::{
    policy::timing,
    sys::ffi as bindings, //
};
use core::sync::atomic::{
    AtomicU32,
    Ordering, //
};
use kernel::time::delay::fsleep;

/// The disks that were added and whose `free_disk` is not over.
static ADDED: AtomicU32 = AtomicU32::new(0);

/// A disk is about to be added.
pub(super) fn added() {
    ADDED.fetch_add(1, Ordering::Relaxed);
}

/// The last thing that `free_disk` does; or the disk was not added.
pub(super) fn freed() {
    ADDED.fetch_sub(1, Ordering::Release);
}

/// The module's disks. The drop waits until none is left, and must be the last of the module's.
pub(crate) struct AddedDisks;

impl Drop for AddedDisks {
    fn drop(&mut self) {
        // TIMEOUT: all disks are removed, and no file of them is open: the tasks that closed the last
        // ones are about to free them.
        while ADDED.load(Ordering::Acquire) > 0 {
            fsleep(timing::POLL_INTERVAL);
        }
        // `free_disk` has counted its disk, and returns.
        // SAFETY: this may sleep, and holds nothing that a task could wait for.
        unsafe { bindings::synchronize_rcu_tasks() }
    }
}
