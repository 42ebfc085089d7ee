// SPDX-License-Identifier: GPL-2.0

//! The wait for the end of a request, with a function to call in the meantime.

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

/// The wait for the end of one request.
///
/// # Invariants
///
/// `done` is initialised and never moves.
#[pin_data]
pub(in crate::sys) struct CommandWait {
    #[pin]
    done: Opaque<bindings::completion>,
    /// The status of the request, once `done` is complete.
    status: AtomicU8,
}

// SAFETY: several threads may use a completion; the rest is atomic.
unsafe impl Sync for CommandWait {}

impl CommandWait {
    /// A wait for a request that is not executed yet.
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

    /// Executes `rq` and waits for its end; calls `meanwhile` every `ms` milliseconds until then.
    /// Returns the status.
    ///
    /// # Safety
    ///
    /// `rq` is a request of a live queue. It belongs to the caller, is set up, and has a driver's
    /// operation (`REQ_OP_DRV_IN` or `REQ_OP_DRV_OUT`). It belongs to the caller again afterwards.
    pub(in crate::sys) unsafe fn execute(
        self: Pin<&mut Self>,
        rq: *mut bindings::request,
        ms: u32,
        mut meanwhile: impl FnMut(),
    ) -> bindings::blk_status_t {
        let this: &Self = &self;
        let interval: Jiffies = msecs_to_jiffies(ms);
        // SAFETY: the caller promises that the request is its own, set up, and has a driver's
        // operation. blk-mq calls `end` once. `this` stays until then, because this function waits
        // for that call.
        unsafe {
            (*rq).end_io = Some(Self::end);
            (*rq).end_io_data = core::ptr::from_ref(this).cast_mut().cast();
            bindings::blk_execute_rq_nowait(rq, false);
        }
        // SAFETY: by the type invariant `done` is initialised. The callers may sleep, because this
        // function waits.
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
        // SAFETY: `execute` stored the pointer, and waits until `complete`, below, is called.
        let this = unsafe { &*(*rq).end_io_data.cast::<Self>() };
        this.status.store(status, Relaxed);
        let done = this.done.get();
        // SAFETY: `done` is initialised by the type invariant. `execute` may free it before the
        // call returns; C allows that, and nothing of it is used after the call. The call orders
        // the store of the status before the wakeup.
        unsafe { bindings::complete(done) };
        // The caller of `execute` has the request again, and frees it.
        bindings::rq_end_io_ret_RQ_END_IO_NONE
    }
}
