// SPDX-License-Identifier: GPL-2.0

//! blk-mq made safe: requests, tag sets, request queues without a disk.
//!
//! A request is owned by whoever may end it. [`Request`] is what the block layer hands over,
//! [`Started`] one whose timer runs. [`InFlight::arm`] takes a started request for the time that
//! the hardware works on it; [`Reaper::take`] gives it back at most once, and only for the command
//! id that it was armed with. What the device says is therefore never followed to a request that
//! is not the driver's.
//!
//! The names are those that the kernel crate uses or is likely to take, so that this file can go
//! when its `block::mq` has caught up.

use super::ffi as bindings;
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    mem::ManuallyDrop,
    ops::{
        Deref,
        DerefMut, //
    },
    ptr::NonNull,
    sync::atomic::{
        AtomicU32,
        Ordering, //
    },
};
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    },
};

use crate::spec::ids::CommandId;

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
    /// Out of resources for now; only as the answer of [`Operations::queue_rq`].
    pub(crate) const RESOURCE: Self = Self(bindings::BLK_STS_RESOURCE);
    /// I/O error.
    pub(crate) const IOERR: Self = Self(bindings::BLK_STS_IOERR);
    /// The device is offline.
    pub(crate) const OFFLINE: Self = Self(bindings::BLK_STS_OFFLINE);
    /// The request is invalid.
    pub(crate) const INVAL: Self = Self(bindings::BLK_STS_INVAL);

    pub(super) fn into_raw(self) -> bindings::blk_status_t {
        self.0
    }
}

/// What a request asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    /// Read sectors.
    Read,
    /// Write sectors.
    Write,
    /// Write back the volatile cache.
    Flush,
    /// A command of the driver's own.
    Driver,
    /// Anything else.
    Other,
}

/// What a timeout handler decides.
pub(crate) enum Timeout {
    /// The request has been completed or will be.
    Done,
    /// Wait once more.
    Again,
}

/// A driver's side of blk-mq.
pub(crate) trait Operations: Sized + 'static {
    /// Private data of each request; zeroed when allocated, kept from use to use.
    type Pdu: Zeroable;
    /// A hardware queue.
    type Queue: Send + Sync + 'static;
    /// Data of a request queue: the namespace.
    type QueueData: Send + Sync + 'static;

    /// Takes a request: to the hardware, or back with the reason.
    fn queue_rq(
        queue: &Self::Queue,
        rq: Request<Self>,
        last: bool,
    ) -> Result<(), (Request<Self>, BlkStatus)>;
    /// Announces to the hardware what was queued with `last == false`.
    fn commit_rqs(queue: &Self::Queue);
    /// Finishes a request on the CPU that the block layer chose.
    fn complete(queue: &Self::Queue, rq: Started<Self>);
    /// A request has been with the hardware for too long.
    fn timeout(queue: &Self::Queue, rq: &TimedOut<'_, Self>) -> Timeout;
}

/// An owned request.
///
/// # Invariants
///
/// `ptr` is a live request of a queue made with `T`'s operations, and this value is the only one
/// that may end it, requeue it or touch its private data.
pub(crate) struct Request<T: Operations> {
    ptr: NonNull<bindings::request>,
    _operations: PhantomData<T>,
}

// SAFETY: a request may be ended on any CPU and in any context; its private data is plain.
unsafe impl<T: Operations> Send for Request<T> {}

impl<T: Operations> Request<T> {
    /// The C request.
    #[inline(always)]
    pub(super) fn as_ptr(&self) -> *mut bindings::request {
        self.ptr.as_ptr()
    }

    /// The C request, to read fields of that only the block layer writes, and not now.
    #[inline(always)]
    fn rq(&self) -> &bindings::request {
        // SAFETY: by the type invariant the request is live. The fields read through this
        // reference are set up before it is handed to the driver and do not change until it ends.
        unsafe { self.ptr.as_ref() }
    }

    /// The hardware queue's tag of the request.
    #[inline(always)]
    pub(crate) fn tag(&self) -> u16 {
        // CAST: a request with the driver has a tag of 0 to 4094: `TagSet::new` bounds the depth.
        self.rq().tag as u16
    }

