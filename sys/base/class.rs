// SPDX-License-Identifier: GPL-2.0

//! The class `rnvme` and its devices `/sys/class/rnvme/rnvme0` and so on: one device for each
//! controller, the parent of its disks. A table of [`Attribute`]s defines the files of a device.

use super::users::Users;
use crate::sys::{
    ffi as bindings,
    pci::raw_device, //
};
use core::{
    fmt::Write,
    ptr::{
        null,
        null_mut,
        NonNull, //
    }, //
};
use kernel::{
    device::Device,
    error::{
        from_err_ptr,
        from_result,
        to_result, //
    },
    fmt,
    page::PAGE_SIZE,
    prelude::*,
    str::as_char_ptr_in_const_context,
    sync::{
        aref::ARef,
        Arc,
        SetOnce, //
    }, //
};

/// A registered class; unregistered when dropped. A device that is left keeps the class for ever,
/// with a line in the log; none can be made after that.
pub(crate) struct Class(NonNull<bindings::class>);

// SAFETY: any thread may use a class.
unsafe impl Send for Class {}
// SAFETY: as above.
unsafe impl Sync for Class {}

/// The address of the module's only class, for [`ClassDevice::new`].
static CLASS: SetOnce<usize> = SetOnce::new();
/// `Class` and each `ClassDevice`.
static USERS: Users = Users::none();

impl Class {
    /// Registers the class `name`, once in the life of the module.
    ///
    /// # Errors
    ///
    /// `EBUSY` at the second call; what `class_create` returns.
    pub(crate) fn register(name: &'static CStr) -> Result<Self> {
        // SAFETY: the name is static.
        let class = from_err_ptr(unsafe { bindings::class_create(name.as_char_ptr()) })?;
        if !CLASS.populate(class as usize) {
            // SAFETY: made above, without devices.
            unsafe { bindings::class_destroy(class) };
            return Err(EBUSY);
        }
        USERS.open();
        Ok(Self(NonNull::new(class).ok_or(ENOMEM)?))
    }
}

impl Drop for Class {
    fn drop(&mut self) {
        if USERS.leave() {
            // SAFETY: `register` made the class. It has no device, and will have none.
            unsafe { bindings::class_destroy(self.0.as_ptr()) }
        } else {
            pr_err!("a device outlives its class, which stays for ever: a bug\n");
        }
    }
}

/// Prints an attribute of `D`, without the newline at the end.
type Show<D> = fn(&D, &mut fmt::Formatter<'_>) -> fmt::Result;
/// Takes the bytes that user space wrote to an attribute of `D`.
type Store<D> = fn(&D, &[u8]) -> Result;

/// A file of a [`ClassDevice`] with data `D`.
///
/// # Invariants
///
/// `raw` has callbacks of this type.
#[repr(C)]
pub(crate) struct Attribute<D: 'static> {
    /// First, so that C's pointer to this field is a pointer to the whole `Attribute`.
    raw: bindings::device_attribute,
    show: Option<Show<D>>,
    store: Option<Store<D>>,
}

// SAFETY: an attribute does not change, and its pointers are to static data.
unsafe impl<D> Sync for Attribute<D> {}

impl<D> Attribute<D> {
    /// A file that all users can read.
    pub(crate) const fn ro(name: &'static CStr, show: Show<D>) -> Self {
        Self::new(name, 0o444, Some(show), None)
    }

    /// A file that root can write to.
    pub(crate) const fn wo(name: &'static CStr, store: Store<D>) -> Self {
        Self::new(name, 0o200, None, Some(store))
    }

    /// A file that all users can read and root can write to.
    pub(crate) const fn rw(name: &'static CStr, show: Show<D>, store: Store<D>) -> Self {
        Self::new(name, 0o644, Some(show), Some(store))
    }

    const fn new(
        name: &'static CStr,
        mode: bindings::umode_t,
        show: Option<Show<D>>,
        store: Option<Store<D>>,
    ) -> Self {
        // With lockdep the struct has more fields.
        let mut attr: bindings::attribute = pin_init::zeroed();
        attr.name = as_char_ptr_in_const_context(name);
        attr.mode = mode;
        // INVARIANT: the callbacks are those of this type. They return `EIO` without `show` or
        // `store`.
        Self {
            raw: bindings::device_attribute {
                attr,
                __bindgen_anon_1: bindings::device_attribute__bindgen_ty_1 {
                    show: Some(Self::show_callback),
                },
                __bindgen_anon_2: bindings::device_attribute__bindgen_ty_2 {
                    store: Some(Self::store_callback),
                },
            },
            show,
            store,
        }
    }

