// SPDX-License-Identifier: GPL-2.0

//! Requests of several segments on devices without IOMMU: each segment is mapped alone, its address
//! goes straight into a PRP list, and nothing is stored for unmapping.
//!
//! The DMA layer's iterator costs about 160 instructions a segment, because it finds out for each
//! segment what is the same for all. Here `Mapper::need_unmap` tells it beforehand, and is read
//! again at the end. If a bounce buffer came into play, the request is mapped again with the
//! iterator.
//!
//! [`Mapper::map_pages`] maps requests that consist of pages, [`Mapper::map_pieces`] all requests
//! that PRPs can describe.

use super::{
    list_memory::FixedList,
    mapping::Mapper,
    pages::{
        Pages,
        Whole, //
    },
    registers::{
        computed_here,
        Aside, //
    },
    segments::{
        map_phys,
        Segment,
        Segments, //
    },
};
use crate::{
    num::{
        u32_as_usize,
        u64_as_usize,
        usize_into_u32, //
    },
    nvme::{
        DataPtr,
        PAGE_SIZE, //
    },
    sys::{
        block::{
            Borrowed,
            Request,
            Types, //
        },
        ffi as bindings, //
    },
};
use core::{
    num::NonZeroU64,
    sync::atomic::Ordering, //
};
use kernel::dma::DmaAddress;

/// Bytes of a page of the controller.
const PAGE: u32 = usize_into_u32::<PAGE_SIZE>();

/// The place of data that was mapped straight into a list.
pub(crate) struct ListedData {
    /// The device's address of the first byte.
    pub(crate) start: DmaAddress,
    /// The number of words of the list that were written: one for each controller page after the
    /// first.
    pub(crate) entries: usize,
}

/// The data pointer of pages that were mapped straight into a list: two registers can return it, or
/// none.
pub(crate) struct Pointers {
    prp1: DmaAddress,
    prp2: NonZeroU64,
}

impl Pointers {
    /// The data pointer.
    #[inline(always)]
    pub(crate) fn get(self) -> DataPtr {
        DataPtr {
            prp1: self.prp1,
            prp2: self.prp2.get(),
        }
    }
}

/// What is needed only when all whole pages of a request are mapped.
struct PagesAside<'a, T: Types> {
    rq: &'a Aside<Borrowed<'a, T>>,
    /// The device's address of the first byte.
    start: &'a Aside<DmaAddress>,
    /// The list, which has a word at least, and the device's address of it.
    words: &'a Aside<*mut u64>,
    address: &'a Aside<DmaAddress>,
}

impl Mapper {
    /// Whether any request is mapped straight into a list.
    pub(crate) fn is_direct(&self) -> bool {
        self.takes_direct(1)
    }

    /// Whether requests of several segments and `bytes` bytes are mapped straight into the list of
    /// their tag.
    #[inline(always)]
    pub(crate) fn takes_direct(&self, bytes: u32) -> bool {
        bytes <= self.direct.load(Ordering::Relaxed)
    }

    /// Maps all of `rq`, if it consists of pages of one bio, two at least, and writes their
    /// addresses, but for the first, to `list`.
    ///
    /// `None` if the request has to be mapped another way: nothing is mapped then.
    ///
    /// The registers that keep their values across calls have what the loop needs: the device, the
    /// ends of the pieces and of the words, one offset from both, the direction.
    #[inline(always)]
    pub(crate) fn map_pages<T: Types, const N: usize>(
        &self,
        rq: Borrowed<'_, T>,
        list: FixedList<'_, N>,
    ) -> Option<Pointers> {
        let mut places = (
            Aside::place(),
            Aside::place(),
            Aside::place(),
            Aside::place(),
        );
        let mut of_bytes = Aside::place();
        let (Segment { phys, len }, pages) = Pages::of(&rq)?;
        if u32_as_usize(pages.bytes()) > N.wrapping_mul(PAGE_SIZE) {
            return None;
        }
        let (dev, direction) = (self.raw(), rq.dma_direction());
        let mut whole = pages.whole(&mut of_bytes);
        let end = computed_here(list.as_ptr().wrapping_add(u32_as_usize(whole.left()))).cast_mut();
        let address = Aside::put(&mut places.0, list.address());
        let words = Aside::put(&mut places.1, list.as_ptr());
        let rq = Aside::put(&mut places.2, rq);
        let start = Aside::put(&mut places.3, self.map_phys(phys, len, direction)?);
        while whole.take(|phys, offset| {
            // SAFETY: the device is valid, and a request keeps the memory until it is unmapped.
            let addr = unsafe { map_phys(dev, phys, PAGE_SIZE, direction) };
            if let Some(addr) = addr {
                // SAFETY: there is room for all pages, as checked, so there is a word as far from the
                // end as this page is from the end of the pages.
                unsafe {
                    end.wrapping_byte_offset(offset)
                        .write_volatile(addr.to_le())
                };
            }
            addr.is_some()
        }) {}
        let aside = PagesAside {
            rq,
            start,
            words,
            address,
        };
        // SAFETY: there is room for all bytes, as checked, and so for the last page, which is not
        // whole.
        unsafe { self.finish_pages(&whole, end, direction, &aside) }
    }

