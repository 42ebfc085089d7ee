// SPDX-License-Identifier: GPL-2.0

//! Starting and stopping a controller by its registers. NVMe Base 2.0, 3.5 (initialization), 3.6
//! (shutdown).

use crate::{
    admin,
    nvme::{
        regs,
        CapError,
        Capabilities,
        SelectedSets,
        AQA,
        CC,
        CRTO,
        CSTS,
        SHN_NORMAL, //
    },
    policy::{
        stop_step,
        timing,
        Absence,
        Presence,
        Quirks,
        Reading,
        ShutdownStatus,
        StopStep,
        FUNCTION_DELAY_MS,
        READY_DELAY_MS, //
    },
    sys::pci::{
        is_disconnected,
        is_frozen,
        is_present,
        stop_dma,
        Bar,
        LockedConfig,
        SavedConfig, //
    },
};
use core::sync::atomic::{
    AtomicU32,
    Ordering::Relaxed, //
};
use kernel::{
    io::{
        poll::read_poll_timeout,
        Io as _, //
    },
    pci,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    },
    time::{
        delay::fsleep,
        Delta,
        Instant,
        Monotonic, //
    }, //
};

/// The registers of a controller.
pub(super) struct Registers {
    pub(super) pdev: ARef<pci::Device>,
    pub(super) bar: Arc<Bar>,
    /// CAP, as it was when the driver was bound.
    pub(super) caps: Capabilities,
    /// CAP.TO in milliseconds, as it was when the controller was last enabled.
    pub(super) timeout_ms: AtomicU32,
    /// See [`Self::ready_ms`].
    pub(super) ready_ms: AtomicU32,
    /// The device's quirks ([`Quirks::into_raw`]).
    pub(super) quirks: AtomicU32,
    /// Config space as the driver wants it.
    pub(super) config: Arc<SavedConfig>,
}

/// What CSTS says of a controller that should work.
pub(super) enum Condition {
    /// The controller is ready.
    Good,
    /// The bus does not reach the controller; PCI core says what follows.
    Frozen,
    /// The controller is on the bus and reports a failure, or is not ready: CSTS.
    Failed(u32),
    /// The device is not on the bus: CSTS.
    Absent(u32),
}

impl Registers {
    /// CSTS as it is now.
    pub(super) fn csts(&self) -> CSTS {
        self.bar.read(CSTS)
    }

    /// The device's quirks.
    pub(super) fn quirks(&self) -> Quirks {
        Quirks::from_raw(self.quirks.load(Relaxed))
    }

    /// Milliseconds that must pass between CC.EN = 0 and the first look at CSTS.RDY.
    fn ready_delay_ms(&self) -> u32 {
        match self.quirks().has(Quirks::DELAY_BEFORE_CHK_RDY) {
            true => READY_DELAY_MS,
            false => 0,
        }
    }

    /// Milliseconds that must pass between a reset of the PCI function and the first access.
    pub(super) fn function_delay_ms(&self) -> u32 {
        match self.quirks().has(Quirks::DELAY_AFTER_FLR) {
            true => FUNCTION_DELAY_MS,
            false => 0,
        }
    }

    /// Resets the PCI function, whose config space is locked, and waits for as long as the device
    /// needs then.
    ///
    /// # Errors
    ///
    /// See [`LockedConfig::reset_function`].
    pub(super) fn reset_function(&self, config: &LockedConfig<'_>) -> Result {
        config.reset_function()?;
        fsleep(timing::millis(self.function_delay_ms()));
        Ok(())
    }

    /// The longest time that the controller states for a change of CSTS.RDY, in milliseconds: CAP.TO,
    /// or CRTO where that is more, as of when the controller was last enabled; and the delay before
    /// that.
    pub(super) fn ready_ms(&self) -> u32 {
        let stated = timing::granted_ready_ms(self.ready_ms.load(Relaxed));
        stated.saturating_add(self.ready_delay_ms())
    }

    /// Takes over the times that the stopped controller with `caps` states.
    fn take_times(&self, caps: &Capabilities) {
        self.timeout_ms.store(caps.timeout_ms, Relaxed);
        let ready = caps.ready_ms(|| self.bar.read(CRTO));
        self.ready_ms.store(ready, Relaxed);
    }

    /// Whether the controller works, as far as CSTS says.
    pub(super) fn health(&self) -> Condition {
        if is_frozen(&self.pdev) {
            return Condition::Frozen;
        }
        let csts = self.csts();
        let raw = csts.into_raw();
        if works(csts) {
            return Condition::Good;
        }
        // Some bridges do not answer with all ones for a device that is gone.
        match is_present(&self.pdev) {
            true => Condition::Failed(raw),
            false => Condition::Absent(raw),
        }
    }

