// SPDX-License-Identifier: GPL-2.0

//! Work for the threads of workqueues, which may sleep for as long as it takes.
//!
//! All controllers share two workqueues. I/O waits for a reset, and memory reclaim may wait for
//! I/O, so both workqueues have a rescuer thread (`WQ_MEM_RECLAIM`). Work that waits for a reset is
//! on the second workqueue: it cannot occupy the rescuer that the reset needs.

use super::{
    noio::NoIo,
    users::Users, //
};
use crate::sys::ffi as bindings;
use core::{
    mem::{
        offset_of,
        ManuallyDrop, //
    },
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

/// The function of a [`Work`].
pub(crate) trait Job: Send + Sync {
    /// Does the work. May sleep. Never runs twice at the same time for one [`Work`].
    fn run(&self);
}

/// The workqueue of a [`Work`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// I/O waits for this work, so it may wait for the hardware only.
    Reset,
    /// This work may wait for I/O, and for [`Self::Reset`] work.
    Background,
}

/// A workqueue of the module; destroyed when dropped.
struct KernelQueue(NonNull<bindings::workqueue_struct>);

// SAFETY: any thread may use a workqueue.
unsafe impl Send for KernelQueue {}
// SAFETY: as above.
unsafe impl Sync for KernelQueue {}

impl KernelQueue {
    fn new(name: &'static CStr) -> Result<Self> {
        let flags = bindings::wq_flags_WQ_UNBOUND | bindings::wq_flags_WQ_MEM_RECLAIM;
        // SAFETY: the format takes one string, which `name` is. 0: the default limit of concurrent
        // works.
        let queue = unsafe {
            bindings::alloc_workqueue_noprof(c"%s".as_char_ptr(), flags, 0, name.as_char_ptr())
        };
        Ok(Self(NonNull::new(queue).ok_or(ENOMEM)?))
    }
}

impl Drop for KernelQueue {
    fn drop(&mut self) {
        // SAFETY: `new` made the workqueue. Nothing is queued any more: `Queues` drops the queue only
        // if there is no `Work`.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) }
    }
}

/// The workqueues of the module; destroyed when dropped. A [`Work`] that is not closed keeps them for
/// ever, with a line in the log; none can be made after that.
pub(crate) struct Queues {
    queues: ManuallyDrop<(KernelQueue, KernelQueue)>,
}

/// The addresses of the workqueues, for [`Work::new`].
static QUEUES: SetOnce<(usize, usize)> = SetOnce::new();
/// `Queues` and each `Work` that is not closed.
static USERS: Users = Users::none();

impl Queues {
    /// Makes the workqueues, once in the life of the module.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EBUSY` at the second call.
    pub(crate) fn new() -> Result<Self> {
        let reset = KernelQueue::new(c"rnvme-reset")?;
        let background = KernelQueue::new(c"rnvme")?;
        let addresses = (reset.0.as_ptr() as usize, background.0.as_ptr() as usize);
        if !QUEUES.populate(addresses) {
            return Err(EBUSY);
        }
        USERS.open();
        Ok(Self {
            queues: ManuallyDrop::new((reset, background)),
        })
    }
}

impl Drop for Queues {
    fn drop(&mut self) {
        if USERS.leave() {
            // SAFETY: dropped once, here. There is no `Work`, and there will be none.
            unsafe { ManuallyDrop::drop(&mut self.queues) };
        } else {
            pr_err!("a work outlives the workqueues, which stay for ever: a bug\n");
        }
    }
}

/// A work that is not closed is a user of the workqueues.
enum JobStage {
    New(WorkqueueUser),
    Open {
        job: Arc<dyn Job>,
        _user: WorkqueueUser,
    },
    Closed,
}

/// Work may run on any CPU.
// CAST: the constant is the number of CPUs that the kernel is built for, a small number.
const ANY_CPU: c_int = bindings::wq_misc_consts_WORK_CPU_UNBOUND as c_int;

/// Work that any context can queue.
///
/// # Invariants
///
/// `work` is initialised with [`Self::callback`] and never moves; it is disabled before `open` and
/// from `close` on. `queue` is a workqueue that lives until `stage` is [`JobStage::Closed`], because
/// `stage` has a user of it until then; C does not look at the workqueue of disabled work.
#[pin_data(PinnedDrop)]
pub(crate) struct Work {
    #[pin]
    work: Opaque<bindings::delayed_work>,
    queue: NonNull<bindings::workqueue_struct>,
    is_urgent: bool,
    /// LOCK: the job of a work item; inside: only locks of the workqueue. Not held while the job
    /// runs.
    #[pin]
    stage: Mutex<JobStage>,
}

/// A user of the workqueues.
struct WorkqueueUser;

impl WorkqueueUser {
    fn new() -> Result<Self> {
        USERS.enter().then_some(Self).ok_or(ENODEV)
    }
}

impl Drop for WorkqueueUser {
    fn drop(&mut self) {
        // The workqueues stay if this was the last: see `Queues`.
        let _ = USERS.leave();
    }
}

