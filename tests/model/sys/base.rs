// SPDX-License-Identifier: GPL-2.0

//! Stands in for the driver's `sys/base`: a lock of loom's.

use loom::sync::{
    Mutex,
    MutexGuard, //
};
use std::ops::{
    Deref,
    DerefMut, //
};

/// The driver's spinlock.
pub(crate) struct SpinLock<T>(Mutex<T>);

impl<T> SpinLock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> Guard<'_, T> {
        Guard {
            lock: self,
            held: Some(self.hold()),
        }
    }

    fn hold(&self) -> MutexGuard<'_, T> {
        self.0.lock().expect("no holder panics")
    }
}

/// The lock, held.
pub(crate) struct Guard<'a, T> {
    lock: &'a SpinLock<T>,
    held: Option<MutexGuard<'a, T>>,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.held.as_ref().expect("it is held")
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        if cfg!(feature = "gate_outside_lock") {
            // What was read under the lock is old when something is written.
            self.held = None;
            self.held = Some(self.lock.hold());
        }
        self.held.as_mut().expect("it is held")
    }
}
