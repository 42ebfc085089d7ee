// SPDX-License-Identifier: GPL-2.0

//! The I/O queues of a controller: how many there are, where they are, and the commands that
//! create and delete them.

use super::hardware::Hardware;
use crate::{
    admin::AdminQueue,
    data::SglThreshold,
    io::Io,
    nvme::{
        cmb,
        regs,
        CmbLayout,
        ControllerInfo,
        CreateIoCq,
        CreateIoSq,
        DeleteIoCq,
        DeleteIoSq,
        DisableCoalescing,
        DoorbellBufferConfig,
        QueueId,
        SetInterruptCoalescing,
        SetNumberOfQueues,
        CMBLOC,
        CMBSTS,
        CMBSZ, //
    },
    policy::{
        Params,
        QueueCounts, //
    },
    queue::{
        Pair,
        Queue,
        Shape, //
    },
    sys::{
        block::{
            possible_queues,
            QueueMap,
            TagSet, //
        },
        pci::{
            has_messages,
            memory_bar,
            node,
            ControllerMemory,
            Doorbell,
            Shadows, //
        },
    },
};
use core::sync::atomic::{
    AtomicUsize,
    Ordering::Relaxed, //
};
use kernel::{
    device::{
        Bound,
        Device, //
    },
    io::Io as _,
    pci,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    }, //
};

/// What I/O queues are made from.
pub(super) struct Plan<'a> {
    /// The device.
    pub(super) pdev: &'a pci::Device<Bound>,
    /// To ask and tell the controller.
    pub(super) admin: &'a AdminQueue,
    /// Its registers and interrupts.
    pub(super) hardware: &'a Arc<Hardware>,
    /// What the user wants.
    pub(super) params: &'a Params,
    /// What the controller says.
    pub(super) info: &'a ControllerInfo,
    /// Bytes of the largest transfer.
    pub(super) max_transfer: u32,
}

/// I/O queues that the controller knows.
pub(super) struct IoQueues {
    /// blk-mq's side of them.
    pub(super) set: Arc<TagSet<Io>>,
    /// How many there are of each kind.
    pub(super) counts: QueueCounts,
    /// Entries of a ring.
    pub(super) entries: u16,
    queues: KVec<Arc<Queue<Io>>>,
    /// Whether all share one vector.
    shared: bool,
    /// How many of them the controller has: fewer if it has lost some.
    made: AtomicUsize,
    /// How many of them the block layer uses.
    used: AtomicUsize,
    shadows: Option<Arc<Shadows>>,
    memory: Option<Arc<ControllerMemory>>,
    /// Whose vectors the queues are mapped by, if each has its own.
    vectors: Option<ARef<Device>>,
}

/// More references to queues.
fn references<'a>(
    queues: impl ExactSizeIterator<Item = &'a Arc<Queue<Io>>>,
) -> Result<KVec<Arc<Queue<Io>>>> {
    let mut more = KVec::with_capacity(queues.len(), GFP_KERNEL)?;
    for queue in queues {
        more.push(queue.clone(), GFP_KERNEL)?;
    }
    Ok(more)
}

