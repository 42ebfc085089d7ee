// SPDX-License-Identifier: GPL-2.0

//! Identify data as limits of a disk that the block layer accepts without a warning.
//!
//! The rules are those of Linux's driver, except where an inconsistent field would make the block
//! layer warn, or split commands wrongly: the limit then leaves the field out, and [`Ignored`]
//! names it. NVM 3.2, 5.8.2 (hints), 2.1.4 (atomic writes).

// Atomic writes.
mod atomic;
// Discards.
mod discard;
// Write Zeroes.
mod zeroes;

pub(crate) use self::{
    atomic::Atomic,
    discard::Discard, //
};

use super::quirks::Quirks;
use crate::{
    num::SECTOR_SHIFT,
    nvme::{
        ControllerInfo,
        LargeHints,
        NamespaceHints,
        NamespaceInfo,
        NvmLimits, //
    },
};

use kernel::{
    fmt,
    prelude::*, //
};

/// The largest power of two that the block layer can express in bytes.
const LARGEST_POWER: u64 = 1 << 31;

/// The data from which the limits of a disk follow.
pub(crate) struct Source<'a> {
    /// The controller's optional commands.
    pub(crate) controller: &'a ControllerInfo,
    /// Limits of Write Zeroes and Dataset Management.
    pub(crate) nvm: &'a NvmLimits,
    /// The namespace's block size and hints.
    pub(crate) namespace: &'a NamespaceInfo,
    /// Hints that need more than 16 bits.
    pub(crate) large: LargeHints,
    /// Bytes of the largest transfer: at least a page and a logical block.
    pub(crate) max_transfer: u32,
    /// Whether the device follows NVMe 2.1 or later (VS).
    pub(crate) is_2_1: bool,
    /// The quirks of the device.
    pub(crate) quirks: Quirks,
}

/// Limits of a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DiskLimits {
    /// Bytes of a logical block: a power of two, 512 to 64 Ki.
    pub(crate) logical_block: u32,
    /// Bytes that are written atomically and without read-modify-write: a power of two.
    pub(crate) physical_block: u32,
    /// Minimum size of writes in bytes for good performance.
    pub(crate) io_min: u32,
    /// Optimal size of writes in bytes; 0: unknown.
    pub(crate) io_opt: u32,
    /// Commands should not cross multiples of this many sectors, a power of two; 0: they may.
    pub(crate) chunk_sectors: u32,
    /// Limits of discards.
    pub(crate) discard: Discard,
    /// Sectors of the largest Write Zeroes; 0: not supported.
    pub(crate) zeroes_sectors: u32,
    /// Whether Write Zeroes may deallocate the blocks, because they then read as zeroes.
    pub(crate) deallocating_zeroes: bool,
    /// Whether Dataset Management zeroes blocks instead of Write Zeroes.
    pub(crate) zeroes_by_discard: bool,
    /// Limits of atomic writes.
    pub(crate) atomic: Atomic,
}

/// Fields of Identify that are inconsistent or out of range, and that the limits therefore ignore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ignored(u8);

