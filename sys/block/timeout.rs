// SPDX-License-Identifier: GPL-2.0

//! Requests that take too long: how long that is, and what the time-out handler sees of one.

use super::request::{
    Request,
    Types, //
};
use crate::{
    num::u32_as_usize,
    sys::ffi as bindings, //
};
use core::{
    cell::UnsafeCell,
    marker::PhantomData, //
};
use kernel::prelude::*;

/// How long a request may be with the hardware before it is late, in jiffies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timeout(u32);

impl Timeout {
    /// As long as the request's queue says.
    pub(in crate::sys) const OF_QUEUE: Self = Self(0);

    /// The longest that the block layer can tell from the past: months, where jiffies have 64 bits.
    pub(crate) const FOREVER: Self = Self(if usize::BITS > u32::BITS {
        u32::MAX
    } else {
        // CAST: not negative.
        i32::MAX as u32
    });

    /// `ms` milliseconds, rounded up, and not nothing.
    pub(crate) fn from_millis(ms: u32) -> Self {
        // Jiffies are an unsigned long.
        let most = u32_as_usize(Self::FOREVER.0);
        // CAST: at most `FOREVER`.
        Self(kernel::time::msecs_to_jiffies(ms).clamp(1, most) as u32)
    }

    /// The number of jiffies.
    pub(crate) fn jiffies(self) -> u32 {
        self.0
    }
}

impl<T: Types> Request<T> {
    /// Sets how long it may be with the hardware from its next start on; with
    /// [`Timeout::OF_QUEUE`], as long as its queue says.
    #[inline(always)]
    pub(in crate::sys) fn set_timeout(&mut self, timeout: Timeout) {
        // SAFETY: by the type invariant the request is live. A time-out handler that was called
        // before the hardware gave it back may still write to this, too.
        unsafe {
            core::ptr::addr_of_mut!((*self.as_ptr()).timeout).write_volatile(timeout.jiffies())
        }
    }
}

/// A request whose time is up, borrowed for the timeout handler: it may complete meanwhile.
pub(crate) struct TimedOut<'a, T: Types> {
    rq: &'a UnsafeCell<bindings::request>,
    /// When its time was up: each start sets another one.
    deadline: usize,
    _operations: PhantomData<T>,
}

impl<T: Types> TimedOut<'_, T> {
    /// Looks at the request behind `ptr`.
    ///
    /// # Safety
    ///
    /// `ptr` is a request of a queue made with `T`'s types, to which the block layer holds a
    /// reference as long as this value lives.
    pub(in crate::sys) unsafe fn from_raw(ptr: *mut bindings::request) -> Self {
        Self {
            // SAFETY: live, by the caller's promise; `UnsafeCell` is transparent.
            rq: unsafe { &*ptr.cast() },
            // SAFETY: as above.
            deadline: unsafe { core::ptr::addr_of!((*ptr).deadline).read_volatile() },
            _operations: PhantomData,
        }
    }

    /// Whether the hardware still has it: the same try, not one that came after it.
    pub(crate) fn is_in_flight(&self) -> bool {
        let rq = self.rq.get();
        // SAFETY: the block layer holds a reference to the request during the callback.
        let (state, deadline) = unsafe {
            (
                core::ptr::addr_of!((*rq).state).read_volatile(),
                core::ptr::addr_of!((*rq).deadline).read_volatile(),
            )
        };
        state == bindings::mq_rq_state_MQ_RQ_IN_FLIGHT && deadline == self.deadline
    }

    /// The tag of the request.
    pub(crate) fn tag(&self) -> i32 {
        // SAFETY: as above.
        unsafe { core::ptr::addr_of!((*self.rq.get()).tag).read_volatile() }
    }

    /// How long it was allowed to take, at this try.
    pub(crate) fn timeout(&self) -> Timeout {
        // SAFETY: as above.
        Timeout(unsafe { core::ptr::addr_of!((*self.rq.get()).timeout).read_volatile() })
    }

    /// Sets how long it gets from now on, if the handler says [`TimeoutVerdict::Again`]. Of a request
    /// that is not in flight any more it does not matter much: that may be the next try's.
    ///
    /// [`TimeoutVerdict::Again`]: super::tag_set::TimeoutVerdict::Again
    pub(crate) fn set_timeout(&self, timeout: Timeout) {
        // SAFETY: as above. The block layer reads it when it sets the timer: after the handler, and
        // when the request is started again; it is a number in either case.
        unsafe {
            core::ptr::addr_of_mut!((*self.rq.get()).timeout).write_volatile(timeout.jiffies())
        }
    }
}

#[kunit_tests(rnvme_timeout)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_never_the_queues_own() {
        assert!(Timeout::from_millis(0) != Timeout::OF_QUEUE);
        assert!(Timeout::from_millis(0) == Timeout::from_millis(1));
        assert!(Timeout::from_millis(30_000).0 > Timeout::from_millis(29_000).0);
        assert!(Timeout::from_millis(u32::MAX) == Timeout::FOREVER);
    }
}
