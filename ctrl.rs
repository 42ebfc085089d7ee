// SPDX-License-Identifier: GPL-2.0

//! A controller from probe to unbind: bring-up in typed steps, and everything it owns, in the
//! order in which it has to go.
//!
//! [`Reset`] (registers mapped, controller disabled) → [`Enabled`] (admin queue live) →
//! [`Controller`] (I/O queues and disks). A step that fails drops what the steps before it made.

use crate::{
    admin::{
        self,
        AdminQueue, //
    },
    counts::QueueCounts,
    instance::Instance,
    io::Io,
    ns::{
        Namespace,
        Scanner, //
    },
    params::Params,
    queue::{
        Pair,
        Queue,
        Shape, //
    },
    recovery::Hardware,
    regs::{
        self,
        Capabilities,
        AQA,
        CC,
        CSTS,
        VS, //
    },
    retry::RetryPolicy,
    spec::{
        command::{
            CreateIoCq,
            CreateIoSq,
            DeleteIoCq,
            DeleteIoSq,
            DoorbellBufferConfig,
            Identify,
            SetHostBehavior,
            SetNumberOfQueues, //
        },
        identify::ControllerInfo,
        ids::QueueId, //
    },
    sys::{
        blk::{
            possible_queues,
            QueueMap,
            TagSet, //
        },
        class::ClassDevice,
        dma,
        doorbell::{
            Doorbell,
            Shadows, //
        },
        mmio::Bar,
        pci::{
            is_present,
            node,
            Claim, //
        },
    },
    transfer::SglThreshold, //
};
use kernel::{
    device::{
        Bound,
        Core,
        Device, //
    },
    io::Io as _,
    pci,
    prelude::*,
    sync::Arc,
    time::Delta, //
};

/// Bytes of the largest transfer that the driver offers, whatever MDTS allows: as Linux.
const MAX_TRANSFER: u32 = 8 << 20;

