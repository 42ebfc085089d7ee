// SPDX-License-Identifier: GPL-2.0

//! The driver's `sys`: its protocols, and stand-ins for what they stand on.

mod atomic;
pub(crate) mod base;
pub(crate) mod block;
pub(crate) mod dma;
mod ffi;
pub(crate) mod pci;
