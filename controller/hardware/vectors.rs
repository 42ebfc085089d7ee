// SPDX-License-Identifier: GPL-2.0

//! The interrupt vectors of a controller: which handlers have lines, and how many vectors there are.
//!
//! The kernel spreads vectors over the CPUs when it allocates them. If all CPUs of a vector are
//! offline, the vector is off. So the vectors are as many as the queues, and are allocated again when
//! a reset has changed the number of queues: each CPU has a queue whose vector interrupts that CPU.

use super::{
    vector_handler::VectorHandler,
    AdminHardware,
    Hardware,
    IoHardware, //
};
use crate::{
    admin::{
        Admin,
        AdminQueue, //
    },
    io::Io,
    policy::{
        QueueCounts,
        Quirks, //
    },
    queue::{
        Completions,
        Pair,
        Queue, //
    },
    sys::{
        block::{
            QueueMap,
            TagSet, //
        },
        pci::{
            box_on,
            CpuMap,
            Line,
            VectorKinds,
            Vectors, //
        },
    },
};
use core::mem::take;
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// The handler of one vector, which has its line or waits for one.
struct VectorSlot {
    line: Option<Line<VectorHandler>>,
    parked: Option<KBox<VectorHandler>>,
}

/// The handlers of all vectors, and how the vectors are shared out.
pub(super) struct Lines {
    /// The admin queue's handler, then one for each I/O queue with interrupts, in the order of the
    /// queues.
    slots: KVec<VectorSlot>,
    /// Whether all queues share the first vector.
    is_shared: bool,
    /// How many I/O queues have a vector of their own.
    queues: u32,
    /// The CPUs that these vectors interrupt.
    cpus: Option<Arc<CpuMap>>,
}

impl Hardware {
    /// Attaches the admin queue, whose commands go through `commands`. [`Self::start`] requests its
    /// vector: a controller that others have left running is stopped before, so that no interrupt of
    /// theirs comes.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn attach_admin(
        &self,
        queue: &Arc<Queue<Admin>>,
        completions: Completions<Admin>,
        commands: &Arc<AdminQueue>,
    ) -> Result {
        let handler = KBox::new(VectorHandler::of_admin(completions)?, GFP_KERNEL)?;
        let mut inner = self.inner.lock();
        inner.lines.add(handler)?;
        inner.admin = Some(AdminHardware {
            queue: queue.clone(),
            commands: commands.clone(),
            shadows: None,
            memory: None,
        });
        Ok(())
    }

    /// Allocates vectors for the admin queue and up to `queues` I/O queues with interrupts, `write`
    /// of them for writes if that is not 0, in place of the present ones. The admin queue has no
    /// interrupt until [`Self::attach_io`]. I/O queues that were attached are dropped: the controller
    /// must not know them any more.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the controller has failed; `ENOMEM`; what the allocation of vectors returns.
    pub(crate) fn reallocate_vectors(&self, queues: u32, write: u32) -> Result<Arc<Vectors>> {
        let (io, vectors) = {
            let mut inner = self.inner.lock();
            if !self.is_coming_up() {
                return Err(ENODEV);
            }
            let vectors = inner.lines.drop_io();
            (inner.io.take(), vectors)
        };
        drop(vectors);
        for queue in io.iter().flat_map(|io| &io.queues) {
            drop(queue.detach_polled());
        }
        self.allocate_vectors(queues, write)
    }

    /// Allocates vectors as [`Self::reallocate_vectors`] does, of the kinds and the number that the
    /// device can use.
    fn allocate_vectors(&self, queues: u32, write: u32) -> Result<Arc<Vectors>> {
        let quirks = self.quirks();
        let count = match quirks.has(Quirks::SINGLE_VECTOR) {
            true => 1,
            false => queues.saturating_add(1),
        };
        let kinds = match quirks.has(Quirks::BROKEN_MSI) {
            true => VectorKinds::NoMsi,
            false => VectorKinds::All,
        };
        Vectors::allocate(&self.registers.pdev, (count, write), kinds, self.threads)
    }

    /// Attaches the I/O queues of `set`, which the controller does not know yet: those with
    /// interrupts get their vectors, the others are polled.
    pub(crate) fn attach_io(
        &self,
        vectors: &Arc<Vectors>,
        pairs: KVec<Pair<Io>>,
        set: Arc<TagSet<Io>>,
        map: &QueueMap,
    ) -> Result {
        let interrupt = map.counts.interrupt();
        let mut queues = KVec::with_capacity(pairs.len(), GFP_KERNEL)?;
        for (queue, _) in &pairs {
            queues.push(queue.clone(), GFP_KERNEL)?;
        }
        let mut inner = self.inner.lock();
        if !self.is_coming_up() {
            return Err(ENODEV);
        }
        // From here on a halt finds the queues, and the end detaches their completion sides.
        inner.io = Some(IoHardware { queues, set });
        inner.lines.is_shared = vectors.count() == 1;
        inner.lines.cpus.clone_from(&map.cpus);
        for (index, (queue, completions)) in (0..).zip(pairs) {
            if index >= interrupt {
                queue.attach_polled(completions);
                continue;
            }
            let handler = VectorHandler::of_queue(completions);
            inner.lines.add(box_on(vectors.node(), handler)?)?;
        }
        inner.lines.share()?;
        inner.lines.serve(vectors, self.number, interrupt)
    }

    /// Allocates the vectors again, if there are not as many as `counts` has queues with interrupts.
    /// Returns how many queues of each kind can have one. The controller must not know any I/O queue.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the controller has failed; `ENOMEM`; what allocating and requesting vectors
    /// returns. The next call tries again.
    pub(crate) fn fit_vectors(&self, counts: QueueCounts) -> Result<QueueCounts> {
        let vectors = {
            let mut inner = self.inner.lock();
            self.check_power(&inner)?;
            if inner.lines.is_shared || inner.lines.queues == counts.interrupt() {
                return Ok(counts);
            }
            inner.lines.park()
        };
        drop(vectors);
        let write = if counts.read > 0 { counts.default } else { 0 };
        let vectors = self.allocate_vectors(counts.interrupt(), write)?;
        let (own, counts) = match vectors.count() - 1 {
            0 => (false, counts),
            few if few < counts.interrupt() => (true, counts.first(few)),
            _ => (true, counts),
        };
        let cpus = match own {
            true => Some(CpuMap::new(&vectors, counts)?),
            false => None,
        };
        let mut inner = self.inner.lock();
        if !self.is_coming_up() {
            return Err(ENODEV);
        }
        inner.lines.is_shared = !own;
        inner.lines.cpus = cpus;
        inner.lines.share()?;
        inner
            .lines
            .serve(&vectors, self.number, counts.interrupt())?;
        Ok(counts)
    }

    /// Whether all queues share one vector.
    pub(crate) fn shares_vector(&self) -> bool {
        self.inner.lock().lines.is_shared
    }

    /// The CPUs that the vectors of the I/O queues interrupt, if each queue with interrupts has one.
    pub(crate) fn cpus(&self) -> Option<Arc<CpuMap>> {
        self.inner.lock().lines.cpus.clone()
    }
}