impl Ignored {
    const NOIOB: u8 = 1 << 0;
    const NPWG: u8 = 1 << 1;
    const NOWS: u8 = 1 << 2;
    const NPDG: u8 = 1 << 3;
    const NAWUPF: u8 = 1 << 4;
    const NABSPF: u8 = 1 << 5;
    const DSM: u8 = 1 << 6;
    const WZSL: u8 = 1 << 7;
    const NAMES: [(u8, &'static str); 8] = [
        (Self::NOIOB, "NOIOB"),
        (Self::NPWG, "NPWG"),
        (Self::NOWS, "NOWS"),
        (Self::NPDG, "NPDG(L)/NPDA(L)"),
        (Self::NAWUPF, "NAWUPF"),
        (Self::NABSPF, "NABSPF"),
        (Self::DSM, "DMRSL/DMSL"),
        (Self::WZSL, "WZSL"),
    ];

    /// Whether the limits ignore no field.
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (bit, name) in Self::NAMES {
            if self.0 & bit != 0 {
                write!(f, "{separator}{name}")?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

/// A calculation of limits in progress.
struct Calculation<'a> {
    source: &'a Source<'a>,
    block: u32,
    ignored: Ignored,
}

impl DiskLimits {
    /// The limits that follow from `source`.
    pub(crate) fn new(source: &Source<'_>) -> (Self, Ignored) {
        let namespace = source.namespace;
        let mut calculation = Calculation {
            source,
            // `NamespaceInfo` validated the shift: 9 to 16.
            block: 1u32.wrapping_shl(namespace.lba_shift),
            ignored: Ignored::default(),
        };
        let chunk_sectors = calculation.chunk();
        let (atomic, atomic_block) = calculation.atomic(chunk_sectors);
        let hints = *calculation.hints();
        let io_min = calculation
            .hint(hints.write_granularity_z, Ignored::NPWG)
            .unwrap_or(calculation.block);
        let io_opt = match hints.write_size_z {
            0 => 0,
            size_z => calculation.hint(size_z, Ignored::NOWS).unwrap_or(0),
        };
        // File systems assume that a physical block is written atomically.
        let physical_block = power_below(io_min.min(atomic_block).min(source.max_transfer).into());
        let discard = calculation.discard(physical_block);
        let (zeroes_sectors, zeroes_by_discard) = calculation.zeroes(discard);
        let limits = Self {
            logical_block: calculation.block,
            physical_block,
            io_min,
            io_opt,
            chunk_sectors,
            discard,
            zeroes_sectors,
            deallocating_zeroes: zeroes_sectors != 0 && namespace.deallocating_zeroes,
            zeroes_by_discard,
            atomic,
        };
        (limits, calculation.ignored)
    }
}

impl Calculation<'_> {
    fn hints(&self) -> &NamespaceHints {
        &self.source.namespace.hints
    }

    fn optperf(&self) -> u8 {
        self.hints().optperf(self.source.is_2_1)
    }

    fn ignore(&mut self, field: u8) {
        self.ignored.0 |= field;
    }

    /// `count_z` blocks, zero-based, in bytes: at most 4 GiB.
    fn bytes(&self, count_z: u16) -> u64 {
        (u64::from(count_z) + 1) * u64::from(self.block)
    }

    /// A hint on writes in bytes; `None` if OPTPERF declares it invalid, or no command carries as
    /// much: programs take the hints for sizes of buffers and of read-ahead.
    fn hint(&mut self, count_z: u16, field: u8) -> Option<u32> {
        let bytes = self.bytes(count_z);
        if self.optperf() == 0 {
            return None;
        }
        if bytes > self.source.max_transfer.into() {
            self.ignore(field);
            return None;
        }
        // CAST: less than 4 GiB.
        Some(bytes as u32)
    }

    fn chunk(&mut self) -> u32 {
        let largest = self.source.max_transfer;
        if self.source.quirks.has(Quirks::STRIPE_SIZE) && largest.is_power_of_two() {
            return largest >> SECTOR_SHIFT;
        }
        let sectors = u32::from(self.hints().io_boundary) * (self.block >> SECTOR_SHIFT);
        if sectors != 0 && !sectors.is_power_of_two() {
            self.ignore(Ignored::NOIOB);
            return 0;
        }
        sectors
    }
}

/// The largest power of two up to `bytes`, at most [`LARGEST_POWER`]. `bytes` is not 0.
fn power_below(bytes: u64) -> u32 {
    1u32.wrapping_shl(bytes.min(LARGEST_POWER).checked_ilog2().unwrap_or(0))
}

#[kunit_tests(rnvme_disk_limits)]
mod tests {
    use super::*;
    use crate::nvme::{
        identify,
        IdentifyController, //
    };
    use core::num::{
        NonZeroU32,
        NonZeroU64, //
    };
    use zerocopy::FromBytes;

    /// OPTPERF (NVMe 2.0) and the atomic fields of the namespace are valid.
    pub(super) const ALL: u8 = 1 << 4 | 1 << 1;
    pub(super) const NO_HINTS: NamespaceHints = NamespaceHints {
        features: 0,
        atomic_z: 0,
        atomic_boundary_z: 0,
        atomic_offset: 0,
        io_boundary: 0,
        write_granularity_z: 0,
        write_size_z: 0,
        deallocate_granularity_z: 0,
        deallocate_alignment_z: 0,
    };

    pub(super) struct Device {
        lba_shift: u32,
        hints: NamespaceHints,
        pub(super) nvm: NvmLimits,
        pub(super) large: LargeHints,
        pub(super) oncs: u8,
        pub(super) is_2_1: bool,
        pub(super) quirks: Quirks,
    }

    pub(super) fn device(lba_shift: u32, hints: NamespaceHints) -> Device {
        Device {
            lba_shift,
            hints,
            nvm: NvmLimits::default(),
            large: LargeHints::default(),
            oncs: 0xc,
            is_2_1: false,
            quirks: Quirks::NONE,
        }
    }

    impl Device {
        pub(super) fn limits(&self) -> (DiskLimits, Ignored) {
            let mut page = identify::page(0).unwrap();
            page[520] = self.oncs;
            let page = IdentifyController::ref_from_bytes(&page).unwrap();
            let source = Source {
                controller: &ControllerInfo::decode(page).ok().unwrap(),
                nvm: &self.nvm,
                namespace: &NamespaceInfo {
                    lba_shift: self.lba_shift,
                    sectors: 1 << 20,
                    deallocating_zeroes: true,
                    shared: false,
                    write_protected: false,
                    hints: self.hints,
                    nguid: [0; 16],
                    eui64: [0; 8],
                },
                large: self.large,
                max_transfer: 512 << 10,
                is_2_1: self.is_2_1,
                quirks: self.quirks,
            };
            let (limits, ignored) = DiskLimits::new(&source);
            acceptable(&limits, source.max_transfer);
            (limits, ignored)
        }
    }

    /// Asserts that `blk_validate_limits` has nothing to warn about, and that nothing is split
    /// wrongly.
    fn acceptable(limits: &DiskLimits, max_transfer: u32) {
        assert!(limits.physical_block.is_power_of_two());
        assert!((limits.logical_block..=max_transfer).contains(&limits.physical_block));
        assert!(limits.io_min >= limits.physical_block);
        let chunk = limits.chunk_sectors << SECTOR_SHIFT;
        assert!(chunk == 0 || chunk.is_power_of_two());
        let Atomic { max, boundary } = limits.atomic;
        assert!(max == 0 || max >= limits.logical_block);
        assert!(max <= 1 << 31 && (chunk == 0 || max <= chunk));
        assert!(boundary == 0 || boundary.is_power_of_two() && max <= boundary);
        let discard = limits.discard;
        let most = u64::from(discard.sectors) << SECTOR_SHIFT;
        let needed = discard.granularity.max(limits.physical_block);
        assert!(discard.sectors == 0 || (1..=256).contains(&discard.ranges));
        assert!(discard.sectors == 0 || most >= needed.into());
        let zeroes = limits.zeroes_sectors;
        let sectors = limits.logical_block >> SECTOR_SHIFT;
        assert!(limits.zeroes_by_discard || zeroes % sectors == 0);
        let blocks = zeroes / (limits.logical_block >> SECTOR_SHIFT);
        assert!(limits.zeroes_by_discard || blocks <= 65536);
        assert!(zeroes != 0 || !limits.deallocating_zeroes);
    }

    #[test]
    fn least() {
        for shift in 9..=16 {
            let (limits, ignored) = device(shift, NO_HINTS).limits();
            let block = 1 << shift;
            assert!(ignored.is_empty());
            let expected = DiskLimits {
                logical_block: block,
                physical_block: block,
                io_min: block,
                io_opt: 0,
                chunk_sectors: 0,
                discard: Discard {
                    sectors: u32::MAX,
                    granularity: block,
                    ranges: 256,
                },
                zeroes_sectors: 1024,
                deallocating_zeroes: true,
                zeroes_by_discard: false,
                atomic: Atomic {
                    max: block,
                    boundary: 0,
                },
            };
            assert_eq!(limits, expected);
        }
    }

    #[test]
    fn commands_that_there_are_not() {
        let mut device = device(9, NO_HINTS);
        device.oncs = 0;
        let (limits, ignored) = device.limits();
        assert_eq!(limits.discard, Discard::default());
        assert_eq!(
            (limits.zeroes_sectors, limits.deallocating_zeroes),
            (0, false)
        );
        assert!(ignored.is_empty());
    }

    #[test]
    fn write_hints() {
        // Shift, features, NPWG, NOWS, NAWUPF; physical block, least and best I/O, ignored.
        let cases: [(u32, u8, u16, u16, u16, (u32, u32, u32), u8); 10] = [
            (9, ALL, 7, 255, 0, (512, 4096, 131072), 0),
            (9, ALL, 7, 255, 7, (4096, 4096, 131072), 0),
            (9, ALL, 7, 255, 3, (2048, 4096, 131072), 0),
            // A physical block is a power of two, unlike the granularity.
            (9, ALL, 6, 0, 255, (2048, 3584, 0), 0),
            (12, 0x02, 7, 7, 7, (4096, 4096, 0), 0),
            (12, 0x22, 7, 7, 7, (4096, 4096, 0), 0),
            // As much as a command carries, and more.
            (12, ALL, 127, 127, 127, (512 << 10, 512 << 10, 512 << 10), 0),
            (12, ALL, 128, 128, 1023, (4096, 4096, 0), 0b110),
            (12, ALL, 127, 128, 1023, (512 << 10, 512 << 10, 0), 0b100),
            (16, ALL, 0xffff, 0xffff, 0, (65536, 65536, 0), 0b110),
        ];
        for (shift, features, npwg, nows, nawupf, expected, ignored) in cases {
            let hints = NamespaceHints {
                features,
                write_granularity_z: npwg,
                write_size_z: nows,
                atomic_z: nawupf,
                ..NO_HINTS
            };
            let (limits, seen) = device(shift, hints).limits();
            let sizes = (limits.physical_block, limits.io_min, limits.io_opt);
            assert_eq!((sizes, seen.0), (expected, ignored));
        }
    }

    #[test]
    fn io_boundaries() {
        // Shift, NOIOB, sectors, whether it was ignored.
        for (shift, noiob, sectors, ignored) in [
            (9, 256, 256, 0),
            (12, 32, 256, 0),
            (16, 0x8000, 1 << 22, 0),
            (9, 255, 0, Ignored::NOIOB),
            (16, 0xffff, 0, Ignored::NOIOB),
        ] {
            let hints = NamespaceHints {
                io_boundary: noiob,
                ..NO_HINTS
            };
            let (limits, seen) = device(shift, hints).limits();
            assert_eq!((limits.chunk_sectors, seen.0), (sectors, ignored));
        }
    }

    #[test]
    fn hostile_devices() {
        for shift in 9..=16 {
            for raw in [1, 2, 0x7fff, 0x8000, 0xfffe, 0xffff] {
                let hints = NamespaceHints {
                    features: 0xff,
                    atomic_z: raw,
                    atomic_boundary_z: raw / 2,
                    atomic_offset: 0,
                    io_boundary: raw,
                    write_granularity_z: raw,
                    write_size_z: raw,
                    deallocate_granularity_z: raw,
                    deallocate_alignment_z: raw,
                };
                for blocks in 0..64 {
                    let mut device = device(shift, hints);
                    device.is_2_1 = raw & 1 != 0;
                    device.nvm.total_blocks = NonZeroU64::new(blocks);
                    device.nvm.zeroes_bytes = Some(blocks << 9);
                    device.large = LargeHints {
                        deallocate_granularity: NonZeroU32::new(u32::from(raw) << (blocks % 17)),
                        deallocate_alignment: NonZeroU32::new(raw.into()),
                    };
                    // `limits` asserts that the block layer accepts them.
                    device.limits();
                }
            }
        }
    }

    #[test]
    fn ignored_fields_are_named() -> Result {
        use kernel::str::CString;
        let text = CString::try_from_fmt(fmt!("{}", Ignored(0b1000_0101)))?;
        assert_eq!(text.to_bytes(), b"NOIOB, NOWS, WZSL");
        Ok(())
    }
}
