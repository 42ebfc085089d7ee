// SPDX-License-Identifier: GPL-2.0

//! What is done for a controller besides what somebody waits for: bringing it up again, looking
//! for namespaces, watching.

use super::{
    attributes::Attributes,
    events::EventHandler,
    Core,
    Identified, //
};
use crate::{
    admin::{
        Admin,
        AdminPdu,
        CommandTimeout, //
    },
    nvme::{
        ControllerInfo,
        KeepAlive, //
    },
    policy::{
        Event,
        State, //
    },
    queue::TimeoutPolicy,
    sys::{
        base::{
            ClassDevice,
            Job,
            Urgency,
            Work, //
        },
        block::Ended, //
    },
};
use core::sync::atomic::{
    AtomicU32,
    Ordering::Relaxed, //
};
use kernel::{
    prelude::*,
    static_lock_class,
    sync::Arc, //
};

/// Milliseconds between two looks at a controller.
const WATCH_MS: u32 = 1000;
/// How often it is tried to bring a controller up, as long as what fails is not the controller.
const TRIES: u32 = 3;

/// What is done for a controller in threads.
pub(super) struct Jobs {
    /// Brings it up again.
    pub(super) reset: Arc<Work>,
    /// Looks for namespaces.
    pub(super) scan: Arc<Work>,
    /// Does something about what it tells.
    pub(super) events: Arc<Work>,
    /// Looks after it, once a second.
    pub(super) watch: Arc<Work>,
}

impl Jobs {
    /// Jobs that nobody can ask for yet.
    pub(super) fn new() -> Result<Self> {
        let background = Urgency::Background;
        Ok(Self {
            reset: Work::new(c"rnvme_reset", static_lock_class!(), Urgency::Reset)?,
            scan: Work::new(c"rnvme_scan", static_lock_class!(), background)?,
            events: Work::new(c"rnvme_events", static_lock_class!(), background)?,
            watch: Work::new(c"rnvme_watch", static_lock_class!(), background)?,
        })
    }

    /// From now on they work on `core`.
    pub(super) fn open(&self, core: &Arc<Core>, class: &Arc<ClassDevice<Attributes>>) -> Result {
        let reset = ResetJob {
            core: core.clone(),
            scan: self.scan.clone(),
        };
        self.reset.open(Arc::new(reset, GFP_KERNEL)?);
        let scan = ScanJob {
            core: core.clone(),
            again: self.scan.clone(),
        };
        self.scan.open(Arc::new(scan, GFP_KERNEL)?);
        let events = EventHandler {
            events: core.events.clone(),
            admin: core.admin.clone(),
            hardware: core.hardware.clone(),
            class: class.clone(),
            scan: self.scan.clone(),
            info: core.info,
        };
        self.events.open(Arc::new(events, GFP_KERNEL)?);
        let watch = WatchJob {
            core: core.clone(),
            again: self.watch.clone(),
            ticks: AtomicU32::new(0),
        };
        self.watch.open(Arc::new(watch, GFP_KERNEL)?);
        Ok(())
    }

    /// Waits for what is under way. Nothing is done from now on.
    pub(super) fn close(&self) {
        self.watch.close();
        self.events.close();
        self.reset.close();
        self.scan.close();
    }
}

/// See [`Jobs::reset`].
struct ResetJob {
    core: Arc<Core>,
    scan: Arc<Work>,
}

impl Job for ResetJob {
    fn run(&self) {
        let hardware = &self.core.hardware;
        if hardware.state() != State::Resetting {
            return;
        }
        let deadline = hardware.reset_deadline(self.core.commands_of_a_reset());
        self.core.admin.set_deadline(Some(deadline));
        let result = self.core.bring_up();
        self.core.admin.set_deadline(None);
        match result {
            Ok(()) => {
                if hardware.brought_up() {
                    self.core.events.begin(&self.core.admin, &self.core.info);
                    // It may have changed meanwhile, and have other queues.
                    self.scan.queue();
                }
            }
            Err(e) => hardware.bring_up_failed(e),
        }
    }
}

impl Core {
    /// Has the block layer use the I/O queues that the controller has now. Waits for I/O: not to be
    /// called by what I/O may wait for.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, with a line in the log.
    fn use_queues(&self) -> Result {
        match self.io.use_made() {
            Ok(None) => {}
            Ok(Some(0)) => dev_err!(
                self.parent,
                "no I/O queue is left: I/O fails, admin commands work\n"
            ),
            Ok(Some(queues)) => dev_warn!(self.parent, "{} I/O queues now\n", queues),
            Err(e) => {
                dev_err!(
                    self.parent,
                    "I/O of queues that are lost takes a detour: error {}\n",
                    e.to_errno()
                );
                return Err(e);
            }
        }
        Ok(())
    }

