// SPDX-License-Identifier: GPL-2.0

//! Requests many at a time: a plug's on their way down, completed ones on their way up.
//!
//! `struct rq_list` is a list through `request.rq_next`; who has the list owns the requests.

use super::{
    ffi as bindings,
    request::{
        hardware_queue,
        Request,
        Started,
        Types, //
    }, //
};
use core::marker::PhantomData;

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
/// `list` is a valid list whose requests the caller owns; so does it `rq`, and gives it to the
/// list.
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
        // SAFETY: the list is valid and ours (`split`); popping passes the ownership on.
        Some(unsafe { Request::from_raw(pop(self.pending)) })
    }

    /// Gives a request back to blk-mq, which hands it over again by itself.
    #[cold]
    pub(crate) fn refuse(&mut self, rq: Request<T>) {
        // SAFETY: the list is valid and ours; `rq` is owned and given up here.
        unsafe { push(self.refused, rq.as_ptr()) }
    }
}

/// Calls `each` for the requests of every run of one hardware queue, and leaves in `list` what was
/// refused or not taken.
///
/// # Safety
///
/// blk-mq hands over `list`, the requests of which are of a tag set with `T`'s operations.
pub(super) unsafe fn split<T: Types>(
    list: &mut bindings::rq_list,
    mut each: impl FnMut(*mut bindings::blk_mq_hw_ctx, &mut Submissions<'_, T>),
) {
    let mut pending = core::mem::take(list);
    let mut refused = bindings::rq_list::default();
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

/// A driver whose requests can be ended in batches.
pub(crate) trait Batched: Types {
    /// Does what is to be done before a successful request is ended in a batch.
    fn finish(queue: &Self::Queue, rq: &mut Request<Self>);
}

/// Completed requests, to be ended together.
pub(crate) struct Completed<'a, T: Batched> {
    iob: &'a mut bindings::io_comp_batch,
    _types: PhantomData<T>,
}

impl<T: Batched> Completed<'_, T> {
    /// Collects requests into `iob`, whose owner ends them.
    ///
    /// # Safety
    ///
    /// `iob` is valid, and what is in it is ended through `iob.complete`.
    pub(super) unsafe fn from_raw(iob: &mut bindings::io_comp_batch) -> Completed<'_, T> {
        Completed {
            iob,
            _types: PhantomData,
        }
    }

    /// Calls `f` with an empty batch and ends what it collected.
    #[inline(always)]
    pub(crate) fn collect<R>(f: impl FnOnce(&mut Completed<'_, T>) -> R) -> R {
        let mut iob = bindings::io_comp_batch::default();
        // SAFETY: what is collected is ended just below.
        let result = f(&mut unsafe { Completed::from_raw(&mut iob) });
        if !iob.req_list.head.is_null() {
            // SAFETY: the batch has only what `add` put there.
            unsafe { finish::<T>(&mut iob) };
        }
        result
    }

    /// Takes a request that succeeded, if it can be ended in a batch (`blk_mq_add_to_batch`).
    ///
    /// # Errors
    ///
    /// Gives it back if it must be ended by itself.
    #[inline(always)]
    pub(crate) fn add(&mut self, rq: Started<T>) -> Result<(), Started<T>> {
        const ALONE: u32 = 1 << bindings::rqf_flags___RQF_SCHED_TAGS;
        const TIMED: u32 = 1 << bindings::rqf_flags___RQF_IO_STAT
            | 1 << bindings::rqf_flags___RQF_STATS
            | 1 << bindings::rqf_flags___RQF_USE_SCHED;
        let flags = rq.flags();
        if flags & ALONE != 0 || rq.has_end_io() {
            return Err(rq);
        }
        let complete: unsafe extern "C" fn(*mut bindings::io_comp_batch) = Self::complete;
        match self.iob.complete {
            None => self.iob.complete = Some(complete),
            // CAST: compared as addresses.
            Some(theirs) if theirs as usize == complete as usize => {}
            Some(_) => return Err(rq),
        }
        self.iob.need_ts |= flags & TIMED != 0;
        // SAFETY: the batch is valid and its requests are the batch's; `rq` is owned and joins it.
        unsafe { push(&mut self.iob.req_list, rq.as_ptr()) };
        Ok(())
    }

    /// # Safety
    ///
    /// For `struct io_comp_batch` only.
    unsafe extern "C" fn complete(iob: *mut bindings::io_comp_batch) {
        // SAFETY: whoever polls calls this with the batch that `add` filled.
        unsafe { finish::<T>(&mut *iob) }
    }
}

/// Ends all requests of a batch.
///
/// # Safety
///
/// The batch has only what [`Completed::add`] put there.
unsafe fn finish<T: Batched>(iob: &mut bindings::io_comp_batch) {
    let mut next = iob.req_list.head;
    while !next.is_null() {
        // SAFETY: the requests of the batch are live and owned by it.
        let (hctx, after) = unsafe { ((*next).mq_hctx, (*next).__bindgen_anon_1.rq_next) };
        // SAFETY: as above; the request is looked at and stays in the batch.
        let mut rq = core::mem::ManuallyDrop::new(unsafe { Request::<T>::from_raw(next) });
        // SAFETY: `init_hctx` has seen every hardware queue.
        T::finish(unsafe { hardware_queue::<T>(hctx) }, &mut rq);
        next = after;
    }
    // SAFETY: all of them are completed, successful, and ended here.
    unsafe { bindings::blk_mq_end_request_batch(iob) }
}
