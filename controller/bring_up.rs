// SPDX-License-Identifier: GPL-2.0

//! What the jobs do with a controller: bring it up again after a reset, scan, watch.

use super::{
    attributes::Attributes,
    events::{
        EventHandler,
        EventRequest, //
    },
    namespaces::Namespaces,
    queues::IoQueues,
    shared::{
        Identified,
        Shared, //
    },
};
use crate::{
    admin::{
        Admin,
        AdminRequestData,
        CommandTimeout, //
    },
    nvme::KeepAlive,
    policy::{
        timing,
        Event,
        State, //
    },
    queue::TimeoutPolicy,
    sys::{
        base::{
            ClassDevice,
            Job, //
        },
        block::Ended, //
    },
};
use core::sync::atomic::{
    AtomicU32,
    Ordering::Relaxed, //
};
use kernel::{
    device::Device,
    prelude::*,
    sync::Arc, //
};

/// How often a bring-up is tried while memory is short.
const TRIES: u32 = 3;

/// A controller as its jobs see it.
pub(super) struct Core {
    pub(super) shared: Arc<Shared>,
    /// The I/O queues.
    pub(super) io: Arc<IoQueues>,
    /// The namespaces and their disks.
    pub(super) namespaces: Arc<Namespaces>,
    /// The request that waits for an asynchronous event.
    events: Arc<EventRequest>,
}

impl Core {
    /// The controller of `shared`, whose disks appear below `class` in sysfs.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new(
        shared: &Arc<Shared>,
        io: &Arc<IoQueues>,
        class: &ClassDevice<Attributes>,
    ) -> Result<Arc<Self>> {
        let core = Self {
            shared: shared.clone(),
            io: io.clone(),
            namespaces: Namespaces::new(shared, &io.set, class.device())?,
            events: EventRequest::new(&shared.jobs.events)?,
        };
        Ok(Arc::new(core, GFP_KERNEL)?)
    }

    /// Opens the jobs: they work on this controller from now on.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn open_jobs(self: &Arc<Self>, class: &Arc<ClassDevice<Attributes>>) -> Result {
        let jobs = &self.shared.jobs;
        jobs.reset
            .open(Arc::new(ResetJob(self.clone()), GFP_KERNEL)?);
        jobs.scan.open(Arc::new(ScanJob(self.clone()), GFP_KERNEL)?);
        let events = EventHandler {
            shared: self.shared.clone(),
            request: self.events.clone(),
            class: class.clone(),
        };
        jobs.events.open(Arc::new(events, GFP_KERNEL)?);
        let watch = WatchJob {
            core: self.clone(),
            ticks: AtomicU32::new(0),
        };
        jobs.watch.open(Arc::new(watch, GFP_KERNEL)?);
        jobs.retry
            .open(Arc::new(RetryJob(self.clone()), GFP_KERNEL)?);
        let shutdown = Arc::new(ShutdownJob(self.clone()), GFP_KERNEL)?;
        jobs.shutdown.work().open(shutdown);
        Ok(())
    }

    /// Tells the controller which asynchronous events the driver wants, and requests the first.
    pub(super) fn begin_events(&self) {
        self.events.begin(&self.shared.admin, &self.shared.info());
    }

    /// Writes the lines of a controller that was bound into the log.
    pub(super) fn announce(&self, dev: &Device) {
        let shared = &self.shared;
        let (version, info) = (shared.version(), shared.info());
        let counts = &self.io.counts;
        dev_info!(
            dev,
            "rnvme{}: {}, serial {}, firmware {}, NVMe {}.{}, {}/{}/{} default/read/poll queues of {}, transfers up to {} KiB\n",
            shared.number,
            info.model,
            info.serial,
            info.firmware,
            version.mjr().get(),
            version.mnr().get(),
            counts.default,
            counts.read,
            counts.poll,
            self.io.entries,
            shared.max_transfer >> 10
        );
        if shared.params.keep_alive > 0 && shared.keep_alive().is_none() {
            dev_info!(dev, "no keep alive timer: keep_alive has no effect\n");
        }
        if self.io.in_controller() > 0 {
            dev_info!(
                dev,
                "{} submission queues are in the controller's memory\n",
                self.io.in_controller()
            );
        }
    }

    /// Has the block layer use the I/O queues that the controller has now. Waits for I/O: a job that
    /// I/O may wait for must not call it.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, with a line in the log.
    fn use_queues(&self) -> Result {
        let dev = self.namespaces.device();
        match self.io.use_made() {
            Ok(None) => {}
            Ok(Some(0)) => dev_err!(
                dev,
                "no I/O queue is left: I/O fails, admin commands work\n"
            ),
            Ok(Some(queues)) => dev_warn!(dev, "{} I/O queues now\n", queues),
            Err(e) => {
                dev_err!(
                    dev,
                    "I/O of lost queues goes through queue 1: error {}\n",
                    e.to_errno()
                );
                return Err(e);
            }
        }
        Ok(())
    }

    /// About how many admin commands a reset takes: eight for the controller, two for each queue
    /// pair, two for each disk.
    fn commands_of_a_reset(&self) -> u32 {
        self.io
            .commands_of_a_reset()
            .saturating_add(self.namespaces.commands_of_a_check())
    }

    /// Brings the stopped controller up again.
    fn bring_up(&self) -> Result {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.try_to_bring_up() {
                // Memory may be short for a moment only.
                Err(e) if e == ENOMEM && tries < TRIES => {
                    self.shared.hardware.notify(Event::Stuck, "out of memory")
                }
                result => return result,
            }
        }
    }

    fn try_to_bring_up(&self) -> Result {
        let Shared {
            hardware, admin, ..
        } = &*self.shared;
        let dev = self.namespaces.device();
        hardware.restart()?;
        admin.forget_refusals();
        let deadline = hardware.commands_deadline(self.commands_of_a_reset());
        admin.begin_bring_up(deadline, hardware.is_bring_up_logged());
        let identified = Identified::get(admin, dev, hardware.quirks())?;
        self.shared.adopt(&identified, dev)?;
        identified.configure(admin, &self.shared.params);
        self.namespaces.check()?;
        self.io.create_again()
    }
}

