// SPDX-License-Identifier: GPL-2.0

//! What all controllers of the module share, each behind a lock: the registry of namespaces, and the
//! list of their shutdowns.

use super::Work;
use crate::{
    nvme::Subsystem,
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
type SharedRegistry = Registry<Arc<Subsystem>>;

global_lock! {
    // LOCK: the identifiers of the namespaces of all controllers; inside: nothing.
    // SAFETY: `with_registry` locks it only after `init_globals` has initialised it: `STATE` is `READY`
    // then.
    unsafe(uninit) static REGISTRY: Mutex<SharedRegistry> = SharedRegistry::new();
}

global_lock! {
    // LOCK: the list of the shutdowns of all controllers; inside: only locks of the workqueue.
    // SAFETY: `with_shutdowns` locks it only after `init_globals` has initialised it: `STATE` is `READY`
    // then.
    unsafe(uninit) static SHUTDOWNS: Mutex<KVec<Arc<Work>>> = KVec::new();
}

/// Whether the locks are initialised: [`NEW`], [`BUSY`] or [`READY`].
static STATE: AtomicU8 = AtomicU8::new(NEW);
const NEW: u8 = 0;
const BUSY: u8 = 1;
const READY: u8 = 2;

/// Initialises the locks. Called when the module is loaded.
pub(crate) fn init_globals() {
    if STATE
        .compare_exchange(NEW, BUSY, Ordering::Relaxed, Ordering::Relaxed)
        .is_ok()
    {
        // SAFETY: `STATE` leaves `NEW` once, so this is called once.
        unsafe { REGISTRY.init() };
        // SAFETY: as above.
        unsafe { SHUTDOWNS.init() };
        STATE.store(READY, Ordering::Release);
    }
}

/// Calls `f` with the registry, under the lock.
///
/// # Errors
///
/// `ENODEV` before [`init_globals`].
pub(crate) fn with_registry<R>(f: impl FnOnce(&mut SharedRegistry) -> R) -> Result<R> {
    if STATE.load(Ordering::Acquire) != READY {
        return Err(ENODEV);
    }
    Ok(f(&mut REGISTRY.lock()))
}

/// Calls `f` with the list of shutdowns, under the lock.
///
/// # Errors
///
/// `ENODEV` before [`init_globals`].
fn with_shutdowns<R>(f: impl FnOnce(&mut KVec<Arc<Work>>) -> R) -> Result<R> {
    if STATE.load(Ordering::Acquire) != READY {
        return Err(ENODEV);
    }
    Ok(f(&mut SHUTDOWNS.lock()))
}

/// Work that shuts a controller down, in the list of [`begin_shutdowns`] until it is dropped.
pub(crate) struct Shutdown(Arc<Work>);

impl Shutdown {
    /// Adds `work` to the list.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `ENODEV` before [`init_globals`].
    pub(crate) fn new(work: Arc<Work>) -> Result<Self> {
        with_shutdowns(|all| all.push(work.clone(), GFP_KERNEL))??;
        Ok(Self(work))
    }

    /// The work.
    pub(crate) fn work(&self) -> &Work {
        &self.0
    }
}

impl Drop for Shutdown {
    fn drop(&mut self) {
        let _ = with_shutdowns(|all| {
            all.retain(|other| !Arc::ptr_eq(other, &self.0));
            if all.is_empty() {
                // The list outlives the module's last controller: it keeps no memory.
                *all = KVec::new();
            }
        });
    }
}

/// Begins all shutdowns, side by side. One that is over does nothing.
pub(crate) fn begin_shutdowns() {
    let _ = with_shutdowns(|all| all.iter().for_each(|work| work.queue()));
}
