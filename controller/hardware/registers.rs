// SPDX-License-Identifier: GPL-2.0

//! Starting and stopping a controller by its registers. NVMe Base 2.0, 3.5 (initialization), 3.6
//! (shutdown).

use super::{
    Hardware,
    Inner,
    Stop,
    POLL_INTERVAL, //
};
use crate::{
    admin,
    nvme::{
        regs,
        CapError,
        Capabilities,
        AQA,
        CC,
        CRTO,
        CSTS,
        SHN_NORMAL, //
    },
    sys::pci::{
        is_present,
        stop_dma, //
    },
};
use kernel::{
    io::{
        poll::read_poll_timeout,
        Io as _, //
    },
    prelude::*,
    time::Delta, //
};

/// How much longer than CAP.TO a reset may wait for the controller, all in all.
pub(super) const RESET_MARGIN: Delta = Delta::from_secs(1);
/// How long a controller is waited for that has had its time.
pub(super) const LAST_CHANCE: Delta = Delta::from_millis(100);

impl Hardware {
    /// Gives the controller its admin queue, enables it and waits until it is ready.
    ///
    /// # Errors
    ///
    /// `ENODEV`: it is gone, or was told to stop meanwhile. `EIO`: it reports a fatal status, or is not
    /// the controller any more that it was. `ETIMEDOUT`: it is not ready within CAP.TO (or CRTO).
    pub(crate) fn start_admin(&self) -> Result {
        self.check_caps()?;
        let (queue, timeout) = {
            let mut inner = self.inner.lock();
            let queue = inner.admin.clone().ok_or(ENODEV)?;
            if !self.is_coming_up() {
                return Err(ENODEV);
            }
            let bar = self.bar();
            let last = admin::ENTRIES - 1;
            bar.write_reg(AQA::zeroed().try_with_asqs_z(last)?.try_with_acqs_z(last)?);
            bar.write_lo_hi(regs::ASQ, queue.submission_ring())?;
            bar.write_lo_hi(regs::ACQ, queue.completion_ring())?;
            inner.stopped = false;
            inner.halted = false;
            // Entries of 64 (2^6) and 16 (2^4) bytes, pages of 4 KiB (MPS 0), the NVM command set.
            bar.write_reg(
                CC::zeroed()
                    .with_const_iosqes::<6>()
                    .with_const_iocqes::<4>()
                    .with_const_en::<1>(),
            );
            let worst = self.caps.ready_ms(|| bar.read(CRTO));
            (queue, self.timeout(&inner, worst))
        };
        self.wait_ready(true, timeout).inspect_err(|_| {
            dev_err!(
                self.pdev,
                "controller is not ready: CSTS {:#x} (it had {} ms to become so)\n",
                self.csts(),
                timeout.as_millis()
            );
        })?;
        self.open(&queue)
    }

    /// Whether CAP still says what everything was built for: another firmware may have begun in a
    /// reset. What it takes of queues it says again when they are created.
    fn check_caps(&self) -> Result {
        let before = self.caps.doorbell_stride;
        match Capabilities::decode(self.bar.read_lo_hi(regs::CAP)?) {
            Ok(now) if now.doorbell_stride == before => return Ok(()),
            Ok(now) => dev_err!(
                self.pdev,
                "doorbells are {} bytes apart now, they were {}: unbind the driver and bind it again\n",
                now.doorbell_stride,
                before
            ),
            Err(CapError::Gone) => return Err(ENODEV),
            Err(e) => dev_err!(self.pdev, "{}\n", e),
        }
        Err(EIO)
    }

    /// Disables a controller that firmware may have left running, or that is still being reset, and
    /// waits until it is.
    ///
    /// # Errors
    ///
    /// As for [`Self::start_admin`].
    pub(super) fn disable(&self, timeout: Delta) -> Result {
        self.bar
            .update(CC, |cc| cc.with_const_en::<0>().with_const_shn::<0>());
        self.wait_ready(false, timeout)
    }

    /// How long the controller may take to become ready, or not ready: `worst_ms` milliseconds.
    ///
    /// TIMEOUT: CAP.TO is the worst case that the controller itself states (NVMe Base 2.0,
    /// 3.1.3.1) for either direction, or CRTO for becoming ready. In a reset both together get it
    /// once, and a little more.
    fn timeout(&self, inner: &Inner, worst_ms: u32) -> Delta {
        let worst = Delta::from_millis(worst_ms.into());
        match inner.since {
            None => worst,
            Some(since) => {
                let left = worst.as_nanos() + RESET_MARGIN.as_nanos() - since.elapsed().as_nanos();
                Delta::from_nanos(left).max(LAST_CHANCE).min(worst)
            }
        }
    }

    fn wait_ready(&self, ready: bool, timeout: Delta) -> Result {
        let status = read_poll_timeout(
            || Ok(self.bar.read(CSTS)),
            |csts| {
                gone(*csts)
                    || (ready && (csts.cfs() == 1 || !self.is_coming_up()))
                    || (csts.rdy() == 1) == ready
            },
            POLL_INTERVAL,
            timeout,
        )?;
        if gone(status) || (ready && !self.is_coming_up()) {
            return Err(ENODEV);
        }
        if (status.rdy() == 1) != ready || (ready && status.cfs() == 1) {
            return Err(EIO);
        }
        Ok(())
    }

    /// Stops the controller and takes its right to access memory; returns whether it confirmed
    /// that it stopped, or is gone.
    pub(super) fn power_down(&self, how: Stop, inner: &mut Inner) -> bool {
        if !is_present(&self.pdev) {
            // It may only have been away for a moment.
            stop_dma(&self.pdev);
            return true;
        }
        let csts = self.bar.read(CSTS);
        if how == Stop::Orderly && !gone(csts) && csts.rdy() == 1 {
            self.bar
                .update(CC, |cc| cc.with_const_shn::<{ SHN_NORMAL }>());
            // TIMEOUT: see `set_shutdown_time`.
            let _ = read_poll_timeout(
                || Ok(self.bar.read(CSTS)),
                |csts| gone(*csts) || csts.shst() == 2,
                POLL_INTERVAL,
                inner.shutdown,
            );
        }
        // Not earlier: with a pin, and no doorbell, the interrupt would stay.
        inner.mute();
        let stopped = match self.disable(self.timeout(inner, self.caps.timeout_ms)) {
            Ok(()) => true,
            Err(e) => e == ENODEV,
        };
        // Whatever its registers say.
        stop_dma(&self.pdev);
        stopped
    }
}

/// All ones is what a device that is not there reads as.
pub(super) fn gone(csts: CSTS) -> bool {
    csts.into_raw() == u32::MAX
}
