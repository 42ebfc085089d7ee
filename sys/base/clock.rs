// SPDX-License-Identifier: GPL-2.0

//! The time of day.

use kernel::bindings;

/// Milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    // SAFETY: the function only reads the clock, and any context may call it.
    let ns = unsafe { bindings::ktime_get_with_offset(bindings::tk_offsets_TK_OFFS_REAL) };
    // CAST: not negative.
    ns.max(0) as u64 / 1_000_000
}
