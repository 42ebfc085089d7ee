// SPDX-License-Identifier: GPL-2.0

//! Memory for PRP lists, made with the queue, so that no request has to allocate.
//!
//! Every tag has a small list of its own; a transfer too large for it takes one of a fixed number
//! of large lists for as long as it is in flight. A request that finds none free is queued again
//! by the block layer when another has ended.

use crate::{
    prp,
    sys::dma::{
        Segments,
        Words, //
    }, //
};
use kernel::{
    device::{
        Bound,
        Device, //
    },
    prelude::*,
    sync::atomic::{
        Atomic,
        Full,
        Relaxed, //
    }, //
};

/// PRP entries that every tag has room for: transfers of up to 32 pages and the unaligned first.
const SMALL: usize = 32;
/// Requests of one queue that may have a large list at the same time.
const LARGE: usize = 32;
/// The most segments that a request may have.
pub(crate) const MAX_SEGMENTS: u16 = 256;

/// The lists of one queue.
pub(crate) struct Lists {
    small: Words,
    large: Words,
    /// Words of each large list.
    large_len: usize,
    /// One bit for each large list in use.
    used: Atomic<u32>,
    /// [`MAX_SEGMENTS`] pairs of address and length for each large list: the mappings of a
    /// request that must be undone one by one. Not in memory that the device can write.
    segments: KVVec<Atomic<u64>>,
}

/// Which large list a request holds.
#[derive(Clone, Copy, PartialEq, Eq, Zeroable)]
#[repr(transparent)]
pub(crate) struct Held(u8);

impl Held {
    /// None. The zero that a fresh request is filled with.
    pub(crate) const NONE: Self = Self(0);

    fn some(index: u32) -> Self {
        // CAST: `index` is below `LARGE`, 32.
        Self(index as u8 + 1)
    }

    #[inline(always)]
    fn index(self) -> Option<usize> {
        usize::from(self.0).checked_sub(1)
    }

    /// Whether there is one.
    #[inline(always)]
    pub(crate) fn is_some(self) -> bool {
        self.0 != 0
    }
}

impl Lists {
    /// Lists for `tags` tags and transfers of up to `max_transfer` bytes.
    pub(crate) fn new(dev: &Device<Bound>, tags: u16, max_transfer: u32) -> Result<Self> {
        let entries = prp::list_entries(prp::PAGE_MASK, max_transfer);
        let large_len = prp::list_pages(entries).max(1) * prp::ENTRIES_PER_PAGE;
        let count = LARGE * usize::from(MAX_SEGMENTS) * 2;
        let mut segments = KVVec::with_capacity(count, GFP_KERNEL)?;
        for _ in 0..count {
            segments.push(Atomic::new(0), GFP_KERNEL)?;
        }
        Ok(Self {
            small: Words::zeroed(dev, usize::from(tags) * SMALL)?,
            large: Words::zeroed(dev, LARGE * large_len)?,
            large_len,
            used: Atomic::new(0),
            segments,
        })
    }

    /// Room for `entries` entries: the small list of `tag`, or a large one, which `hold` then
    /// has; `None` if all of those are in use.
    pub(crate) fn list<'a>(
        &'a self,
        tag: u16,
        entries: usize,
        hold: &mut Hold<'a>,
    ) -> Option<ListRef<'a>> {
        if entries > SMALL {
            return hold.list();
        }
        Some(ListRef {
            words: &self.small,
            first: usize::from(tag) * SMALL,
            len: SMALL,
        })
    }

    /// The kept segments of a request that holds `held`.
    pub(crate) fn segments(&self, held: Held) -> Option<SegmentsRef<'_>> {
        let per_list = usize::from(MAX_SEGMENTS) * 2;
        let first = held.index()? * per_list;
        self.segments.get(first..first + per_list).map(SegmentsRef)
    }

    /// Takes a free large list.
    fn take(&self) -> Held {
        let mut used = self.used.load(Relaxed);
        while let Some(bit) = 1u32.checked_shl(used.trailing_ones()) {
            match self.used.cmpxchg(used, used | bit, Full) {
                Ok(_) => return Held::some(bit.trailing_zeros()),
                Err(now) => used = now,
            }
        }
        Held::NONE
    }

    /// Gives a large list back: the device does not read it any more.
    pub(crate) fn give(&self, held: Held) {
        let Some(index) = held.index() else {
            return;
        };
        let mut used = self.used.load(Relaxed);
        while let Err(now) = self.used.cmpxchg(used, used & !(1 << index), Full) {
            used = now;
        }
    }
}

/// A large list while a request is being mapped: given back when dropped, unless kept.
pub(crate) struct Hold<'a> {
    lists: &'a Lists,
    held: Held,
}

impl<'a> Hold<'a> {
    /// None yet.
    pub(crate) fn new(lists: &'a Lists) -> Self {
        Self {
            lists,
            held: Held::NONE,
        }
    }

    fn held(&mut self) -> Held {
        if !self.held.is_some() {
            self.held = self.lists.take();
        }
        self.held
    }

    fn list(&mut self) -> Option<ListRef<'a>> {
        let index = self.held().index()?;
        Some(ListRef {
            words: &self.lists.large,
            first: index * self.lists.large_len,
            len: self.lists.large_len,
        })
    }

    /// Where to keep the segments; takes a large list if there is none yet.
    pub(crate) fn segments(&mut self) -> Option<SegmentsRef<'a>> {
        let held = self.held();
        self.lists.segments(held)
    }

    /// The request keeps the list, if there is one.
    pub(crate) fn keep(mut self) -> Held {
        core::mem::replace(&mut self.held, Held::NONE)
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.lists.give(self.held);
    }
}

/// The PRP list of one request.
pub(crate) struct ListRef<'a> {
    words: &'a Words,
    first: usize,
    len: usize,
}

impl prp::List for ListRef<'_> {
    #[inline(always)]
    fn set(&mut self, slot: usize, value: u64) -> bool {
        slot < self.len && self.words.write(self.first.wrapping_add(slot), value)
    }

    fn page_address(&self, page: usize) -> u64 {
        let words = self.first + page * prp::ENTRIES_PER_PAGE;
        // CAST: usize to u64 is lossless on 64-bit machines.
        self.words.address() + (words * size_of::<u64>()) as u64
    }

    fn capacity(&self) -> usize {
        self.len
    }
}

/// The kept segments of one request.
pub(crate) struct SegmentsRef<'a>(&'a [Atomic<u64>]);

impl Segments for SegmentsRef<'_> {
    fn put(&mut self, index: u16, addr: u64, len: u32) -> bool {
        let i = usize::from(index) * 2;
        let (Some(a), Some(l)) = (self.0.get(i), self.0.get(i + 1)) else {
            return false;
        };
        a.store(addr, Relaxed);
        l.store(len.into(), Relaxed);
        true
    }

    fn get(&self, index: u16) -> Option<(u64, u32)> {
        let i = usize::from(index) * 2;
        let (a, l) = (self.0.get(i)?, self.0.get(i + 1)?);
        // CAST: `put` stored a u32.
        Some((a.load(Relaxed), l.load(Relaxed) as u32))
    }
}
