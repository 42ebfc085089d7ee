// SPDX-License-Identifier: GPL-2.0

//! What the kernel crate's PCI abstraction lacks: claiming BAR 0, stopping DMA, and the callbacks
//! of `struct pci_driver` beyond probe and remove.

use core::{
    marker::PhantomData,
    mem::offset_of,
    pin::Pin, //
};
use kernel::{
    bindings,
    device,
    driver,
    error::to_result,
    pci,
    prelude::*,
    sync::aref::ARef,
    types::Opaque, //
};

/// The C device behind `dev`.
pub(super) fn raw<C: device::DeviceContext>(dev: &pci::Device<C>) -> *mut bindings::pci_dev {
    // CAST: `pci::Device` is `repr(transparent)` over `Opaque<pci_dev>`.
    core::ptr::from_ref(dev).cast_mut().cast()
}

/// The C `struct device` behind `dev`.
pub(super) fn raw_device<C: device::DeviceContext>(
    dev: &device::Device<C>,
) -> *mut bindings::device {
    // CAST: `device::Device` is `repr(transparent)` over `Opaque<device>`.
    core::ptr::from_ref(dev).cast_mut().cast()
}

/// Decoding of memory accesses enabled and BAR 0 claimed; both undone when dropped.
///
/// Held by the driver's bound data: it must go while the device is still bound, so that the next
/// driver finds the BAR free.
pub(crate) struct Claim {
    _region: Region,
    /// After the region, as it came before it.
    _enabled: Enabled,
}

impl Claim {
    /// Enables the device's memory, lets it master the bus and claims BAR 0.
    ///
    /// # Errors
    ///
    /// `EBUSY` if another driver holds BAR 0; what `pci_enable_device_mem` returns.
    pub(crate) fn new(pdev: &pci::Device<device::Core<'_>>) -> Result<Self> {
        // SAFETY: `pdev` is a valid device that is being probed.
        to_result(unsafe { bindings::pci_enable_device_mem(raw(pdev)) })?;
        let normal: &pci::Device = pdev;
        let enabled = Enabled(normal.into());
        let region = Region::claim(normal, 0, c"rnvme").map_err(|_| {
            dev_err!(pdev, "BAR 0 is in use by another driver\n");
            EBUSY
        })?;
        pdev.set_master();
        Ok(Self {
            _region: region,
            _enabled: enabled,
        })
    }
}

/// A device whose memory is enabled; undone when dropped.
struct Enabled(ARef<pci::Device>);

impl Drop for Enabled {
    fn drop(&mut self) {
        // SAFETY: `Claim::new` enabled the device; nobody else undid it. This also takes bus
        // mastering away.
        unsafe { bindings::pci_disable_device(raw(&self.0)) }
    }
}

/// A claimed BAR, released when dropped.
pub(super) struct Region {
    pdev: ARef<pci::Device>,
    bar: c_int,
}

impl Region {
    /// Claims BAR `bar` as `name`.
    ///
    /// # Errors
    ///
    /// `EBUSY` if somebody else holds it; `EINVAL` if there can be no such BAR.
    pub(super) fn claim(pdev: &pci::Device, bar: c_int, name: &'static CStr) -> Result<Self> {
        // The standard BARs (`PCI_STD_NUM_BARS`).
        if !(0..6).contains(&bar) {
            return Err(EINVAL);
        }
        // SAFETY: `pdev` is a valid device, the number one of a BAR; the name is static.
        to_result(unsafe { bindings::pci_request_region(raw(pdev), bar, name.as_char_ptr()) })?;
        Ok(Self {
            pdev: pdev.into(),
            bar,
        })
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: `claim` claimed it; nobody else released it.
        unsafe { bindings::pci_release_region(raw(&self.pdev), self.bar) }
    }
}

