// SPDX-License-Identifier: GPL-2.0

//! Functions that the kernel crate's PCI abstraction lacks: claiming BAR 0, stopping DMA.
//! `config.rs` has config space and resets of the function, `driver.rs` the callbacks beyond probe
//! and remove.

use crate::num::u32_as_usize;
use kernel::{
    bindings,
    device,
    error::to_result,
    new_mutex,
    pci,
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        Mutex, //
    }, //
};

/// The C device behind `dev`.
pub(in crate::sys) fn raw<C: device::DeviceContext>(
    dev: &pci::Device<C>,
) -> *mut bindings::pci_dev {
    // CAST: `pci::Device` is `repr(transparent)` over `Opaque<pci_dev>`.
    core::ptr::from_ref(dev).cast_mut().cast()
}

/// The C `struct device` behind `dev`.
pub(in crate::sys) fn raw_device<C: device::DeviceContext>(
    dev: &device::Device<C>,
) -> *mut bindings::device {
    // CAST: `device::Device` is `repr(transparent)` over `Opaque<device>`.
    core::ptr::from_ref(dev).cast_mut().cast()
}

/// Decoding of memory accesses enabled and BAR 0 claimed; both undone when dropped.
///
/// Part of the driver's bound data: it must be dropped while the device is still bound, so that the
/// next driver finds the BAR free.
pub(crate) struct Claim {
    binding: Arc<Binding>,
    _region: Region,
    /// Dropped after the region, because the device was enabled before the region was claimed.
    _enabled: EnabledDevice,
}

impl Claim {
    /// Enables the device's memory, claims BAR 0 and takes bus mastering: firmware, another kernel or
    /// another driver may have left the controller at work.
    ///
    /// # Errors
    ///
    /// `EBUSY` if another driver holds BAR 0; what `pci_enable_device_mem` returns.
    pub(crate) fn new(pdev: &pci::Device<device::Core<'_>>) -> Result<Self> {
        // SAFETY: `pdev` is a valid device that is being probed.
        to_result(unsafe { bindings::pci_enable_device_mem(raw(pdev)) })?;
        let normal: &pci::Device = pdev;
        let enabled = EnabledDevice(normal.into());
        let region = Region::claim(normal, 0, c"rnvme").map_err(|_| {
            dev_err!(pdev, "BAR 0 is in use by another driver\n");
            EBUSY
        })?;
        stop_dma(normal);
        let binding = Arc::pin_init(
            pin_init!(Binding {
                pdev: normal.into(),
                // INVARIANT: the device is being probed, and `drop` below stores `false`.
                is_bound <- new_mutex!(true),
            }),
            GFP_KERNEL,
        )?;
        Ok(Self {
            binding,
            _region: region,
            _enabled: enabled,
        })
    }

    /// The binding of the device to the driver, for threads other than the driver core's.
    pub(crate) fn binding(&self) -> &Arc<Binding> {
        &self.binding
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Waits for the threads that rely on the binding.
        *self.binding.is_bound.lock() = false;
    }
}

/// The binding of a device to the driver: it begins and ends with a [`Claim`].
///
/// # Invariants
///
/// While `is_bound` is true and locked, the device is bound: a [`Claim`] ends while the device still
/// is, and its drop locks `is_bound` and stores `false`.
#[pin_data]
pub(crate) struct Binding {
    pdev: ARef<pci::Device>,
    /// LOCK: whether the device is bound, as long as a thread relies on it; inside: all other locks
    /// but `Bound::controller`, `Namespaces::disks`. A reset takes it.
    #[pin]
    is_bound: Mutex<bool>,
}

impl Binding {
    /// Calls `f` with the device, which stays bound meanwhile: unbind waits for the end of the call.
    ///
    /// # Errors
    ///
    /// `ENODEV`: the device is not bound any more. What `f` returns.
    pub(crate) fn with<R>(
        &self,
        f: impl FnOnce(&pci::Device<device::Bound>) -> Result<R>,
    ) -> Result<R> {
        let is_bound = self.is_bound.lock();
        if !*is_bound {
            return Err(ENODEV);
        }
        let pdev = core::ptr::from_ref(&*self.pdev).cast::<pci::Device<device::Bound>>();
        // SAFETY: `self` keeps the device, and the context of a `pci::Device` does not change its
        // layout. By the type invariant the device is bound as long as `is_bound` is locked, and the
        // reference does not leave `f`, during which it is.
        f(unsafe { &*pdev })
    }
}

