// SPDX-License-Identifier: GPL-2.0

//! The attributes of a controller in `/sys/class/rnvme/rnvme<N>`, with the names and values of Linux's
//! driver (`drivers/nvme/host/sysfs.c`) where it has them.

use super::{
    queues::IoQueues,
    shared::Shared, //
};
use crate::{
    nvme::VS,
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
    prelude::*,
    sync::Arc, //
};

/// What the attributes show.
pub(super) struct Attributes {
    shared: Arc<Shared>,
    io: Arc<IoQueues>,
    version: VS,
}

impl Attributes {
    const TABLE: &'static [Attribute<Self>] = &[
        Attribute::ro(c"state", |a, f| {
            f.write_str(a.shared.hardware.state().name())
        }),
        Attribute::wo(c"reset_controller", |a, _| a.reset()),
        Attribute::wo(c"rescan_controller", |a, _| a.rescan()),
        Attribute::ro(c"model", |a, f| f.write_str(a.shared.info().model.as_str())),
        Attribute::ro(c"serial", |a, f| {
            f.write_str(a.shared.info().serial.as_str())
        }),
        Attribute::ro(c"firmware_rev", |a, f| {
            f.write_str(a.shared.info().firmware.as_str())
        }),
        Attribute::ro(c"version", |a, f| {
            write!(
                f,
                "{}.{}.{}",
                a.version.mjr().get(),
                a.version.mnr().get(),
                a.version.ter().get()
            )
        }),
        Attribute::ro(c"quirks", |a, f| a.shared.hardware.quirks().write(f, "\n")),
        Attribute::ro(c"subsysnqn", |a, f| f.write_str(a.shared.nqn.as_str())),
        Attribute::ro(c"cntlid", |a, f| write!(f, "{}", a.shared.info().id)),
        Attribute::ro(c"transport", |_, f| f.write_str("pcie")),
        Attribute::ro(c"address", |a, f| f.write_str(a.shared.hardware.name())),
        Attribute::ro(c"numa_node", |a, f| {
            write!(f, "{}", a.shared.hardware.node())
        }),
        Attribute::ro(c"queue_count", |a, f| {
            write!(f, "{}", a.io.counts.total() + 1)
        }),
        Attribute::ro(c"sqsize", |a, f| write!(f, "{}", a.io.entries - 1)),
        Attribute::rw(
            c"admin_timeout",
            |a, f| write!(f, "{}", a.shared.admin.timeout_ms()),
            |a, text| {
                a.shared
                    .admin
                    .set_timeout_ms(params::milliseconds(text).ok_or(EINVAL)?);
                Ok(())
            },
        ),
        Attribute::ro(c"recovery_bound_ms", |a, f| {
            write!(f, "{}", a.io.recovery_bound_ms())
        }),
        Attribute::ro(c"reset_count", |a, f| {
            a.count(&a.shared.hardware.counters.resets, f)
        }),
        Attribute::ro(c"abort_count", |a, f| {
            a.count(&a.shared.hardware.counters.aborts, f)
        }),
        Attribute::ro(c"lost_interrupt_count", |a, f| {
            a.count(&a.shared.hardware.counters.lost_interrupts, f)
        }),
    ];

    /// Makes the class device of the controller below `parent`, with these attributes.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; what registering the device returns.
    pub(super) fn publish(
        shared: &Arc<Shared>,
        io: &Arc<IoQueues>,
        parent: &Device,
    ) -> Result<Arc<ClassDevice<Self>>> {
        let attributes = Self {
            shared: shared.clone(),
            io: io.clone(),
            version: shared.version(),
        };
        let attributes = Arc::new(attributes, GFP_KERNEL)?;
        let class = ClassDevice::new(parent, shared.number, attributes, Self::TABLE)?;
        Ok(Arc::new(class, GFP_KERNEL)?)
    }

    fn count(
        &self,
        counter: &AtomicU32,
        f: &mut kernel::fmt::Formatter<'_>,
    ) -> kernel::fmt::Result {
        write!(f, "{}", counter.load(Relaxed))
    }

    /// Resets the controller and waits for the end of the reset.
    ///
    /// # Errors
    ///
    /// `EIO` if the controller does not work afterwards.
    fn reset(&self) -> Result {
        self.shared.hardware.wait_for_failed_reset();
        self.shared
            .hardware
            .notify(Event::Requested, "requested through sysfs");
        self.shared.jobs.reset.flush();
        if self.shared.hardware.is_live() {
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
        if !self.shared.hardware.is_live() {
            return Err(ENODEV);
        }
        self.shared.identify_again(self.shared.hardware.device());
        self.shared.jobs.scan.queue();
        self.shared.jobs.scan.flush();
        Ok(())
    }
}
