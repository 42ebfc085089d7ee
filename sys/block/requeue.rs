// SPDX-License-Identifier: GPL-2.0

//! Requests that wait before they are queued again, and the end of the wait when a disk is removed.
//!
//! The requests of a disk that wait are in the block layer's list, which is queued again as a whole.
//! The timer of a disk runs out when the first of them is due; a request that comes later never
//! makes it later. A request that is queued before its time keeps its time ([`Due`]).
//!
//! `del_gendisk` waits for all requests of the disk, and so for those that wait to be queued again.
//! Therefore no request begins to wait after [`RequeueTimer::close`], and the requests that wait
//! are queued at once. [`TagSet::hurry`] does the same for all disks.
//!
//! [`TagSet::hurry`]: super::tag_set::TagSet::hurry

use super::{
    operations::Operations,
    request::{
        Started,
        Types, //
    },
    tag_set::TagSet,
    timeout::Timeout, //
};
use crate::{
    num::u32_as_usize,
    sys::ffi as bindings, //
};
use core::{
    mem::offset_of,
    ptr::null_mut,
    sync::atomic::{
        fence,
        AtomicPtr,
        Ordering, //
    }, //
};
use kernel::{
    prelude::*,
    static_lock_class,
    sync::rcu,
    time::msecs_to_jiffies,
    types::Opaque, //
};

/// When a request is queued again: 0, or the low bits of that jiffy, one of the next 24 days (HZ 1000).
#[derive(Clone, Copy, Zeroable)]
#[repr(transparent)]
pub(crate) struct Due(u32);

impl Due {
    /// The time has come.
    pub(crate) const NOW: Self = Self(0);

    /// In `ms` milliseconds, rounded up; a day at most.
    pub(crate) fn after(ms: u32) -> Self {
        const DAY_MS: u32 = 86_400_000;
        if ms == 0 {
            return Self::NOW;
        }
        // CAST: a day has fewer jiffies; of the time the low bits are wanted.
        let (delay, now) = (msecs_to_jiffies(ms.min(DAY_MS)) as u32, jiffies() as u32);
        Self(now.wrapping_add(delay).max(1))
    }

    /// The jiffies until then; 0: the time has come.
    fn left(self) -> u32 {
        // CAST: the low bits are wanted.
        self.left_at(jiffies() as u32)
    }

    /// The jiffies from `now` until then.
    fn left_at(self, now: u32) -> u32 {
        let left = self.0.wrapping_sub(now);
        match self.0 == 0 || left > u32::MAX / 2 {
            true => 0,
            false => left,
        }
    }

    /// Whether the time has come.
    pub(crate) fn is_over(self) -> bool {
        self.left() == 0
    }
}

/// The time in jiffies.
fn jiffies() -> usize {
    // SAFETY: the variable lives for ever. The kernel writes it while others read it, a word at a
    // time.
    unsafe { core::ptr::addr_of!(bindings::jiffies).read_volatile() }
}

/// The timer of the requests of a disk that wait.
///
/// # Invariants
///
/// `timer` is initialised with [`Self::expired`] and never moves. `q` is null, or a queue that is not
/// shut down before [`Self::close`] returns. The timer runs only between [`Self::open`] and the end
/// of [`Self::close`].
#[pin_data(PinnedDrop)]
pub(crate) struct RequeueTimer {
    /// The request queue whose requests may wait; null if none may.
    q: AtomicPtr<bindings::request_queue>,
    #[pin]
    timer: Opaque<bindings::timer_list>,
}

// SAFETY: a timer may be set and deleted by any thread.
unsafe impl Send for RequeueTimer {}
// SAFETY: C synchronises access to the timer.
unsafe impl Sync for RequeueTimer {}

impl RequeueTimer {
    /// No request may wait.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            // INVARIANT: null; the timer is initialised with `expired`, pinned, and does not run.
            q: AtomicPtr::new(null_mut()),
            timer <- Opaque::ffi_init(|timer| {
                // SAFETY: the slot is valid and ours; name and key are valid for ever.
                unsafe {
                    bindings::timer_init_key(
                        timer,
                        Some(Self::expired),
                        0,
                        c"rnvme requeue".as_char_ptr(),
                        static_lock_class!().as_ptr(),
                    )
                }
            }),
        })
    }

    /// Requests of `q` may wait.
    ///
    /// # Safety
    ///
    /// [`Self::close`] is called for `q` before `q` is shut down.
    pub(in crate::sys) unsafe fn open(&self, q: *mut bindings::request_queue) {
        // INVARIANT: the caller promises to call `close`.
        // Relaxed: only the value is compared, nothing is reached through it.
        self.q.store(q, Ordering::Relaxed);
    }

    /// From now on no request may begin to wait, and the requests of `q` that wait are queued at
    /// once.
    ///
    /// # Safety
    ///
    /// `q` has not been shut down.
    pub(in crate::sys) unsafe fn close(&self, q: *mut bindings::request_queue) {
        // INVARIANT: null is allowed.
        self.q.store(null_mut(), Ordering::Relaxed);
        // Every reader that still saw `q` has set the timer when this returns.
        rcu::synchronize_rcu();
        // SAFETY: by the type invariant the timer is initialised. Its function takes no lock.
        unsafe { bindings::timer_delete_sync(self.timer.get()) };
        // SAFETY: the caller promises that the queue has not been shut down.
        unsafe { bindings::blk_mq_kick_requeue_list(q) }
    }

    /// The time of the first request that waits has come: all that wait are queued again.
    ///
    /// # Safety
    ///
    /// For the timer of a `Self` only.
    unsafe extern "C" fn expired(timer: *mut bindings::timer_list) {
        // SAFETY: the timer is in a `RequeueTimer`, whose drop waits for the end of this call.
        // (`Opaque` is transparent.)
        let this = unsafe { &*timer.byte_sub(offset_of!(Self, timer)).cast::<Self>() };
        let q = this.q.load(Ordering::Relaxed);
        if !q.is_null() {
            // SAFETY: by the type invariant `q` is not shut down before `close` returns, and `close`
            // waits for the end of this call.
            unsafe { bindings::blk_mq_kick_requeue_list(q) }
        }
    }
}

