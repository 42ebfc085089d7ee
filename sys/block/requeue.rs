// SPDX-License-Identifier: GPL-2.0

//! Requests that wait before they are queued again, and the end of the wait when a disk is removed.
//!
//! `del_gendisk` waits for all requests of the disk, and so for those that wait to be queued again.
//! Therefore no request begins to wait after [`RequeueTimer::close`], and the requests that wait
//! are queued at once.

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
        fence,
        AtomicPtr,
        Ordering, //
    }, //
};
use kernel::sync::rcu;

/// The request queue whose requests may wait; null if none may.
pub(crate) struct RequeueTimer(AtomicPtr<bindings::request_queue>);

impl RequeueTimer {
    /// No request may wait.
    pub(crate) const fn new() -> Self {
        Self(AtomicPtr::new(null_mut()))
    }

    /// Requests of `q` may wait.
    ///
    /// # Safety
    ///
    /// [`Self::close`] is called for `q` before `q` is shut down.
    pub(in crate::sys) unsafe fn open(&self, q: *mut bindings::request_queue) {
        // Relaxed: only the value is compared, nothing is reached through it.
        self.0.store(q, Ordering::Relaxed);
    }

    /// From now on no request may begin to wait, and the requests of `q` that wait are queued at
    /// once.
    ///
    /// # Safety
    ///
    /// `q` has not been shut down.
    pub(in crate::sys) unsafe fn close(&self, q: *mut bindings::request_queue) {
        self.0.store(null_mut(), Ordering::Relaxed);
        // Every reader that still saw `q` has set the timer when this returns.
        rcu::synchronize_rcu();
        // SAFETY: the caller promises that the queue has not been shut down.
        unsafe { bindings::blk_mq_kick_requeue_list(q) }
    }
}

impl<T: Types> Started<T> {
    /// Whether the request may wait before it is queued again, at this moment.
    pub(crate) fn may_wait(&self, timer: impl FnOnce(&T::QueueData) -> &RequeueTimer) -> bool {
        // SAFETY: by the type invariant the request is live.
        let q = unsafe { (*self.as_ptr()).q };
        timer(self.queue_data()).0.load(Ordering::Relaxed) == q
    }

    /// Gives the request back to be queued again.
    pub(crate) fn requeue(mut self) {
        self.set_timeout(Timeout::OF_QUEUE);
        // SAFETY: by the type invariant the request is ours; ownership ends here.
        unsafe { bindings::blk_mq_requeue_request(self.as_ptr(), true) }
    }

    /// Gives the request back to be queued again when the requests of the queue that wait are
    /// ([`TagSet::kick_requeued`]).
    ///
    /// [`TagSet::kick_requeued`]: super::tag_set::TagSet::kick_requeued
    pub(crate) fn park(mut self) {
        self.set_timeout(Timeout::OF_QUEUE);
        // SAFETY: by the type invariant the request is ours; ownership ends here.
        unsafe { bindings::blk_mq_requeue_request(self.as_ptr(), false) }
    }

    /// As [`Self::park`] while `is_held`, else as [`Self::requeue`]. The caller kicks after it made
    /// `is_held` false by a sequentially consistent store; if the request comes too late for that
    /// kick, this sees the store and kicks again.
    pub(crate) fn park_while(
        mut self,
        is_held: impl Fn() -> bool,
        requeue_timer: impl FnOnce(&T::QueueData) -> &RequeueTimer,
    ) {
        // SAFETY: by the type invariant the request is live.
        let q = unsafe { (*self.as_ptr()).q };
        let _guard = rcu::read_lock();
        if !is_held() || requeue_timer(self.queue_data()).0.load(Ordering::Relaxed) != q {
            self.requeue();
            return;
        }
        self.set_timeout(Timeout::OF_QUEUE);
        // SAFETY: as in `requeue_after`.
        unsafe { bindings::blk_mq_requeue_request(self.as_ptr(), false) };
        // Pairs with the caller's store: the request is on the list before the look at `is_held`.
        fence(Ordering::SeqCst);
        if !is_held() {
            // SAFETY: as in `requeue_after`.
            unsafe { bindings::blk_mq_kick_requeue_list(q) }
        }
    }

    /// Gives the request back to be queued again after `ms` milliseconds, or at once if it may not
    /// wait. All waiting requests of a queue have one timer, which this call sets anew.
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
        // have no other request, but it is not shut down before the RCU read lock is released:
        // `close` waits for that. (The request was live when `q` was found open, so `close` had not
        // returned.)
        unsafe {
            bindings::blk_mq_requeue_request(self.as_ptr(), false);
            bindings::blk_mq_delay_kick_requeue_list(q, u32_as_usize(ms));
        }
    }
}
