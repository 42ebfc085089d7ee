// SPDX-License-Identifier: GPL-2.0

//! Timeouts: how long a request may take, and what the timeout handler sees of a request that timed
//! out.

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

/// [`Timeout::FOREVER`] in tests, in jiffies: 3 s at HZ 250.
const SHORT_FOREVER: u32 = 750;

/// How long a request may be in flight before it times out, in jiffies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timeout(u32);

impl Timeout {
    /// The timeout of the request's queue.
    pub(in crate::sys) const OF_QUEUE: Self = Self(0);

    /// The longest timeout that the block layer can tell from a deadline in the past.
    const LONGEST: u32 = if usize::BITS > u32::BITS {
        u32::MAX
    } else {
        // CAST: not negative.
        i32::MAX as u32
    };

    /// No timeout. The block layer knows none: it finds such a request late after 199 days (HZ 250),
    /// and the timeout handler lets it wait for as long again. On a kernel that can fake timeouts
    /// that is a few seconds, so that tests see it.
    pub(crate) const FOREVER: Self = Self(if cfg!(CONFIG_FAIL_IO_TIMEOUT) {
        SHORT_FOREVER
    } else {
        Self::LONGEST
    });

    /// `ms` milliseconds, rounded up, at least one jiffy, and never [`Self::FOREVER`].
    pub(crate) fn from_millis(ms: u32) -> Self {
        // Jiffies are an unsigned long.
        let most = u32_as_usize(Self::LONGEST - 1);
        // CAST: at most `LONGEST`.
        let timeout = Self(kernel::time::msecs_to_jiffies(ms).clamp(1, most) as u32);
        match timeout == Self::FOREVER {
            true => Self(timeout.0 - 1),
            false => timeout,
        }
    }

    /// This timeout, or the next longer one if this one has `jiffies`.
    fn other_than(self, jiffies: u32) -> Self {
        match self.0 == jiffies {
            true => Self(self.0.saturating_add(1)),
            false => self,
        }
    }

    /// The number of jiffies.
    pub(crate) fn jiffies(self) -> u32 {
        self.0
    }
}

impl<T: Types> Request<T> {
    /// Sets the timeout of the request from its next start on. [`Timeout::OF_QUEUE`]: the timeout
    /// of its queue.
    #[inline(always)]
    pub(in crate::sys) fn set_timeout(&mut self, timeout: Timeout) {
        // SAFETY: by the type invariant the request is live. A timeout handler that was called
        // before the hardware gave the request back may write to the field at the same time; any
        // number is valid.
        unsafe {
            core::ptr::addr_of_mut!((*self.as_ptr()).timeout).write_volatile(timeout.jiffies())
        }
    }
}

/// A request that timed out, borrowed for the timeout handler. It may complete at the same time.
pub(crate) struct TimedOut<'a, T: Types> {
    rq: &'a UnsafeCell<bindings::request>,
    /// The deadline that has passed. Each start of the request sets another one.
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
            // SAFETY: the caller promises that the request is live; `UnsafeCell` is transparent.
            rq: unsafe { &*ptr.cast() },
            // SAFETY: as above.
            deadline: unsafe { core::ptr::addr_of!((*ptr).deadline).read_volatile() },
            _operations: PhantomData,
        }
    }

    /// Whether the request is still in flight: the try that timed out, not a later one.
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

    /// The timeout of this try.
    pub(crate) fn timeout(&self) -> Timeout {
        // SAFETY: as above.
        Timeout(unsafe { core::ptr::addr_of!((*self.rq.get()).timeout).read_volatile() })
    }

    /// `ms` milliseconds, as a timeout that differs from that of the request's queue.
    pub(crate) fn not_of_queue(&self, ms: u32) -> Timeout {
        // SAFETY: as above; a live request keeps its queue. A user may write the field at the same
        // time; any number is valid.
        let own = unsafe { core::ptr::addr_of!((*(*self.rq.get()).q).rq_timeout).read_volatile() };
        Timeout::from_millis(ms).other_than(own)
    }

    /// Sets the timeout from now on, if the handler returns [`TimeoutVerdict::Extend`]. If the
    /// request is not in flight any more, this may become the timeout of its next try, which is
    /// harmless.
    ///
    /// [`TimeoutVerdict::Extend`]: super::operations::TimeoutVerdict::Extend
    pub(crate) fn set_timeout(&self, timeout: Timeout) {
        // SAFETY: as above. The block layer reads the field when it sets the timer: after the
        // handler, and when the request is started again. Any number is valid.
        unsafe {
            core::ptr::addr_of_mut!((*self.rq.get()).timeout).write_volatile(timeout.jiffies())
        }
    }
}

#[kunit_tests(rnvme_timeout)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_never_the_queues_own() {
        assert!(Timeout::from_millis(0) != Timeout::OF_QUEUE);
        assert!(Timeout::from_millis(0) == Timeout::from_millis(1));
        assert!(Timeout::from_millis(30_000).0 > Timeout::from_millis(29_000).0);
        assert!(Timeout::from_millis(u32::MAX) != Timeout::OF_QUEUE);
    }

    #[test]
    fn a_timeout_can_be_told_from_the_queues() {
        let grace = Timeout::from_millis(1990);
        assert!(grace.other_than(grace.0) != grace);
        assert!(grace.other_than(grace.0).0 == grace.0 + 1);
        assert!(grace.other_than(grace.0 + 1) == grace);
        assert!(grace.other_than(0) == grace);
    }

    #[test]
    fn a_time_is_never_forever() {
        for ms in [0, 1, 1990, 2996, 2999, 3000, 3001, 86_400_000, u32::MAX] {
            assert!(Timeout::from_millis(ms) != Timeout::FOREVER);
        }
        // Monotonic next to it.
        assert!(Timeout::from_millis(3000).0 < Timeout::from_millis(3004).0);
    }
}
