// SPDX-License-Identifier: GPL-2.0

//! The operations of a driver, and the callbacks of blk-mq that call them.
//!
//! The names are those that the kernel crate uses or is likely to use. This file can go when its
//! `block::mq` has caught up.

use super::{
    batch::{
        split,
        Completed,
        Submissions, //
    },
    request::{
        hardware_queue,
        BlkStatus,
        Request,
        Started,
        Types, //
    },
    timeout::{
        TimedOut,
        Timeout, //
    },
};
use crate::sys::ffi as bindings;
use core::marker::PhantomData;
use kernel::{
    prelude::*,
    types::NotThreadSafe, //
};

/// The decision of a timeout handler.
pub(crate) enum TimeoutVerdict {
    /// The request has been completed or will be.
    Done,
    /// Wait for the request's timeout once more.
    Again,
    /// Wait for another timeout.
    Extend(Timeout),
}

/// blk-mq is in a call that submits requests ([`Operations::queue_rq`], [`Operations::queue_rqs`]):
/// the CPU is in an RCU read-side critical section until the call returns.
#[derive(Clone, Copy)]
pub(crate) struct Dispatch<'a>(PhantomData<(&'a (), NotThreadSafe)>);

impl Dispatch<'_> {
    /// The token of a call.
    ///
    /// # Safety
    ///
    /// The lifetime ends before the call of blk-mq returns. The tag set does not block
    /// (`BLK_MQ_F_BLOCKING`), so blk-mq makes the call with the RCU read lock held
    /// (`blk_mq_run_dispatch_ops`).
    #[inline(always)]
    unsafe fn new() -> Self {
        Self(PhantomData)
    }
}

