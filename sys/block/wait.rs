// SPDX-License-Identifier: GPL-2.0

//! The end of a request that somebody waits for, and has something to do meanwhile.

use crate::sys::ffi as bindings;
use core::sync::atomic::{
    AtomicU8,
    Ordering::Relaxed, //
};
use kernel::{
    prelude::*,
    time::{
        msecs_to_jiffies,
        Jiffies, //
    },
    types::Opaque, //
};

/// The end of one request.
///
/// # Invariants
///
/// `done` is initialised, and never moves.
#[pin_data]
pub(in crate::sys) struct CommandWait {
    #[pin]
    done: Opaque<bindings::completion>,
    /// How it ended, once `done` is complete.
    status: AtomicU8,
}

// SAFETY: a completion is for several threads; the rest is atomic.
unsafe impl Sync for CommandWait {}

impl CommandWait {
    /// That of a request which is not executed yet.
    pub(in crate::sys) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            // INVARIANT: initialised here, and pinned.
            done <- Opaque::ffi_init(|done| {
                // SAFETY: the slot is valid and ours.
                unsafe { bindings::init_completion(done) }
            }),
            status: AtomicU8::new(bindings::BLK_STS_IOERR),
        })
    }

    /// Executes `rq` and waits for its end; calls `meanwhile` each `ms` milliseconds until then.
    /// Returns the status.
    ///
    /// # Safety
    ///
    /// `rq` is a request of a live queue that is set up and the caller's, who has it again
    /// afterwards, and has a driver's operation.
    pub(in crate::sys) unsafe fn execute(
        self: Pin<&mut Self>,
        rq: *mut bindings::request,
        ms: u32,
        mut meanwhile: impl FnMut(),
    ) -> bindings::blk_status_t {
        let this: &Self = &self;
        let interval: Jiffies = msecs_to_jiffies(ms);
        // SAFETY: the request is the caller's, with what it needs. `end` is called once, and what it
        // is given stays until then: this waits for it.
        unsafe {
            (*rq).end_io = Some(Self::end);
            (*rq).end_io_data = core::ptr::from_ref(this).cast_mut().cast();
            bindings::blk_execute_rq_nowait(rq, false);
        }
        // SAFETY: by the type invariant it is initialised. May sleep, as who executes may.
        while unsafe { bindings::wait_for_completion_io_timeout(this.done.get(), interval) } == 0 {
            meanwhile();
        }
        this.status.load(Relaxed)
    }

    /// # Safety
    ///
    /// For a request that [`Self::execute`] has sent, once.
    unsafe extern "C" fn end(
        rq: *mut bindings::request,
        status: bindings::blk_status_t,
        _batch: *const bindings::io_comp_batch,
    ) -> bindings::rq_end_io_ret {
        // SAFETY: `execute` stored it, and waits for what follows.
        let this = unsafe { &*(*rq).end_io_data.cast::<Self>() };
        this.status.store(status, Relaxed);
        let done = this.done.get();
        // SAFETY: initialised by the type invariant. It may be gone when this returns, which C's
        // side of it allows; nothing of it is used after that. It orders the status before.
        unsafe { bindings::complete(done) };
        // Who waits has the request again, and frees it.
        bindings::rq_end_io_ret_RQ_END_IO_NONE
    }
}
