// SPDX-License-Identifier: GPL-2.0

//! Pauses of a controller: sleep, a reset of the function, a frozen bus, the end of the system.
//!
//! [`Hardware::pause`] does this, in this order, before sleep, hibernation, shutdown and a reset of
//! the function:
//!
//! 1. A try of a dead controller is given up, a reset that runs ends. [`Hardware::wait_while_paused`]
//!    (CSTS.PP) keeps no I/O back any more.
//! 2. The request queues of all disks begin to freeze, those of later disks included. A submitter
//!    waits; with `REQ_NOWAIT` it gets `EAGAIN`.
//! 3. Requests that have begun end, in a scheduler, in a list or in the controller, without a lock
//!    held. The driver reaps polled queues itself: the tasks that poll may be frozen.
//! 4. The controller deletes its I/O queues, if step 3 left none in use.
//! 5. [`Event::Pause`]: the gates are held, the controller is shut down (`stop.rs`), its
//!    commands end.
//!
//! So no request that has begun is there when the kernel takes CPUs offline
//! (`blk_mq_hctx_notify_offline` waits for such requests, and no CPU could dispatch them then).
//! [`Rest`] says what follows if step 3 takes too long. A frozen bus ([`Hardware::cut_off`]) does not
//! wait: commands end at once.
//!
//! The freeze belongs to no task. It ends when the controller is live or dead
//! (`Lifecycle::must_let_io_begin`), and when the driver leaves the controller
//! ([`Hardware::leave`]). After a shutdown it stays: what begins then waits for the end of the system.

use super::Hardware;
use crate::{
    io::Io,
    policy::{
        timing,
        Event,
        State, //
    },
    sys::{
        base::NoIo,
        block::TagSet, //
    }, //
};
use kernel::{
    io::poll::read_poll_timeout,
    prelude::*,
    sync::Arc,
    time::{
        Delta,
        Instant,
        Monotonic, //
    },
};

/// What becomes of I/O that does not end before a pause.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// The pause does not take place.
    Refuse,
    /// It waits for the end of the pause.
    Keep,
    /// It fails.
    Fail,
}

impl Hardware {
    /// The tag set of the I/O queues, once they are attached.
    fn tag_set(&self) -> Option<Arc<TagSet<Io>>> {
        self.inner.lock().io.as_ref().map(|io| io.set.clone())
    }

    /// The first part of a pause: a try of a dead controller is given up, a reset that runs ends,
    /// [`Self::wait_while_paused`] does not keep I/O back any more, and no I/O begins. Returns whether
    /// the pause takes place: not beside a shutdown that has begun.
    fn begin_pause(&self, rest: Rest) -> bool {
        let mut inner = self.inner.lock();
        if rest != Rest::Fail && inner.life.is_going_down() {
            return false;
        }
        inner.life.set_pausing(true);
        if rest == Rest::Keep {
            inner.life.set_reset_follows();
        }
        if inner.life.state() == State::Trying {
            self.step(&mut inner, Event::Failed, fmt!(""));
        }
        drop(inner);
        self.reset.flush();
        self.hold_back();
        // What waits for its next try has begun, too.
        if let Some(set) = self.tag_set() {
            set.kick_requeued();
        }
        true
    }

    /// Lets no I/O begin.
    fn hold_back(&self) {
        if let Some(set) = self.tag_set() {
            set.freeze();
        }
        let inner = self.inner.lock();
        // The controller may have died since then.
        if inner.life.must_let_io_begin() {
            inner.thaw();
        }
    }

    /// Waits until all I/O that has begun has ended, until `deadline` at most; returns whether it
    /// has.
    fn drain(&self, rest: Rest, deadline: Instant<Monotonic>) -> bool {
        let Some(set) = self.tag_set() else {
            return true;
        };
        let ended = read_poll_timeout(
            || {
                // The tasks that poll may be frozen.
                for queue in self.inner.lock().io_queues() {
                    queue.poll_all();
                }
                let state = self.state();
                if state.is_dead() || state == State::Deleting {
                    return Ok(Some(true));
                }
                if state == State::Resetting && rest == Rest::Keep {
                    // What waits for a reset waits for the end of the pause as well.
                    return Ok(Some(false));
                }
                // A controller that was dead may live again.
                set.freeze();
                Ok(set.is_drained().then_some(true))
            },
            |ended| ended.is_some(),
            timing::POLL_INTERVAL,
            (deadline - Instant::now()).max(timing::POLL_INTERVAL),
        );
        ended == Ok(Some(true))
    }