    /// Whether CAP still says what the queues were built for: a reset may start another firmware,
    /// whose times hold from here on. The limits of queues are checked again when these are created.
    /// `logged`: the log has a line if not.
    ///
    /// # Errors
    ///
    /// `ENODEV`: the device is gone. `EIO`: CAP is another.
    pub(super) fn check_caps(&self, logged: bool) -> Result {
        let before = self.caps.doorbell_stride;
        match Capabilities::decode(self.bar.read_lo_hi(regs::CAP)?, self.quirks().least_entries()) {
            Ok(now) if now.doorbell_stride == before => {
                self.take_times(&now);
                return Ok(());
            }
            Ok(now) if logged => dev_err!(
                self.pdev,
                "doorbells are {} bytes apart now, they were {}: unbind the driver and bind it again\n",
                now.doorbell_stride,
                before
            ),
            Err(CapError::Gone) => return Err(ENODEV),
            Err(e) if logged => dev_err!(self.pdev, "{}\n", e),
            _ => {}
        }
        Err(EIO)
    }

    /// Gives the controller its admin queue, whose rings are at bus addresses `submission` and
    /// `completion`, and enables it: CC.EN = 1.
    ///
    /// # Errors
    ///
    /// As for [`Bar::write_lo_hi`].
    pub(super) fn enable(&self, submission: u64, completion: u64) -> Result {
        let last = admin::ENTRIES - 1;
        self.bar
            .write_reg(AQA::zeroed().try_with_asqs_z(last)?.try_with_acqs_z(last)?);
        self.bar.write_lo_hi(regs::ASQ, submission)?;
        self.bar.write_lo_hi(regs::ACQ, completion)?;
        self.bar
            .write_reg(self.configuration().with_const_en::<1>());
        Ok(())
    }

    /// What CC and CSTS say; `None` if one of them reads as all ones.
    fn reading(&self) -> Option<Reading> {
        let (cc, csts) = (self.bar.read(CC), self.csts());
        if cc.into_raw() == u32::MAX || gone(csts) {
            return None;
        }
        Some(Reading {
            enabled: cc.en() == 1,
            ready: csts.rdy() == 1,
            failed: csts.cfs() == 1,
            shutdown: ShutdownStatus::from_raw(csts.shst().get()),
        })
    }

    /// Stops the controller: reads the registers until these say that it has stopped, and writes
    /// CC.EN = 0 once that is allowed. Before `settled_by` an enabled controller may still become
    /// ready, or complete its shutdown.
    ///
    /// # Errors
    ///
    /// `ENODEV`: the device is gone. `ETIMEDOUT`: CC.EN = 0 and CSTS.RDY = 0 were not read within
    /// `longest`, to which the device's delay adds.
    pub(super) fn stop(&self, longest: Delta, settled_by: Instant<Monotonic>) -> Result {
        let delay = timing::millis(self.ready_delay_ms());
        let mut absence = Absence::NONE;
        read_poll_timeout(
            || {
                let reading = self.reading();
                let may_settle = settled_by - Instant::now() > Delta::ZERO;
                let step = stop_step(reading, may_settle);
                if step == StopStep::Disable {
                    self.bar.write_reg(self.configuration());
                    // CSTS must not be read before.
                    fsleep(delay);
                }
                if reading.is_none() && self.is_mute(&mut absence) {
                    return Err(ENODEV);
                }
                Ok(step)
            },
            |step| *step == StopStep::Done,
            timing::POLL_INTERVAL,
            longest + delay,
        )?;
        Ok(())
    }

    /// Waits until the enabled controller is ready, as long as `is_wanted`.
    ///
    /// # Errors
    ///
    /// `ENODEV`: the device is gone, or not wanted any more. `EIO`: the controller reports a fatal
    /// status. `ETIMEDOUT`: CSTS.RDY is still 0 after `timeout`.
    pub(super) fn wait_ready(&self, timeout: Delta, is_wanted: impl Fn() -> bool) -> Result {
        let enabled = Instant::<Monotonic>::now();
        // CSTS may still say for a while what it said before CC.EN = 1.
        let is_settled = || enabled.elapsed() > timing::millis(timing::FATAL_SETTLES_MS);
        let has_settled = |csts: &CSTS| match csts.cfs() == 1 {
            true => is_settled(),
            false => csts.rdy() == 1,
        };
        let mut absence = Absence::NONE;
        let csts = read_poll_timeout(
            || {
                let csts = self.csts();
                match gone(csts) && self.is_mute(&mut absence) {
                    true => Err(ENODEV),
                    false => Ok(csts),
                }
            },
            |csts| !gone(*csts) && has_settled(csts) || !is_wanted(),
            timing::POLL_INTERVAL,
            timeout,
        )?;
        if !is_wanted() {
            return Err(ENODEV);
        }
        if csts.rdy() != 1 || csts.cfs() == 1 {
            return Err(EIO);
        }
        Ok(())
    }