/// A device whose memory decoding is enabled; disabled when dropped.
struct EnabledDevice(ARef<pci::Device>);

impl Drop for EnabledDevice {
    fn drop(&mut self) {
        // SAFETY: `Claim::new` enabled the device, and only this disables it. The call clears bus
        // mastering, too.
        unsafe { bindings::pci_disable_device(raw(&self.0)) }
    }
}

/// A claimed BAR, released when dropped.
pub(in crate::sys) struct Region {
    pdev: ARef<pci::Device>,
    bar: c_int,
}

impl Region {
    /// Claims BAR `bar` as `name`.
    ///
    /// # Errors
    ///
    /// `EBUSY` if another driver holds the BAR; `EINVAL` if `bar` is not the number of a standard
    /// BAR.
    pub(in crate::sys) fn claim(
        pdev: &pci::Device,
        bar: c_int,
        name: &'static CStr,
    ) -> Result<Self> {
        // The standard BARs (`PCI_STD_NUM_BARS`).
        if !(0..6).contains(&bar) {
            return Err(EINVAL);
        }
        // SAFETY: `pdev` is a valid device, `bar` is the number of a standard BAR, and the name is
        // static.
        to_result(unsafe { bindings::pci_request_region(raw(pdev), bar, name.as_char_ptr()) })?;
        Ok(Self {
            pdev: pdev.into(),
            bar,
        })
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: `claim` claimed the BAR, and only this releases it.
        unsafe { bindings::pci_release_region(raw(&self.pdev), self.bar) }
    }
}

/// The length of BAR `bar` in bytes, if it exists and is in memory space.
pub(crate) fn memory_bar(pdev: &pci::Device<device::Bound>, bar: u32) -> Option<u64> {
    // SAFETY: `pdev` is a valid device; its resources do not change while it is bound.
    let flags = unsafe { (*raw(pdev)).resource.get(u32_as_usize(bar))?.flags };
    if flags & u32_as_usize(bindings::IORESOURCE_MEM) == 0 {
        return None;
    }
    pdev.resource_len(bar).ok()
}

/// Clears bus mastering: from now on the device can start no DMA and send no message interrupt.
pub(crate) fn stop_dma(pdev: &pci::Device) {
    // SAFETY: `pdev` is a valid device; clearing the bit needs nothing else.
    unsafe { bindings::pci_clear_master(raw(pdev)) }
}

/// Undoes [`stop_dma`].
pub(crate) fn allow_dma(pdev: &pci::Device) {
    // SAFETY: `pdev` is a valid device; setting the bit needs nothing else.
    unsafe { bindings::pci_set_master(raw(pdev)) }
}

/// Whether the PCI core has frozen I/O to the device after a bus error, until the recovery.
pub(crate) fn is_frozen(pdev: &pci::Device) -> bool {
    // SAFETY: `pdev` is a valid device; the PCI core changes the field by single stores.
    let state = unsafe { core::ptr::addr_of!((*raw(pdev)).error_state).read_volatile() };
    state == bindings::pci_channel_io_frozen
}

/// Whether the PCI core says that the device is gone for good: it was unplugged, or the recovery from
/// a bus error has failed.
pub(crate) fn is_disconnected(pdev: &pci::Device) -> bool {
    // SAFETY: `pdev` is a valid device; the PCI core changes the field by single stores.
    let state = unsafe { core::ptr::addr_of!((*raw(pdev)).error_state).read_volatile() };
    state == bindings::pci_channel_io_perm_failure
}

/// Whether config space still answers: a device that was pulled reads as all ones. Hosts of virtual
/// machines answer for its ids, so another register decides, too: no PCI_COMMAND is all ones.
pub(crate) fn is_present(pdev: &pci::Device) -> bool {
    // SAFETY: `pdev` is a valid device.
    let has_ids = unsafe { bindings::pci_device_is_present(raw(pdev)) };
    has_ids && read_word(pdev, bindings::PCI_COMMAND) != u16::MAX
}

/// Two bytes of config space; all ones if the device does not answer.
pub(in crate::sys) fn read_word(pdev: &pci::Device, offset: u32) -> u16 {
    let mut value = u16::MAX;
    // CAST: an offset in config space.
    let offset = offset as c_int;
    // SAFETY: `pdev` is a valid device, and the value is a local variable, which all ones stay in if
    // the call fails.
    unsafe { bindings::pci_read_config_word(raw(pdev), offset, &mut value) };
    value
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
