// SPDX-License-Identifier: GPL-2.0

//! A doorbell whose words and register are loom's, and the controller's side of them.

#[path = "../../../../sys/pci/doorbell/shadow.rs"]
mod shadow;

use self::shadow::SharedWords;
use loom::sync::atomic::{
    fence,
    AtomicU32,
    Ordering, //
};

/// A doorbell with its shadow. One side stores a word, the other loads it.
pub(crate) struct Doorbell {
    shadow: AtomicU32,
    event: AtomicU32,
    register: AtomicU32,
}

impl SharedWords for &Doorbell {
    fn store_shadow(self, value: u32) {
        self.shadow.store(value, Ordering::Relaxed);
    }

    fn load_event(self) -> u32 {
        self.event.load(Ordering::Relaxed)
    }
}

/// The host's side.
impl Doorbell {
    /// A doorbell that was rung up to `value`, with a controller that waits for more.
    pub(crate) fn new(value: u16) -> Self {
        Self {
            shadow: AtomicU32::new(value.into()),
            event: AtomicU32::new(value.into()),
            register: AtomicU32::new(value.into()),
        }
    }

    /// As the driver's `Doorbell::ring`. The register's store comes after the stores to memory.
    pub(crate) fn ring(&self, (old, new): (u16, u16)) {
        if !shadow::update(&self, old, new) {
            return;
        }
        self.register.store(new.into(), Ordering::Release);
    }
}

/// The controller's side: NVMe Base 2.0, annex B.5.
impl Doorbell {
    /// What memory says, and with it what was stored before.
    pub(crate) fn look(&self) -> u16 {
        // CAST: the host stores values of 16 bits.
        self.shadow.load(Ordering::Acquire) as u16
    }

    /// Announces that the controller stops reading the memory, where it read `seen` last.
    pub(crate) fn stop_looking(&self, seen: u16) {
        self.event.store(seen.into(), Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// What was written to the register last: this wakes a controller.
    pub(crate) fn register(&self) -> u16 {
        // CAST: as above.
        self.register.load(Ordering::Acquire) as u16
    }
}
