// SPDX-License-Identifier: GPL-2.0

//! What a controller consists of: what probe makes, and what the first bring-up that succeeds adds.

use super::{
    events::EventRequest,
    hardware::Hardware,
    jobs::Jobs,
    namespaces::Namespaces,
    queues::IoQueues,
    shared::Shared, //
};
use crate::{
    admin::AdminQueue,
    nvme::VS,
    policy::Params,
    sys::pci::Binding, //
};
use core::sync::atomic::AtomicBool;
use kernel::{
    device::Device,
    prelude::*,
    sync::{
        Arc,
        SetOnce, //
    }, //
};

/// A controller as its jobs and attributes see it.
pub(super) struct Core {
    /// Registers, interrupts and queues.
    pub(super) hardware: Arc<Hardware>,
    /// Executes admin commands.
    pub(super) admin: Arc<AdminQueue>,
    /// The background jobs.
    pub(super) jobs: Arc<Jobs>,
    /// The module parameters.
    pub(super) params: Params,
    /// A first bring-up after probe allocates memory of the device, which must be bound.
    pub(super) binding: Arc<Binding>,
    /// Empty as long as the controller was never up.
    parts: SetOnce<Parts>,
}

/// What depends on what the controller says of itself: made by the first bring-up that succeeds.
pub(super) struct Parts {
    pub(super) shared: Arc<Shared>,
    /// The version that the controller stated (VS).
    pub(super) version: VS,
    /// The I/O queues.
    pub(super) io: Arc<IoQueues>,
    /// The namespaces and their disks.
    pub(super) namespaces: Arc<Namespaces>,
    /// The request that waits for an asynchronous event.
    pub(super) events: Arc<EventRequest>,
    /// The first scan is over.
    pub(super) is_scanned: AtomicBool,
}

impl Core {
    /// A controller that was never up.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new(
        hardware: &Arc<Hardware>,
        admin: Arc<AdminQueue>,
        jobs: &Arc<Jobs>,
        params: &Params,
        binding: &Arc<Binding>,
    ) -> Result<Arc<Self>> {
        let core = Self {
            hardware: hardware.clone(),
            admin,
            jobs: jobs.clone(),
            params: *params,
            binding: binding.clone(),
            parts: SetOnce::new(),
        };
        Ok(Arc::new(core, GFP_KERNEL)?)
    }

    /// The parts of a controller that was up at least once.
    pub(super) fn parts(&self) -> Option<&Parts> {
        self.parts.as_ref()
    }

    /// The controller is up for the first time.
    pub(super) fn adopt(&self, parts: Parts) {
        parts.announce(self.hardware.device());
        self.parts.populate(parts);
    }

    /// Has the controller delete its I/O queues: see [`IoQueues::delete`].
    pub(super) fn delete_queues(&self) {
        if let Some(parts) = self.parts() {
            parts.io.delete();
        }
    }
}

impl Parts {
    /// Writes the lines of a controller that works into the log.
    fn announce(&self, dev: &Device) {
        let shared = &self.shared;
        let (version, info) = (self.version, shared.info());
        let counts = &self.io.counts;
        dev_info!(
            dev,
            "rnvme{}: {}, serial {}, firmware {}, NVMe {}.{}, {}/{}/{} default/read/poll queues of {}, transfers up to {} KiB\n",
            shared.number,
            info.model,
            info.serial,
            info.firmware,
            version.mjr().get(),
            version.mnr().get(),
            counts.default,
            counts.read,
            counts.poll,
            self.io.entries,
            shared.max_transfer() >> 10
        );
        if shared.params.keep_alive > 0 && shared.keep_alive().is_none() {
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
}