impl Plan<'_> {
    /// Makes as many I/O queues as there are CPUs, or as controller, vectors, doorbells, memory
    /// and parameters allow; at least one.
    ///
    /// # Errors
    ///
    /// `EIO` if the controller does not create even one; `ENOMEM`; what the allocation of vectors
    /// returns.
    pub(super) fn create(&self) -> Result<IoQueues> {
        let hardware = self.hardware;
        let caps = hardware.caps();
        let fit = regs::queues_that_fit(hardware.bar().len(), caps.doorbell_stride) - 1;
        let wanted = self
            .params
            .queues_to_ask_for(possible_queues())
            .min(fit.try_into()?);
        let ask = SetNumberOfQueues {
            pairs: wanted.try_into()?,
        };
        let mut count = self.admin.execute(&ask)?.min(wanted);
        // CAST: the parameter is at most 4095, and so is the smaller.
        let entries = self.params.io_queue_depth.min(caps.max_queue_entries) as u16;
        let shadows = self.shadow_doorbells(count)?;
        let memory = self.controller_memory(count)?;
        loop {
            let mut pairs = self.allocate(count, entries, shadows.as_ref(), memory.as_deref())?;
            let made = pairs.len().try_into()?;
            let wanted = self.params.wanted();
            // As many vectors as there will be queues with interrupts, if there are as many.
            let plan = QueueCounts::plan(made, made, wanted);
            let vectors = hardware.reallocate_vectors(plan.interrupt(), wanted.write)?;
            // Each queue with interrupts has a vector of its own, or all share one.
            let shared = vectors.count() == 1;
            let served = vectors.count().saturating_sub(1).max(1);
            let counts = QueueCounts::plan(made, served, wanted);
            // CAST: u32 to usize widens.
            pairs.truncate(counts.total() as usize);
            let queues = references(pairs.iter().map(|(queue, _)| queue))?;
            hardware.attach_io(&vectors, pairs, counts.interrupt())?;
            let dev: &Device = self.pdev.as_ref();
            let vectors_of: Option<ARef<Device>> = (!shared).then(|| dev.into());
            let for_set = references(queues.iter())?;
            let made = IoQueues {
                set: self.tag_set(for_set, entries, counts, vectors_of.clone())?,
                counts,
                entries,
                made: AtomicUsize::new(queues.len()),
                used: AtomicUsize::new(queues.len()),
                queues,
                shared,
                shadows: shadows.clone(),
                memory: memory.clone(),
                vectors: vectors_of,
            };
            let created = made.announce(self.admin, hardware, made.queues.len());
            if created == made.queues.len() {
                made.set_coalescing(self.admin, self.params);
                return Ok(made);
            }
            if created == 0 {
                dev_err!(self.pdev, "controller refuses to create an I/O queue\n");
                return Err(EIO);
            }
            // The vectors must be spread over the queues that there are: once more with these.
            count = created.try_into()?;
            if !delete(self.admin, hardware, created.try_into()?) {
                // It may still write to them: they go when it has stopped.
                return Err(EIO);
            }
        }
    }

    fn tag_set(
        &self,
        queues: KVec<Arc<Queue<Io>>>,
        entries: u16,
        counts: QueueCounts,
        vectors: Option<ARef<Device>>,
    ) -> Result<Arc<TagSet<Io>>> {
        let dev: &Device<Bound> = self.pdev.as_ref();
        let map = QueueMap { counts, vectors };
        // One entry of a ring stays free.
        let depth = entries - 1;
        TagSet::new(queues, depth, node(dev), self.params.io_timeout_ms(), map)
    }

    /// Announces shadow doorbells for `count` I/O queues, if the controller takes them and a page
    /// has room for them. Without them the registers do.
    ///
    /// Not with the pin's interrupt: its level stays until the controller knows that completions
    /// were taken, and it may look at a shadow no sooner than at its next completion. Until then
    /// the interrupt would come again and again.
    fn shadow_doorbells(&self, count: u32) -> Result<Option<Arc<Shadows>>> {
        let stride = self.hardware.caps().doorbell_stride;
        let last = regs::cq_doorbell(count.try_into()?, stride);
        if !self.info.doorbell_buffer
            || !Doorbell::has_shadow(regs::DOORBELLS, last)
            || !has_messages(self.pdev)
        {
            return Ok(None);
        }
        let shadows = Shadows::new(self.pdev.as_ref())?;
        let config = DoorbellBufferConfig {
            doorbells: shadows.doorbells(),
            events: shadows.events(),
        };
        self.hardware.keep_shadows(shadows.clone());
        Ok(self.admin.execute(&config).is_ok().then_some(shadows))
    }

    /// The controller's own memory for the submission rings of `count` queues, if it is wanted and
    /// there. What keeps it from being used is said in the log; host memory does as well.
    fn controller_memory(&self, count: u32) -> Result<Option<Arc<ControllerMemory>>> {
        if !self.params.use_cmb_sqes {
            return Ok(None);
        }
        let bar = self.hardware.bar();
        let caps = self.hardware.caps();
        if caps.cmb_control {
            bar.write_hi_lo(cmb::CMBMSC, cmb::CMBMSC_CRE)?;
        }
        let last = regs::cq_doorbell(count.try_into()?, caps.doorbell_stride);
        // CAST: usize to u64 is lossless on 64-bit machines.
        let registers_end = last as u64 + 4;
        let (location, size) = (bar.read(CMBLOC), bar.read(CMBSZ));
        let layout = CmbLayout::decode(location, size, registers_end, |bar| {
            memory_bar(self.pdev, bar)
        });
        let layout = match layout {
            Ok(layout) => layout,
            Err(reason) => {
                dev_warn!(self.pdev, "controller memory buffer: {}\n", reason);
                return Ok(None);
            }
        };
        let memory = match ControllerMemory::map(self.pdev, bar, layout, caps.cmb_control) {
            Ok(memory) => memory,
            Err(e) => {
                dev_warn!(
                    self.pdev,
                    "controller memory buffer cannot be mapped: error {}\n",
                    e.to_errno()
                );
                return Ok(None);
            }
        };
        if caps.cmb_control && bar.read(CMBSTS).cbai() != 0 {
            dev_warn!(
                self.pdev,
                "controller memory buffer: its address is refused\n"
            );
            return Ok(None);
        }
        let memory = Arc::new(memory, GFP_KERNEL)?;
        self.hardware.keep_memory(memory.clone());
        Ok(Some(memory))
    }

    /// Allocates `count` queue pairs; fewer, but at least one, if memory is short.
    fn allocate(
        &self,
        count: u32,
        entries: u16,
        shadows: Option<&Arc<Shadows>>,
        memory: Option<&ControllerMemory>,
    ) -> Result<KVec<Pair<Io>>> {
        let dev: &Device<Bound> = self.pdev.as_ref();
        let bar = self.hardware.bar();
        let sgl = self
            .info
            .sgls
            .then_some(SglThreshold(self.params.sgl_threshold));
        let mut pairs = KVec::new();
        for id in 1..=count.max(1) {
            let shape = Shape {
                id: QueueId::new(id.try_into()?),
                entries,
                max_transfer: self.max_transfer,
                doorbell_stride: self.hardware.caps().doorbell_stride,
                sgl,
                shadows,
                memory,
            };
            let pair = Queue::new(dev, bar, &shape, self.hardware.clone());
            match pair.and_then(|pair| Ok(pairs.push(pair, GFP_KERNEL)?)) {
                Ok(()) => {}
                Err(e) if pairs.is_empty() => return Err(e),
                Err(_) => {
                    dev_warn!(dev, "memory for {} of {} I/O queues only\n", id - 1, count);
                    break;
                }
            }
        }
        if let Some(((first, _), others)) = pairs.split_first() {
            for (queue, _) in others {
                queue.set_fallback(first);
            }
        }
        Ok(pairs)
    }
}

