// SPDX-License-Identifier: GPL-2.0

//! The completion side of a queue pair. NVMe Base 2.0, 4.2.

use super::{
    LineBegins,
    Queue,
    LINE, //
};
use crate::{
    data::{
        HasQueueData,
        Queued,
        Transfers, //
    },
    nvme::{
        CommandId,
        CqeEnd,
        Head,
        Status, //
    },
    sys::{
        block::{
            finish,
            Completed,
            Operations,
            Reaper,
            Started,
            Types, //
        },
        dma::{
            read_barrier,
            Ring, //
        },
        pci::Doorbell, //
    },
};
use core::mem::offset_of;
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// 64-bit words of a completion queue entry.
pub(super) const CQE_WORDS: usize = 2;

/// The completion side of a queue pair. The handler of the queue's interrupt owns it.
#[repr(C, align(64))]
pub(crate) struct Completions<T: Types> {
    // For each completion.
    ring: Ring,
    reaper: Reaper<T>,
    head: Head,
    /// How often this pass has reached the end of the ring.
    rounds: u32,
    // For each pass.
    _pass: [LineBegins; 0],
    doorbell: Doorbell,
    queue: Arc<Queue<T>>,
    /// Entries that named no command in flight.
    spurious: u32,
    /// The entry that was pending at the last check for lost interrupts, plus one; 0: none.
    waiting: u32,
}

impl<T: Types> Completions<T> {
    const LAYOUT: () = {
        assert!(align_of::<Self>() % LINE == 0);
        assert!(offset_of!(Self, doorbell) == LINE);
        assert!(size_of::<Self>() == 2 * LINE);
    };

    /// The completion side of `queue`: its `ring` of `entries` is zeroed.
    pub(super) fn new(
        ring: Ring,
        reaper: Reaper<T>,
        entries: u16,
        doorbell: Doorbell,
        queue: Arc<Queue<T>>,
    ) -> Self {
        let () = Self::LAYOUT;
        Self {
            ring,
            reaper,
            head: Head::new(entries),
            rounds: 0,
            _pass: [],
            doorbell,
            queue,
            spurious: 0,
            waiting: 0,
        }
    }
}

impl<T: Queued + Operations<Queue = Queue<T>>> Completions<T> {
    /// Takes every new entry of the completion ring and rings the doorbell, so that the controller
    /// may use the entries again. Returns whether there was a new entry.
    #[inline(always)]
    pub(crate) fn reap(&mut self, done: &mut Completed<T>) -> bool {
        let Some(end) = self.peek() else {
            return false;
        };
        self.pass(end, done);
        true
    }

    /// Takes every new entry, the first of which has `end`, and rings the doorbell.
    #[inline(always)]
    fn pass(&mut self, end: CqeEnd, done: &mut Completed<T>) {
        self.take_new(end, done);
        // One doorbell for each pass.
        self.doorbell.ring(self.head.ring());
    }

    /// Takes every new entry of a polled queue. Most polls find no entry, so the rest is out of
    /// line.
    #[inline(always)]
    pub(super) fn reap_polled(&mut self, done: &mut Completed<T>) -> bool {
        self.is_pending() && self.reap_out_of_line(done)
    }

    #[inline(never)]
    fn reap_out_of_line(&mut self, done: &mut Completed<T>) -> bool {
        self.reap(done)
    }

    /// Takes every new entry, and ends the requests that succeeded.
    #[inline(always)]
    pub(crate) fn reap_all(&mut self) -> bool {
        let Some(end) = self.peek() else {
            return false;
        };
        let mut done = Completed::new();
        self.pass(end, &mut done);
        done.end();
        true
    }

    /// The end of the next entry, if it is new.
    #[inline(always)]
    fn peek(&self) -> Option<CqeEnd> {
        // One load: the phase tag and the rest of these words are of the same write.
        let last = CQE_WORDS - 1;
        let index = self.head.index().wrapping_mul(CQE_WORDS).wrapping_add(last);
        CqeEnd::new(self.ring.read_upper(index), self.head.phase())
    }

    /// Whether there is a new entry.
    pub(crate) fn is_pending(&self) -> bool {
        self.peek().is_some()
    }

    /// Takes the new entries, the first of which has `end`. A pass ends at the second end of the
    /// ring, however fast the controller writes.
    #[inline(always)]
    fn take_new(&mut self, mut end: CqeEnd, done: &mut Completed<T>) {
        self.rounds = 0;
        loop {
            // Pairs with the controller's write of the entry: the rest of the entry, and the data
            // of the request, are read after the phase tag.
            read_barrier();
            self.complete(end, done);
            if !self.head.advance() && !self.begin_round() {
                return;
            }
            match self.peek() {
                Some(next) => end = next,
                None => return,
            }
        }
    }

