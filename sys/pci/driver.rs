// SPDX-License-Identifier: GPL-2.0

//! The callbacks of `struct pci_driver` beyond probe and remove: shutdown, sleep, resets by others,
//! bus errors.
//!
//! The callers hold the device lock and read the driver of the device under it, so probe has
//! succeeded and the driver's data exists: `device_shutdown`; `device_suspend` and `device_resume`
//! (`drivers/base/power/main.c`); `pci_dev_lock` around every reset of a function, slot or bus;
//! `report_error_detected`, `report_slot_reset`, `report_resume` and the like
//! (`drivers/pci/pcie/err.c`). One caller does not lock, Xen's `pcifront_common_process`, which no
//! driver can repair: for that caller the callbacks at least skip a device without data.

use crate::sys::ffi::async_synchronize_full;
use core::{
    marker::PhantomData,
    mem::offset_of,
    pin::Pin, //
};
use kernel::{
    bindings,
    device::{
        Core,
        CoreInternal,
        DeviceContext, //
    },
    driver,
    error::from_result,
    pci,
    prelude::*,
    types::Opaque, //
};

/// Whether a device can be accessed after a bus error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    /// Registers and DMA work.
    Normal,
    /// Neither registers nor DMA work for the time being.
    Frozen,
    /// The device is gone for good.
    Gone,
}

/// A driver's answer to a bus error (`pci_ers_result`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The device works, or will work without a reset.
    CanRecover,
    /// The slot has to be reset.
    NeedReset,
    /// The driver gives up the device.
    Disconnect,
    /// The device works again.
    Recovered,
}

impl Verdict {
    fn into_raw(self) -> bindings::pci_ers_result_t {
        match self {
            Self::CanRecover => bindings::pci_ers_result_PCI_ERS_RESULT_CAN_RECOVER,
            Self::NeedReset => bindings::pci_ers_result_PCI_ERS_RESULT_NEED_RESET,
            Self::Disconnect => bindings::pci_ers_result_PCI_ERS_RESULT_DISCONNECT,
            Self::Recovered => bindings::pci_ers_result_PCI_ERS_RESULT_RECOVERED,
        }
    }
}

/// Stands for a device, as long as that exists.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeviceKey(pub(crate) usize);

impl DeviceKey {
    /// The key of `pdev`.
    pub(crate) fn of<C: DeviceContext>(pdev: &pci::Device<C>) -> Self {
        Self(super::function::raw(pdev) as usize)
    }
}

/// Calls `f` for each device of the ids of `T` that has no driver, in the order of the bus, which is
/// also the order in which a driver that is registered meets them.
fn for_each_unbound<T: pci::Driver>(f: impl Fn(DeviceKey)) {
    /// `PCI_ANY_ID`.
    const ANY: u32 = !0;
    let mut pdev = core::ptr::null_mut();
    loop {
        // SAFETY: `pdev` is null or what the previous call returned, whose reference this call drops.
        pdev = unsafe { bindings::pci_get_device(ANY, ANY, pdev) };
        if pdev.is_null() {
            return;
        }
        // SAFETY: the call returned a device with a reference, and the table ends with an empty entry.
        let is_ours = unsafe { !bindings::pci_match_id(T::ID_TABLE.as_ptr(), pdev).is_null() };
        // SAFETY: as above. Its driver may change at any time: then the device is not probed, or by
        // another driver.
        if is_ours && unsafe { core::ptr::addr_of!((*pdev).dev.driver).read_volatile() }.is_null() {
            f(DeviceKey(pdev as usize));
        }
    }
}

/// A PCI driver with the callbacks that `pci::Driver` does not have yet. All may sleep. For one
/// device no two of them run at the same time, probe and unbind included.
pub(crate) trait Driver: pci::Driver {
    /// `key` stands for a device without a driver that may be probed soon. Called for one device after
    /// the other, in the order in which the bus found them, before the driver is registered.
    fn announce(key: DeviceKey);

    /// All devices that were there when the driver was registered have been probed.
    fn all_probed();

    /// The system shuts down or starts another kernel: the driver stops the device without losing
    /// data.
    fn shutdown(dev: &pci::Device<Core<'_>>, this: Pin<&Self::Data<'_>>);

    /// The system goes to sleep, or is about to write or start an image of its memory. The device
    /// must do no DMA after this call, and may lose its state.
    ///
    /// # Errors
    ///
    /// An error keeps the system awake; `resume` is not called then.
    fn suspend(dev: &pci::Device<Core<'_>>, this: Pin<&Self::Data<'_>>) -> Result;

    /// The system is awake again; the PCI core has restored config space.
    ///
    /// # Errors
    ///
    /// The PM core logs an error.
    fn resume(dev: &pci::Device<Core<'_>>, this: Pin<&Self::Data<'_>>) -> Result;

