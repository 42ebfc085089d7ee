// SPDX-License-Identifier: GPL-2.0

//! Commands that are sent together and waited for together.

use super::{
    AdminQueue,
    CommandTimeout, //
};
use crate::{
    nvme::AdminCommand,
    policy::timing,
    sys::block::Ends, //
};
use kernel::{
    prelude::*,
    time::{
        delay::fsleep,
        Instant,
        Monotonic, //
    },
};

impl AdminQueue {
    /// Sends commands without data together, as many at a time as there are tags, and waits for all of
    /// them, until `deadline` at most. Returns whether all of them succeeded.
    ///
    /// # Errors
    ///
    /// `ETIMEDOUT` after the deadline; `ENOMEM`; what posting a command returns.
    ///
    /// A command that has not ended then has no timeout: the caller must stop the controller, which ends
    /// it.
    pub(crate) fn execute_together<C: AdminCommand>(
        &self,
        commands: impl Iterator<Item = C>,
        deadline: Instant<Monotonic>,
    ) -> Result<bool> {
        let ends = Ends::new()?;
        let mut under_way = 0u32;
        for command in commands {
            while let Err(e) = self.post(&command, CommandTimeout::Never, ends.clone()) {
                if e != EAGAIN {
                    return Err(e);
                }
                if under_way == 0 {
                    // Another command has the tag, or the one that has ended has it for a moment yet.
                    left_until(deadline)?;
                    fsleep(timing::POLL_INTERVAL);
                } else {
                    self.wait_for_end(&ends, deadline)?;
                    under_way -= 1;
                }
            }
            under_way += 1;
        }
        for _ in 0..under_way {
            self.wait_for_end(&ends, deadline)?;
        }
        Ok(ends.failed() == 0)
    }

    /// Waits for the end of one more command, until `deadline` at most.
    ///
    /// # Errors
    ///
    /// `ETIMEDOUT`.
    fn wait_for_end(&self, ends: &Ends, deadline: Instant<Monotonic>) -> Result {
        while !ends.wait(left_until(deadline)?.min(timing::WAIT_LOOK_MS)) {
            // Finds a completion whose interrupt was lost.
            self.queue.check();
        }
        Ok(())
    }
}

/// The milliseconds until `deadline`.
///
/// # Errors
///
/// `ETIMEDOUT` if it has passed.
fn left_until(deadline: Instant<Monotonic>) -> Result<u32> {
    let left = (deadline - Instant::now()).as_millis();
    match u32::try_from(left.max(0)) {
        Ok(0) => Err(ETIMEDOUT),
        left => Ok(left.unwrap_or(u32::MAX)),
    }
}
