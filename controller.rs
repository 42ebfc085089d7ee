// SPDX-License-Identifier: GPL-2.0

//! A controller from probe to unbind: bring-up in typed steps, and everything it owns, in the
//! order in which it has to go.
//!
//! [`Reset`] (registers mapped, controller disabled) → [`Enabled`] (admin queue live) →
//! [`Controller`] (I/O queues and disks). A step that fails drops what the steps before it made.

// Numbers of controllers.
mod number;
// Registers, interrupts, queues: starting and stopping.
mod hardware;
// A disk for each namespace.
mod namespaces;
// The I/O queues.
mod queues;
// Attributes in sysfs.
mod attributes;
// Asynchronous events.
mod events;
// Background jobs: reset, scan, watchdog.
mod jobs;

use self::{
    attributes::Attributes,
    events::EventRequest,
    hardware::{
        Hardware,
        Identity, //
    },
    jobs::Jobs,
    namespaces::{
        LiveNamespaces,
        Namespace,
        Scanner, //
    },
    number::Instance,
    queues::IoQueues, //
};
use crate::{
    admin::{
        self,
        AdminQueue, //
    },
    nvme::{
        regs,
        Capabilities,
        ControllerInfo,
        Identify,
        PowerStates,
        QueueId,
        SetAutonomousPower,
        SetHostBehavior,
        SetKeepAliveTimer,
        SetTimestamp,
        SubsystemName,
        Text,
        VS, //
    },
    policy::{
        Event,
        Params,
        RetryPolicy, //
    },
    queue::{
        Queue,
        Shape, //
    },
    sys::{
        base::{
            clock,
            ClassDevice, //
        },
        dma,
        pci::{
            is_present,
            Bar,
            Claim, //
        },
    },
};
use kernel::{
    device::{
        Bound,
        Core as CoreContext,
        Device, //
    },
    io::Io as _,
    new_mutex,
    pci,
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        Mutex, //
    }, //
};

/// Bytes of the largest transfer that the driver offers, whatever MDTS allows: as Linux.
const MAX_TRANSFER: u32 = 8 << 20;

/// Stops the hardware when dropped: before the memory that it works on goes.
struct Running(Arc<Hardware>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dismantle();
    }
}

/// Registers mapped and understood, the controller disabled.
struct Reset {
    hardware: Arc<Hardware>,
    jobs: Jobs,
    claim: Claim,
    instance: Instance,
}

/// The controller answers admin commands.
struct Enabled {
    admin: Arc<AdminQueue>,
    running: Running,
    jobs: Jobs,
    claim: Claim,
    instance: Instance,
}

/// A controller at work. Its fields are dropped in this order.
pub(crate) struct Controller {
    /// First: nobody works on the rest any more.
    working: Working,
    /// What the jobs and the controller share.
    core: Arc<Core>,
    /// After the disks, whose parent it is.
    class: Arc<ClassDevice<Attributes>>,
    /// After everything that gives commands.
    running: Running,
    /// After the hardware has stopped: takes bus mastering and BAR 0 from the device.
    _claim: Claim,
    /// Nearly last: the number is free again when nothing bears it.
    _instance: Instance,
    /// After the last command: who is told of its end has references to some.
    _jobs: Arc<Jobs>,
}

