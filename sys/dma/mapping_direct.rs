// SPDX-License-Identifier: GPL-2.0

//! Requests of several segments on devices without IOMMU: each piece of memory is mapped by
//! itself, straight into a PRP list, and nothing has to be remembered.
//!
//! The DMA layer's iterator costs about 160 instructions a segment, to find out for each what is
//! the same for all. Here it is known beforehand (`Mapper::need_unmap`) and looked at once more at
//! the end: a bounce buffer that came into play makes it start over the long way.
//!
//! [`Mapper::map_pages`] takes what is nothing but pages, [`Mapper::map_pieces`] all that PRPs can
//! describe.

use super::{
    list_memory::FixedList,
    mapping::{
        map_phys,
        Mapper, //
    },
    segments::{
        Pages,
        Segment,
        Segments,
        Whole, //
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

/// Where data is that was mapped straight into a list.
pub(crate) struct ListedData {
    /// The device's address of the first byte.
    pub(crate) start: DmaAddress,
    /// How many words of the list were written: one for each further controller page.
    pub(crate) entries: usize,
}

impl Mapper {
    /// Whether anything is mapped straight into a list.
    pub(crate) fn is_direct(&self) -> bool {
        self.takes_direct(1)
    }

    /// Whether requests of several segments and `bytes` bytes are worth a try with the list of a tag.
    #[inline(always)]
    pub(crate) fn takes_direct(&self, bytes: u32) -> bool {
        bytes <= self.direct.load(Ordering::Relaxed)
    }

    /// Maps all of `rq`, if it is nothing but pages of one bio, two at least; see
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
        // SAFETY: there is room for all of the pages, as just checked.
        let end = unsafe { Self::map_whole(dev, whole, list.as_ptr(), direction) };
        if end != 0 {
            self.forget(rq, start, list, entries.wrapping_add_signed(end));
            return None;
        }
        if pages.has_tail() {
            // SAFETY: all of them were pages.
            let tail = unsafe { pages.tail() };
            let Some(addr) = tail.and_then(|tail| self.map_phys(tail.phys, tail.len, direction))
            else {
                self.forget(rq, start, list, entries);
                return None;
            };
            // SAFETY: as above: it is one page more, with less than its bytes.
            unsafe { list.as_ptr().add(entries).write_volatile(addr.to_le()) };
            entries = entries.wrapping_add(1);
        }
        if self.need_unmap() {
            self.forget(rq, start, list, entries);
            return None;
        }
        Some(ListedData { start, entries })
    }

    /// Maps `pages` for `dev` and writes their addresses to the words from `to` on. Returns where that
    /// ended, counted from the end of the words: 0, or where one was no page or could not be mapped,
    /// which is negative. A function of its own, so that all that it needs stays in registers.
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
            // SAFETY: the device is valid, and the memory that of a request.
            let Some(addr) = (unsafe { map_phys(dev, phys, PAGE_SIZE, direction) }) else {
                break;
            };
            // SAFETY: the caller promises that there are as many words as pages: so there is one that
            // is as far from the end as this page is.
            unsafe { end.wrapping_offset(index).write_volatile(addr.to_le()) };
            index = pages.index();
        }
        index
    }

    /// Maps all of `rq` and writes the address of each further controller page that it touches to
    /// `list`.
    ///
    /// `None` if it has to be done another way: nothing is mapped then.
    #[inline(always)]
    pub(crate) fn map_pieces<T: Types, const N: usize>(
        &self,
        rq: &Request<T>,
        list: FixedList<'_, N>,
    ) -> Option<ListedData> {
        // There is room for all pages, so what is mapped at a page is also written.
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
            // Pieces that meet within a page are no gap if they are neighbours, but no PRPs either.
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

    /// Undoes what [`Self::map_pieces`] has done, which wrote `written` words. The device has not
    /// been told of them; one without IOMMU could write there all the same, as it could anywhere.
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
            // From now on this is so, and nobody need try any more.
            self.direct.store(0, Ordering::Relaxed);
        }
        let mut segments = Segments::new(rq);
        let mut addr = start;
        // The word of the next piece: the first page of the first has none.
        let mut at = 0usize.wrapping_sub(1);
        while let Some(Segment { len, .. }) = segments.next() {
            self.unmap_page(rq, addr, len.into());
            let touched = (addr % PAGE + u64::from(len)).div_ceil(PAGE);
            at = at.wrapping_add(u64_as_usize(touched));
            if at >= written {
                break;
            }
            addr = list.span().read(at);
        }
    }
}
