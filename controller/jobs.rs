// SPDX-License-Identifier: GPL-2.0

//! The background jobs of a controller: reset, scan, events, watchdog, retry, shutdown. What each
//! does is in `bring_up.rs` and `events.rs`.

use crate::sys::base::{
    Shutdown,
    Urgency,
    Work, //
};
use kernel::{
    prelude::*,
    static_lock_class,
    sync::Arc, //
};

/// The background jobs of a controller. Each can be queued from the start and does nothing until it
/// is opened.
pub(super) struct Jobs {
    /// Brings the controller up again.
    pub(super) reset: Arc<Work>,
    /// Scans for namespaces.
    pub(super) scan: Arc<Work>,
    /// Handles asynchronous events.
    pub(super) events: Arc<Work>,
    /// Checks the controller, once a second.
    pub(super) watch: Arc<Work>,
    /// Has the block layer submit requests again that found no memory for their list.
    pub(super) retry: Arc<Work>,
    /// Shuts the controller down with the system.
    pub(super) shutdown: Shutdown,
}

impl Jobs {
    /// Jobs that are not open yet.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new() -> Result<Self> {
        let background = Urgency::Background;
        let shutdown = Work::new(c"rnvme_shutdown", static_lock_class!(), background)?;
        Ok(Self {
            reset: Work::new(c"rnvme_reset", static_lock_class!(), Urgency::Reset)?,
            scan: Work::new(c"rnvme_scan", static_lock_class!(), background)?,
            events: Work::new(c"rnvme_events", static_lock_class!(), background)?,
            watch: Work::new(c"rnvme_watch", static_lock_class!(), background)?,
            retry: Work::new(c"rnvme_retry", static_lock_class!(), Urgency::Reset)?,
            shutdown: Shutdown::new(shutdown)?,
        })
    }

    /// Waits for the jobs that run. None runs after that.
    pub(super) fn close(&self) {
        self.shutdown.work().close();
        self.watch.close();
        self.events.close();
        self.reset.close();
        self.scan.close();
        self.retry.close();
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        // Hardware that does not stop keeps its memory, and with it references to jobs.
        self.close();
    }
}
