// SPDX-License-Identifier: GPL-2.0

//! Asynchronous events. NVMe Base 2.0, 5.2.
//!
//! The controller has one Asynchronous Event Request at any time. When it completes, a job reads the
//! log page of the event, which lets the controller report the next event of that type, handles the
//! event and sends the next request.

// What is done about an event.
mod handler;

pub(super) use self::handler::EventHandler;

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
        ControllerInfo,
        SetAsyncEvents,
        Status, //
    },
    policy::{
        timing,
        Reports, //
    },
    sys::{
        base::{
            RateLimit,
            Work, //
        },
        block::Ended, //
    },
};
use core::sync::atomic::{
    AtomicBool,
    AtomicU16,
    AtomicU32,
    Ordering::{
        Acquire,
        Relaxed,
        Release, //
    }, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
    time::{
        Instant,
        Monotonic, //
    }, //
};

/// The Asynchronous Event Request.
///
/// An interrupt may drop the last reference. That is allowed for all fields: the controller keeps
/// another reference to `job` until the last command has ended.
#[pin_data]
pub(super) struct EventRequest {
    job: Arc<Work>,
    /// Whether a bring-up is over and the job has not enabled events since.
    begins: AtomicBool,
    /// How often in a row the controller has not completed the command that enables events, and was
    /// reset for that.
    unanswered: AtomicU32,
    /// Whether the controller has the request.
    asked: AtomicBool,
    /// Whether the job has not handled the last event yet.
    fresh: AtomicBool,
    /// The last event, dword 0 of its completion.
    last: AtomicU32,
    /// How often in a row the controller has failed the request; [`REFUSED`]: for good, until its next
    /// reset.
    failures: AtomicU32,
    /// The status of the last failure that the log does not have; 0: none.
    failure: AtomicU16,
    /// How many runs of the watchdog have waited since the last failure.
    waited: AtomicU32,
    /// Whether the controller has refused to leave out events: it reports a warning for as long as
    /// there is one.
    is_unmasked: AtomicBool,
    /// Whether the controller keeps warnings to itself until the SMART log is read for the watchdog.
    is_retained: AtomicBool,
    /// How many events are handled at a time.
    #[pin]
    pace: RateLimit,
    /// LOCK: what of the events the log has, and the warnings that are masked; inside: nothing. A
    /// reset takes it.
    #[pin]
    reports: Mutex<Reports>,
}

/// How often in a row a controller may not complete the command that enables events: no event is worth
/// more resets.
const UNANSWERED: u32 = 2;

/// More failures than there can be: the controller has refused the request.
const REFUSED: u32 = u32::MAX;

impl Ended<Admin> for EventRequest {
    fn ended(&self, data: &AdminRequestData, ok: bool) {
        if ok {
            self.last.store(data.result(), Release);
            self.failures.store(0, Relaxed);
            self.fresh.store(true, Release);
        } else {
            self.note_failure(data.status());
        }
        self.asked.store(false, Release);
        if ok || self.failure.load(Relaxed) != 0 {
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
                begins: AtomicBool::new(false),
                unanswered: AtomicU32::new(0),
                asked: AtomicBool::new(false),
                fresh: AtomicBool::new(false),
                last: AtomicU32::new(0),
                failures: AtomicU32::new(0),
                failure: AtomicU16::new(0),
                waited: AtomicU32::new(0),
                is_unmasked: AtomicBool::new(false),
                is_retained: AtomicBool::new(false),
                pace <- RateLimit::new(),
                reports <- new_mutex!(Reports::NONE),
            }),
            GFP_KERNEL,
        )
    }

    /// A bring-up is over: the job goes on with [`Self::configure`]. It does so, and not the bring-up,
    /// for nothing may wait for commands of a controller that works: neither a pause, nor the scan, nor
    /// another reset.
    pub(super) fn begin(&self) {
        self.begins.store(true, Release);
        self.job.queue();
    }

    /// Enables the events if a bring-up was over since the last call; returns whether one was.
    fn configure(&self, admin: &AdminQueue, info: &ControllerInfo) -> bool {
        let begins = self.begins.swap(false, Acquire);
        if begins {
            self.failures.store(0, Relaxed);
            self.enable(admin, info);
        }
        begins
    }

    /// Enables the events that the driver wants, but for the warnings that there are. A controller
    /// that refuses reports the events of its choice; the log has a line.
    fn enable(&self, admin: &AdminQueue, info: &ControllerInfo) {
        if self.unanswered.load(Relaxed) >= UNANSWERED {
            return;
        }
        let began = Instant::<Monotonic>::now();
        let events = self.reports.lock().unmasked(info.events);
        match admin.attempt(&SetAsyncEvents { events }) {
            Ok(reply) => {
                self.unanswered.store(0, Relaxed);
                self.is_unmasked.store(reply.is_err(), Relaxed);
            }
            Err(_) => {
                self.is_unmasked.store(true, Relaxed);
                // Others may stop the controller meanwhile.
                if began.elapsed() >= timing::millis(admin.timeout_ms()) {
                    self.unanswered.fetch_add(1, Relaxed);
                }
            }
        }
    }

    /// Sends the request, unless the controller has it.
    fn ask(self: &Arc<Self>, admin: &AdminQueue) {
        if self.failures.load(Relaxed) == REFUSED || self.asked.swap(true, Acquire) {
            return;
        }
        self.waited.store(0, Relaxed);
        if admin
            .post(&AsyncEventRequest, CommandTimeout::Never, self.clone())
            .is_err()
        {
            self.asked.store(false, Release);
        }
    }

    /// The controller has ended the request with `status`, without an event.
    fn note_failure(&self, status: Status) {
        let before = self.failures.load(Relaxed);
        // The driver ends the request when it stops the controller.
        if !status.is_from_controller() || before == REFUSED {
            return;
        }
        let is_final = status.do_not_retry();
        let failures = before.saturating_add(1).min(REFUSED - 1);
        self.failures
            .store(if is_final { REFUSED } else { failures }, Relaxed);
        if before == 0 || is_final {
            self.failure.store(status.raw(), Relaxed);
        }
    }

    /// Sends the request if the controller has completed it without an event, and the last event was
    /// handled: once in each run of the watchdog, with growing pauses if the controller goes on with
    /// that.
    pub(super) fn request_again(self: &Arc<Self>, admin: &AdminQueue) {
        let is_busy = |it: &AtomicBool| it.load(Acquire);
        if is_busy(&self.fresh) || is_busy(&self.asked) || is_busy(&self.begins) {
            return;
        }
        let waited = self.waited.fetch_add(1, Relaxed).saturating_add(1);
        let failures = self.failures.load(Relaxed);
        if failures == 0 || waited >= timing::event_pause_ms(failures) / timing::WATCHDOG_MS {
            self.ask(admin);
        }
    }

    /// The last event, if it was not handled yet.
    fn take(&self) -> Option<AsyncEvent> {
        self.fresh
            .swap(false, Acquire)
            .then(|| AsyncEvent::from_raw(self.last.load(Acquire)))
    }

    /// The status of a failure that the log does not have yet.
    fn take_failure(&self) -> Option<Status> {
        let raw = self.failure.swap(0, Relaxed);
        (raw != 0).then_some(Status::from_raw(raw))
    }
}
