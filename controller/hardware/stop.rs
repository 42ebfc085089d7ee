// SPDX-License-Identifier: GPL-2.0

//! Stopping a controller: for a reset, for a pause, for good. `pause.rs` has what comes before a pause.
//!
//! CC.EN stays 1 after [`Stop::ShutDown`]: only a restart and [`Hardware::dismantle`] clear it. So the
//! memory of the queues stays, too. Bus mastering is gone, and comes back with the restart.

use super::{
    vector_handler::VectorHandler,
    Hardware,
    Inner, //
};
use crate::{
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
    sys::pci::{
        is_frozen,
        LockedConfig, //
    }, //
};
use kernel::{
    prelude::*,
    time::{
        Delta,
        Instant, //
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

/// Whether the controller has written back its caches.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writeback {
    /// It was not told to, or is gone.
    Untold,
    /// It has, as it says.
    Complete,
    /// Its time is over, or it has failed.
    Incomplete,
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
            // Nor does the end, at first: see `Self::stop_by_reset`.
            Power::Unknown => self.power_down(inner, Stop::Briefly),
            // A controller that was told to stop before does not hear of a shutdown.
            Power::ShutDown => self.power_down(inner, Stop::AtOnce),
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
            let writeback = match how {
                Stop::ShutDown | Stop::ForGood => self.have_caches_written(inner),
                Stop::AtOnce | Stop::Briefly => Writeback::Untold,
            };
            // The next kernel may give bus mastering to a controller that it finds enabled.
            let may_stay = match writeback {
                Writeback::Untold => false,
                Writeback::Complete => true,
                Writeback::Incomplete => !inner.life.is_going_down(),
            };
            if may_stay && how == Stop::ShutDown {
                return;
            }
            // Not earlier: with a pin, the level stays until the doorbell is rung.
            inner.mute();
            let stated = registers.stated_timeout();
            let settled_by = inner.settled_by.unwrap_or_else(|| Instant::now() + stated);
            let last_chance = timing::millis(timing::LAST_CHANCE_MS);
            let longest = match (how, writeback) {
                (Stop::Briefly, _) | (Stop::ShutDown, Writeback::Incomplete) => last_chance,
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
    /// and takes its bus mastering.
    fn have_caches_written(&self, inner: &mut Inner) -> Writeback {
        let registers = &self.registers;
        if !registers.announce_shutdown() {
            return Writeback::Untold;
        }
        inner.settled_by = Some(Instant::now() + inner.shutdown);
        let result = registers.wait_shutdown(inner.shutdown);
        if let Err(e) = result {
            dev_err!(
                registers.pdev,
                "shutdown incomplete: error {}, CSTS {:#x} (it had {} ms): going on, the drive may lose its cache\n",
                e.to_errno(),
                registers.csts().into_raw(),
                inner.shutdown.as_millis()
            );
            if e == ENODEV {
                return Writeback::Untold;
            }
        }
        registers.stop_dma();
        inner.life.apply_power(PowerEvent::ShutDown);
        match result {
            Ok(()) => Writeback::Complete,
            Err(_) => Writeback::Incomplete,
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

    /// Resets the PCI function of a controller that the driver leaves and that does not stop, and waits
    /// until it has stopped. `was_unknown`: CC.EN = 0 was written long ago, and not waited for now.
    /// Such a controller is waited for even if its function cannot be reset.
    fn stop_by_reset(&self, inner: &mut Inner, was_unknown: bool) {
        let registers = &self.registers;
        let must_stop = inner.life.power() != Power::Off && inner.has_memory;
        if !must_stop || !registers.is_reachable() {
            return;
        }
        let reset = LockedConfig::new(&registers.config).and_then(|config| {
            dev_warn!(
                registers.pdev,
                "controller does not stop: resetting the PCI function\n"
            );
            registers.reset_function(&config)
        });
        let settled_by = match (reset, inner.settled_by) {
            (Err(_), _) if !was_unknown => return,
            (Err(_), Some(settled_by)) => settled_by,
            _ => Instant::now(),
        };
        let stopped = registers.stop(registers.stated_timeout(), settled_by);
        if stopped.is_ok() {
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
        let was_unknown = inner.life.power() == Power::Unknown;
        // `Event::Leave` does not stop a live controller: its disks went first.
        self.halt(&mut inner, Stop::ForGood, Fate::Fail);
        if inner.life.power() != Power::Off {
            // Only of a device that is there, or gone, is it known what it does with memory.
            self.registers.wait_present(&mut inner.absence);
        }
        self.stop_on_offline_bus(&mut inner);
        self.stop_by_reset(&mut inner, was_unknown);
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
