// SPDX-License-Identifier: GPL-2.0

//! Commands whose timeout is over, and the watchdog.

use super::{
    registers::Condition,
    Hardware,
    Inner, //
};
use crate::{
    admin::CommandTimeout,
    nvme::Abort,
    policy::{
        reaches_power_of_two,
        timing,
        Action,
        Event,
        Power,
        Presence,
        State, //
    },
    queue::{
        TimedOutCommand,
        TimeoutPolicy, //
    },
    sys::{
        block::TimeoutVerdict,
        pci::{
            is_frozen,
            status,
            InterruptHandler, //
        },
    }, //
};
use core::sync::atomic::Ordering::Relaxed;
use kernel::{
    prelude::*,
    time::Instant, //
};

impl Hardware {
    /// Counts `count` queues whose interrupt was lost.
    fn count_lost_interrupts(&self, count: u32) {
        let before = self.counters.lost_interrupts.fetch_add(count, Relaxed);
        // The counter wraps.
        let after = before.wrapping_add(count);
        if reaches_power_of_two(before, after) {
            dev_warn!(
                self.registers.pdev,
                "commands were completed without an interrupt ({} times so far)\n",
                after
            );
        }
    }

    /// Frees pages of PRP lists that were not needed since the last calls, if the controller is live.
    pub(crate) fn trim_lists(&self) {
        // The lock keeps the controller from being stopped meanwhile. If it was stopped before, it
        // has confirmed that since.
        let inner = self.inner.lock();
        let Some(admin) = &inner.admin else {
            return;
        };
        if !self.is_live() || inner.life.power() != Power::On {
            return;
        }
        admin.queue.trim_lists();
        for queue in inner.io_queues() {
            queue.trim_lists();
        }
        admin.commands.pages().trim();
    }

    /// What is wrong with a controller that should work.
    fn failure(&self, inner: &mut Inner) -> Option<Failure> {
        let condition = self.registers.health();
        let (event, csts) = match condition {
            Condition::Frozen => return None,
            // What was written to the device meanwhile is lost.
            Condition::Good => match inner.absence.end(Instant::now()) {
                Some(_) if self.is_live() => (Event::Fault, self.registers.csts().into_raw()),
                _ => return None,
            },
            Condition::Absent(csts) => match self.registers.presence(&mut inner.absence) {
                Presence::Gone => (Event::Gone, csts),
                // It may be back in a moment, as it was. Its commands must not end meanwhile.
                _ => return None,
            },
            Condition::Failed(csts) => {
                inner.absence.end(Instant::now());
                match self.is_live() {
                    true => (Event::Fault, csts),
                    // A reset is under way, or none will come: the controller's commands must end.
                    false => (Event::Stuck, csts),
                }
            }
        };
        Some(Failure {
            event,
            csts,
            was_away: matches!(condition, Condition::Good),
        })
    }

    /// Applies the event of `failure`. PCI_STATUS tells a link that is down (all ones) from config
    /// space that was lost.
    fn report(&self, inner: &mut Inner, failure: &Failure) {
        let (event, csts, status) = (failure.event, failure.csts, status(&self.registers.pdev));
        match failure.was_away {
            true => self.step(
                inner,
                event,
                fmt!(
                    "device did not answer for a moment: CSTS {:#x}, PCI_STATUS {:#x}",
                    csts,
                    status
                ),
            ),
            false => self.step(
                inner,
                event,
                fmt!(
                    "controller is down: CSTS {:#x}, PCI_STATUS {:#x}",
                    csts,
                    status
                ),
            ),
        };
    }

    /// Milliseconds until the next run of the watchdog.
    pub(crate) fn until_check(&self) -> u32 {
        match self.is_live() && self.inner.lock().absence.is_some() {
            true => timing::ABSENCE_LOOK_MS,
            false => timing::WATCHDOG_MS,
        }
    }

    /// Takes all completions that are there, whether an interrupt announced them or not.
    fn reap_all(inner: &mut Inner) {
        inner.lines.for_each(|vector| {
            let _ = vector.handle();
        });
        for queue in inner.io_queues() {
            queue.poll_all();
        }
    }

