// SPDX-License-Identifier: GPL-2.0

//! What those who decide about late commands get to see of one.

use super::Queue;
use crate::{
    nvme::{
        CommandId,
        QueueId, //
    },
    sys::block::{
        TimedOut,
        Timeout,
        Types, //
    },
};

/// A command that is late, as far as it is still there.
pub(crate) trait Late {
    /// Its queue.
    fn queue(&self) -> QueueId;
    /// Its tag.
    fn tag(&self) -> i32;
    /// Its command id, if the device has it.
    fn command(&self) -> Option<CommandId>;
    /// Whether it still is in flight.
    fn is_in_flight(&self) -> bool;
    /// Whether it has already been given [`GRACE_MS`].
    fn had_grace(&self) -> bool;
    /// Gives it [`GRACE_MS`] more from now on, if it is waited for again.
    fn give_grace(&self);
}

/// Milliseconds that a late command is given to come back after it was to be aborted.
///
/// TIMEOUT: an abort that works does so at once, and who waits has waited for long. Not a number of
/// seconds: a command's ordinary time-out is one, so that this tells that it had its grace.
pub(crate) const GRACE_MS: u32 = 1990;

/// See [`Late`].
pub(super) struct LateCommand<'a, T: Types> {
    pub(super) queue: &'a Queue<T>,
    pub(super) rq: &'a TimedOut<'a, T>,
}

impl<T: Types> Late for LateCommand<'_, T> {
    fn queue(&self) -> QueueId {
        self.queue.id
    }

    fn tag(&self) -> i32 {
        self.rq.tag()
    }

    fn command(&self) -> Option<CommandId> {
        let tag = self.rq.tag().try_into().ok()?;
        self.queue.submission.lock().in_flight.command_id(tag)
    }

    fn is_in_flight(&self) -> bool {
        self.rq.is_in_flight()
    }

    fn had_grace(&self) -> bool {
        self.rq.timeout() == Timeout::from_millis(GRACE_MS)
    }

    fn give_grace(&self) {
        self.rq.set_timeout(Timeout::from_millis(GRACE_MS));
    }
}