    /// The operation.
    #[inline(always)]
    pub(crate) fn op(&self) -> Op {
        match self.rq().cmd_flags & bindings::REQ_OP_MASK {
            bindings::req_op_REQ_OP_READ => Op::Read,
            bindings::req_op_REQ_OP_WRITE => Op::Write,
            bindings::req_op_REQ_OP_FLUSH => Op::Flush,
            bindings::req_op_REQ_OP_DRV_IN | bindings::req_op_REQ_OP_DRV_OUT => Op::Driver,
            _ => Op::Other,
        }
    }

    /// Whether the data must be on the medium when the request ends.
    #[inline(always)]
    pub(crate) fn is_fua(&self) -> bool {
        self.rq().cmd_flags & (1 << bindings::req_flag_bits___REQ_FUA) != 0
    }

    /// Whether the submitter wants errors early rather than retries.
    pub(crate) fn is_failfast(&self) -> bool {
        const MASK: u32 = 1 << bindings::req_flag_bits___REQ_FAILFAST_DEV
            | 1 << bindings::req_flag_bits___REQ_FAILFAST_TRANSPORT
            | 1 << bindings::req_flag_bits___REQ_FAILFAST_DRIVER;
        self.rq().cmd_flags & MASK != 0
    }

    /// Whether a failure should not be logged.
    pub(crate) fn is_quiet(&self) -> bool {
        self.rq().rq_flags & (1 << bindings::rqf_flags___RQF_QUIET) != 0
    }

    /// The first 512-byte sector.
    #[inline(always)]
    pub(crate) fn sector(&self) -> u64 {
        self.rq().__sector
    }

    /// The length in bytes.
    #[inline(always)]
    pub(crate) fn bytes(&self) -> u32 {
        self.rq().__data_len
    }

    /// The number of physically contiguous pieces that the data is in; 0: no data.
    #[inline(always)]
    pub(crate) fn segments(&self) -> u16 {
        self.rq().nr_phys_segments
    }

    /// Whether the one segment of the request is one piece of memory from first to last byte.
    #[inline(always)]
    pub(crate) fn is_single(&self) -> bool {
        self.segments() == 1 && self.first_bvec().bv_len == self.bytes()
    }

    /// The data of the queue: the namespace.
    #[inline(always)]
    pub(crate) fn queue_data(&self) -> &T::QueueData {
        // SAFETY: the queue is live as long as the request, and its `queuedata` was set to a
        // `T::QueueData` that outlives it when it was made (`RequestQueue::new`, `Disk::add`).
        unsafe { &*(*self.rq().q).queuedata.cast::<T::QueueData>() }
    }

    /// The private data of the request.
    #[inline(always)]
    pub(crate) fn pdu(&self) -> &T::Pdu {
        // SAFETY: see `pdu_mut`; shared access while `self` is borrowed shared.
        unsafe { &*self.pdu_ptr() }
    }

    /// The private data of the request.
    #[inline(always)]
    pub(crate) fn pdu_mut(&mut self) -> &mut T::Pdu {
        // SAFETY: the tag set asked for `size_of::<T::Pdu>()` bytes behind each request, zeroed,
        // which `T::Pdu: Zeroable` takes for a value; the alignment is asserted in `TagSet::new`.
        // By the type invariant nobody else touches them.
        unsafe { &mut *self.pdu_ptr() }
    }

    #[inline(always)]
    fn pdu_ptr(&self) -> *mut T::Pdu {
        // SAFETY: `blk_mq_rq_to_pdu`: the private data begins where `struct request` ends.
        unsafe { self.ptr.as_ptr().add(1).cast() }
    }

    /// Whether this is the first time that the driver sees the request (it may come again after
    /// [`Started::requeue`]). True once.
    #[inline(always)]
    pub(crate) fn is_first_time(&mut self) -> bool {
        // SAFETY: by the type invariant the request is the driver's, and so is this flag.
        let flags = unsafe { &mut (*self.ptr.as_ptr()).rq_flags };
        let first = *flags & (1 << bindings::rqf_flags___RQF_DONTPREP) == 0;
        *flags |= 1 << bindings::rqf_flags___RQF_DONTPREP;
        first
    }

