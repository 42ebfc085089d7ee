// SPDX-License-Identifier: GPL-2.0

//! Bring-up, and what the jobs do with a controller: bring it up again after a reset, scan, watch.

use super::{
    attributes::Attributes,
    events::{
        EventHandler,
        EventRequest, //
    },
    namespaces::Namespaces,
    parts::{
        Core,
        Parts, //
    },
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
        may_pass,
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
        block::{
            possible_queues,
            Ended, //
        },
    },
};
use core::sync::atomic::{
    AtomicBool,
    AtomicU32,
    Ordering::{
        Acquire,
        Relaxed,
        Release, //
    }, //
};
use kernel::{
    device::{
        Bound,
        Device, //
    },
    io::poll::read_poll_timeout,
    pci,
    prelude::*,
    sync::Arc, //
};

/// How often a bring-up is tried while memory is short.
const TRIES: u32 = 3;

impl Core {
    /// Opens the jobs: they work on this controller from now on. Its disks appear below `class` in
    /// sysfs.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn open_jobs(self: &Arc<Self>, class: &Arc<ClassDevice<Attributes>>) -> Result {
        let jobs = &self.jobs;
        let reset = ResetJob {
            core: self.clone(),
            class: class.clone(),
        };
        jobs.reset.open(Arc::new(reset, GFP_KERNEL)?);
        jobs.scan.open(Arc::new(ScanJob(self.clone()), GFP_KERNEL)?);
        let events = EventJob {
            core: self.clone(),
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

    /// Brings the controller up at probe and waits for the first scan. A controller that does not
    /// come up is dead, and is tried again later.
    ///
    /// # Errors
    ///
    /// What no later try would change: the controller cannot be driven, or the host lacks something.
    pub(super) fn bring_up_at_probe(&self, class: &ClassDevice<Attributes>) -> Result {
        self.bring_up_first(class)?;
        self.jobs.watch.queue();
        self.wait_for_first_scan();
        Ok(())
    }

    /// Waits for the disks of a controller that came up at probe. Partition tables are read meanwhile:
    /// where that takes too long, the scan goes on without probe.
    fn wait_for_first_scan(&self) {
        let Some(parts) = self.parts() else {
            return;
        };
        let is_over = || parts.is_scanned.load(Acquire) || self.hardware.state().is_dead();
        let longest = timing::millis(timing::FIRST_SCAN_MS);
        if read_poll_timeout(
            || Ok(is_over()),
            |over| *over,
            timing::POLL_INTERVAL,
            longest,
        )
        .is_err()
        {
            dev_warn!(
                parts.namespaces.device(),
                "probe waits no longer for the scan of the namespaces: it goes on, disks may follow\n"
            );
        }
    }

    /// Brings up a controller that was never up. Its disks appear below `class` in sysfs. Probe may
    /// be at it while a user has the job do the same: the second of them finds nothing to do.
    ///
    /// # Errors
    ///
    /// See [`Self::bring_up_at_probe`].
    fn bring_up_first(&self, class: &ClassDevice<Attributes>) -> Result {
        self.binding.with(|pdev| {
            if self.parts().is_some() || !self.hardware.is_coming_up() {
                return Ok(());
            }
            let parts = self
                .hardware
                .bring_up(|| match self.try_first(pdev, class.device()) {
                    Err(e) if may_pass(e) => Err(e),
                    result => Ok(result),
                });
            match parts {
                Ok(parts) => {
                    self.adopt(parts?);
                    self.end_bring_up(Ok(()));
                }
                Err(e) => self.end_bring_up(Err(e)),
            }
            Ok(())
        })
    }

    fn try_first(&self, pdev: &pci::Device<Bound>, parent: &Device) -> Result<Parts> {
        let Self {
            hardware, admin, ..
        } = self;
        hardware.start()?;
        admin.forget_refusals();
        // Twelve for the controller, two for each queue pair, and these again if the controller creates
        // fewer.
        let commands = possible_queues().saturating_mul(4).saturating_add(12);
        let deadline = hardware.power_up_deadline(commands, admin.timeout_ms());
        admin.begin_bring_up(deadline, hardware.is_bring_up_logged());
        let shared = Shared::identify(pdev.as_ref(), hardware, admin, &self.jobs, &self.params)?;
        let io = shared.create_queues(pdev)?;
        hardware.check_answered()?;
        Ok(Parts {
            version: shared.version(),
            namespaces: Namespaces::new(&shared, &io.set, parent)?,
            events: EventRequest::new(&self.jobs.events)?,
            is_scanned: AtomicBool::new(false),
            io,
            shared,
        })
    }

    /// A bring-up is over with `result`.
    fn end_bring_up(&self, result: Result) {
        self.admin.end_bring_up();
        match (result, self.parts()) {
            (Err(e), _) => self.hardware.bring_up_failed(e),
            (Ok(()), Some(parts)) if self.hardware.brought_up(parts.io.lacks_all()) => {
                // Namespaces may have changed, and so may the number of queues.
                self.jobs.scan.queue();
                parts.events.begin();
            }
            (Ok(()), _) => {}
        }
    }
}

impl Parts {
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
        let deadline = hardware.power_up_deadline(self.commands_of_a_reset(), admin.timeout_ms());
        admin.begin_bring_up(deadline, hardware.is_bring_up_logged());
        let identified = Identified::get(admin, dev, hardware.quirks())?;
        self.shared.adopt(&identified, dev)?;
        identified.configure(admin, &self.shared.params);
        self.namespaces.check()?;
        self.io.create_again()?;
        hardware.check_answered()
    }
}

