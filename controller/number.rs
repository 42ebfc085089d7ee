// SPDX-License-Identifier: GPL-2.0

//! Numbers of controllers: each gets the lowest free number and returns it when dropped.

use crate::num::u32_as_usize;
use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        Full,
        Relaxed, //
    }, //
};

/// The most controllers that have numbers: far more than a machine has slots.
const MAX: usize = 1024;
const BITS: usize = 64;

/// One bit for each number in use.
static USED: Numbers = Numbers([const { Atomic::new(0) }; MAX / BITS]);

struct Numbers([Atomic<u64>; MAX / BITS]);

/// A controller's number.
pub(crate) struct Instance(u32);

impl Instance {
    /// Takes the lowest free number.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if all are in use.
    pub(crate) fn allocate() -> Result<Self> {
        USED.take().map(Self).ok_or(ENOSPC)
    }

    /// The number.
    pub(crate) fn number(&self) -> u32 {
        self.0
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        USED.give(self.0);
    }
}

impl Numbers {
    fn take(&self) -> Option<u32> {
        for (word, base) in self.0.iter().zip((0u32..).step_by(BITS)) {
            let mut used = word.load(Relaxed);
            while let Some(bit) = 1u64.checked_shl(used.trailing_ones()) {
                match word.cmpxchg(used, used | bit, Full) {
                    Ok(_) => return Some(base + bit.trailing_zeros()),
                    Err(now) => used = now,
                }
            }
        }
        None
    }

    fn give(&self, number: u32) {
        let number = u32_as_usize(number);
        let Some(word) = self.0.get(number / BITS) else {
            return;
        };
        let bit = 1u64 << (number % BITS);
        let mut used = word.load(Relaxed);
        while let Err(now) = word.cmpxchg(used, used & !bit, Full) {
            used = now;
        }
    }
}

#[kunit_tests(rnvme_number)]
mod tests {
    use super::*;

    fn none() -> Numbers {
        Numbers([const { Atomic::new(0) }; MAX / BITS])
    }

    #[test]
    fn numbers_are_the_lowest_free() {
        let numbers = none();
        for expected in 0..130 {
            assert_eq!(numbers.take(), Some(expected));
        }
        numbers.give(64);
        numbers.give(3);
        assert_eq!(numbers.take(), Some(3));
        assert_eq!(numbers.take(), Some(64));
        assert_eq!(numbers.take(), Some(130));
    }

    #[test]
    fn numbers_run_out_without_harm() {
        let numbers = none();
        // CAST: 1024 fits.
        for expected in 0..MAX as u32 {
            assert_eq!(numbers.take(), Some(expected));
        }
        assert_eq!(numbers.take(), None);
        numbers.give(1023);
        assert_eq!(numbers.take(), Some(1023));
        // A number that never was is ignored.
        numbers.give(u32::MAX);
    }
}
