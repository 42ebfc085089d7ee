// SPDX-License-Identifier: GPL-2.0

//! blk-mq made safe: the operations of a driver, tag sets.
//!
//! The names are those that the kernel crate uses or is likely to take, so that this file can go
//! when its `block::mq` has caught up.

use super::{
    batch::{
        split,
        Completed,
        Submissions, //
    },
    queue_map::QueueMap,
    request::{
        hardware_queue,
        BlkStatus,
        Request,
        Started,
        Types, //
    },
    timeout::{
        Patience,
        TimedOut, //
    },
};
use crate::{
    nvme::CommandId,
    sys::{
        base::NoIo,
        ffi as bindings, //
    },
};
use core::{
    cell::UnsafeCell,
    mem::ManuallyDrop,
    sync::atomic::{
        AtomicBool,
        Ordering, //
    }, //
};
use kernel::{
    error::to_result,
    new_mutex,
    prelude::*,
    sync::{
        lock::{
            mutex::MutexBackend,
            Guard, //
        },
        Arc,
        Mutex, //
    }, //
};

/// What a timeout handler decides.
pub(crate) enum Timeout {
    /// The request has been completed or will be.
    Done,
    /// Wait once more.
    Again,
}

/// A driver's side of blk-mq.
pub(crate) trait Operations: Types {
    /// Takes a request: to the hardware, or back with the reason.
    fn queue_rq(
        queue: &Self::Queue,
        rq: Request<Self>,
        last: bool,
    ) -> Result<(), (Request<Self>, BlkStatus)>;
    /// Takes a plug's requests for one queue, as far as it can; what it refuses comes again
    /// through [`Self::queue_rq`].
    fn queue_rqs(queue: &Self::Queue, requests: &mut Submissions<'_, Self>);
    /// What becomes of a request, its data unmapped, that the queue does not take: it is closed, or
    /// the request's slot is in use for a moment.
    fn turned_away(queue: &Self::Queue, rq: Started<Self>);
    /// Announces to the hardware what was queued with `last == false`.
    fn commit_rqs(queue: &Self::Queue);
    /// Finishes a request on the CPU that the block layer chose.
    fn complete(queue: &Self::Queue, rq: Started<Self>);
    /// Looks for completions of a queue without interrupts; returns whether there were any.
    fn poll(queue: &Self::Queue, done: &mut Completed<Self>) -> bool;
    /// A request has been with the hardware for too long.
    fn timeout(queue: &Self::Queue, rq: &TimedOut<'_, Self>) -> Timeout;
}

/// Finishes a request here and now, on behalf of its own queue, whichever queue its command went
/// through.
#[cold]
#[inline(never)]
pub(crate) fn finish<T: Operations>(rq: Started<T>) {
    // SAFETY: the request is live, and so is its hardware queue, which is of a tag set with `T`'s
    // types.
    let queue = unsafe { hardware_queue::<T>((*rq.as_ptr()).mq_hctx) };
    T::complete(queue, rq);
}

/// What blk-mq is told of a request that the driver does not take.
///
/// blk-mq ends the request that it handed over, so that must be the one given back. A driver that
/// gives back another one loses both, which is harmless to memory.
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

/// The hardware queues of a set, and how CPUs are mapped to them.
struct Hardware<T: Operations> {
    queues: KVec<Arc<T::Queue>>,
    map: QueueMap,
}

impl<T: Operations> Hardware<T> {
    /// Checks that there are as many queues as the map says.
    fn new(queues: KVec<Arc<T::Queue>>, map: QueueMap) -> Result<(Self, u32)> {
        let total = map.counts.total();
        // CAST: u32 to usize widens.
        if total == 0 || queues.len() != total as usize {
            return Err(EINVAL);
        }
        Ok((Self { queues, map }, total))
    }
}

/// A set of tags and hardware queues.
pub(crate) struct TagSet<T: Operations> {
    /// Boxed, so that the address does not change: C keeps pointers into it.
    inner: ManuallyDrop<Pin<KBox<Inner<T>>>>,
}

/// # Invariants
///
/// `hardware` is changed by [`TagSet::update_queues`] only, with `changes` held, and read by `init_hctx` and
/// `map_queues` only, which blk-mq calls when the set is made, when a queue is made with it and when
/// the set is updated: with `changes` held, too. blk-mq has no more queues than there are.
#[pin_data]
struct Inner<T: Operations> {
    set: UnsafeCell<bindings::blk_mq_tag_set>,
    hardware: UnsafeCell<Hardware<T>>,
    /// Whether blk-mq has looked at the queues since they were changed.
    taken: AtomicBool,
    /// LOCK: the hardware queues of a tag set, while they are exchanged and while a request queue is
    /// made; inside: only locks of the block layer, freezing included. Allocations do no I/O.
    #[pin]
    changes: Mutex<()>,
    /// LOCK: whether the queues of a tag set dispatch; inside: only locks of the block layer. The
    /// time-out handlers take it, so nothing that waits for I/O is done with it held.
    #[pin]
    quiesced: Mutex<Quiesced>,
}

/// The disks' queues, and how often they were forbidden to dispatch.
struct Quiesced {
    depth: u32,
    queues: KVec<Listed>,
}

/// A queue that [`TagSet::list`] was given.
struct Listed(*mut bindings::request_queue);

// SAFETY: it is used by C functions that may be called by any thread.
unsafe impl Send for Listed {}

/// The hardware queues of a set do not change as long as this lives, and its thread gets no memory
/// that I/O would have to be waited for: a change may wait for this one, and I/O for the change.
pub(in crate::sys) struct Steady<'a> {
    _lock: Guard<'a, (), MutexBackend>,
    _noio: NoIo,
}

// SAFETY: blk-mq synchronises access to the tag set itself; for the rest see `Inner`.
unsafe impl<T: Operations> Send for TagSet<T> {}
// SAFETY: as above.
unsafe impl<T: Operations> Sync for TagSet<T> {}

impl<T: Operations> TagSet<T> {
    const OPS: &'static bindings::blk_mq_ops = &bindings::blk_mq_ops {
        queue_rq: Some(Self::queue_rq),
        queue_rqs: Some(Self::queue_rqs),
        commit_rqs: Some(Self::commit_rqs),
        complete: Some(Self::complete),
        timeout: Some(Self::timeout),
        init_hctx: Some(Self::init_hctx),
        map_queues: Some(Self::map_queues),
        poll: Some(Self::poll),
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
        if depth == 0 || depth > CommandId::MAX_TAGS {
            return Err(EINVAL);
        }
        let polled = map.counts.poll > 0;
        let (hardware, total) = Hardware::new(queues, map)?;
        let inner = KBox::pin_init(
            pin_init!(Inner::<T> {
                set: UnsafeCell::new(pin_init::zeroed()),
                hardware: UnsafeCell::new(hardware),
                taken: AtomicBool::new(false),
                changes <- new_mutex!(()),
                quiesced <- new_mutex!(Quiesced { depth: 0, queues: KVec::new() }),
            }),
            GFP_KERNEL,
        )?;
        // SAFETY: nobody else knows the set yet.
        let set = unsafe { &mut *inner.set.get() };
        set.ops = Self::OPS;
        set.nr_hw_queues = total;
        // Poll queues make the block layer offer polling; the read map is cheap.
        set.nr_maps = if polled { 3 } else { 2 };
        set.queue_depth = depth.into();
        set.cmd_size = u32::try_from(size_of::<T::Pdu>())?;
        set.numa_node = node;
        set.timeout = Patience::from_millis(timeout_ms).jiffies();
        set.driver_data = core::ptr::from_ref(&*inner).cast_mut().cast();
        // SAFETY: `set` is filled in, boxed, and freed by `Drop` only.
        to_result(unsafe { bindings::blk_mq_alloc_tag_set(set) })?;
        let set = Self {
            inner: ManuallyDrop::new(inner),
        };
        Ok(Arc::new(set, GFP_KERNEL)?)
    }