    /// The memory of the first segment. The request must have data, else an empty one.
    #[inline(always)]
    pub(super) fn first_bvec(&self) -> bindings::bio_vec {
        let bio = self.rq().bio;
        if bio.is_null() {
            return bindings::bio_vec::default();
        }
        // SAFETY: a request's `bio` is valid while the request is, and its iterator points to an
        // element of its vector (`mp_bvec_iter_bvec`).
        unsafe {
            let iter = core::ptr::addr_of!((*bio).bi_iter);
            let done = (*iter).bi_offset;
            // CAST: u32 to usize widens.
            let bv = (*bio).bi_io_vec.add((*iter).bi_idx as usize);
            bindings::bio_vec {
                bv_page: (*bv).bv_page,
                bv_len: (*iter).bi_size.min((*bv).bv_len.wrapping_sub(done)),
                bv_offset: (*bv).bv_offset.wrapping_add(done),
            }
        }
    }

    /// Which way the data goes.
    #[inline(always)]
    pub(super) fn dma_direction(&self) -> bindings::dma_data_direction {
        if self.rq().cmd_flags & 1 != 0 {
            bindings::dma_data_direction::DMA_TO_DEVICE
        } else {
            bindings::dma_data_direction::DMA_FROM_DEVICE
        }
    }

    /// Starts the request's timer and statistics: it is about to go to the hardware.
    #[inline(always)]
    pub(crate) fn start(self) -> Started<T> {
        // SAFETY: by the type invariant the request is ours and has not been started.
        unsafe { bindings::blk_mq_start_request(self.as_ptr()) };
        Started(self)
    }
}

/// An owned request whose timer runs.
pub(crate) struct Started<T: Operations>(Request<T>);

impl<T: Operations> Deref for Started<T> {
    type Target = Request<T>;

    #[inline(always)]
    fn deref(&self) -> &Request<T> {
        &self.0
    }
}

impl<T: Operations> DerefMut for Started<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Request<T> {
        &mut self.0
    }
}

impl<T: Operations> Started<T> {
    /// Gives up on starting: the request goes back to the block layer as a refused one.
    pub(crate) fn into_request(self) -> Request<T> {
        self.0
    }

    /// Marks the request complete. Returns it if it shall be finished here and now; else the
    /// block layer calls [`Operations::complete`] on a CPU of its choice.
    #[inline(always)]
    pub(crate) fn complete_remote(self) -> Option<Self> {
        // SAFETY: by the type invariant the request is ours, and it is started.
        let elsewhere = unsafe { bindings::blk_mq_complete_request_remote(self.0.as_ptr()) };
        (!elsewhere).then_some(self)
    }

    /// Ends the request.
    #[inline(always)]
    pub(crate) fn end(self, status: BlkStatus) {
        // SAFETY: by the type invariant the request is ours; ownership ends here.
        unsafe { bindings::blk_mq_end_request(self.0.as_ptr(), status.into_raw()) }
    }

    /// Gives the request back to be queued again.
    pub(crate) fn requeue(self) {
        // SAFETY: by the type invariant the request is ours; ownership ends here.
        unsafe { bindings::blk_mq_requeue_request(self.0.as_ptr(), true) }
    }
}

/// A request whose time is up, borrowed for the timeout handler: it may complete meanwhile.
pub(crate) struct TimedOut<'a, T: Operations> {
    rq: &'a UnsafeCell<bindings::request>,
    _operations: PhantomData<T>,
}

impl<T: Operations> TimedOut<'_, T> {
    /// Whether the hardware still has it.
    pub(crate) fn is_in_flight(&self) -> bool {
        // SAFETY: the block layer holds a reference to the request during the callback.
        let state = unsafe { core::ptr::addr_of!((*self.rq.get()).state).read_volatile() };
        state == bindings::mq_rq_state_MQ_RQ_IN_FLIGHT
    }

    /// The tag of the request.
    pub(crate) fn tag(&self) -> i32 {
        // SAFETY: as above.
        unsafe { core::ptr::addr_of!((*self.rq.get()).tag).read_volatile() }
    }
}

/// One tag's entry of [`InFlight`].
struct Slot {
    /// `ARMED | command id` while the hardware has the request, else 0.
    state: AtomicU32,
    /// The generation of the last command id; of the owner of the tag.
    generation: UnsafeCell<u8>,
    /// The request; valid while `state` is armed.
    rq: UnsafeCell<*mut bindings::request>,
}

const ARMED: u32 = 1 << 16;

/// The requests that the hardware has, by tag: the side that puts them in.
///
/// Why the slots need no lock: a tag belongs to one request at a time, so [`InFlight::arm`] has
/// its slot to itself until `state` is stored; from then on the one [`Reaper`] has it until it
/// stores 0, and only then can the request end and the tag find a new owner.
pub(crate) struct InFlight<T: Operations> {
    slots: Arc<Slots<T>>,
}

