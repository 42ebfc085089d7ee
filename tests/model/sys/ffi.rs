// SPDX-License-Identifier: GPL-2.0

//! Stands in for the C declarations.

use loom::cell::UnsafeCell;
use std::sync::atomic::AtomicBool;

/// A request of the block layer.
#[allow(non_camel_case_types, reason = "as in C")]
pub(crate) struct request {
    /// Which slot it is for.
    pub(super) tag: u16,
    /// Whether there is a `Started` of it. This is the model's own: it orders nothing, and always
    /// has the latest value.
    pub(super) is_owned: AtomicBool,
    /// What its owner writes and reads.
    pub(super) data: UnsafeCell<u32>,
}
