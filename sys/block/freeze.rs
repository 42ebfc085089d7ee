// SPDX-License-Identifier: GPL-2.0

//! Request queues without requests, for as long as it takes to change them.

use crate::sys::{
    base::NoIo,
    ffi as bindings, //
};
use core::marker::PhantomData;

/// A request queue that has no requests, and gets none as long as this lives; whoever has one waits.
///
/// # Invariants
///
/// `q` is live, and was frozen once for this.
pub(crate) struct Frozen<'a> {
    q: *mut bindings::request_queue,
    _noio: NoIo,
    _queue: PhantomData<&'a ()>,
}

impl Frozen<'_> {
    /// Waits until `q` has no requests. Those that it has must be able to end: it must not be
    /// quiesced, nor frozen by this thread already.
    ///
    /// # Safety
    ///
    /// `q` is live as long as the value.
    pub(in crate::sys) unsafe fn new(q: *mut bindings::request_queue) -> Self {
        let noio = NoIo::new();
        // SAFETY: the caller promises that the queue is live.
        unsafe { bindings::blk_mq_freeze_queue_nomemsave(q) };
        // INVARIANT: just frozen.
        Self {
            q,
            _noio: noio,
            _queue: PhantomData,
        }
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        // SAFETY: by the type invariant the queue is live and was frozen for this.
        unsafe { bindings::blk_mq_unfreeze_queue_nomemrestore(self.q) }
    }
}
