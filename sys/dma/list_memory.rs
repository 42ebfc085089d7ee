// SPDX-License-Identifier: GPL-2.0

//! Parts of memory that is shared with the device: where lists are written.

use super::memory::Words;
use crate::{
    num::{
        u64_as_usize,
        usize_as_u64, //
    },
    prp::PAGE_MASK,
    sys::pci::{
        numa,
        vec_on, //
    },
};
use core::marker::PhantomData;
use kernel::{
    device::{
        Bound,
        Device, //
    },
    dma::DmaAddress,
    prelude::*, //
};

/// Words that lie side by side.
///
/// # Invariants
///
/// `base` points to `len` words of some [`Words`] that live as long as `'a`, the device's address
/// of which is `address`.
#[derive(Clone, Copy)]
pub(crate) struct ListSpan<'a> {
    base: *mut u64,
    len: usize,
    address: DmaAddress,
    _words: PhantomData<&'a Words>,
}

impl Words {
    /// All of them.
    pub(crate) fn span(&self) -> ListSpan<'_> {
        // INVARIANT: as `self` says.
        ListSpan {
            base: self.base,
            len: self.len,
            address: self.mem.address,
            _words: PhantomData,
        }
    }

    /// The first `N` of them, if they are as many.
    pub(crate) fn first<const N: usize>(&self) -> Option<FixedList<'_, N>> {
        // INVARIANT: as `self` says, there are `N`.
        (self.len >= N).then_some(FixedList {
            base: self.base,
            address: self.mem.address,
            _words: PhantomData,
        })
    }
}

impl<'a> ListSpan<'a> {
    /// How many there are.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The device's address of word `index`.
    #[inline(always)]
    pub(crate) fn address_of(&self, index: usize) -> DmaAddress {
        let offset = index.wrapping_mul(size_of::<u64>());
        self.address.wrapping_add(usize_as_u64(offset))
    }

    /// Reads word `index`; 0 if there is no such word.
    #[inline(always)]
    pub(crate) fn read(&self, index: usize) -> u64 {
        if index >= self.len {
            return 0;
        }
        // SAFETY: by the type invariant, `index < len` words at `base`.
        u64::from_le(unsafe { self.base.add(index).read_volatile() })
    }

    /// Writes word `index`; returns whether there is such a word.
    #[inline(always)]
    pub(crate) fn write(&self, index: usize, value: u64) -> bool {
        if index >= self.len {
            return false;
        }
        // SAFETY: by the type invariant, `index < len` words at `base`.
        unsafe { self.base.add(index).write_volatile(value.to_le()) };
        true
    }

    /// Begins to write them.
    #[inline(always)]
    pub(in crate::sys) fn writer(self) -> Writer<'a> {
        // SAFETY: by the type invariant this is the end of `len` words.
        let end = unsafe { self.base.add(self.len) };
        // INVARIANT: `len` words, as just seen.
        Writer {
            first: self.base,
            next: self.base,
            end,
            _words: PhantomData,
        }
    }
}

/// A [`ListSpan`] of `N` words: two words to hand over.
///
/// # Invariants
///
/// As for [`ListSpan`], with `N` words.
#[derive(Clone, Copy)]
pub(crate) struct FixedList<'a, const N: usize> {
    base: *mut u64,
    address: DmaAddress,
    _words: PhantomData<&'a Words>,
}

impl<'a, const N: usize> FixedList<'a, N> {
    /// The same.
    #[inline(always)]
    pub(crate) fn span(self) -> ListSpan<'a> {
        // INVARIANT: as `self` says.
        ListSpan {
            base: self.base,
            len: N,
            address: self.address,
            _words: PhantomData,
        }
    }

    /// The device's address of the first.
    #[inline(always)]
    pub(crate) fn address(self) -> DmaAddress {
        self.address
    }

    /// The first word, if there is one.
    #[inline(always)]
    pub(in crate::sys) fn as_ptr(self) -> *mut u64 {
        self.base
    }
}

