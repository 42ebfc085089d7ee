// SPDX-License-Identifier: GPL-2.0

//! Stands in for the driver's `sys/pci`: memory and doorbells.

mod doorbell;

pub(crate) use self::doorbell::Doorbell;

use kernel::{
    alloc::NumaNode,
    prelude::*, //
};

/// The driver's, less the node.
pub(in crate::sys) fn vec_on<T>(_node: NumaNode, capacity: usize) -> Result<KVec<T>> {
    Ok(KVec::with_capacity(capacity))
}
