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
        Action,
        Event,
        Power, //
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
use kernel::prelude::*;

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

    /// The event of a controller that should work and does not, and CSTS.
    fn failure(&self) -> Option<(Event, u32)> {
        match self.registers.health() {
            Condition::Good | Condition::Frozen => None,
            Condition::Failed(csts) if self.is_live() => Some((Event::Fault, csts)),
            // A reset is under way, or none will come: the controller's commands must end.
            Condition::Failed(csts) => Some((Event::Stuck, csts)),
            Condition::Gone(csts) => Some((Event::Gone, csts)),
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

    /// Sends an Abort for `command`, if the controller takes another one now.
    fn abort(&self, inner: &Inner, command: &TimedOutCommand<'_>) {
        let (Some(admin), Some(id)) = (&inner.admin, command.id) else {
            return;
        };
        if !self.aborts.take() {
            return;
        }
        self.counters.aborts.fetch_add(1, Relaxed);
        let abort = Abort {
            queue: command.queue,
            command: id,
        };
        let aborts = self.aborts.clone();
        if admin
            .commands
            .post(&abort, CommandTimeout::Admin, aborts)
            .is_err()
        {
            self.aborts.give_back();
        }
    }

    /// The event of `command`, which is still in flight.
    fn timeout_event(&self, command: &TimedOutCommand<'_>) -> Event {
        if let Some((event, _)) = self.failure() {
            return event;
        }
        // A command that went through another queue has no identifier in its own.
        let may_abort = !command.queue.is_admin() && command.id.is_some();
        match may_abort && !command.had_grace {
            true => Event::TimedOut,
            false => Event::Stuck,
        }
    }
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
        let says_nothing = inner.life.is_processing_paused() || is_frozen(&self.registers.pdev);
        if self.is_live() && says_nothing {
            // `wait_while_paused` bounds this wait, and so does PCI core.
            return TimeoutVerdict::Again;
        }
        let (queue, tag, opcode) = (command.queue.raw(), command.tag, command.opcode);
        let csts = self.registers.csts().into_raw();
        let action = self.step(
            &mut inner,
            self.timeout_event(command),
            fmt!(
                "I/O tag {} (opcode {:#x}, QID {}) timeout, CSTS {:#x}",
                tag,
                opcode,
                queue,
                csts
            ),
        );
        if action == Action::Abort {
            dev_warn!(
                self.registers.pdev,
                "I/O tag {} (opcode {:#x}, QID {}) timeout, aborting\n",
                tag,
                opcode,
                queue
            );
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
        self.check_function_reset(&mut inner);
        // Until the admin queue is open the controller need not be ready.
        let is_open = inner.admin.as_ref().is_some_and(|it| it.queue.is_open());
        if !is_open {
            return;
        }
        if let Some((event, csts)) = self.failure() {
            let status = status(&self.registers.pdev);
            self.step(
                &mut inner,
                event,
                fmt!(
                    "controller is down: CSTS {:#x}, PCI_STATUS {:#x}",
                    csts,
                    status
                ),
            );
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
