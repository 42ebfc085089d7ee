// SPDX-License-Identifier: GPL-2.0

//! Request queues without a disk, for commands of the driver's own: executed and waited for, or
//! posted.

use super::{
    operations::Operations,
    request::{
        Request,
        Types, //
    },
    tag_set::TagSet,
    timeout::Timeout,
    wait::{
        CommandWait,
        Signal, //
    },
};
use crate::{
    num::SECTOR_SHIFT,
    sys::ffi as bindings, //
};
use core::{
    ptr::NonNull,
    sync::atomic::{
        AtomicU32,
        Ordering::Relaxed, //
    },
};
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

/// The data of a command, and its direction. The memory must come from `kmalloc`: the block layer
/// may not find the pages of other memory, for instance of a module's constants.
pub(crate) enum Buffer<'a> {
    /// No data.
    None,
    /// The device fills it.
    Read(&'a mut KVec<u8>),
    /// The device reads it.
    Write(&'a KVec<u8>),
}

impl<T: Operations> DriverQueue<T> {
    /// A queue of `set` for commands with up to `max_transfer` bytes of data. The pieces of the
    /// data meet at multiples of `boundary` bytes. The block layer copies data that does not begin
    /// at a multiple of `alignment` bytes, a power of two.
    ///
    /// # Errors
    ///
    /// What `blk_mq_alloc_queue` returns.
    pub(crate) fn new(
        set: Arc<TagSet<T>>,
        data: Arc<T::QueueData>,
        (boundary, alignment): (usize, u32),
        max_transfer: u32,
    ) -> Result<Self> {
        let mut limits = bindings::queue_limits {
            max_hw_sectors: max_transfer >> SECTOR_SHIFT,
            virt_boundary_mask: boundary.wrapping_sub(1),
            dma_alignment: alignment.max(4) - 1,
            ..Default::default()
        };
        let steady = set.keep_steady();
        // SAFETY: the set is allocated. The queue holds a count of the set and of the data, so both
        // outlive it.
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

    /// Executes one command and waits for its end. `fill` writes the request's private data before,
    /// `read` sees it afterwards. `meanwhile` is called each time that as many milliseconds have
    /// passed as `interval` said before. The timeout handler bounds the wait: the command times out after `timeout_ms` milliseconds;
    /// `None`: after the timeout of the queue.
    ///
    /// # Errors
    ///
    /// What allocating the request returns, and what `read` returns. `read` gets the error of
    /// mapping the data, or of the command (`EIO` and the like).
    pub(crate) fn execute<R>(
        &self,
        buffer: Buffer<'_>,
        timeout_ms: Option<u32>,
        fill: impl FnOnce(&mut T::RequestData),
        interval: impl Fn() -> u32,
        meanwhile: impl FnMut(),
        read: impl FnOnce(&T::RequestData, Result) -> Result<R>,
    ) -> Result<R> {
        let (op, data, len) = match buffer {
            Buffer::None => (bindings::req_op_REQ_OP_DRV_IN, core::ptr::null_mut(), 0),
            Buffer::Read(buf) => (bindings::req_op_REQ_OP_DRV_IN, buf.as_mut_ptr(), buf.len()),
            // The device only reads the buffer: the operation is `REQ_OP_DRV_OUT`.
            Buffer::Write(buf) => (
                bindings::req_op_REQ_OP_DRV_OUT,
                buf.as_ptr().cast_mut(),
                buf.len(),
            ),
        };
        // SAFETY: the queue is live.
        let rq = from_err_ptr(unsafe { bindings::blk_mq_alloc_request(self.q.as_ptr(), op, 0) })?;
        // SAFETY: the request was just allocated, and is ours until it is executed, and again
        // afterwards.
        let mut owned = unsafe { Request::<T>::from_raw(rq) };
        if let Some(ms) = timeout_ms {
            owned.set_timeout(Timeout::from_millis(ms));
        }
        fill(owned.private_mut());
        let mapped = match u32::try_from(len).unwrap_or(u32::MAX) {
            0 => 0,
            // SAFETY: the request is ours. The buffer is borrowed until the request has been
            // executed, below, and is from `kmalloc`, so it has pages. The block layer bounces a
            // buffer that the device cannot address.
            len => unsafe { bindings::blk_rq_map_kern(rq, data.cast(), len, bindings::GFP_KERNEL) },
        };
        let result = to_result(mapped).and_then(|()| {
            stack_pin_init!(let awaited = CommandWait::new());
            // SAFETY: the queue is live. The request is ours, set up, and has a driver's operation;
            // it is ours again afterwards.
            let status = unsafe { awaited.execute(rq, interval, meanwhile) };
            // SAFETY: the function only converts a number.
            to_result(unsafe { bindings::blk_status_to_errno(status) })
        });
        let result = read(owned.private(), result);
        // SAFETY: the request was allocated above, is not in flight, and is freed once.
        unsafe { bindings::blk_mq_free_request(rq) };
        result
    }

    /// Sends a command without data and does not wait. `fill` writes the request's private data.
    /// `ended` is called at the end of the command, which may come before this returns. The command
    /// times out after `timeout_ms` milliseconds; `None`: never. Not with interrupts disabled.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if no request is free or the queue is frozen, `ENODEV` if the queue is being
    /// destroyed. `ended` is not called then.
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
        // SAFETY: the request is ours, set up, and has a driver's operation. blk-mq calls `end_io`
        // once, when the request ends for any reason; the callback takes over the count that
        // `into_raw` gave.
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
        // SAFETY: `post` stored what `Arc::into_raw` returned for a `D`, and blk-mq calls this
        // once.
        let ended = unsafe { Arc::from_raw((*rq).end_io_data.cast::<D>()) };
        // SAFETY: the request has ended and is not freed before this returns, so no other code has
        // it.
        let owned = unsafe { Request::<T>::from_raw(rq) };
        ended.ended(owned.private(), status == bindings::BLK_STS_OK);
        bindings::rq_end_io_ret_RQ_END_IO_FREE
    }
}

/// The receiver of the end of a posted command.
pub(crate) trait Ended<T: Types>: Send + Sync {
    /// The command has ended; `ok`: with success. Called in any context, interrupts included. The
    /// last reference to `self` may be dropped there.
    fn ended(&self, data: &T::RequestData, ok: bool);
}

/// Counts the ends of posted commands, and waits for them.
#[pin_data]
pub(crate) struct Ends {
    /// Given once for each end.
    #[pin]
    ended: Signal,
    /// How many commands ended without success.
    failed: AtomicU32,
}

impl Ends {
    /// No command has ended yet.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let ends = pin_init!(Self {
            ended <- Signal::new(),
            failed: AtomicU32::new(0),
        });
        Arc::pin_init(ends, GFP_KERNEL)
    }

    /// Waits for the end of one more command, at most `ms` milliseconds; returns whether one ended.
    /// The caller may sleep.
    pub(crate) fn wait(&self, ms: u32) -> bool {
        self.ended.wait(ms)
    }

    /// How many of the commands that ended did so without success.
    pub(crate) fn failed(&self) -> u32 {
        self.failed.load(Relaxed)
    }
}

impl<T: Types> Ended<T> for Ends {
    fn ended(&self, _data: &T::RequestData, ok: bool) {
        if !ok {
            self.failed.fetch_add(1, Relaxed);
        }
        // SAFETY: `ended` is a signal, and the caller has a reference to `self` until this returns. The
        // call orders the addition before the wakeup.
        unsafe { Signal::give(&raw const self.ended) };
    }
}

impl<T: Operations> Drop for DriverQueue<T> {
    /// Waits for all requests. A posted command without a timeout must have ended: its owner stops
    /// the controller and cancels the commands in flight.
    fn drop(&mut self) {
        // SAFETY: `new` made the queue. C waits for its requests, and the one reference is given up
        // here.
        unsafe {
            bindings::blk_mq_destroy_queue(self.q.as_ptr());
            bindings::blk_put_queue(self.q.as_ptr());
        }
    }
}
