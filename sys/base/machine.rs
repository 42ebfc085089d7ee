// SPDX-License-Identifier: GPL-2.0

//! What the firmware says of the machine (SMBIOS).

use crate::policy::MachineField;
#[cfg(CONFIG_DMI)]
use crate::sys::ffi as bindings;
use kernel::prelude::*;

/// Whether `field` of the machine is exactly `text`.
pub(crate) fn is_machine(field: MachineField, text: &'static CStr) -> bool {
    #[cfg(CONFIG_DMI)]
    {
        let field = match field {
            MachineField::SystemVendor => bindings::dmi_field_DMI_SYS_VENDOR,
            MachineField::Product => bindings::dmi_field_DMI_PRODUCT_NAME,
            MachineField::BoardVendor => bindings::dmi_field_DMI_BOARD_VENDOR,
            MachineField::Board => bindings::dmi_field_DMI_BOARD_NAME,
        };
        // SAFETY: the function compares two texts; `text` ends with a zero.
        unsafe { bindings::dmi_match(field, text.as_char_ptr()) }
    }
    #[cfg(not(CONFIG_DMI))]
    {
        let _ = (field, text);
        false
    }
}
