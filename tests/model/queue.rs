// SPDX-License-Identifier: GPL-2.0

//! The driver's submission side behind its gate; the rest of a queue as the driver's `queue.rs`,
//! `queue/fallback.rs` and `queue/completions.rs` have it, less rings and data.

#[path = "../../queue/submission.rs"]
#[allow(
    dead_code,
    reason = "the driver's own file: the models need a part of it"
)]
mod submission;

pub(crate) use self::submission::Gate;

use self::submission::Submission;
use crate::{
    nvme::CommandId,
    sys::{
        base::SpinLock,
        block::{
            InFlight,
            Reaper,
            Started,
            Types, //
        },
        pci::Doorbell, //
    },
};

/// A queue, as those who submit see it.
pub(crate) struct Queue<T: Types> {
    submission: SpinLock<Submission<T>>,
}

impl<T: Types> Queue<T> {
    /// Its gate is closed.
    pub(crate) fn new(in_flight: InFlight<T>, entries: u16) -> Self {
        Self {
            submission: SpinLock::new(Submission::new(in_flight, Doorbell::new(0), entries)),
        }
    }

    /// The driver's.
    pub(crate) fn set_gate(&self, gate: Gate) {
        self.submission.set_gate(gate);
    }

    /// `try_submit`, with what `put` and `write` do to memory that both sides see.
    pub(crate) fn submit(&self, rq: Started<T>) -> Result<CommandId, Started<T>> {
        let Some(mut submission) = self.submission.lock_open() else {
            return Err(rq);
        };
        let cid = submission.in_flight.arm(rq)?;
        submission.tail.advance();
        Ok(cid)
    }

    /// `carry`: the same for a request of another queue.
    pub(crate) fn carry(&self, rq: Started<T>) -> Result<CommandId, Started<T>> {
        let Some(mut submission) = self.submission.lock_open() else {
            return Err(rq);
        };
        let cid = submission.in_flight.lend(rq)?;
        submission.tail.advance();
        Ok(cid)
    }
}

/// `Completions::cancel`: those whose commands stand in the ring (`cids`), then any. Returns how
/// many there were.
pub(crate) fn cancel<T: Types>(
    reaper: &mut Reaper<T>,
    cids: &[CommandId],
    mut end: impl FnMut(Started<T>),
) -> usize {
    let mut count = 0;
    for &cid in cids {
        if let Some(rq) = reaper.take(cid) {
            end(rq);
            count += 1;
        }
    }
    while let Some(rq) = reaper.take_any() {
        end(rq);
        count += 1;
    }
    count
}
