// SPDX-License-Identifier: GPL-2.0

//! Request queues without a disk, for commands of the driver's own: executed and waited for, or
//! posted.

use super::{
    request::{
        Request,
        Types, //
    },
    tag_set::{
        Operations,
        TagSet, //
    },
    timeout::Timeout,
    wait::CommandWait, //
};
use crate::{
    num::SECTOR_SHIFT,
    policy::timing::WAIT_LOOK_MS,
    sys::ffi as bindings, //
};
use core::ptr::NonNull;
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    prelude::*,
    sync::Arc, //
};
use pin_init::stack_pin_init;

/// A request queue without a disk, for commands of the driver's own.
pub(crate) struct DriverQueue<T: Operations> {
    q: NonNull<bindings::request_queue>,
    _data: Arc<T::QueueData>,
    _set: Arc<TagSet<T>>,
}

// SAFETY: a request queue is used from any thread; the data is `Send` and `Sync`.
unsafe impl<T: Operations> Send for DriverQueue<T> {}
// SAFETY: as above.
unsafe impl<T: Operations> Sync for DriverQueue<T> {}

/// Which way the data of a command goes, and where it is: memory of `kmalloc` in any case. Of other
/// memory, a module's constants for instance, the block layer may not find the pages.
pub(crate) enum Buffer<'a> {
    /// No data.
    None,
    /// The device fills it.
    Read(&'a mut KVec<u8>),
    /// The device reads it.
    Write(&'a KVec<u8>),
}

impl<T: Operations> DriverQueue<T> {
    /// A queue of `set` for commands with up to `max_transfer` bytes of data, the pieces of which
    /// meet at multiples of `boundary` bytes.
    pub(crate) fn new(
        set: Arc<TagSet<T>>,
        data: Arc<T::QueueData>,
        boundary: usize,
        max_transfer: u32,
    ) -> Result<Self> {
        let mut limits = bindings::queue_limits {
            max_hw_sectors: max_transfer >> SECTOR_SHIFT,
            virt_boundary_mask: boundary.wrapping_sub(1),
            dma_alignment: 3,
            ..Default::default()
        };
        let steady = set.keep_steady();
        // SAFETY: the set is allocated and outlives the queue, which holds a count of it; so does
        // the data.
        let q = from_err_ptr(unsafe {
            bindings::blk_mq_alloc_queue(
                set.as_ptr(),
                &mut limits,
                Arc::as_ptr(&data).cast_mut().cast(),
            )
        });
        drop(steady);
        Ok(Self {
            q: NonNull::new(q?).ok_or(ENOMEM)?,
            _data: data,
            _set: set,
        })
    }

    /// Executes one command and waits for its end: `fill` writes the request's private data
    /// before, `read` sees it afterwards; `meanwhile` is called each [`WAIT_LOOK_MS`]. The timeout handler
    /// bounds the wait: the command is late after `timeout_ms` milliseconds, or when the queue says.
    ///
    /// # Errors
    ///
    /// What allocating and mapping the request returns; `EIO` and the like if it ended with an
    /// error, unless `read` says otherwise.
    pub(crate) fn execute<R>(
        &self,
        buffer: Buffer<'_>,
        timeout_ms: Option<u32>,
        fill: impl FnOnce(&mut T::RequestData),
        meanwhile: impl FnMut(),
        read: impl FnOnce(&T::RequestData, Result) -> Result<R>,
    ) -> Result<R> {
        let (op, data, len) = match buffer {
            Buffer::None => (bindings::req_op_REQ_OP_DRV_IN, core::ptr::null_mut(), 0),
            Buffer::Read(buf) => (bindings::req_op_REQ_OP_DRV_IN, buf.as_mut_ptr(), buf.len()),
            // Nobody writes to it: so says the operation.
            Buffer::Write(buf) => (
                bindings::req_op_REQ_OP_DRV_OUT,
                buf.as_ptr().cast_mut(),
                buf.len(),
            ),
        };
        // SAFETY: the queue is live.
        let rq = from_err_ptr(unsafe { bindings::blk_mq_alloc_request(self.q.as_ptr(), op, 0) })?;
        // SAFETY: the request was just allocated and is ours until it is executed, and again
        // afterwards.
        let mut owned = unsafe { Request::<T>::from_raw(rq) };
        if let Some(ms) = timeout_ms {
            owned.set_timeout(Timeout::from_millis(ms));
        }
        fill(owned.private_mut());
        let mapped = match u32::try_from(len).unwrap_or(u32::MAX) {
            0 => 0,
            // SAFETY: the request is ours; the buffer is borrowed until it has been executed,
            // below, and is of `kmalloc`, so it has pages. One that the device could not reach is
            // bounced by the block layer.
            len => unsafe { bindings::blk_rq_map_kern(rq, data.cast(), len, bindings::GFP_KERNEL) },
        };
        let result = to_result(mapped).and_then(|()| {
            stack_pin_init!(let awaited = CommandWait::new());
            // SAFETY: the request is set up, with a driver's operation; it comes back ended.
            let status = unsafe { awaited.execute(rq, WAIT_LOOK_MS, meanwhile) };
            // SAFETY: converts a number.
            to_result(unsafe { bindings::blk_status_to_errno(status) })
        });
        let result = read(owned.private(), result);
        // SAFETY: allocated above, not in flight, freed once.
        unsafe { bindings::blk_mq_free_request(rq) };
        result
    }

    /// Sends a command without data and does not wait: `fill` writes the request's private data,
    /// `ended` is told of its end, which may be before this returns. The command is late after
    /// `timeout_ms` milliseconds, or never. Not with interrupts disabled.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if no request is free or the queue is frozen, `ENODEV` when it goes. `ended` is not
    /// told.
    pub(crate) fn post<D: Ended<T> + 'static>(
        &self,
        timeout_ms: Option<u32>,
        fill: impl FnOnce(&mut T::RequestData),
        ended: Arc<D>,
    ) -> Result {
        let op = bindings::req_op_REQ_OP_DRV_IN;
        // SAFETY: the queue is live.
        let rq = from_err_ptr(unsafe {
            bindings::blk_mq_alloc_request(self.q.as_ptr(), op, bindings::BLK_MQ_REQ_NOWAIT)
        })?;
        // SAFETY: the request was just allocated and is ours until it is executed.
        let mut owned = unsafe { Request::<T>::from_raw(rq) };
        owned.set_timeout(timeout_ms.map_or(Timeout::FOREVER, Timeout::from_millis));
        fill(owned.private_mut());
        // SAFETY: the request is ours, set up, and has a driver's operation. `end_io` is called
        // once, when it ends, for whatever reason; it takes back the count that `into_raw` gave.
        unsafe {
            (*rq).end_io = Some(Self::end_posted::<D>);
            (*rq).end_io_data = Arc::into_raw(ended).cast_mut().cast();
            bindings::blk_execute_rq_nowait(rq, false);
        }
        Ok(())
    }

    /// # Safety
    ///
    /// For a request that [`Self::post`] has sent, with this `D`, once.
    unsafe extern "C" fn end_posted<D: Ended<T>>(
        rq: *mut bindings::request,
        status: bindings::blk_status_t,
        _batch: *const bindings::io_comp_batch,
    ) -> bindings::rq_end_io_ret {
        // SAFETY: `post` stored what `Arc::into_raw` returned, and this is called once.
        let ended = unsafe { Arc::from_raw((*rq).end_io_data.cast::<D>()) };
        // SAFETY: the request has ended and is not freed before this returns: nobody else has it.
        let owned = unsafe { Request::<T>::from_raw(rq) };
        ended.ended(owned.private(), status == bindings::BLK_STS_OK);
        bindings::rq_end_io_ret_RQ_END_IO_FREE
    }
}

/// Who is told of the end of a command that was posted.
pub(crate) trait Ended<T: Types>: Send + Sync {
    /// It has ended, well (`ok`) or not. In any context, interrupts included; and the last
    /// reference to `self` may be dropped there.
    fn ended(&self, data: &T::RequestData, ok: bool);
}

impl<T: Operations> Drop for DriverQueue<T> {
    /// Waits for all requests: whoever has posted one that is never late must have ended it, by
    /// stopping the controller and cancelling what it had.
    fn drop(&mut self) {
        // SAFETY: `new` made the queue; this waits for its requests and gives it up.
        unsafe {
            bindings::blk_mq_destroy_queue(self.q.as_ptr());
            bindings::blk_put_queue(self.q.as_ptr());
        }
    }
}