/// Jobs that are done until this is dropped.
struct Working(Arc<Jobs>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What those share who work on a controller.
#[pin_data]
struct Core {
    /// Its registers, interrupts and queues.
    hardware: Arc<Hardware>,
    /// To ask and tell it.
    admin: Arc<AdminQueue>,
    /// Its I/O queues.
    io: IoQueues,
    /// What the user wants.
    params: Params,
    /// What Identify said of it at first.
    info: ControllerInfo,
    /// The subsystem that it belongs to.
    subsystem: Arc<SubsystemName>,
    /// Bytes of the largest transfer.
    max_transfer: u32,
    /// Its number.
    instance: u32,
    /// The disks' parent in sysfs.
    parent: ARef<Device>,
    /// What it tells without being asked.
    events: Arc<EventRequest>,
    /// LOCK: held while disks are added and removed, and so while I/O is waited for: nothing that
    /// brings the controller up again takes it.
    #[pin]
    disks: Mutex<KVec<Namespace>>,
    /// The namespaces that have disks.
    live: Arc<LiveNamespaces>,
}

impl Reset {
    fn new(pdev: &pci::Device<CoreContext<'_>>, params: &Params) -> Result<Self> {
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
        let jobs = Jobs::new()?;
        let identity = Identity {
            bar: Arc::new(bar, GFP_KERNEL)?,
            caps,
            instance: instance.number(),
            threads: params.use_threaded_interrupts,
            reset: jobs.reset.clone(),
        };
        Ok(Self {
            hardware: Hardware::new(pdev, identity)?,
            jobs,
            claim,
            instance,
        })
    }

    fn enable(self, dev: &Device<Bound>, params: &Params) -> Result<Enabled> {
        let Self {
            hardware,
            jobs,
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
        hardware.start_admin()?;
        let admin = AdminQueue::new(queue, params.admin_timeout_ms())?;
        Ok(Enabled {
            admin: Arc::new(admin, GFP_KERNEL)?,
            running,
            jobs,
            claim,
            instance,
        })
    }
}

/// What Identify says of the controller.
struct Identified {
    info: ControllerInfo,
    subsystem: SubsystemName,
    nqn: Text<256>,
    power: PowerStates,
}

impl Identified {
    /// Asks for it.
    ///
    /// # Errors
    ///
    /// What [`AdminQueue::identify`] returns; `ENODEV` if the controller cannot be driven.
    fn get(admin: &AdminQueue, dev: &Device) -> Result<Self> {
        let page = admin.identify(&Identify::controller())?;
        let raw = page.get()?;
        let info = ControllerInfo::decode(raw).map_err(|e| {
            dev_err!(dev, "{}\n", e);
            ENODEV
        })?;
        Ok(Self {
            info,
            subsystem: raw.subsystem(),
            nqn: raw.nqn(),
            power: raw.power_states(),
        })
    }

    /// Tells the controller what the host does and wants, each time it was enabled. One that
    /// refuses does without; the log has a line.
    fn configure(&self, admin: &AdminQueue, params: &Params) {
        if self.info.retry_delays.get(1) != 0 {
            let _ = admin.send(&SetHostBehavior, &SetHostBehavior::DATA);
        }
        if self.info.timestamp {
            let now = SetTimestamp {
                ms: clock::unix_ms(),
            };
            let _ = admin.send(&now, &now.data());
        }
        if self.power.is_autonomous() {
            let table = self.power.idle_table(params.default_ps_max_latency_us);
            let set = SetAutonomousPower {
                enable: table.deepest().is_some(),
            };
            let _ = admin.send(&set, &table.bytes());
        }
        if let Some(ms) = self.info.keep_alive(params.keep_alive_ms()) {
            let _ = admin.execute(&SetKeepAliveTimer { ms });
        }
    }
}

impl Enabled {
    fn start(self, pdev: &pci::Device<CoreContext<'_>>, params: &Params) -> Result<Controller> {
        let dev: &Device<Bound> = pdev.as_ref();
        let hardware = &self.running.0;
        let number = self.instance.number();
        let identified = Identified::get(&self.admin, dev)?;
        let info = identified.info;
        hardware.set_shutdown_time(info.rtd3e_us);
        hardware.attach_commands(&self.admin, info.abort_limit.into());
        identified.configure(&self.admin, params);
        // CAST: at most 8 MiB.
        let mappable = dma::max_mapping(dev).min(MAX_TRANSFER as usize) as u32;
        let max_transfer = info
            .max_transfer
            .map_or(mappable, |mdts| mdts.min(mappable));
        let io = queues::Plan {
            pdev,
            admin: &self.admin,
            hardware,
            params,
            info: &info,
            max_transfer,
        }
        .create()?;
        hardware.attach_set(&io.set);
        let attributes = Attributes {
            hardware: hardware.clone(),
            admin: self.admin.clone(),
            reset: self.jobs.reset.clone(),
            scan: self.jobs.scan.clone(),
            info,
            version: hardware.bar().read(VS),
            nqn: identified.nqn,
            queues: io.counts.total() + 1,
            entries: io.entries,
        };
        let class = attributes.publish(dev, number)?;
        let events = EventRequest::new(&self.jobs.events)?;
        let subsystem = Arc::new(identified.subsystem, GFP_KERNEL)?;
        let live = LiveNamespaces::new()?;
        let (hardware, admin) = (hardware.clone(), self.admin.clone());
        let parent = class.device().into();
        let core = Arc::pin_init(
            pin_init!(Core {
                hardware,
                admin,
                io,
                params: *params,
                info,
                subsystem,
                max_transfer,
                instance: number,
                parent,
                events,
                disks <- new_mutex!(KVec::new()),
                live,
            }),
            GFP_KERNEL,
        )?;
        core.announce(pdev.as_ref());
        let jobs = Arc::new(self.jobs, GFP_KERNEL)?;
        let controller = Controller {
            working: Working(jobs.clone()),
            core,
            class,
            running: self.running,
            _claim: self.claim,
            _instance: self.instance,
            _jobs: jobs,
        };
        let jobs = &controller.working.0;
        jobs.open(&controller.core, &controller.class)?;
        if !controller.running.0.brought_up() {
            return Err(ENODEV);
        }
        let core = &controller.core;
        core.events.begin(&core.admin, &core.info);
        jobs.watch.queue();
        jobs.scan.queue();
        jobs.scan.flush();
        Ok(controller)
    }
}

impl Core {
    fn announce(&self, dev: &Device) {
        let version = self.hardware.bar().read(VS);
        let counts = &self.io.counts;
        dev_info!(
            dev,
            "rnvme{}: {}, serial {}, firmware {}, NVMe {}.{}, {}/{}/{} default/read/poll queues of {}, transfers up to {} KiB\n",
            self.instance,
            self.info.model,
            self.info.serial,
            self.info.firmware,
            version.mjr().get(),
            version.mnr().get(),
            counts.default,
            counts.read,
            counts.poll,
            self.io.entries,
            self.max_transfer >> 10
        );
        if self.params.keep_alive > 0 && self.keep_alive().is_none() {
            dev_info!(dev, "no keep alive timer: keep_alive has no effect\n");
        }
        if self.io.in_controller() > 0 {
            dev_info!(
                dev,
                "{} submission queues are in the controller's memory\n",
                self.io.in_controller()
            );
        }
    }

    /// Milliseconds of the controller's keep alive timer, if it has one that is wanted.
    fn keep_alive(&self) -> Option<u32> {
        self.info.keep_alive(self.params.keep_alive_ms())
    }

    /// What knows the namespaces.
    fn scanner(&self) -> Scanner<'_> {
        Scanner {
            hardware: &self.hardware,
            admin: &self.admin,
            set: &self.io.set,
            parent: &self.parent,
            instance: self.instance,
            info: &self.info,
            subsystem: &self.subsystem,
            max_transfer: self.max_transfer,
            retries: RetryPolicy::new(self.params.retries(), self.info.retry_delays),
            live: &self.live,
        }
    }
}

impl Controller {
    /// Brings the controller up and announces its disks.
    ///
    /// # Errors
    ///
    /// The log says in one line what was wrong; nothing is left behind.
    pub(crate) fn start(pdev: &pci::Device<CoreContext<'_>>, params: &Params) -> Result<Self> {
        Reset::new(pdev, params)?
            .enable(pdev.as_ref(), params)?
            .start(pdev, params)
    }

    /// Ends I/O, removes the disks and stops the controller; all of it also if it is gone.
    pub(crate) fn remove(self, pdev: &pci::Device) {
        let hardware = &self.running.0;
        if !is_present(pdev) {
            hardware.notify(Event::Gone, "it was removed");
        }
        hardware.notify(Event::Leave, "");
        self.working.0.close();
        let mut disks = core::mem::take(&mut *self.core.disks.lock());
        if !is_present(pdev) {
            disks.iter_mut().for_each(|disk| disk.mark_dead());
        }
        drop(disks);
        self.core.io.delete(&self.core.admin, hardware);
    }

    /// The system goes down: see [`Hardware::shut_down`].
    pub(crate) fn shutdown(&self) {
        self.running.0.shut_down();
    }

    /// Stops the controller for a while: see [`Hardware::pause`]. A reset is waited for.
    pub(crate) fn pause(&self) {
        self.running.0.pause();
        // It lets go of the controller.
        self.wait_for_reset();
    }

    /// The while is over: the controller is brought up again, which is waited for.
    pub(crate) fn wake(&self) {
        self.begin_wake();
        self.wait_for_reset();
    }

    /// The bus does not reach the controller: I/O waits. Until [`Self::begin_wake`].
    pub(crate) fn freeze(&self) {
        self.running.0.notify(Event::Pause, "");
    }

    /// The bus will not reach the controller any more.
    pub(crate) fn abandon(&self) {
        self.running
            .0
            .notify(Event::Gone, "the bus does not reach it any more");
    }

    /// The controller is brought up again.
    pub(crate) fn begin_wake(&self) {
        self.running.0.wait_for_failed_reset();
        self.running.0.notify(Event::Wake, "");
    }

    /// Waits for a reset that is under way.
    pub(crate) fn wait_for_reset(&self) {
        self.working.0.reset.flush();
    }
}