/// Addresses of pages on their way into consecutive words.
///
/// # Invariants
///
/// `next` to `end` are words of the span that it was made from, from `first` on.
pub(in crate::sys) struct Writer<'a> {
    first: *mut u64,
    next: *mut u64,
    end: *mut u64,
    _words: PhantomData<&'a Words>,
}

impl Writer<'_> {
    /// Writes `value`, if there is room.
    #[inline(always)]
    pub(in crate::sys) fn push(&mut self, value: u64) -> bool {
        if self.next == self.end {
            return false;
        }
        // SAFETY: by the type invariant this is a word, as it is not the end.
        unsafe { self.next.write_volatile(value.to_le()) };
        // SAFETY: as above: at most the end.
        self.next = unsafe { self.next.add(1) };
        true
    }

    /// Writes the addresses of the further controller pages that `len` bytes from `addr` on touch,
    /// if there is room.
    #[inline(always)]
    pub(in crate::sys) fn rest_of(&mut self, addr: u64, len: u32) -> bool {
        let end = addr.wrapping_add(len.into());
        let mut page = (addr & !PAGE_MASK).wrapping_add(PAGE_MASK + 1);
        while page < end {
            if !self.push(page) {
                return false;
            }
            page = page.wrapping_add(PAGE_MASK + 1);
        }
        true
    }

    /// How many words were written.
    pub(in crate::sys) fn written(&self) -> usize {
        // CAST: addresses, the second of which is not less.
        (self.next as usize).wrapping_sub(self.first as usize) / size_of::<u64>()
    }
}

/// Many spans of `N` words, for whoever needs one: they are parts of pages.
pub(crate) struct ListPool<const N: usize> {
    pages: KVec<PoolPage>,
    _words: KVec<Words>,
}

/// A page of words.
///
/// # Invariants
///
/// `base` points to [`ListPool::PAGE`] words of one of the [`Words`] of the `ListPool` that it is in,
/// the device's address of which is `address`.
struct PoolPage {
    base: *mut u64,
    address: DmaAddress,
}

// SAFETY: the addresses are of memory that `_words` keeps, which may be sent.
unsafe impl<const N: usize> Send for ListPool<N> {}
// SAFETY: as for `Words`: all access is by volatile loads and stores of aligned words.
unsafe impl<const N: usize> Sync for ListPool<N> {}

impl<const N: usize> ListPool<N> {
    /// Words of a page.
    const PAGE: usize = (u64_as_usize(PAGE_MASK) + 1) / size_of::<u64>();

    /// Pieces of a page.
    const PER_PAGE: usize = {
        assert!(Self::PAGE % N == 0);
        Self::PAGE / N
    };

    /// At least `count` pieces for `dev`, zeroed.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn zeroed(dev: &Device<Bound>, count: usize) -> Result<Self> {
        let node = numa::of(dev);
        let count = count.div_ceil(Self::PER_PAGE);
        let (mut pages, mut kept) = (vec_on(node, count)?, vec_on(node, count)?);
        for _ in 0..count {
            let words = Words::zeroed(dev, Self::PAGE)?;
            // INVARIANT: of `PAGE` words, which `kept` keeps.
            let page = PoolPage {
                base: words.base,
                address: words.mem.address,
            };
            kept.push(words, GFP_KERNEL)?;
            pages.push(page, GFP_KERNEL)?;
        }
        Ok(Self {
            pages,
            _words: kept,
        })
    }

    /// Piece `index`, if there are as many.
    #[inline(always)]
    pub(crate) fn get(&self, index: usize) -> Option<FixedList<'_, N>> {
        let page = self.pages.get(index / Self::PER_PAGE)?;
        let first = index % Self::PER_PAGE * N;
        // SAFETY: `first + N` is at most `PAGE`, as `N` divides that.
        let base = unsafe { page.base.add(first) };
        // INVARIANT: as just seen; `self` keeps the words.
        Some(FixedList {
            base,
            address: page
                .address
                .wrapping_add(usize_as_u64(first.wrapping_mul(size_of::<u64>()))),
            _words: PhantomData,
        })
    }
}
