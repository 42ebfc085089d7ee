// SPDX-License-Identifier: GPL-2.0

//! What submission changes, under its lock, and the gate in front of it.

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
    },
};

/// Whether commands get through to the device.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// They do: it knows the queue.
    Open,
    /// They do not now, but will: they wait.
    Held,
    /// They do not: they fail, unless another queue takes them.
    Closed,
}

/// The part of a queue that submission changes, under the lock.
pub(super) struct Submission<T: Types> {
    pub(super) in_flight: InFlight<T>,
    pub(super) tail: Tail,
    /// Unless it is open, nothing is put in flight.
    gate: Gate,
}

impl<T: Types> Submission<T> {
    /// Behind a closed gate: nothing is in flight, the ring has `entries` and is empty.
    pub(super) const fn new(in_flight: InFlight<T>, entries: u16) -> Self {
        Self {
            in_flight,
            tail: Tail::new(entries),
            gate: Gate::Closed,
        }
    }
}

impl<T: Types> SpinLock<Submission<T>> {
    /// Lets commands through, or not. When this returns, nothing more is put in flight unless the
    /// gate is open.
    pub(super) fn set_gate(&self, gate: Gate) {
        self.lock().gate = gate;
    }

    /// Whether commands get through.
    pub(super) fn gate(&self) -> Gate {
        self.lock().gate
    }

    /// Takes the lock, if the gate is open. The gate stays open while the lock is held: nothing is
    /// put in flight without this.
    #[inline(always)]
    pub(super) fn lock_open(&self) -> Option<Guard<'_, Submission<T>>> {
        let submission = self.lock();
        if submission.gate != Gate::Open {
            return None;
        }
        Some(submission)
    }
}
