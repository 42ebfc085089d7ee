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
//! No memory is written by both halves: submission never touches the completion ring, and
//! completion never takes the submission lock.
//!
//! NVMe Base 2.0, 3.3 (queueing), 4.1 and 4.2 (entries).

// The state that submission changes, behind its gate.
mod submission;
// Submission of commands.
mod submit;
// The completion side.
mod completions;
// Requests of a queue that the controller does not have.
mod fallback;
// Commands whose timeout is over.
mod timeout;
// Queues without interrupts.
mod polled;

pub(crate) use self::{
    completions::Completions,
    fallback::Route,
    submission::Gate,
    submit::Series,
    timeout::{
        TimedOutCommand,
        TimeoutPolicy, //
    }, //
};

use self::{
    completions::CQE_WORDS,
    submission::Submission,
    submit::SQE_WORDS, //
};
use crate::{
    data::{
        Queued,
        SglThreshold,
        Transfers, //
    },
    nvme::{
        regs,
        QueueId, //
    },
    sys::{
        base::SpinLock,
        block::{
            InFlight,
            Types, //
        },
        dma::{
            PagePool,
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

use core::{
    mem::offset_of,
    sync::atomic::AtomicBool, //
};
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

/// Bytes of a cache line.
const LINE: usize = 64;

/// A field without bytes: the next field of a `repr(C)` structure begins a cache line.
#[repr(align(64))]
struct LineBegins;

/// A queue pair as the submitting CPUs share it. Fields are grouped by cache line and by writer.
#[repr(C, align(128))]
#[pin_data]
pub(crate) struct Queue<T: Types> {
    // Never written. Each command reads the first two lines; a small read needs no other.
    ring: Ring,
    transfers: Transfers,
    // Written by each submission.
    _submission: [LineBegins; 0],
    /// LOCK: the tail of the ring and its doorbell, the commands in flight, the gate; inside:
    /// `Seldom::owned`, `PagePool::shelves`, and only locks of the kernel's own (timers, the IOMMU's
    /// address space).
    #[pin]
    submission: SpinLock<Submission<T>>,
    // Written by each completion, if the queue is polled.
    _polled: [LineBegins; 0],
    /// The completion side of a queue without interrupts, until the controller is stopped.
    ///
    /// LOCK: the completion side of a polled queue; inside: `Queue::submission`, and only locks of the
    /// kernel's own.
    #[pin]
    polled: SpinLock<Option<Completions<T>>>,
    // Off the hot path.
    _rest: [LineBegins; 0],
    policy: Arc<dyn TimeoutPolicy>,
    /// Whether the gate is held, for interrupts, which must not take the submission lock.
    held: AtomicBool,
    /// See [`fallback`].
    fallback: SetOnce<Arc<Self>>,
    completion_ring_address: u64,
    entries: u16,
    id: QueueId,
}

/// Each side writes to cache lines of its own, and to as few as possible.
impl<T: Types> Queue<T> {
    const LAYOUT: () = {
        let written = offset_of!(Self, submission);
        let polled = offset_of!(Self, polled);
        assert!(offset_of!(Self, transfers) + Transfers::HOT <= 2 * LINE);
        assert!(last_line(offset_of!(Self, transfers), size_of::<Transfers>()) < written / LINE);
        assert!(last_line(written, size_of::<SpinLock<Submission<T>>>()) < polled / LINE);
        assert!(
            last_line(polled, size_of::<SpinLock<Option<Completions<T>>>>())
                < offset_of!(Self, policy) / LINE
        );
        // Lock debugging makes the lock larger.
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

/// The parameters of a new queue pair.
pub(crate) struct Shape<'a> {
    /// The queue identifier of both queues.
    pub(crate) id: QueueId,
    /// Entries of either ring, 2 to 4096.
    pub(crate) entries: u16,
    /// Bytes of the largest transfer.
    pub(crate) max_transfer: u32,
    /// The pages of all lists of the controller.
    pub(crate) pages: &'a Arc<PagePool>,
    /// From which segment size on SGLs are preferred; `None` if the controller has no SGLs.
    pub(crate) sgl: Option<SglThreshold>,
    /// Bytes between two doorbells (CAP.DSTRD).
    pub(crate) doorbell_stride: usize,
    /// Shadow doorbells, if the controller supports them.
    pub(crate) shadows: Option<&'a Arc<Shadows>>,
    /// The controller memory buffer, for the submission rings that fit.
    pub(crate) memory: Option<&'a ControllerMemory>,
}

impl Shape<'_> {
    /// Allocates the submission ring: in the controller memory buffer, if it fits.
    fn submission_ring(&self, dev: &Device<Bound>) -> Result<Words> {
        let len = usize::from(self.entries) * SQE_WORDS;
        // The buffer begins with the ring of queue 1. The admin queue never uses the buffer.
        let index = usize::from(self.id.raw()).wrapping_sub(1);
        self.memory
            .and_then(|memory| Words::of_controller(memory, index, len))
            .map_or_else(|| Words::zeroed(dev, len), Ok)
    }
}

impl<T: Queued> Queue<T> {
    /// Allocates the rings and lists of a queue pair. The controller has no queue before Create I/O
    /// Completion and Submission Queue.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `ENXIO` if the BAR ends before its doorbells.
    pub(crate) fn new(
        dev: &Device<Bound>,
        bar: &Arc<Bar>,
        shape: &Shape<'_>,
        policy: Arc<dyn TimeoutPolicy>,
    ) -> Result<Pair<T>> {
        let () = Self::LAYOUT;
        let entries = usize::from(shape.entries);
        // One entry stays free: a ring without a free entry would look empty.
        let tags = shape.entries.saturating_sub(1);
        let (in_flight, reaper) = InFlight::new(tags, numa::of(dev))?;
        let completion_ring = Ring::new(Words::zeroed(dev, entries * CQE_WORDS)?)?;
        let completion_ring_address = completion_ring.address();
        let stride = shape.doorbell_stride;
        let id = shape.id;
        let shadows = shape.shadows;
        let doorbell = |offset| Doorbell::new(bar, regs::DOORBELLS, offset, shadows);
        let tail_doorbell = doorbell(regs::sq_doorbell(id.raw(), stride))?;
        let queue = Arc::pin_init(
            try_pin_init!(Self {
                ring: Ring::new(shape.submission_ring(dev)?)?,
                transfers: Transfers::new(dev, shape.pages, tags, shape.max_transfer, shape.sgl)?,
                _submission: [],
                submission <- SpinLock::new(
                    Submission::new(in_flight, tail_doorbell, shape.entries),
                    c"rnvme_submission",
                    static_lock_class!(),
                ),
                _polled: [],
                polled <- SpinLock::new(None, c"rnvme_polled", static_lock_class!()),
                _rest: [],
                policy,
                held: AtomicBool::new(false),
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

    /// The queue identifier.
    pub(crate) fn id(&self) -> QueueId {
        self.id
    }

    /// Whether the submission doorbell uses its shadow from now on, if there is one. The controller
    /// must not know the queue.
    pub(crate) fn use_shadow(&self, is_used: bool) {
        self.submission.lock().doorbell.use_shadow(is_used);
    }

    /// Entries of either ring.
    pub(crate) fn entries(&self) -> u16 {
        self.entries
    }

    /// Whether the submission ring is in the controller memory buffer.
    pub(crate) fn is_in_controller(&self) -> bool {
        self.ring.is_in_controller()
    }

    /// The bus address of the submission ring.
    pub(crate) fn submission_ring(&self) -> u64 {
        self.ring.address()
    }

    /// The bus address of the completion ring.
    pub(crate) fn completion_ring(&self) -> u64 {
        self.completion_ring_address
    }

    /// The PCI device, for log lines.
    pub(crate) fn device(&self) -> &Device {
        self.transfers.device()
    }

    /// Maps and unmaps the data of the queue's requests.
    #[inline(always)]
    pub(crate) fn data(&self) -> &Transfers {
        &self.transfers
    }
}
