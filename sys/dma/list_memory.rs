// SPDX-License-Identifier: GPL-2.0

//! Parts of [`Words`], the memory shared with the device: the driver writes PRP and SGL lists
//! there.

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

/// Consecutive words.
///
/// # Invariants
///
/// `base` points to `len` words of some [`Words`] that live as long as `'a`. `address` is the
/// device's address of the first.
#[derive(Clone, Copy)]
pub(crate) struct ListSpan<'a> {
    base: *mut u64,
    len: usize,
    address: DmaAddress,
    _words: PhantomData<&'a Words>,
}

impl Words {
    /// All of the words.
    pub(crate) fn span(&self) -> ListSpan<'_> {
        // INVARIANT: by the invariant of `self`.
        ListSpan {
            base: self.base,
            len: self.len,
            address: self.mem.address,
            _words: PhantomData,
        }
    }

    /// The first `N` words, if there are as many.
    pub(crate) fn first<const N: usize>(&self) -> Option<FixedList<'_, N>> {
        // INVARIANT: by the invariant of `self`; there are at least `N` words.
        (self.len >= N).then_some(FixedList {
            base: self.base,
            address: self.mem.address,
            _words: PhantomData,
        })
    }
}

impl<'a> ListSpan<'a> {
    /// The number of words.
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

    /// A writer to the words, which begins with the first.
    #[inline(always)]
    pub(in crate::sys) fn writer(self) -> Writer<'a> {
        // SAFETY: by the type invariant this is the end of `len` words.
        let end = unsafe { self.base.add(self.len) };
        // INVARIANT: `base` to `end` are the `len` words.
        Writer {
            first: self.base,
            next: self.base,
            end,
            _words: PhantomData,
        }
    }
}

/// A [`ListSpan`] of `N` words: it has two fields to pass, not three.
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
    /// The words as a [`ListSpan`].
    #[inline(always)]
    pub(crate) fn span(self) -> ListSpan<'a> {
        // INVARIANT: by the invariant of `self`.
        ListSpan {
            base: self.base,
            len: N,
            address: self.address,
            _words: PhantomData,
        }
    }

    /// The device's address of the first word.
    #[inline(always)]
    pub(crate) fn address(self) -> DmaAddress {
        self.address
    }

    /// A pointer to the first word.
    #[inline(always)]
    pub(in crate::sys) fn as_ptr(self) -> *mut u64 {
        self.base
    }
}

/// A writer of page addresses to consecutive words.
///
/// # Invariants
///
/// `first` to `end` are the words of the span that the writer was made from. `next` is in that
/// range, or is `end`.
pub(in crate::sys) struct Writer<'a> {
    first: *mut u64,
    next: *mut u64,
    end: *mut u64,
    _words: PhantomData<&'a Words>,
}

impl Writer<'_> {
    /// Writes `value`; returns whether there was room.
    #[inline(always)]
    pub(in crate::sys) fn push(&mut self, value: u64) -> bool {
        if self.next == self.end {
            return false;
        }
        // SAFETY: by the type invariant `next` is a word, because it is not `end`.
        unsafe { self.next.write_volatile(value.to_le()) };
        // SAFETY: as above; the result is `end` at most.
        self.next = unsafe { self.next.add(1) };
        true
    }

    /// Writes the addresses of the controller pages that the `len` bytes at `addr` touch, except
    /// the first page; returns whether there was room.
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

    /// The number of words written.
    pub(in crate::sys) fn written(&self) -> usize {
        // CAST: both are addresses, and `next` is not below `first`.
        (self.next as usize).wrapping_sub(self.first as usize) / size_of::<u64>()
    }
}

/// A pool of lists of `N` words each. The lists are parts of pages.
pub(crate) struct ListPool<const N: usize> {
    pages: KVec<PoolPage>,
    _words: KVec<Words>,
}

/// A page of words.
///
/// # Invariants
///
/// `base` points to [`ListPool::PAGE`] words of one of the [`Words`] of the `ListPool` that it is
/// in. `address` is the device's address of the first.
struct PoolPage {
    base: *mut u64,
    address: DmaAddress,
}

// SAFETY: the addresses are of memory that `_words` keeps, and `Words` may be sent.
unsafe impl<const N: usize> Send for ListPool<N> {}
// SAFETY: as for `Words`: all access is by volatile loads and stores of aligned words.
unsafe impl<const N: usize> Sync for ListPool<N> {}

impl<const N: usize> ListPool<N> {
    /// The number of words in a page.
    const PAGE: usize = (u64_as_usize(PAGE_MASK) + 1) / size_of::<u64>();

    /// The number of lists in a page.
    const PER_PAGE: usize = {
        assert!(Self::PAGE % N == 0);
        Self::PAGE / N
    };

    /// At least `count` lists for `dev`, zeroed.
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
            // INVARIANT: `words` has `PAGE` words, and `kept` keeps it.
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

    /// List `index`, if there are as many.
    #[inline(always)]
    pub(crate) fn get(&self, index: usize) -> Option<FixedList<'_, N>> {
        let page = self.pages.get(index / Self::PER_PAGE)?;
        let first = index % Self::PER_PAGE * N;
        // SAFETY: `first + N` is at most `PAGE`, because `N` divides `PAGE`.
        let base = unsafe { page.base.add(first) };
        // INVARIANT: `base` points to `N` words of the page; `self` keeps the words.
        Some(FixedList {
            base,
            address: page
                .address
                .wrapping_add(usize_as_u64(first.wrapping_mul(size_of::<u64>()))),
            _words: PhantomData,
        })
    }
}
