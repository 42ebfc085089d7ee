// SPDX-License-Identifier: GPL-2.0

//! A request of the block layer as an owned value.
//!
//! The owner of a request alone may end it. [`Request`] is a request as the block layer hands it
//! over. [`Started`] is a request whose timer runs, so it may go to the hardware. Fields of `struct
//! request` are read directly: C's inline functions would be calls of the kernel crate's helpers.

use crate::{
    nvme::Direction,
    sys::ffi as bindings, //
};
use core::{
    marker::PhantomData,
    ops::{
        Deref,
        DerefMut, //
    },
    ptr::NonNull, //
};
use kernel::prelude::*;

/// How a request ends: `blk_status_t`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlkStatus(bindings::blk_status_t);

impl BlkStatus {
    /// Success.
    pub(crate) const OK: Self = Self(bindings::BLK_STS_OK);
    /// The device does not support the operation.
    pub(crate) const NOTSUPP: Self = Self(bindings::BLK_STS_NOTSUPP);
    /// No space left.
    pub(crate) const NOSPC: Self = Self(bindings::BLK_STS_NOSPC);
    /// The path to the device failed.
    pub(crate) const TRANSPORT: Self = Self(bindings::BLK_STS_TRANSPORT);
    /// The target failed.
    pub(crate) const TARGET: Self = Self(bindings::BLK_STS_TARGET);
    /// Reservation conflict.
    pub(crate) const RESV_CONFLICT: Self = Self(bindings::BLK_STS_RESV_CONFLICT);
    /// Medium error.
    pub(crate) const MEDIUM: Self = Self(bindings::BLK_STS_MEDIUM);
    /// Protection information error.
    pub(crate) const PROTECTION: Self = Self(bindings::BLK_STS_PROTECTION);
    /// Out of resources for now; only as a result of `Operations::queue_rq`.
    pub(crate) const RESOURCE: Self = Self(bindings::BLK_STS_RESOURCE);
    /// The request is invalid for the device.
    pub(crate) const INVAL: Self = Self(bindings::BLK_STS_INVAL);
    /// I/O error.
    pub(crate) const IOERR: Self = Self(bindings::BLK_STS_IOERR);

    pub(in crate::sys) fn into_raw(self) -> bindings::blk_status_t {
        self.0
    }
}

/// Bytes of the block layer's part of a request.
pub(crate) const REQUEST_SIZE: usize = size_of::<bindings::request>();

/// The operation of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    /// Read sectors.
    Read,
    /// Write sectors.
    Write,
    /// Write back the volatile cache.
    Flush,
    /// Discard the data of sectors.
    Discard,
    /// Make sectors read as zeroes.
    WriteZeroes,
    /// A command of the driver's own.
    Driver,
    /// Anything else.
    Other,
}

impl Op {
    /// The operation in the flags of a request (`cmd_flags`).
    #[inline(always)]
    pub(in crate::sys) fn from_flags(flags: u32) -> Self {
        match flags & bindings::REQ_OP_MASK {
            bindings::req_op_REQ_OP_READ => Self::Read,
            bindings::req_op_REQ_OP_WRITE => Self::Write,
            bindings::req_op_REQ_OP_FLUSH => Self::Flush,
            bindings::req_op_REQ_OP_DISCARD => Self::Discard,
            bindings::req_op_REQ_OP_WRITE_ZEROES => Self::WriteZeroes,
            bindings::req_op_REQ_OP_DRV_IN | bindings::req_op_REQ_OP_DRV_OUT => Self::Driver,
            _ => Self::Other,
        }
    }
}

/// The types of a driver's side of blk-mq.
pub(crate) trait Types: Sized + 'static {
    /// Private data of each request; zeroed when the tag set is allocated, and kept from one use of
    /// the request to the next, on whichever CPU.
    type RequestData: Zeroable + Send;
    /// A hardware queue.
    type Queue: Send + Sync + 'static;
    /// Data of a request queue: the namespace.
    type QueueData: Send + Sync + 'static;
}

/// The driver's queue behind `hctx`.
///
/// # Safety
///
/// `hctx` is of a tag set with `T`'s types.
#[inline(always)]
pub(in crate::sys) unsafe fn hardware_queue<'a, T: Types>(
    hctx: *mut bindings::blk_mq_hw_ctx,
) -> &'a T::Queue {
    // SAFETY: `TagSet::init_hctx` stored a pointer to a queue that the tag set keeps, and the tag
    // set outlives the queues that are made with it.
    unsafe { &*(*hctx).driver_data.cast::<T::Queue>() }
}

