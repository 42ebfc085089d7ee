// SPDX-License-Identifier: GPL-2.0

//! One submission queue and its completion queue: slots, phase, doorbells, barriers, locks.
//!
//! ```text
//!   any CPU                                   the interrupt of the queue's vector
//!   Queue (shared)                            Completions (exclusive)
//!     lock: tail, last rung ── SQ ring ──┐      head, phase ◄── CQ ring ◄─┐
//!     in flight: tag → request           ▼      reaper: id → request      │
//!                              doorbell ──► device ────────────────────────┘
//! ```
//!
//! The two halves share nothing that both write: submission never touches the completion ring,
//! and completion never takes the submission lock.
//!
//! LOCK: `Queue::polled` is taken where a queue is polled, never in interrupts. Inside
//! `Queue::submission` there are only locks of the kernel's own (timers, the IOMMU's
//! address space); it is never taken in interrupt context. NVMe Base 2.0, 3.3 (queueing), 4.1 and 4.2 (entries).

// The submission side, behind its gate.
mod submission;
// The completion side.
mod completions;
// Commands of a queue that the controller lost.
mod fallback;
// Commands whose time is up.
mod timeout;
// Queues without interrupts.
mod polled;

pub(crate) use self::{
    completions::Completions,
    fallback::Route,
    submission::Gate,
    timeout::Late, //
};

use self::{
    completions::CQE_WORDS,
    submission::Submission,
    timeout::LateCommand, //
};
use crate::{
    data::{
        Carrier,
        SglThreshold,
        Transfers, //
    },
    nvme::{
        regs,
        CommandId,
        Data,
        DataPtr,
        QueueId,
        RangeCount,
        Sqe,
        Tail, //
    },
    sys::{
        base::SpinLock,
        block::{
            BlkStatus,
            InFlight,
            Operations,
            Request,
            Started,
            Submissions,
            TimedOut,
            TimeoutVerdict,
            Types, //
        },
        dma::{
            Ring,
            Words, //
        },
        pci::{
            numa,
            Bar,
            ControllerMemory,
            Doorbell,
            Shadows, //
        },
    },
};

use core::mem::offset_of;
use kernel::{
    device::{
        Bound,
        Device, //
    },
    prelude::*,
    static_lock_class,
    sync::{
        Arc,
        SetOnce, //
    }, //
};

/// 64-bit words of a submission queue entry.
const SQE_WORDS: usize = 8;

/// Who decides when a request does not come back. Implemented above: mechanism does not judge.
pub(crate) trait TimeoutPolicy: Send + Sync {
    /// A command is late.
    fn late(&self, command: &dyn Late) -> TimeoutVerdict;

    /// Looks for what nobody tells of: completions without interrupts, a controller that failed.
    fn check(&self);
}

/// Bytes of a cache line.
const LINE: usize = 64;

/// As a field of no size: what comes after it in a `repr(C)` structure begins a cache line.
#[repr(align(64))]
struct LineBegins;

/// A queue pair, as those who submit see it: by cache line, and by who writes to it.
#[repr(C, align(128))]
#[pin_data]
pub(crate) struct Queue<T: Types> {
    // Only read. The first two lines have what each command needs (a small read no more).
    ring: Ring,
    doorbell: Doorbell,
    transfers: Transfers,
    // Written by each submission.
    _submission: [LineBegins; 0],
    #[pin]
    submission: SpinLock<Submission<T>>,
    // Written by each completion, if the queue is polled.
    _polled: [LineBegins; 0],
    /// The completion side of a queue without interrupts, until the hardware is stopped.
    #[pin]
    polled: SpinLock<Option<Completions<T>>>,
    // Hardly ever needed.
    _rest: [LineBegins; 0],
    watchdog: Arc<dyn TimeoutPolicy>,
    /// See [`fallback`].
    fallback: SetOnce<Arc<Self>>,
    completion_ring_address: u64,
    entries: u16,
    id: QueueId,
}

/// What each side writes lies in lines of its own, and there are no more of them than need be.
impl<T: Types> Queue<T> {
    const LAYOUT: () = {
        let written = offset_of!(Self, submission);
        let polled = offset_of!(Self, polled);
        assert!(offset_of!(Self, transfers) + Transfers::HOT <= 2 * LINE);
        assert!(last_line(offset_of!(Self, transfers), size_of::<Transfers>()) < written / LINE);
        assert!(last_line(written, size_of::<SpinLock<Submission<T>>>()) < polled / LINE);
        assert!(
            last_line(polled, size_of::<SpinLock<Option<Completions<T>>>>())
                < offset_of!(Self, watchdog) / LINE
        );
        // A lock that is watched over is larger.
        #[cfg(not(any(CONFIG_DEBUG_SPINLOCK, CONFIG_DEBUG_LOCK_ALLOC)))]
        assert!(size_of::<SpinLock<Submission<T>>>() <= LINE);
    };
}

/// The cache line of the last byte of a field.
const fn last_line(offset: usize, size: usize) -> usize {
    (offset + size - 1) / LINE
}

