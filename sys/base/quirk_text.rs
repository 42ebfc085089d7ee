// SPDX-License-Identifier: GPL-2.0

//! The module parameter `quirks`, a text: `module!` of the kernel crate has numbers only.

use crate::sys::ffi as bindings;
use core::ptr::{
    from_ref,
    null_mut, //
};
use kernel::{
    error::from_result,
    module_param::KernelParam,
    prelude::*,
    str::as_char_ptr_in_const_context,
    sync::SetOnce, //
};

/// The longest text in bytes: some twenty devices.
const MAX: usize = 511;

/// A text that `insmod` got.
struct GivenText {
    bytes: [u8; MAX],
    len: usize,
}

/// The text, set while the module is loaded.
static TEXT: SetOnce<GivenText> = SetOnce::new();

/// The text of the parameter; empty if there is none.
pub(crate) fn given_quirks() -> &'static [u8] {
    TEXT.as_ref()
        .and_then(|text| text.bytes.get(..text.len))
        .unwrap_or_default()
}

/// Keeps the text of the parameter. The kernel logs an error, with the parameter's name.
///
/// # Safety
///
/// For `struct kernel_param_ops` only.
unsafe extern "C" fn set(text: *const c_char, _param: *const bindings::kernel_param) -> c_int {
    from_result(|| {
        if text.is_null() {
            return Err(EINVAL);
        }
        // SAFETY: the kernel passes a text that ends with a zero and is valid for the call.
        let text = unsafe { CStr::from_char_ptr(text) }.to_bytes();
        let mut given = GivenText {
            bytes: [0; MAX],
            len: text.len(),
        };
        let place = given.bytes.get_mut(..text.len()).ok_or(EINVAL)?;
        place.copy_from_slice(text);
        if !TEXT.populate(given) {
            // Given twice.
            return Err(EINVAL);
        }
        Ok(0)
    })
}

static OPERATIONS: bindings::kernel_param_ops = bindings::kernel_param_ops {
    flags: 0,
    set: Some(set),
    get: None,
    free: None,
};

// As `module!` makes it for a number. `perm` 0: the parameter has no file in sysfs, so the kernel
// calls `set` only while it loads the module.
#[link_section = "__param"]
#[used]
static PARAMETER: KernelParam = KernelParam::new(bindings::kernel_param {
    name: as_char_ptr_in_const_context(if cfg!(MODULE) {
        c"quirks"
    } else {
        c"rnvme.quirks"
    }),
    #[cfg(MODULE)]
    // The loader makes it; it stays until the module is unloaded.
    mod_: (&raw const bindings::__this_module).cast_mut(),
    #[cfg(not(MODULE))]
    mod_: null_mut(),
    ops: from_ref(&OPERATIONS),
    perm: 0,
    level: -1,
    flags: 0,
    __bindgen_anon_1: bindings::kernel_param__bindgen_ty_1 { arg: null_mut() },
});

/// A line of `modinfo`.
macro_rules! modinfo {
    ($name:ident = $text:expr) => {
        #[link_section = ".modinfo"]
        #[used]
        static $name: [u8; $text.len()] = *$text;
    };
}

modinfo!(TYPE = b"parmtype=quirks:string\0");
modinfo!(
    DESCRIPTION = b"parm=quirks:Quirks of devices, as VENDOR:DEVICE:NAME,NAME with ids in \
hexadecimal digits; '^' before a name takes the quirk away, '-' separates devices\0"
);
