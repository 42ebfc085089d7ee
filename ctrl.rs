// SPDX-License-Identifier: GPL-2.0

//! A controller from probe to unbind: bring-up in typed steps, and everything it owns, in the
//! order in which it has to go.
//!
//! [`Reset`] (registers mapped, controller disabled) → [`Enabled`] (admin queue live) →
//! [`Controller`] (I/O queues and disks). A step that fails drops what the steps before it made.

mod queues;

use crate::{
    admin::{
        self,
        AdminQueue, //
    },
    instance::Instance,
    io::Io,
    ns::{
        Namespace,
        Scanner, //
    },
    params::Params,
    queue::{
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
            Identify,
            SetHostBehavior, //
        },
        identify::{
            ControllerInfo,
            SubsystemName, //
        },
        ids::QueueId, //
    },
    sys::{
        blk::TagSet,
        class::ClassDevice,
        dma,
        mmio::Bar,
        pci::{
            is_present,
            Claim, //
        },
    },
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
    class: ClassDevice<()>,
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
    fn new(pdev: &pci::Device<Core<'_>>, params: &Params) -> Result<Self> {
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
        let threads = params.use_threaded_interrupts != 0;
        let hardware = Hardware::new(pdev, bar, caps, instance.number(), threads)?;
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
            memory: None,
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
    fn identify(&self, dev: &Device) -> Result<(ControllerInfo, Arc<SubsystemName>)> {
        let page = self.admin.identify(&Identify::controller())?;
        let raw = page.get()?;
        let info = ControllerInfo::decode(raw).map_err(|e| {
            dev_err!(dev, "{}\n", e);
            ENODEV
        })?;
        Ok((info, Arc::new(raw.subsystem(), GFP_KERNEL)?))
    }

    fn start(self, pdev: &pci::Device<Core<'_>>, params: &Params) -> Result<Controller> {
        let dev: &Device<Bound> = pdev.as_ref();
        let (info, subsystem) = self.identify(dev)?;
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
        let class = ClassDevice::new(dev, self.instance.number(), Arc::new((), GFP_KERNEL)?, &[])?;
        let io = queues::Plan {
            pdev,
            admin: &self.admin,
            hardware: &self.running.0,
            params,
            info: &info,
            max_transfer,
        }
        .create()?;
        dev_info!(
            pdev,
            "rnvme{}: {}, serial {}, firmware {}, NVMe {}.{}, {}/{}/{} default/read/poll queues of {}, transfers up to {} KiB\n",
            self.instance.number(),
            info.model,
            info.serial,
            info.firmware,
            version.mjr().get(),
            version.mnr().get(),
            io.counts.default,
            io.counts.read,
            io.counts.poll,
            io.entries,
            max_transfer >> 10
        );
        if io.in_controller > 0 {
            dev_info!(
                pdev,
                "{} submission queues are in the controller's memory\n",
                io.in_controller
            );
        }
        let Self {
            admin,
            running,
            claim,
            instance,
        } = self;
        let mut controller = Controller {
            disks: KVec::new(),
            io: io.set,
            queues: io.counts.total().try_into()?,
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
            subsystem,
            max_transfer,
            retries: RetryPolicy::new(params.retries(), info.retry_delays),
        }
        .scan()?;
        Ok(controller)
    }
}

impl Controller {
    /// Brings the controller up and announces its disks.
    ///
    /// # Errors
    ///
    /// The log says in one line what was wrong; nothing is left behind.
    pub(crate) fn start(pdev: &pci::Device<Core<'_>>, params: &Params) -> Result<Self> {
        Reset::new(pdev, params)?
            .enable(pdev.as_ref(), params)?
            .start(pdev, params)
    }

    /// Ends I/O, removes the disks and stops the controller; all of it also if it is gone.
    pub(crate) fn remove(mut self, pdev: &pci::Device) {
        if !is_present(pdev) {
            self.running.0.fail();
        }
        self.disks = KVec::new();
        queues::delete(&self.admin, &self.running.0, self.queues);
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
