// SPDX-License-Identifier: GPL-2.0

//! Stopping a controller: for a reset, for a pause, for good.

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
        State, //
    },
    queue::Gate,
    sys::block::TagSet, //
};
use kernel::{
    io::poll::read_poll_timeout,
    prelude::*,
    sync::Arc,
    time::{
        Delta,
        Instant, //
    },
};

/// How a controller is stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The controller may write back its caches first: CC.SHN.
    Orderly,
    /// CC.EN = 0 at once.
    AtOnce,
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
    /// Stops the controller. No new command; the controller disabled and its bus mastering taken;
    /// completions that arrived are handled, and all other commands in flight end with Host Aborted
    /// Command, so that their requests wait or fail.
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
        // A controller that was told to stop before does not hear of an orderly shutdown.
        let how = match inner.life.power() {
            Power::On => how,
            _ => Stop::AtOnce,
        };
        if inner.life.power() != Power::Off {
            self.power_down(inner, how);
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
    /// registers say so: a device that does not answer may come back as it was.
    pub(super) fn power_down(&self, inner: &mut Inner, how: Stop) {
        let registers = &self.registers;
        let mut result = Err(ENODEV);
        if registers.is_reachable() {
            if how == Stop::Orderly {
                registers.shut_down(inner.shutdown);
            }
            // Not earlier: with a pin, the level stays until the doorbell is rung.
            inner.mute();
            let stated = registers.stated_timeout();
            let ready_by = inner.ready_by.unwrap_or_else(|| Instant::now() + stated);
            let longest = stated + timing::millis(timing::LAST_CHANCE_MS);
            result = registers.stop(inner.time_left(longest), ready_by);
        }
        // Bus mastering is taken whatever the registers say.
        registers.stop_dma();
        inner.life.apply_power(match result {
            Ok(()) => PowerEvent::Stopped,
            Err(_) => PowerEvent::NotStopped,
        });
    }

    /// Waits until no I/O command is in flight, for [`timing::DRAIN_MS`] at most. The block layer must not
    /// dispatch, or this may never be so.
    fn drain(&self) {
        let _ = read_poll_timeout(
            || {
                let mut inner = self.inner.lock();
                let mut idle = inner.io_queues().iter().all(|queue| queue.is_idle());
                inner.lines.for_each(|vector| idle &= vector.is_idle());
                Ok(idle)
            },
            |idle| *idle,
            timing::POLL_INTERVAL,
            timing::millis(timing::DRAIN_MS),
        );
    }

    /// The tag set of the I/O queues, once they are attached.
    fn tag_set(&self) -> Option<Arc<TagSet<Io>>> {
        self.inner.lock().io.as_ref().map(|io| io.set.clone())
    }

    /// Stops the controller until [`Event::Wake`]: I/O in flight completes first, for [`timing::DRAIN_MS`]
    /// at most, the rest waits; the controller is shut down in an orderly way.
    pub(crate) fn pause(&self) {
        let set = self.tag_set().filter(|_| self.is_live());
        if let Some(set) = &set {
            set.quiesce();
            self.drain();
        }
        // Keeps I/O from then on, whatever the state is.
        self.notify(Event::Pause, "");
        if let Some(set) = &set {
            set.unquiesce();
        }
    }

    /// The system goes down: I/O in flight completes, the rest fails, the controller is shut down
    /// in an orderly way.
    pub(crate) fn shut_down(&self) {
        self.pause();
        self.notify(Event::Leave, "");
    }

    /// Keeps I/O back while the controller pauses its processing of commands (CSTS.PP), for a
    /// firmware activation for instance; resets the controller if that takes more than `longest`.
    pub(crate) fn wait_while_paused(&self, longest: Delta) {
        let Some(set) = self.tag_set() else {
            return;
        };
        self.inner.lock().life.set_processing_paused(true);
        set.quiesce();
        let result = self.registers.wait_processing(longest, || self.is_live());
        self.inner.lock().life.set_processing_paused(false);
        if result.is_err() {
            self.notify(
                Event::Fault,
                "processing is paused (CSTS.PP) for longer than stated (MTFA)",
            );
        }
        set.unquiesce();
    }

    /// Stops the controller for good and takes its parts apart. Memory that a controller which does
    /// not stop may still write to is never freed.
    pub(crate) fn dismantle(&self) {
        self.notify(Event::Leave, "");
        let mut inner = self.inner.lock();
        // No I/O waits for this.
        inner.life.end_bring_up();
        // `Event::Leave` does not stop a live controller: its disks went first.
        self.halt(&mut inner, Stop::Orderly, Fate::Fail);
        // A device that is gone accesses no memory, and its registers say nothing any more.
        let is_stopped = inner.life.power() == Power::Off || !self.registers.is_present();
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

    /// How much of `stated`, the time that the controller states for a change of CSTS.RDY, is left.
    ///
    /// TIMEOUT: a bring-up grants it once for both changes, and [`timing::RESET_MARGIN_MS`] more.
    /// Outside of a bring-up each change has it.
    pub(super) fn time_left(&self, stated: Delta) -> Delta {
        match self.life.bring_up_for(Instant::now()) {
            None => stated,
            Some(passed) => {
                let all = stated.as_nanos() + timing::millis(timing::RESET_MARGIN_MS).as_nanos();
                Delta::from_nanos(all - passed.as_nanos())
                    .max(timing::millis(timing::LAST_CHANCE_MS))
                    .min(stated)
            }
        }
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
