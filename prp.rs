// SPDX-License-Identifier: GPL-2.0

//! DMA segments as Physical Region Pages: arithmetic only.
//!
//! A transfer of up to two controller pages needs PRP1 and PRP2 only. A larger one has a list of
//! its second and further pages in memory, and PRP2 points to the list. If the list takes more than
//! a page, the last entry of each list page but the last points to the next list page:
//!
//! ```text
//!  PRP1 ──► the first page, from any dword on
//!  PRP2 ──► ┌────────────────────┐  ┌────► ┌────────────────────┐
//!           │ slot 0: 2nd page   │  │      │ slot 512           │
//!           │ ...                │  │      │ ...                │
//!           │ slot 510           │  │      │ slot 1023: a page, │
//!           │ slot 511: pointer  ├──┘      │ if it is the last  │
//!           └────────────────────┘         └────────────────────┘
//! ```
//!
//! Data that breaks the rules of PRPs gives an error, never wrong PRPs: with a wrong PRP the device
//! accesses memory that does not belong to the transfer. Base 4.1.1.

// PRP lists, entry by entry.
mod builder;

pub(crate) use self::builder::PrpBuilder;

use crate::{
    num::{
        u32_as_u64,
        u32_as_usize, //
    },
    nvme::{
        DataPtr,
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
};

use kernel::{
    fmt,
    prelude::*, //
};

/// Entries of a page of a PRP list, the pointer to the next page included.
pub(crate) const ENTRIES_PER_PAGE: usize = PAGE_SIZE / size_of::<u64>();

/// The bits of an address that are the offset in its page.
pub(crate) const PAGE_MASK: u64 = PAGE - 1;

const PAGE: u64 = 1 << PAGE_SHIFT;
const LAST_SLOT: usize = ENTRIES_PER_PAGE - 1;

/// Controller pages that `len` bytes from `first_addr` on touch, if `len` is not 0.
#[inline(always)]
pub(crate) const fn pages(first_addr: u64, len: u32) -> u32 {
    // CAST: at most 2^20 + 1.
    (((first_addr & PAGE_MASK) + u32_as_u64(len) + PAGE_MASK) >> PAGE_SHIFT) as u32
}

/// Entries of the PRP list of `len` bytes from `first_addr` on: 0 if PRP1 and PRP2 suffice.
/// The worst `first_addr` for a length is [`PAGE_MASK`].
#[inline(always)]
pub(crate) const fn list_entries(first_addr: u64, len: u32) -> usize {
    match pages(first_addr, len) {
        0..=2 => 0,
        pages => u32_as_usize(pages) - 1,
    }
}

/// Pages of a PRP list of `entries` data entries: the last holds 512, the others 511 and a
/// pointer.
pub(crate) const fn list_pages(entries: usize) -> usize {
    match entries {
        0 => 0,
        1 => 1,
        more => (more - 2) / LAST_SLOT + 1,
    }
}

/// The memory of a PRP list: slots of 64 bits over contiguous pages.
///
/// A list of more than a page begins at a page boundary, a smaller one anywhere in its page.
pub(crate) trait List {
    /// Stores `value` in slot `slot`; `false` if there is no such slot.
    fn set(&mut self, slot: usize, value: u64) -> bool;
    /// The bus address of slot `512 * page`.
    fn page_address(&self, page: usize) -> u64;
    /// Number of slots.
    fn capacity(&self) -> usize;
}

/// Why PRPs cannot describe a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PrpError {
    /// A segment has no bytes or wraps around the address space.
    BadSegment,
    /// The data does not begin at a dword boundary.
    Misaligned,
    /// A segment other than the first begins, or one other than the last ends, within a page.
    Gap,
    /// The segments are longer or shorter than the transfer.
    WrongLength,
    /// The list has too few slots for the transfer.
    ListTooSmall,
    /// The list is not aligned: one of a page or less crosses a page boundary, or a larger one does
    /// not begin at a page boundary.
    ListMisplaced,
}

impl fmt::Display for PrpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadSegment => "PRP: a segment is empty or wraps around",
            Self::Misaligned => "PRP: the data does not begin at a dword",
            Self::Gap => "PRP: a segment begins or ends within a page",
            Self::WrongLength => "PRP: the segments do not add up to the transfer",
            Self::ListTooSmall => "PRP: the list is too small",
            Self::ListMisplaced => "PRP: the list crosses a page",
        })
    }
}

/// The data pointer of a transfer that begins at `prp1`. Its further pages are the `entries`
/// entries of the list at bus address `list`, the first of which `first` returns.
#[inline(always)]
pub(crate) fn listed(prp1: u64, entries: usize, first: impl FnOnce() -> u64, list: u64) -> DataPtr {
    let prp2 = match entries {
        // The common case comes first.
        2.. => list,
        1 => first(),
        0 => 0,
    };
    DataPtr { prp1, prp2 }
}

/// The PRPs of one segment that touches one or two pages, as any segment of up to 4096 bytes does.
/// The caller has checked the number of pages ([`pages`]) and the dword alignment.
#[inline(always)]
pub(crate) const fn simple(addr: u64, len: u32) -> DataPtr {
    let prp2 = if pages(addr, len) > 1 {
        (addr & !PAGE_MASK).wrapping_add(PAGE)
    } else {
        0
    };
    DataPtr { prp1: addr, prp2 }
}

#[kunit_tests(rnvme_prp)]
mod tests {
    use super::*;

    #[test]
    fn page_counts() {
        // Address, length, pages, entries.
        let cases = [
            (0, 1, 1, 0),
            (0, 4096, 1, 0),
            (0, 4097, 2, 0),
            (4092, 4, 1, 0),
            (4092, 5, 2, 0),
            (512, 8192, 3, 2),
            (0, 8193, 3, 2),
            (u64::MAX - 4095, 4096, 1, 0),
            (PAGE_MASK, 8 << 20, 2049, 2048),
            (0, u32::MAX, 1 << 20, (1 << 20) - 1),
            (4095, u32::MAX, (1 << 20) + 1, 1 << 20),
        ];
        for (addr, len, count, entries) in cases {
            assert_eq!(pages(addr, len), count);
            assert_eq!(list_entries(addr, len), entries);
        }
    }

    #[test]
    fn list_page_counts() {
        let cases = [
            (0, 0),
            (1, 1),
            (511, 1),
            (512, 1),
            (513, 2),
            (1022, 2),
            (1023, 2),
            (1024, 3),
            (1534, 3),
            (1535, 4),
            (2048, 5),
        ];
        for (entries, count) in cases {
            assert_eq!(list_pages(entries), count);
        }
    }

    #[test]
    fn listed_pointers() {
        // Entries of a list at 0x8000 that begins with 0x7000: PRP2.
        for (entries, prp2) in [(0, 0), (1, 0x7000), (2, 0x8000), (32, 0x8000)] {
            let expected = DataPtr { prp1: 0x3200, prp2 };
            assert_eq!(listed(0x3200, entries, || 0x7000, 0x8000), expected);
        }
    }

    #[test]
    fn simple_pointers() {
        // Address, length, PRP2.
        let cases = [
            (0x3000, 4, 0),
            (0x3000, 4096, 0),
            (0x3200, 3584, 0),
            (0x3200, 3588, 0x4000),
            (0x3200, 4096, 0x4000),
            (0x3ffc, 4096, 0x4000),
            (0x3000, 8192, 0x4000),
        ];
        for (prp1, len, prp2) in cases {
            assert_eq!(simple(prp1, len), DataPtr { prp1, prp2 });
        }
    }
}
