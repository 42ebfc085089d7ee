// SPDX-License-Identifier: GPL-2.0

//! Requests that wait before they are queued again, and how they get out of the way of a disk that
//! goes.
//!
//! `del_gendisk` waits for all requests of the disk, and those that are to be queued again later
//! would make it wait, too. So nothing begins to wait once [`RequeueTimer::close`] was called, and what
//! does wait is queued at once.

use super::{
    request::{
        Started,
        Types, //
    },
    timeout::Timeout, //
};
use crate::{
    num::u32_as_usize,
    sys::ffi as bindings, //
};
use core::{
    ptr::null_mut,
    sync::atomic::{
        AtomicPtr,
        Ordering, //
    }, //
};
use kernel::sync::rcu;

/// Whether requests may wait: those of the one queue that is in it.
pub(crate) struct RequeueTimer(AtomicPtr<bindings::request_queue>);

impl RequeueTimer {
    /// Requests of no queue.
    pub(crate) const fn new() -> Self {
        Self(AtomicPtr::new(null_mut()))
    }

    /// Requests of `q` may wait.
    ///
    /// # Safety
    ///
    /// [`Self::close`] is called for `q` before `q` is shut down.
    pub(in crate::sys) unsafe fn open(&self, q: *mut bindings::request_queue) {
        // The value alone counts: nothing is reached through it.
        self.0.store(q, Ordering::Relaxed);
    }

    /// No request may begin to wait any more, and those of `q` that do need not any longer.
    ///
    /// # Safety
    ///
    /// `q` has not been shut down.
    pub(in crate::sys) unsafe fn close(&self, q: *mut bindings::request_queue) {
        self.0.store(null_mut(), Ordering::Relaxed);
        // Whoever still saw `q` has set the timer when this returns.
        rcu::synchronize_rcu();
        // SAFETY: the caller promises that the queue is still at work.
        unsafe { bindings::blk_mq_kick_requeue_list(q) }
    }
}

impl<T: Types> Started<T> {
    /// Gives the request back to be queued again.
    pub(crate) fn requeue(mut self) {
        self.set_timeout(Timeout::OF_QUEUE);
        // SAFETY: by the type invariant the request is ours; ownership ends here.
        unsafe { bindings::blk_mq_requeue_request(self.as_ptr(), true) }
    }

    /// Gives the request back to be queued again after `ms` milliseconds, or at once if it may not
    /// wait. There is one timer for all requests of a queue that wait: this sets it anew.
    pub(crate) fn requeue_after(
        mut self,
        ms: u32,
        requeue_timer: impl FnOnce(&T::QueueData) -> &RequeueTimer,
    ) {
        // SAFETY: by the type invariant the request is live.
        let q = unsafe { (*self.as_ptr()).q };
        let _guard = rcu::read_lock();
        if ms == 0 || requeue_timer(self.queue_data()).0.load(Ordering::Relaxed) != q {
            self.requeue();
            return;
        }
        self.set_timeout(Timeout::OF_QUEUE);
        // SAFETY: by the type invariant the request is ours; ownership ends here. The queue may
        // have no other request, but it is not shut down before the lock is released: `close` waits
        // for that (the request was live when `q` was seen to be open, so `close` was not over).
        unsafe {
            bindings::blk_mq_requeue_request(self.as_ptr(), false);
            bindings::blk_mq_delay_kick_requeue_list(q, u32_as_usize(ms));
        }
    }
}
