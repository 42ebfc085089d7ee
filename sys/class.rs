// SPDX-License-Identifier: GPL-2.0

//! The class `rnvme` and its devices: `/sys/class/rnvme/rnvme0` and so on, one for each
//! controller, parent of its disks.

use super::ffi as bindings;
use core::ptr::NonNull;
use kernel::{
    device::Device,
    error::from_err_ptr,
    prelude::*,
    sync::{
        aref::ARef,
        SetOnce, //
    }, //
};

/// A registered class; gone when dropped, which must be after its devices.
pub(crate) struct Class(NonNull<bindings::class>);

// SAFETY: a class is used from any thread.
unsafe impl Send for Class {}
// SAFETY: as above.
unsafe impl Sync for Class {}

/// The address of the one class of the module, for [`ClassDevice::new`].
static CLASS: SetOnce<usize> = SetOnce::new();

impl Class {
    /// Registers the class `name`, once in the life of the module.
    pub(crate) fn register(name: &'static CStr) -> Result<Self> {
        // SAFETY: the name is static.
        let class = from_err_ptr(unsafe { bindings::class_create(name.as_char_ptr()) })?;
        let class = Self(NonNull::new(class).ok_or(ENOMEM)?);
        if !CLASS.populate(class.0.as_ptr() as usize) {
            return Err(EBUSY);
        }
        Ok(class)
    }
}

impl Drop for Class {
    fn drop(&mut self) {
        // SAFETY: `register` made it; the module drops the driver, and with it every device of
        // the class, before the class.
        unsafe { bindings::class_destroy(self.0.as_ptr()) }
    }
}

/// A device of the class; unregistered when dropped.
pub(crate) struct ClassDevice(ARef<Device>);

impl ClassDevice {
    /// Makes `rnvme<instance>` below `parent`.
    pub(crate) fn new(parent: &Device, instance: u32) -> Result<Self> {
        let class = *CLASS.as_ref().ok_or(ENODEV)?;
        // SAFETY: `class` is registered as long as the driver is, `parent` is a valid device, and
        // the format takes one unsigned int.
        let dev = from_err_ptr(unsafe {
            bindings::device_create(
                class as *const bindings::class,
                super::pci::raw_device(parent),
                0,
                core::ptr::null_mut(),
                c"rnvme%u".as_char_ptr(),
                instance,
            )
        })?;
        // SAFETY: `device_create` returned a registered device; `into` takes a reference of ours.
        let dev: &Device = unsafe { Device::from_raw(dev) };
        Ok(Self(dev.into()))
    }

    /// The device.
    pub(crate) fn device(&self) -> &Device {
        &self.0
    }
}

impl Drop for ClassDevice {
    fn drop(&mut self) {
        // SAFETY: registered by `new`, unregistered once; `self.0` still holds a reference.
        unsafe { bindings::device_unregister(super::pci::raw_device(&*self.0)) }
    }
}
