// SPDX-License-Identifier: GPL-2.0

//! Tag sets: the hardware queues of a controller, and what all its disks share.

use super::{
    operations::{
        Callbacks,
        Operations, //
    },
    queue_map::QueueMap,
    timeout::Timeout, //
};
use crate::{
    num::u32_as_usize,
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
        AtomicU32,
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
        rcu,
        Arc,
        Mutex, //
    }, //
};

/// The hardware queues of a set, and how CPUs are mapped to them.
struct QueueSet<T: Operations> {
    queues: KVec<Arc<T::Queue>>,
    map: QueueMap,
}

impl<T: Operations> QueueSet<T> {
    /// Checks that there are as many queues as the map says; returns their number, too.
    fn new(queues: KVec<Arc<T::Queue>>, map: QueueMap) -> Result<(Self, u32)> {
        let total = map.counts.total();
        if total == 0 || queues.len() != u32_as_usize(total) {
            return Err(EINVAL);
        }
        Ok((Self { queues, map }, total))
    }
}

/// A set of tags and hardware queues.
pub(crate) struct TagSet<T: Operations> {
    /// Boxed, so that the address does not change: C keeps pointers into it.
    inner: ManuallyDrop<Pin<KBox<SetState<T>>>>,
}

/// # Invariants
///
/// Only [`TagSet::update_queues`] changes `hardware`, with `changes` held. Only `init_hctx` and
/// `map_queues` read it. blk-mq calls these with `changes` held, when a request queue is made with
/// the set or the set is updated; and `map_queues` while the set is made. blk-mq uses at most as
/// many queues as there are.
#[pin_data]
struct SetState<T: Operations> {
    set: UnsafeCell<bindings::blk_mq_tag_set>,
    hardware: UnsafeCell<QueueSet<T>>,
    /// Whether blk-mq has called `init_hctx` since the queues were changed.
    taken: AtomicBool,
    /// How many reasons there are for no request to wait before it is queued again.
    hurries: AtomicU32,
    /// LOCK: the hardware queues of a tag set, while they are exchanged and while a request queue is
    /// made; inside: only locks of the block layer, freezing included. Allocations do no I/O.
    #[pin]
    changes: Mutex<()>,
    /// LOCK: the disks' queues of a tag set, and whether they take and dispatch requests; inside:
    /// only locks of the block layer. The timeout handlers take it, so its holder does nothing that
    /// waits for I/O.
    #[pin]
    listed: Mutex<Listed>,
}

/// The disks' queues, and how they are kept from working.
struct Listed {
    /// How many calls of [`TagSet::quiesce`] are not undone.
    quiesced: u32,
    /// Between [`TagSet::freeze`] and [`TagSet::thaw`].
    frozen: bool,
    queues: KVec<ListedQueue>,
}

/// A queue that [`TagSet::list`] was given.
struct ListedQueue(*mut bindings::request_queue);

// SAFETY: only C functions that any thread may call use the pointer.
unsafe impl Send for ListedQueue {}

/// While this lives, no request of the set waits before it is queued again.
struct Hurried<'a>(&'a AtomicU32);

impl Drop for Hurried<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// While this lives, the hardware queues of the set do not change, and no allocation of the thread
/// waits for I/O. An update of the queues may wait for this thread, and I/O for the update.
pub(in crate::sys) struct Steady<'a> {
    _lock: Guard<'a, (), MutexBackend>,
    _noio: NoIo,
}

// SAFETY: blk-mq synchronises access to the tag set itself; for the rest see `SetState`.
unsafe impl<T: Operations> Send for TagSet<T> {}
// SAFETY: as above.
unsafe impl<T: Operations> Sync for TagSet<T> {}

