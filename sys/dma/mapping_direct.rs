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
    mapping::{
        map_phys,
        Mapper, //
    },
    pages::{
        Pages,
        Whole, //
    },
    segments::{
        Segment,
        Segments, //
    },
};
use crate::{
    num::{
        u64_as_usize,
        usize_as_u64, //
    },
    nvme::PAGE_SIZE,
    sys::{
        block::{
            Request,
            Types, //
        },
        ffi as bindings, //
    },
};
use core::sync::atomic::Ordering;
use kernel::dma::DmaAddress;

const PAGE: u64 = usize_as_u64(PAGE_SIZE);

/// The place of data that was mapped straight into a list.
pub(crate) struct ListedData {
    /// The device's address of the first byte.
    pub(crate) start: DmaAddress,
    /// The number of words of the list that were written: one for each controller page after the
    /// first.
    pub(crate) entries: usize,
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

    /// Maps all of `rq`, if it consists of pages of one bio, two at least; the rest is as in
    /// [`Self::map_pieces`].
    #[inline(always)]
    pub(crate) fn map_pages<T: Types, const N: usize>(
        &self,
        rq: &Request<T>,
        list: FixedList<'_, N>,
    ) -> Option<ListedData> {
        let (Segment { phys, len }, pages) = Pages::of(rq)?;
        if pages.bytes() > N.wrapping_mul(PAGE_SIZE) {
            return None;
        }
        let (dev, direction) = (self.raw(), rq.dma_direction());
        let start = self.map_phys(phys, len, direction)?;
        let whole = pages.whole();
        let mut entries = whole.len();
        // SAFETY: the device is valid, and there is room for all of the pages, as just checked.
        let end = unsafe { Self::map_whole(dev, whole, list.as_ptr(), direction) };
        if end != 0 {
            self.forget(rq, start, list, entries.wrapping_add_signed(end));
            return None;
        }
        if pages.has_tail() {
            // SAFETY: `map_whole` returned 0, so all of them were pages.
            let tail = unsafe { pages.tail() };
            let Some(addr) = tail.and_then(|tail| self.map_phys(tail.phys, tail.len, direction))
            else {
                self.forget(rq, start, list, entries);
                return None;
            };
            // SAFETY: the list has room for all bytes of `pages`, and so for the last page, which
            // is not whole.
            unsafe { list.as_ptr().add(entries).write_volatile(addr.to_le()) };
            entries = entries.wrapping_add(1);
        }
        if self.need_unmap() {
            self.forget(rq, start, list, entries);
            return None;
        }
        Some(ListedData { start, entries })
    }

    /// Maps `pages` for `dev` and writes their addresses to the words from `to` on. Returns the
    /// index at which that ended, counted from the end of the words: 0 if all are mapped; negative
    /// at a piece that is no page or could not be mapped. A function of its own, so that all its
    /// values stay in registers.
    ///
    /// # Safety
    ///
    /// `dev` is valid, and there are as many words as pages.
    #[inline(never)]
    unsafe fn map_whole(
        dev: *mut bindings::device,
        mut pages: Whole<'_>,
        to: *mut u64,
        direction: bindings::dma_data_direction,
    ) -> isize {
        let end = to.wrapping_add(pages.len());
        let mut index = pages.index();
        while let Some(phys) = pages.next() {
            // SAFETY: the device is valid, and a request keeps the memory until it is unmapped.
            let Some(addr) = (unsafe { map_phys(dev, phys, PAGE_SIZE, direction) }) else {
                break;
            };
            // SAFETY: the caller promises as many words as pages, so there is a word as far from
            // the end as this page is from the end of the pages.
            unsafe { end.wrapping_offset(index).write_volatile(addr.to_le()) };
            index = pages.index();
        }
        index
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
            done = phys % PAGE == 0
                && match self.map_phys(phys, len, direction) {
                    Some(addr) => pages.push(addr) && pages.rest_of(addr, len),
                    None => false,
                };
        }
        let entries = pages.written();
        if !done || self.need_unmap() {
            self.forget(rq, start, list, entries);
            return None;
        }
        Some(ListedData { start, entries })
    }

    /// Undoes a mapping that wrote `written` words. The device does not know the words. A device
    /// without IOMMU could write to them all the same, as to any memory.
    #[cold]
    #[inline(never)]
    fn forget<T: Types, const N: usize>(
        &self,
        rq: &Request<T>,
        start: DmaAddress,
        list: FixedList<'_, N>,
        written: usize,
    ) {
        if self.need_unmap() {
            // Bounce buffers have come into play, so no request is mapped straight into a list any
            // more.
            self.direct.store(0, Ordering::Relaxed);
        }
        let mut segments = Segments::new(rq);
        let mut addr = start;
        // The index of the word of the next segment. The first page of the first segment has no
        // word.
        let mut at = 0usize.wrapping_sub(1);
        while let Some(Segment { len, .. }) = segments.next() {
            self.unmap_page(rq.dma_direction(), addr, len.into());
            let touched = (addr % PAGE + u64::from(len)).div_ceil(PAGE);
            at = at.wrapping_add(u64_as_usize(touched));
            if at >= written {
                break;
            }
            addr = list.span().read(at);
        }
    }
}