/// The requests that the hardware has, by tag: the side that takes them out. There is one for
/// each [`InFlight`], and taking needs it exclusively.
pub(crate) struct Reaper<T: Operations> {
    slots: Arc<Slots<T>>,
}

struct Slots<T: Operations> {
    slots: KVec<Slot>,
    _operations: PhantomData<T>,
}

// SAFETY: see the protocol at `InFlight`: no slot is accessed by two owners at once. The requests
// in it are `Send`.
unsafe impl<T: Operations> Send for Slots<T> {}
// SAFETY: as above.
unsafe impl<T: Operations> Sync for Slots<T> {}

impl<T: Operations> InFlight<T> {
    /// Room for tags 0 to `depth - 1`, nothing in flight.
    pub(crate) fn new(depth: u16) -> Result<(Self, Reaper<T>)> {
        let mut slots = KVec::with_capacity(depth.into(), GFP_KERNEL)?;
        for _ in 0..depth {
            slots.push(
                Slot {
                    state: AtomicU32::new(0),
                    generation: UnsafeCell::new(0),
                    rq: UnsafeCell::new(core::ptr::null_mut()),
                },
                GFP_KERNEL,
            )?;
        }
        let slots = Arc::new(
            Slots {
                slots,
                _operations: PhantomData,
            },
            GFP_KERNEL,
        )?;
        let reaper = Reaper {
            slots: slots.clone(),
        };
        Ok((Self { slots }, reaper))
    }

    /// Lends `rq` to the hardware and returns the command id to name it by.
    ///
    /// # Errors
    ///
    /// Gives the request back if its tag has no slot or the slot is in use, which only a bug of
    /// the block layer can cause.
    #[inline(always)]
    pub(crate) fn arm(&self, rq: Started<T>) -> Result<CommandId, Started<T>> {
        let tag = rq.tag();
        let Some(slot) = self.slots.slots.get(usize::from(tag)) else {
            return Err(rq);
        };
        if slot.state.load(Ordering::Relaxed) != 0 {
            return Err(rq);
        }
        // SAFETY: `rq` owns its tag and the slot is not armed, so this slot is ours (see above).
        let generation = unsafe { &mut *slot.generation.get() };
        *generation = generation.wrapping_add(1);
        let cid = CommandId::new(tag, *generation);
        // SAFETY: as above.
        unsafe { *slot.rq.get() = rq.as_ptr() };
        // Pairs with the acquire load in `take`: who sees the id sees the request, and all that
        // was written to its private data.
        slot.state
            .store(ARMED | u32::from(cid.raw()), Ordering::Release);
        Ok(cid)
    }
}

impl<T: Operations> Reaper<T> {
    /// Takes the request that was armed with command id `cid` back, if there is one: the device
    /// may say anything.
    #[inline(always)]
    pub(crate) fn take(&mut self, cid: CommandId) -> Option<Started<T>> {
        let slot = self.slots.slots.get(usize::from(cid.tag()))?;
        if slot.state.load(Ordering::Acquire) != ARMED | u32::from(cid.raw()) {
            return None;
        }
        Some(Self::release(slot))
    }

    /// Takes any request that is still with the hardware, which must have been stopped.
    pub(crate) fn take_any(&mut self) -> Option<Started<T>> {
        let slot = self
            .slots
            .slots
            .iter()
            .find(|slot| slot.state.load(Ordering::Acquire) != 0)?;
        Some(Self::release(slot))
    }

    /// Whether the hardware has any request.
    pub(crate) fn is_idle(&self) -> bool {
        self.slots
            .slots
            .iter()
            .all(|slot| slot.state.load(Ordering::Acquire) == 0)
    }

    #[inline(always)]
    fn release(slot: &Slot) -> Started<T> {
        // SAFETY: the slot is armed and there is one reaper, borrowed exclusively by our caller,
        // so the slot is ours until `state` is cleared.
        let rq = unsafe { *slot.rq.get() };
        slot.state.store(0, Ordering::Relaxed);
        // INVARIANT: `arm` took the request, started, from its only owner; this is its one way
        // out of the slot.
        Started(Request {
            // SAFETY: `arm` stored a non-null pointer before it armed the slot.
            ptr: unsafe { NonNull::new_unchecked(rq) },
            _operations: PhantomData,
        })
    }
}

