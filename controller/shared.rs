// SPDX-License-Identifier: GPL-2.0

//! What everything that works on a controller shares, made once.

use super::{
    hardware::Hardware,
    jobs::Jobs, //
};
use crate::{
    admin::AdminQueue,
    num::u32_as_usize,
    nvme::{
        ControllerInfo,
        Identify,
        PowerStates,
        SetAutonomousPower,
        SetHostBehavior,
        SetKeepAliveTimer,
        SetTimestamp,
        SubsystemName,
        Text,
        VS, //
    },
    policy::{
        Params,
        RetryPolicy, //
    },
    sys::{
        base::clock,
        dma, //
    },
};
use kernel::{
    device::{
        Bound,
        Device, //
    },
    io::Io as _,
    prelude::*,
    sync::Arc, //
};

/// Bytes of the largest transfer that the driver offers, whatever MDTS allows: as Linux.
const MAX_TRANSFER: u32 = 8 << 20;

/// What everything that works on a controller shares.
pub(super) struct Shared {
    /// Registers, interrupts and queues.
    pub(super) hardware: Arc<Hardware>,
    /// Executes admin commands.
    pub(super) admin: Arc<AdminQueue>,
    /// The background jobs.
    pub(super) jobs: Arc<Jobs>,
    /// The module parameters.
    pub(super) params: Params,
    /// The controller's number.
    pub(super) number: u32,
    /// Identify controller, as it was when the driver was bound.
    pub(super) info: ControllerInfo,
    /// The controller's subsystem.
    pub(super) subsystem: Arc<SubsystemName>,
    /// The NVM subsystem's qualified name.
    pub(super) nqn: Text<256>,
    /// Bytes of the largest transfer.
    pub(super) max_transfer: u32,
}

/// What Identify says of the controller.
pub(super) struct Identified {
    pub(super) info: ControllerInfo,
    subsystem: SubsystemName,
    nqn: Text<256>,
    power: PowerStates,
}

impl Identified {
    /// Executes Identify controller.
    ///
    /// # Errors
    ///
    /// What [`AdminQueue::identify`] returns; `ENODEV` if the controller cannot be driven.
    pub(super) fn get(admin: &AdminQueue, dev: &Device) -> Result<Self> {
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

    /// Sets the features that the host wants, each time that the controller was enabled. A
    /// controller that refuses one does without it; the log has a line.
    pub(super) fn configure(&self, admin: &AdminQueue, params: &Params) {
        if self.info.retry_delays.get(1) != 0 {
            admin.offer_data(&SetHostBehavior, &SetHostBehavior::DATA);
        }
        if self.info.timestamp {
            let now = SetTimestamp {
                ms: clock::unix_ms(),
            };
            admin.offer_data(&now, &now.data());
        }
        if self.power.is_autonomous() {
            let table = self.power.idle_table(params.default_ps_max_latency_us);
            let set = SetAutonomousPower {
                enable: table.deepest().is_some(),
            };
            admin.offer_data(&set, &table.bytes());
        }
        if let Some(ms) = self.info.keep_alive(params.keep_alive_ms()) {
            admin.offer(&SetKeepAliveTimer { ms });
        }
    }
}

impl Shared {
    /// Identifies and configures the controller that `hardware` has enabled.
    ///
    /// # Errors
    ///
    /// What [`Identified::get`] returns; `ENOMEM`.
    pub(super) fn identify(
        dev: &Device<Bound>,
        hardware: &Arc<Hardware>,
        admin: &Arc<AdminQueue>,
        jobs: &Arc<Jobs>,
        params: &Params,
    ) -> Result<Arc<Self>> {
        let identified = Identified::get(admin, dev)?;
        let info = identified.info;
        hardware.set_shutdown_time(info.rtd3e_us);
        hardware.set_abort_limit(info.abort_limit.into());
        identified.configure(admin, params);
        // CAST: at most 8 MiB.
        let mappable = dma::max_mapping(dev).min(u32_as_usize(MAX_TRANSFER)) as u32;
        let shared = Self {
            hardware: hardware.clone(),
            admin: admin.clone(),
            jobs: jobs.clone(),
            params: *params,
            number: hardware.number(),
            info,
            subsystem: Arc::new(identified.subsystem, GFP_KERNEL)?,
            nqn: identified.nqn,
            max_transfer: info
                .max_transfer
                .map_or(mappable, |mdts| mdts.min(mappable)),
        };
        Ok(Arc::new(shared, GFP_KERNEL)?)
    }

    /// The version of the specification that the controller states (VS).
    pub(super) fn version(&self) -> VS {
        self.hardware.bar().read(VS)
    }

    /// Milliseconds of the controller's keep alive timer, if it has one that the user wants.
    pub(super) fn keep_alive(&self) -> Option<u32> {
        self.info.keep_alive(self.params.keep_alive_ms())
    }

    /// Which failed commands are tried again.
    pub(super) fn retries(&self) -> RetryPolicy {
        RetryPolicy::new(self.params.retries(), self.info.retry_delays)
    }
}
