// SPDX-License-Identifier: GPL-2.0

//! A queue without interrupts: whoever waits looks for completions himself.

use super::{
    completions::Completions,
    Queue, //
};
use crate::{
    data::Queued,
    sys::block::{
        Completed,
        Operations, //
    },
};

impl<T: Queued + Operations<Queue = Queue<T>>> Queue<T> {
    /// Makes this a queue that is polled.
    pub(crate) fn attach_polled(&self, completions: Completions<T>) {
        *self.polled.lock() = Some(completions);
    }

    /// Takes the completion side back: the hardware is stopped.
    pub(crate) fn detach_polled(&self) -> Option<Completions<T>> {
        self.polled.lock().take()
    }

    /// Looks for completions; returns whether there were any.
    #[inline(always)]
    pub(crate) fn poll(&self, done: &mut Completed<T>) -> bool {
        match &mut *self.polled.lock() {
            Some(completions) => completions.reap_polled(done),
            None => false,
        }
    }

    /// Has `f` work on the completion side, if the queue is polled.
    pub(crate) fn with_polled<R>(&self, f: impl FnOnce(&mut Completions<T>) -> R) -> Option<R> {
        self.polled.lock().as_mut().map(f)
    }

    /// Looks for completions and ends what is found.
    pub(crate) fn poll_all(&self) {
        let mut done = Completed::new();
        self.poll(&mut done);
        done.end();
    }

    /// Whether the device has no request of this queue, if it is polled.
    pub(crate) fn is_idle(&self) -> bool {
        self.polled.lock().as_ref().is_none_or(Completions::is_idle)
    }
}
