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

/// A completion of the kernel's.
///
/// # Invariants
///
/// The completion is initialised and never moves.
#[pin_data]
pub(super) struct Signal {
    #[pin]
    done: Opaque<bindings::completion>,
}

// SAFETY: any thread may use a completion, and free its memory: it has no other resources.
unsafe impl Send for Signal {}
// SAFETY: several threads may use a completion at the same time.
unsafe impl Sync for Signal {}

impl Signal {
    /// A signal that was not given yet.
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            // INVARIANT: initialised here, and pinned.
            done <- Opaque::ffi_init(|done| {
                // SAFETY: the slot is valid and ours.
                unsafe { bindings::init_completion(done) }
            }),
        })
    }

    /// Waits until the signal is given once more, at most `ms` milliseconds; returns whether it was.
    /// The caller may sleep.
    pub(super) fn wait(&self, ms: u32) -> bool {
        let interval: Jiffies = msecs_to_jiffies(ms);
        // SAFETY: the completion is initialised by the type invariant. The caller may sleep.
        unsafe { bindings::wait_for_completion_io_timeout(self.done.get(), interval) != 0 }
    }

    /// Gives the signal: one wait ends, now or later. In any context.
    ///
    /// # Safety
    ///
    /// `this` points to a signal. It may be freed as soon as a wait for this call can end.
    pub(super) unsafe fn give(this: *const Self) {
        // SAFETY: the caller promises that `this` points to a signal, whose completion is initialised
        // by the type invariant. C allows that the completion is freed before the call returns, and
        // nothing of it is used after the call.
        unsafe { bindings::complete(Opaque::cast_into(&raw const (*this).done)) };
    }
}

/// The wait for the end of one request.
#[pin_data]
pub(in crate::sys) struct CommandWait {
    #[pin]
    done: Signal,
    /// The status of the request, once `done` is given.
    status: AtomicU8,
}

impl CommandWait {
    /// A wait for a request that is not executed yet.
    pub(in crate::sys) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            done <- Signal::new(),
            status: AtomicU8::new(bindings::BLK_STS_IOERR),
        })
    }

    /// Executes `rq` and waits for its end; until then calls `meanwhile` each time that as many
    /// milliseconds have passed as `interval` said before.
    /// Returns the status.
    ///
    /// # Safety
    ///
    /// `rq` is a request of a live queue. It belongs to the caller, is set up, and has a driver's
    /// operation (`REQ_OP_DRV_IN` or `REQ_OP_DRV_OUT`). It belongs to the caller again afterwards.
    pub(in crate::sys) unsafe fn execute(
        self: Pin<&mut Self>,
        rq: *mut bindings::request,
        interval: impl Fn() -> u32,
        mut meanwhile: impl FnMut(),
    ) -> bindings::blk_status_t {
        let this: &Self = &self;
        // SAFETY: the caller promises that the request is its own, set up, and has a driver's
        // operation. blk-mq calls `end` once. `this` stays until then, because this function waits
        // for that call.
        unsafe {
            (*rq).end_io = Some(Self::end);
            (*rq).end_io_data = core::ptr::from_ref(this).cast_mut().cast();
            bindings::blk_execute_rq_nowait(rq, false);
        }
        while !this.done.wait(interval()) {
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
        let done = &raw const this.done;
        // SAFETY: `done` is a signal. `execute` may free it as soon as its wait ends, and nothing of it
        // is used after the call. The call orders the store of the status before the wakeup.
        unsafe { Signal::give(done) };
        // The caller of `execute` has the request again, and frees it.
        bindings::rq_end_io_ret_RQ_END_IO_NONE
    }
}
