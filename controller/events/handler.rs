// SPDX-License-Identifier: GPL-2.0

//! What is done about an event: its log page is read, the log has a line, user space is told.

use super::{
    super::shared::Shared,
    EventRequest, //
};
use crate::{
    nvme::{
        AsyncEvent,
        ChangedNamespaces,
        EventKind,
        FirmwareSlots,
        GetLogPage,
        Health,
        Notice,
        Status,
        Warnings, //
    },
    policy::{
        timing,
        Event, //
    },
    sys::base::ClassDevice, //
};
use core::sync::atomic::Ordering::Relaxed;
use kernel::{
    device::Device,
    prelude::*,
    str::CString,
    sync::Arc,
    time::Instant, //
};

/// The most namespaces that the log names after one event.
const LINES: usize = 8;

/// Handles asynchronous events of a controller, whose class device has data `D`.
pub(in crate::controller) struct EventHandler<'a, D> {
    pub(in crate::controller) shared: &'a Shared,
    pub(in crate::controller) request: &'a Arc<EventRequest>,
    pub(in crate::controller) class: &'a ClassDevice<D>,
}

impl<D: Send + Sync + 'static> EventHandler<'_, D> {
    /// Handles what has come since the last call.
    pub(in crate::controller) fn run(&self) {
        if let Some(status) = self.request.take_failure() {
            self.tell_failure(status);
        }
        if !self.shared.hardware.is_live() {
            // The end of the bring-up queues the job again.
            return;
        }
        let shared = self.shared;
        if self.request.configure(&shared.admin, &shared.info()) {
            // When the class device appeared, its attributes were empty. No process may listen.
            let _ = self.class.uevent(&[c"NVME_EVENT=connected"]);
        }
        match self.request.take() {
            Some(event) if self.request.pace.admit().is_none() => {
                // Too many at a time: this event is handled later.
                self.request.last.store(event.raw(), super::Release);
                self.request.fresh.store(true, super::Release);
                self.request.job.queue_after(timing::EVENT_PAUSE_MS);
                return;
            }
            Some(event) => self.handle(event),
            None => self.look(),
        }
        self.request.ask(&self.shared.admin);
    }

    fn device(&self) -> &Device {
        self.class.device()
    }

    fn tell_failure(&self, status: Status) {
        let next = match status.do_not_retry() {
            true => "no events until the next reset",
            false => "asking again, with growing pauses",
        };
        dev_warn!(
            self.device(),
            "Asynchronous Event Request failed: {}: {}\n",
            status,
            next
        );
    }

    fn handle(&self, event: AsyncEvent) {
        let is_told = self.admit(event);
        match event.kind() {
            EventKind::PersistentError => self.reset(is_told),
            EventKind::Smart => self.tell_health(Some(event)),
            EventKind::Notice(Notice::NamespaceChanged) => {
                self.read_changed(is_told);
                self.shared.jobs.scan.queue();
            }
            EventKind::Notice(Notice::FirmwareActivationStarting) => self.await_firmware(is_told),
            EventKind::Error => self.read_errors(is_told),
            _ => {}
        }
        let text = CString::try_from_fmt(fmt!("NVME_AEN={:#08x}", event.raw()));
        if let Ok(text) = text {
            // No process may listen.
            let _ = self.class.uevent(&[&text]);
        }
    }

    /// Resets a controller that reports a persistent internal error, unless resets have not helped.
    fn reset(&self, is_told: bool) {
        let may_help = self.request.reports.lock().may_reset(Instant::now());
        if may_help {
            self.shared
                .hardware
                .notify(Event::Fault, "it reports a persistent internal error");
        } else if is_told {
            dev_err!(
                self.device(),
                "persistent internal error reported again: no reset, some in the last 10 minutes have not helped\n"
            );
        }
    }

    /// Whether the log may have lines about `event`; the first of them is here. What the SMART log
    /// says has a line at each change, see [`Self::tell_health`].
    fn admit(&self, event: AsyncEvent) -> bool {
        if event.kind() == EventKind::Smart {
            return false;
        }
        let now = Instant::now();
        let Some(missed) = self.request.reports.lock().admit(event.number(), now) else {
            return false;
        };
        if missed > 0 {
            self.tell_missed(event.number(), missed);
        }
        dev_info!(self.device(), "event: {}\n", event);
        true
    }

    /// Says how many events of type `kind` the log does not have.
    fn tell_missed(&self, kind: u8, missed: u32) {
        dev_warn!(
            self.device(),
            "{} more events of type {} were left out of the log\n",
            missed,
            kind
        );
    }

