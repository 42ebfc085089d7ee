// SPDX-License-Identifier: GPL-2.0

//! The page of the small lists of eight tags, as submitting CPUs find it without a lock.
//!
//! ```text
//!   none ──► ready ──► resting ──► none
//!              ▲          │
//!              └──────────┘ a request needs the list
//! ```

use crate::sys::atomic::{
    AtomicU64,
    AtomicUsize,
    Ordering, //
};

/// The bit of [`Group::state`] that says that [`Group::find`] must not return the page.
const RESTS: usize = 1;

/// The page of a group of tags. A lock is held while it is changed; [`Self::find`] needs none.
///
/// # Invariants
///
/// `state` is the address of a page, alone or with [`RESTS`], or it is [`RESTS`] alone: there is no
/// page. `address` is the device's address of the page. It changes only while there is no page, and
/// no page was ready since an RCU grace period.
pub(super) struct Group {
    state: AtomicUsize,
    address: AtomicU64,
}

impl Group {
    /// No page.
    pub(super) fn none() -> Self {
        Self {
            state: AtomicUsize::new(RESTS),
            address: AtomicU64::new(0),
        }
    }

    /// The address of the page, and the device's, if the page is ready. They belong together until
    /// the RCU read-side critical section of the caller ends.
    #[inline(always)]
    pub(super) fn find(&self) -> Option<(usize, u64)> {
        // Pairs with the release store in `set`.
        let base = self.state.load(Ordering::Acquire);
        if base & RESTS != 0 {
            return None;
        }
        Some((base, self.address.load(Ordering::Relaxed)))
    }

    /// Makes the page at `base` ready, which the device has at `address`: the page that rests, or a
    /// new one where there is none.
    pub(super) fn set(&self, base: usize, address: u64) {
        // INVARIANT: it is the same address, or there is no page; `clear` waited for an RCU grace
        // period.
        self.address.store(address, Ordering::Relaxed);
        // A page begins at a multiple of its size, so `base` does not have `RESTS`.
        self.state.store(base, Ordering::Release);
    }

    /// Makes a page that is ready rest; returns whether there was one.
    pub(super) fn rest(&self) -> bool {
        let state = self.state.load(Ordering::Relaxed);
        // INVARIANT: the same page.
        self.state.store(state | RESTS, Ordering::Relaxed);
        state & RESTS == 0
    }

    /// Forgets the page, which has rested for an RCU grace period.
    pub(super) fn clear(&self) {
        self.state.store(RESTS, Ordering::Relaxed);
    }
}
