// SPDX-License-Identifier: GPL-2.0

//! Words of the memory shared with the device: the driver writes PRP and SGL lists there.

use crate::{
    num::usize_as_u64,
    prp::{
        List,
        ENTRIES_PER_PAGE,
        PAGE_MASK, //
    },
};
use core::marker::PhantomData;
use kernel::{
    dma::DmaAddress,
    prelude::*, //
};

/// Consecutive words.
///
/// # Invariants
///
/// `base` points to `len` aligned words that live as long as `'a`. `address` is the device's
/// address of the first.
#[derive(Clone, Copy)]
pub(crate) struct ListSpan<'a> {
    base: *mut u64,
    len: usize,
    address: DmaAddress,
    _words: PhantomData<&'a ()>,
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

impl List for ListSpan<'_> {
    #[inline(always)]
    fn set(&mut self, slot: usize, value: u64) -> bool {
        self.write(slot, value)
    }

    fn page_address(&self, page: usize) -> u64 {
        self.address_of(page.wrapping_mul(ENTRIES_PER_PAGE))
    }

    fn capacity(&self) -> usize {
        self.len()
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
    _words: PhantomData<&'a ()>,
}

impl<'a, const N: usize> FixedList<'a, N> {
    /// The words at `base`.
    ///
    /// # Safety
    ///
    /// `base` points to `N` aligned words that live as long as `'a`. All access to them is volatile.
    /// `address` is the device's address of the first.
    #[inline(always)]
    pub(super) unsafe fn new(base: *mut u64, address: DmaAddress) -> Self {
        // INVARIANT: the caller promises it.
        Self {
            base,
            address,
            _words: PhantomData,
        }
    }

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
    _words: PhantomData<&'a ()>,
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