/// How CPUs are mapped to hardware queues.
pub(crate) enum QueueMap {
    /// Spread over the queues by topology.
    Spread,
    /// Queue `i` to the CPUs that vector `i + offset` of the device interrupts.
    Vectors {
        /// The device that has the vectors.
        dev: ARef<kernel::device::Device>,
        /// The vector of the first queue.
        offset: u32,
    },
}

/// A set of tags and hardware queues.
pub(crate) struct TagSet<T: Operations> {
    /// Boxed, so that the address does not change: C keeps pointers into it.
    inner: ManuallyDrop<KBox<Inner<T>>>,
}

struct Inner<T: Operations> {
    set: UnsafeCell<bindings::blk_mq_tag_set>,
    queues: KVec<Arc<T::Queue>>,
    map: QueueMap,
}

// SAFETY: blk-mq synchronises access to the tag set itself; the rest does not change.
unsafe impl<T: Operations> Send for TagSet<T> {}
// SAFETY: as above.
unsafe impl<T: Operations> Sync for TagSet<T> {}

impl<T: Operations> TagSet<T> {
    const OPS: bindings::blk_mq_ops = bindings::blk_mq_ops {
        queue_rq: Some(Self::queue_rq),
        commit_rqs: Some(Self::commit_rqs),
        complete: Some(Self::complete),
        timeout: Some(Self::timeout),
        init_hctx: Some(Self::init_hctx),
        map_queues: Some(Self::map_queues),
        ..pin_init::zeroed()
    };

