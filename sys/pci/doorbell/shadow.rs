// SPDX-License-Identifier: GPL-2.0

//! The protocol of a shadow doorbell, wherever its two words lie.
//!
//! ```text
//!   host                                     controller, about to stop looking
//!     entries of the ring                      event index = what it has seen
//!     (A) ─ stores in order                    ─ its barrier
//!     shadow = new value                       reads the shadow once more
//!     (B) ─ full barrier
//!     reads the event index
//! ```
//!
//! (A) is what the doorbell register needs, too: on x86-64 the compiler alone must be kept from
//! reordering stores. (B) is needed because a store and a later load may be reordered: without it
//! both sides could miss each other, the host seeing the old event index and the controller the
//! old shadow, and the command would wait for ever. With it at least one of them sees the other.
//! C's driver has a second full barrier in the place of (A); x86-64 has no use for that.

use crate::{
    nvme::needs_event,
    sys::atomic::{
        fence,
        store_barrier,
        Ordering, //
    },
};

/// Where the two words are that host and controller share for one doorbell. Each access happens
/// once, is not torn, and orders nothing.
pub(in crate::sys) trait SharedWords: Copy {
    /// Stores the value of the doorbell.
    fn store_shadow(self, value: u32);

    /// Loads the event index.
    fn load_event(self) -> u32;
}

/// Stores `new`, where `old` was; returns whether the register must be written, too.
#[inline(always)]
pub(in crate::sys) fn update(words: &impl SharedWords, old: u16, new: u16) -> bool {
    // (A)
    store_barrier();
    // One load of where they are serves both accesses: (B) would have it loaded again.
    let words = *words;
    words.store_shadow(new.into());
    // (B)
    fence(Ordering::SeqCst);
    // CAST: values of doorbells have 16 bits; whatever else a device writes there costs it a
    // notice.
    needs_event(words.load_event() as u16, new, old)
}
