// SPDX-License-Identifier: GPL-2.0

//! Stopping a controller: for a reset, for a pause, for good.
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
//! 5. [`Event::Pause`]: the gates are held, the controller is shut down ([`Stop::ShutDown`]), its
//!    commands end.
//!
//! CC.EN stays 1 after that: only a restart and [`Hardware::dismantle`] clear it. So the memory of the
//! queues stays, too. Bus mastering is gone, and comes back with the restart.
//!
//! So no request that has begun is there when the kernel takes CPUs offline
//! (`blk_mq_hctx_notify_offline` waits for such requests, and no CPU could dispatch them then).
//! [`Rest`] says what follows if step 3 takes too long. A frozen bus ([`Hardware::cut_off`]) does not
//! wait: commands end at once.
//!
//! The freeze belongs to no task. It ends when the controller is live or dead
//! (`Lifecycle::must_let_io_begin`), and when the driver leaves the controller
//! ([`Hardware::leave`]). After a shutdown it stays: what begins then waits for the end of the system.

use super::{
    vector_handler::VectorHandler,
    Hardware,
    Inner, //
};
use crate::{
    io::Io,
    nvme::Status,
    policy::{
        timing,
        Event,
        Power,
        PowerEvent,
        Presence,
        State, //
    },
    queue::Gate,
    sys::{
        base::NoIo,
        block::TagSet,
        pci::{
            is_frozen,
            LockedConfig, //
        }, //
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

/// How a controller is stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The controller writes back its caches (CC.SHN) and stays as it is then: CC.EN = 0 would wake it
    /// up, and the system may take its power now.
    ShutDown,
    /// The controller writes back its caches, then CC.EN = 0: the driver frees the memory of its
    /// queues, or another driver follows.
    ForGood,
    /// CC.EN = 0 at once.
    AtOnce,
    /// CC.EN = 0 if that takes no time; else the next bring-up, or the end, stops the controller.
    Briefly,
}

/// What becomes of I/O when a controller is stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// I/O waits for the controller to come back.
    Wait,
    /// I/O fails.
    Fail,
}

