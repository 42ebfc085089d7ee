// SPDX-License-Identifier: GPL-2.0

//! The state that submission changes under its lock, and the gate in front of it.

use crate::{
    nvme::Tail,
    sys::{
        base::{
            Guard,
            SpinLock, //
        },
        block::{
            InFlight,
            Types, //
        },
        pci::Doorbell, //
    },
};

/// Whether a queue takes commands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// The controller has the queue: commands go to it.
    Open,
    /// The controller will have the queue again: requests wait.
    Held,
    /// The controller does not have the queue: requests go through another queue, or fail.
    Closed,
}

/// The part of a queue that submission changes, under the lock.
pub(super) struct Submission<T: Types> {
    pub(super) in_flight: InFlight<T>,
    pub(super) tail: Tail,
    /// Tells the controller the tail.
    pub(super) doorbell: Doorbell,
    /// Unless it is open, no command is put in flight.
    gate: Gate,
}

impl<T: Types> Submission<T> {
    /// The state of an empty ring of `entries`, closed.
    pub(super) const fn new(in_flight: InFlight<T>, doorbell: Doorbell, entries: u16) -> Self {
        Self {
            in_flight,
            tail: Tail::new(entries),
            doorbell,
            gate: Gate::Closed,
        }
    }

    /// Whether the gate is held.
    pub(super) fn is_held(&self) -> bool {
        self.gate == Gate::Held
    }
}

impl<T: Types> SpinLock<Submission<T>> {
    /// Sets the gate. Unless it is open, no command is put in flight after the return.
    pub(super) fn set_gate(&self, gate: Gate) {
        self.lock().gate = gate;
    }

    /// The gate.
    pub(super) fn gate(&self) -> Gate {
        self.lock().gate
    }

    /// Takes the lock if the gate is open. The gate stays open while the lock is held. No command is
    /// put in flight without this lock.
    #[inline(always)]
    pub(super) fn lock_open(&self) -> Option<Guard<'_, Submission<T>>> {
        let submission = self.lock();
        if submission.gate != Gate::Open {
            return None;
        }
        Some(submission)
    }
}
