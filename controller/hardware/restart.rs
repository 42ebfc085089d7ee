// SPDX-License-Identifier: GPL-2.0

//! Starting a controller, whatever state it is in: what its registers say comes first. A bring-up
//! that fails is followed by a reset of the PCI function and a second one.

use super::{
    stop::{
        Fate,
        Stop, //
    },
    vector_handler::VectorHandler,
    AdminHardware,
    Hardware,
    Inner, //
};
use crate::{
    policy::{
        timing,
        Event,
        Power,
        PowerEvent,
        State, //
    },
    sys::pci::{
        allow_dma,
        LockedConfig, //
    },
};
use kernel::{
    prelude::*,
    time::{
        delay::fsleep,
        Delta,
        Instant,
        Monotonic, //
    }, //
};

impl Hardware {
    /// Waits for a bring-up of a dead controller that is not over yet: a try, or a failed reset whose
    /// PCI function does not come back. I/O fails at once now and must not wait for that when the
    /// controller is brought up again.
    pub(crate) fn wait_for_failed_reset(&self) {
        if self.state().is_dead() {
            self.reset.flush();
        }
    }

    /// The instant at which the last of the `commands` admin commands of a bring-up that begin now
    /// must have completed.
    fn commands_deadline(&self, commands: u32) -> Instant<Monotonic> {
        let own = timing::millis(timing::COMMAND_MARGIN_MS) * commands.into();
        Instant::now() + timing::millis(timing::COMMANDS_MS) + own
    }

    /// The same for a controller that may have lost its power: at probe and after a sleep the commands
    /// together have the time that `admin_timeout_ms` grants to one.
    pub(crate) fn power_up_deadline(
        &self,
        commands: u32,
        admin_timeout_ms: u32,
    ) -> Instant<Monotonic> {
        let mut inner = self.inner.lock();
        let more = match inner.life.has_slept() || self.state() == State::New {
            true => admin_timeout_ms.saturating_sub(timing::COMMANDS_MS),
            false => 0,
        };
        let end = self.commands_deadline(commands) + timing::millis(more);
        inner.life.set_commands_end(end);
        end
    }

    /// Resets a controller without I/O queues if its time has come.
    pub(crate) fn try_for_queues_if_due(&self) {
        let mut inner = self.inner.lock();
        if inner.life.state() == State::Live && inner.life.is_retry_due(Instant::now()) {
            self.step(&mut inner, Event::Retry, fmt!(""));
        }
    }

    /// Tries a dead controller again if its time has come and it is on the bus.
    pub(crate) fn try_again_if_due(&self) {
        let mut inner = self.inner.lock();
        // While the system sleeps, no bridge above may be accessed.
        if inner.life.state() != State::Dead || inner.life.is_paused() {
            return;
        }
        if !self.registers.is_reachable() {
            return;
        }
        if inner.life.power() == Power::Unknown {
            // The device was away and may have come back with its bus mastering.
            self.registers.stop_dma();
        }
        if inner.life.is_retry_due(Instant::now()) {
            self.step(&mut inner, Event::Retry, fmt!(""));
        }
    }

    /// Whether the log has lines about the present bring-up: a try of a dead controller, or of one
    /// without I/O queues, is silent.
    pub(crate) fn is_bring_up_logged(&self) -> bool {
        !self.snapshot().is_quiet()
    }

    /// Calls `bring_up`, and once more after a reset of the PCI function if it fails.
    ///
    /// # Errors
    ///
    /// What `bring_up` returns; what [`LockedConfig`] returns; `ENODEV` if the controller was told to
    /// stop.
    pub(crate) fn bring_up<T>(&self, bring_up: impl FnMut() -> Result<T>) -> Result<T> {
        self.inner.lock().life.begin_bring_up(Instant::now());
        let mut try_for_long = self.again_while_lost(bring_up);
        match try_for_long() {
            Err(e) if self.may_reset_function() => self.reset_function(e)?,
            result => return result,
        }
        try_for_long()
    }

