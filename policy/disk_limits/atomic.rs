// SPDX-License-Identifier: GPL-2.0

//! Limits of atomic writes: NVM 2.1.4.

use super::{
    power_below,
    Calculation,
    Ignored,
    LARGEST_POWER, //
};
use crate::num::SECTOR_SHIFT;
use kernel::prelude::*;

/// Limits of atomic writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Atomic {
    /// Maximum bytes of an atomic write; 0: no write is atomic.
    pub(crate) max: u32,
    /// An atomic write must not cross a multiple of this many bytes, a power of two; 0: no
    /// boundary.
    pub(crate) boundary: u32,
}

impl Atomic {
    /// The largest power of two of bytes that an atomic write may have; 0: no write is atomic.
    pub(crate) fn unit(&self) -> u32 {
        match self.max {
            0 => 0,
            max => power_below(max.into()),
        }
    }

    /// Whether the device writes `bytes` from 512-byte sector `sector` on atomically.
    pub(crate) fn allows(&self, sector: u64, bytes: u32) -> bool {
        if bytes == 0 || bytes > self.max {
            return false;
        }
        let Some(mask) = self.boundary.checked_sub(1).map(u64::from) else {
            return true;
        };
        let first = sector.wrapping_shl(SECTOR_SHIFT);
        let last = first.wrapping_add(u64::from(bytes) - 1);
        first & !mask == last & !mask
    }
}

impl Calculation<'_> {
    /// Limits of atomic writes, and the bytes of the largest block that is written atomically.
    ///
    /// The limits follow from the namespace's fields for power failures alone (NAWUPF, NABSPF,
    /// NABO). AWUPF of the controller holds for all its namespaces whatever their block size, and
    /// Linux does not trust it.
    pub(super) fn atomic(&mut self, chunk_sectors: u32) -> (Atomic, u32) {
        const ATOMICS: u8 = 1 << 1;
        let hints = *self.hints();
        let block = Atomic {
            max: self.block,
            boundary: 0,
        };
        if hints.atomic_offset != 0 {
            // The block layer cannot express boundaries that do not begin at 0.
            return (Atomic::default(), self.block);
        }
        if hints.features & ATOMICS == 0 || hints.atomic_z == 0 {
            return (block, self.block);
        }
        let mut max = self.bytes(hints.atomic_z).min(LARGEST_POWER);
        let mut boundary = 0;
        if hints.atomic_boundary_z != 0 {
            boundary = self.bytes(hints.atomic_boundary_z).min(LARGEST_POWER);
            if !boundary.is_power_of_two() {
                self.ignore(Ignored::NABSPF);
                return (block, self.block);
            }
            if max > boundary {
                self.ignore(Ignored::NAWUPF);
                max = boundary;
            }
        }
        let chunk = u64::from(chunk_sectors) << SECTOR_SHIFT;
        if chunk != 0 && max > chunk {
            // The block layer splits writes at multiples of a chunk, so that larger ones are not
            // atomic. This is no inconsistency.
            max = chunk;
        }
        // CAST: at most `LARGEST_POWER`.
        let (max, boundary) = (max as u32, boundary as u32);
        (Atomic { max, boundary }, max)
    }
}

#[kunit_tests(rnvme_atomic)]
mod tests {
    use super::{
        super::tests::{
            device,
            ALL,
            NO_HINTS, //
        },
        *, //
    };
    use crate::nvme::NamespaceHints;

    #[test]
    fn atomic_limits() {
        // Shift, features, NAWUPF, NABSPF, NABO, NOIOB; most, boundary, ignored.
        let cases: [(u32, u8, [u16; 4], (u32, u32), u8); 11] = [
            (9, ALL, [15, 0, 0, 0], (8192, 0), 0),
            (9, 0x10, [15, 31, 0, 0], (512, 0), 0),
            (9, ALL, [0, 31, 0, 0], (512, 0), 0),
            (9, ALL, [15, 31, 0, 0], (8192, 16384), 0),
            (9, ALL, [15, 31, 1, 0], (0, 0), 0),
            (12, ALL, [2, 3, 0, 0], (12288, 16384), 0),
            // A boundary that is no power of two, and one below NAWUPF.
            (9, ALL, [15, 23, 0, 0], (512, 0), Ignored::NABSPF),
            (9, ALL, [31, 15, 0, 0], (8192, 8192), Ignored::NAWUPF),
            // The block layer splits commands at multiples of 4 KiB.
            (9, ALL, [15, 31, 0, 8], (4096, 16384), 0),
            (16, ALL, [0xffff, 0, 0, 0], (1 << 31, 0), 0),
            (16, ALL, [0xffff, 0xffff, 0, 0], (1 << 31, 1 << 31), 0),
        ];
        for (shift, features, fields, (max, boundary), ignored) in cases {
            let [atomic_z, atomic_boundary_z, atomic_offset, io_boundary] = fields;
            let hints = NamespaceHints {
                features,
                atomic_z,
                atomic_boundary_z,
                atomic_offset,
                io_boundary,
                ..NO_HINTS
            };
            let (limits, seen) = device(shift, hints).limits();
            assert_eq!(limits.atomic, Atomic { max, boundary });
            assert_eq!(seen.0, ignored);
        }
    }

    #[test]
    fn atomic_writes() {
        // Most, boundary, sector, bytes.
        for (max, boundary, sector, bytes, allowed) in [
            (8192, 0, 1, 8192, true),
            (8192, 0, 0, 8704, false),
            (8192, 0, 0, 0, false),
            (0, 0, 0, 512, false),
            (8192, 16384, 0, 8192, true),
            (8192, 16384, 16, 8192, true),
            (8192, 16384, 24, 8192, false),
            (8192, 16384, 31, 512, true),
            (8192, 16384, 31, 1024, false),
            (8192, 8192, (1 << 40) + 16, 8192, true),
            (1 << 31, 1 << 31, (1 << 22) - 1, 1024, false),
        ] {
            assert_eq!(Atomic { max, boundary }.allows(sector, bytes), allowed);
        }
    }
}
