// SPDX-License-Identifier: GPL-2.0

//! The first creation of the I/O queues: their number, vectors and memory.

use super::{
    super::shared::Shared,
    references,
    shadows_of,
    IoQueues,
    Memory,
    Refused, //
};
use crate::{
    data::SglThreshold,
    io::Io,
    num::{
        u32_as_usize,
        usize_as_u64, //
    },
    nvme::{
        cmb,
        regs,
        CmbLayout,
        QueueId,
        SetNumberOfQueues,
        CMBLOC,
        CMBSTS,
        CMBSZ, //
    },
    policy::{
        QueueCounts,
        Quirks, //
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
            CpuMap,
            Doorbell,
            Shadows, //
        },
    },
};
use core::sync::atomic::AtomicUsize;
use kernel::{
    device::{
        Bound,
        Device, //
    },
    io::Io as _,
    pci,
    prelude::*,
    sync::Arc, //
};

impl Shared {
    /// Creates one I/O queue for each CPU, or as many as controller, vectors, doorbells, memory and
    /// parameters allow. If the controller creates none, it stays for administration.
    ///
    /// # Errors
    ///
    /// What [`IoQueues::check`] returns; `EIO` if the controller does not delete a queue; `ENODEV` if it
    /// was told to stop; `ENOMEM`; what the allocation of vectors returns.
    pub(in crate::controller) fn create_queues(
        self: &Arc<Self>,
        pdev: &pci::Device<Bound>,
    ) -> Result<Arc<IoQueues>> {
        let mut count = self.request_queues()?;
        let memory = Memory {
            shadows: self.shadow_doorbells(pdev, count)?,
            buffer: self.controller_memory(pdev, count)?,
        };
        loop {
            let pairs = self.allocate(pdev, count, &memory)?;
            let queues = Arc::new(self.attach(pdev, pairs, &memory)?, GFP_KERNEL)?;
            let all = queues.queues.len();
            let made = queues.create(all);
            let created = made.queues;
            if created == all {
                self.hardware.open_io(all)?;
                queues.set_coalescing();
                return Ok(queues);
            }
            queues.check(&made)?;
            if created == 0 {
                dev_err!(
                    pdev,
                    "controller creates no I/O queue: no disks; admin commands work, and a reset tries again\n"
                );
                queues.lose_all();
                return Ok(queues);
            }
            // The vectors must be spread over the queues that there are: once more with these.
            count = created.try_into()?;
            let ms = self.admin.timeout();
            let has_leftover = made.refused == Some(Refused::Half);
            if has_leftover || !self.delete_queues(created.try_into()?, ms) {
                // The controller may still write to the rings, which go when it has stopped.
                return Err(EIO);
            }
        }
    }

    /// Requests I/O queues (Number of Queues); returns how many the controller grants.
    fn request_queues(&self) -> Result<u32> {
        let hardware = &self.hardware;
        let stride = hardware.caps().doorbell_stride;
        let fit = regs::queues_that_fit(hardware.bar().len(), stride) - 1;
        let wanted = self
            .params
            .queues_to_ask_for(possible_queues())
            .min(fit.try_into()?);
        let request = SetNumberOfQueues {
            pairs: wanted.try_into()?,
        };
        match self.admin.execute(&request) {
            Ok(granted) => Ok(granted.min(wanted)),
            Err(e) if hardware.is_halted() => Err(e),
            // A controller that refuses says with the first queue that it does not create how many
            // there are.
            Err(_) => Ok(wanted),
        }
    }

    /// Entries of a ring.
    fn entries(&self) -> u16 {
        let caps = self.hardware.caps();
        if self.hardware.quirks().has(Quirks::QDEPTH_ONE) {
            return 2;
        }
        // CAST: the parameter is at most 4095, and so is the smaller.
        self.params.io_queue_depth.min(caps.max_queue_entries) as u16
    }

    /// Attaches vectors and the block layer to `pairs`, which the controller does not know yet.
    fn attach(
        self: &Arc<Self>,
        pdev: &pci::Device<Bound>,
        mut pairs: KVec<Pair<Io>>,
        memory: &Memory,
    ) -> Result<IoQueues> {
        let made = pairs.len().try_into()?;
        let wanted = self.params.wanted();
        // One vector for each queue with interrupts, if there are as many.
        let plan = QueueCounts::plan(made, made, wanted);
        let vectors = self
            .hardware
            .reallocate_vectors(plan.interrupt(), wanted.write)?;
        let served = vectors.count().saturating_sub(1).max(1);
        let counts = QueueCounts::plan(made, served, wanted);
        pairs.truncate(u32_as_usize(counts.total()));
        let queues = references(pairs.iter().map(|(queue, _)| queue))?;
        let dev: &Device<Bound> = pdev.as_ref();
        let map = QueueMap {
            counts,
            cpus: match vectors.count() {
                1 => None,
                _ => Some(CpuMap::new(&vectors, counts)?),
            },
        };
        let entries = self.entries();
        let set = TagSet::new(
            references(queues.iter())?,
            // One entry of a ring stays free.
            entries - 1,
            node(dev),
            self.params.io_timeout_ms(),
            map.clone(),
        )?;
        self.hardware
            .attach_io(&vectors, pairs, set.clone(), &map)?;
        Ok(IoQueues {
            shared: self.clone(),
            set,
            counts,
            entries,
            made: AtomicUsize::new(queues.len()),
            used: AtomicUsize::new(queues.len()),
            queues,
            memory: memory.clone(),
        })
    }

