// SPDX-License-Identifier: GPL-2.0

//! The driver's `sys/atomic.rs` made of loom's parts, and what is broken on purpose.

pub(in crate::sys) use loom::sync::atomic::AtomicU64;
pub(in crate::sys) use std::sync::atomic::Ordering;

use loom::{
    cell::UnsafeCell,
    sync::atomic, //
};

/// What an armed slot's state has above the command id: the first bit for a request of its own queue,
/// the second for one that is lent.
const ABOVE_ID: u32 = 0xffff_0000;

/// One generation of a command id.
const GENERATION: u32 = 0x1000;

/// `core`'s, as far as it is used: the state of a slot.
///
/// Loom knows one last access of an atomic, so a thread's load before its own store hides the loads of
/// other threads from that store, and orders of them are left out. Here each access begins with a
/// store to `order`, which no thread reads and which thus tells none anything: stores depend on
/// each other, so loom explores each order of them.
pub(in crate::sys) struct AtomicU32 {
    value: atomic::AtomicU32,
    order: atomic::AtomicU32,
}

impl AtomicU32 {
    pub(in crate::sys) fn new(value: u32) -> Self {
        Self {
            value: atomic::AtomicU32::new(value),
            order: atomic::AtomicU32::new(0),
        }
    }

    pub(in crate::sys) fn load(&self, order: Ordering) -> u32 {
        let is_relaxed = cfg!(feature = "relaxed_take");
        let order = if is_relaxed { Ordering::Relaxed } else { order };
        self.order.store(0, Ordering::Relaxed);
        self.value.load(order)
    }

    pub(in crate::sys) fn store(&self, value: u32, order: Ordering) {
        let is_armed = value & ABOVE_ID != 0;
        if cfg!(feature = "kept_armed") && !is_armed {
            return;
        }
        let is_relaxed = match is_armed {
            true => cfg!(feature = "relaxed_arm"),
            false => cfg!(feature = "relaxed_release"),
        };
        let order = if is_relaxed { Ordering::Relaxed } else { order };
        self.order.store(0, Ordering::Relaxed);
        self.value.store(broken_value(value, is_armed), order);
    }
}

/// `core`'s, as far as it is used: the state of a group of lists.
pub(in crate::sys) struct AtomicUsize(atomic::AtomicUsize);

impl AtomicUsize {
    pub(in crate::sys) fn new(value: usize) -> Self {
        Self(atomic::AtomicUsize::new(value))
    }

    pub(in crate::sys) fn load(&self, order: Ordering) -> usize {
        self.0.load(order)
    }

    pub(in crate::sys) fn store(&self, value: usize, order: Ordering) {
        let is_relaxed = cfg!(feature = "relaxed_ready");
        self.0
            .store(value, if is_relaxed { Ordering::Relaxed } else { order });
    }
}

/// What is stored for `value`.
fn broken_value(value: u32, is_armed: bool) -> u32 {
    let is_older = match is_armed {
        true => cfg!(feature = "armed_by_last_id"),
        false => cfg!(feature = "same_generation"),
    };
    if is_older {
        return value & ABOVE_ID | value.wrapping_sub(GENERATION) & !ABOVE_ID;
    }
    if cfg!(feature = "lent_as_armed") && is_armed {
        return value & !ABOVE_ID | 1 << 16;
    }
    value
}

/// The driver's: loom sees who accesses it at the same time.
pub(in crate::sys) struct OwnedCell<T>(UnsafeCell<T>);

impl<T: Copy> OwnedCell<T> {
    pub(in crate::sys) fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// # Safety
    ///
    /// The caller owns the value.
    pub(in crate::sys) unsafe fn get(&self) -> T {
        // SAFETY: the caller promises that the value is its own.
        self.0.with(|value| unsafe { *value })
    }

    /// # Safety
    ///
    /// The caller owns the value.
    pub(in crate::sys) unsafe fn set(&self, value: T) {
        // SAFETY: as above.
        self.0.with_mut(|place| unsafe { *place = value });
    }
}

/// `core`'s. The driver needs none but the full barrier of a shadow doorbell.
pub(in crate::sys) fn fence(order: Ordering) {
    let is_weak = cfg!(feature = "no_full_barrier");
    atomic::fence(if is_weak { Ordering::AcqRel } else { order });
}

/// The driver's: what a release fence promises is what `dma_wmb` does.
pub(in crate::sys) fn store_barrier() {
    if cfg!(feature = "no_store_barrier") {
        return;
    }
    atomic::fence(Ordering::Release);
}
