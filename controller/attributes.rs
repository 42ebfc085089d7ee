// SPDX-License-Identifier: GPL-2.0

//! The attributes of a controller in `/sys/class/rnvme/rnvme<N>`, with the names and values of Linux's
//! driver (`drivers/nvme/host/sysfs.c`) where it has them.

use super::parts::{
    Core,
    Parts, //
};
use crate::{
    policy::{
        params,
        Event, //
    },
    sys::base::{
        Attribute,
        ClassDevice, //
    },
};
use core::sync::atomic::{
    AtomicU32,
    Ordering::Relaxed, //
};
use kernel::{
    device::Device,
    fmt::{
        self,
        Formatter, //
    },
    prelude::*,
    sync::Arc, //
};

/// What the attributes show. What only the controller itself can say is empty as long as it was
/// never up.
pub(super) struct Attributes {
    core: Arc<Core>,
}

/// Shows one fact of a controller that was up.
type ShowPart = fn(&Parts, &mut Formatter<'_>) -> fmt::Result;

impl Attributes {
    const TABLE: &'static [Attribute<Self>] = &[
        Attribute::ro(c"state", |a, f| f.write_str(a.core.hardware.state().name())),
        Attribute::wo(c"reset_controller", |a, _| a.reset()),
        Attribute::wo(c"rescan_controller", |a, _| a.rescan()),
        Attribute::ro(c"model", |a, f| {
            a.known(f, |p, f| f.write_str(p.shared.info().model.as_str()))
        }),
        Attribute::ro(c"serial", |a, f| {
            a.known(f, |p, f| f.write_str(p.shared.info().serial.as_str()))
        }),
        Attribute::ro(c"firmware_rev", |a, f| {
            a.known(f, |p, f| f.write_str(p.shared.info().firmware.as_str()))
        }),
        Attribute::ro(c"version", |a, f| {
            a.known(f, |p, f| {
                let version = p.version;
                write!(
                    f,
                    "{}.{}.{}",
                    version.mjr().get(),
                    version.mnr().get(),
                    version.ter().get()
                )
            })
        }),
        Attribute::ro(c"quirks", |a, f| a.core.hardware.quirks().write(f, "\n")),
        Attribute::ro(c"subsysnqn", |a, f| {
            a.known(f, |p, f| f.write_str(p.shared.nqn.as_str()))
        }),
        Attribute::ro(c"cntlid", |a, f| {
            a.known(f, |p, f| write!(f, "{}", p.shared.info().id))
        }),
        Attribute::ro(c"transport", |_, f| f.write_str("pcie")),
        Attribute::ro(c"address", |a, f| f.write_str(a.core.hardware.name())),
        Attribute::ro(c"numa_node", |a, f| write!(f, "{}", a.core.hardware.node())),
        Attribute::ro(c"queue_count", |a, f| {
            a.known(f, |p, f| write!(f, "{}", p.io.counts.total() + 1))
        }),
        Attribute::ro(c"sqsize", |a, f| {
            a.known(f, |p, f| write!(f, "{}", p.io.entries - 1))
        }),
        Attribute::rw(
            c"admin_timeout",
            |a, f| write!(f, "{}", a.core.admin.timeout_ms()),
            |a, text| {
                a.core
                    .admin
                    .set_timeout_ms(params::milliseconds(text).ok_or(EINVAL)?);
                Ok(())
            },
        ),
        Attribute::ro(c"recovery_bound_ms", |a, f| {
            a.known(f, |p, f| write!(f, "{}", p.io.recovery_bound_ms()))
        }),
        Attribute::ro(c"reset_count", |a, f| {
            a.count(&a.core.hardware.counters.resets, f)
        }),
        Attribute::ro(c"abort_count", |a, f| {
            a.count(&a.core.hardware.counters.aborts, f)
        }),
        Attribute::ro(c"lost_interrupt_count", |a, f| {
            a.count(&a.core.hardware.counters.lost_interrupts, f)
        }),
    ];

    /// Makes the class device of the controller below `parent`, with these attributes.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; what registering the device returns.
    pub(super) fn publish(core: &Arc<Core>, parent: &Device) -> Result<Arc<ClassDevice<Self>>> {
        let attributes = Arc::new(Self { core: core.clone() }, GFP_KERNEL)?;
        let class = ClassDevice::new(parent, core.hardware.number(), attributes, Self::TABLE)?;
        Ok(Arc::new(class, GFP_KERNEL)?)
    }

    /// Shows by `show` what is known of a controller that was up.
    fn known(&self, f: &mut Formatter<'_>, show: ShowPart) -> fmt::Result {
        self.core.parts().map_or(Ok(()), |parts| show(parts, f))
    }

    fn count(&self, counter: &AtomicU32, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", counter.load(Relaxed))
    }

    /// Resets the controller and waits for the end of the reset.
    ///
    /// # Errors
    ///
    /// `EIO` if the controller does not work afterwards.
    fn reset(&self) -> Result {
        let Core { hardware, jobs, .. } = &*self.core;
        hardware.wait_for_failed_reset();
        hardware.notify(Event::Requested, "requested through sysfs");
        jobs.reset.flush();
        if hardware.is_live() {
            return Ok(());
        }
        Err(EIO)
    }

    /// Identifies the controller again, scans for namespaces and waits for the end of the scan.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the controller does not work.
    fn rescan(&self) -> Result {
        let Core { hardware, jobs, .. } = &*self.core;
        let parts = self.core.parts().filter(|_| hardware.is_live());
        let shared = &parts.ok_or(ENODEV)?.shared;
        shared.identify_again(hardware.device());
        jobs.scan.queue();
        jobs.scan.flush();
        Ok(())
    }
}