/// Reads one field of the C request behind a [`Request`]: by value, never through a reference,
/// because the block layer may write to other fields at any time.
macro_rules! field {
    ($self:ident.$field:ident) => {
        // SAFETY: by the type invariant the request is live. The fields that are read so are set
        // before it is handed to the driver, and do not change until it ends. (Only `rq_flags` may
        // get RQF_TIMED_OUT, which no reader looks at.)
        unsafe { core::ptr::addr_of!((*$self.ptr.as_ptr()).$field).read() }
    };
}

/// An owned request.
///
/// # Invariants
///
/// `ptr` is a live request of a queue made with `T`'s types, and this value is the only one
/// that may end it, requeue it or touch its private data.
#[repr(transparent)]
pub(crate) struct Request<T: Types> {
    ptr: NonNull<bindings::request>,
    _operations: PhantomData<T>,
}

// SAFETY: a request may be ended on any CPU and in any context; its private data is `Send`.
unsafe impl<T: Types> Send for Request<T> {}

impl<T: Types> Request<T> {
    /// Takes over the request behind `ptr`.
    ///
    /// # Safety
    ///
    /// `ptr` is a live request of a queue made with `T`'s types, and from here on no other code
    /// ends it, requeues it or touches its private data.
    #[inline(always)]
    pub(in crate::sys) unsafe fn from_raw(ptr: *mut bindings::request) -> Self {
        // INVARIANT: the caller promises it.
        Self {
            // SAFETY: a live request is not at address 0.
            ptr: unsafe { NonNull::new_unchecked(ptr) },
            _operations: PhantomData,
        }
    }

    /// The C request.
    #[inline(always)]
    pub(in crate::sys) fn as_ptr(&self) -> *mut bindings::request {
        self.ptr.as_ptr()
    }

    /// The C request, as a pointer that is not null.
    #[inline(always)]
    pub(in crate::sys) fn as_non_null(&self) -> NonNull<bindings::request> {
        self.ptr
    }

    /// The hardware queue's tag of the request.
    #[inline(always)]
    pub(crate) fn tag(&self) -> u16 {
        // CAST: a request with the driver has a tag of 0 to 4094: `TagSet::new` bounds the depth.
        field!(self.tag) as u16
    }

    /// The operation.
    #[inline(always)]
    pub(crate) fn op(&self) -> Op {
        Op::from_flags(field!(self.cmd_flags))
    }

    /// Whether the data must be on the medium when the request ends.
    #[inline(always)]
    pub(crate) fn is_fua(&self) -> bool {
        field!(self.cmd_flags) & (1 << bindings::req_flag_bits___REQ_FUA) != 0
    }

    /// Whether the data must be written as a whole or not at all.
    #[inline(always)]
    pub(crate) fn is_atomic(&self) -> bool {
        field!(self.cmd_flags) & (1 << bindings::req_flag_bits___REQ_ATOMIC) != 0
    }

    /// Whether sectors to be zeroed must stay allocated on the device (`REQ_NOUNMAP`).
    pub(crate) fn must_not_unmap(&self) -> bool {
        field!(self.cmd_flags) & (1 << bindings::req_flag_bits___REQ_NOUNMAP) != 0
    }

    /// The direction of an ordinary read or write: a request without any flag that asks for more.
    /// One test.
    #[inline(always)]
    pub(crate) fn ordinary(&self) -> Option<Direction> {
        const MORE: u32 = bindings::REQ_OP_MASK & !1
            | 1 << bindings::req_flag_bits___REQ_FUA
            | 1 << bindings::req_flag_bits___REQ_FAILFAST_DEV
            | 1 << bindings::req_flag_bits___REQ_RAHEAD
            | 1 << bindings::req_flag_bits___REQ_ATOMIC;
        let flags = field!(self.cmd_flags);
        (flags & MORE == 0).then(|| self.direction())
    }

    /// The direction of the data.
    #[inline(always)]
    pub(crate) fn direction(&self) -> Direction {
        if field!(self.cmd_flags) & 1 != 0 {
            Direction::Write
        } else {
            Direction::Read
        }
    }

    /// Whether the request is read-ahead: no reader needs the data yet.
    #[inline(always)]
    pub(crate) fn is_read_ahead(&self) -> bool {
        field!(self.cmd_flags) & (1 << bindings::req_flag_bits___REQ_RAHEAD) != 0
    }