    /// The PCI core is about to reset the function: the driver stops the device. Config space is
    /// locked (there can be no [`super::config::LockedConfig`]), and is saved after this call.
    fn reset_prepare(dev: &pci::Device<Core<'_>>, this: Pin<&Self::Data<'_>>);

    /// The reset has succeeded or failed. Config space has been restored as it was after
    /// [`Self::reset_prepare`].
    fn reset_done(dev: &pci::Device<Core<'_>>, this: Pin<&Self::Data<'_>>);

    /// The PCI core has seen a bus error.
    fn error_detected(
        dev: &pci::Device<Core<'_>>,
        this: Pin<&Self::Data<'_>>,
        channel: Channel,
    ) -> Verdict;

    /// The slot has been reset: the driver restores config space. No vectors may be allocated or freed
    /// during the call.
    fn restore(dev: &pci::Device<Core<'_>>, this: Pin<&Self::Data<'_>>);

    /// The slot has been reset, and config space has been restored.
    fn slot_reset(dev: &pci::Device<Core<'_>>, this: Pin<&Self::Data<'_>>) -> Verdict;

    /// All drivers that the error concerned have agreed: the driver resumes normal operation.
    fn error_resume(dev: &pci::Device<Core<'_>>, this: Pin<&Self::Data<'_>>);
}

/// `pci::Adapter` with the callbacks of [`Driver`] filled in.
pub(crate) struct Adapter<T: Driver>(PhantomData<T>);

// SAFETY: the same layout as `pci::Adapter<T>`, for the same `T`: `pci_driver` is `repr(C)`,
// `T::Data` is what `pci::Adapter` stores as the device's private data, and `driver` is the
// embedded `struct device_driver`.
unsafe impl<T: Driver> driver::DriverLayout for Adapter<T> {
    type DriverType = bindings::pci_driver;
    type DriverData<'bound> = T::Data<'bound>;
    const DEVICE_DRIVER_OFFSET: usize = offset_of!(bindings::pci_driver, driver);
}

// SAFETY: registration and unregistration are those of `pci::Adapter`, which upholds the contract.
unsafe impl<T: Driver> driver::RegistrationOps for Adapter<T> {
    unsafe fn register(
        reg: &Opaque<Self::DriverType>,
        name: &'static CStr,
        module: &'static ThisModule,
    ) -> Result {
        // SAFETY: `reg` is not registered yet, so no other code reads it while this writes to it.
        // The tables that it points to are constant.
        unsafe {
            let raw = &mut *reg.get();
            raw.shutdown = Some(Self::shutdown_callback);
            raw.err_handler = Self::ERRORS;
            raw.driver.probe_type = bindings::probe_type_PROBE_PREFER_ASYNCHRONOUS;
            #[cfg(CONFIG_PM_SLEEP)]
            {
                raw.driver.pm = Self::SLEEP;
            }
        }
        for_each_unbound::<T>(T::announce);
        // SAFETY: the caller promises what `pci::Adapter` asks for.
        let result =
            unsafe { <pci::Adapter<T> as driver::RegistrationOps>::register(reg, name, module) };
        // SAFETY: may sleep here, and no probe waits for the registration.
        unsafe { async_synchronize_full() };
        T::all_probed();
        result
    }

    unsafe fn unregister(reg: &Opaque<Self::DriverType>) {
        // SAFETY: the caller promises that `register` succeeded.
        unsafe { <pci::Adapter<T> as driver::RegistrationOps>::unregister(reg) }
    }
}