/// A driver's side of blk-mq.
pub(crate) trait Operations: Types {
    /// Submits a request, or gives it back with the reason.
    fn queue_rq(
        queue: &Self::Queue,
        dispatch: Dispatch<'_>,
        rq: Request<Self>,
        last: bool,
    ) -> Result<(), (Request<Self>, BlkStatus)>;
    /// Submits a plug's requests for one queue, as far as possible. blk-mq submits those that it
    /// refuses again through [`Self::queue_rq`].
    fn queue_rqs(queue: &Self::Queue, dispatch: Dispatch<'_>, requests: &mut Submissions<'_, Self>);
    /// Decides on a request that the queue did not take, because the queue is closed or the slot of
    /// the request is in use for the moment. The data of the request is unmapped.
    fn turned_away(queue: &Self::Queue, dispatch: Dispatch<'_>, rq: Started<Self>);
    /// Announces to the hardware what was queued with `last == false`.
    fn commit_rqs(queue: &Self::Queue);
    /// Finishes a request on the CPU that the block layer chose.
    fn complete(queue: &Self::Queue, rq: Started<Self>);
    /// Polls a queue without interrupts for completions; returns whether there were any.
    fn poll(queue: &Self::Queue, done: &mut Completed<Self>) -> bool;
    /// Handles a request that timed out.
    fn timeout(queue: &Self::Queue, rq: &TimedOut<'_, Self>) -> TimeoutVerdict;
}

/// Finishes a request on this CPU, through its own queue, whichever queue its command went through.
#[cold]
#[inline(never)]
pub(crate) fn finish<T: Operations>(rq: Started<T>) {
    // SAFETY: the request is live, and so is its hardware queue, which is of a tag set with `T`'s
    // types.
    let queue = unsafe { hardware_queue::<T>((*rq.as_ptr()).mq_hctx) };
    T::complete(queue, rq);
}

/// The status that blk-mq gets for a request that the driver does not take.
///
/// blk-mq ends the request that it handed over, so the driver must give back that one. If it gives
/// back another one, both are lost, which does no harm to memory.
#[cold]
#[inline(never)]
fn refused<T: Types>(
    handed_over: *mut bindings::request,
    rq: &Request<T>,
    status: BlkStatus,
) -> bindings::blk_status_t {
    if rq.as_ptr() == handed_over {
        status.into_raw()
    } else {
        bindings::BLK_STS_OK
    }
}

/// The callbacks for the requests of a tag set with `T`'s types.
pub(super) struct Callbacks<T>(PhantomData<T>);

impl<T: Operations> Callbacks<T> {
    /// The callbacks, without those that set up hardware queues.
    pub(super) const OPS: bindings::blk_mq_ops = bindings::blk_mq_ops {
        queue_rq: Some(Self::queue_rq),
        queue_rqs: Some(Self::queue_rqs),
        commit_rqs: Some(Self::commit_rqs),
        complete: Some(Self::complete),
        timeout: Some(Self::timeout),
        poll: Some(Self::poll),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// For `struct blk_mq_ops` only.
    unsafe extern "C" fn queue_rq(
        hctx: *mut bindings::blk_mq_hw_ctx,
        data: *const bindings::blk_mq_queue_data,
    ) -> bindings::blk_status_t {
        // SAFETY: blk-mq calls this with a hardware queue of a set with `T`'s types and valid data.
        let (queue, rq, last) = unsafe { (hardware_queue::<T>(hctx), (*data).rq, (*data).last) };
        let handed_over = rq;
        // SAFETY: blk-mq hands the request over: it is live, and ours until it has ended or this
        // function returns an error.
        let rq = unsafe { Request::from_raw(rq) };
        // SAFETY: this is the call, and `TagSet::new` sets no flag.
        let dispatch = unsafe { Dispatch::new() };
        match T::queue_rq(queue, dispatch, rq, last) {
            Ok(()) => bindings::BLK_STS_OK,
            Err((rq, status)) => refused(handed_over, &rq, status),
        }
    }

    /// # Safety
    ///
    /// For `struct blk_mq_ops` only.
    unsafe extern "C" fn queue_rqs(list: *mut bindings::rq_list) {
        // SAFETY: blk-mq hands over a list of requests of a set with `T`'s types. This is the call of
        // the token, and `TagSet::new` sets no flag.
        unsafe {
            split::<T>(&mut *list, |hctx, requests| {
                T::queue_rqs(hardware_queue::<T>(hctx), Dispatch::new(), requests)
            })
        }
    }

    /// # Safety
    ///
    /// For `struct blk_mq_ops` only.
    unsafe extern "C" fn commit_rqs(hctx: *mut bindings::blk_mq_hw_ctx) {
        // SAFETY: blk-mq calls this with a hardware queue of a set with `T`'s types.
        T::commit_rqs(unsafe { hardware_queue::<T>(hctx) })
    }

    /// # Safety
    ///
    /// For `struct blk_mq_ops` only.
    unsafe extern "C" fn complete(rq: *mut bindings::request) {
        // SAFETY: blk-mq calls this with a request that `complete_remote` gave it, of a set with
        // `T`'s types.
        let queue = unsafe { hardware_queue::<T>((*rq).mq_hctx) };
        // SAFETY: `complete_remote` passed the ownership to blk-mq, which passes it back here.
        T::complete(queue, unsafe { Started::from_raw(rq) })
    }

    /// # Safety
    ///
    /// For `struct blk_mq_ops` only.
    unsafe extern "C" fn timeout(rq: *mut bindings::request) -> bindings::blk_eh_timer_return {
        // SAFETY: blk-mq calls this with a request of a set with `T`'s types that it holds a
        // reference to.
        let (queue, rq) = unsafe { (hardware_queue::<T>((*rq).mq_hctx), TimedOut::from_raw(rq)) };
        match T::timeout(queue, &rq) {
            TimeoutVerdict::Done => bindings::blk_eh_timer_return_BLK_EH_DONE,
            TimeoutVerdict::Again => bindings::blk_eh_timer_return_BLK_EH_RESET_TIMER,
            TimeoutVerdict::Extend(timeout) => {
                // A request that ended since then is not ours any more.
                if rq.is_in_flight() {
                    rq.set_timeout(timeout);
                }
                bindings::blk_eh_timer_return_BLK_EH_RESET_TIMER
            }
        }
    }

    /// # Safety
    ///
    /// For `struct blk_mq_ops` only.
    unsafe extern "C" fn poll(
        hctx: *mut bindings::blk_mq_hw_ctx,
        iob: *mut bindings::io_comp_batch,
    ) -> c_int {
        // SAFETY: blk-mq calls this with a hardware queue of a set with `T`'s types.
        let queue = unsafe { hardware_queue::<T>(hctx) };
        let mut done = Completed::new();
        if !T::poll(queue, &mut done) {
            return 0;
        }
        if iob.is_null() {
            done.end();
        } else {
            // SAFETY: `iob` is the batch of the caller that polls, which ends its requests.
            unsafe { done.give(&mut *iob) };
        }
        1
    }
}
