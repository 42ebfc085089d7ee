// SPDX-License-Identifier: GPL-2.0

//! DMA segments as Physical Region Pages: arithmetic only.
//!
//! A transfer of up to two controller pages needs PRP1 and PRP2 only. A larger one has a list of
//! its second and further pages in memory, and PRP2 points to that. If the list takes more than a
//! page, the last entry of each page but the last points to the next one:
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
//! Data that breaks the rules of PRPs gives an error, never wrong PRPs: a wrong PRP is a write to
//! somebody else's memory. Base 4.1.1.

use crate::{
    regs::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    spec::command::DataPtr, //
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
    // CAST: widening, and at most 2^20 + 1.
    (((first_addr & PAGE_MASK) + len as u64 + PAGE_MASK) >> PAGE_SHIFT) as u32
}

/// Entries of the PRP list of `len` bytes from `first_addr` on: 0 if PRP1 and PRP2 suffice.
/// The worst `first_addr` for a length is [`PAGE_MASK`].
#[inline(always)]
pub(crate) const fn list_entries(first_addr: u64, len: u32) -> usize {
    match pages(first_addr, len) {
        0..=2 => 0,
        // CAST: widening on the 32 and 64-bit CPUs of Linux.
        pages => pages as usize - 1,
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
    /// How many slots there are.
    fn capacity(&self) -> usize;
}

/// Why there are no PRPs for some data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PrpError {
    /// A segment has no bytes or wraps around the address space.
    BadSegment,
    /// The data does not begin at a dword.
    Misaligned,
    /// A segment other than the first begins, or one other than the last ends, within a page.
    Gap,
    /// The segments are longer or shorter than the transfer.
    WrongLength,
    /// The list has too few slots for the transfer.
    ListTooSmall,
    /// The list begins where it would cross a page.
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

/// The PRPs of one segment that touches one or two pages, as any of up to 4096 bytes does. The
/// caller has seen to that ([`pages`]), and to its dword alignment.
#[inline(always)]
pub(crate) const fn simple(addr: u64, len: u32) -> DataPtr {
    let prp2 = if pages(addr, len) > 1 {
        (addr & !PAGE_MASK).wrapping_add(PAGE)
    } else {
        0
    };
    DataPtr { prp1: addr, prp2 }
}

/// Turns segments, in the order of the data, into PRPs.
pub(crate) struct Builder {
    /// PRP2 is the list, or the second page, or 0.
    data: DataPtr,
    /// Bytes of the transfer that no segment has brought yet.
    missing: u32,
    /// Whether there is a list.
    listed: bool,
    stage: Stage,
    /// Data entries of the list that have not been written yet.
    entries: usize,
    /// The slot that comes next.
    slot: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No segment has come.
    Empty,
    /// The last segment ended at a page boundary.
    Open,
    /// The last segment ended within a page: nothing may follow.
    Closed,
}

impl Builder {
    /// A transfer of `total_len` bytes.
    #[inline(always)]
    pub(crate) const fn new(total_len: u32) -> Self {
        Self {
            data: DataPtr { prp1: 0, prp2: 0 },
            missing: total_len,
            listed: false,
            stage: Stage::Empty,
            entries: 0,
            slot: 0,
        }
    }

    /// The next segment: `len` bytes at bus address `addr`.
    ///
    /// After an error the transfer is incomplete, and [`Self::finish`] says so.
    #[inline]
    pub(crate) fn push(
        &mut self,
        addr: u64,
        len: u32,
        list: &mut impl List,
    ) -> Result<(), PrpError> {
        // A page is kept clear above the segment, so that no address below wraps.
        if len == 0 || addr.checked_add(u64::from(len) + PAGE).is_none() {
            return Err(PrpError::BadSegment);
        }
        let end = addr.wrapping_add(len.into());
        let Some(missing) = self.missing.checked_sub(len) else {
            return Err(PrpError::WrongLength);
        };
        let page = match self.stage {
            Stage::Empty => {
                self.begin(addr, list)?;
                (addr & !PAGE_MASK).wrapping_add(PAGE)
            }
            Stage::Open if addr & PAGE_MASK == 0 => addr,
            _ => return Err(PrpError::Gap),
        };
        self.missing = missing;
        self.stage = if end & PAGE_MASK == 0 {
            Stage::Open
        } else {
            Stage::Closed
        };
        if self.listed {
            return self.fill(page, end, list);
        }
        // Two pages at most, so at most one after the first.
        if page < end {
            self.data.prp2 = page;
        }
        Ok(())
    }

    /// The first segment says whether there is a list; checks that it fits.
    #[inline]
    fn begin(&mut self, addr: u64, list: &impl List) -> Result<(), PrpError> {
        if addr & 3 != 0 {
            return Err(PrpError::Misaligned);
        }
        self.data.prp1 = addr;
        self.entries = list_entries(addr, self.missing);
        if self.entries == 0 {
            return Ok(());
        }
        let pages = list_pages(self.entries);
        let slots = self.entries.wrapping_add(pages).wrapping_sub(1);
        if slots > list.capacity() {
            return Err(PrpError::ListTooSmall);
        }
        let start = list.page_address(0);
        // CAST: a small list, in bytes: 4096 at most.
        let fits = if pages > 1 {
            start & PAGE_MASK == 0
        } else {
            start & 7 == 0 && (start & PAGE_MASK) + (slots * size_of::<u64>()) as u64 <= PAGE
        };
        if !fits {
            return Err(PrpError::ListMisplaced);
        }
        self.listed = true;
        self.data.prp2 = start;
        Ok(())
    }

    /// Writes the entries of the pages from `page` to `end`.
    #[inline(always)]
    fn fill(&mut self, mut page: u64, end: u64, list: &mut impl List) -> Result<(), PrpError> {
        let (mut slot, mut entries) = (self.slot, self.entries);
        while page < end {
            if slot % ENTRIES_PER_PAGE == LAST_SLOT && entries > 1 {
                let next = slot.wrapping_add(1);
                if !list.set(slot, list.page_address(next / ENTRIES_PER_PAGE)) {
                    return Err(PrpError::ListTooSmall);
                }
                slot = next;
            }
            if !list.set(slot, page) {
                return Err(PrpError::ListTooSmall);
            }
            slot = slot.wrapping_add(1);
            entries = entries.wrapping_sub(1);
            page = page.wrapping_add(PAGE);
        }
        (self.slot, self.entries) = (slot, entries);
        Ok(())
    }

    /// The PRPs, once every byte of the transfer has a segment.
    #[inline]
    pub(crate) fn finish(self) -> Result<DataPtr, PrpError> {
        if self.stage == Stage::Empty || self.missing != 0 || self.entries != 0 {
            return Err(PrpError::WrongLength);
        }
        Ok(self.data)
    }
}
