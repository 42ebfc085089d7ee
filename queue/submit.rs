// SPDX-License-Identifier: GPL-2.0

//! Submission of commands. NVMe Base 2.0, 4.1.

use super::{
    submission::{
        Gate,
        Submission, //
    },
    Queue, //
};
use crate::{
    data::Queued,
    nvme::{
        CommandId,
        Sqe,
        Tail, //
    },
    sys::block::{
        BlkStatus,
        Dispatch,
        Operations,
        Started,
        Submissions,
        Types, //
    },
};
use core::sync::atomic::Ordering;
use kernel::prelude::*;

/// 64-bit words of a submission queue entry.
pub(super) const SQE_WORDS: usize = 8;

impl<T: Queued> Queue<T> {
    /// Sets the gate. Unless it is open, no command is put in flight after the return.
    pub(crate) fn set_gate(&self, gate: Gate) {
        self.submission.set_gate(gate);
        self.held.store(gate == Gate::Held, Ordering::SeqCst);
    }

    /// Whether the gate is held, at this moment. For any context.
    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Ordering::SeqCst)
    }

    /// Keeps `rq`, which the queue did not take, until the disks' requests that wait are queued
    /// again, which happens after the gate was opened or closed; returns the request if the gate is
    /// not held. A submitter with another path gets the request back at once.
    pub(super) fn park(&self, mut rq: Started<T>) -> Option<Started<T>> {
        // The lock is held until the request waits: the gate does not change in between.
        let submission = self.submission.lock();
        if !submission.is_held() {
            return Some(rq);
        }
        if !rq.has_other_path() {
            // This also keeps the requests in order: the block layer puts a request that a driver
            // has had at the end of the hardware queue's list, and others at its beginning.
            rq.begin_retries();
            rq.park();
            return None;
        }
        drop(submission);
        rq.end(BlkStatus::TRANSPORT);
        None
    }

    /// Whether the gate is open.
    pub(crate) fn is_open(&self) -> bool {
        self.gate() == Gate::Open
    }

    /// The gate.
    pub(super) fn gate(&self) -> Gate {
        self.submission.gate()
    }

    /// Empties the submission ring: the controller was reset and lost the queue.
    pub(crate) fn reset(&self) {
        let mut submission = self.submission.lock();
        submission.tail = Tail::new(self.entries);
        self.ring.clear();
    }

    /// The opcode of the command `id`, if it stands in the ring.
    pub(super) fn opcode(&self, id: CommandId) -> Option<u8> {
        (0..usize::from(self.entries))
            .map(|slot| self.ring.read(slot.wrapping_mul(SQE_WORDS)))
            .find(|first| Sqe::cid_of(*first) == id)
            .map(Sqe::opcode_of)
    }

    /// Gives pages of small lists back to the controller's pool that no request has used since the call
    /// before the last one. Does nothing unless the gate is open, because a command of another queue
    /// may have a list of this one otherwise.
    pub(crate) fn trim_lists(&self) {
        // Nothing is put in flight meanwhile.
        let Some(submission) = self.submission.lock_open() else {
            return;
        };
        let in_flight = &submission.in_flight;
        let place = submission.tail.index();
        self.transfers
            .lists()
            .trim(place, |tag| in_flight.is_in_use(tag));
    }

    /// The command identifier in the `age`th oldest entry of the ring. The entry may be of a
    /// command that has completed, or of none.
    pub(super) fn command_id(&self, age: u16) -> CommandId {
        let tail = self.submission.lock().tail.index();
        let entries = usize::from(self.entries);
        let slot = tail.wrapping_add(age.into());
        let slot = if slot < entries {
            slot
        } else {
            slot.wrapping_sub(entries)
        };
        Sqe::cid_of(self.ring.read(slot.wrapping_mul(SQE_WORDS)))
    }

    /// Unmaps the data of `rq`, which the queue did not take, and returns it.
    #[cold]
    pub(crate) fn take_back(&self, mut rq: Started<T>) -> Started<T> {
        self.transfers.unmap(&mut rq);
        rq
    }

    #[inline(always)]
    fn try_submit(&self, rq: Started<T>, command: Sqe, last: bool) -> Result<(), Started<T>> {
        let Some(mut submission) = self.submission.lock_open() else {
            return Err(rq);
        };
        self.put(&mut submission, rq, command, last)
    }

    /// Puts the commands of a plug into the ring under one lock, and rings the doorbell once.
    /// `each` puts one command; a request that `each` returns is queued again.
    #[inline(always)]
    pub(crate) fn submit_many(
        &self,
        requests: &mut Submissions<'_, T>,
        mut each: impl FnMut(Series<'_, T>, Started<T>) -> Result<(), Started<T>>,
    ) {
        let Some(mut submission) = self.submission.lock_open() else {
            return;
        };
        while let Some(rq) = requests.next() {
            let series = Series {
                queue: self,
                submission: &mut submission,
            };
            if let Err(rq) = each(series, rq.start()) {
                rq.requeue();
            }
        }
        if submission.tail.is_pending() {
            Self::ring_doorbell(&mut submission);
        }
    }

    #[inline(always)]
    fn put(
        &self,
        submission: &mut Submission<T>,
        rq: Started<T>,
        command: Sqe,
        last: bool,
    ) -> Result<(), Started<T>> {
        // The request may complete from here on, and is not touched any more.
        let cid = submission.in_flight.arm(rq)?;
        self.write(submission, command.with_cid(cid), last);
        Ok(())
    }

    /// Writes a command that is in flight into the ring.
    #[inline(always)]
    pub(super) fn write(&self, submission: &mut Submission<T>, command: Sqe, last: bool) {
        let slot = submission.tail.index().wrapping_mul(SQE_WORDS);
        self.ring.write_block(slot, command.words());
        // `Tail` demands fewer commands in flight than entries: `Queue::new` makes fewer slots than
        // entries, and a slot is armed for one request at a time.
        submission.tail.advance();
        if last {
            Self::ring_doorbell(submission);
        }
    }

    /// Rings the doorbell for commands that were submitted with `last == false`.
    pub(crate) fn commit(&self) {
        let Some(mut submission) = self.submission.lock_open() else {
            return;
        };
        if submission.tail.is_pending() {
            Self::ring_doorbell(&mut submission);
        }
    }

    /// Rings the doorbell. [`Doorbell::ring`] orders its store after the stores to the ring.
    ///
    /// [`Doorbell::ring`]: crate::sys::pci::Doorbell::ring
    #[inline(always)]
    fn ring_doorbell(submission: &mut Submission<T>) {
        let values = submission.tail.ring();
        submission.doorbell.ring(values);
    }
}