    /// Maps the page that is not whole, if there is one, and writes its address to the word at `end`.
    /// Undoes all if there is a page that was not mapped.
    ///
    /// # Safety
    ///
    /// There is a word at `end` if `whole` has a tail.
    #[inline(always)]
    unsafe fn finish_pages<T: Types>(
        &self,
        whole: &Whole<'_>,
        end: *mut u64,
        direction: bindings::dma_data_direction,
        aside: &PagesAside<'_, T>,
    ) -> Option<Pointers> {
        let words = aside.words;
        let undo = |entries: u32| {
            // SAFETY: so many words of the list were written.
            unsafe {
                self.forget(
                    aside.rq.get(),
                    aside.start.get(),
                    words.get(),
                    u32_as_usize(entries),
                )
            };
            None
        };
        let bytes = whole.bytes();
        if !whole.is_empty() {
            return undo((bytes / PAGE).wrapping_sub(whole.left()));
        }
        if bytes % PAGE != 0 {
            let tail = whole.tail();
            let addr = tail.and_then(|tail| self.map_phys(tail.phys, tail.len, direction));
            let Some(addr) = addr else {
                return undo(bytes / PAGE);
            };
            // SAFETY: the caller promises that there is this word.
            unsafe { end.write_volatile(addr.to_le()) };
        }
        if self.need_unmap() {
            return undo(bytes.div_ceil(PAGE));
        }
        let mut prp2 = aside.address.get();
        if bytes <= PAGE {
            // SAFETY: a list has a word. Access to it is volatile.
            prp2 = u64::from_le(unsafe { words.get().read_volatile() });
        }
        Some(Pointers {
            prp1: aside.start.get(),
            // No data is at address 0.
            prp2: NonZeroU64::new(prp2)?,
        })
    }

    /// Maps all of `rq` and writes the address of each further controller page that it touches to
    /// `list`.
    ///
    /// `None` if the request has to be mapped another way: nothing is mapped then.
    #[inline(always)]
    pub(crate) fn map_pieces<T: Types, const N: usize>(
        &self,
        rq: &Request<T>,
        list: FixedList<'_, N>,
    ) -> Option<ListedData> {
        // There is room for all pages (`takes_direct`), so the list has a word for each page that
        // is mapped.
        let mut pages = list.span().writer();
        let mut segments = Segments::new(rq);
        let Segment { phys, len } = segments.next()?;
        let direction = rq.dma_direction();
        let start = self.map_phys(phys, len, direction)?;
        let mut done = pages.rest_of(start, len);
        while done {
            let Some(Segment { phys, len }) = segments.next() else {
                break;
            };
            // Segments that are neighbours in memory may meet within a page. The block layer sees
            // no gap there, but PRPs cannot describe it.
            done = phys % u64::from(PAGE) == 0
                && match self.map_phys(phys, len, direction) {
                    Some(addr) => pages.push(addr) && pages.rest_of(addr, len),
                    None => false,
                };
        }
        let entries = pages.written();
        if !done || self.need_unmap() {
            // SAFETY: so many words of the list were written.
            unsafe { self.forget(rq.borrow(), start, list.as_ptr(), entries) };
            return None;
        }
        Some(ListedData { start, entries })
    }

    /// Undoes a mapping that wrote `written` of the `words`. The device does not know the words. A
    /// device without IOMMU could write to them all the same, as to any memory.
    ///
    /// # Safety
    ///
    /// There are as many words.
    #[cold]
    #[inline(never)]
    unsafe fn forget<T: Types>(
        &self,
        rq: Borrowed<'_, T>,
        start: DmaAddress,
        words: *const u64,
        written: usize,
    ) {
        if self.need_unmap() {
            // Bounce buffers have come into play, so no request is mapped straight into a list any
            // more.
            self.direct.store(0, Ordering::Relaxed);
        }
        let mut segments = Segments::new(&rq);
        let mut addr = start;
        // The index of the word of the next segment. The first page of the first segment has no
        // word.
        let mut at = 0usize.wrapping_sub(1);
        while let Some(Segment { len, .. }) = segments.next() {
            self.unmap_page(rq.dma_direction(), addr, len.into());
            let touched = (addr % u64::from(PAGE) + u64::from(len)).div_ceil(PAGE.into());
            at = at.wrapping_add(u64_as_usize(touched));
            if at >= written {
                break;
            }
            // SAFETY: the caller promises that there are more words than `at`.
            addr = u64::from_le(unsafe { words.add(at).read_volatile() });
        }
    }
}
