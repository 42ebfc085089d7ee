// SPDX-License-Identifier: GPL-2.0

//! A spinlock as cheap as C's. The kernel crate's spinlock makes an extra call for each lock and
//! unlock, through a helper, because `spin_lock` is an inline function in C. It makes one more call
//! to assert that the lock is held.

use crate::sys::ffi as bindings;
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    ops::{
        Deref,
        DerefMut, //
    }, //
};
use kernel::{
    prelude::*,
    sync::{
        lock::{
            spinlock::SpinLockBackend,
            Backend, //
        },
        LockClassKey, //
    },
    types::{
        NotThreadSafe,
        Opaque, //
    }, //
};

/// A spinlock for the path of every request. Not for interrupt context.
#[repr(C)]
#[pin_data]
pub(crate) struct SpinLock<T> {
    #[pin]
    state: Opaque<bindings::spinlock_t>,
    value: UnsafeCell<T>,
}

// SAFETY: to send the lock is to send the value, which is `Send`.
unsafe impl<T: Send> Send for SpinLock<T> {}
// SAFETY: the lock gives the value, which is `Send`, to one thread at a time.
unsafe impl<T: Send> Sync for SpinLock<T> {}

impl<T> SpinLock<T> {
    /// A lock around `value`; `name` and `key` are for lockdep.
    pub(crate) fn new(
        value: T,
        name: &'static CStr,
        key: Pin<&'static LockClassKey>,
    ) -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: the slot is valid for the call, name and key for ever.
            state <- Opaque::ffi_init(|state| unsafe {
                SpinLockBackend::init(state, name.as_char_ptr(), key.as_ptr())
            }),
            value: UnsafeCell::new(value),
        })
    }

    /// Waits for the lock and takes it.
    #[inline(always)]
    pub(crate) fn lock(&self) -> Guard<'_, T> {
        #[cfg(all(CONFIG_SMP, not(CONFIG_PREEMPT_RT)))]
        // SAFETY: the lock is initialised. `_raw_spin_lock` on the `raw_spinlock_t` that begins a
        // `spinlock_t` is what `spin_lock` is defined as (`include/linux/spinlock.h`).
        unsafe {
            bindings::_raw_spin_lock(self.state.get().cast())
        };
        #[cfg(not(all(CONFIG_SMP, not(CONFIG_PREEMPT_RT))))]
        // SAFETY: the lock is initialised.
        unsafe {
            bindings::spin_lock(self.state.get())
        };
        Guard {
            lock: self,
            _here: PhantomData,
        }
    }
}

/// The lock, held; released when dropped.
pub(crate) struct Guard<'a, T> {
    lock: &'a SpinLock<T>,
    /// The thread that took the lock releases it.
    _here: PhantomData<NotThreadSafe>,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held, so the value is ours; shared while `self` is borrowed shared.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held, and `self` is borrowed exclusively.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        #[cfg(all(CONFIG_SMP, not(CONFIG_PREEMPT_RT)))]
        // SAFETY: a guard exists only while its lock is held; for the cast see `lock`.
        unsafe {
            bindings::_raw_spin_unlock(self.lock.state.get().cast())
        };
        #[cfg(not(all(CONFIG_SMP, not(CONFIG_PREEMPT_RT))))]
        // SAFETY: a guard exists only while its lock is held.
        unsafe {
            bindings::spin_unlock(self.lock.state.get())
        };
    }
}