/// The bytes of BAR `bar`, if it is there and in memory space.
pub(crate) fn memory_bar(pdev: &pci::Device<device::Bound>, bar: u32) -> Option<u64> {
    // CAST: u32 to usize widens.
    // SAFETY: `pdev` is a valid device; its resources do not change while it is bound.
    let flags = unsafe { (*raw(pdev)).resource.get(bar as usize)?.flags };
    if flags & bindings::IORESOURCE_MEM as usize == 0 {
        return None;
    }
    pdev.resource_len(bar).ok()
}

/// Takes bus mastering from the device: it can start no DMA and no message interrupt any more.
pub(crate) fn stop_dma(pdev: &pci::Device) {
    // SAFETY: `pdev` is a valid device; clearing the bit needs nothing else.
    unsafe { bindings::pci_clear_master(raw(pdev)) }
}

/// Whether config space still answers: a device that was pulled reads as all ones.
pub(crate) fn is_present(pdev: &pci::Device) -> bool {
    // SAFETY: `pdev` is a valid device.
    unsafe { bindings::pci_device_is_present(raw(pdev)) }
}

/// A PCI driver with the callbacks that `pci::Driver` does not have yet.
pub(crate) trait Driver: pci::Driver {
    /// The system goes down or is about to start another kernel: be quiet, lose nothing.
    fn shutdown(dev: &pci::Device<device::Core<'_>>, this: Pin<&Self::Data<'_>>);
}

/// `pci::Adapter` with the further callbacks filled in.
pub(crate) struct Adapter<T: Driver>(PhantomData<T>);

// SAFETY: the same layout as `pci::Adapter<T>`, for the same `T`: `pci_driver` is `repr(C)`,
// `T::Data` is what `pci::Adapter` stores as the device's private data, and `driver` is the
// embedded `struct device_driver`.
unsafe impl<T: Driver> driver::DriverLayout for Adapter<T> {
    type DriverType = bindings::pci_driver;
    type DriverData<'bound> = T::Data<'bound>;
    const DEVICE_DRIVER_OFFSET: usize = offset_of!(bindings::pci_driver, driver);
}

// SAFETY: registration and its undoing are those of `pci::Adapter`, which upholds the contract.
unsafe impl<T: Driver> driver::RegistrationOps for Adapter<T> {
    unsafe fn register(
        reg: &Opaque<Self::DriverType>,
        name: &'static CStr,
        module: &'static ThisModule,
    ) -> Result {
        // SAFETY: `reg` is not registered yet, so nobody reads it while it is written.
        unsafe { (*reg.get()).shutdown = Some(Self::shutdown_callback) };
        // SAFETY: the caller promises what `pci::Adapter` asks for.
        unsafe { <pci::Adapter<T> as driver::RegistrationOps>::register(reg, name, module) }
    }

    unsafe fn unregister(reg: &Opaque<Self::DriverType>) {
        // SAFETY: the caller promises that `register` succeeded.
        unsafe { <pci::Adapter<T> as driver::RegistrationOps>::unregister(reg) }
    }
}

impl<T: Driver> Adapter<T> {
    extern "C" fn shutdown_callback(pdev: *mut bindings::pci_dev) {
        // SAFETY: the PCI core passes a valid device, locked, for the duration of the call.
        let pdev = unsafe { &*pdev.cast::<pci::Device<device::CoreInternal<'_>>>() };
        // SAFETY: the PCI core calls this only for a device that is bound to this driver, under
        // the device lock, so a probe has completed and its data is there, of this type.
        let data = unsafe { pdev.as_ref().drvdata_borrow::<T::Data<'_>>() };
        T::shutdown(pdev, data);
    }
}

/// The NUMA node of `dev`; -1 if it has none.
pub(crate) fn node(dev: &device::Device) -> i32 {
    #[cfg(CONFIG_NUMA)]
    // SAFETY: `dev` is valid; the field is set when the device is added.
    return unsafe { (*raw_device(dev)).numa_node };
    #[cfg(not(CONFIG_NUMA))]
    {
        let _ = dev;
        bindings::NUMA_NO_NODE
    }
}
