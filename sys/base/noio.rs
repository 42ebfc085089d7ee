// SPDX-License-Identifier: GPL-2.0

//! Threads that I/O may wait for, and that must not wait for I/O.

use crate::sys::ffi as bindings;
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