/// See [`super::jobs::Jobs::reset`].
struct ResetJob {
    core: Arc<Core>,
    class: Arc<ClassDevice<Attributes>>,
}

impl Job for ResetJob {
    fn run(&self) {
        let core = &self.core;
        if !matches!(core.hardware.state(), State::Resetting | State::Trying) {
            return;
        }
        match core.parts() {
            Some(parts) => {
                let result = core.hardware.bring_up(|| parts.bring_up());
                core.end_bring_up(result);
            }
            None => {
                if let Err(e) = core.bring_up_first(&self.class) {
                    core.end_bring_up(Err(e));
                }
            }
        }
    }
}

/// See [`super::jobs::Jobs::scan`].
struct ScanJob(Arc<Core>);

impl ScanJob {
    fn scan(parts: &Parts) -> Result {
        parts.use_queues()?;
        if parts.io.has_none() && parts.namespaces.is_empty() {
            // Nothing could read a new disk's partitions. A reset that brings queues back is followed
            // by a scan.
            return Ok(());
        }
        if let Some(ms) = parts.namespaces.scan()? {
            parts.shared.jobs.scan.queue_after(ms);
        }
        Ok(())
    }
}

impl Job for ScanJob {
    fn run(&self) {
        let Some(parts) = self.0.parts() else {
            return;
        };
        if self.0.hardware.is_live() && Self::scan(parts) == Err(ENOMEM) {
            // Memory may be short for a moment only.
            self.0.jobs.scan.queue_after(timing::WATCHDOG_MS);
        }
        parts.is_scanned.store(true, Release);
    }
}

/// See [`super::jobs::Jobs::events`].
struct EventJob {
    core: Arc<Core>,
    class: Arc<ClassDevice<Attributes>>,
}

impl Job for EventJob {
    fn run(&self) {
        if let Some(parts) = self.core.parts() {
            let handler = EventHandler {
                shared: &parts.shared,
                request: &parts.events,
                class: &self.class,
            };
            handler.run();
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
    fn attend(&self, parts: &Parts, ticks: u32) {
        let Core {
            admin, hardware, ..
        } = &*self.core;
        let is_due = |ms: u32| ticks % (ms / timing::WATCHDOG_MS).max(1) == 0;
        parts.events.request_again(admin);
        if is_due(timing::REPORT_INTERVAL_MS) {
            self.core.jobs.events.queue();
        }
        // Twice in the timer's time.
        let keep_alive = parts.shared.keep_alive().map(|ms| ms / 2);
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
        let Core { hardware, jobs, .. } = &*self.core;
        let parts = self.core.parts();
        hardware.check();
        let pause = hardware.until_check();
        if pause < timing::WATCHDOG_MS {
            // The device is away: there is nothing else to do for it.
            jobs.watch.queue_after(pause);
            return;
        }
        let ticks = self.ticks.fetch_add(1, Relaxed);
        match hardware.state() {
            State::Live => {
                if let Some(parts) = parts {
                    self.attend(parts, ticks);
                }
                hardware.try_for_queues_if_due();
            }
            State::Dead | State::Trying => {
                if let Some(parts) = parts {
                    // No retry is worth its delay.
                    parts.io.set.kick_requeued();
                }
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
        if let Some(parts) = self.0.parts() {
            parts.io.set.run_queues();
        }
    }
}

/// See [`super::jobs::Jobs::shutdown`].
struct ShutdownJob(Arc<Core>);

impl Job for ShutdownJob {
    fn run(&self) {
        let core = &*self.0;
        core.hardware.shut_down(true, || core.delete_queues());
    }
}

/// The end of a Keep Alive command.
struct Unheard;

impl Ended<Admin> for Unheard {
    fn ended(&self, _data: &AdminRequestData, _ok: bool) {
        // A controller that refuses the command stops when its timer expires, which the watchdog sees.
    }
}