    /// Stops the controller until [`Event::Wake`]: no I/O begins any more, what has begun ends
    /// within [`timing::DRAIN_MS`], `delete_queues` has the controller delete its I/O queues, and the
    /// controller is shut down in an orderly way. Allocations in between do no I/O: memory reclaim
    /// might wait for the frozen disks, whose thaw may wait for this thread.
    ///
    /// # Errors
    ///
    /// `EBUSY` if I/O does not end in time and [`Rest::Refuse`] says that it must: the controller
    /// works on.
    pub(crate) fn pause(&self, rest: Rest, delete_queues: impl FnOnce()) -> Result {
        let _noio = NoIo::new();
        if !self.begin_pause(rest) {
            return Ok(());
        }
        if self.drain(rest, Instant::now() + timing::millis(timing::DRAIN_MS)) {
            delete_queues();
        } else {
            let pdev = &self.registers.pdev;
            match rest {
                Rest::Refuse => {
                    dev_err!(
                        pdev,
                        "I/O does not end within {} ms: the system cannot sleep now\n",
                        timing::DRAIN_MS
                    );
                    let mut inner = self.inner.lock();
                    inner.life.set_pausing(false);
                    inner.thaw();
                    return Err(EBUSY);
                }
                Rest::Keep => {}
                Rest::Fail => dev_err!(
                    pdev,
                    "I/O does not end within {} ms: it fails, because the system goes down\n",
                    timing::DRAIN_MS
                ),
            }
        }
        if rest == Rest::Refuse {
            self.inner.lock().life.set_slept();
        }
        // The controller does not come up until `Event::Wake`, whatever its state is.
        self.notify(Event::Pause, "");
        self.reset.flush();
        self.registers.config.protect();
        Ok(())
    }

    /// The bus does not reach the controller: its commands end at once, and all I/O waits until
    /// [`Event::Reached`].
    pub(crate) fn cut_off(&self) {
        self.inner.lock().life.set_pausing(true);
        self.hold_back();
        self.notify(Event::CutOff, "");
    }

    /// The system goes down, or is about to (`early`): I/O that has begun ends, the controller is shut
    /// down in an orderly way. I/O that would begin later waits for the end of the system. Does nothing
    /// if the driver has left the controller, or if it is early and the controller is in a pause:
    /// [`Self::is_shutdown_due`] then.
    pub(crate) fn shut_down(&self, early: bool, delete_queues: impl FnOnce()) {
        if !self.inner.lock().life.go_down(early) {
            return;
        }
        let _ = self.pause(Rest::Fail, delete_queues);
        self.notify(Event::Leave, "");
    }

    /// Whether an early shutdown waits for the end of a pause.
    pub(crate) fn is_shutdown_due(&self) -> bool {
        self.inner.lock().life.is_shutdown_due()
    }

    /// The driver leaves the controller: all I/O ends, with an error if the controller does not
    /// work.
    pub(crate) fn leave(&self) {
        self.notify(Event::Leave, "");
        self.inner.lock().thaw();
    }

    /// Keeps I/O back while the controller pauses its processing of commands (CSTS.PP), for a
    /// firmware activation for instance; resets the controller if that takes more than `longest`. The
    /// driver leaves no controller in the middle of that: I/O of the disks' removal waits, too.
    pub(crate) fn wait_while_paused(&self, longest: Delta) {
        let Some(set) = self.tag_set() else {
            return;
        };
        let until = Instant::<Monotonic>::now() + longest;
        self.inner.lock().life.set_processing_paused(true);
        set.quiesce();
        let is_pausing = || self.inner.lock().life.is_pausing();
        let mut result = self
            .registers
            .wait_processing(longest, || self.is_live() && !is_pausing());
        // What has begun must be able to end before a pause.
        set.unquiesce();
        if result.is_ok() {
            let left = (until - Instant::now()).max(timing::POLL_INTERVAL);
            result = self.registers.wait_processing(left, || match self.state() {
                State::Live => true,
                State::Deleting => !self.is_halted(),
                _ => false,
            });
        }
        self.inner.lock().life.set_processing_paused(false);
        if result.is_err() {
            self.notify(
                Event::Fault,
                "processing is paused (CSTS.PP) for longer than stated (MTFA)",
            );
        }
    }
}
