// SPDX-License-Identifier: GPL-2.0

//! Request queues without requests, for as long as it takes to change them.

use super::ffi as bindings;
use core::marker::PhantomData;
use kernel::types::NotThreadSafe;

/// While this lives the thread gets no memory that I/O would have to be waited for: it holds up
/// I/O itself (`memalloc_noio_save`). The values of one thread are dropped in reverse order.
pub(crate) struct NoIo {
    /// The flag, if it was not set before.
    added: u32,
    /// The thread that made it undoes it.
    _here: PhantomData<NotThreadSafe>,
}

impl NoIo {
    pub(crate) fn new() -> Self {
        // SAFETY: the thread's own flags, which it alone writes to, in thread context.
        let added = unsafe {
            let flags = core::ptr::addr_of_mut!((*bindings::get_current()).flags);
            let added = !flags.read() & bindings::PF_MEMALLOC_NOIO;
            flags.write(flags.read() | added);
            added
        };
        Self {
            added,
            _here: PhantomData,
        }
    }
}

impl Drop for NoIo {
    fn drop(&mut self) {
        // SAFETY: as in `new`, and by the same thread.
        unsafe {
            let flags = core::ptr::addr_of_mut!((*bindings::get_current()).flags);
            flags.write(flags.read() & !self.added);
        }
    }
}

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
    pub(super) unsafe fn new(q: *mut bindings::request_queue) -> Self {
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