/// See [`super::jobs::Jobs::reset`].
struct ResetJob(Arc<Core>);

impl Job for ResetJob {
    fn run(&self) {
        let core = &self.0;
        let Shared {
            hardware, admin, ..
        } = &*core.shared;
        if !matches!(hardware.state(), State::Resetting | State::Trying) {
            return;
        }
        let result = hardware.bring_up(|| core.bring_up());
        admin.end_bring_up();
        match result {
            Ok(()) => {
                if hardware.brought_up() {
                    core.begin_events();
                    // Namespaces may have changed, and so may the number of queues.
                    core.shared.jobs.scan.queue();
                }
            }
            Err(e) => hardware.bring_up_failed(e),
        }
    }
}

/// See [`super::jobs::Jobs::scan`].
struct ScanJob(Arc<Core>);

impl ScanJob {
    fn scan(&self) -> Result {
        let core = &self.0;
        core.use_queues()?;
        if core.io.has_none() && core.namespaces.is_empty() {
            // Nothing could read a new disk's partitions. A reset that brings queues back is followed
            // by a scan.
            return Ok(());
        }
        let pause = core.namespaces.scan().inspect_err(|e| {
            // A controller that is being reset is scanned again afterwards.
            if core.shared.hardware.is_live() {
                dev_err!(
                    core.namespaces.device(),
                    "namespace scan failed: error {}\n",
                    e.to_errno()
                );
            }
        })?;
        if let Some(ms) = pause {
            core.shared.jobs.scan.queue_after(ms);
        }
        Ok(())
    }
}

impl Job for ScanJob {
    fn run(&self) {
        let shared = &self.0.shared;
        if shared.hardware.is_live() && self.scan() == Err(ENOMEM) {
            // Memory may be short for a moment only.
            shared.jobs.scan.queue_after(timing::WATCHDOG_MS);
        }
    }
}

/// See [`super::jobs::Jobs::watch`].
struct WatchJob {
    core: Arc<Core>,
    /// How often the job ran.
    ticks: AtomicU32,
}

impl WatchJob {
    /// Posts the commands that a live controller gets, and frees memory that it does not need.
    fn attend(&self, ticks: u32) {
        let Shared {
            admin, hardware, ..
        } = &*self.core.shared;
        let is_due = |ms: u32| ticks % (ms / timing::WATCHDOG_MS).max(1) == 0;
        self.core.events.request_again(admin);
        if is_due(timing::REPORT_INTERVAL_MS) {
            self.core.shared.jobs.events.queue();
        }
        // Twice in the timer's time.
        let keep_alive = self.core.shared.keep_alive().map(|ms| ms / 2);
        if keep_alive.is_some_and(is_due) {
            if let Ok(unheard) = Arc::new(Unheard, GFP_KERNEL) {
                let _ = admin.post(&KeepAlive, CommandTimeout::Admin, unheard);
            }
        }
        if ticks % (timing::TRIM_MS / timing::WATCHDOG_MS) == 0 {
            hardware.trim_lists();
        }
    }
}

impl Job for WatchJob {
    fn run(&self) {
        let Shared { hardware, jobs, .. } = &*self.core.shared;
        hardware.check();
        let ticks = self.ticks.fetch_add(1, Relaxed);
        match hardware.state() {
            State::Live => self.attend(ticks),
            State::Dead | State::Trying => {
                // No retry is worth its delay.
                self.core.io.set.kick_requeued();
                hardware.try_again_if_due();
            }
            State::New | State::Resetting | State::Deleting => {}
        }
        jobs.watch.queue_after(timing::WATCHDOG_MS);
    }
}

/// See [`super::jobs::Jobs::retry`].
struct RetryJob(Arc<Core>);

impl Job for RetryJob {
    fn run(&self) {
        self.0.io.set.run_queues();
    }
}

/// See [`super::jobs::Jobs::shutdown`].
struct ShutdownJob(Arc<Core>);

impl Job for ShutdownJob {
    fn run(&self) {
        let Core { shared, io, .. } = &*self.0;
        shared.hardware.shut_down(|| io.delete());
    }
}

/// The end of a Keep Alive command.
struct Unheard;

impl Ended<Admin> for Unheard {
    fn ended(&self, _data: &AdminRequestData, _ok: bool) {
        // A controller that refuses the command stops when its timer expires, which the watchdog sees.
    }
}
