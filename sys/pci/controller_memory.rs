// SPDX-License-Identifier: GPL-2.0

//! The mapped controller memory buffer (CMB): the host writes submission queues to this memory of
//! the device. The mapping is uncached, so stores arrive in order and before the doorbell, as those
//! of `writel` do.

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
/// `addr` is a mapping of `layout.len` bytes that `pci_iomap_range` made. Only `Drop` unmaps it.
pub(in crate::sys) struct CmbMapping {
    pdev: ARef<pci::Device>,
    addr: *mut c_void,
    layout: CmbLayout,
    bus_address: u64,
}

// SAFETY: a mapping belongs to no thread, and the other fields may be sent and shared.
unsafe impl Send for CmbMapping {}
// SAFETY: as above.
unsafe impl Sync for CmbMapping {}

impl CmbMapping {
    /// Piece `index` of the buffer, if it is divided into pieces of `bytes` bytes and has that
    /// many: the virtual address and the controller's address, both page-aligned.
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

/// The buffer in use. Dropped after the controller has stopped. The mapping stays as long as a
/// queue is in the buffer.
pub(crate) struct ControllerMemory {
    mapping: Arc<CmbMapping>,
    bar: Arc<Bar>,
    /// The value of CMBMSC, if the controller has to be told the address. `Drop` clears the
    /// register then.
    control: Option<u64>,
    _region: Option<Region>,
}

impl ControllerMemory {
    /// Maps the buffer at `layout`. With `tell`, writes its address to CMBMSC: a controller of NVMe
    /// 1.4 or later must be told.
    ///
    /// # Errors
    ///
    /// `EBUSY` if another driver holds the BAR; `ENOMEM`; `EINVAL` if CMBMSC cannot hold the
    /// address.
    pub(crate) fn map(
        pdev: &pci::Device<Bound>,
        bar: &Arc<Bar>,
        layout: CmbLayout,
        tell: bool,
    ) -> Result<Self> {
        let normal: &pci::Device = pdev;
        let index = c_int::try_from(layout.bar)?;
        // `Claim` has claimed BAR 0 already.
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
        // INVARIANT: `pci_iomap_range` has just mapped `layout.len` bytes at `addr`.
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

    /// Writes the address of the buffer to CMBMSC, if the controller has to be told. Called again
    /// after a reset, which may have cleared the register.
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

    /// The mapping, for the rings of a queue.
    pub(in crate::sys) fn mapping(&self) -> &Arc<CmbMapping> {
        &self.mapping
    }
}

impl Drop for ControllerMemory {
    fn drop(&mut self) {
        if self.control.is_some() {
            // Fails only if the BAR is too short for the register; `map` has failed then.
            let _ = self.bar.write_hi_lo(cmb::CMBMSC, 0);
        }
    }
}

/// The address of BAR `bar` on the bus (`pci_bus_address`).
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
