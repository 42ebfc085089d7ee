// SPDX-License-Identifier: GPL-2.0

//! What tells that a controller is not well: commands that are late, and looks at it.

use super::{
    registers::gone,
    Hardware,
    Inner, //
};
use crate::{
    admin::CommandTimeout,
    nvme::{
        Abort,
        CSTS, //
    },
    policy::{
        Action,
        Event, //
    },
    queue::{
        Late,
        TimeoutPolicy, //
    },
    sys::{
        block::TimeoutVerdict,
        pci::{
            is_frozen,
            is_present,
            InterruptHandler, //
        },
    },
};
use core::sync::atomic::Ordering::Relaxed;
use kernel::{
    io::Io as _,
    prelude::*, //
};

impl Hardware {
    fn note_lost(&self, count: u32) {
        let before = self.counters.lost_interrupts.fetch_add(count, Relaxed);
        // Powers of two only, so that a device that does this all the time does not flood the log.
        if before == 0 || (before ^ (before + count)) > before {
            dev_warn!(
                self.pdev,
                "commands were completed without an interrupt ({} times so far)\n",
                before + count
            );
        }
    }

    /// What CSTS says of a controller that should work, if it is not well.
    fn trouble(&self) -> Option<(Event, u32)> {
        if is_frozen(&self.pdev) {
            // The bus does not reach it; the PCI core says what comes of that.
            return None;
        }
        let csts = self.bar.read(CSTS);
        let raw = csts.into_raw();
        if !gone(csts) && csts.cfs() == 0 && csts.rdy() == 1 {
            return None;
        }
        // Not every bridge answers with ones for a device that has gone.
        let event = match is_present(&self.pdev) {
            true if self.is_live() => Event::Fault,
            // In any other state nobody waits for it to be reset: its commands must end.
            true => Event::Stuck,
            false => Event::Gone,
        };
        Some((event, raw))
    }

    /// Asks for the command to be aborted, if the controller takes that now.
    fn abort(&self, inner: &Inner, late: &dyn Late) {
        let (Some(commands), Some(command)) = (&inner.commands, late.command()) else {
            return;
        };
        if !self.aborts.take() {
            return;
        }
        self.counters.aborts.fetch_add(1, Relaxed);
        let abort = Abort {
            queue: late.queue(),
            command,
        };
        if commands
            .post(&abort, CommandTimeout::Admin, self.aborts.clone())
            .is_err()
        {
            self.aborts.give_back();
        }
    }
}

impl TimeoutPolicy for Hardware {
    fn check(&self) {
        let mut inner = self.inner.lock();
        self.check_function_reset(&mut inner);
        // As long as it is not, the controller need not be ready.
        if !inner.admin.as_ref().is_some_and(|queue| queue.is_open()) {
            return;
        }
        if let Some((event, csts)) = self.trouble() {
            self.step(&mut inner, event, fmt!("CSTS {:#x}", csts));
            return;
        }
        let mut lost = 0;
        inner.for_each_vector(|vector| lost += u32::from(vector.check()));
        if lost > 0 {
            self.note_lost(lost);
        }
    }

    fn late(&self, late: &dyn Late) -> TimeoutVerdict {
        let mut inner = self.inner.lock();
        if !late.is_in_flight() {
            return TimeoutVerdict::Done;
        }
        inner.for_each_vector(|vector| {
            let _ = vector.handle();
        });
        for queue in &inner.io {
            queue.poll_all();
        }
        let (queue, tag) = (late.queue().raw(), late.tag());
        if !late.is_in_flight() {
            self.note_lost(1);
            return TimeoutVerdict::Done;
        }
        let is_waiting = self.waits_while_paused.load(Relaxed) || is_frozen(&self.pdev);
        if self.is_live() && is_waiting {
            // `wait_while_paused` waits for it, and not for ever.
            return TimeoutVerdict::Again;
        }
        // One that went through another queue is not known by its own.
        let may_abort = !late.queue().is_admin() && late.command().is_some();
        let event = match self.trouble() {
            Some((event, _)) => event,
            None if may_abort && !late.had_grace() => Event::Late,
            _ => Event::Stuck,
        };
        let csts = self.csts();
        let action = self.step(
            &mut inner,
            event,
            fmt!("queue {}: tag {} timed out, CSTS {:#x}", queue, tag, csts),
        );
        match action {
            Action::Abort => {
                dev_warn!(
                    self.pdev,
                    "queue {}: tag {} timed out, aborting it\n",
                    queue,
                    tag
                );
                self.abort(&inner, late);
                late.give_grace();
                TimeoutVerdict::Again
            }
            _ if late.is_in_flight() => TimeoutVerdict::Again,
            _ => TimeoutVerdict::Done,
        }
    }
}