impl<T: Operations> TagSet<T> {
    const OPS: &'static bindings::blk_mq_ops = &bindings::blk_mq_ops {
        init_hctx: Some(Self::init_hctx),
        map_queues: Some(Self::map_queues),
        ..Callbacks::<T>::OPS
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
        const { assert!(align_of::<T::RequestData>() <= align_of::<bindings::request>()) };
        if depth == 0 || depth > CommandId::MAX_TAGS {
            return Err(EINVAL);
        }
        let polled = map.counts.poll > 0;
        let (hardware, total) = QueueSet::new(queues, map)?;
        let inner = KBox::pin_init(
            pin_init!(SetState::<T> {
                set: UnsafeCell::new(pin_init::zeroed()),
                hardware: UnsafeCell::new(hardware),
                taken: AtomicBool::new(false),
                hurries: AtomicU32::new(0),
                changes <- new_mutex!(()),
                listed <- new_mutex!(Listed { quiesced: 0, frozen: false, queues: KVec::new() }),
            }),
            GFP_KERNEL,
        )?;
        // SAFETY: no other code knows the set yet.
        let set = unsafe { &mut *inner.set.get() };
        set.ops = Self::OPS;
        set.nr_hw_queues = total;
        // With the map of poll queues the block layer offers polling; the read map is cheap.
        set.nr_maps = if polled { 3 } else { 2 };
        set.queue_depth = depth.into();
        set.cmd_size = u32::try_from(size_of::<T::RequestData>())?;
        set.numa_node = node;
        set.timeout = Timeout::from_millis(timeout_ms).jiffies();
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

