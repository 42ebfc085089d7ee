// SPDX-License-Identifier: GPL-2.0

//! rnvme: an NVMe driver in Rust.
//!
//! ```text
//!   ┌────────────────────────┬────────────┬────────────────────────────────────────────────────┐
//!   │ facts and decisions:   │ num        │ lossless conversions, the size of a sector         │
//!   │ no device              │ nvme       │ registers, commands, completions, Identify, logs   │
//!   │                        │ policy     │ limits, retries, the life of a controller          │
//!   │                        │ prp        │ memory segments as PRP entries                     │
//!   ├────────────────────────┼────────────┼────────────────────────────────────────────────────┤
//!   │ the kernel made safe   │ sys        │ PCI, blk-mq, DMA: the only unsafe code             │
//!   ├────────────────────────┼────────────┼────────────────────────────────────────────────────┤
//!   │ mechanism              │ data       │ the data of a request as PRPs, SGLs or ranges      │
//!   │                        │ queue      │ a queue pair: rings, doorbells, phase, timeouts    │
//!   │                        │ admin      │ admin commands, typed, one at a time               │
//!   │                        │ io         │ requests of a disk as commands                     │
//!   ├────────────────────────┼────────────┼────────────────────────────────────────────────────┤
//!   │ objects                │ controller │ probe to unbind, the hardware, the namespaces      │
//!   └────────────────────────┴────────────┴────────────────────────────────────────────────────┘
//! ```
//!
//! A module imports only from modules above it in this picture. docs/ARCHITECTURE.md has the paths,
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
// A queue pair: rings, doorbells, phase, timeouts.
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
    policy::{
        with_parameters,
        Params,
        QuirkOverrides, //
    },
    sys::{
        base::{
            begin_shutdowns,
            given_quirks,
            is_kdump_kernel,
            work,
            Class, //
        },
        block::AddedDisks,
        pci::{
            Adapter,
            Channel,
            DeviceKey,
            Driver,
            Verdict, //
        },
    },
};

/// The module parameters, set once before the driver is registered.
static PARAMS: SetOnce<Params> = SetOnce::new();

/// Mass storage, non-volatile memory, NVM Express I/O controller.
const CLASS: u32 = 0x01_08_02;

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
    [
        // Mass storage, non-volatile memory, NVM Express I/O controller.
        (pci::DeviceId::from_class(CLASS, 0xff_ff_ff), ()),
        // Apple's controllers have another class.
        (pci::DeviceId::from_id(pci::Vendor::APPLE, 0x2001), ()),
        (pci::DeviceId::from_id(pci::Vendor::APPLE, 0x2003), ()),
        (pci::DeviceId::from_id(pci::Vendor::APPLE, 0x2005), ()),
    ]
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
    fn announce(key: DeviceKey) {
        controller::reserve_number(key);
    }

    fn all_probed() {
        controller::release_numbers();
    }

    fn shutdown(_pdev: &pci::Device<Core<'_>>, this: Pin<&Bound>) {
        // The kernel calls this for one device after the other.
        begin_shutdowns();
        this.with(Controller::shutdown);
    }

    fn suspend(_pdev: &pci::Device<Core<'_>>, this: Pin<&Bound>) -> Result {
        this.with(Controller::sleep).unwrap_or(Ok(()))
    }

    fn resume(_pdev: &pci::Device<Core<'_>>, this: Pin<&Bound>) -> Result {
        // The machine does not wait for a controller that takes its time: I/O does.
        this.with(Controller::begin_wake);
        Ok(())
    }

    fn reset_prepare(_pdev: &pci::Device<Core<'_>>, this: Pin<&Bound>) {
        this.with(Controller::step_aside);
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

    fn restore(_pdev: &pci::Device<Core<'_>>, this: Pin<&Bound>) {
        this.with(Controller::restore_config);
    }

    fn slot_reset(_pdev: &pci::Device<Core<'_>>, this: Pin<&Bound>) -> Verdict {
        this.with(Controller::reconnect);
        Verdict::Recovered
    }

    fn error_resume(_pdev: &pci::Device<Core<'_>>, this: Pin<&Bound>) {
        this.with(Controller::wait_for_reset);
    }
}

impl Bound {
    /// Calls `f` on the controller, if it is still there.
    fn with<R>(&self, f: impl FnOnce(&Controller) -> R) -> Option<R> {
        self.controller.lock().as_ref().map(f)
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
    // The last: see `AddedDisks`.
    _disks: AddedDisks,
}

impl kernel::InPlaceModule for RnvmeModule {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(move || {
            let params = Params::new(given_params()).map_err(|e| {
                pr_err!("{}\n", e);
                EINVAL
            })?;
            let quirks = QuirkOverrides::new(given_quirks()).map_err(|e| {
                pr_err!("{}\n", e);
                EINVAL
            })?;
            let params = params.with_quirks(quirks);
            PARAMS.populate(match is_kdump_kernel() {
                true => params.frugal(),
                false => params,
            });
            sys::base::init_globals();
            let work = work::Queues::new()?;
            let class = Class::register(c"rnvme")?;
            Ok(try_pin_init!(Self {
                _disks: AddedDisks,
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

// `module!` takes names and texts as tokens: they are those of the table in policy/params/table.rs.
macro_rules! define_module {
    ($(
        $name:ident: $type:ident = $default:literal, $least:literal..=$most:literal, $text:literal;
    )*) => {
        module! {
            type: RnvmeModule,
            name: "rnvme",
            authors: ["The rnvme developers"],
            description: "NVMe driver in Rust",
            license: "GPL",
            params: {
                $($name: u32 {
                    default: $default,
                    description: $text,
                },)*
            },
        }

        /// The values of the parameters as `insmod` got them, in the order of the table.
        fn given_params() -> [u32; Params::COUNT] {
            [$(module_parameters::$name.value()),*]
        }
    };
}
with_parameters!(define_module);
