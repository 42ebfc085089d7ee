// SPDX-License-Identifier: GPL-2.0

//! Integer conversions that lose nothing, and the size of a sector.
//!
//! The conversions are the kernel's: `const`, and checked by the compiler. An `as` between integer
//! types has a comment `CAST:` that states why the value fits.

pub(crate) use kernel::num::casts::{
    arch::u64_as_usize,
    u16_as_u32,
    u16_as_u64,
    u16_as_usize,
    u32_as_u64,
    u32_as_usize,
    u8_as_u16,
    usize_as_u64,
    usize_into_u32, //
};

/// log2 of the bytes of a sector, the unit of the block layer.
pub(crate) const SECTOR_SHIFT: u32 = 9;