    /// # Safety
    ///
    /// For `struct device_attribute` only, in an `Attribute<D>`, of a device with driver data of
    /// type `D`.
    unsafe extern "C" fn show_callback(
        dev: *mut bindings::device,
        attr: *mut bindings::device_attribute,
        buf: *mut c_char,
    ) -> isize {
        // SAFETY: sysfs calls this for an attribute of the table that `ClassDevice::new` was given,
        // with its device, whose driver data is of type `D`. The call ends before the device's
        // unregistration does, because kernfs waits for the users of a file that it removes; the
        // data is dropped only after that.
        let (show, data) = unsafe {
            (
                (*attr.cast::<Self>()).show,
                &*bindings::dev_get_drvdata(dev).cast::<D>(),
            )
        };
        // SAFETY: sysfs passes a zeroed page, which is valid and ours for the call.
        let buf = unsafe { core::slice::from_raw_parts_mut(buf.cast::<u8>(), PAGE_SIZE) };
        from_result(|| {
            let show = show.ok_or(EIO)?;
            Ok(print(buf, |f| show(data, f))?.try_into()?)
        })
    }

    /// # Safety
    ///
    /// For `struct device_attribute` only, in an `Attribute<D>`, of a device with driver data of
    /// type `D`.
    unsafe extern "C" fn store_callback(
        dev: *mut bindings::device,
        attr: *mut bindings::device_attribute,
        buf: *const c_char,
        len: usize,
    ) -> isize {
        // SAFETY: as in `show_callback`.
        let (store, data) = unsafe {
            (
                (*attr.cast::<Self>()).store,
                &*bindings::dev_get_drvdata(dev).cast::<D>(),
            )
        };
        // SAFETY: sysfs passes `len` bytes, which are valid for the call.
        let bytes = unsafe { core::slice::from_raw_parts(buf.cast::<u8>(), len) };
        from_result(|| {
            store.ok_or(EIO)?(data, bytes)?;
            Ok(len.try_into()?)
        })
    }
}

/// Text in a buffer of fixed size; what does not fit is an error.
struct AttributeText<'a> {
    buf: &'a mut [u8],
    len: usize,
}