    /// Sends an Abort for `command`, if the controller takes another one now, and logs whether it
    /// does: a controller that hangs has thousands of commands, the log has a line for a few of them.
    fn abort(&self, inner: &Inner, command: &TimedOutCommand<'_>) {
        let is_sent = self.send_abort(inner, command);
        let Some(missed) = self.timeouts.admit() else {
            return;
        };
        let (pdev, tag, opcode) = (&self.registers.pdev, command.tag, command.opcode);
        let queue = command.queue.raw();
        match is_sent {
            true => dev_warn!(
                pdev,
                "I/O tag {} (opcode {:#x}, QID {}) timeout, aborting{}\n",
                tag,
                opcode,
                queue,
                missed
            ),
            false => dev_warn!(
                pdev,
                "I/O tag {} (opcode {:#x}, QID {}) timeout, waiting: the controller takes no other Abort now{}\n",
                tag,
                opcode,
                queue,
                missed
            ),
        }
    }

    /// Sends an Abort for `command`; returns whether one was sent.
    fn send_abort(&self, inner: &Inner, command: &TimedOutCommand<'_>) -> bool {
        let (Some(admin), Some(id)) = (&inner.admin, command.id) else {
            return false;
        };
        if !self.aborts.take() {
            return false;
        }
        self.counters.aborts.fetch_add(1, Relaxed);
        let abort = Abort {
            queue: command.queue,
            command: id,
        };
        let aborts = self.aborts.clone();
        let sent = admin.commands.post(&abort, CommandTimeout::Admin, aborts);
        if sent.is_err() {
            self.aborts.give_back();
        }
        sent.is_ok()
    }

    /// The event of `command`, which is in flight in a controller that reports no failure.
    fn timeout_event(command: &TimedOutCommand<'_>) -> Event {
        // A command that went through another queue has no identifier in its own.
        let may_abort = !command.queue.is_admin() && command.id.is_some();
        match may_abort && !command.had_grace {
            true => Event::TimedOut,
            false => Event::Stuck,
        }
    }
}

/// What is wrong with a controller that should work.
struct Failure {
    event: Event,
    csts: u32,
    /// The device did not answer for a moment.
    was_away: bool,
}

impl TimeoutPolicy for Hardware {
    fn timeout(&self, command: &TimedOutCommand<'_>) -> TimeoutVerdict {
        let mut inner = self.inner.lock();
        if !(command.is_in_flight)() {
            return TimeoutVerdict::Done;
        }
        Self::reap_all(&mut inner);
        if !(command.is_in_flight)() {
            self.count_lost_interrupts(1);
            return TimeoutVerdict::Done;
        }
        let failure = self.failure(&mut inner);
        // `wait_while_paused` bounds this wait, or PCI core, or the watchdog; while the driver leaves
        // the controller, only the first does.
        let says_nothing = match self.state() {
            State::Live => {
                inner.life.is_processing_paused()
                    || is_frozen(&self.registers.pdev)
                    || inner.absence.is_some()
            }
            State::Deleting => inner.life.is_processing_paused(),
            _ => false,
        };
        if failure.is_none() && says_nothing {
            return TimeoutVerdict::Again;
        }
        let (queue, tag, opcode) = (command.queue.raw(), command.tag, command.opcode);
        let csts = self.registers.csts().into_raw();
        let action = self.step(
            &mut inner,
            failure.map_or_else(|| Self::timeout_event(command), |it| it.event),
            fmt!(
                "I/O tag {} (opcode {:#x}, QID {}) timeout, CSTS {:#x}",
                tag,
                opcode,
                queue,
                csts
            ),
        );
        if action == Action::Abort {
            self.abort(&inner, command);
            return command.grace();
        }
        match (command.is_in_flight)() {
            true => TimeoutVerdict::Again,
            false => TimeoutVerdict::Done,
        }
    }

    fn overdue(&self) {
        self.notify(Event::Stuck, "its admin commands take too long");
    }

    fn check(&self) {
        let mut inner = self.inner.lock();
        self.check_bring_up(&mut inner);
        // Until the admin queue is open the controller need not be ready.
        let is_open = inner.admin.as_ref().is_some_and(|it| it.queue.is_open());
        if !is_open {
            return;
        }
        if let Some(failure) = self.failure(&mut inner) {
            self.report(&mut inner, &failure);
            return;
        }
        let mut lost = 0;
        inner
            .lines
            .for_each(|vector| lost += u32::from(vector.check()));
        if lost > 0 {
            self.count_lost_interrupts(lost);
        }
    }
}