impl Lines {
    /// No vectors.
    pub(super) const NONE: Self = Self {
        slots: KVec::new(),
        is_shared: false,
        queues: 0,
        cpus: None,
    };

    /// Calls `f` on each vector's handler, which does not run at the same time.
    pub(super) fn for_each(&mut self, mut f: impl FnMut(&mut VectorHandler)) {
        for slot in &mut self.slots {
            if let Some(line) = &mut slot.line {
                line.with_disabled(&mut f);
            }
            if let Some(handler) = &mut slot.parked {
                f(handler);
            }
        }
    }

    /// Frees all lines and calls `f` with each handler.
    pub(super) fn take_all<F: FnMut(KBox<VectorHandler>)>(&mut self, mut f: F) {
        // At the end no reader waits for this disk.
        drop(self.park());
        for handler in take(&mut self.slots)
            .into_iter()
            .filter_map(|slot| slot.parked)
        {
            f(handler);
        }
    }

    /// Whether the admin queue has the only vector, and its line.
    pub(super) fn are_admin_only(&self) -> bool {
        matches!(&*self.slots, [admin] if admin.line.is_some()) && !self.is_shared
    }

    /// Requests the line of the admin queue's handler, the only one.
    ///
    /// # Errors
    ///
    /// See [`Self::serve`].
    pub(super) fn serve_admin(&mut self, vectors: &Arc<Vectors>, number: u32) -> Result {
        self.serve(vectors, number, 0)
    }

    /// Adds a handler, which has no line yet.
    fn add(&mut self, handler: KBox<VectorHandler>) -> Result {
        let slot = VectorSlot {
            line: None,
            parked: Some(handler),
        };
        Ok(self.slots.push(slot, GFP_KERNEL)?)
    }

    /// Frees all lines. The caller drops their vectors, which this returns, without the controller's
    /// lock: to free vectors, the kernel waits for readers of their files in `/proc/irq`, whose buffer
    /// may be in a file on this disk. The watchdog, which needs the lock, ends that.
    #[must_use = "the caller drops the vectors without the lock"]
    fn park(&mut self) -> Option<Arc<Vectors>> {
        self.queues = 0;
        let mut vectors = None;
        for slot in &mut self.slots {
            if let Some(line) = slot.line.take() {
                vectors = Some(line.vectors());
                slot.parked = Some(line.free());
            }
        }
        vectors
    }

    /// Frees all lines, as [`Self::park`] does, and drops all I/O queues.
    fn drop_io(&mut self) -> Option<Arc<Vectors>> {
        let vectors = self.park();
        self.is_shared = false;
        self.cpus = None;
        self.slots.truncate(1);
        self.for_each(VectorHandler::clear);
        vectors
    }

    /// Gives the admin queue's handler all I/O queues, if all queues share its vector. No handler has
    /// a line.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: each handler keeps its queue.
    fn share(&mut self) -> Result {
        let Some((first, others)) = self.slots.split_first_mut() else {
            return Ok(());
        };
        let Some(first) = first.parked.as_mut().filter(|_| self.is_shared) else {
            return Ok(());
        };
        first.reserve(others.len())?;
        for handler in others.iter_mut().filter_map(|slot| slot.parked.as_mut()) {
            first.adopt(handler)?;
        }
        Ok(())
    }

    /// Requests a line for the admin queue's handler and, if each queue has its own vector, for those
    /// of the first `queues` I/O queues.
    ///
    /// # Errors
    ///
    /// As for [`Line::request`]; the handler keeps its queues.
    fn serve(&mut self, vectors: &Arc<Vectors>, number: u32, queues: u32) -> Result {
        let own = if self.is_shared { 0 } else { queues };
        for (index, slot) in (0..=own).zip(self.slots.iter_mut()) {
            let Some(handler) = slot.parked.take() else {
                continue;
            };
            match Line::request(vectors, index, number, index, handler) {
                Ok(line) => slot.line = Some(line),
                Err((e, handler)) => {
                    slot.parked = Some(handler);
                    return Err(e);
                }
            }
        }
        self.queues = own;
        Ok(())
    }
}
