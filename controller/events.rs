// SPDX-License-Identifier: GPL-2.0

//! Asynchronous events: what a controller tells without being asked. NVMe Base 2.0, 5.2.
//!
//! One request for an event waits in the controller at any time. When it comes back, a job reads
//! the log page that goes with the event, which has the controller tell of the next one, does
//! what is to be done, and asks again.

use super::{
    attributes::Attributes,
    shared::Shared, //
};
use crate::{
    admin::{
        Admin,
        AdminQueue,
        AdminRequestData,
        CommandTimeout, //
    },
    nvme::{
        AsyncEvent,
        AsyncEventRequest,
        ChangedNamespaces,
        ControllerInfo,
        EventKind,
        FirmwareSlots,
        GetLogPage,
        Health,
        Notice,
        SetAsyncEvents, //
    },
    policy::{
        timing::{
            millis,
            ACTIVATION_MS,
            EVENT_PAUSE_MS,
            LONGEST_ACTIVATION_MS, //
        },
        Event, //
    },
    sys::{
        base::{
            ClassDevice,
            RateLimit,
            Work, //
        },
        block::Ended, //
    },
};
use core::sync::atomic::{
    AtomicBool, AtomicU32,
    Ordering::{
        Acquire,
        Release, //
    },
};
use kernel::{
    prelude::*,
    str::CString,
    sync::Arc, //
};

/// The most namespaces that are named in the log after one event.
const LINES: usize = 8;
/// The request that waits for an event.
///
/// The last reference to it may be dropped in an interrupt: so it has nothing that must not be, and
/// of `job` the controller has another reference for longer than there are commands.
#[pin_data]
pub(super) struct EventRequest {
    job: Arc<Work>,
    /// Whether the controller has the request.
    asked: AtomicBool,
    /// Whether there is an event that nobody has looked at.
    fresh: AtomicBool,
    /// The last event.
    last: AtomicU32,
    #[pin]
    log: RateLimit,
}

impl Ended<Admin> for EventRequest {
    fn ended(&self, data: &AdminRequestData, ok: bool) {
        if ok {
            self.last.store(data.result(), Release);
            self.fresh.store(true, Release);
        }
        self.asked.store(false, Release);
        if ok {
            self.job.queue();
        }
    }
}

impl EventRequest {
    /// Nothing is asked for yet.
    pub(super) fn new(job: &Arc<Work>) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                job: job.clone(),
                asked: AtomicBool::new(false),
                fresh: AtomicBool::new(false),
                last: AtomicU32::new(0),
                log <- RateLimit::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// Tells a controller that was enabled which events are wanted, and asks for the first.
    pub(super) fn begin(self: &Arc<Self>, admin: &AdminQueue, info: &ControllerInfo) {
        // One that refuses tells what it likes; the log has a line.
        let _ = admin.execute(&SetAsyncEvents {
            events: info.events,
        });
        self.ask(admin);
    }

    /// Asks for an event, unless that has been done.
    fn ask(self: &Arc<Self>, admin: &AdminQueue) {
        if self.asked.swap(true, Acquire) {
            return;
        }
        if admin
            .post(&AsyncEventRequest, CommandTimeout::Never, self.clone())
            .is_err()
        {
            self.asked.store(false, Release);
        }
    }

    /// Asks for an event if the controller ended the last request without one, and what there was
    /// has been looked at.
    pub(super) fn request_again(self: &Arc<Self>, admin: &AdminQueue) {
        if !self.fresh.load(Acquire) {
            self.ask(admin);
        }
    }

    fn take(&self) -> Option<AsyncEvent> {
        self.fresh
            .swap(false, Acquire)
            .then(|| AsyncEvent::from_raw(self.last.load(Acquire)))
    }
}

/// Handles asynchronous events.
pub(super) struct EventHandler {
    pub(super) shared: Arc<Shared>,
    pub(super) request: Arc<EventRequest>,
    pub(super) class: Arc<ClassDevice<Attributes>>,
}

impl crate::sys::base::Job for EventHandler {
    fn run(&self) {
        if !self.shared.hardware.is_live() {
            // Whoever brings it up asks anew.
            return;
        }
        if let Some(event) = self.request.take() {
            let Some(missed) = self.request.log.admit() else {
                // Too many: what this one was about is looked at like any other, but later.
                self.request.fresh.store(true, Release);
                self.request.job.queue_after(EVENT_PAUSE_MS);
                return;
            };
            if missed > 0 {
                dev_warn!(self.class.device(), "too many events\n");
            }
            self.handle(event);
        }
        self.request.ask(&self.shared.admin);
    }
}

impl EventHandler {
    fn handle(&self, event: AsyncEvent) {
        let dev = self.class.device();
        dev_info!(dev, "event: {}\n", event);
        match event.kind() {
            EventKind::PersistentError => {
                self.shared
                    .hardware
                    .notify(Event::Fault, "it reports a persistent internal error");
            }
            EventKind::Smart => self.tell_health(),
            EventKind::Notice(Notice::NamespaceChanged) => {
                self.tell_changed();
                self.shared.jobs.scan.queue();
            }
            EventKind::Notice(Notice::FirmwareActivationStarting) => {
                let longest = self.shared.info.activation_ms.unwrap_or(ACTIVATION_MS);
                let longest = millis(longest.min(LONGEST_ACTIVATION_MS));
                self.shared.hardware.wait_while_paused(longest);
                self.tell_firmware();
            }
            EventKind::Error => self.tell_errors(),
            _ => {}
        }
        let text = CString::try_from_fmt(fmt!("NVME_AEN={:#08x}", event.raw()));
        if let Ok(text) = text {
            // Nobody may be listening.
            let _ = self.class.uevent(&[&text]);
        }
    }

    fn tell_health(&self) {
        let Ok(page) = self.shared.admin.log_page(&GetLogPage::smart()) else {
            return;
        };
        if let Ok(health) = page.get().map(Health::decode) {
            dev_warn!(
                self.class.device(),
                "health: {}, {} K, {} % spare (threshold {} %), {} % used, {} media errors\n",
                health.warnings,
                health.kelvin.unwrap_or(0),
                health.spare,
                health.spare_threshold,
                health.used,
                health.media_errors
            );
        }
    }

    fn tell_changed(&self) {
        // Reading the log clears it; scanning finds out anyway.
        let Ok(page) = self
            .shared
            .admin
            .log_page(&GetLogPage::changed_namespaces())
        else {
            return;
        };
        let Ok(Some(changed)) = page.get().map(ChangedNamespaces::iter) else {
            return;
        };
        for nsid in changed.take(LINES) {
            dev_info!(
                self.class.device(),
                "namespace {} has changed\n",
                nsid.get()
            );
        }
    }

    fn tell_firmware(&self) {
        let Ok(page) = self.shared.admin.log_page(&GetLogPage::firmware_slots()) else {
            return;
        };
        if let Ok(Some(revision)) = page.get().map(FirmwareSlots::running) {
            dev_info!(self.class.device(), "firmware {} is running\n", revision);
        }
    }

    fn tell_errors(&self) {
        let Ok(page) = self.shared.admin.log_page(&GetLogPage::errors(1)) else {
            return;
        };
        let Ok(log) = page.get() else {
            return;
        };
        for entry in log.iter() {
            dev_warn!(
                self.class.device(),
                "error {} of its log: queue {}, {}\n",
                entry.count,
                entry.queue.map_or(0, |queue| queue.raw()),
                entry.status
            );
        }
    }
}
