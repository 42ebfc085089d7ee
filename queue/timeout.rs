// SPDX-License-Identifier: GPL-2.0

//! Commands whose timeout is over: the values that the timeout policy decides by.

use super::Queue;
use crate::{
    data::Queued,
    nvme::{
        CommandId,
        QueueId, //
    },
    policy::timing,
    sys::block::{
        TimedOut,
        Timeout,
        TimeoutVerdict, //
    }, //
};

/// No opcode of a command that the driver sends.
const UNKNOWN: u8 = u8::MAX;

/// A command whose timeout is over.
pub(crate) struct TimedOutCommand<'a> {
    /// The queue of the request.
    pub(crate) queue: QueueId,
    /// The tag of the request.
    pub(crate) tag: i32,
    /// The command identifier, if the controller has the command in this queue.
    pub(crate) id: Option<CommandId>,
    /// The opcode of the command, for log lines; [`UNKNOWN`] if the controller does not have it in this
    /// queue.
    pub(crate) opcode: u8,
    /// Whether the timeout was extended before, by [`Self::grace`].
    pub(crate) had_grace: bool,
    /// How long [`Self::grace`] extends the timeout.
    grace: Timeout,
    /// Whether the controller still has the command, at this try.
    pub(crate) is_in_flight: &'a dyn Fn() -> bool,
}

impl TimedOutCommand<'_> {
    /// The verdict that extends the timeout of a command that is being aborted.
    pub(crate) fn grace(&self) -> TimeoutVerdict {
        TimeoutVerdict::Extend(self.grace)
    }
}

/// Decides what to do about a command whose timeout is over. The layer above implements it.
pub(crate) trait TimeoutPolicy: Send + Sync {
    /// The timeout of `command` is over.
    fn timeout(&self, command: &TimedOutCommand<'_>) -> TimeoutVerdict;

    /// Looks for completions without interrupts and for a controller that failed.
    fn check(&self);

    /// The time of all commands of a bring-up is over.
    fn overdue(&self);
}

impl<T: Queued> Queue<T> {
    /// The timeout of `rq`, a request of this queue, is over.
    pub(crate) fn timeout(&self, rq: &TimedOut<'_, T>) -> TimeoutVerdict {
        // Only the admin queue has such requests: a user may give a disk any timeout.
        if self.id.is_admin() && rq.timeout() == Timeout::FOREVER {
            return TimeoutVerdict::Again;
        }
        let grace = rq.not_of_queue(timing::ABORT_GRACE_MS);
        let id = rq
            .tag()
            .try_into()
            .ok()
            .and_then(|tag| self.submission.lock().in_flight.command_id(tag));
        self.policy.timeout(&TimedOutCommand {
            queue: self.id,
            tag: rq.tag(),
            id,
            opcode: id.and_then(|id| self.opcode(id)).unwrap_or(UNKNOWN),
            had_grace: rq.timeout() == grace,
            grace,
            is_in_flight: &|| rq.is_in_flight(),
        })
    }

    /// Looks for completions without interrupts and for a controller that failed, on behalf of a
    /// thread that waits for a command.
    pub(crate) fn check(&self) {
        self.policy.check();
    }

    /// The time of the commands of a bring-up is over, on behalf of a thread that waits for one.
    pub(crate) fn overdue(&self) {
        self.policy.overdue();
    }
}