/// Calls `f` with the device and its driver's data, if it has any.
///
/// # Safety
///
/// `pdev` is a valid device that is bound to `T`, and stays so for the call.
unsafe fn with<T: Driver, R>(
    pdev: *mut bindings::pci_dev,
    f: impl FnOnce(&pci::Device<Core<'_>>, Pin<&T::Data<'_>>) -> R,
) -> Option<R> {
    // SAFETY: the caller promises that the device is valid.
    if unsafe { bindings::dev_get_drvdata(core::ptr::addr_of_mut!((*pdev).dev)) }.is_null() {
        return None;
    }
    // SAFETY: the caller promises that the device is valid for the call, and bound.
    let pdev = unsafe { &*pdev.cast::<pci::Device<CoreInternal<'_>>>() };
    // SAFETY: the caller promises that the device is bound to `T`, so its data is of this type. The
    // data exists: see the head of the file.
    let data = unsafe { pdev.as_ref().drvdata_borrow::<T::Data<'_>>() };
    Some(f(pdev, data))
}

impl<T: Driver> Adapter<T> {
    const ERRORS: &'static bindings::pci_error_handlers = &bindings::pci_error_handlers {
        error_detected: Some(Self::error_detected_callback),
        slot_reset: Some(Self::slot_reset_callback),
        reset_prepare: Some(Self::reset_prepare_callback),
        reset_done: Some(Self::reset_done_callback),
        resume: Some(Self::error_resume_callback),
        ..pin_init::zeroed()
    };

    /// The callbacks of `DEFINE_SIMPLE_DEV_PM_OPS`: the same ones for sleep and hibernation.
    #[cfg(CONFIG_PM_SLEEP)]
    const SLEEP: &'static bindings::dev_pm_ops = &bindings::dev_pm_ops {
        suspend: Some(Self::suspend_callback),
        freeze: Some(Self::suspend_callback),
        poweroff: Some(Self::suspend_callback),
        resume: Some(Self::resume_callback),
        thaw: Some(Self::resume_callback),
        restore: Some(Self::resume_callback),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// For `struct pci_driver` only.
    unsafe extern "C" fn shutdown_callback(pdev: *mut bindings::pci_dev) {
        // SAFETY: the PCI core calls this for a device that is bound to this driver, and holds its
        // lock.
        unsafe { with::<T, _>(pdev, T::shutdown) };
    }

    /// The PCI device of which `dev` is the generic part.
    ///
    /// # Safety
    ///
    /// `dev` is in a `struct pci_dev`.
    #[cfg(CONFIG_PM_SLEEP)]
    unsafe fn pci_device(dev: *mut bindings::device) -> *mut bindings::pci_dev {
        // SAFETY: the caller promises that `dev` is in a `struct pci_dev`.
        unsafe { dev.byte_sub(offset_of!(bindings::pci_dev, dev)).cast() }
    }

    /// # Safety
    ///
    /// For `struct dev_pm_ops` only.
    #[cfg(CONFIG_PM_SLEEP)]
    unsafe extern "C" fn suspend_callback(dev: *mut bindings::device) -> c_int {
        // SAFETY: the PM core calls this for a device that is bound to this driver, and holds its
        // lock. `dev` is in a `struct pci_dev`, because the driver is a PCI driver.
        let result = unsafe { with::<T, _>(Self::pci_device(dev), T::suspend) };
        from_result(|| result.unwrap_or(Ok(())).map(|()| 0))
    }

    /// # Safety
    ///
    /// For `struct dev_pm_ops` only.
    #[cfg(CONFIG_PM_SLEEP)]
    unsafe extern "C" fn resume_callback(dev: *mut bindings::device) -> c_int {
        // SAFETY: as above.
        let result = unsafe { with::<T, _>(Self::pci_device(dev), T::resume) };
        from_result(|| result.unwrap_or(Ok(())).map(|()| 0))
    }

    /// # Safety
    ///
    /// For `struct pci_error_handlers` only.
    unsafe extern "C" fn reset_prepare_callback(pdev: *mut bindings::pci_dev) {
        // SAFETY: the PCI core calls this for a device that is bound to this driver, and holds its
        // lock.
        unsafe { with::<T, _>(pdev, T::reset_prepare) };
    }

    /// # Safety
    ///
    /// For `struct pci_error_handlers` only.
    unsafe extern "C" fn reset_done_callback(pdev: *mut bindings::pci_dev) {
        // SAFETY: as above.
        unsafe { with::<T, _>(pdev, T::reset_done) };
    }

    /// # Safety
    ///
    /// For `struct pci_error_handlers` only.
    unsafe extern "C" fn error_detected_callback(
        pdev: *mut bindings::pci_dev,
        state: bindings::pci_channel_state_t,
    ) -> bindings::pci_ers_result_t {
        let channel = match state {
            bindings::pci_channel_io_normal => Channel::Normal,
            bindings::pci_channel_io_frozen => Channel::Frozen,
            _ => Channel::Gone,
        };
        // SAFETY: as above.
        let verdict =
            unsafe { with::<T, _>(pdev, |dev, data| T::error_detected(dev, data, channel)) };
        verdict.unwrap_or(Verdict::Disconnect).into_raw()
    }

    /// # Safety
    ///
    /// For `struct pci_error_handlers` only.
    unsafe extern "C" fn slot_reset_callback(
        pdev: *mut bindings::pci_dev,
    ) -> bindings::pci_ers_result_t {
        // SAFETY: as above.
        let verdict = unsafe {
            with::<T, _>(pdev, |dev, data| {
                T::restore(dev, data);
                T::slot_reset(dev, data)
            })
        };
        verdict.unwrap_or(Verdict::Disconnect).into_raw()
    }

    /// # Safety
    ///
    /// For `struct pci_error_handlers` only.
    unsafe extern "C" fn error_resume_callback(pdev: *mut bindings::pci_dev) {
        // SAFETY: as above.
        unsafe { with::<T, _>(pdev, T::error_resume) };
    }
}
