// SPDX-License-Identifier: GPL-2.0

//! Work that is done later, by a thread that may sleep for as long as it takes.
//!
//! There are two workqueues for all controllers. I/O waits for a reset, and so may the freeing of
//! memory: both have a thread in reserve. What waits for a reset itself is on the other one, so
//! that it cannot keep that thread from the reset.

use super::noio::NoIo;
use crate::sys::ffi as bindings;
use core::{
    mem::offset_of,
    ptr::NonNull, //
};
use kernel::{
    new_mutex,
    prelude::*,
    static_lock_class,
    sync::{
        Arc,
        LockClassKey,
        Mutex,
        SetOnce, //
    },
    types::Opaque, //
};

/// What a [`Work`] does.
pub(crate) trait Job: Send + Sync {
    /// Does it. May sleep. Never runs twice at the same time for one [`Work`].
    fn run(&self);
}

/// Which workqueue a [`Work`] is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// I/O waits for it: it may wait for the hardware only.
    Reset,
    /// It may wait for I/O, and for works of the other kind.
    Background,
}

/// A workqueue of the module; destroyed when dropped.
struct Queue(NonNull<bindings::workqueue_struct>);

// SAFETY: a workqueue is used from any thread.
unsafe impl Send for Queue {}
// SAFETY: as above.
unsafe impl Sync for Queue {}

impl Queue {
    fn new(name: &'static CStr) -> Result<Self> {
        let flags = bindings::wq_flags_WQ_UNBOUND | bindings::wq_flags_WQ_MEM_RECLAIM;
        // SAFETY: the format takes one string. 0: as many works at a time as is usual.
        let queue = unsafe {
            bindings::alloc_workqueue_noprof(c"%s".as_char_ptr(), flags, 0, name.as_char_ptr())
        };
        Ok(Self(NonNull::new(queue).ok_or(ENOMEM)?))
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: `new` made it; that nothing is queued any more, see `Queues`.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) }
    }
}

/// The workqueues of the module, gone when dropped: which must be after every [`Work`].
pub(crate) struct Queues {
    _reset: Queue,
    _background: Queue,
}

/// The addresses of the workqueues, for [`Work::new`].
static QUEUES: SetOnce<(usize, usize)> = SetOnce::new();

impl Queues {
    /// Makes them, once in the life of the module.
    pub(crate) fn new() -> Result<Self> {
        let reset = Queue::new(c"rnvme-reset")?;
        let background = Queue::new(c"rnvme")?;
        let addresses = (reset.0.as_ptr() as usize, background.0.as_ptr() as usize);
        if !QUEUES.populate(addresses) {
            return Err(EBUSY);
        }
        Ok(Self {
            _reset: reset,
            _background: background,
        })
    }
}

enum Stage {
    New,
    Open(Arc<dyn Job>),
    Closed,
}

/// Work that can be asked for from anywhere.
///
/// # Invariants
///
/// `work` is initialised with [`Self::callback`] and never moves; it is disabled before `open` and
/// from `close` on. `queue` is a workqueue that outlives `self`.
#[pin_data(PinnedDrop)]
pub(crate) struct Work {
    #[pin]
    work: Opaque<bindings::delayed_work>,
    queue: NonNull<bindings::workqueue_struct>,
    is_urgent: bool,
    /// LOCK: the job of a work item; inside: only locks of the workqueue. Not held while the job
    /// runs.
    #[pin]
    stage: Mutex<Stage>,
}

// SAFETY: C synchronises access to the work; the rest does not change or has a lock.
unsafe impl Send for Work {}
// SAFETY: as above.
unsafe impl Sync for Work {}

impl Work {
    /// Work that nobody can ask for yet. `name` and `key` are lockdep's.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `ENODEV` without [`Queues`].
    pub(crate) fn new(
        name: &'static CStr,
        key: Pin<&'static LockClassKey>,
        urgency: Urgency,
    ) -> Result<Arc<Self>> {
        let (reset, background) = *QUEUES.as_ref().ok_or(ENODEV)?;
        let queue = match urgency {
            Urgency::Reset => reset,
            Urgency::Background => background,
        };
        let queue = NonNull::new(queue as *mut bindings::workqueue_struct).ok_or(ENODEV)?;
        Arc::pin_init(
            pin_init!(Self {
                // INVARIANT: initialised with `callback`, disabled. Pinned.
                work <- Opaque::ffi_init(|work: *mut bindings::delayed_work| {
                    // SAFETY: the slot is valid and ours; name and keys are so for ever. This is
                    // what `INIT_DELAYED_WORK` does.
                    unsafe {
                        bindings::init_work_with_key(
                            core::ptr::addr_of_mut!((*work).work),
                            Some(Self::callback),
                            false,
                            name.as_char_ptr(),
                            key.as_ptr(),
                        );
                        bindings::timer_init_key(
                            core::ptr::addr_of_mut!((*work).timer),
                            Some(bindings::delayed_work_timer_fn),
                            bindings::TIMER_IRQSAFE,
                            c"rnvme work".as_char_ptr(),
                            static_lock_class!().as_ptr(),
                        );
                        bindings::disable_delayed_work(work);
                    }
                }),
                // INVARIANT: the module drops `Queues` after all else.
                queue,
                is_urgent: urgency == Urgency::Reset,
                stage <- new_mutex!(Stage::New),
            }),
            GFP_KERNEL,
        )
    }

