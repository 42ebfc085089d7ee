// SPDX-License-Identifier: GPL-2.0

//! The first start of a controller: its parts are attached one after the other.

use super::{
    Aborts,
    Counters,
    Hardware,
    Inner,
    Lines,
    Registers, //
};
use crate::{
    nvme::{
        regs,
        CapError,
        Capabilities,
        ControllerInfo, //
    },
    policy::{
        timing,
        Absence,
        Lifecycle,
        Quirks, //
    },
    sys::{
        base::{
            RateLimit,
            Work, //
        },
        pci::{
            is_present,
            Bar,
            ControllerMemory,
            SavedConfig,
            Shadows, //
        },
    },
};
use core::sync::atomic::{
    AtomicU32,
    AtomicU8,
    Ordering::Relaxed, //
};
use kernel::{
    io::poll::read_poll_timeout,
    new_mutex,
    pci,
    prelude::*,
    sync::Arc,
    time::Delta, //
};

/// What [`Hardware`] is made from.
pub(crate) struct Identity {
    /// The registers.
    pub(crate) bar: Arc<Bar>,
    /// CAP, decoded.
    pub(crate) caps: Capabilities,
    /// The controller's number.
    pub(crate) number: u32,
    /// Whether threads handle interrupts.
    pub(crate) threads: bool,
    /// The device's quirks, as its PCI ids tell.
    pub(crate) quirks: Quirks,
    /// The job that brings the controller up again.
    pub(crate) reset: Arc<Work>,
    /// Config space as the driver wants it.
    pub(crate) config: Arc<SavedConfig>,
}

/// Reads CAP. A device that reads as all ones may still be on its way out of a reset.
///
/// # Errors
///
/// `ENODEV` if CAP stays all ones, or says that the controller cannot be driven; the log has a line.
pub(crate) fn read_caps(pdev: &pci::Device, bar: &Bar, quirks: Quirks) -> Result<Capabilities> {
    let least = quirks.least_entries();
    let decode = || Ok(Capabilities::decode(bar.read_lo_hi(regs::CAP)?, least));
    let caps = read_poll_timeout(
        decode,
        |caps| !matches!(caps, Err(CapError::Gone)) || !is_present(pdev),
        timing::POLL_INTERVAL,
        timing::millis(timing::ANSWER_MS),
    );
    caps.or_else(|_| decode())?.map_err(|e| {
        dev_err!(pdev, "{}\n", e);
        ENODEV
    })
}

impl Hardware {
    /// The controller of `identity`, in whatever state it is: [`Self::restart`] reads that.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(pdev: &pci::Device, identity: Identity) -> Result<Arc<Self>> {
        let aborts = Arc::new(Aborts::new(pdev), GFP_KERNEL)?;
        let registers = Registers {
            pdev: pdev.into(),
            bar: identity.bar,
            timeout_ms: AtomicU32::new(identity.caps.timeout_ms),
            ready_ms: AtomicU32::new(identity.caps.timeout_ms),
            caps: identity.caps,
            quirks: AtomicU32::new(identity.quirks.into_raw()),
            config: identity.config,
        };
        let life = Lifecycle::NEW;
        Arc::pin_init(
            pin_init!(Self {
                registers,
                number: identity.number,
                threads: identity.threads,
                snapshot: AtomicU8::new(life.snapshot().into_raw()),
                reset: identity.reset,
                aborts,
                timeouts <- RateLimit::new(),
                counters: Counters::default(),
                inner <- new_mutex!(Inner {
                    life,
                    settled_by: None,
                    absence: Absence::NONE,
                    has_memory: false,
                    shutdown: timing::millis(timing::SHUTDOWN_MS),
                    lines: Lines::NONE,
                    admin: None,
                    io: None,
                }),
            }),
            GFP_KERNEL,
        )
    }

    /// Sets what the controller of `info` states: how many Abort commands it takes at a time (ACL),
    /// and how long an orderly shutdown takes (RTD3E), but [`timing::SHUTDOWN_MS`] to
    /// [`timing::LONGEST_SHUTDOWN_MS`].
    pub(crate) fn set_limits(&self, info: &ControllerInfo) {
        self.aborts.set_limit(info.abort_limit.into());
        self.inner.lock().shutdown = Delta::from_micros(info.rtd3e_us.into())
            .max(timing::millis(timing::SHUTDOWN_MS))
            .min(timing::millis(timing::LONGEST_SHUTDOWN_MS));
    }

    /// Keeps the pages of the shadow doorbells until the controller is stopped.
    pub(crate) fn keep_shadows(&self, shadows: Arc<Shadows>) {
        if let Some(admin) = &mut self.inner.lock().admin {
            admin.shadows = Some(shadows);
        }
    }

    /// Keeps the controller memory buffer switched on until the controller is stopped.
    pub(crate) fn keep_memory(&self, memory: Arc<ControllerMemory>) {
        if let Some(admin) = &mut self.inner.lock().admin {
            admin.memory = Some(memory);
        }
    }

    /// Takes over the quirks that Identify Controller tells besides the PCI ids.
    pub(crate) fn set_quirks(&self, quirks: Quirks) {
        self.registers.quirks.store(quirks.into_raw(), Relaxed);
    }
}