    /// Announces shadow doorbells for `count` I/O queues (Doorbell Buffer Config), if the controller
    /// supports them and a page has room for them. Otherwise the driver writes the registers only.
    ///
    /// Not with the pin: its level stays until the controller knows that the completions were taken.
    /// The controller may read a shadow as late as at its next completion, and until then the
    /// interrupt would repeat.
    fn shadow_doorbells(
        &self,
        pdev: &pci::Device<Bound>,
        count: u32,
    ) -> Result<Option<Arc<Shadows>>> {
        let stride = self.hardware.caps().doorbell_stride;
        let last = regs::cq_doorbell(count.try_into()?, stride);
        if !self.info().doorbell_buffer
            || !Doorbell::has_shadow(regs::DOORBELLS, last)
            || !has_messages(pdev)
        {
            return Ok(None);
        }
        let shadows = Shadows::new(pdev.as_ref())?;
        self.hardware.keep_shadows(shadows.clone());
        let result = self.admin.execute(&shadows_of(&shadows));
        Ok(result.is_ok().then_some(shadows))
    }

    /// The controller memory buffer for the submission rings of `count` queues, if the user wants it
    /// and the controller has one. If it cannot be used, the log says why, and the rings are in host
    /// memory.
    fn controller_memory(
        &self,
        pdev: &pci::Device<Bound>,
        count: u32,
    ) -> Result<Option<Arc<ControllerMemory>>> {
        if !self.params.use_cmb_sqes {
            return Ok(None);
        }
        let bar = self.hardware.bar();
        let caps = self.hardware.caps();
        if caps.cmb_control {
            bar.write_hi_lo(cmb::CMBMSC, cmb::CMBMSC_CRE)?;
        }
        let last = regs::cq_doorbell(count.try_into()?, caps.doorbell_stride);
        let registers_end = usize_as_u64(last) + 4;
        let (location, size) = (bar.read(CMBLOC), bar.read(CMBSZ));
        let layout = CmbLayout::decode(location, size, registers_end, |bar| memory_bar(pdev, bar));
        let layout = match layout {
            Ok(layout) => layout,
            Err(reason) => {
                dev_warn!(pdev, "controller memory buffer: {}\n", reason);
                return Ok(None);
            }
        };
        let memory = match ControllerMemory::map(pdev, bar, layout, caps.cmb_control) {
            Ok(memory) => memory,
            Err(e) => {
                dev_warn!(
                    pdev,
                    "controller memory buffer cannot be mapped: error {}\n",
                    e.to_errno()
                );
                return Ok(None);
            }
        };
        if caps.cmb_control && bar.read(CMBSTS).cbai() != 0 {
            dev_warn!(
                pdev,
                "controller memory buffer: the controller refuses its address\n"
            );
            return Ok(None);
        }
        let memory = Arc::new(memory, GFP_KERNEL)?;
        self.hardware.keep_memory(memory.clone());
        Ok(Some(memory))
    }

    /// Allocates `count` queue pairs; fewer, but at least one, if memory runs out.
    fn allocate(
        &self,
        pdev: &pci::Device<Bound>,
        count: u32,
        memory: &Memory,
    ) -> Result<KVec<Pair<Io>>> {
        let dev: &Device<Bound> = pdev.as_ref();
        let bar = self.hardware.bar();
        let sgl = self
            .info()
            .sgls
            .then_some(SglThreshold(self.params.sgl_threshold));
        let mut pairs = KVec::new();
        for id in 1..=count.max(1) {
            let shape = Shape {
                id: QueueId::new(id.try_into()?),
                entries: self.entries(),
                max_transfer: self.max_transfer(),
                pages: self.admin.pages(),
                doorbell_stride: self.hardware.caps().doorbell_stride,
                sgl,
                shadows: memory.shadows.as_ref(),
                memory: memory.buffer.as_deref(),
            };
            let pair = Queue::new(dev, bar, &shape, self.hardware.clone());
            match pair.and_then(|pair| Ok(pairs.push(pair, GFP_KERNEL)?)) {
                Ok(()) => {}
                Err(e) if pairs.is_empty() => return Err(e),
                Err(_) => {
                    dev_warn!(
                        dev,
                        "out of memory: {} of {} I/O queues only\n",
                        id - 1,
                        count
                    );
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
