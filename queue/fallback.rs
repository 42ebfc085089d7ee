// SPDX-License-Identifier: GPL-2.0

//! Where the commands of a queue go that the controller does not have any more: through its fallback,
//! until the block layer uses the queues that there are.
//!
//! A request keeps the tag that it has in its own queue, and is armed in the fallback's slot of the same
//! number. So there never are more commands than slots, and the ring cannot overflow; if the slot
//! is in use, the one who comes later waits a moment. Its data is its own queue's, before and after.

use super::{
    Gate,
    Queue, //
};
use crate::{
    data::Carrier,
    nvme::Sqe,
    sys::block::{
        Operations,
        Started,
        Types, //
    },
};
use kernel::sync::Arc;

/// What becomes of a request that a queue does not take.
pub(crate) enum Route<'a, T: Types> {
    /// It is to be tried again soon.
    Retry,
    /// Another queue may take its command.
    Via(&'a Queue<T>),
    /// There is none.
    None,
}

impl<T: Types> Queue<T>
where
    T::Pdu: Carrier,
{
    /// Says which queue, of as many entries, commands go through when the controller has lost this
    /// one. Once.
    pub(crate) fn set_fallback(&self, fallback: &Arc<Self>) {
        self.fallback.populate(fallback.clone());
    }

    /// The way for a request that [`Operations::turned_away`] has.
    ///
    /// [`Operations::turned_away`]: crate::sys::block::Operations::turned_away
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
    /// Gives the request back if its slot is in use, or the gate is not open any more.
    pub(crate) fn carry(&self, rq: Started<T>, command: Sqe) -> Result<(), Started<T>> {
        let Some(mut submission) = self.submission.lock_open() else {
            return Err(rq);
        };
        let cid = submission.in_flight.lend(rq)?;
        self.write(&mut submission, command.with_cid(cid), true);
        Ok(())
    }
}

impl<T> Queue<T>
where
    T: Operations<Queue = Self>,
    T::Pdu: Carrier,
{
    /// What becomes of a request that [`Queue::submit`] does not take.
    #[cold]
    #[inline(never)]
    pub(super) fn turn_away(&self, rq: Started<T>) {
        // It may have been the last of a series.
        self.commit();
        let rq = self.take_back(rq);
        if self.gate() == Gate::Held {
            rq.requeue();
        } else {
            T::turned_away(self, rq);
        }
    }
}
