// SPDX-License-Identifier: GPL-2.0

//! The controller memory buffer, mapped: memory of the device that the host writes submission
//! queues into. Uncached, so that stores arrive in order and before the doorbell, as `writel`'s do.

use super::{
    bar::Bar,
    function::{
        raw,
        Region, //
    },
};
use crate::{
    num::{
        u32_as_usize,
        u64_as_usize,
        usize_as_u64, //
    },
    nvme::{
        cmb,
        CmbLayout, //
    },
};
use kernel::{
    bindings,
    device::Bound,
    pci,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    }, //
};

/// The mapped buffer.
///
/// # Invariants
///
/// `addr` is a mapping made by `pci_iomap_range` of `layout.len` bytes; it is unmapped only by
/// `Drop`.
pub(in crate::sys) struct CmbMapping {
    pdev: ARef<pci::Device>,
    addr: *mut c_void,
    layout: CmbLayout,
    bus_address: u64,
}

// SAFETY: the mapping belongs to no thread; there is nothing but its address.
unsafe impl Send for CmbMapping {}
// SAFETY: as above.
unsafe impl Sync for CmbMapping {}

impl CmbMapping {
    /// The memory of the `index`th of pieces of `bytes`, page-aligned, and the controller's
    /// address of it, if the buffer has that many.
    pub(in crate::sys) fn piece(&self, index: usize, bytes: usize) -> Option<(*mut u64, u64)> {
        let start = self
            .layout
            .piece(usize_as_u64(index), usize_as_u64(bytes))?;
        // SAFETY: by the type invariant the mapping has `layout.len` bytes, and `piece` returns a
        // start within them.
        let addr = unsafe { self.addr.add(u64_as_usize(start)) };
        Some((addr.cast(), self.bus_address.checked_add(start)?))
    }
}

impl Drop for CmbMapping {
    fn drop(&mut self) {
        // SAFETY: by the type invariant this address came from `pci_iomap_range` of this device,
        // and `self` was its last user.
        unsafe { bindings::pci_iounmap(raw(&self.pdev), self.addr) }
    }
}

/// The buffer in use. To be dropped when the controller has stopped; the mapping stays as long as
/// a queue is in it.
pub(crate) struct ControllerMemory {
    mapping: Arc<CmbMapping>,
    bar: Arc<Bar>,
    /// What the controller is told (CMBMSC), if it must be, and must be told to forget.
    control: Option<u64>,
    _region: Option<Region>,
}

impl ControllerMemory {
    /// Maps the buffer at `layout`; with `tell`, the controller is told of its address, as one of
    /// NVMe 1.4 or later must be.
    ///
    /// # Errors
    ///
    /// `EBUSY` if another driver holds the BAR; `ENOMEM`; `EINVAL` if the address cannot be told.
    pub(crate) fn map(
        pdev: &pci::Device<Bound>,
        bar: &Arc<Bar>,
        layout: CmbLayout,
        tell: bool,
    ) -> Result<Self> {
        let normal: &pci::Device = pdev;
        let index = c_int::try_from(layout.bar)?;
        // BAR 0 is claimed already.
        let region = match index {
            0 => None,
            _ => Some(Region::claim(normal, index, c"rnvme_cmb")?),
        };
        let bus_address = bus_address(normal, layout.bar)?
            .checked_add(layout.offset)
            .ok_or(EINVAL)?;
        let control = CmbLayout::control(bus_address).ok_or(EINVAL)?;
        // SAFETY: `pdev` is bound, so it is a valid device; `CmbLayout` keeps the range in the BAR,
        // and `pci_iomap_range` returns null if it is not.
        let addr = unsafe {
            bindings::pci_iomap_range(
                raw(normal),
                index,
                u64_as_usize(layout.offset),
                u64_as_usize(layout.len),
            )
        };
        if addr.is_null() {
            return Err(ENOMEM);
        }
        // INVARIANT: just mapped.
        let mapping = CmbMapping {
            pdev: normal.into(),
            addr,
            layout,
            bus_address,
        };
        let memory = Self {
            mapping: Arc::new(mapping, GFP_KERNEL)?,
            bar: bar.clone(),
            control: tell.then_some(control),
            _region: region,
        };
        memory.tell()?;
        Ok(memory)
    }

    /// Tells the controller where the buffer is, if it must be told: also after a reset, when it
    /// may have forgotten.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the BAR is too short for the register.
    pub(crate) fn tell(&self) -> Result {
        match self.control {
            Some(control) => self.bar.write_hi_lo(cmb::CMBMSC, control),
            None => Ok(()),
        }
    }

    /// The mapping, for a queue to be in.
    pub(in crate::sys) fn mapping(&self) -> &Arc<CmbMapping> {
        &self.mapping
    }
}

impl Drop for ControllerMemory {
    fn drop(&mut self) {
        if self.control.is_some() {
            // Only a BAR that is too short could refuse it, which was found out before.
            let _ = self.bar.write_hi_lo(cmb::CMBMSC, 0);
        }
    }
}

/// The address at which the bus has BAR `bar` (`pci_bus_address`).
fn bus_address(pdev: &pci::Device, bar: u32) -> Result<u64> {
    let mut region = bindings::pci_bus_region::default();
    // SAFETY: `pdev` is a valid device on a bus; its resources do not change while it is bound.
    unsafe {
        let device = raw(pdev);
        let resource = (*device)
            .resource
            .get_mut(u32_as_usize(bar))
            .ok_or(EINVAL)?;
        bindings::pcibios_resource_to_bus((*device).bus, &mut region, resource);
    }
    Ok(region.start)
}
