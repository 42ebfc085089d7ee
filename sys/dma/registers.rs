// SPDX-License-Identifier: GPL-2.0

//! Hints about registers, for code that each request of several pages runs through.
//!
//! Six registers keep their values across a call. The compiler does not know which values a loop
//! needs most, and has kept there what the loop does not need.

use core::mem::MaybeUninit;

/// A value in memory: it takes no register until it is read.
pub(super) struct Aside<T: Copy>(MaybeUninit<T>);

impl<T: Copy> Aside<T> {
    /// A place for a value.
    #[inline(always)]
    pub(super) fn place() -> MaybeUninit<Self> {
        MaybeUninit::uninit()
    }

    /// Puts `value` into `place`.
    #[inline(always)]
    pub(super) fn put(place: &mut MaybeUninit<Self>, value: T) -> &Self {
        let at: *mut T = place.as_mut_ptr().cast();
        // SAFETY: `Self` is a place for a `T`, which is borrowed for this.
        unsafe { at.write_volatile(value) };
        // SAFETY: the place has a value now.
        unsafe { place.assume_init_ref() }
    }

    /// The value.
    #[inline(always)]
    pub(super) fn get(&self) -> T {
        // SAFETY: only `put` makes a reference to `Self`: there is a value.
        unsafe { self.0.as_ptr().read_volatile() }
    }
}

/// `value`, in a register from here on. The compiler would compute it where it is used, from values
/// that take more registers.
#[allow(
    clippy::pointers_in_nomem_asm_block,
    reason = "there is no instruction, so no memory is read"
)]
#[inline(always)]
pub(super) fn computed_here<T>(mut value: *const T) -> *const T {
    // SAFETY: no instruction.
    unsafe {
        core::arch::asm!("/* {0} */", inout(reg) value, options(nomem, nostack, preserves_flags))
    };
    value
}