impl IoQueues {
    /// How many have their submission ring in the controller's memory.
    pub(super) fn in_controller(&self) -> usize {
        self.queues.iter().filter(|q| q.is_in_controller()).count()
    }

    /// Tells the controller of the first `count` queues, in order; returns how many it took.
    fn announce(&self, admin: &AdminQueue, hardware: &Hardware, count: usize) -> usize {
        for (index, queue) in self.queues.iter().take(count).enumerate() {
            let id = queue.id();
            let own = if self.shared { 0 } else { id.raw() };
            let cq = CreateIoCq {
                id,
                entries: queue.entries(),
                ring: queue.completion_ring(),
                vector: (u32::from(id.raw()) <= self.counts.interrupt()).then_some(own),
            };
            if admin.execute(&cq).is_err() {
                return index;
            }
            let sq = CreateIoSq {
                id,
                entries: queue.entries(),
                ring: queue.submission_ring(),
                cq: id,
            };
            if admin.execute(&sq).is_err() {
                let _ = admin.execute(&DeleteIoCq(id));
                return index;
            }
            if hardware.open(queue).is_err() {
                return index;
            }
        }
        count.min(self.queues.len())
    }

    /// Makes the queues once more in a controller that was brought up again, as many as it takes:
    /// see [`Self::use_made`].
    ///
    /// # Errors
    ///
    /// What [`AdminQueue::execute`] returns, if it refuses what it must not refuse; `EIO` if it does
    /// not answer.
    pub(super) fn announce_again(
        &self,
        admin: &AdminQueue,
        hardware: &Hardware,
        params: &Params,
    ) -> Result {
        let ask = SetNumberOfQueues {
            pairs: self.queues.len().try_into()?,
        };
        // CAST: u32 to usize widens.
        let granted = admin.execute(&ask)? as usize;
        if let Some(shadows) = &self.shadows {
            admin.execute(&DoorbellBufferConfig {
                doorbells: shadows.doorbells(),
                events: shadows.events(),
            })?;
        }
        if let Some(memory) = &self.memory {
            memory.tell()?;
        }
        let made = self.announce(admin, hardware, granted.min(self.queues.len()));
        if hardware.is_halted() {
            // It did not refuse, but did not answer.
            return Err(EIO);
        }
        for queue in self.queues.iter().skip(made) {
            hardware.close_queue(queue);
        }
        self.made.store(made, Relaxed);
        self.set_coalescing(admin, params);
        Ok(())
    }