impl Write for AttributeText<'_> {
    fn write_str(&mut self, s: &str) -> core::fmt::Result {
        let end = self.len.checked_add(s.len()).ok_or(core::fmt::Error)?;
        let place = self.buf.get_mut(self.len..end).ok_or(core::fmt::Error)?;
        place.copy_from_slice(s.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// A value that a function prints.
struct By<F>(F);

impl<F: Fn(&mut fmt::Formatter<'_>) -> fmt::Result> core::fmt::Display for By<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0(f)
    }
}

/// Prints a line by `show` to `buf`, and leaves room for a zero. Returns the length of the line in
/// bytes, the newline included.
///
/// # Errors
///
/// `EOVERFLOW` if the line does not fit.
fn print(buf: &mut [u8], show: impl Fn(&mut fmt::Formatter<'_>) -> fmt::Result) -> Result<usize> {
    let (_, buf) = buf.split_last_mut().ok_or(EOVERFLOW)?;
    let mut text = AttributeText { buf, len: 0 };
    text.write_fmt(core::format_args!("{}\n", By(show)))
        .map_err(|_| EOVERFLOW)?;
    Ok(text.len)
}

/// A table of attributes in C's form: pointers to pointers, each list ends with a null pointer.
struct Groups {
    list: [*const bindings::attribute_group; 2],
    group: bindings::attribute_group,
    attributes: KVec<*mut bindings::attribute>,
}

impl Groups {
    fn new<D>(table: &'static [Attribute<D>]) -> Result<KBox<Self>> {
        let mut attributes = KVec::with_capacity(table.len().saturating_add(1), GFP_KERNEL)?;
        for attribute in table {
            let raw = core::ptr::from_ref(&attribute.raw.attr).cast_mut();
            attributes.push(raw, GFP_KERNEL)?;
        }
        attributes.push(null_mut(), GFP_KERNEL)?;
        let mut groups = KBox::new(
            Self {
                list: [null(); 2],
                group: pin_init::zeroed(),
                attributes,
            },
            GFP_KERNEL,
        )?;
        groups.group.__bindgen_anon_2.attrs = groups.attributes.as_mut_ptr();
        groups.list[0] = &groups.group;
        Ok(groups)
    }
}

/// A device of the class; unregistered when dropped.
///
/// # Invariants
///
/// `device` is registered, its driver data is `_data`, and its attributes are `_groups`. The class
/// exists, because `_user` is a user of it.
pub(crate) struct ClassDevice<D> {
    device: ARef<Device>,
    _data: Arc<D>,
    _groups: KBox<Groups>,
    _user: ClassUser,
}

/// A user of the class.
struct ClassUser;

impl ClassUser {
    fn new() -> Result<Self> {
        USERS.enter().then_some(Self).ok_or(ENODEV)
    }
}

impl Drop for ClassUser {
    fn drop(&mut self) {
        // The class stays if this was the last: see `Class`.
        let _ = USERS.leave();
    }
}

// SAFETY: any thread may use a device and, by the bound on `D`, the data. The groups do not change.
unsafe impl<D: Send + Sync> Send for ClassDevice<D> {}
// SAFETY: as above.
unsafe impl<D: Send + Sync> Sync for ClassDevice<D> {}

impl<D: Send + Sync + 'static> ClassDevice<D> {
    /// Registers the device `rnvme<instance>` below `parent`, with the files of `table`, which show
    /// and change `data`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `ENODEV` without a [`Class`]; `EEXIST` if there is a device of this name.
    pub(crate) fn new(
        parent: &Device,
        instance: u32,
        data: Arc<D>,
        table: &'static [Attribute<D>],
    ) -> Result<Self> {
        let user = ClassUser::new()?;
        let class = *CLASS.as_ref().ok_or(ENODEV)?;
        let mut groups = Groups::new(table)?;
        // SAFETY: `class` is registered as long as `user` lives, `parent` is a valid device, and the
        // format takes one unsigned int. The data and the groups live until the device is
        // unregistered. The attributes are static, and `D` is the type of their data.
        let dev = from_err_ptr(unsafe {
            bindings::device_create_with_groups(
                class as *const bindings::class,
                raw_device(parent),
                0,
                Arc::as_ptr(&data).cast_mut().cast(),
                groups.list.as_mut_ptr(),
                c"rnvme%u".as_char_ptr(),
                instance,
            )
        })?;
        // SAFETY: `device_create` returned a registered device; `into` takes a reference of ours.
        let dev: &Device = unsafe { Device::from_raw(dev) };
        // INVARIANT: C has just registered the device with this data and these groups.
        Ok(Self {
            device: dev.into(),
            _data: data,
            _groups: groups,
            _user: user,
        })
    }
}

impl<D> ClassDevice<D> {
    /// The device.
    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// Sends a change event (`KOBJ_CHANGE`) to user space, with the variables of `environment`,
    /// each of the form `NAME=value`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and what the listeners' sockets return: possibly no listener got the event.
    pub(crate) fn uevent(&self, environment: &[&CStr]) -> Result {
        let mut pointers = KVec::with_capacity(environment.len().saturating_add(1), GFP_KERNEL)?;
        for variable in environment {
            pointers.push(variable.as_char_ptr().cast_mut(), GFP_KERNEL)?;
        }
        pointers.push(null_mut(), GFP_KERNEL)?;
        // SAFETY: the device is registered. The list ends with a null pointer, and C copies the
        // strings.
        to_result(unsafe {
            let kobj = core::ptr::addr_of_mut!((*raw_device(self.device())).kobj);
            let change = bindings::kobject_action_KOBJ_CHANGE;
            bindings::kobject_uevent_env(kobj, change, pointers.as_mut_ptr())
        })
    }
}

impl<D> Drop for ClassDevice<D> {
    fn drop(&mut self) {
        // SAFETY: `new` registered the device, and this unregisters it once; `self.device` still
        // holds a reference. C waits until no callback of an attribute runs, and the data is
        // dropped after that.
        unsafe { bindings::device_unregister(raw_device(&*self.device)) }
    }
}

#[kunit_tests(rnvme_class)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits_or_is_refused() -> Result {
        let mut buf = [0xff; 8];
        assert_eq!(print(&mut buf, |f| write!(f, "{}", 12_345))?, 6);
        assert_eq!(&buf, b"12345\n\xff\xff");
        assert_eq!(print(&mut buf, |f| f.write_str("123456"))?, 7);
        // The last byte is for a zero.
        assert_eq!(print(&mut buf, |f| f.write_str("1234567")), Err(EOVERFLOW));
        assert_eq!(print(&mut [], |_| Ok(())), Err(EOVERFLOW));
        assert_eq!(print(&mut buf, |_| Ok(()))?, 1);
        Ok(())
    }
}
