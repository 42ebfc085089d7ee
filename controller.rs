// SPDX-License-Identifier: GPL-2.0

//! A controller from probe to unbind: what the host provides for it, in typed steps, and all that it
//! owns, in the order of its drop.
//!
//! [`Reset`] (registers mapped) → [`Attached`] (admin queue) → [`Controller`] (sysfs, jobs). A step that
//! fails drops what the steps before it made. The bring-up follows (`bring_up.rs`). A controller that
//! fails it stays, dead, and is tried again.

// Numbers of controllers.
mod number;
// Registers, interrupts, queues: starting and stopping.
mod hardware;
// The background jobs.
mod jobs;
// What everything that works on a controller shares.
mod shared;
// A disk for each namespace.
mod namespaces;
// The I/O queues.
mod queues;
// Asynchronous events.
mod events;
// What a controller consists of.
mod parts;
// Attributes in sysfs.
mod attributes;
// Bring-up, scan, watchdog.
mod bring_up;

pub(crate) use self::number::{
    release_numbers,
    reserve_number, //
};

use self::{
    attributes::Attributes,
    hardware::{
        read_caps,
        Hardware,
        Identity,
        Rest, //
    },
    jobs::Jobs,
    number::Instance,
    parts::Core, //
};
use crate::{
    admin::{
        self,
        AdminQueue, //
    },
    nvme::{
        regs,
        QueueId, //
    },
    policy::{
        Event,
        Params,
        Quirks, //
    },
    queue::{
        Queue,
        Shape, //
    },
    sys::{
        base::{
            is_machine,
            ClassDevice, //
        },
        dma::{
            self,
            PagePool, //
        },
        pci::{
            is_present,
            Bar,
            Claim,
            DeviceKey,
            SavedConfig, //
        },
    },
};
use kernel::{
    device::{
        Bound,
        Core as CoreContext,
        Device, //
    },
    dma::DmaMask,
    pci,
    prelude::*,
    sync::Arc, //
};

/// Stops the hardware when dropped: before the memory goes that it works on.
struct Running(Arc<Hardware>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dismantle();
    }
}

