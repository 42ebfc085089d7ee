// SPDX-License-Identifier: GPL-2.0

//! Frozen request queues: they have no requests while the driver changes them.

use crate::sys::{
    base::NoIo,
    ffi as bindings, //
};
use core::marker::PhantomData;

/// A frozen request queue: it has no requests, and a submitter waits until this value is dropped.
///
/// # Invariants
///
/// `q` is live, and was frozen once for this value.
pub(crate) struct Frozen<'a> {
    q: *mut bindings::request_queue,
    _noio: NoIo,
    _queue: PhantomData<&'a ()>,
}

impl Frozen<'_> {
    /// Freezes `q`: waits until `q` has no requests. Its requests must be able to end, so `q` must
    /// not be quiesced, nor frozen by this thread already.
    ///
    /// # Safety
    ///
    /// `q` is live as long as the value lives.
    pub(in crate::sys) unsafe fn new(q: *mut bindings::request_queue) -> Self {
        let noio = NoIo::new();
        // SAFETY: the caller promises that the queue is live.
        unsafe { bindings::blk_mq_freeze_queue_nomemsave(q) };
        // INVARIANT: `q` was just frozen.
        Self {
            q,
            _noio: noio,
            _queue: PhantomData,
        }
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        // SAFETY: by the type invariant the queue is live and was frozen for this value.
        unsafe { bindings::blk_mq_unfreeze_queue_nomemrestore(self.q) }
    }
}
