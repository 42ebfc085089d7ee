// SPDX-License-Identifier: GPL-2.0

//! A queue without interrupts: the thread that waits for a request polls for completions.

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
    /// Makes this queue a polled one.
    pub(crate) fn attach_polled(&self, completions: Completions<T>) {
        *self.polled.lock() = Some(completions);
    }

    /// Takes the completion side back, after the controller was stopped.
    pub(crate) fn detach_polled(&self) -> Option<Completions<T>> {
        self.polled.lock().take()
    }

    /// Polls for completions; returns whether there were any.
    #[inline(always)]
    pub(crate) fn poll(&self, done: &mut Completed<T>) -> bool {
        match &mut *self.polled.lock() {
            Some(completions) => completions.reap_polled(done),
            None => false,
        }
    }

    /// Calls `f` with the completion side, if the queue is polled.
    pub(crate) fn with_polled<R>(&self, f: impl FnOnce(&mut Completions<T>) -> R) -> Option<R> {
        self.polled.lock().as_mut().map(f)
    }

    /// Polls for completions and ends their requests.
    pub(crate) fn poll_all(&self) {
        let mut done = Completed::new();
        self.poll(&mut done);
        done.end();
    }
}
