// SPDX-License-Identifier: GPL-2.0

//! The fallback of a queue that the controller does not have any more: another queue takes its
//! commands, until the block layer maps the CPUs to the remaining queues.
//!
//! A request keeps the tag of its own queue, and arms the slot of the same number in the fallback.
//! So there are never more commands than slots, and the ring cannot overflow. If the slot is in
//! use, the later request is queued again. The request's own queue maps and unmaps the data.

use super::{
    Gate,
    Queue, //
};
use crate::{
    data::Queued,
    nvme::Sqe,
    sys::block::{
        Dispatch,
        Operations,
        Started,
        Types, //
    },
};
use kernel::sync::Arc;

/// Where a request goes that its queue does not take.
pub(crate) enum Route<'a, T: Types> {
    /// Back to the block layer, to be queued again.
    Retry,
    /// Through this queue.
    Via(&'a Queue<T>),
    /// Nowhere: the request fails.
    None,
}

impl<T: Queued> Queue<T> {
    /// Sets the queue, of as many entries, that takes the commands of this one when the controller
    /// does not have it. Works once.
    pub(crate) fn set_fallback(&self, fallback: &Arc<Self>) {
        self.fallback.populate(fallback.clone());
    }

    /// Where a request of [`Operations::turned_away`] goes.
    pub(crate) fn route(&self) -> Route<'_, T> {
        if self.gate() != Gate::Closed {
            return Route::Retry;
        }
        let Some(fallback) = self.fallback.as_ref() else {
            return Route::None;
        };
        match fallback.gate() {
            Gate::Open => Route::Via(fallback),
            Gate::Held => Route::Retry,
            Gate::Closed => Route::None,
        }
    }

    /// Submits the command of `rq`, a request of another queue, which has mapped its data.
    ///
    /// # Errors
    ///
    /// Returns the request if its slot is in use, or if the gate is not open any more.
    pub(crate) fn carry(&self, rq: Started<T>, command: Sqe) -> Result<(), Started<T>> {
        let Some(mut submission) = self.submission.lock_open() else {
            return Err(rq);
        };
        let cid = submission.in_flight.lend(rq)?;
        self.write(&mut submission, command.with_cid(cid), true);
        Ok(())
    }
}

impl<T: Queued + Operations<Queue = Self>> Queue<T> {
    /// Keeps a request that [`Queue::submit`] did not take, or turns it away.
    #[cold]
    #[inline(never)]
    pub(super) fn turn_away(&self, dispatch: Dispatch<'_>, rq: Started<T>) {
        // The request may have been the last of a series.
        self.commit();
        let rq = self.take_back(rq);
        if let Some(rq) = self.park(rq) {
            T::turned_away(self, dispatch, rq);
        }
    }
}