    /// Whether the device should give up early on this request: the submitter can do without it,
    /// or has another copy.
    #[inline(always)]
    pub(crate) fn is_hasty(&self) -> bool {
        const MASK: u32 = 1 << bindings::req_flag_bits___REQ_FAILFAST_DEV
            | 1 << bindings::req_flag_bits___REQ_RAHEAD;
        field!(self.cmd_flags) & MASK != 0
    }

    /// Whether the submitter wants errors early rather than retries.
    pub(crate) fn is_failfast(&self) -> bool {
        const MASK: u32 = 1 << bindings::req_flag_bits___REQ_FAILFAST_DEV
            | 1 << bindings::req_flag_bits___REQ_FAILFAST_TRANSPORT
            | 1 << bindings::req_flag_bits___REQ_FAILFAST_DRIVER;
        field!(self.cmd_flags) & MASK != 0
    }

    /// Whether the submitter has another path to the device, and wants to hear at once that this
    /// one does not work.
    pub(crate) fn has_other_path(&self) -> bool {
        const MASK: u32 = 1 << bindings::req_flag_bits___REQ_FAILFAST_TRANSPORT;
        field!(self.cmd_flags) & MASK != 0
    }

    /// The block layer's flags of the request.
    #[inline(always)]
    pub(in crate::sys) fn flags(&self) -> u32 {
        field!(self.rq_flags)
    }

    /// Whether a function is called when the request ends, as for a part of a flush.
    #[inline(always)]
    pub(in crate::sys) fn has_end_io(&self) -> bool {
        field!(self.end_io).is_some()
    }

    /// Whether a failure should not be logged.
    pub(crate) fn is_quiet(&self) -> bool {
        field!(self.rq_flags) & (1 << bindings::rqf_flags___RQF_QUIET) != 0
    }

    /// The first 512-byte sector.
    #[inline(always)]
    pub(crate) fn sector(&self) -> u64 {
        field!(self.__sector)
    }

    /// The length in bytes.
    #[inline(always)]
    pub(crate) fn bytes(&self) -> u32 {
        field!(self.__data_len)
    }

    /// The number of physically contiguous segments of the data; 0: no data.
    #[inline(always)]
    pub(crate) fn segments(&self) -> u16 {
        field!(self.nr_phys_segments)
    }

    /// Whether segments of the data meet elsewhere than at multiples of 2^`shift` bytes of memory
    /// (`phys_gap_bit` is the lowest bit of an address where they meet, plus one; 0: none).
    #[inline(always)]
    pub(crate) fn has_gaps(&self, shift: u32) -> bool {
        let bit = u32::from(field!(self.phys_gap_bit));
        bit != 0 && bit <= shift
    }

    /// The first bio; null without data.
    #[inline(always)]
    pub(in crate::sys) fn bio(&self) -> *const bindings::bio {
        field!(self.bio)
    }

    /// The pieces of a discard: one for each bio.
    pub(crate) fn pieces(&self) -> Pieces<'_> {
        Pieces {
            next: self.bio(),
            _request: PhantomData,
        }
    }

    /// The data of the queue: the namespace.
    #[inline(always)]
    pub(crate) fn queue_data(&self) -> &T::QueueData {
        let q = field!(self.q);
        // SAFETY: the queue is live as long as the request, and its `queuedata` was set to a
        // `T::QueueData` that outlives it when it was made (`DriverQueue::new`, `Disk::add`).
        unsafe { &*(*q).queuedata.cast::<T::QueueData>() }
    }

    /// The private data of the request.
    #[inline(always)]
    pub(crate) fn private(&self) -> &T::RequestData {
        // SAFETY: see `private_mut`; shared access while `self` is borrowed shared.
        unsafe { &*self.private_ptr() }
    }

    /// The private data of the request.
    #[inline(always)]
    pub(crate) fn private_mut(&mut self) -> &mut T::RequestData {
        // SAFETY: the tag set asked for `size_of::<T::RequestData>()` bytes behind each request,
        // zeroed, which `T::RequestData: Zeroable` takes for a value; the alignment is asserted in
        // `TagSet::new`. By the type invariant no other code
        // touches them.
        unsafe { &mut *self.private_ptr() }
    }

    #[inline(always)]
    fn private_ptr(&self) -> *mut T::RequestData {
        // SAFETY: `blk_mq_rq_to_pdu`: the private data begins where `struct request` ends.
        unsafe { self.ptr.as_ptr().add(1).cast() }
    }

    /// Whether this is the first time that the driver sees the request (it may come again after
    /// [`Started::requeue`]). True once.
    #[inline(always)]
    pub(crate) fn is_first_time(&mut self) -> bool {
        // SAFETY: by the type invariant the request is the driver's, and so is RQF_DONTPREP. The
        // timeout of the block layer may set RQF_TIMED_OUT at the same time, and either flag may
        // get lost. A request that ends does not need RQF_TIMED_OUT; without RQF_DONTPREP it gets
        // one retry more.
        unsafe {
            let place = core::ptr::addr_of_mut!((*self.ptr.as_ptr()).rq_flags);
            let flags = place.read_volatile();
            place.write_volatile(flags | 1 << bindings::rqf_flags___RQF_DONTPREP);
            flags & (1 << bindings::rqf_flags___RQF_DONTPREP) == 0
        }
    }

    /// The direction of the data, as a value of the DMA API.
    #[inline(always)]
    pub(in crate::sys) fn dma_direction(&self) -> bindings::dma_data_direction {
        dma_direction(self.direction())
    }

    /// Starts the request's timer and statistics, just before it goes to the hardware.
    #[inline(always)]
    pub(crate) fn start(self) -> Started<T> {
        // SAFETY: by the type invariant the request is ours and has not been started.
        unsafe { bindings::blk_mq_start_request(self.as_ptr()) };
        Started(self)
    }
}