/// Stops the hardware when dropped: before the memory that it works on goes.
struct Running(Arc<Hardware>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Registers mapped and understood, the controller disabled.
struct Reset {
    hardware: Arc<Hardware>,
    claim: Claim,
    instance: Instance,
}

/// The controller answers admin commands.
struct Enabled {
    admin: AdminQueue,
    running: Running,
    claim: Claim,
    instance: Instance,
}

/// A controller at work. Its fields are dropped in this order.
pub(crate) struct Controller {
    /// First: their I/O ends while everything still works.
    disks: KVec<Namespace>,
    /// After the disks, which hold it too.
    io: Arc<TagSet<Io>>,
    /// How many I/O queues the controller has.
    queues: u16,
    /// After the disks, whose parent it is.
    class: ClassDevice,
    /// After everything that gives commands.
    admin: AdminQueue,
    /// After the queues in front of it: nobody waits for it any more.
    running: Running,
    /// After the hardware has stopped: takes bus mastering and BAR 0 from the device.
    _claim: Claim,
    /// Last: the number is free again when nothing bears it.
    _instance: Instance,
}

impl Reset {
    fn new(pdev: &pci::Device<Core<'_>>) -> Result<Self> {
        dma::set_up(pdev, regs::PAGE_SIZE)?;
        let claim = Claim::new(pdev)?;
        let bar = Bar::map(pdev)?;
        let caps = Capabilities::decode(bar.read_lo_hi(regs::CAP)?).map_err(|e| {
            dev_err!(pdev, "{}\n", e);
            ENODEV
        })?;
        if regs::queues_that_fit(bar.len(), caps.doorbell_stride) < 2 {
            dev_err!(
                pdev,
                "BAR 0 of {} bytes has no room for the doorbells of one I/O queue, {} bytes apart\n",
                bar.len(),
                caps.doorbell_stride
            );
            return Err(ENXIO);
        }
        let instance = Instance::allocate()?;
        let bar = Arc::new(bar, GFP_KERNEL)?;
        let hardware = Hardware::new(pdev, bar, caps, instance.number())?;
        // Firmware may have left it running, or a reset may still be under way: its queues can be
        // replaced only once it is ready for neither.
        hardware.disable().inspect_err(|_| {
            dev_err!(
                pdev,
                "controller cannot be disabled: CSTS {:#x}\n",
                hardware.bar().read(CSTS).into_raw()
            );
        })?;
        Ok(Self {
            hardware,
            claim,
            instance,
        })
    }

    fn enable(self, dev: &Device<Bound>, params: &Params) -> Result<Enabled> {
        let Self {
            hardware,
            claim,
            instance,
        } = self;
        let shape = Shape {
            id: QueueId::ADMIN,
            entries: admin::ENTRIES,
            max_transfer: admin::MAX_TRANSFER,
            doorbell_stride: hardware.caps().doorbell_stride,
            sgl: None,
            shadows: None,
        };
        let (queue, completions) = Queue::new(dev, hardware.bar(), &shape, hardware.clone())?;
        // From here on the hardware is stopped before the queue goes.
        let running = Running(hardware);
        let hardware = &running.0;
        hardware.attach_admin(&queue, completions)?;

        let bar = hardware.bar();
        let last = admin::ENTRIES - 1;
        bar.write_reg(AQA::zeroed().try_with_asqs_z(last)?.try_with_acqs_z(last)?);
        bar.write_lo_hi(regs::ASQ, queue.submission_ring())?;
        bar.write_lo_hi(regs::ACQ, queue.completion_ring())?;
        // Entries of 64 (2^6) and 16 (2^4) bytes, pages of 4 KiB (MPS 0), the NVM command set.
        hardware.enable(
            CC::zeroed()
                .with_const_iosqes::<6>()
                .with_const_iocqes::<4>(),
        )?;
        queue.enable();
        let admin = AdminQueue::new(queue, params.admin_timeout_ms())?;
        Ok(Enabled {
            admin,
            running,
            claim,
            instance,
        })
    }
}

impl Enabled {
    fn identify(&self, dev: &Device) -> Result<ControllerInfo> {
        let page = self.admin.identify(&Identify::controller())?;
        ControllerInfo::decode(page.get()?).map_err(|e| {
            dev_err!(dev, "{}\n", e);
            ENODEV
        })
    }

    fn start(self, pdev: &pci::Device<Core<'_>>, params: &Params) -> Result<Controller> {
        let dev: &Device<Bound> = pdev.as_ref();
        let info = self.identify(dev)?;
        self.running.0.set_shutdown_time(info.rtd3e_us);
        if info.retry_delays.get(1) != 0 {
            // A controller that refuses states none; the log has a line.
            let _ = self.admin.send(&SetHostBehavior, &SetHostBehavior::DATA);
        }
        let version = self.running.0.bar().read(VS);
        // CAST: at most 8 MiB.
        let mappable = dma::max_mapping(dev).min(MAX_TRANSFER as usize) as u32;
        let max_transfer = info
            .max_transfer
            .map_or(mappable, |mdts| mdts.min(mappable));
        let class = ClassDevice::new(dev, self.instance.number())?;
        let (io, queues, depth) = self.create_queues(dev, params, &info, max_transfer)?;
        dev_info!(
            pdev,
            "rnvme{}: {}, serial {}, firmware {}, NVMe {}.{}, {}/{}/{} default/read/poll queues of {}, transfers up to {} KiB\n",
            self.instance.number(),
            info.model,
            info.serial,
            info.firmware,
            version.mjr().get(),
            version.mnr().get(),
            queues.default,
            queues.read,
            queues.poll,
            depth,
            max_transfer >> 10
        );
        let Self {
            admin,
            running,
            claim,
            instance,
        } = self;
        let mut controller = Controller {
            disks: KVec::new(),
            io,
            queues: queues.total().try_into()?,
            class,
            admin,
            running,
            _claim: claim,
            _instance: instance,
        };
        controller.disks = Scanner {
            hardware: &controller.running.0,
            admin: &controller.admin,
            set: &controller.io,
            parent: controller.class.device(),
            instance: controller._instance.number(),
            info: &info,
            max_transfer,
            retries: RetryPolicy::new(params.retries(), info.retry_delays),
        }
        .scan()?;
        Ok(controller)
    }

    /// Makes as many I/O queues as there are CPUs, or as controller, vectors, doorbells, memory
    /// and parameters allow; at least one. Returns their tag set, their number and their depth.
    fn create_queues(
        &self,
        dev: &Device<Bound>,
        params: &Params,
        info: &ControllerInfo,
        max_transfer: u32,
    ) -> Result<(Arc<TagSet<Io>>, QueueCounts, u16)> {
        let hardware = &self.running.0;
        let caps = hardware.caps();
        let fit = regs::queues_that_fit(hardware.bar().len(), caps.doorbell_stride) - 1;
        let wanted = params
            .queues_to_ask_for(possible_queues())
            .min(fit.try_into()?);
        let ask = SetNumberOfQueues {
            pairs: wanted.try_into()?,
        };
        let mut count = self.admin.execute(&ask)?.min(wanted);
        // CAST: the parameter is at most 4095, and so is the smaller.
        let entries = params.io_queue_depth.min(caps.max_queue_entries) as u16;
        let shadows = self.shadow_doorbells(dev, info, count)?;
        let sgl = info.sgls.then_some(SglThreshold(params.sgl_threshold));
        loop {
            let mut pairs =
                self.allocate(dev, count, entries, max_transfer, sgl, shadows.as_ref())?;
            let made = pairs.len().try_into()?;
            let wanted = params.wanted();
            // As many vectors as there will be queues with interrupts, if there are as many.
            let plan = QueueCounts::plan(made, made, wanted);
            let vectors = hardware.reallocate_vectors(plan.interrupt(), wanted.write)?;
            // Each queue with interrupts has a vector of its own, or all share one.
            let shared = vectors.count() == 1;
            let served = vectors.count().saturating_sub(1).max(1);
            let counts = QueueCounts::plan(made, served, wanted);
            // CAST: u32 to usize widens.
            pairs.truncate(counts.total() as usize);
            let mut queues = KVec::with_capacity(pairs.len(), GFP_KERNEL)?;
            for (queue, _) in &pairs {
                queues.push(queue.clone(), GFP_KERNEL)?;
            }
            hardware.attach_io(&vectors, pairs, counts.interrupt())?;
            let created = self.announce(&queues, shared, counts.interrupt());
            if created == queues.len() {
                let normal: &Device = dev;
                let map = QueueMap {
                    counts,
                    vectors: (!shared).then(|| normal.into()),
                };
                let node = node(dev);
                // One entry of a ring stays free.
                let set = TagSet::new(queues, entries - 1, node, params.io_timeout_ms(), map)?;
                return Ok((set, counts, entries));
            }
            if created == 0 {
                dev_err!(dev, "controller refuses to create an I/O queue\n");
                return Err(EIO);
            }
            // The vectors must be spread over the queues that there are: once more with these.
            count = created.try_into()?;
            delete_queues(&self.admin, hardware, created.try_into()?);
        }
    }

    /// Announces shadow doorbells for `count` I/O queues, if the controller takes them and a page
    /// has room for them. Without them the registers do.
    fn shadow_doorbells(
        &self,
        dev: &Device<Bound>,
        info: &ControllerInfo,
        count: u32,
    ) -> Result<Option<Arc<Shadows>>> {
        let stride = self.running.0.caps().doorbell_stride;
        let last = regs::cq_doorbell(count.try_into()?, stride);
        if !info.doorbell_buffer || !Doorbell::has_shadow(regs::DOORBELLS, last) {
            return Ok(None);
        }
        let shadows = Shadows::new(dev)?;
        let config = DoorbellBufferConfig {
            doorbells: shadows.doorbells(),
            events: shadows.events(),
        };
        self.running.0.keep_shadows(shadows.clone());
        Ok(self.admin.execute(&config).is_ok().then_some(shadows))
    }

    /// Allocates `count` queue pairs; fewer, but at least one, if memory is short.
    fn allocate(
        &self,
        dev: &Device<Bound>,
        count: u32,
        entries: u16,
        max_transfer: u32,
        sgl: Option<SglThreshold>,
        shadows: Option<&Arc<Shadows>>,
    ) -> Result<KVec<Pair<Io>>> {
        let hardware = &self.running.0;
        let mut pairs = KVec::new();
        for id in 1..=count.max(1) {
            let shape = Shape {
                id: QueueId::new(id.try_into()?),
                entries,
                max_transfer,
                doorbell_stride: hardware.caps().doorbell_stride,
                sgl,
                shadows: shadows.cloned(),
            };
            let pair = Queue::new(dev, hardware.bar(), &shape, hardware.clone());
            match pair.and_then(|pair| Ok(pairs.push(pair, GFP_KERNEL)?)) {
                Ok(()) => {}
                Err(e) if pairs.is_empty() => return Err(e),
                Err(_) => {
                    dev_warn!(dev, "memory for {} of {} I/O queues only\n", id - 1, count);
                    break;
                }
            }
        }
        Ok(pairs)
    }

    /// Tells the controller of the queues, in order, the first `interrupt` of which have interrupts;
    /// returns how many it took.
    fn announce(&self, queues: &[Arc<Queue<Io>>], shared: bool, interrupt: u32) -> usize {
        for (index, queue) in queues.iter().enumerate() {
            let id = queue.id();
            let cq = CreateIoCq {
                id,
                entries: queue.entries(),
                ring: queue.completion_ring(),
                vector: (u32::from(id.raw()) <= interrupt).then_some(if shared {
                    0
                } else {
                    id.raw()
                }),
            };
            if self.admin.execute(&cq).is_err() {
                return index;
            }
            let sq = CreateIoSq {
                id,
                entries: queue.entries(),
                ring: queue.submission_ring(),
                cq: id,
            };
            if self.admin.execute(&sq).is_err() {
                let _ = self.admin.execute(&DeleteIoCq(id));
                return index;
            }
            queue.enable();
        }
        queues.len()
    }
}

impl Controller {
    /// Brings the controller up and announces its disks.
    ///
    /// # Errors
    ///
    /// The log says in one line what was wrong; nothing is left behind.
    pub(crate) fn start(pdev: &pci::Device<Core<'_>>, params: &Params) -> Result<Self> {
        Reset::new(pdev)?
            .enable(pdev.as_ref(), params)?
            .start(pdev, params)
    }

    /// Ends I/O, removes the disks and stops the controller; all of it also if it is gone.
    pub(crate) fn remove(mut self, pdev: &pci::Device) {
        if !is_present(pdev) {
            self.running.0.fail();
        }
        self.disks = KVec::new();
        delete_queues(&self.admin, &self.running.0, self.queues);
    }

    /// Lets the I/O in flight end, accepts no more and stops the controller: the system goes down.
    pub(crate) fn shutdown(&self) {
        self.io.quiesce();
        // TIMEOUT: as long as Linux waits for the shutdown itself; what has not ended by then is
        // cancelled.
        let _ = self.running.0.drain(Delta::from_secs(5));
        self.running.0.stop();
        // What comes now fails at once, instead of waiting for ever.
        self.io.unquiesce();
    }
}

/// Deletes I/O queues 1 to `count`, as far as the controller answers: what it does not delete now
/// goes when it is disabled.
fn delete_queues(admin: &AdminQueue, hardware: &Hardware, count: u16) {
    for id in 1..=count {
        if !hardware.is_live() {
            return;
        }
        let id = QueueId::new(id);
        let _ = admin.execute(&DeleteIoSq(id));
        let _ = admin.execute(&DeleteIoCq(id));
    }
}