    /// `bring_up`, begun again as often as the device loses its config space meanwhile: some go on with
    /// a reset after their config space answers.
    ///
    /// TIMEOUT: begun again within the time in which the controller must become ready.
    fn again_while_lost<'a, T>(
        &'a self,
        mut bring_up: impl FnMut() -> Result<T> + 'a,
    ) -> impl FnMut() -> Result<T> + 'a {
        move || loop {
            match bring_up() {
                Err(_) if self.begin_again_if_lost() => {}
                result => return result,
            }
            if self.is_bring_up_logged() {
                dev_warn!(
                    self.registers.pdev,
                    "the device has lost its config space in the bring-up: once more\n"
                );
            }
            fsleep(timing::millis(timing::ABSENCE_LOOK_MS));
        }
    }

    /// Begins a bring-up that has failed again if the device is there without its config space, and
    /// there is time; returns whether it did.
    fn begin_again_if_lost(&self) -> bool {
        let mut inner = self.inner.lock();
        let all = timing::millis(self.ready_ms()) + timing::millis(timing::RESET_MARGIN_MS);
        let passed = inner.life.bring_up_for(Instant::now());
        let begins = self.is_coming_up()
            && passed.is_some_and(|passed| passed < all)
            && self.registers.is_reachable()
            && self.registers.config.is_lost();
        if begins {
            inner.life.begin_bring_up_again();
        }
        begins
    }

    /// Whether a reset of the PCI function and another bring-up follow if the present one fails.
    pub(crate) fn may_reset_function(&self) -> bool {
        let mut inner = self.inner.lock();
        if self.is_coming_up() {
            self.registers.wait_present(&mut inner.absence);
        }
        self.is_coming_up()
            && self.registers.is_reachable()
            && inner.life.may_reset_function(Instant::now())
    }

    /// The first step of a bring-up of a controller that was never up: [`Self::restart`], with a vector
    /// for the admin queue, and without the I/O queues of a bring-up before that failed.
    ///
    /// # Errors
    ///
    /// See [`Self::restart`] and [`Self::reallocate_vectors`].
    pub(crate) fn start(&self) -> Result {
        self.forget_queues()?;
        self.restart()
    }

    fn forget_queues(&self) -> Result {
        {
            let mut inner = self.inner.lock();
            if inner.has_only_admin() {
                return Ok(());
            }
            self.stop_for_start(&mut inner)?;
            // The stopped controller has forgotten what it was told of.
            if let Some(admin) = &mut inner.admin {
                admin.shadows = None;
                admin.memory = None;
            }
        }
        let vectors = self.reallocate_vectors(0, 0)?;
        let mut inner = self.inner.lock();
        inner.lines.serve_admin(&vectors, self.number)
    }

    /// The first step of a bring-up: stops the controller if it runs, makes all queues as new and has
    /// the controller answer admin commands.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the device is gone or was told to stop; `EIO` if the controller does not stop,
    /// reports a fatal status, or has another CAP; `ETIMEDOUT` if it is not ready in time.
    pub(crate) fn restart(&self) -> Result {
        let timeout = self.enable()?;
        self.registers
            .wait_ready(timeout, || self.is_coming_up())
            .inspect_err(|_| {
                if self.is_bring_up_logged() {
                    dev_err!(
                        self.registers.pdev,
                        "controller is not ready: CSTS {:#x} (it had {} ms to become so)\n",
                        self.registers.csts().into_raw(),
                        timeout.as_millis()
                    );
                }
            })?;
        let queue = match &self.inner.lock().admin {
            Some(admin) => admin.queue.clone(),
            None => return Err(ENODEV),
        };
        self.open(&queue)
    }

    /// Stops the controller and enables it; returns how long it may take to become ready. Nothing
    /// comes in between: bus mastering returns, and CC.EN = 1 is written, only after CC.EN = 0 and
    /// CSTS.RDY = 0 were read.
    fn enable(&self) -> Result<Delta> {
        let mut inner = self.inner.lock();
        self.stop_for_start(&mut inner)?;
        self.registers.check_caps(self.is_bring_up_logged())?;
        inner.renew_queues();
        let Some(queue) = inner.admin.as_ref().map(|admin| admin.queue.clone()) else {
            return Err(ENODEV);
        };
        allow_dma(&self.registers.pdev);
        // Before the writes: if one of them fails, the controller must be stopped all the same.
        inner.life.apply_power(PowerEvent::Enable);
        let stated = timing::millis(self.ready_ms());
        inner.settled_by = Some(Instant::now() + stated);
        inner.has_memory = true;
        self.registers
            .enable(queue.submission_ring(), queue.completion_ring())?;
        Ok(inner.time_left(stated))
    }

    /// Restores config space after a reset of the slot.
    pub(crate) fn restore_config(&self) {
        // No vectors are allocated or freed with the lock held.
        let _inner = self.inner.lock();
        self.registers.config.restore();
    }

    /// Stops the controller before it is started, whatever has enabled it.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the controller was told to stop; `EIO` if it does not stop.
    fn stop_for_start(&self, inner: &mut Inner) -> Result {
        if !self.is_coming_up() {
            return Err(ENODEV);
        }
        // What enabled the controller may have been firmware, another kernel or another driver.
        inner.settled_by = None;
        self.registers.wait_present(&mut inner.absence);
        self.registers.config.recover();
        self.power_down(inner, Stop::AtOnce);
        if inner.life.power() != Power::Off {
            if self.is_bring_up_logged() {
                let csts = self.registers.csts().into_raw();
                dev_err!(
                    self.registers.pdev,
                    "controller does not stop: CSTS {:#x}\n",
                    csts
                );
            }
            return Err(EIO);
        }
        Ok(())
    }

    /// Whether the doorbells of I/O queues use their shadows from now on, if they have any. The
    /// controller must not know the queues.
    pub(crate) fn use_shadows(&self, are_used: bool) {
        let mut inner = self.inner.lock();
        inner.lines.for_each(|vector| vector.use_shadows(are_used));
        for queue in inner.io_queues() {
            queue.use_shadow(are_used);
            let _ = queue.with_polled(|polled| polled.use_shadow(are_used));
        }
    }

    /// Resets the PCI function of a controller whose bring-up failed with `why`. The lock is released
    /// during the reset: I/O that waits too long for it fails, see [`Self::check_bring_up`].
    fn reset_function(&self, why: Error) -> Result {
        let pdev = &self.registers.pdev;
        let mut inner = self.inner.lock();
        if !self.is_coming_up() {
            return Err(ENODEV);
        }
        self.halt(&mut inner, Stop::AtOnce, Fate::of(self.state()));
        if self.is_bring_up_logged() {
            dev_warn!(
                pdev,
                "bring-up failed: error {}: resetting the PCI function\n",
                why.to_errno()
            );
        }
        let config = match LockedConfig::new(&self.registers.config) {
            Ok(config) => config,
            // Others are about to reset the function.
            Err(e) if e == EBUSY && inner.life.is_failure_excused() => return Err(e),
            // The function cannot be reset, or others have locked it: the second bring-up reads what
            // the registers say.
            Err(e) if e == ENOTTY || e == EBUSY => {
                inner.life.end_function_reset(Instant::now());
                return Ok(());
            }
            Err(e) => return Err(e),
        };
        inner.life.begin_function_reset(Instant::now());
        drop(inner);
        let result = self.registers.reset_function(&config);
        let mut inner = self.inner.lock();
        inner.life.end_function_reset(Instant::now());
        drop(config);
        drop(inner);
        result
    }

    /// Ends I/O that has waited too long for a bring-up: for a PCI function that does not come back
    /// from its reset, PCI core waits much longer, and for a part of the host that waits for this I/O
    /// there is no end.
    pub(super) fn check_bring_up(&self, inner: &mut Inner) {
        if !self.is_coming_up() {
            return;
        }
        if inner.life.is_bring_up_stuck(Instant::now()) {
            self.step(
                inner,
                Event::Failed,
                fmt!("the host does not end the bring-up"),
            );
            return;
        }
        if inner.life.power() != Power::FunctionReset {
            return;
        }
        let passed = inner.life.bring_up_for(Instant::now());
        let longest = timing::millis(timing::FUNCTION_RESET_MS + self.function_delay_ms());
        if passed.is_some_and(|passed| passed > longest) {
            self.step(
                inner,
                Event::Failed,
                fmt!("the PCI function does not come back from its reset"),
            );
        }
    }
}

impl Inner {
    /// Whether there are the admin queue and its vector, and nothing that a bring-up has left.
    fn has_only_admin(&self) -> bool {
        let has_memory = |admin: &AdminHardware| admin.shadows.is_some() || admin.memory.is_some();
        self.io.is_none() && self.lines.are_admin_only() && !self.admin.iter().any(has_memory)
    }

    /// Makes all queues as new: the stopped controller has forgotten them and has no command.
    fn renew_queues(&mut self) {
        self.lines.for_each(VectorHandler::reset);
        for queue in self.io_queues() {
            queue.reset();
            let _ = queue.with_polled(|polled| polled.reset());
        }
        if let Some(admin) = &self.admin {
            admin.queue.reset();
            if let Some(shadows) = &admin.shadows {
                shadows.clear();
            }
        }
    }
}
