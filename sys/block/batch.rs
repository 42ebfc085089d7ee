// SPDX-License-Identifier: GPL-2.0

//! Batches of requests: those of a plug on their way to the hardware, completed ones on their way
//! back.
//!
//! `struct rq_list` is a list through `request.rq_next`; the owner of the list owns the requests.

use super::request::{
    Request,
    Started,
    Types, //
};
use crate::sys::ffi as bindings;
use core::marker::PhantomData;
use kernel::prelude::*;

/// `rq_list_pop`.
///
/// # Safety
///
/// `list` is a valid list whose requests the caller owns.
#[inline(always)]
unsafe fn pop(list: &mut bindings::rq_list) -> *mut bindings::request {
    let rq = list.head;
    if !rq.is_null() {
        // SAFETY: the caller owns the requests of the list, so they are live.
        list.head = unsafe { (*rq).__bindgen_anon_1.rq_next };
        if list.head.is_null() {
            list.tail = core::ptr::null_mut();
        }
    }
    rq
}

/// `rq_list_add_tail`.
///
/// # Safety
///
/// `list` is a valid list whose requests the caller owns. The caller owns `rq`, too, and gives it
/// to the list.
#[inline(always)]
unsafe fn push(list: &mut bindings::rq_list, rq: *mut bindings::request) {
    // SAFETY: the caller owns all of these requests, so they are live.
    unsafe {
        (*rq).__bindgen_anon_1.rq_next = core::ptr::null_mut();
        if list.tail.is_null() {
            list.head = rq;
        } else {
            (*list.tail).__bindgen_anon_1.rq_next = rq;
        }
    }
    list.tail = rq;
}

/// The requests of a plug that go to one hardware queue, in the order of their submission.
pub(crate) struct Submissions<'a, T: Types> {
    pending: &'a mut bindings::rq_list,
    refused: &'a mut bindings::rq_list,
    hctx: *mut bindings::blk_mq_hw_ctx,
    _types: PhantomData<T>,
}

impl<T: Types> Submissions<'_, T> {
    /// Takes the next request for this queue.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<Request<T>> {
        let head = self.pending.head;
        // SAFETY: the requests of the list are ours, so a non-null head is live.
        if head.is_null() || unsafe { (*head).mq_hctx } != self.hctx {
            return None;
        }
        // SAFETY: the list is valid and its requests are ours (`split`); `pop` passes on the
        // ownership of one.
        Some(unsafe { Request::from_raw(pop(self.pending)) })
    }

    /// Gives a request back to blk-mq, which submits it again, alone.
    #[cold]
    pub(crate) fn refuse(&mut self, rq: Request<T>) {
        // SAFETY: the list is valid and its requests are ours; `rq` is owned, and given to the
        // list.
        unsafe { push(self.refused, rq.as_ptr()) }
    }
}

/// Calls `each` for every run of requests of one hardware queue, and leaves in `list` the requests
/// that were refused or not taken.
///
/// # Safety
///
/// blk-mq hands over `list`, and its requests are of a tag set with `T`'s operations.
pub(in crate::sys) unsafe fn split<T: Types>(
    list: &mut bindings::rq_list,
    mut each: impl FnMut(*mut bindings::blk_mq_hw_ctx, &mut Submissions<'_, T>),
) {
    let mut refused = bindings::rq_list {
        head: core::ptr::null_mut(),
        tail: core::ptr::null_mut(),
    };
    let mut pending = core::mem::replace(list, refused);
    while !pending.head.is_null() {
        // SAFETY: the requests of the list are ours, so the head is live.
        let hctx = unsafe { (*pending.head).mq_hctx };
        let mut submissions = Submissions {
            pending: &mut pending,
            refused: &mut refused,
            hctx,
            _types: PhantomData,
        };
        each(hctx, &mut submissions);
        while let Some(rq) = submissions.next() {
            submissions.refuse(rq);
        }
    }
    *list = refused;
}

/// Completed requests that succeeded, to be ended together.
pub(crate) struct Completed<T: Types> {
    /// In the block layer's form, so that [`Self::end`] has nothing to build.
    batch: bindings::io_comp_batch,
    /// The flags of all requests, combined by OR.
    flags: u32,
    _types: PhantomData<T>,
}

/// The function that ends a batch.
const END: unsafe extern "C" fn(*mut bindings::io_comp_batch) = bindings::blk_mq_end_request_batch;

impl<T: Types> Completed<T> {
    /// An empty batch.
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self {
            batch: pin_init::zeroed(),
            flags: 0,
            _types: PhantomData,
        }
    }

    /// Takes a request that succeeded and needs nothing more of the driver, if it can be ended in
    /// a batch (`blk_mq_add_to_batch`).
    ///
    /// # Errors
    ///
    /// Gives the request back if it must be ended alone.
    #[inline(always)]
    pub(crate) fn add(&mut self, rq: Started<T>) -> Result<(), Started<T>> {
        const ALONE: u32 = 1 << bindings::rqf_flags___RQF_SCHED_TAGS;
        let flags = rq.flags();
        if flags & ALONE != 0 || rq.has_end_io() {
            return Err(rq);
        }
        self.flags |= flags;
        // SAFETY: the list is valid and its requests are ours; `rq` is owned, and given to the
        // list.
        unsafe { push(&mut self.batch.req_list, rq.as_ptr()) };
        Ok(())
    }

    /// Whether any of the requests needs the time of its end.
    #[inline(always)]
    fn timed(&self) -> bool {
        const TIMED: u32 = 1 << bindings::rqf_flags___RQF_IO_STAT
            | 1 << bindings::rqf_flags___RQF_STATS
            | 1 << bindings::rqf_flags___RQF_USE_SCHED;
        self.flags & TIMED != 0
    }

    /// Ends the requests.
    #[inline(always)]
    pub(crate) fn end(&mut self) {
        if self.batch.req_list.head.is_null() {
            return;
        }
        self.batch.need_ts = self.timed();
        // SAFETY: the list is valid, and its requests are ours, completed and successful. C takes
        // them off the list.
        unsafe { END(&mut self.batch) }
    }

    /// Gives the requests to `batch`, whose owner polls and ends it. If `batch` has a `complete`
    /// function that is not ours, ends the requests instead.
    ///
    /// # Safety
    ///
    /// `batch` is valid, and its requests are ended through `batch.complete`.
    pub(in crate::sys) unsafe fn give(&mut self, batch: &mut bindings::io_comp_batch) {
        // CAST: compared as addresses.
        let ours = batch
            .complete
            .is_none_or(|theirs| theirs as usize == END as usize);
        let list = self.batch.req_list;
        if list.head.is_null() || !ours {
            return self.end();
        }
        batch.complete = Some(END);
        batch.need_ts |= self.timed();
        if batch.req_list.tail.is_null() {
            batch.req_list = list;
            return;
        }
        // SAFETY: the last request of `batch` is live and belongs to `batch`, and so does its link.
        unsafe { (*batch.req_list.tail).__bindgen_anon_1.rq_next = list.head };
        batch.req_list.tail = list.tail;
    }
}