// SAFETY: C synchronises access to the work; the other fields do not change or have a lock.
unsafe impl Send for Work {}
// SAFETY: as above.
unsafe impl Sync for Work {}

impl Work {
    /// Work that is disabled until [`Self::open`]. `name` and `key` are for lockdep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `ENODEV` without [`Queues`], before or after their life.
    pub(crate) fn new(
        name: &'static CStr,
        key: Pin<&'static LockClassKey>,
        urgency: Urgency,
    ) -> Result<Arc<Self>> {
        let user = WorkqueueUser::new()?;
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
                    // SAFETY: the slot is valid and ours; name and keys are valid for ever. The two
                    // initialisations are what `INIT_DELAYED_WORK` does, and what
                    // `disable_delayed_work` needs.
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
                // INVARIANT: `user` entered while there were workqueues.
                queue,
                is_urgent: urgency == Urgency::Reset,
                stage <- new_mutex!(JobStage::New(user)),
            }),
            GFP_KERNEL,
        )
    }

    /// Enables the work: from now on `job` runs when the work is queued. Once; not after
    /// [`Self::close`].
    pub(crate) fn open(&self, job: Arc<dyn Job>) {
        let mut stage = self.stage.lock();
        match core::mem::replace(&mut *stage, JobStage::Closed) {
            JobStage::New(_user) => {
                *stage = JobStage::Open { job, _user };
                // SAFETY: by the type invariant the work is initialised. `new` disabled it once, and
                // this is the only place that undoes that.
                unsafe { bindings::enable_delayed_work(self.work.get()) };
            }
            other => *stage = other,
        }
    }

    /// Queues the work to run as soon as possible, in any context; work that is queued already does
    /// not wait for its time any more. The job runs once for all calls before it begins, and once
    /// more for calls after that. Without effect before [`Self::open`] and after [`Self::close`].
    pub(crate) fn queue(&self) {
        // SAFETY: by the type invariant the work is initialised, and the workqueue exists unless the
        // work is disabled. `close` waits until the work is not queued any more.
        unsafe { bindings::mod_delayed_work_on(ANY_CPU, self.queue.as_ptr(), self.work.get(), 0) };
    }

    /// Queues the work to run in `ms` milliseconds. Work that is queued already keeps its time.
    pub(crate) fn queue_after(&self, ms: u32) {
        let delay = kernel::time::msecs_to_jiffies(ms);
        // SAFETY: by the type invariant the work is initialised, and the workqueue exists unless the
        // work is disabled. `close` waits until the work is not queued any more.
        unsafe {
            bindings::queue_delayed_work_on(ANY_CPU, self.queue.as_ptr(), self.work.get(), delay)
        };
    }

    /// Runs the work now if it is queued, without its delay, and waits for its end. Not in the job.
    pub(crate) fn flush(&self) {
        // SAFETY: by the type invariant the work is initialised.
        unsafe { bindings::flush_delayed_work(self.work.get()) };
    }

    /// Disables the work, waits until the job does not run, and drops the job. The work does not use
    /// the workqueues any more: memory that is leaked on purpose may have it. Not in the job.
    pub(crate) fn close(&self) {
        // SAFETY: by the type invariant the work is initialised.
        unsafe { bindings::disable_delayed_work_sync(self.work.get()) };
        let stage = core::mem::replace(&mut *self.stage.lock(), JobStage::Closed);
        // Without the lock: this may drop the last reference to what the job uses.
        drop(stage);
    }

    /// # Safety
    ///
    /// For the work of a `Self` only.
    unsafe extern "C" fn callback(work: *mut bindings::work_struct) {
        const OFFSET: usize = offset_of!(Work, work) + offset_of!(bindings::delayed_work, work);
        // SAFETY: the workqueue calls this with the work that was queued, which is in a `Work`;
        // `drop` waits for the end of this call.
        let this = unsafe { &*work.byte_sub(OFFSET).cast::<Self>() };
        let job = match &*this.stage.lock() {
            JobStage::Open { job, .. } => job.clone(),
            JobStage::New(_) | JobStage::Closed => return,
        };
        // The job runs without the lock, because `close` in another thread takes it. `close` waits
        // for this call before it drops the job of `stage`, so the reference dropped here is not
        // the last one. All I/O waits for a reset, so the allocations of a reset must not wait for
        // I/O.
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
    use kernel::time::{
        delay::fsleep,
        Delta, //
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
            // A day; `flush` does not wait for the delay.
            work.queue_after(86_400_000);
            work.flush();
            assert_eq!(done(), 1);
            work.queue_after(86_400_000);
            work.queue();
            for _ in 0..5000 {
                if done() == 2 {
                    break;
                }
                fsleep(Delta::from_millis(1));
            }
            assert_eq!(done(), 2);
            work.queue_after(86_400_000);
            work.close();
            work.queue();
            work.flush();
            work.open(job.clone());
            work.queue();
            work.flush();
            assert_eq!(done(), 2);
            // The work has dropped its reference.
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
