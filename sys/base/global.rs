// SPDX-License-Identifier: GPL-2.0

//! The registry of namespaces, which all controllers of the module share, behind one lock.

use crate::{
    nvme::SubsystemName,
    policy::Registry, //
};
use core::sync::atomic::{
    AtomicU8,
    Ordering, //
};
use kernel::{
    prelude::*,
    sync::{
        global_lock,
        Arc, //
    },
};

/// The registry. The namespaces of a controller share the name of its subsystem.
type SharedRegistry = Registry<Arc<SubsystemName>>;

global_lock! {
    // LOCK: the identifiers of the namespaces of all controllers; inside: nothing.
    // SAFETY: `with_registry` locks it only after `init_registry` has initialised it: `STATE` is `READY`
    // then.
    unsafe(uninit) static REGISTRY: Mutex<SharedRegistry> = SharedRegistry::new();
}

/// Whether the lock is initialised: [`NEW`], [`BUSY`] or [`READY`].
static STATE: AtomicU8 = AtomicU8::new(NEW);
const NEW: u8 = 0;
const BUSY: u8 = 1;
const READY: u8 = 2;

/// Initialises the lock of the registry. Called when the module is loaded.
pub(crate) fn init_registry() {
    if STATE
        .compare_exchange(NEW, BUSY, Ordering::Relaxed, Ordering::Relaxed)
        .is_ok()
    {
        // SAFETY: `STATE` leaves `NEW` once, so this is called once.
        unsafe { REGISTRY.init() };
        STATE.store(READY, Ordering::Release);
    }
}

/// Calls `f` with the registry, under the lock.
///
/// # Errors
///
/// `ENODEV` before [`init_registry`].
pub(crate) fn with_registry<R>(f: impl FnOnce(&mut SharedRegistry) -> R) -> Result<R> {
    if STATE.load(Ordering::Acquire) != READY {
        return Err(ENODEV);
    }
    Ok(f(&mut REGISTRY.lock()))
}