    /// One hardware queue for each of `queues`, `depth` tags each; requests time out after
    /// `timeout_ms` milliseconds.
    ///
    /// # Errors
    ///
    /// `EINVAL` without queues or for a depth beyond the tag bits of a command id, `ENOMEM`.
    pub(crate) fn new(
        queues: KVec<Arc<T::Queue>>,
        depth: u16,
        node: i32,
        timeout_ms: u32,
        map: QueueMap,
    ) -> Result<Arc<Self>> {
        const { assert!(align_of::<T::Pdu>() <= align_of::<bindings::request>()) };
        if queues.is_empty() || depth == 0 || depth > CommandId::MAX_TAGS {
            return Err(EINVAL);
        }
        let inner = KBox::new(
            Inner::<T> {
                set: UnsafeCell::new(pin_init::zeroed()),
                queues,
                map,
            },
            GFP_KERNEL,
        )?;
        // SAFETY: nobody else knows the set yet.
        let set = unsafe { &mut *inner.set.get() };
        set.ops = &Self::OPS;
        set.nr_hw_queues = u32::try_from(inner.queues.len())?;
        set.nr_maps = 1;
        set.queue_depth = depth.into();
        set.cmd_size = u32::try_from(size_of::<T::Pdu>())?;
        set.numa_node = node;
        // CAST: jiffies of a bounded number of milliseconds fit.
        set.timeout = kernel::time::msecs_to_jiffies(timeout_ms) as u32;
        set.driver_data = core::ptr::from_ref(&*inner).cast_mut().cast();
        // SAFETY: `set` is filled in, boxed, and freed by `Drop` only.
        to_result(unsafe { bindings::blk_mq_alloc_tag_set(set) })?;
        let set = Self {
            inner: ManuallyDrop::new(inner),
        };
        Ok(Arc::new(set, GFP_KERNEL)?)
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::blk_mq_tag_set {
        self.inner.set.get()
    }

    /// Stops all queues of the set from dispatching and waits until none is at it. Requests wait.
    pub(crate) fn quiesce(&self) {
        // SAFETY: the set is allocated.
        unsafe { bindings::blk_mq_quiesce_tagset(self.as_ptr()) }
    }

    /// Undoes [`Self::quiesce`].
    pub(crate) fn unquiesce(&self) {
        // SAFETY: the set is allocated.
        unsafe { bindings::blk_mq_unquiesce_tagset(self.as_ptr()) }
    }

    /// # Safety
    ///
    /// `hctx` is a hardware queue that [`Self::init_hctx`] has seen.
    #[inline(always)]
    unsafe fn queue<'a>(hctx: *mut bindings::blk_mq_hw_ctx) -> &'a T::Queue {
        // SAFETY: `init_hctx` stored a pointer to a queue that the tag set keeps, and the tag set
        // outlives the queues that are made with it.
        unsafe { &*(*hctx).driver_data.cast::<T::Queue>() }
    }

    unsafe extern "C" fn queue_rq(
        hctx: *mut bindings::blk_mq_hw_ctx,
        data: *const bindings::blk_mq_queue_data,
    ) -> bindings::blk_status_t {
        // SAFETY: blk-mq calls this with a hardware queue of this set and valid data.
        let (queue, rq, last) = unsafe { (Self::queue(hctx), (*data).rq, (*data).last) };
        // INVARIANT: blk-mq hands the request over: it is live and ours until ended, or until
        // this function returns an error.
        let rq = Request {
            // SAFETY: never null.
            ptr: unsafe { NonNull::new_unchecked(rq) },
            _operations: PhantomData,
        };
        match T::queue_rq(queue, rq, last) {
            Ok(()) => bindings::BLK_STS_OK,
            Err((_rq, status)) => status.into_raw(),
        }
    }

    unsafe extern "C" fn commit_rqs(hctx: *mut bindings::blk_mq_hw_ctx) {
        // SAFETY: blk-mq calls this with a hardware queue of this set.
        T::commit_rqs(unsafe { Self::queue(hctx) })
    }

    unsafe extern "C" fn complete(rq: *mut bindings::request) {
        // SAFETY: blk-mq calls this with a request that `complete_remote` gave it, of this set.
        let queue = unsafe { Self::queue((*rq).mq_hctx) };
        // INVARIANT: `complete_remote` passed the ownership to blk-mq, and here it comes back.
        let rq = Started(Request {
            // SAFETY: never null.
            ptr: unsafe { NonNull::new_unchecked(rq) },
            _operations: PhantomData,
        });
        T::complete(queue, rq)
    }

    unsafe extern "C" fn timeout(rq: *mut bindings::request) -> bindings::blk_eh_timer_return {
        // SAFETY: blk-mq calls this with a request of this set that it holds a reference to.
        let (queue, rq) = unsafe { (Self::queue((*rq).mq_hctx), &*rq.cast()) };
        let rq = TimedOut {
            rq,
            _operations: PhantomData,
        };
        match T::timeout(queue, &rq) {
            Timeout::Done => bindings::blk_eh_timer_return_BLK_EH_DONE,
            Timeout::Again => bindings::blk_eh_timer_return_BLK_EH_RESET_TIMER,
        }
    }

    unsafe extern "C" fn init_hctx(
        hctx: *mut bindings::blk_mq_hw_ctx,
        data: *mut c_void,
        index: c_uint,
    ) -> c_int {
        // SAFETY: `data` is the `driver_data` that `new` set: the boxed `Inner`, which the tag
        // set keeps while it has queues.
        let inner = unsafe { &*data.cast::<Inner<T>>() };
        // CAST: u32 to usize widens.
        let Some(queue) = inner.queues.get(index as usize) else {
            return EINVAL.to_errno();
        };
        // SAFETY: blk-mq passes a hardware queue that is being set up.
        unsafe { (*hctx).driver_data = Arc::as_ptr(queue).cast_mut().cast() };
        0
    }

    unsafe extern "C" fn map_queues(set: *mut bindings::blk_mq_tag_set) {
        // SAFETY: `set` is that of a boxed `Inner`, see `new`; its map is being set up.
        let (inner, map) = unsafe {
            (
                &*(*set).driver_data.cast::<Inner<T>>(),
                &raw mut (*set).map[0],
            )
        };
        // SAFETY: `map` is the set's map, and `dev` a valid device.
        unsafe {
            match &inner.map {
                QueueMap::Spread => bindings::blk_mq_map_queues(map),
                QueueMap::Vectors { dev, offset } => {
                    bindings::blk_mq_map_hw_queues(map, super::pci::raw_device(dev), *offset)
                }
            }
        }
    }
}

impl<T: Operations> Drop for TagSet<T> {
    fn drop(&mut self) {
        // SAFETY: `new` allocated the set; disks and queues made with it hold a count of `self`,
        // so there are none any more. The box is dropped once, after C is done with it.
        unsafe {
            bindings::blk_mq_free_tag_set(self.as_ptr());
            ManuallyDrop::drop(&mut self.inner);
        }
    }
}

/// A request queue without a disk, for commands of the driver's own.
pub(crate) struct RequestQueue<T: Operations> {
    q: NonNull<bindings::request_queue>,
    _data: Arc<T::QueueData>,
    set: Arc<TagSet<T>>,
}

// SAFETY: a request queue is used from any thread; the data is `Send` and `Sync`.
unsafe impl<T: Operations> Send for RequestQueue<T> {}
// SAFETY: as above.
unsafe impl<T: Operations> Sync for RequestQueue<T> {}

/// Which way the data of a command goes, and where it is.
pub(crate) enum Buffer<'a> {
    /// No data.
    None,
    /// The device fills it.
    Read(&'a mut [u8]),
}

impl<T: Operations> RequestQueue<T> {
    /// A queue of `set` for commands with up to `max_transfer` bytes of data, the pieces of which
    /// meet at multiples of `boundary` bytes.
    pub(crate) fn new(
        set: Arc<TagSet<T>>,
        data: Arc<T::QueueData>,
        boundary: usize,
        max_transfer: u32,
    ) -> Result<Self> {
        let mut limits = bindings::queue_limits {
            max_hw_sectors: max_transfer >> bindings::SECTOR_SHIFT,
            // CAST: usize to unsigned long is the identity.
            virt_boundary_mask: boundary.wrapping_sub(1),
            dma_alignment: 3,
            ..Default::default()
        };
        // SAFETY: the set is allocated and outlives the queue, which holds a count of it; so does
        // the data.
        let q = from_err_ptr(unsafe {
            bindings::blk_mq_alloc_queue(
                set.as_ptr(),
                &mut limits,
                Arc::as_ptr(&data).cast_mut().cast(),
            )
        })?;
        Ok(Self {
            q: NonNull::new(q).ok_or(ENOMEM)?,
            _data: data,
            set,
        })
    }