    pub(in crate::sys) fn as_ptr(&self) -> *mut bindings::blk_mq_tag_set {
        self.inner.set.get()
    }

    /// Keeps the hardware queues as they are.
    pub(in crate::sys) fn keep_steady(&self) -> Steady<'_> {
        let noio = NoIo::new();
        Steady {
            _lock: self.inner.changes.lock(),
            _noio: noio,
        }
    }

    /// Exchanges the hardware queues for others, as many as there are then, and returns how many
    /// of them are used: fewer, if there is no memory to use more than before. The kinds that the
    /// set was made without cannot come. Waits for all requests of the set, so they must be able to
    /// end: the set must not be quiesced.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the map does not fit. `ENOMEM`: the old queues stay in use.
    pub(crate) fn update_queues(&self, queues: KVec<Arc<T::Queue>>, map: QueueMap) -> Result<u32> {
        let (new, total) = Hardware::new(queues, map)?;
        let count = c_int::try_from(total)?;
        let _steady = self.keep_steady();
        let hardware = self.inner.hardware.get();
        self.inner.taken.store(false, Ordering::Relaxed);
        // SAFETY: `changes` is held. The old ones live until the end of this function, as blk-mq
        // may still have them.
        let old = unsafe { core::mem::replace(&mut *hardware, new) };
        // SAFETY: the set is allocated.
        unsafe { bindings::blk_mq_update_nr_hw_queues(self.as_ptr(), count) };
        // It does not say whether it has succeeded. It has, if it gave a request queue the new ones:
        // then it gave them to all. And if there is none.
        if self.inner.taken.load(Ordering::Relaxed) || !self.has_queues() {
            // SAFETY: the set is allocated; updates, which alone change this, are excluded.
            return Ok(unsafe { core::ptr::addr_of!((*self.as_ptr()).nr_hw_queues).read() });
        }
        // SAFETY: `changes` is held, and blk-mq has not seen the new ones.
        drop(unsafe { core::mem::replace(&mut *hardware, old) });
        Err(ENOMEM)
    }

    /// Whether any request queue was made with the set, and is still there.
    fn has_queues(&self) -> bool {
        // SAFETY: the set is allocated, and so the list and its lock are initialised.
        unsafe {
            let lock = core::ptr::addr_of_mut!((*self.as_ptr()).tag_list_lock);
            let list = core::ptr::addr_of_mut!((*self.as_ptr()).tag_list);
            bindings::mutex_lock(lock);
            let any = (*list).next != list;
            bindings::mutex_unlock(lock);
            any
        }
    }

    /// Keeps all disks of the set from dispatching, those that are made later included, and waits
    /// until none is at it. Requests wait, until as many [`Self::unquiesce`] have followed.
    pub(crate) fn quiesce(&self) {
        let mut quiesced = self.inner.quiesced.lock();
        quiesced.depth += 1;
        if quiesced.depth == 1 {
            for queue in &quiesced.queues {
                // SAFETY: what is listed is live: see `list`.
                unsafe { bindings::blk_mq_quiesce_queue_nowait(queue.0) }
            }
            // SAFETY: the set is allocated.
            unsafe { bindings::blk_mq_wait_quiesce_done(self.as_ptr()) }
        }
    }

    /// Undoes one [`Self::quiesce`].
    pub(crate) fn unquiesce(&self) {
        let mut quiesced = self.inner.quiesced.lock();
        quiesced.depth = quiesced.depth.saturating_sub(1);
        if quiesced.depth == 0 {
            for queue in &quiesced.queues {
                // SAFETY: what is listed is live, and was quiesced once: by `quiesce` or `list`.
                unsafe { bindings::blk_mq_unquiesce_queue(queue.0) }
            }
        }
    }

    /// What waits before it is queued again need not any longer.
    pub(crate) fn hurry(&self) {
        for queue in &self.inner.quiesced.lock().queues {
            // SAFETY: what is listed is live: see `list`.
            unsafe { bindings::blk_mq_kick_requeue_list(queue.0) }
        }
    }

    /// From now on `q` dispatches if the others do.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    ///
    /// # Safety
    ///
    /// `q` is of this set, does not dispatch yet, and is live until [`Self::unlist`].
    pub(in crate::sys) unsafe fn list(&self, q: *mut bindings::request_queue) -> Result {
        // Memory is not waited for with I/O: see `quiesced`.
        let _noio = NoIo::new();
        let mut quiesced = self.inner.quiesced.lock();
        quiesced.queues.push(Listed(q), GFP_KERNEL)?;
        if quiesced.depth > 0 {
            // SAFETY: the caller promises that it is live.
            unsafe { bindings::blk_mq_quiesce_queue_nowait(q) }
        }
        Ok(())
    }

    /// Undoes [`Self::list`]: `q` has no requests any more.
    pub(in crate::sys) fn unlist(&self, q: *mut bindings::request_queue) {
        let mut quiesced = self.inner.quiesced.lock();
        quiesced.queues.retain(|listed| listed.0 != q);
    }

    /// # Safety
    ///
    /// For `struct blk_mq_ops` only.
    unsafe extern "C" fn queue_rq(
        hctx: *mut bindings::blk_mq_hw_ctx,
        data: *const bindings::blk_mq_queue_data,
    ) -> bindings::blk_status_t {
        // SAFETY: blk-mq calls this with a hardware queue of this set and valid data.
        let (queue, rq, last) = unsafe { (hardware_queue::<T>(hctx), (*data).rq, (*data).last) };
        let handed_over = rq;
        // SAFETY: blk-mq hands the request over: it is live and ours until ended, or until this
        // function returns an error.
        let rq = unsafe { Request::from_raw(rq) };
        match T::queue_rq(queue, rq, last) {
            Ok(()) => bindings::BLK_STS_OK,
            Err((rq, status)) => refused(handed_over, &rq, status),
        }
    }

    /// # Safety
    ///
    /// For `struct blk_mq_ops` only.
    unsafe extern "C" fn queue_rqs(list: *mut bindings::rq_list) {
        // SAFETY: blk-mq hands over a list of requests of this set.
        unsafe {
            split::<T>(&mut *list, |hctx, requests| {
                T::queue_rqs(hardware_queue::<T>(hctx), requests)
            })
        }
    }

    /// # Safety
    ///
    /// For `struct blk_mq_ops` only.
    unsafe extern "C" fn commit_rqs(hctx: *mut bindings::blk_mq_hw_ctx) {
        // SAFETY: blk-mq calls this with a hardware queue of this set.
        T::commit_rqs(unsafe { hardware_queue::<T>(hctx) })
    }

    /// # Safety
    ///
    /// For `struct blk_mq_ops` only.
    unsafe extern "C" fn complete(rq: *mut bindings::request) {
        // SAFETY: blk-mq calls this with a request that `complete_remote` gave it, of this set.
        let queue = unsafe { hardware_queue::<T>((*rq).mq_hctx) };
        // SAFETY: `complete_remote` passed the ownership to blk-mq, and here it comes back.
        T::complete(queue, unsafe { Started::from_raw(rq) })
    }

    /// # Safety
    ///
    /// For `struct blk_mq_ops` only.
    unsafe extern "C" fn timeout(rq: *mut bindings::request) -> bindings::blk_eh_timer_return {
        // SAFETY: blk-mq calls this with a request of this set that it holds a reference to.
        let (queue, rq) = unsafe { (hardware_queue::<T>((*rq).mq_hctx), TimedOut::from_raw(rq)) };
        match T::timeout(queue, &rq) {
            Timeout::Done => bindings::blk_eh_timer_return_BLK_EH_DONE,
            Timeout::Again => bindings::blk_eh_timer_return_BLK_EH_RESET_TIMER,
        }
    }

    /// # Safety
    ///
    /// For `struct blk_mq_ops` only.
    unsafe extern "C" fn init_hctx(
        hctx: *mut bindings::blk_mq_hw_ctx,
        data: *mut c_void,
        index: c_uint,
    ) -> c_int {
        // SAFETY: `data` is the `driver_data` that `new` set: the boxed `Inner`, which the tag
        // set keeps while it has queues.
        let inner = unsafe { &*data.cast::<Inner<T>>() };
        inner.taken.store(true, Ordering::Relaxed);
        // SAFETY: by the type invariant `changes` is held.
        let hardware = unsafe { &*inner.hardware.get() };
        // CAST: u32 to usize widens.
        let Some(queue) = hardware.queues.get(index as usize) else {
            return EINVAL.to_errno();
        };
        // SAFETY: blk-mq passes a hardware queue that is being set up.
        unsafe { (*hctx).driver_data = Arc::as_ptr(queue).cast_mut().cast() };
        0
    }

    /// # Safety
    ///
    /// For `struct blk_mq_ops` only.
    unsafe extern "C" fn map_queues(set: *mut bindings::blk_mq_tag_set) {
        // SAFETY: `set` is that of a boxed `Inner`, see `new`; its maps are being set up.
        let (inner, set) = unsafe { (&*(*set).driver_data.cast::<Inner<T>>(), &mut *set) };
        // SAFETY: by the type invariant `changes` is held, or the set is being made.
        let hardware = unsafe { &*inner.hardware.get() };
        let total = set.nr_hw_queues;
        // CAST: at most 3.
        for (kind, map) in (0..).zip(set.map.iter_mut().take(set.nr_maps as usize)) {
            let (count, first) = hardware.map.range(kind, total);
            map.nr_queues = count;
            map.queue_offset = first;
            // A kind without queues uses the default ones.
            if count == 0 {
                continue;
            }
            match &hardware.map.vectors {
                // SAFETY: `map` is the set's, `dev` a valid device; vector 0 is the admin queue's.
                Some(dev) if kind != bindings::hctx_type_HCTX_TYPE_POLL => unsafe {
                    bindings::blk_mq_map_hw_queues(map, crate::sys::pci::raw_device(dev), first + 1)
                },
                // SAFETY: `map` is the set's.
                _ => unsafe { bindings::blk_mq_map_queues(map) },
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
        // SAFETY: blk-mq calls this with a hardware queue of this set.
        let queue = unsafe { hardware_queue::<T>(hctx) };
        let mut done = Completed::new();
        if !T::poll(queue, &mut done) {
            return 0;
        }
        if iob.is_null() {
            done.end();
        } else {
            // SAFETY: the batch of whoever polls, who ends what is in it.
            unsafe { done.give(&mut *iob) };
        }
        1
    }
}

impl<T: Operations> Drop for TagSet<T> {
    fn drop(&mut self) {
        // SAFETY: `new` allocated the set. Disks and queues made with it held a count of `self`
        // until they were removed: removing one ends its requests and takes its hardware queues
        // from the set (`blk_mq_exit_queue`), even if somebody still has the disk open. The box is
        // dropped once, after C is done with it.
        unsafe {
            bindings::blk_mq_free_tag_set(self.as_ptr());
            ManuallyDrop::drop(&mut self.inner);
        }
    }
}

/// How many hardware queues make sense on this machine: one for each CPU that there may be.
pub(crate) fn possible_queues() -> u32 {
    // SAFETY: counts CPUs; 0 means no limit.
    unsafe { bindings::blk_mq_num_possible_queues(0) }
}
