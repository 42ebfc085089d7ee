// SPDX-License-Identifier: GPL-2.0

//! The files of a controller in `/sys/class/rnvme/rnvme<N>`, with the names and the words of Linux's
//! driver (`drivers/nvme/host/sysfs.c`) where that has them.

use super::hardware::Hardware;
use crate::{
    admin::AdminQueue,
    nvme::{
        ControllerInfo,
        Text,
        VS, //
    },
    policy::{
        params,
        Event, //
    },
    sys::base::{
        Attribute,
        ClassDevice,
        Work, //
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

/// What the files are about.
pub(super) struct Attributes {
    pub(super) hardware: Arc<Hardware>,
    pub(super) admin: Arc<AdminQueue>,
    pub(super) reset: Arc<Work>,
    pub(super) scan: Arc<Work>,
    pub(super) info: ControllerInfo,
    pub(super) version: VS,
    pub(super) nqn: Text<256>,
    /// With the admin queue.
    pub(super) queues: u32,
    /// Of an I/O queue.
    pub(super) entries: u16,
}

impl Attributes {
    const TABLE: &'static [Attribute<Self>] = &[
        Attribute::ro(c"state", |a, f| f.write_str(a.hardware.state().name())),
        Attribute::wo(c"reset_controller", |a, _| a.reset()),
        Attribute::wo(c"rescan_controller", |a, _| a.rescan()),
        Attribute::ro(c"model", |a, f| f.write_str(a.info.model.as_str())),
        Attribute::ro(c"serial", |a, f| f.write_str(a.info.serial.as_str())),
        Attribute::ro(c"firmware_rev", |a, f| {
            f.write_str(a.info.firmware.as_str())
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
        Attribute::ro(c"subsysnqn", |a, f| f.write_str(a.nqn.as_str())),
        Attribute::ro(c"cntlid", |a, f| write!(f, "{}", a.info.id)),
        Attribute::ro(c"transport", |_, f| f.write_str("pcie")),
        Attribute::ro(c"address", |a, f| f.write_str(a.hardware.name())),
        Attribute::ro(c"numa_node", |a, f| write!(f, "{}", a.hardware.node())),
        Attribute::ro(c"queue_count", |a, f| write!(f, "{}", a.queues)),
        Attribute::ro(c"sqsize", |a, f| write!(f, "{}", a.entries - 1)),
        Attribute::rw(
            c"admin_timeout",
            |a, f| write!(f, "{}", a.admin.timeout_ms()),
            |a, text| {
                a.admin
                    .set_timeout_ms(params::milliseconds(text).ok_or(EINVAL)?);
                Ok(())
            },
        ),
        Attribute::ro(c"reset_count", |a, f| {
            a.count(&a.hardware.counters.resets, f)
        }),
        Attribute::ro(c"abort_count", |a, f| {
            a.count(&a.hardware.counters.aborts, f)
        }),
        Attribute::ro(c"lost_interrupt_count", |a, f| {
            a.count(&a.hardware.counters.lost_interrupts, f)
        }),
    ];

    /// Makes the device of controller `instance` below `parent`, with these files.
    pub(super) fn publish(self, parent: &Device, instance: u32) -> Result<Arc<ClassDevice<Self>>> {
        let attributes = Arc::new(self, GFP_KERNEL)?;
        let class = ClassDevice::new(parent, instance, attributes, Self::TABLE)?;
        Ok(Arc::new(class, GFP_KERNEL)?)
    }

    fn count(
        &self,
        counter: &AtomicU32,
        f: &mut kernel::fmt::Formatter<'_>,
    ) -> kernel::fmt::Result {
        write!(f, "{}", counter.load(Relaxed))
    }

    /// Resets the controller, and waits for it.
    fn reset(&self) -> Result {
        self.hardware.wait_for_failed_reset();
        self.hardware.notify(Event::Asked, "somebody asks for it");
        self.reset.flush();
        if self.hardware.is_live() {
            return Ok(());
        }
        Err(EIO)
    }

    /// Looks for namespaces, and waits until that is done.
    fn rescan(&self) -> Result {
        if !self.hardware.is_live() {
            return Err(ENODEV);
        }
        self.scan.queue();
        self.scan.flush();
        Ok(())
    }
}