    /// The tag set of the queue.
    pub(crate) fn set(&self) -> &TagSet<T> {
        &self.set
    }

    /// Executes one command and waits for its end: `fill` writes the request's private data
    /// before, `read` sees it afterwards. The timeout handler bounds the wait.
    ///
    /// # Errors
    ///
    /// What allocating and mapping the request returns; `EIO` and the like if it ended with an
    /// error, unless `read` says otherwise.
    pub(crate) fn execute<R>(
        &self,
        buffer: Buffer<'_>,
        fill: impl FnOnce(&mut T::Pdu),
        read: impl FnOnce(&T::Pdu, Result) -> Result<R>,
    ) -> Result<R> {
        // SAFETY: the queue is live.
        let rq = from_err_ptr(unsafe {
            bindings::blk_mq_alloc_request(self.q.as_ptr(), bindings::req_op_REQ_OP_DRV_IN, 0)
        })?;
        let ptr = NonNull::new(rq).ok_or(ENOMEM)?;
        // INVARIANT: the request was just allocated and is ours until it is executed.
        let mut owned = Request::<T> {
            ptr,
            _operations: PhantomData,
        };
        fill(owned.pdu_mut());
        let mapped = match buffer {
            Buffer::None => 0,
            // SAFETY: the request is ours; the buffer is borrowed until it has been executed,
            // below. A buffer that the device could not reach is bounced by the block layer.
            Buffer::Read(buf) => unsafe {
                bindings::blk_rq_map_kern(
                    rq,
                    buf.as_mut_ptr().cast(),
                    u32::try_from(buf.len()).unwrap_or(u32::MAX),
                    bindings::GFP_KERNEL,
                )
            },
        };
        let result = to_result(mapped).and_then(|()| {
            // SAFETY: the request is set up; it comes back ended.
            let status = unsafe { bindings::blk_execute_rq(rq, false) };
            // SAFETY: converts a number.
            to_result(unsafe { bindings::blk_status_to_errno(status) })
        });
        // INVARIANT: the request has ended or never started, and is not freed: ours again.
        let result = read(owned.pdu(), result);
        // SAFETY: allocated above, not in flight, freed once.
        unsafe { bindings::blk_mq_free_request(rq) };
        result
    }
}

impl<T: Operations> Drop for RequestQueue<T> {
    fn drop(&mut self) {
        // SAFETY: `new` made the queue; this waits for its requests and gives it up.
        unsafe {
            bindings::blk_mq_destroy_queue(self.q.as_ptr());
            bindings::blk_put_queue(self.q.as_ptr());
        }
    }
}

/// How many hardware queues make sense on this machine: one for each CPU that there may be.
pub(crate) fn possible_queues() -> u32 {
    // SAFETY: counts CPUs; 0 means no limit.
    unsafe { bindings::blk_mq_num_possible_queues(0) }
}
