// SPDX-License-Identifier: GPL-2.0

//! Numbers of controllers: each gets the lowest free number and returns it when dropped.
//!
//! Controllers that are there when the module is loaded are probed side by side, so numbers are
//! reserved for them before, in the order of the bus.

use crate::{
    num::u32_as_usize,
    sys::pci::DeviceKey, //
};
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
static USED: Numbers = Numbers::none();

struct Numbers {
    used: [Atomic<u64>; MAX / BITS],
    /// The key of the device for which a number is reserved; 0 if for none.
    reserved: [Atomic<usize>; MAX],
}

/// A controller's number.
pub(crate) struct Instance(u32);

/// Reserves the lowest free number for the device of `key`, until [`release_numbers`].
pub(crate) fn reserve_number(key: DeviceKey) {
    USED.reserve(key.0);
}

/// Frees the numbers of devices that were not probed, as another driver took them, for instance.
pub(crate) fn release_numbers() {
    USED.release();
}

impl Instance {
    /// Takes the number that is reserved for the device of `key`, or else the lowest free number.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if all are in use.
    pub(crate) fn allocate(key: DeviceKey) -> Result<Self> {
        USED.take_reserved(key.0)
            .or_else(|| USED.take())
            .map(Self)
            .ok_or(ENOSPC)
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
    const fn none() -> Self {
        Self {
            used: [const { Atomic::new(0) }; MAX / BITS],
            reserved: [const { Atomic::new(0) }; MAX],
        }
    }

    fn reserve(&self, key: usize) {
        if let Some(place) = self.take().and_then(|n| self.reserved.get(u32_as_usize(n))) {
            place.store(key, Relaxed);
        }
    }

    fn take_reserved(&self, key: usize) -> Option<u32> {
        let mut all = (0u32..).zip(&self.reserved);
        all.find_map(|(number, place)| place.cmpxchg(key, 0, Full).is_ok().then_some(number))
    }

    fn release(&self) {
        for (number, place) in (0u32..).zip(&self.reserved) {
            if place.xchg(0, Full) != 0 {
                self.give(number);
            }
        }
    }

    fn take(&self) -> Option<u32> {
        for (word, base) in self.used.iter().zip((0u32..).step_by(BITS)) {
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
        let Some(word) = self.used.get(number / BITS) else {
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

    #[test]
    fn a_reserved_number_waits_for_its_device() {
        static NUMBERS: Numbers = Numbers::none();
        for key in [0x100, 0x200, 0x300] {
            NUMBERS.reserve(key);
        }
        // The order of the probes does not matter.
        assert_eq!(NUMBERS.take_reserved(0x300), Some(2));
        assert_eq!(NUMBERS.take_reserved(0x100), Some(0));
        // Only once; a device without a number of its own gets a free one.
        assert_eq!(NUMBERS.take_reserved(0x100), None);
        assert_eq!(NUMBERS.take(), Some(3));
        NUMBERS.release();
        assert_eq!(NUMBERS.take_reserved(0x200), None);
        assert_eq!(NUMBERS.take(), Some(1));
    }

    #[test]
    fn numbers_are_the_lowest_free() {
        static NUMBERS: Numbers = Numbers::none();
        let numbers = &NUMBERS;
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
        static NUMBERS: Numbers = Numbers::none();
        let numbers = &NUMBERS;
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