    /// The watchdog wants to know, rarely: whether warnings have cleared, whether lines were left out.
    fn look(&self) {
        let has_warnings = self.request.reports.lock().has_warnings();
        if has_warnings || self.request.is_retained.load(Relaxed) {
            self.tell_health(None);
        }
        for kind in 0..=AsyncEvent::VENDOR {
            let rest = self.request.reports.lock().rest(kind, Instant::now());
            if let Some(missed) = rest {
                self.tell_missed(kind, missed);
            }
        }
    }

    /// Reads the SMART log, after `event` or for the watchdog, and logs the critical warnings that are
    /// new. The controller does not report these again until they have cleared. If it refuses that, the
    /// read of an event makes it report none until the watchdog looks. What has cleared is logged at a
    /// look only, so a warning that flaps is one. What the event says counts, too: the log may be
    /// refused, or have no warning any more.
    fn tell_health(&self, event: Option<AsyncEvent>) {
        let retains = event.is_some() && self.request.is_unmasked.load(Relaxed);
        let health = self.health(retains);
        let warnings = health.as_ref().map(|health| health.warnings);
        let (raised, cleared) = {
            let mut reports = self.request.reports.lock();
            let by_event = event.map_or(Warnings::NONE, Warnings::of_event);
            let raised = reports.raise(warnings.unwrap_or(Warnings::NONE).with(by_event));
            let looked = warnings.filter(|_| event.is_none());
            (raised, looked.and_then(|now| reports.look(now)))
        };
        if let Some(raised) = raised {
            self.tell_raised(raised, health);
        }
        if let Some(cleared) = cleared {
            dev_info!(
                self.device(),
                "critical warning cleared: {}; left: {}\n",
                cleared,
                warnings.unwrap_or(Warnings::NONE)
            );
        }
        if raised.is_some() || cleared.is_some() {
            self.enable();
        }
    }

    /// Reads the SMART log; `retains`: the controller reports no event of it until the next read that
    /// does not retain.
    fn health(&self, retains: bool) -> Option<Health> {
        let command = GetLogPage::smart().retaining(retains);
        let page = self.shared.admin.log_page(&command).ok()?;
        let health = page.get().map(Health::decode).ok()?;
        self.request.is_retained.store(retains, Relaxed);
        Some(health)
    }

    /// Logs the critical warnings that are new, with what the SMART log says.
    fn tell_raised(&self, raised: Warnings, health: Option<Health>) {
        match health {
            Some(health) => dev_warn!(
                self.device(),
                "critical warning: {}; {} K, {} % spare (threshold {} %), {} % used, {} media errors; not reported again until it clears\n",
                raised,
                health.kelvin.unwrap_or(0),
                health.spare,
                health.spare_threshold,
                health.used,
                health.media_errors
            ),
            None => dev_warn!(
                self.device(),
                "critical warning: {}; the SMART log cannot be read; not reported again until it clears\n",
                raised
            ),
        }
    }

    /// Enables the events that the driver wants now.
    fn enable(&self) {
        let info = self.shared.info();
        self.request.enable(&self.shared.admin, &info);
    }

    /// Reads the list of changed namespaces, which lets the controller report the next change. The
    /// scan finds the changes itself.
    fn read_changed(&self, is_told: bool) {
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
        for nsid in changed.take(LINES).filter(|_| is_told) {
            dev_info!(self.device(), "namespace {} has changed\n", nsid.get());
        }
    }

    /// Keeps I/O back until the firmware runs, and identifies the controller with it.
    fn await_firmware(&self, is_told: bool) {
        let longest = self.shared.info().activation_ms;
        let longest = longest
            .unwrap_or(timing::ACTIVATION_MS)
            .min(timing::LONGEST_ACTIVATION_MS);
        self.shared
            .hardware
            .wait_while_paused(timing::millis(longest));
        if let Ok(page) = self.shared.admin.log_page(&GetLogPage::firmware_slots()) {
            if let (Ok(Some(revision)), true) = (page.get().map(FirmwareSlots::running), is_told) {
                dev_info!(self.device(), "firmware {} is running\n", revision);
            }
        }
        self.shared.identify_again(self.device());
        self.shared.jobs.scan.queue();
    }

    /// Reads the error log, which lets the controller report the next error.
    fn read_errors(&self, is_told: bool) {
        let Ok(page) = self.shared.admin.log_page(&GetLogPage::errors(1)) else {
            return;
        };
        let Ok(log) = page.get() else {
            return;
        };
        for entry in log.iter().filter(|_| is_told) {
            dev_warn!(
                self.device(),
                "error {} of its log: queue {}, {}\n",
                entry.count,
                entry.queue.map_or(0, |queue| queue.raw()),
                entry.status
            );
        }
    }
}