impl Fate {
    /// What becomes of the I/O of a controller in `state` that is stopped and is to be brought up.
    pub(super) const fn of(state: State) -> Self {
        match state {
            State::New | State::Live | State::Resetting => Self::Wait,
            State::Deleting | State::Dead | State::Trying => Self::Fail,
        }
    }
}

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
    /// Stops the controller. No new command; the controller shut down or disabled, and its bus
    /// mastering taken; completions that arrived are handled, and all other commands in flight end
    /// with Host Aborted Command, so that their requests wait or fail.
    pub(super) fn halt(&self, inner: &mut Inner, how: Stop, fate: Fate) {
        if let Some(admin) = &inner.admin {
            admin.queue.set_gate(Gate::Closed);
        }
        let gate = match fate {
            Fate::Wait => Gate::Held,
            Fate::Fail => Gate::Closed,
        };
        for queue in inner.io_queues() {
            queue.set_gate(gate);
        }
        match inner.life.power() {
            // The function is being reset: the job that does so goes on afterwards.
            Power::Off | Power::FunctionReset => {}
            Power::On => self.power_down(inner, how),
            // Only a restart, and the end, undo a shutdown.
            Power::ShutDown if how != Stop::ForGood => {}
            // It was waited for before. A sleep, its end and the end of the system must not do so.
            Power::Unknown if how != Stop::ForGood => self.registers.stop_dma(),
            // A controller that was told to stop before does not hear of a shutdown.
            _ => self.power_down(inner, Stop::AtOnce),
        }
        self.cancel_io(inner, fate);
    }

    /// Completes with Host Aborted Command what the controller has.
    fn cancel_io(&self, inner: &mut Inner, fate: Fate) {
        let mut cancelled = 0;
        inner.lines.for_each(|vector| cancelled += vector.cancel());
        for queue in inner.io_queues() {
            let ended = queue.with_polled(|polled| polled.cancel(Status::HOST_ABORTED));
            cancelled += ended.unwrap_or(0);
        }
        if cancelled > 0 {
            dev_warn!(
                self.registers.pdev,
                "{} I/O commands {} without the device\n",
                cancelled,
                match fate {
                    Fate::Wait => "wait",
                    Fate::Fail => "ended",
                }
            );
        }
    }

    /// Stops the controller and takes its bus mastering. Its power is [`Power::Off`] afterwards if the
    /// registers say so: a device that does not answer may come back as it was. After
    /// [`Stop::ShutDown`] it is [`Power::ShutDown`] if the controller was told.
    pub(super) fn power_down(&self, inner: &mut Inner, how: Stop) {
        let registers = &self.registers;
        let mut result = Err(ENODEV);
        if !is_frozen(&registers.pdev) {
            // A device behind a link that is down for a moment still has its bus mastering.
            registers.wait_present(&mut inner.absence);
        }
        if registers.is_reachable() && !registers.config.is_lost() {
            let is_orderly = matches!(how, Stop::ShutDown | Stop::ForGood);
            let is_shut_down = is_orderly && self.have_caches_written(inner);
            if is_shut_down && how == Stop::ShutDown {
                return;
            }
            // Not earlier: with a pin, the level stays until the doorbell is rung.
            inner.mute();
            let stated = registers.stated_timeout();
            let settled_by = inner.settled_by.unwrap_or_else(|| Instant::now() + stated);
            let last_chance = timing::millis(timing::LAST_CHANCE_MS);
            let longest = match how {
                Stop::Briefly => last_chance,
                _ => stated + last_chance,
            };
            result = registers.stop(inner.time_left(longest).min(longest), settled_by);
        }
        // Bus mastering is taken whatever the registers say.
        registers.stop_dma();
        inner.life.apply_power(match result {
            Ok(()) => PowerEvent::Stopped,
            Err(_) => PowerEvent::NotStopped,
        });
    }

    /// Tells the controller that it will lose its power, waits until it has written back its caches,
    /// and takes its bus mastering. Returns whether the controller was told, and is still there.
    fn have_caches_written(&self, inner: &mut Inner) -> bool {
        let registers = &self.registers;
        if !registers.announce_shutdown() {
            return false;
        }
        inner.settled_by = Some(Instant::now() + inner.shutdown);
        if let Err(e) = registers.wait_shutdown(inner.shutdown) {
            dev_err!(
                registers.pdev,
                "shutdown incomplete: error {}, CSTS {:#x} (it had {} ms): going on, the drive may lose its cache\n",
                e.to_errno(),
                registers.csts().into_raw(),
                inner.shutdown.as_millis()
            );
            if e == ENODEV {
                return false;
            }
        }
        registers.stop_dma();
        inner.life.apply_power(PowerEvent::ShutDown);
        true
    }

    /// The tag set of the I/O queues, once they are attached.
    fn tag_set(&self) -> Option<Arc<TagSet<Io>>> {
        self.inner.lock().io.as_ref().map(|io| io.set.clone())
    }

    /// The first part of a pause: a try of a dead controller is given up, a reset that runs ends,
    /// [`Self::wait_while_paused`] does not keep I/O back any more, and no I/O begins.
    fn begin_pause(&self, rest: Rest) {
        let mut inner = self.inner.lock();
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
        self.begin_pause(rest);
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
    /// [`Event::Wake`].
    pub(crate) fn cut_off(&self) {
        self.inner.lock().life.set_pausing(true);
        self.hold_back();
        self.notify(Event::Pause, "");
    }

    /// The system goes down: I/O that has begun ends, the controller is shut down in an orderly way.
    /// I/O that would begin later waits for the end of the system. Does nothing if the driver has left
    /// the controller.
    pub(crate) fn shut_down(&self, delete_queues: impl FnOnce()) {
        let mut inner = self.inner.lock();
        if inner.life.state() == State::Deleting {
            return;
        }
        inner.life.set_going_down();
        drop(inner);
        let _ = self.pause(Rest::Fail, delete_queues);
        self.notify(Event::Leave, "");
    }

    /// The driver leaves the controller: all I/O ends, with an error if the controller does not
    /// work.
    pub(crate) fn leave(&self) {
        self.notify(Event::Leave, "");
        self.inner.lock().thaw();
    }

    /// Keeps I/O back while the controller pauses its processing of commands (CSTS.PP), for a
    /// firmware activation for instance; resets the controller if that takes more than `longest`.
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
            result = self.registers.wait_processing(left, || self.is_live());
        }
        self.inner.lock().life.set_processing_paused(false);
        if result.is_err() {
            self.notify(
                Event::Fault,
                "processing is paused (CSTS.PP) for longer than stated (MTFA)",
            );
        }
    }

    /// Stops a controller on a bus that stayed offline after a failed recovery: often its registers
    /// answer all the same. Until now they were left alone, because the PCI core might still act.
    fn stop_on_offline_bus(&self, inner: &mut Inner) {
        let registers = &self.registers;
        if inner.life.power() == Power::Off || registers.is_reachable() || !registers.is_present() {
            return;
        }
        let longest = registers.stated_timeout() + timing::millis(timing::LAST_CHANCE_MS);
        if registers.stop(longest, Instant::now()).is_ok() {
            inner.life.apply_power(PowerEvent::Stopped);
        }
    }

    /// Resets the PCI function of a controller that the driver leaves and that does not stop.
    fn stop_by_reset(&self, inner: &mut Inner) {
        let registers = &self.registers;
        let must_stop = inner.life.power() != Power::Off && inner.has_memory;
        if !must_stop || !registers.is_reachable() {
            return;
        }
        let Ok(config) = LockedConfig::new(&registers.config) else {
            return;
        };
        dev_warn!(
            registers.pdev,
            "controller does not stop: resetting the PCI function\n"
        );
        let result = registers.reset_function(&config);
        drop(config);
        let longest = registers.stated_timeout();
        if result.is_ok() && registers.stop(longest, Instant::now()).is_ok() {
            inner.life.apply_power(PowerEvent::Stopped);
        }
    }

    /// Stops the controller for good and takes its parts apart. Memory that a controller which does
    /// not stop may still write to is never freed.
    pub(crate) fn dismantle(&self) {
        self.notify(Event::Leave, "");
        let mut inner = self.inner.lock();
        // No I/O waits for this.
        inner.life.end_bring_up();
        // The device may have come back only now. No job allocates or frees vectors any more.
        self.registers.config.recover();
        // `Event::Leave` does not stop a live controller: its disks went first.
        self.halt(&mut inner, Stop::ForGood, Fate::Fail);
        if inner.life.power() != Power::Off {
            // Only of a device that is there, or gone, is it known what it does with memory.
            self.registers.wait_present(&mut inner.absence);
        }
        self.stop_on_offline_bus(&mut inner);
        self.stop_by_reset(&mut inner);
        // A device that is gone accesses no memory, and its registers say nothing any more.
        let is_stopped = inner.life.power() == Power::Off
            || !inner.has_memory
            || self.registers.presence(&mut inner.absence) == Presence::Gone;
        inner
            .lines
            .take_all(|handler| free_or_leak(handler, is_stopped));
        let (admin, io) = (inner.admin.take(), inner.io.take());
        drop(inner);
        for queue in io.iter().flat_map(|io| &io.queues) {
            free_or_leak(queue.detach_polled(), is_stopped);
        }
        if let Some(admin) = admin {
            free_or_leak(admin.shadows, is_stopped);
        }
        if !is_stopped {
            dev_err!(
                self.registers.pdev,
                "controller does not stop: its queue memory is kept\n"
            );
        }
    }
}

impl Inner {
    /// Rings no doorbell for completions any more: the controller forgets all queues now.
    fn mute(&mut self) {
        self.lines.for_each(VectorHandler::mute);
        for queue in self.io_queues() {
            let _ = queue.with_polled(|polled| polled.mute());
        }
    }

    /// How much of `stated`, the time that the controller states for a change of CSTS.RDY, is left,
    /// and [`timing::RESET_MARGIN_MS`] more: some controllers need a little longer than they state.
    ///
    /// TIMEOUT: a bring-up grants both once for both changes. Outside of a bring-up each change has
    /// them.
    pub(super) fn time_left(&self, stated: Delta) -> Delta {
        let passed = self.life.bring_up_for(Instant::now());
        let all = stated + timing::millis(timing::RESET_MARGIN_MS);
        (all - passed.unwrap_or(Delta::ZERO)).max(timing::millis(timing::LAST_CHANCE_MS))
    }
}

/// Frees `memory` that the device knew, or leaks it if the device has not stopped.
fn free_or_leak<T>(memory: T, is_stopped: bool) {
    if is_stopped {
        drop(memory);
    } else {
        core::mem::forget(memory);
    }
}