/// Both sides of a queue pair.
pub(crate) type Pair<T> = (Arc<Queue<T>>, Completions<T>);

/// What a new queue pair is made of.
pub(crate) struct Shape<'a> {
    /// Which one.
    pub(crate) id: QueueId,
    /// Entries of either ring, 2 to 4096.
    pub(crate) entries: u16,
    /// Bytes of the largest transfer.
    pub(crate) max_transfer: u32,
    /// Whether data can be described by SGLs, and from when on that is preferred.
    pub(crate) sgl: Option<SglThreshold>,
    /// Bytes from doorbell to doorbell.
    pub(crate) doorbell_stride: usize,
    /// The shadows of its doorbells, if the controller takes them.
    pub(crate) shadows: Option<&'a Arc<Shadows>>,
    /// The controller's own memory, for the submission rings that fit.
    pub(crate) memory: Option<&'a ControllerMemory>,
}

impl Shape<'_> {
    /// The submission ring, in the controller's memory where there is room for it.
    fn submission_ring(&self, dev: &Device<Bound>) -> Result<Words> {
        let len = usize::from(self.entries) * SQE_WORDS;
        // Queue 1 is the first; the admin queue has no such memory.
        let index = usize::from(self.id.raw()).wrapping_sub(1);
        self.memory
            .and_then(|memory| Words::of_controller(memory, index, len))
            .map_or_else(|| Words::zeroed(dev, len), Ok)
    }
}

