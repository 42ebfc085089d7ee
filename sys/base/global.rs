// SPDX-License-Identifier: GPL-2.0

//! What all controllers of the module share: one list, behind one lock.

use crate::policy::Registry;
use core::sync::atomic::{
    AtomicU8,
    Ordering, //
};
use kernel::{
    prelude::*,
    sync::global_lock, //
};

global_lock! {
    // LOCK: the identifiers of the namespaces of all controllers; inside: nothing.
    // SAFETY: `with` locks it only after `init` has initialised it, as `STATE` says.
    unsafe(uninit) static REGISTRY: Mutex<Registry> = Registry::new();
}

/// Whether the lock can be used.
static STATE: AtomicU8 = AtomicU8::new(NEW);
const NEW: u8 = 0;
const BUSY: u8 = 1;
const READY: u8 = 2;

/// Makes the list usable; to be called when the module is loaded.
pub(crate) fn init() {
    if STATE
        .compare_exchange(NEW, BUSY, Ordering::Relaxed, Ordering::Relaxed)
        .is_ok()
    {
        // SAFETY: `STATE` leaves `NEW` once, so this is called once.
        unsafe { REGISTRY.init() };
        STATE.store(READY, Ordering::Release);
    }
}

/// Does something with the list.
///
/// # Errors
///
/// `ENODEV` before [`init`].
pub(crate) fn with_registry<R>(f: impl FnOnce(&mut Registry) -> R) -> Result<R> {
    if STATE.load(Ordering::Acquire) != READY {
        return Err(ENODEV);
    }
    Ok(f(&mut REGISTRY.lock()))
}
