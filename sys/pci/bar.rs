// SPDX-License-Identifier: GPL-2.0

//! BAR 0.
//!
//! The kernel crate's `pci::Bar` ends with the binding. Queues outlive the binding while they have
//! a holder, so [`Bar`] owns its mapping and lives as long as its last holder. A register access
//! after unbind hits a mapped address, whatever answers there.

use kernel::{
    bindings,
    device::Bound,
    io::{
        Io,
        IoBase,
        Mmio,
        MmioBackend,
        MmioRaw,
        Region, //
    },
    pci,
    prelude::*,
    sync::aref::ARef, //
};

/// The smallest BAR that a controller may have: the registers and the admin doorbells lie in the
/// first 8 KiB (NVMe Base 2.0, 3.1.3), the registers that this driver uses in the first 4 KiB.
pub(crate) const MIN_LEN: usize = 0x1000;

/// A mapped BAR 0.
///
/// # Invariants
///
/// `raw` is the mapping of the whole BAR that `pci_iomap` made. The BAR is in memory space (for a
/// BAR in I/O space `pci_iomap` returns no address). Only `Drop` unmaps it.
pub(crate) struct Bar {
    pdev: ARef<pci::Device>,
    raw: MmioRaw<Region<MIN_LEN>>,
}

impl Bar {
    /// Maps BAR 0 of `pdev`.
    ///
    /// # Errors
    ///
    /// `ENXIO`: there is no memory BAR 0, or it is smaller than [`MIN_LEN`]. `ENOMEM`.
    pub(crate) fn map(pdev: &pci::Device<Bound>) -> Result<Self> {
        let Some(len) = super::function::memory_bar(pdev, 0) else {
            dev_err!(pdev, "BAR 0 is not a memory BAR: not a usable controller\n");
            return Err(ENXIO);
        };
        let len = usize::try_from(len)?;
        if len < MIN_LEN {
            dev_err!(
                pdev,
                "BAR 0 has {} bytes, NVMe needs at least {}: not a usable controller\n",
                len,
                MIN_LEN
            );
            return Err(ENXIO);
        }
        // SAFETY: `pdev` is bound, so it is a valid device. Index 0 is a valid BAR number, and
        // length 0 means the whole BAR.
        let addr = unsafe { bindings::pci_iomap(super::function::raw(pdev), 0, 0) };
        if addr.is_null() {
            return Err(ENOMEM);
        }
        // A BAR is a power of two, and this one has at least 4 KiB, so this cannot fail; if it did,
        // unmap.
        let raw = MmioRaw::new_region(addr as usize, len).inspect_err(|_| {
            // SAFETY: `addr` came from `pci_iomap` of this device and has no user.
            unsafe { bindings::pci_iounmap(super::function::raw(pdev), addr) }
        })?;
        // INVARIANT: `raw` is the mapping that `pci_iomap` returned.
        Ok(Self {
            pdev: (&**pdev).into(),
            raw,
        })
    }

    /// The virtual address of the mapping.
    pub(in crate::sys) fn addr(&self) -> usize {
        self.raw.addr()
    }

    /// The length of the BAR in bytes.
    pub(crate) fn len(&self) -> usize {
        self.raw.size()
    }

    /// Reads a 64-bit register as two 32-bit ones, low half first: not every controller and not
    /// every bus supports 8-byte reads.
    pub(crate) fn read_lo_hi(&self, offset: usize) -> Result<u64> {
        let low = self.try_read32(offset)?;
        let high = self.try_read32(offset + 4)?;
        Ok(u64::from(high) << 32 | u64::from(low))
    }

    /// Writes a 64-bit register as two 32-bit ones, high half first: for a register whose low half
    /// has the bits that trigger its effect.
    pub(crate) fn write_hi_lo(&self, offset: usize, value: u64) -> Result {
        // CAST: the two halves of `value`.
        self.try_write32((value >> 32) as u32, offset + 4)?;
        self.try_write32(value as u32, offset)
    }

    /// Writes a 64-bit register as two 32-bit ones, low half first.
    pub(crate) fn write_lo_hi(&self, offset: usize, value: u64) -> Result {
        // CAST: the two halves of `value`.
        self.try_write32(value as u32, offset)?;
        self.try_write32((value >> 32) as u32, offset + 4)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        // SAFETY: by the type invariant this address came from `pci_iomap` of this device, and
        // `self` was its last user.
        unsafe {
            bindings::pci_iounmap(super::function::raw(&self.pdev), self.raw.addr() as *mut _)
        }
    }
}

impl<'a> IoBase<'a> for &'a Bar {
    type Backend = MmioBackend;
    type Target = Region<MIN_LEN>;

    fn as_view(self) -> Mmio<'a, Self::Target> {
        // SAFETY: by the type invariant the range is mapped for as long as `self` is borrowed.
        unsafe { Mmio::from_raw(self.raw) }
    }
}
