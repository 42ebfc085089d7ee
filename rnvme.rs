// SPDX-License-Identifier: GPL-2.0

//! rnvme: an NVMe driver in Rust.
//!
//! ```text
//!          insmod, bind                     a request of /dev/rnvme0n1
//!               │                                      │
//!   ┌───────────▼──────────┐   objects    ┌────────────▼───────────┐   mechanism
//!   │ ctrl  a controller   │              │ io     request ↔ command│
//!   │ ns    its disks      │              │ admin  admin commands   │
//!   ├──────────────────────┤   policy     │ queue  rings, doorbells │
//!   │ recovery, hardware   │              └────────────┬───────────┘
//!   └───────────┬──────────┘                           │
//!   ┌───────────▼──────────────────────────────────────▼───────────┐
//!   │ sys   the kernel's C interfaces made safe: the only unsafe    │
//!   └───────────┬──────────────────────────────────────────────────┘
//!   ┌───────────▼──────────────────────────────────────────────────┐
//!   │ regs, spec, prp, params …   facts: arithmetic, no device      │
//!   └──────────────────────────────────────────────────────────────┘
//! ```
//!
//! A module imports only from modules declared above it here. docs/ARCHITECTURE.md has the paths,
//! the lock order and the drop order.

#![deny(unsafe_code)]

// Integer conversions that lose nothing, and the size of a sector.
mod num;
// What NVMe says: registers, commands, completions, Identify, logs. No device.
mod nvme;
// What the driver decides: limits, retries, the life of a controller. Pure functions.
mod policy;
// Segments of memory as PRP entries. Arithmetic.
mod prp;
// The kernel's C interfaces made safe: the only unsafe code.
#[allow(unsafe_code, reason = "the one layer that may")]
mod sys;
// The data of a request as PRPs, SGLs or ranges.
mod data;
// A queue pair: rings, doorbells, phase, time-outs.
mod queue;
// Admin commands, typed, one at a time.
mod admin;
// Requests of a disk as commands, statuses as block statuses.
mod io;
// A controller from probe to unbind, its hardware and its namespaces.
mod controller;

use core::pin::Pin;
use kernel::{
    device::Core,
    driver,
    new_mutex,
    pci,
    prelude::*,
    sync::{
        Mutex,
        SetOnce, //
    }, //
};

use self::{
    controller::Controller,
    policy::Params,
    sys::{
        base::{
            work,
            Class, //
        },
        pci::{
            Adapter,
            Channel,
            Driver,
            Verdict, //
        },
    },
};

/// The module parameters, set once before the driver is registered.
static PARAMS: SetOnce<Params> = SetOnce::new();

/// The PCI driver.
struct Rnvme;

/// What a bound device has: its controller, until it is unbound.
#[pin_data]
struct Bound {
    /// LOCK: the controller's existence, against shutdown, sleep and resets from outside; inside:
    /// all other locks.
    #[pin]
    controller: Mutex<Option<Controller>>,
}

kernel::pci_device_table!(
    PCI_TABLE,
    <Rnvme as pci::Driver>::IdInfo,
    // Mass storage, non-volatile memory, NVM Express I/O controller.
    [(pci::DeviceId::from_class(0x01_08_02, 0xff_ff_ff), ())]
);

impl pci::Driver for Rnvme {
    type IdInfo = ();
    type Data<'bound> = Bound;
    const ID_TABLE: pci::IdTable<Self::IdInfo> = &PCI_TABLE;

    fn probe<'bound>(
        pdev: &'bound pci::Device<Core<'_>>,
        _info: Option<&'bound Self::IdInfo>,
    ) -> impl PinInit<Bound, Error> + 'bound {
        pin_init::pin_init_scope(move || {
            let params = PARAMS.as_ref().ok_or(ENODEV)?;
            let controller = Controller::start(pdev, params)?;
            Ok(try_pin_init!(Bound {
                controller <- new_mutex!(Some(controller)),
            }))
        })
    }

    fn unbind<'bound>(pdev: &'bound pci::Device<Core<'_>>, this: Pin<&Bound>) {
        let controller = this.controller.lock().take();
        if let Some(controller) = controller {
            controller.remove(pdev);
        }
    }
}

impl Driver for Rnvme {
    fn shutdown(_pdev: &pci::Device<Core<'_>>, this: Pin<&Bound>) {
        this.with(Controller::shutdown);
    }

    fn suspend(_pdev: &pci::Device<Core<'_>>, this: Pin<&Bound>) -> Result {
        this.with(Controller::pause);
        Ok(())
    }

    fn resume(_pdev: &pci::Device<Core<'_>>, this: Pin<&Bound>) -> Result {
        this.with(Controller::wake);
        Ok(())
    }

    fn reset_prepare(_pdev: &pci::Device<Core<'_>>, this: Pin<&Bound>) {
        this.with(Controller::pause);
    }

    fn reset_done(_pdev: &pci::Device<Core<'_>>, this: Pin<&Bound>) {
        this.with(Controller::wake);
    }