impl<T: Queued + Operations<Queue = Self>> Queue<T> {
    /// Puts the command of `rq`, whose data is mapped, into the ring; the `last` of a series rings
    /// the doorbell. If the gate is held, the request waits: see [`Queue::park`]. If the gate is
    /// closed, [`Operations::turned_away`] decides what becomes of the request.
    #[inline(always)]
    pub(crate) fn submit(&self, dispatch: Dispatch<'_>, rq: Started<T>, command: Sqe, last: bool) {
        if let Err(rq) = self.try_submit(rq, command, last) {
            self.turn_away(dispatch, rq);
        }
    }
}

/// A queue whose submission lock is held, for one command of a series.
pub(crate) struct Series<'a, T: Types> {
    queue: &'a Queue<T>,
    submission: &'a mut Submission<T>,
}

impl<T: Queued> Series<'_, T> {
    /// Puts the command of `rq`, whose data is mapped, into the ring.
    ///
    /// # Errors
    ///
    /// Returns the request, its data unmapped.
    #[inline(always)]
    pub(crate) fn put(self, rq: Started<T>, command: Sqe) -> Result<(), Started<T>> {
        let queue = self.queue;
        queue
            .put(self.submission, rq, command, false)
            .map_err(|rq| queue.take_back(rq))
    }
}