/// Closes the jobs when dropped: none runs after that.
struct Working(Arc<Jobs>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Registers mapped and decoded; the controller is as others left it.
struct Reset {
    hardware: Arc<Hardware>,
    jobs: Arc<Jobs>,
    claim: Claim,
    instance: Instance,
}

/// The controller has an admin queue, of which it does not know yet.
struct Attached {
    admin: Arc<AdminQueue>,
    running: Running,
    jobs: Arc<Jobs>,
    claim: Claim,
    instance: Instance,
}

/// A controller that is bound. The fields are dropped in this order.
pub(crate) struct Controller {
    /// First: no job works on the rest after that.
    working: Working,
    /// What the jobs and the controller share.
    core: Arc<Core>,
    /// After the disks, whose parent it is.
    class: Arc<ClassDevice<Attributes>>,
    /// After all that submits commands.
    running: Running,
    /// After the hardware has stopped: takes bus mastering and BAR 0 from the device.
    _claim: Claim,
    /// After all that bears the number.
    _instance: Instance,
    /// After the last command: callbacks of posted commands refer to jobs.
    _jobs: Arc<Jobs>,
}

impl Reset {
    fn new(pdev: &pci::Device<CoreContext<'_>>, params: &Params) -> Result<Self> {
        let ids = (pdev.vendor_id().as_raw(), pdev.device_id());
        let quirks = Quirks::of_device(ids, is_machine, params.quirks);
        if let Some(needed) = quirks.not_driven() {
            dev_err!(pdev, "not driven: the device needs {}\n", needed);
            return Err(ENODEV);
        }
        let mask = match quirks.has(Quirks::DMA_ADDRESS_BITS_48) {
            true => DmaMask::new::<48>(),
            false => DmaMask::new::<64>(),
        };
        dma::set_up(pdev, regs::PAGE_SIZE, mask)?;
        let claim = Claim::new(pdev)?;
        let config = SavedConfig::new(pdev, &claim)?;
        let bar = Bar::map(pdev)?;
        let caps = read_caps(pdev, &bar, quirks)?;
        if regs::queues_that_fit(bar.len(), caps.doorbell_stride) < 2 {
            dev_err!(
                pdev,
                "BAR 0 of {} bytes has no room for the doorbells of one I/O queue, {} bytes apart\n",
                bar.len(),
                caps.doorbell_stride
            );
            return Err(ENXIO);
        }
        let instance = Instance::allocate(DeviceKey::of(pdev))?;
        let jobs = Arc::new(Jobs::new()?, GFP_KERNEL)?;
        let identity = Identity {
            bar: Arc::new(bar, GFP_KERNEL)?,
            caps,
            number: instance.number(),
            threads: params.use_threaded_interrupts,
            quirks,
            reset: jobs.reset.clone(),
            config,
        };
        Ok(Self {
            hardware: Hardware::new(pdev, identity)?,
            jobs,
            claim,
            instance,
        })
    }

    fn attach(self, dev: &Device<Bound>, params: &Params) -> Result<Attached> {
        let pages = PagePool::new(dev, self.jobs.retry.clone())?;
        let shape = Shape {
            id: QueueId::ADMIN,
            entries: admin::ENTRIES,
            max_transfer: admin::MAX_TRANSFER,
            pages: &pages,
            doorbell_stride: self.hardware.caps().doorbell_stride,
            sgl: None,
            shadows: None,
            memory: None,
        };
        let policy = self.hardware.clone();
        let (queue, completions) = Queue::new(dev, self.hardware.bar(), &shape, policy)?;
        // CAST: 4096.
        let alignment = match self.hardware.quirks().has(Quirks::ADMIN_PAGE_ALIGN) {
            true => regs::PAGE_SIZE as u32,
            false => 4,
        };
        let admin = AdminQueue::new(queue.clone(), params.admin_timeout_ms(), alignment)?;
        // From here on the hardware is stopped before the queue goes.
        let running = Running(self.hardware);
        running.0.attach_admin(&queue, completions, &admin)?;
        Ok(Attached {
            admin,
            running,
            jobs: self.jobs,
            claim: self.claim,
            instance: self.instance,
        })
    }
}

impl Attached {
    fn publish(self, dev: &Device, params: &Params) -> Result<Controller> {
        let (hardware, binding) = (&self.running.0, self.claim.binding());
        let core = Core::new(hardware, self.admin, &self.jobs, params, binding)?;
        let class = Attributes::publish(&core, dev)?;
        let controller = Controller {
            working: Working(self.jobs.clone()),
            core,
            class,
            running: self.running,
            _claim: self.claim,
            _instance: self.instance,
            _jobs: self.jobs,
        };
        controller.core.open_jobs(&controller.class)?;
        Ok(controller)
    }
}

impl Controller {
    /// Brings the controller up and adds its disks. A controller that does not come up now stays: it is
    /// dead, and is tried again.
    ///
    /// # Errors
    ///
    /// The device cannot be driven, or the host lacks something. The log says in one line what was
    /// wrong; nothing is left behind.
    pub(crate) fn start(pdev: &pci::Device<CoreContext<'_>>, params: &Params) -> Result<Self> {
        let controller = Reset::new(pdev, params)?
            .attach(pdev.as_ref(), params)?
            .publish(pdev.as_ref(), params)?;
        controller.core.bring_up_at_probe(&controller.class)?;
        Ok(controller)
    }

    /// Ends I/O, removes the disks and stops the controller, whether the device is present or not.
    pub(crate) fn remove(self, pdev: &pci::Device) {
        let hardware = &self.running.0;
        if !is_present(pdev) {
            hardware.notify(Event::Gone, "the device was removed");
        }
        // A shutdown that has begun ends: it deletes the queues, and no I/O may begin then.
        self.working.0.shutdown.work().close();
        hardware.leave();
        if let Some(parts) = self.core.parts() {
            parts.namespaces.end_waits();
        }
        self.working.0.close();
        if let Some(parts) = self.core.parts() {
            parts.namespaces.remove(!is_present(pdev));
            parts.io.delete();
        }
    }

    /// The system goes down: see [`Hardware::shut_down`]. The shutdown may have begun before, beside
    /// those of other controllers.
    pub(crate) fn shutdown(&self) {
        self.working.0.shutdown.work().flush();
        self.running
            .0
            .shut_down(false, || self.core.delete_queues());
    }

    /// The system goes to sleep: stops the controller until [`Self::wake`].
    ///
    /// # Errors
    ///
    /// See [`Hardware::pause`].
    pub(crate) fn sleep(&self) -> Result {
        self.running
            .0
            .pause(Rest::Refuse, || self.core.delete_queues())
    }

    /// The PCI core is about to reset the function: stops the controller until [`Self::wake`].
    pub(crate) fn step_aside(&self) {
        let _ = self
            .running
            .0
            .pause(Rest::Keep, || self.core.delete_queues());
        // A shutdown that began early ends before the function is reset.
        self.working.0.shutdown.work().flush();
    }

    /// Brings the controller up again and waits for that. A shutdown that was early begins now.
    pub(crate) fn wake(&self) {
        self.begin_wake();
        self.wait_for_reset();
        if self.running.0.is_shutdown_due() {
            self.working.0.shutdown.work().queue();
        }
    }

    /// The bus does not reach the controller: I/O waits until [`Self::reconnect`].
    pub(crate) fn freeze(&self) {
        self.running.0.cut_off();
    }

    /// The bus will not reach the controller any more.
    pub(crate) fn abandon(&self) {
        self.running
            .0
            .notify(Event::Gone, "the bus reports a permanent failure");
    }

    /// The slot of the frozen controller was reset.
    pub(crate) fn restore_config(&self) {
        // The bus was frozen, which ended any reset: its job only has to notice.
        self.wait_for_reset();
        self.running.0.restore_config();
    }

    /// The sleep is over: starts to bring the controller up again.
    pub(crate) fn begin_wake(&self) {
        self.end_pause(Event::Wake);
    }

    /// The bus reaches the frozen controller again: starts to bring it up.
    pub(crate) fn reconnect(&self) {
        self.end_pause(Event::Reached);
    }

    fn end_pause(&self, end: Event) {
        self.running.0.wait_for_failed_reset();
        self.running.0.notify(end, "");
    }

    /// Waits for a reset that is under way.
    pub(crate) fn wait_for_reset(&self) {
        self.working.0.reset.flush();
    }
}