    /// Keeps the hardware queues as they are while the result lives.
    pub(in crate::sys) fn keep_steady(&self) -> Steady<'_> {
        let noio = NoIo::new();
        Steady {
            _lock: self.inner.changes.lock(),
            _noio: noio,
        }
    }

    /// Replaces the hardware queues by `queues`, and returns how many of them blk-mq uses: fewer,
    /// if there is no memory for more than before. A kind that the set was made without cannot be
    /// added. Waits for all requests of the set, which must be able to end: the set must not be
    /// quiesced.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the map does not fit. `ENOMEM`: the old queues stay in use.
    pub(crate) fn update_queues(&self, queues: KVec<Arc<T::Queue>>, map: QueueMap) -> Result<u32> {
        let (new, total) = QueueSet::new(queues, map)?;
        let count = c_int::try_from(total)?;
        // What waits would hold up all disks.
        let _hurried = self.hurry_for_now();
        let _steady = self.keep_steady();
        let hardware = self.inner.hardware.get();
        self.inner.taken.store(false, Ordering::Relaxed);
        // SAFETY: `changes` is held. The old queues live until the end of this function, because
        // blk-mq may still use them.
        let old = unsafe { core::mem::replace(&mut *hardware, new) };
        // SAFETY: the set is allocated.
        unsafe { bindings::blk_mq_update_nr_hw_queues(self.as_ptr(), count) };
        // C does not report success. It has succeeded if it called `init_hctx` for a request queue,
        // because then it did so for all, or if there is no request queue.
        if self.inner.taken.load(Ordering::Relaxed) || !self.has_queues() {
            // SAFETY: the set is allocated, and `changes` excludes updates, which alone change it.
            return Ok(unsafe { core::ptr::addr_of!((*self.as_ptr()).nr_hw_queues).read() });
        }
        // SAFETY: `changes` is held, and blk-mq has not seen the new queues.
        drop(unsafe { core::mem::replace(&mut *hardware, old) });
        Err(ENOMEM)
    }

    /// Whether the set has any request queue.
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

    /// Keeps all disks of the set from dispatching, those made later included, and waits until no
    /// dispatch runs. Requests wait until [`Self::unquiesce`] was called as often.
    pub(crate) fn quiesce(&self) {
        let mut listed = self.inner.listed.lock();
        listed.quiesced = listed.quiesced.saturating_add(1);
        if listed.quiesced == 1 {
            for queue in &listed.queues {
                // SAFETY: a listed queue is live: see `list`.
                unsafe { bindings::blk_mq_quiesce_queue_nowait(queue.0) }
            }
            // SAFETY: the set is allocated.
            unsafe { bindings::blk_mq_wait_quiesce_done(self.as_ptr()) }
        }
    }

    /// Undoes one [`Self::quiesce`], if there is one to undo.
    pub(crate) fn unquiesce(&self) {
        let mut listed = self.inner.listed.lock();
        let Some(left) = listed.quiesced.checked_sub(1) else {
            return;
        };
        listed.quiesced = left;
        if left == 0 {
            for queue in &listed.queues {
                // SAFETY: a listed queue is live, and was quiesced once: by `quiesce` or `list`.
                unsafe { bindings::blk_mq_unquiesce_queue(queue.0) }
            }
        }
    }

    /// Lets no request begin on any disk of the set, those made later included, until
    /// [`Self::thaw`]: submitters wait. Requests that have begun go on; [`Self::is_drained`] tells
    /// when all have ended.
    ///
    /// Any task may undo this. A task that also freezes a queue of the set for itself (see
    /// [`super::freeze`]) is not held up: freezes add up.
    pub(crate) fn freeze(&self) {
        let mut listed = self.inner.listed.lock();
        if core::mem::replace(&mut listed.frozen, true) {
            return;
        }
        for queue in &listed.queues {
            // SAFETY: a listed queue is live: see `list`.
            unsafe { bindings::blk_freeze_queue_start_non_owner(queue.0) }
        }
    }

    /// Undoes [`Self::freeze`]; does nothing if the set is not frozen.
    pub(crate) fn thaw(&self) {
        let mut listed = self.inner.listed.lock();
        if !core::mem::replace(&mut listed.frozen, false) {
            return;
        }
        for queue in &listed.queues {
            // SAFETY: a listed queue is live, and was frozen once: by `freeze` or `list`.
            unsafe { bindings::blk_mq_unfreeze_queue_non_owner(queue.0) }
        }
    }

    /// Whether no disk of the frozen set has a request any more. Never waits.
    pub(crate) fn is_drained(&self) -> bool {
        let listed = self.inner.listed.lock();
        // SAFETY: a listed queue is live: see `list`. With a time of 0 the function only looks.
        let is_empty = |q| unsafe { bindings::blk_mq_freeze_queue_wait_timeout(q, 0) } != 0;
        listed.queues.iter().all(|queue| is_empty(queue.0))
    }

    /// Has all disks of the set dispatch the requests that wait in their hardware queues.
    pub(crate) fn run_queues(&self) {
        for queue in &self.inner.listed.lock().queues {
            // SAFETY: a listed queue is live: see `list`.
            unsafe { bindings::blk_mq_run_hw_queues(queue.0, true) }
        }
    }

    /// From now on no request of any disk of the set waits before it is queued again, and those that
    /// wait are queued at once.
    pub(crate) fn hurry(&self) {
        self.inner.hurries.fetch_add(1, Ordering::Relaxed);
        // Every reader that did not see that has put its request on the list when this returns.
        rcu::synchronize_rcu();
        self.kick_requeued();
    }

    /// As [`Self::hurry`], until the result is dropped.
    fn hurry_for_now(&self) -> Hurried<'_> {
        self.hurry();
        Hurried(&self.inner.hurries)
    }

    /// Whether no request of the set of `q` waits before it is queued again. Under the RCU read lock
    /// the answer `false` holds as long as [`Self::hurry`] must wait.
    ///
    /// # Safety
    ///
    /// `q` is live, and of a set with `T`'s types.
    pub(super) unsafe fn is_hurried(q: *mut bindings::request_queue) -> bool {
        // SAFETY: the caller promises that the queue is live. Its set, which does not change, is one
        // of `new`, which has set `driver_data` to the boxed `SetState`; the set outlives its queues.
        let inner = unsafe { &*(*(*q).tag_set).driver_data.cast::<SetState<T>>() };
        inner.hurries.load(Ordering::Relaxed) > 0
    }

    /// Queues at once all requests of the disks that wait before they are queued again.
    pub(crate) fn kick_requeued(&self) {
        for queue in &self.inner.listed.lock().queues {
            // SAFETY: a listed queue is live: see `list`.
            unsafe { bindings::blk_mq_kick_requeue_list(queue.0) }
        }
    }

    /// From now on `q` takes and dispatches requests only as [`Self::freeze`] and
    /// [`Self::quiesce`] allow.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    ///
    /// # Safety
    ///
    /// `q` is of this set, does not dispatch yet, and is live until [`Self::unlist`].
    pub(in crate::sys) unsafe fn list(&self, q: *mut bindings::request_queue) -> Result {
        // The allocation must not wait for I/O: see `SetState::listed`.
        let _noio = NoIo::new();
        let mut listed = self.inner.listed.lock();
        listed.queues.push(ListedQueue(q), GFP_KERNEL)?;
        if listed.quiesced > 0 {
            // SAFETY: the caller promises that `q` is live.
            unsafe { bindings::blk_mq_quiesce_queue_nowait(q) }
        }
        if listed.frozen {
            // SAFETY: as above.
            unsafe { bindings::blk_freeze_queue_start_non_owner(q) }
        }
        Ok(())
    }

    /// Undoes [`Self::list`], and the last [`Self::kick_requeued`]. `q` must have no requests any
    /// more, and takes none again: it stays frozen if the set is.
    ///
    /// # Safety
    ///
    /// `q` is live, and was listed.
    pub(in crate::sys) unsafe fn unlist(&self, q: *mut bindings::request_queue) {
        self.inner.listed.lock().queues.retain(|other| other.0 != q);
        // A kick may have come after the block layer has ended the work of a queue that goes. None
        // comes any more, and the queue must not be freed under its work.
        // SAFETY: the caller promises that the queue is live; the work was initialised with it. The
        // lock is released, because the work may run for a while.
        unsafe { bindings::cancel_delayed_work_sync(core::ptr::addr_of_mut!((*q).requeue_work)) };
    }

    /// # Safety
    ///
    /// For `struct blk_mq_ops` only.
    unsafe extern "C" fn init_hctx(
        hctx: *mut bindings::blk_mq_hw_ctx,
        data: *mut c_void,
        index: c_uint,
    ) -> c_int {
        // SAFETY: `data` is the `driver_data` that `new` set: the boxed `SetState`, which the tag
        // set keeps while it has queues.
        let inner = unsafe { &*data.cast::<SetState<T>>() };
        inner.taken.store(true, Ordering::Relaxed);
        // SAFETY: by the type invariant `changes` is held.
        let hardware = unsafe { &*inner.hardware.get() };
        let Some(queue) = hardware.queues.get(u32_as_usize(index)) else {
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
        // SAFETY: `set` is part of a boxed `SetState`, see `new`; blk-mq is setting up its maps.
        let (inner, set) = unsafe { (&*(*set).driver_data.cast::<SetState<T>>(), &mut *set) };
        // SAFETY: by the type invariant `changes` is held, or the set is being made.
        let hardware = unsafe { &*inner.hardware.get() };
        let total = set.nr_hw_queues;
        for (kind, map) in (0..).zip(set.map.iter_mut().take(u32_as_usize(set.nr_maps))) {
            let (count, first) = hardware.map.range(kind, total);
            map.nr_queues = count;
            map.queue_offset = first;
            // A kind without queues uses the default ones.
            if count == 0 {
                continue;
            }
            match hardware.map.queues(kind, count, first) {
                // SAFETY: blk-mq allocated the map with an entry for each possible number of a CPU
                // (`nr_cpu_ids`), and `queues` has as many. No other code has the map now.
                Some(queues) => unsafe {
                    core::ptr::copy_nonoverlapping(queues.as_ptr(), map.mq_map, queues.len())
                },
                // SAFETY: `map` is the set's.
                None => unsafe { bindings::blk_mq_map_queues(map) },
            }
        }
    }
}

impl<T: Operations> Drop for TagSet<T> {
    fn drop(&mut self) {
        // SAFETY: `new` allocated the set. Disks and queues made with it held a count of `self`
        // until they were removed. Removing one ends its requests and takes its hardware queues
        // from the set (`blk_mq_exit_queue`), even if the disk is still open. The box is dropped
        // once, after C is done with it.
        unsafe {
            bindings::blk_mq_free_tag_set(self.as_ptr());
            ManuallyDrop::drop(&mut self.inner);
        }
    }
}

/// The most hardware queues that make sense on this machine: one for each possible CPU.
pub(crate) fn possible_queues() -> u32 {
    // SAFETY: counts CPUs; 0 means no limit.
    unsafe { bindings::blk_mq_num_possible_queues(0) }
}