    /// From now on what is asked for is done, by `job`. Once; not after [`Self::close`].
    pub(crate) fn open(&self, job: Arc<dyn Job>) {
        let mut stage = self.stage.lock();
        if let Stage::New = *stage {
            *stage = Stage::Open(job);
            // SAFETY: by the type invariant the work is initialised. It is disabled once for not
            // having been open, and this is the only place that takes that back.
            unsafe { bindings::enable_delayed_work(self.work.get()) };
        }
    }

    /// Asks for it to be done as soon as possible: once, however often it is asked for before it
    /// begins, and once more, if it has begun. In any context. Nothing happens unless it is open.
    pub(crate) fn queue(&self) {
        self.queue_after(0);
    }

    /// The same, but `ms` milliseconds later. If it has been asked for already, that stands.
    pub(crate) fn queue_after(&self, ms: u32) {
        // CAST: the constant is a number of CPUs.
        let anywhere = bindings::wq_misc_consts_WORK_CPU_UNBOUND as c_int;
        let delay = kernel::time::msecs_to_jiffies(ms);
        // SAFETY: by the type invariant the work is initialised and the queue is there. `drop`
        // waits until the work is not queued any more.
        unsafe {
            bindings::queue_delayed_work_on(anywhere, self.queue.as_ptr(), self.work.get(), delay)
        };
    }

    /// Waits until what was asked for before has been done, without the delay. Not in the job.
    pub(crate) fn flush(&self) {
        // SAFETY: by the type invariant the work is initialised.
        unsafe { bindings::flush_delayed_work(self.work.get()) };
    }

    /// Waits until the job does not run, and keeps it from running again. Drops the job. Not in
    /// the job.
    pub(crate) fn close(&self) {
        // SAFETY: by the type invariant the work is initialised.
        unsafe { bindings::disable_delayed_work_sync(self.work.get()) };
        let stage = core::mem::replace(&mut *self.stage.lock(), Stage::Closed);
        // Without the lock: the job may have the last reference to something.
        drop(stage);
    }

    /// # Safety
    ///
    /// For the work of a `Self` only.
    unsafe extern "C" fn callback(work: *mut bindings::work_struct) {
        const OFFSET: usize = offset_of!(Work, work) + offset_of!(bindings::delayed_work, work);
        // SAFETY: the workqueue calls this with the work that it was given, which is in a `Work`;
        // `drop` waits for the end of this call.
        let this = unsafe { &*work.byte_sub(OFFSET).cast::<Self>() };
        let job = match &*this.stage.lock() {
            Stage::Open(job) => job.clone(),
            Stage::New | Stage::Closed => return,
        };
        // Not under the lock, which `close` of another thread may want. `stage` keeps the job, as
        // `close` waits for this call before it drops it: so what is dropped here is not the last.
        // Memory may not be waited for by what all I/O waits for.
        let _noio = this.is_urgent.then(NoIo::new);
        job.run();
    }
}

#[pinned_drop]
impl PinnedDrop for Work {
    fn drop(self: Pin<&mut Self>) {
        self.close();
    }
}

#[kunit_tests(rnvme_work)]
mod tests {
    use super::*;
    use core::sync::atomic::{
        AtomicU32,
        Ordering, //
    };

    struct Count(AtomicU32);

    impl Job for Count {
        fn run(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn what_is_asked_for_while_it_is_open_is_done() -> Result {
        for urgency in [Urgency::Reset, Urgency::Background] {
            let job = Arc::new(Count(AtomicU32::new(0)), GFP_KERNEL)?;
            let done = || job.0.load(Ordering::Relaxed);
            let work = Work::new(c"rnvme test", static_lock_class!(), urgency)?;
            work.queue();
            work.flush();
            assert_eq!(done(), 0);
            work.open(job.clone());
            // A day, but a flush does not wait for that.
            work.queue_after(86_400_000);
            work.flush();
            assert_eq!(done(), 1);
            work.queue_after(86_400_000);
            work.close();
            work.queue();
            work.flush();
            work.open(job.clone());
            work.queue();
            work.flush();
            assert_eq!(done(), 1);
            // Nobody else has it any more.
            assert!(Arc::into_unique_or_drop(job).is_some());
        }
        Ok(())
    }

    #[test]
    fn drop_is_close() -> Result {
        let job = Arc::new(Count(AtomicU32::new(0)), GFP_KERNEL)?;
        let work = Work::new(c"rnvme test", static_lock_class!(), Urgency::Reset)?;
        work.open(job.clone());
        work.queue_after(86_400_000);
        drop(work);
        assert_eq!(job.0.load(Ordering::Relaxed), 0);
        assert!(Arc::into_unique_or_drop(job).is_some());
        Ok(())
    }
}
