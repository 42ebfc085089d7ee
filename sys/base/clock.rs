// SPDX-License-Identifier: GPL-2.0

//! The time of day.

use kernel::bindings;

/// Milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    // SAFETY: reads the clock; callable in any context.
    let ns = unsafe { bindings::ktime_get_with_offset(bindings::tk_offsets_TK_OFFS_REAL) };
    // CAST: after 1970.
    ns.max(0) as u64 / 1_000_000
}
