// SPDX-License-Identifier: GPL-2.0

//! A spinlock that costs what C's does: the kernel crate's takes an extra call each way, through
//! a helper, because `spin_lock` is an inline function in C.

use super::ffi as bindings;
use kernel::{
    prelude::*,
    sync::lock, //
};

/// `spinlock_t`, locked by the function that C's inline compiles to.
pub(crate) struct DirectBackend;

/// A spinlock for the path of every request. Not for interrupt context.
pub(crate) type SpinLock<T> = lock::Lock<T, DirectBackend>;

// SAFETY: `_raw_spin_lock` and `_raw_spin_unlock` on the `raw_spinlock_t` that begins a
// `spinlock_t` are what `spin_lock` and `spin_unlock` are defined as (`include/linux/spinlock.h`),
// so exclusion is the kernel's own. With PREEMPT_RT, where they are not, the helpers are called.
unsafe impl lock::Backend for DirectBackend {
    type State = bindings::spinlock_t;
    type GuardState = ();

    unsafe fn init(ptr: *mut Self::State, name: *const c_char, key: *mut bindings::lock_class_key) {
        // SAFETY: the caller promises what `SpinLockBackend::init` asks for.
        unsafe { <lock::spinlock::SpinLockBackend as lock::Backend>::init(ptr, name, key) }
    }

    #[inline(always)]
    unsafe fn lock(ptr: *mut Self::State) {
        #[cfg(not(CONFIG_PREEMPT_RT))]
        // SAFETY: the caller promises an initialised lock; see above for the cast.
        unsafe {
            bindings::_raw_spin_lock(ptr.cast())
        };
        #[cfg(CONFIG_PREEMPT_RT)]
        // SAFETY: the caller promises an initialised lock.
        unsafe {
            bindings::spin_lock(ptr)
        };
    }

    #[inline(always)]
    unsafe fn unlock(ptr: *mut Self::State, _guard_state: &()) {
        #[cfg(not(CONFIG_PREEMPT_RT))]
        // SAFETY: the caller owns the lock; see above for the cast.
        unsafe {
            bindings::_raw_spin_unlock(ptr.cast())
        };
        #[cfg(CONFIG_PREEMPT_RT)]
        // SAFETY: the caller owns the lock.
        unsafe {
            bindings::spin_unlock(ptr)
        };
    }

    unsafe fn try_lock(ptr: *mut Self::State) -> Option<()> {
        // SAFETY: the caller promises an initialised lock.
        unsafe { <lock::spinlock::SpinLockBackend as lock::Backend>::try_lock(ptr) }
    }

    unsafe fn assert_is_held(ptr: *mut Self::State) {
        // SAFETY: the caller promises an initialised lock.
        unsafe { <lock::spinlock::SpinLockBackend as lock::Backend>::assert_is_held(ptr) }
    }
}
