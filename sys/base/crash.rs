// SPDX-License-Identifier: GPL-2.0

//! The kernel that saves the memory of a crashed one (kdump).

/// Whether this kernel was started to save the memory of one that crashed, and has little memory of
/// its own (`is_kdump_kernel`).
pub(crate) fn is_kdump_kernel() -> bool {
    #[cfg(CONFIG_CRASH_DUMP)]
    // SAFETY: the kernel writes the variable during its own start only, before it loads modules.
    return unsafe { crate::sys::ffi::elfcorehdr_addr } != u64::MAX;
    #[cfg(not(CONFIG_CRASH_DUMP))]
    false
}
