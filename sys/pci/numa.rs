// SPDX-License-Identifier: GPL-2.0

//! Memory on the NUMA node of a device. The allocators of the kernel crate take a node; its boxes
//! and vectors do not yet.

use core::{
    alloc::Layout,
    mem::MaybeUninit, //
};
use kernel::{
    alloc::{
        Allocator,
        NumaNode, //
    },
    device::Device,
    prelude::*, //
};

/// The node of `dev`; [`NumaNode::NO_NODE`] if it has none.
pub(crate) fn of(dev: &Device) -> NumaNode {
    NumaNode::new(super::function::node(dev)).unwrap_or(NumaNode::NO_NODE)
}

/// An empty vector with room for `capacity` elements, on `node` if that has free memory. A vector
/// that grows beyond its capacity may move to another node.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn vec_on<T, A: Allocator>(node: NumaNode, capacity: usize) -> Result<Vec<T, A>> {
    const { assert!(size_of::<T>() != 0) };
    if capacity == 0 {
        return Ok(Vec::new());
    }
    let layout = Layout::array::<T>(capacity).map_err(|_| ENOMEM)?;
    let memory = A::alloc(layout, GFP_KERNEL, node)?;
    // SAFETY: `A` allocated the memory just now, for `capacity` elements; none is initialised.
    Ok(unsafe { Vec::from_raw_parts(memory.cast().as_ptr(), 0, capacity) })
}

/// An uninitialised box, on `node` if that has free memory.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn uninit_on<T>(node: NumaNode) -> Result<KBox<MaybeUninit<T>>> {
    const { assert!(size_of::<T>() != 0) };
    let memory = kernel::alloc::allocator::Kmalloc::alloc(Layout::new::<T>(), GFP_KERNEL, node)?;
    // SAFETY: `Kmalloc`, the allocator of a `KBox`, has just allocated the memory, with the layout
    // of a `T`. A `MaybeUninit` need not be initialised.
    Ok(unsafe { KBox::from_raw(memory.cast().as_ptr()) })
}

/// `value` in a box, on `node` if that has free memory.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn box_on<T>(node: NumaNode, value: T) -> Result<KBox<T>> {
    Ok(uninit_on(node)?.write(value))
}