/// A direction as a value of the DMA API.
#[inline(always)]
pub(in crate::sys) const fn dma_direction(direction: Direction) -> bindings::dma_data_direction {
    match direction {
        Direction::Write => bindings::dma_data_direction::DMA_TO_DEVICE,
        Direction::Read => bindings::dma_data_direction::DMA_FROM_DEVICE,
    }
}

/// First 512-byte sector and number of bytes of each bio of a request.
///
/// # Invariants
///
/// `next` is null or a bio of a request that is the driver's as long as `'a`.
pub(crate) struct Pieces<'a> {
    next: *const bindings::bio,
    _request: PhantomData<&'a ()>,
}

impl Iterator for Pieces<'_> {
    type Item = (u64, u32);

    fn next(&mut self) -> Option<(u64, u32)> {
        if self.next.is_null() {
            return None;
        }
        // SAFETY: by the type invariant this is a bio of a request that is the driver's. Neither
        // the bio nor its place in the list of bios (`__rq_for_each_bio`) changes during that time.
        let (piece, next) = unsafe {
            let iter = core::ptr::addr_of!((*self.next).bi_iter);
            (
                ((*iter).bi_sector, (*iter).bi_size),
                core::ptr::addr_of!((*self.next).bi_next).read(),
            )
        };
        // INVARIANT: the bio after a bio of a request is one of the same request, or null.
        self.next = next;
        Some(piece)
    }
}

/// An owned request whose timer runs.
pub(crate) struct Started<T: Types>(Request<T>);

impl<T: Types> Deref for Started<T> {
    type Target = Request<T>;

    #[inline(always)]
    fn deref(&self) -> &Request<T> {
        &self.0
    }
}

impl<T: Types> DerefMut for Started<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Request<T> {
        &mut self.0
    }
}

impl<T: Types> Started<T> {
    /// Takes over the started request behind `ptr`.
    ///
    /// # Safety
    ///
    /// As for [`Request::from_raw`]. The request has been started and has not ended.
    #[inline(always)]
    pub(in crate::sys) unsafe fn from_raw(ptr: *mut bindings::request) -> Self {
        // SAFETY: the caller promises it.
        Self(unsafe { Request::from_raw(ptr) })
    }

    /// Gives up the start: the caller gives the request back to the block layer as a refused one.
    pub(crate) fn into_request(self) -> Request<T> {
        self.0
    }

    /// Marks the request complete. Returns it if the caller must finish it, on this CPU; else the
    /// block layer calls `Operations::complete` on a CPU of its choice.
    #[inline(always)]
    pub(crate) fn complete_remote(self) -> Option<Self> {
        // SAFETY: by the type invariant the request is ours, and it is started.
        let elsewhere = unsafe { bindings::blk_mq_complete_request_remote(self.0.as_ptr()) };
        if elsewhere {
            return None;
        }
        Some(self)
    }

    /// Ends the request.
    #[inline(always)]
    pub(crate) fn end(self, status: BlkStatus) {
        // SAFETY: by the type invariant the request is ours; ownership ends here.
        unsafe { bindings::blk_mq_end_request(self.0.as_ptr(), status.into_raw()) }
    }
}
