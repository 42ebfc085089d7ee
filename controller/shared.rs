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
        SetWriteCache,
        Subsystem,
        Text,
        VS, //
    },
    policy::{
        Continuation,
        Event,
        Params,
        Quirks,
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
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    }, //
};

/// Bytes of the largest transfer that the driver offers, whatever MDTS allows: as Linux.
const MAX_TRANSFER: u32 = 8 << 20;

/// What everything that works on a controller shares.
#[pin_data]
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
    /// LOCK: what the last Identify Controller said; inside: nothing. A reset takes it.
    #[pin]
    present: Mutex<Present>,
    /// The controller's subsystem.
    pub(super) subsystem: Arc<Subsystem>,
    /// The NVM subsystem's qualified name.
    pub(super) nqn: Text<256>,
    /// Bytes of the largest transfer that the queues were made for.
    made_for: u32,
}

/// What holds of the controller.
struct Present {
    /// What the last Identify Controller said.
    info: ControllerInfo,
    /// How many resets have identified the controller, modulo 2^32.
    round: u32,
    /// Whether no scan has told the disks yet of a volatile write cache that is new.
    has_new_cache: bool,
}

/// What Identify says of the controller.
pub(super) struct Identified {
    pub(super) info: ControllerInfo,
    subsystem: Subsystem,
    quirks: Quirks,
    power: PowerStates,
}

impl Identified {
    /// Executes Identify controller.
    ///
    /// # Errors
    ///
    /// What [`AdminQueue::identify`] returns; `EOPNOTSUPP` if the controller cannot be driven, with a
    /// line in the log.
    pub(super) fn get(admin: &AdminQueue, dev: &Device, quirks: Quirks) -> Result<Self> {
        let page = admin.identify(&Identify::controller())?;
        let raw = page.get()?;
        let info = ControllerInfo::decode(raw).map_err(|e| {
            if !admin.is_silent() {
                dev_err!(dev, "{}\n", e);
            }
            EOPNOTSUPP
        })?;
        let (model, firmware) = (info.model.as_str(), info.firmware.as_str());
        let quirks = quirks.with_model(info.vendor, model, firmware);
        Ok(Self {
            info,
            subsystem: raw.subsystem(quirks.has(Quirks::IGNORE_DEV_SUBNQN)),
            quirks,
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
            let longest = match self.quirks.has(Quirks::NO_APST) {
                true => 0,
                false => params.default_ps_max_latency_us,
            };
            let skip_last = self.quirks.has(Quirks::NO_DEEPEST_PS);
            let table = self.power.idle_table(longest, skip_last);
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
        let identified = Identified::get(admin, dev, hardware.quirks())?;
        let info = identified.info;
        hardware.set_quirks(identified.quirks);
        hardware.set_limits(&info);
        identified.configure(admin, params);
        // CAST: at most 8 MiB.
        let mappable = dma::max_mapping(dev).min(u32_as_usize(MAX_TRANSFER)) as u32;
        let nqn = Text::new(&identified.subsystem.name);
        let subsystem = Arc::new(identified.subsystem, GFP_KERNEL)?;
        Arc::pin_init(
            pin_init!(Self {
                hardware: hardware.clone(),
                admin: admin.clone(),
                jobs: jobs.clone(),
                params: *params,
                number: hardware.number(),
                present <- new_mutex!(Present {
                    info,
                    round: 0,
                    has_new_cache: false,
                }),
                subsystem,
                nqn,
                made_for: info
                    .max_transfer
                    .map_or(mappable, |mdts| mdts.min(mappable)),
            }),
            GFP_KERNEL,
        )
    }

    /// What the last Identify Controller said: at probe, in the last reset, or with the firmware that
    /// was activated since.
    pub(super) fn info(&self) -> ControllerInfo {
        self.present.lock().info
    }

    /// Bytes of the largest transfer.
    pub(super) fn max_transfer(&self) -> u32 {
        let now = self.info().max_transfer;
        now.map_or(self.made_for, |mdts| mdts.min(self.made_for))
    }

    /// All disks know whether the controller has a volatile write cache, as of `info`.
    pub(super) fn cache_is_known(&self, info: &ControllerInfo) {
        if info.volatile_write_cache {
            self.present.lock().has_new_cache = false;
        }
    }

    /// A reset found the controller as `identified`: that holds from here on.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the controller may not go on, with a line in the log; what executing Set Features
    /// returns, if a new cache cannot be switched off.
    pub(super) fn adopt(&self, identified: &Identified, dev: &Device) -> Result {
        let next = self.next(identified, dev)?;
        let mut present = self.present.lock();
        present.info = next;
        present.round = present.round.wrapping_add(1);
        Ok(())
    }

    /// Identifies a controller that works: new firmware may run, activated with a notice or without.
    /// A controller that may not go on is reset.
    pub(super) fn identify_again(&self, dev: &Device) {
        let (round, before) = {
            let present = self.present.lock();
            (present.round, present.info.firmware)
        };
        let Ok(identified) = Identified::get(&self.admin, dev, self.hardware.quirks()) else {
            return;
        };
        if identified.info.firmware.as_str() != before.as_str() {
            // The same firmware would refuse the same again, with an entry in the drive's error log.
            self.admin.forget_refusals();
        }
        match self.next(&identified, dev) {
            Ok(next) => {
                let mut present = self.present.lock();
                // What a reset has found since is newer.
                if present.round == round {
                    present.info = next;
                }
            }
            // A reset ends commands, and identifies the controller itself.
            Err(_) if !self.hardware.is_live() => {}
            Err(_) => {
                let why = "it identifies itself as another controller, or one that does less";
                self.hardware.notify(Event::Fault, why);
            }
        }
    }

    /// What holds of the controller that identifies itself as `identified` now.
    fn next(&self, identified: &Identified, dev: &Device) -> Result<ControllerInfo> {
        let before = self.info();
        let next = Continuation::new(&before, &identified.info);
        let next = next.map_err(|what| {
            if !self.admin.is_silent() {
                dev_err!(
                    dev,
                    "another controller, or one that does less than before: {}\n",
                    what
                );
            }
            ENODEV
        })?;
        let has_new_cache = {
            let mut present = self.present.lock();
            present.has_new_cache |= next.has_new_cache;
            present.has_new_cache &= next.info.volatile_write_cache;
            present.has_new_cache
        };
        if has_new_cache {
            dev_warn!(
                dev,
                "the controller has a volatile write cache now: switching it off until the next reset\n"
            );
            // If the controller refuses, the disks flush the cache from the next scan on.
            self.admin.offer(&SetWriteCache { enable: false });
        }
        if next.has_other_model {
            dev_warn!(
                dev,
                "model {} now, it was {}: the serial number is the same, the disks stay\n",
                next.info.model,
                before.model
            );
        }
        if before.firmware.as_str() != next.info.firmware.as_str() {
            dev_info!(
                dev,
                "firmware {} runs now, it was {}\n",
                next.info.firmware,
                before.firmware
            );
        }
        self.hardware.set_limits(&next.info);
        Ok(next.info)
    }

    /// The version of the specification that the controller states (VS).
    pub(super) fn version(&self) -> VS {
        self.hardware.bar().read(VS)
    }

    /// Milliseconds of the controller's keep alive timer, if it has one that the user wants.
    pub(super) fn keep_alive(&self) -> Option<u32> {
        self.info().keep_alive(self.params.keep_alive_ms())
    }

    /// Which failed commands are tried again.
    pub(super) fn retries(&self) -> RetryPolicy {
        RetryPolicy::new(self.params.retries(), self.info().retry_delays)
    }
}