    /// Begins the next round of the ring; returns whether the pass goes on.
    #[cold]
    #[inline(never)]
    fn begin_round(&mut self) -> bool {
        self.head.begin_round();
        self.rounds = self.rounds.wrapping_add(1);
        self.rounds < 2
    }

    #[inline(always)]
    fn complete(&mut self, end: CqeEnd, done: &mut Completed<T>) {
        if self.reaper.is_to_be_lost(end.command_id()) {
            return;
        }
        if T::RequestData::KEEPS_COMPLETION {
            return self.complete_in_full(end);
        }
        let Some(rq) = self.reaper.take_success(end) else {
            return self.complete_in_full(end);
        };
        let Some(mut rq) = rq.complete_remote() else {
            return;
        };
        if !Transfers::is_free(&mut rq) {
            rq = self.unmap(rq);
        }
        if let Err(rq) = done.add(rq) {
            finish(rq);
        }
    }

    #[inline(never)]
    fn unmap(&self, mut rq: Started<T>) -> Started<T> {
        self.queue.data().unmap(&mut rq);
        rq
    }

    /// Completes a command whose entry is no plain success, or whose request keeps the completion.
    /// The entry may have any contents.
    #[cold]
    #[inline(never)]
    fn complete_in_full(&mut self, end: CqeEnd) {
        let Some(mut rq) = self.reaper.take(end.command_id()) else {
            return self.note_spurious(end.command_id());
        };
        if T::RequestData::KEEPS_COMPLETION {
            let index = self.head.index().wrapping_mul(CQE_WORDS);
            rq.private_mut().keep(self.ring.read(index));
        }
        rq.queue_part().status = end.status().raw();
        Self::complete_alone(rq);
    }

    /// Finishes one request, on the CPU that the block layer chooses.
    #[cold]
    fn complete_alone(rq: Started<T>) {
        if let Some(rq) = rq.complete_remote() {
            finish(rq);
        }
    }

    #[cold]
    fn note_spurious(&mut self, cid: CommandId) {
        self.spurious = self.spurious.saturating_add(1);
        // At powers of two only: a controller that goes on with this must not flood the log.
        if self.spurious.is_power_of_two() {
            dev_warn!(
                self.queue.device(),
                "queue {}: completion for command {:#06x}, which is not in flight ({} so far)\n",
                self.queue.id().raw(),
                cid.raw(),
                self.spurious
            );
        }
    }

    /// Whether the entry at the head was already pending at the previous call, so its interrupt was
    /// lost.
    pub(crate) fn is_overlooked(&mut self) -> bool {
        // CAST: an index of a ring, less than 65536.
        let waiting = match self.is_pending() {
            true => self.head.index() as u32 + 1,
            false => 0,
        };
        let before = core::mem::replace(&mut self.waiting, waiting);
        waiting != 0 && waiting == before
    }

    /// Ends all requests in flight. The gate must not be open, and the controller must be stopped.
    ///
    /// Completions that the controller has written end their requests. The other requests end with
    /// `status`, in the order of their submission; a request that a whole ring of later commands has
    /// overtaken comes last. Returns the number of the other requests.
    pub(crate) fn cancel(&mut self, status: Status) -> u32 {
        // With the doorbell, unless it is muted: a controller that was shut down keeps the pin's level
        // up until then.
        self.reap_all();
        if self.reaper.is_idle() {
            return 0;
        }
        let mut count = 0;
        for age in 0..self.queue.entries() {
            let cid = self.queue.command_id(age);
            count += self.end(|reaper| reaper.take(cid), status);
        }
        loop {
            match self.end(Reaper::take_any, status) {
                0 => return count,
                more => count += more,
            }
        }
    }

    /// Ends the request that `take` finds with `status`; returns the number of requests, 0 or 1.
    fn end(
        &mut self,
        take: impl FnOnce(&mut Reaper<T>) -> Option<Started<T>>,
        status: Status,
    ) -> u32 {
        let Some(mut rq) = take(&mut self.reaper) else {
            return 0;
        };
        rq.queue_part().status = status.raw();
        Self::complete_alone(rq);
        1
    }

    /// Mutes the doorbell until [`Self::reset`]: the controller is about to lose the queue.
    pub(crate) fn mute(&mut self) {
        self.doorbell.mute();
    }

    /// Whether the doorbell uses its shadow from now on, if there is one. The controller must not know
    /// the queue.
    pub(crate) fn use_shadow(&mut self, is_used: bool) {
        self.doorbell.use_shadow(is_used);
    }

    /// Empties the completion ring and unmutes the doorbell: the controller was reset and lost the
    /// queue.
    pub(crate) fn reset(&mut self) {
        self.doorbell.unmute();
        self.ring.clear();
        self.head = Head::new(self.queue.entries());
        self.waiting = 0;
    }
}
