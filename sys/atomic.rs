// SPDX-License-Identifier: GPL-2.0

//! What the lock-free protocols are made of: atomics, fences, values that change hands.
//!
//! The protocols take them from here and from nowhere else. `tests/model` compiles the same
//! protocols with a file of its own in this place, which has loom's: that explores every order
//! that the memory model allows.

pub(in crate::sys) use core::sync::atomic::{
    fence,
    AtomicU32,
    AtomicU64,
    AtomicUsize,
    Ordering, //
};

use core::cell::UnsafeCell;

/// A value that has one owner at a time. The protocol around it says who that is.
#[repr(transparent)]
pub(in crate::sys) struct OwnedCell<T>(UnsafeCell<T>);

impl<T: Copy> OwnedCell<T> {
    pub(in crate::sys) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// The value.
    ///
    /// # Safety
    ///
    /// The caller owns the value.
    #[inline(always)]
    pub(in crate::sys) unsafe fn get(&self) -> T {
        // SAFETY: the caller promises that the value is its own.
        unsafe { *self.0.get() }
    }

    /// Exchanges the value.
    ///
    /// # Safety
    ///
    /// The caller owns the value.
    #[inline(always)]
    pub(in crate::sys) unsafe fn set(&self, value: T) {
        // SAFETY: as above.
        unsafe { *self.0.get() = value };
    }
}

/// Orders the stores before it before the stores after it, as the device sees them (`dma_wmb`). On
/// x86-64 stores are not reordered with stores: the compiler alone must be kept from it.
#[inline(always)]
pub(in crate::sys) fn store_barrier() {
    #[cfg(target_arch = "x86_64")]
    core::sync::atomic::compiler_fence(Ordering::SeqCst);
    #[cfg(not(target_arch = "x86_64"))]
    kernel::sync::barrier::dma_mb(kernel::sync::barrier::Write);
}
