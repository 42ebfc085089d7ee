// SPDX-License-Identifier: GPL-2.0

//! Scopes in which allocations do not wait for I/O: I/O may wait for the thread itself.

use crate::sys::ffi as bindings;
use core::marker::PhantomData;
use kernel::types::NotThreadSafe;

/// While a value lives, no allocation of the thread starts I/O or waits for I/O
/// (`memalloc_noio_save`), because I/O may wait for the thread. The values of one thread are
/// dropped in reverse order.
pub(crate) struct NoIo {
    /// `PF_MEMALLOC_NOIO` if this value set it; else 0.
    added: u32,
    /// The thread that made the value drops it.
    _here: PhantomData<NotThreadSafe>,
}

impl NoIo {
    pub(crate) fn new() -> Self {
        // SAFETY: in thread context `get_current` is the running thread, which is alive. It alone
        // writes to its flags.
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
        // SAFETY: as in `new`; the thread is the same one, because `_here` is not `Send`.
        unsafe {
            let flags = core::ptr::addr_of_mut!((*bindings::get_current()).flags);
            flags.write(flags.read() & !self.added);
        }
    }
}