    /// Announces the loss of power (CC.SHN; CC.EN stays 1); returns whether it did: a controller that
    /// is not ready, or failed, is not told.
    pub(super) fn announce_shutdown(&self) -> bool {
        let works = |it: Reading| it.enabled && it.ready && !it.failed;
        let is_told = self.reading().is_some_and(works);
        if is_told {
            self.bar.write_reg(
                self.configuration()
                    .with_const_en::<1>()
                    .with_const_shn::<{ SHN_NORMAL }>(),
            );
        }
        is_told
    }

    /// Waits until the announced shutdown is complete (CSTS.SHST), or a reset has ended it.
    ///
    /// TIMEOUT: `Hardware::set_limits`.
    ///
    /// # Errors
    ///
    /// `ENODEV`: the device is gone. `EIO`: the controller reports a fatal status. `ETIMEDOUT` after
    /// `longest`.
    pub(super) fn wait_shutdown(&self, longest: Delta) -> Result {
        let is_over = |it: &Reading| !it.enabled || it.shutdown == ShutdownStatus::Complete;
        let mut absence = Absence::NONE;
        read_poll_timeout(
            || match self.reading() {
                None if self.is_mute(&mut absence) => Err(ENODEV),
                Some(it) if it.failed => Err(EIO),
                reading => Ok(reading),
            },
            |reading| reading.as_ref().is_some_and(is_over),
            timing::POLL_INTERVAL,
            longest,
        )?;
        Ok(())
    }

    /// Waits until the controller goes on with commands (CSTS.PP is 0), works no more, or is not wanted
    /// any more.
    ///
    /// # Errors
    ///
    /// `ETIMEDOUT` after `longest`.
    pub(super) fn wait_processing(&self, longest: Delta, is_wanted: impl Fn() -> bool) -> Result {
        read_poll_timeout(
            || Ok(self.csts()),
            |csts| csts.pp() == 0 || !works(*csts) || !is_wanted(),
            timing::POLL_INTERVAL,
            longest,
        )?;
        Ok(())
    }

    /// Whether the device is on the bus.
    pub(super) fn is_present(&self) -> bool {
        is_present(&self.pdev)
    }

    /// Whether the device is on the bus, which it was not since `absence`.
    pub(super) fn presence(&self, absence: &mut Absence) -> Presence {
        if is_disconnected(&self.pdev) {
            return Presence::Gone;
        }
        let is_there = self.is_present();
        if !is_there {
            self.config.note_absence();
        }
        absence.look(is_there, Instant::now())
    }

    /// Waits for a device that is away, until it is back or gone.
    ///
    /// TIMEOUT: longer than an absence, which begins with the first look and ends with a later one.
    pub(super) fn wait_present(&self, absence: &mut Absence) {
        let _ = read_poll_timeout(
            || Ok(self.presence(absence)),
            |presence| *presence != Presence::Away,
            timing::POLL_INTERVAL,
            timing::millis(2 * timing::ABSENCE_MS),
        );
    }

    /// Whether registers that read as all ones stay so: the device is gone, or has lost its config
    /// space. All ones may pass otherwise.
    fn is_mute(&self, absence: &mut Absence) -> bool {
        self.presence(absence) == Presence::Gone || self.config.is_lost()
    }

    /// Whether the device is on the bus, and the bus reaches it.
    pub(super) fn is_reachable(&self) -> bool {
        !is_frozen(&self.pdev) && self.is_present()
    }

    /// Takes bus mastering from the device.
    pub(super) fn stop_dma(&self) {
        stop_dma(&self.pdev);
    }

    /// CC as the driver wants it, with CC.EN = 0: entries of 64 (2^6) and 16 (2^4) bytes, pages of
    /// 4 KiB (MPS 0), and the command sets. CC is never made of what is read: that may be all ones.
    fn configuration(&self) -> CC {
        let entries = CC::zeroed()
            .with_const_iosqes::<6>()
            .with_const_iocqes::<4>();
        match self.caps.selected_sets {
            SelectedSets::Nvm => entries,
            SelectedSets::All => entries.with_const_css::<6>(),
            SelectedSets::None => entries.with_const_css::<7>(),
        }
    }

    /// CAP.TO, as of when the controller was last enabled.
    pub(super) fn stated_timeout(&self) -> Delta {
        timing::millis(self.timeout_ms.load(Relaxed))
    }
}

/// Whether CSTS is that of a controller that works.
fn works(csts: CSTS) -> bool {
    !gone(csts) && csts.cfs() == 0 && csts.rdy() == 1
}

/// Whether CSTS reads as all ones, as the registers of a device that is gone do.
fn gone(csts: CSTS) -> bool {
    csts.into_raw() == u32::MAX
}