    /// Has the block layer use the queues that the controller has now, and no others; returns how
    /// many those are, if they are others than before. Waits for I/O; what is on its way to a
    /// queue that was lost goes through another.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: then it uses those that it did.
    pub(super) fn use_made(&self) -> Result<Option<usize>> {
        let made = self.made.load(Relaxed);
        if made == self.used.swap(made, Relaxed) {
            return Ok(None);
        }
        if made > 0 {
            self.update(made).inspect_err(|_| {
                // Another scan tries again.
                self.used.store(0, Relaxed);
            })?;
        }
        Ok(Some(made))
    }

    fn update(&self, made: usize) -> Result {
        let queues = references(self.queues.iter().take(made))?;
        let counts = self.counts.first(made.try_into()?);
        // The vectors of those that are lost would leave CPUs without a queue.
        let vectors = self.vectors.clone().filter(|_| made == self.queues.len());
        self.set
            .update_queues(queues, QueueMap { counts, vectors })?;
        Ok(())
    }

    /// Has the controller wait for more completions before it interrupts, where that is wanted. One
    /// that refuses does not wait; the log has a line.
    fn set_coalescing(&self, admin: &AdminQueue, params: &Params) {
        let Some((time, entries)) = params.coalescing() else {
            return;
        };
        // Admin commands come one at a time: nothing is worth waiting for. First, so that it never
        // happens; not at all if it would go for I/O queues, too.
        if !self.shared {
            let _ = admin.execute(&DisableCoalescing { vector: 0 });
        }
        let _ = admin.execute(&SetInterruptCoalescing { time, entries });
    }

    /// Deletes all of them: see [`delete`].
    pub(super) fn delete(&self, admin: &AdminQueue, hardware: &Hardware) {
        // CAST: ids have 16 bits. What it does not delete goes when it is disabled.
        let _ = delete(admin, hardware, self.queues.len() as u16);
    }
}

/// Deletes I/O queues 1 to `count`, as far as the controller answers: what it does not delete now
/// goes when it is disabled. Returns whether it deleted all.
pub(super) fn delete(admin: &AdminQueue, hardware: &Hardware, count: u16) -> bool {
    let mut all = true;
    for id in 1..=count {
        if hardware.is_halted() {
            return false;
        }
        let id = QueueId::new(id);
        all &= admin.execute(&DeleteIoSq(id)).is_ok();
        all &= admin.execute(&DeleteIoCq(id)).is_ok();
    }
    all
}
