// SPDX-License-Identifier: GPL-2.0

//! Asynchronous events. NVMe Base 2.0, 5.2.
//!
//! The controller has one Asynchronous Event Request at any time. When it completes, a job reads the
//! log page of the event, which lets the controller report the next event of that type, handles the
//! event and sends the next request.

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
        timing,
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

/// The most namespaces that the log names after one event.
const LINES: usize = 8;

/// The Asynchronous Event Request.
///
/// An interrupt may drop the last reference. That is allowed for all fields: the controller keeps
/// another reference to `job` until the last command has ended.
#[pin_data]
pub(super) struct EventRequest {
    job: Arc<Work>,
    /// Whether the controller has the request.
    asked: AtomicBool,
    /// Whether the job has not handled the last event yet.
    fresh: AtomicBool,
    /// The last event, dword 0 of its completion.
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
    /// A request that was not sent yet; `job` handles its events.
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

    /// Enables the events that the driver wants, in a controller that was enabled, and sends the
    /// first request.
    pub(super) fn begin(self: &Arc<Self>, admin: &AdminQueue, info: &ControllerInfo) {
        // A controller that refuses reports the events of its choice; the log has a line.
        admin.offer(&SetAsyncEvents {
            events: info.events,
        });
        self.ask(admin);
    }

    /// Sends the request, unless the controller has it.
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

    /// Sends the request if the controller has completed it without an event, and the last event was
    /// handled.
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
            // The end of the bring-up sends the request again.
            return;
        }
        if let Some(event) = self.request.take() {
            let Some(missed) = self.request.log.admit() else {
                // The budget is used up: this event is handled later.
                self.request.fresh.store(true, Release);
                self.request.job.queue_after(timing::EVENT_PAUSE_MS);
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
                let longest = self
                    .shared
                    .info()
                    .activation_ms
                    .unwrap_or(timing::ACTIVATION_MS);
                let longest = timing::millis(longest.min(timing::LONGEST_ACTIVATION_MS));
                self.shared.hardware.wait_while_paused(longest);
                self.tell_firmware();
                self.shared.identify_again(dev);
                self.shared.jobs.scan.queue();
            }
            EventKind::Error => self.tell_errors(),
            _ => {}
        }
        let text = CString::try_from_fmt(fmt!("NVME_AEN={:#08x}", event.raw()));
        if let Ok(text) = text {
            // No process may listen.
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
        // Reading the log page clears it. The scan finds the changes itself.
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
