// SPDX-License-Identifier: GPL-2.0

//! Starting a stopped controller again, by a reset of its PCI function if need be.

use super::{
    stop::Stop,
    vector_handler::VectorHandler,
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
    sync::lock::{
        mutex::MutexBackend,
        Guard, //
    },
    time::{
        Delta,
        Instant,
        Monotonic, //
    },
};

impl Hardware {
    /// Waits for a failed reset that is not over yet, because its PCI function does not come back:
    /// I/O fails at once now and must not wait for that when the controller is brought up again.
    pub(crate) fn wait_for_failed_reset(&self) {
        if self.state() == State::Dead {
            self.reset.flush();
        }
    }

    /// The instant at which the last of the `commands` admin commands of the present reset must have
    /// completed.
    pub(crate) fn reset_deadline(&self, commands: u32) -> Instant<Monotonic> {
        let now = Instant::now();
        let down = self.inner.lock().life.down_for(now).unwrap_or(Delta::ZERO);
        let own = timing::millis(timing::COMMAND_MARGIN_MS) * commands.into();
        let all = timing::millis(self.ready_ms())
            + timing::millis(timing::RESET_MARGIN_MS)
            + timing::millis(timing::COMMANDS_MARGIN_MS);
        now + (all + own - down)
    }

    /// The first step of a bring-up: makes all queues as new and the controller answer admin
    /// commands.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the device is gone or was told to stop; `EIO` if the controller does not stop or
    /// reports a fatal status; `ETIMEDOUT` if it is not ready in time; what [`LockedConfig`] returns.
    pub(crate) fn restart(&self) -> Result {
        let mut inner = self.inner.lock();
        if !self.is_coming_up() {
            return Err(ENODEV);
        }
        if inner.life.power() != Power::Off {
            // Another agent may have reset the controller.
            if self
                .registers
                .disable(timing::millis(timing::LAST_CHANCE_MS))
                .is_ok()
            {
                inner.life.apply_power(PowerEvent::Stopped);
            }
        }
        if inner.life.power() != Power::Off {
            inner = self.reset_function(inner)?;
        }
        if inner.life.power() != Power::Off {
            return Err(EIO);
        }
        inner.renew_queues();
        allow_dma(&self.registers.pdev);
        drop(inner);
        self.start_admin()
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

    /// Resets the PCI function of a controller that does not stop, with `inner` released during the
    /// reset: I/O that waits too long for it fails, see [`Self::check_function_reset`].
    fn reset_function<'a>(
        &'a self,
        mut inner: Guard<'a, Inner, MutexBackend>,
    ) -> Result<Guard<'a, Inner, MutexBackend>> {
        let pdev = &self.registers.pdev;
        dev_warn!(
            pdev,
            "controller does not stop: resetting its PCI function\n"
        );
        let config = LockedConfig::new(pdev)?;
        inner.life.apply_power(PowerEvent::FunctionReset);
        drop(inner);
        let result = config.reset_function();
        let mut inner = self.inner.lock();
        inner.life.apply_power(PowerEvent::FunctionBack);
        drop(config);
        result?;
        if !self.is_coming_up() {
            return Err(ENODEV);
        }
        self.power_down(&mut inner, Stop::AtOnce);
        Ok(inner)
    }

    /// Ends I/O that has waited too long for a PCI function to come back from its reset: PCI core
    /// waits much longer.
    pub(super) fn check_function_reset(&self, inner: &mut Inner) {
        if inner.life.power() != Power::FunctionReset || !self.is_coming_up() {
            return;
        }
        let limit = self.registers.stated_timeout()
            + timing::millis(timing::RESET_MARGIN_MS)
            + timing::millis(timing::FUNCTION_RESET_MARGIN_MS);
        let down = inner.life.down_for(Instant::now());
        if down.is_some_and(|down| down > limit) {
            self.step(
                inner,
                Event::Failed,
                fmt!("the PCI function does not come back from its reset"),
            );
        }
    }
}

impl Inner {
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