    fn error_detected(
        _pdev: &pci::Device<Core<'_>>,
        this: Pin<&Bound>,
        channel: Channel,
    ) -> Verdict {
        match channel {
            Channel::Normal => Verdict::CanRecover,
            Channel::Frozen => {
                this.with(Controller::freeze);
                Verdict::NeedReset
            }
            Channel::Gone => {
                this.with(Controller::abandon);
                Verdict::Disconnect
            }
        }
    }

    fn slot_reset(_pdev: &pci::Device<Core<'_>>, this: Pin<&Bound>) -> Verdict {
        this.with(Controller::begin_wake);
        Verdict::Recovered
    }

    fn error_resume(_pdev: &pci::Device<Core<'_>>, this: Pin<&Bound>) {
        this.with(Controller::wait_for_reset);
    }
}

impl Bound {
    /// Calls `f` on the controller, if it is still there.
    fn with(&self, f: impl FnOnce(&Controller)) {
        if let Some(controller) = &*self.controller.lock() {
            f(controller);
        }
    }
}

/// The module. The driver goes before the class, as its devices are of that class, and before the
/// workqueues, as its controllers have work for them.
#[pin_data]
struct RnvmeModule {
    #[pin]
    _driver: driver::Registration<Adapter<Rnvme>>,
    _class: Class,
    _work: work::Queues,
}

impl kernel::InPlaceModule for RnvmeModule {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(move || {
            let params = Params {
                io_queue_depth: module_parameters::io_queue_depth.value(),
                io_queues: module_parameters::io_queues.value(),
                write_queues: module_parameters::write_queues.value(),
                poll_queues: module_parameters::poll_queues.value(),
                sgl_threshold: module_parameters::sgl_threshold.value(),
                use_cmb_sqes: module_parameters::use_cmb_sqes.value(),
                io_timeout: module_parameters::io_timeout.value(),
                admin_timeout: module_parameters::admin_timeout.value(),
                use_threaded_interrupts: module_parameters::use_threaded_interrupts.value(),
                irq_coalescing_time: module_parameters::irq_coalescing_time.value(),
                irq_coalescing_threshold: module_parameters::irq_coalescing_threshold.value(),
                max_retries: module_parameters::max_retries.value(),
                default_ps_max_latency_us: module_parameters::default_ps_max_latency_us.value(),
                keep_alive: module_parameters::keep_alive.value(),
            }
            .checked()
            .map_err(|e| {
                pr_err!("{}\n", e);
                EINVAL
            })?;
            PARAMS.populate(params);
            sys::base::global::init();
            let work = work::Queues::new()?;
            let class = Class::register(c"rnvme")?;
            Ok(try_pin_init!(Self {
                _work: work,
                _class: class,
                _driver <- driver::Registration::new(
                    <crate::LocalModule as kernel::ModuleMetadata>::NAME,
                    module,
                ),
            }))
        })
    }
}

module! {
    type: RnvmeModule,
    name: "rnvme",
    authors: ["The rnvme developers"],
    description: "NVMe driver in Rust",
    license: "GPL",
    params: {
        io_queue_depth: u32 {
            default: 1024,
            description: "Entries of an I/O queue, 2 to 4095 (default 1024)",
        },
        io_queues: u32 {
            default: 0,
            description: "The most I/O queues of a controller (default 0: one for each CPU)",
        },
        write_queues: u32 {
            default: 0,
            description: "I/O queues kept for writes, reads get the others (default 0: all take both)",
        },
        poll_queues: u32 {
            default: 0,
            description: "I/O queues to be polled, without interrupts (default 0)",
        },
        sgl_threshold: u32 {
            default: 32768,
            description: "Average bytes of a segment from which SGLs are preferred (default 32768, 0: only where they must be used)",
        },
        use_cmb_sqes: u32 {
            default: 0,
            description: "1: submission queues in the controller's own memory, where it has some (default 0)",
        },
        io_timeout: u32 {
            default: 30,
            description: "Seconds until an I/O command is late, 1 to 86400 (default 30)",
        },
        admin_timeout: u32 {
            default: 60,
            description: "Seconds until an admin command is late, 1 to 86400 (default 60)",
        },
        use_threaded_interrupts: u32 {
            default: 0,
            description: "1: completions are handled in threads, 0: in the interrupts (default 0)",
        },
        irq_coalescing_time: u32 {
            default: 0,
            description: "The longest that an interrupt waits for more completions, in 100 us, to 255 (default 0: not at all)",
        },
        irq_coalescing_threshold: u32 {
            default: 0,
            description: "How many completions it waits for at most, 2 to 256 (default 0: not at all)",
        },
        max_retries: u32 {
            default: 5,
            description: "How often a failed I/O command is tried again, 0 to 255 (default 5)",
        },
        default_ps_max_latency_us: u32 {
            default: 100000,
            description: "The longest that a command may wait for a controller that saves power, in us (default 100000, 0: it does not)",
        },
        keep_alive: u32 {
            default: 0,
            description: "Seconds after which a controller that heard nothing may stop (default 0: never)",
        },
    },
}