    /// About how many admin commands it takes to bring the controller up again.
    fn commands_of_a_reset(&self) -> u32 {
        // For the controller itself, two for each queue pair, one for each disk.
        self.io
            .counts
            .total()
            .saturating_mul(2)
            .saturating_add(self.live.count())
            .saturating_add(8)
    }

    /// Brings the controller up again, which was stopped.
    fn bring_up(&self) -> Result {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.try_to_bring_up() {
                // Memory is short for a moment.
                Err(e) if e == ENOMEM && tries < TRIES => {
                    self.hardware.notify(Event::Stuck, "memory is short")
                }
                result => return result,
            }
        }
    }

    fn try_to_bring_up(&self) -> Result {
        let hardware = &self.hardware;
        hardware.restart()?;
        let identified = Identified::get(&self.admin, &self.parent)?;
        if let Some(what) = self.misses(&identified.info) {
            dev_err!(
                self.parent,
                "this is another controller, or does less than before: {}\n",
                what
            );
            return Err(ENODEV);
        }
        identified.configure(&self.admin, &self.params);
        self.scanner().check()?;
        self.io.announce_again(&self.admin, hardware, &self.params)
    }

    /// What a controller of `info` lacks to go on where this one stopped, if there is anything.
    fn misses(&self, info: &ControllerInfo) -> Option<&'static str> {
        let before = &self.info;
        if before.serial.as_str() != info.serial.as_str() {
            return Some("serial number");
        }
        if before.model.as_str() != info.model.as_str() {
            return Some("model");
        }
        if info
            .max_transfer
            .is_some_and(|mdts| mdts < self.max_transfer)
        {
            return Some("largest transfer (MDTS)");
        }
        if before.sgls && !info.sgls {
            return Some("SGLs");
        }
        // What was not flushed so far would have to be from now on.
        if info.volatile_write_cache && !before.volatile_write_cache {
            return Some("volatile write cache");
        }
        None
    }
}

/// See [`Jobs::scan`].
struct ScanJob {
    core: Arc<Core>,
    again: Arc<Work>,
}

impl ScanJob {
    fn check(&self) -> Result {
        let core = &self.core;
        core.use_queues()?;
        core.scanner()
            .scan(&mut core.disks.lock())
            .inspect_err(|e| {
                // If it is being reset, what follows looks once more.
                if core.hardware.is_live() {
                    dev_err!(
                        core.parent,
                        "namespaces cannot be looked for: error {}\n",
                        e.to_errno()
                    );
                }
            })
    }
}

impl Job for ScanJob {
    fn run(&self) {
        if self.core.hardware.is_live() && self.check() == Err(ENOMEM) {
            // Memory is short for a moment.
            self.again.queue_after(WATCH_MS);
        }
    }
}

/// See [`Jobs::watch`].
struct WatchJob {
    core: Arc<Core>,
    again: Arc<Work>,
    /// How often it has looked.
    ticks: AtomicU32,
}

impl WatchJob {
    /// Gives a controller that works the commands that it should have, once a tick.
    fn attend(&self, ticks: u32) {
        let core = &self.core;
        core.events.ask_again(&core.admin);
        // Twice in its time.
        let due = |ms: u32| ticks % (ms / (2 * WATCH_MS)).max(1) == 0;
        if core.keep_alive().is_some_and(due) {
            // One that does not come back is late, as any command may be.
            if let Ok(unheard) = Arc::new(Unheard, GFP_KERNEL) {
                let _ = core.admin.post(&KeepAlive, CommandTimeout::Admin, unheard);
            }
        }
    }
}

impl Job for WatchJob {
    fn run(&self) {
        self.core.hardware.check();
        let ticks = self.ticks.fetch_add(1, Relaxed);
        match self.core.hardware.state() {
            State::Live => self.attend(ticks),
            // No retry is worth waiting for.
            State::Dead => self.core.io.set.kick_requeued(),
            _ => {}
        }
        self.again.queue_after(WATCH_MS);
    }
}

/// Who is told of the end of a Keep Alive command.
struct Unheard;

impl Ended<Admin> for Unheard {
    fn ended(&self, _pdu: &AdminPdu, _ok: bool) {
        // A controller that refuses to be kept alive stops, which is noticed.
    }
}
