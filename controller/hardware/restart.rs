// SPDX-License-Identifier: GPL-2.0

//! Starting a controller again that was stopped, if need be by a reset of its PCI function.

use super::{
    registers::{
        LAST_CHANCE,
        RESET_MARGIN, //
    },
    vector_handler::VectorHandler,
    Hardware,
    Inner,
    Stop, //
};
use crate::{
    nvme::CRTO,
    policy::{
        Event,
        State, //
    },
    sys::pci::{
        allow_dma,
        LockedConfig, //
    },
};
use kernel::{
    io::Io as _,
    prelude::*,
    sync::lock::{
        mutex::MutexBackend,
        Guard, //
    },
    time::{
        Delta,
        Instant,
        Monotonic, //
    }, //
};

/// How much longer than CAP.TO and [`RESET_MARGIN`] a reset may take, all in all, until the PCI
/// function is back from its own.
///
/// TIMEOUT: that is 0.1 s after it was reset, and may be a second more (PCIe 5.0, 6.6.2 and 2.3.1); it
/// is reset 0.1 s after CAP.TO at the latest, or 0.7 s later if it does not end what it had begun.
const FUNCTION_RESET_MARGIN: Delta = Delta::from_millis(1300);

/// How much longer than CAP.TO (or CRTO) and [`RESET_MARGIN`] a reset may take, all in all, until the
/// last of its admin commands has ended, and how much more for each of them.
///
/// TIMEOUT: each may take 2 s, but if all do, that is not a controller to wait for.
const COMMANDS_MARGIN: Delta = Delta::from_secs(3);
/// See [`COMMANDS_MARGIN`].
const COMMAND_MARGIN: Delta = Delta::from_millis(20);

impl Hardware {
    /// Waits for what a reset that failed may still be at, a PCI function that does not come back: I/O,
    /// which fails now, should not have to wait for that when the controller is brought up again.
    pub(crate) fn wait_for_failed_reset(&self) {
        if self.state() == State::Dead {
            self.reset.flush();
        }
    }

    /// When the last of the `commands` admin commands of the reset that is under way must have ended.
    pub(crate) fn reset_deadline(&self, commands: u32) -> Instant<Monotonic> {
        let since = self.inner.lock().since.unwrap_or_else(Instant::now);
        let worst = self.caps.ready_ms(|| self.bar.read(CRTO));
        let own = COMMAND_MARGIN * commands.into();
        since + Delta::from_millis(worst.into()) + RESET_MARGIN + COMMANDS_MARGIN + own
    }

    /// Makes all queues as new and the controller answer admin commands again: the first step of
    /// bringing it up after [`Event::Asked`] and the like.
    ///
    /// # Errors
    ///
    /// `ENODEV` if it is gone or was told to stop meanwhile; `EIO` if it cannot be stopped or
    /// reports a fatal status; `ETIMEDOUT` if it is not ready in time; what
    /// [`LockedConfig`] returns.
    pub(crate) fn restart(&self) -> Result {
        let mut inner = self.inner.lock();
        if !self.is_coming_up() {
            return Err(ENODEV);
        }
        if !inner.stopped {
            // Somebody else may have reset it.
            inner.stopped = self.disable(LAST_CHANCE).is_ok();
        }
        if !inner.stopped {
            inner = self.reset_function(inner)?;
        }
        if !inner.stopped {
            return Err(EIO);
        }
        // It has forgotten all queues and has nothing of them any more.
        inner.for_each_vector(VectorHandler::reset);
        if let Some(queue) = &inner.admin {
            queue.reset();
        }
        for queue in &inner.io {
            queue.reset();
            let _ = queue.with_polled(|polled| polled.reset());
        }
        if let Some(shadows) = &inner.shadows {
            shadows.clear();
        }
        allow_dma(&self.pdev);
        drop(inner);
        self.start_admin()
    }

    /// Resets the PCI function of a controller that does not stop, with `inner` released meanwhile:
    /// what waits for it too long fails, see [`Self::check_function_reset`].
    fn reset_function<'a>(
        &'a self,
        mut inner: Guard<'a, Inner, MutexBackend>,
    ) -> Result<Guard<'a, Inner, MutexBackend>> {
        dev_warn!(
            self.pdev,
            "controller does not stop: resetting its PCI function\n"
        );
        let config = LockedConfig::new(&self.pdev)?;
        inner.function_reset = true;
        drop(inner);
        let result = config.reset_function();
        let mut inner = self.inner.lock();
        inner.function_reset = false;
        // That it was not there meanwhile does not say that it has stopped.
        inner.stopped = false;
        drop(config);
        result?;
        if !self.is_coming_up() {
            return Err(ENODEV);
        }
        inner.stopped = self.power_down(Stop::AtOnce, &mut inner);
        Ok(inner)
    }

    /// Ends I/O that has waited too long for a PCI function to come back from its reset: the PCI
    /// core waits for it much longer.
    pub(super) fn check_function_reset(&self, inner: &mut Inner) {
        if !inner.function_reset || !self.is_coming_up() {
            return;
        }
        let limit =
            Delta::from_millis(self.caps.timeout_ms.into()) + RESET_MARGIN + FUNCTION_RESET_MARGIN;
        if inner.since.is_some_and(|since| since.elapsed() > limit) {
            self.step(
                inner,
                Event::Failed,
                fmt!("its PCI function does not come back from a reset"),
            );
        }
    }
}