#[pinned_drop]
impl PinnedDrop for RequeueTimer {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: by the type invariant the timer is initialised. Its function takes no lock.
        unsafe { bindings::timer_shutdown_sync(self.timer.get()) };
    }
}

impl<T: Operations> Started<T> {
    /// The timer of the request's disk, if the request may wait at this moment.
    fn open_timer(
        &self,
        timer: impl FnOnce(&T::QueueData) -> &RequeueTimer,
    ) -> Option<&RequeueTimer> {
        // SAFETY: by the type invariant the request is live.
        let q = unsafe { (*self.as_ptr()).q };
        let timer = timer(self.queue_data());
        // SAFETY: the queue is live as long as the request, and of a set with `T`'s types.
        let is_hurried = unsafe { TagSet::<T>::is_hurried(q) };
        (timer.q.load(Ordering::Relaxed) == q && !is_hurried).then_some(timer)
    }

    /// Whether the request may wait before it is queued again, at this moment.
    pub(crate) fn may_wait(&self, timer: impl FnOnce(&T::QueueData) -> &RequeueTimer) -> bool {
        self.open_timer(timer).is_some()
    }

    /// Gives the request back to be queued again after `ms` milliseconds, or at once if it may not
    /// wait. It is queued sooner if another request of its disk is.
    pub(crate) fn requeue_after(
        self,
        ms: u32,
        requeue_timer: impl FnOnce(&T::QueueData) -> &RequeueTimer,
    ) {
        self.requeue_at(Due::after(ms), requeue_timer)
    }

    /// As [`Self::requeue_after`], at `due`.
    pub(crate) fn requeue_at(
        mut self,
        due: Due,
        requeue_timer: impl FnOnce(&T::QueueData) -> &RequeueTimer,
    ) {
        let _guard = rcu::read_lock();
        let timer = self.open_timer(requeue_timer).map(|it| it.timer.get());
        let left = due.left();
        let Some(timer) = timer.filter(|_| left > 0) else {
            self.requeue();
            return;
        };
        self.set_timeout(Timeout::OF_QUEUE);
        // SAFETY: by the type invariant the request is ours; ownership ends here. The queue may
        // have no other request, but its data, which has the timer, is not dropped before the RCU
        // read lock is released: `close` waits for that. (The request was live when the timer was
        // found open, so `close` had not returned.) The request is on the list first: a timer that
        // is left as it is runs out later, and the list is taken after that.
        unsafe {
            bindings::blk_mq_requeue_request(self.as_ptr(), false);
            bindings::timer_reduce(timer, jiffies().wrapping_add(u32_as_usize(left)));
        }
    }
}

impl<T: Types> Started<T> {
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
        if !is_held() || requeue_timer(self.queue_data()).q.load(Ordering::Relaxed) != q {
            self.requeue();
            return;
        }
        self.set_timeout(Timeout::OF_QUEUE);
        // SAFETY: by the type invariant the request is ours; ownership ends here.
        unsafe { bindings::blk_mq_requeue_request(self.as_ptr(), false) };
        // Pairs with the caller's store: the request is on the list before the look at `is_held`.
        fence(Ordering::SeqCst);
        if !is_held() {
            // SAFETY: the queue may have no other request, but it is not shut down before the RCU read
            // lock is released: `close` waits for that. (The request was live when `q` was found
            // open, so `close` had not returned.)
            unsafe { bindings::blk_mq_kick_requeue_list(q) }
        }
    }
}

#[kunit_tests(rnvme_requeue)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_is_left() {
        for (due, now, left) in [
            (5, 3, 2),
            (5, 5, 0),
            (5, 6, 0),
            // The low bits come round.
            (2, u32::MAX, 3),
            (u32::MAX, 2, 0),
            // No time.
            (0, u32::MAX, 0),
            (0, 1, 0),
        ] {
            assert_eq!(Due(due).left_at(now), left);
        }
        assert!(Due::NOW.is_over() && Due::after(0).is_over());
        assert!(!Due::after(60_000).is_over() && !Due::after(u32::MAX).is_over());
    }
}