impl<T: Types> Queue<T>
where
    T::Pdu: Carrier,
{
    /// Allocates the rings and lists of a queue pair. The device does not know of it yet.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `ENXIO` if the BAR ends before its doorbells.
    pub(crate) fn new(
        dev: &Device<Bound>,
        bar: &Arc<Bar>,
        shape: &Shape<'_>,
        watchdog: Arc<dyn TimeoutPolicy>,
    ) -> Result<Pair<T>> {
        let () = Self::LAYOUT;
        let entries = usize::from(shape.entries);
        // One entry stays free, else a full ring would look like an empty one.
        let tags = shape.entries.saturating_sub(1);
        let (in_flight, reaper) = InFlight::new(tags, numa::of(dev))?;
        let completion_ring = Ring::new(Words::zeroed(dev, entries * CQE_WORDS)?)?;
        let completion_ring_address = completion_ring.address();
        let stride = shape.doorbell_stride;
        let id = shape.id;
        let shadows = shape.shadows;
        let doorbell = |offset| Doorbell::new(bar, regs::DOORBELLS, offset, shadows);
        let queue = Arc::pin_init(
            try_pin_init!(Self {
                ring: Ring::new(shape.submission_ring(dev)?)?,
                doorbell: doorbell(regs::sq_doorbell(id.raw(), stride))?,
                transfers: Transfers::new(dev, tags, shape.max_transfer, shape.sgl)?,
                _submission: [],
                submission <- SpinLock::new(
                    Submission::new(in_flight, shape.entries),
                    c"rnvme_submission",
                    static_lock_class!(),
                ),
                _polled: [],
                polled <- SpinLock::new(None, c"rnvme_polled", static_lock_class!()),
                _rest: [],
                watchdog,
                fallback: SetOnce::new(),
                completion_ring_address,
                entries: shape.entries,
                id,
            }? Error),
            GFP_KERNEL,
        )?;
        let doorbell = doorbell(regs::cq_doorbell(id.raw(), stride))?;
        let completions = Completions::new(
            completion_ring,
            reaper,
            shape.entries,
            doorbell,
            queue.clone(),
        );
        Ok((queue, completions))
    }

    /// Which queue it is.
    pub(crate) fn id(&self) -> QueueId {
        self.id
    }

    /// Entries of either ring.
    pub(crate) fn entries(&self) -> u16 {
        self.entries
    }

    /// Whether the submission ring is in the controller's own memory.
    pub(crate) fn is_in_controller(&self) -> bool {
        self.ring.is_in_controller()
    }

    /// The device's address of the submission ring.
    pub(crate) fn submission_ring(&self) -> u64 {
        self.ring.address()
    }

    /// The device's address of the completion ring.
    pub(crate) fn completion_ring(&self) -> u64 {
        self.completion_ring_address
    }

    /// The device whose queue it is, to log for.
    pub(crate) fn device(&self) -> &Device {
        self.transfers.device()
    }

    /// Lets commands through, or not. When this returns, nothing more is put in flight unless the
    /// gate is open.
    pub(crate) fn set_gate(&self, gate: Gate) {
        self.submission.set_gate(gate);
    }

    /// Whether commands get through.
    pub(crate) fn is_open(&self) -> bool {
        self.gate() == Gate::Open
    }

    fn gate(&self) -> Gate {
        self.submission.gate()
    }

    /// Has a look whether the controller is well, for somebody who waits for a command.
    pub(crate) fn check(&self) {
        self.watchdog.check();
    }

    /// Makes the submission side as it was when it was new: the device forgot the queue.
    pub(crate) fn reset(&self) {
        let mut submission = self.submission.lock();
        submission.tail = Tail::new(self.entries);
        self.ring.clear();
    }

    /// The id of the command in the ring that is the `age`th oldest, as far as can be told: whatever
    /// stands there.
    fn command_id(&self, age: u16) -> CommandId {
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

    /// Maps the data of `rq`: see [`Transfers::map`].
    #[inline(always)]
    pub(crate) fn map(&self, rq: &mut Request<T>) -> Result<Data, BlkStatus> {
        self.transfers.map(rq)
    }

    /// Maps the data of `rq`, if it is plain: see [`Transfers::map_plain`].
    #[inline(always)]
    pub(crate) fn map_plain(&self, rq: &mut Request<T>) -> Option<DataPtr> {
        self.transfers.map_plain(rq)
    }

    /// Maps the data of `rq`, if it is pieces that PRPs can describe: see
    /// [`Transfers::map_pieces`].
    #[inline(always)]
    pub(crate) fn map_pieces(&self, rq: &Request<T>) -> Option<DataPtr> {
        self.transfers.map_pieces(rq)
    }

    /// Says where the ranges of `rq` are: see [`Transfers::ranges`].
    pub(crate) fn ranges(
        &self,
        rq: &mut Request<T>,
        lba_shift: u32,
        count: RangeCount,
    ) -> Result<DataPtr, BlkStatus> {
        self.transfers.ranges(rq, lba_shift, count)
    }

    /// Undoes [`Self::map`]: the device is done with the data, or never got it.
    #[inline(always)]
    pub(crate) fn unmap(&self, rq: &mut Request<T>) {
        self.transfers.unmap(rq);
    }

    /// The request again, its data unmapped.
    #[cold]
    pub(crate) fn take_back(&self, mut rq: Started<T>) -> Started<T> {
        self.unmap(&mut rq);
        rq
    }

    #[inline(always)]
    fn try_submit(&self, rq: Started<T>, command: Sqe, last: bool) -> Result<(), Started<T>> {
        let Some(mut submission) = self.submission.lock_open() else {
            return Err(rq);
        };
        self.put(&mut submission, rq, command, last)
    }

    /// Puts a plug's commands into the ring under one lock, and tells the device once. `each` puts
    /// one; a request that it gives back comes again.
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
            self.ring_doorbell(&mut submission);
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
        // From here on the request may complete at any moment, and is not touched any more.
        let cid = submission.in_flight.arm(rq)?;
        self.write(submission, command.with_cid(cid), last);
        Ok(())
    }

    /// Writes a command that is in flight into the ring.
    #[inline(always)]
    fn write(&self, submission: &mut Submission<T>, command: Sqe, last: bool) {
        let slot = submission.tail.index().wrapping_mul(SQE_WORDS);
        self.ring.write_block(slot, command.words());
        // `Tail` demands it: there are fewer slots than entries (`new`), and each is armed only once.
        submission.tail.advance();
        if last {
            self.ring_doorbell(submission);
        }
    }

    /// Tells the device of commands that were submitted with `last == false`.
    pub(crate) fn commit(&self) {
        let Some(mut submission) = self.submission.lock_open() else {
            return;
        };
        if submission.tail.is_pending() {
            self.ring_doorbell(&mut submission);
        }
    }

    /// The doorbell store is ordered after the stores to the ring: see [`Doorbell::ring`].
    #[inline(always)]
    fn ring_doorbell(&self, submission: &mut Submission<T>) {
        self.doorbell.ring(submission.tail.ring());
    }

    /// A request of the queue is late.
    pub(crate) fn late(&self, rq: &TimedOut<'_, T>) -> TimeoutVerdict {
        self.watchdog.late(&LateCommand { queue: self, rq })
    }
}

impl<T> Queue<T>
where
    T: Operations<Queue = Self>,
    T::Pdu: Carrier,
{
    /// Puts the command of `rq`, whose data is mapped, into the ring and, if it is the last of a
    /// series, tells the device. If the gate is held, the block layer gets the request back to try
    /// again; if it is closed, what becomes of it is [`Operations::turned_away`]'s.
    #[inline(always)]
    pub(crate) fn submit(&self, rq: Started<T>, command: Sqe, last: bool) {
        if let Err(rq) = self.try_submit(rq, command, last) {
            self.turn_away(rq);
        }
    }
}

/// A queue whose lock is held, for one of several commands.
pub(crate) struct Series<'a, T: Types> {
    queue: &'a Queue<T>,
    submission: &'a mut Submission<T>,
}

impl<T: Types> Series<'_, T>
where
    T::Pdu: Carrier,
{
    /// Puts the command of `rq`, whose data is mapped, into the ring.
    ///
    /// # Errors
    ///
    /// Gives the request back, its data unmapped.
    #[inline(always)]
    pub(crate) fn put(self, rq: Started<T>, command: Sqe) -> Result<(), Started<T>> {
        let queue = self.queue;
        queue
            .put(self.submission, rq, command, false)
            .map_err(|rq| queue.take_back(rq))
    }
}
