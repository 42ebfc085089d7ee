// SPDX-License-Identifier: GPL-2.0

//! Requests of several segments on devices without IOMMU: each piece of memory is mapped by
//! itself, straight into a PRP list, and nothing has to be remembered.
//!
//! The DMA layer's iterator costs about 160 instructions a segment, to find out for each what is
//! the same for all. Here it is known beforehand (`Mapper::need_unmap`) and looked at once more at
//! the end: a bounce buffer that came into play makes it start over the long way.

use super::Mapper;
use crate::{
    regs::PAGE_SIZE,
    sys::{
        dma::Words,
        request::{
            Request,
            Types, //
        },
        segments::{
            Segment,
            Segments, //
        }, //
    }, //
};
use kernel::dma::DmaAddress;

// CAST: usize to u64 is lossless on 64-bit machines.
const PAGE: u64 = PAGE_SIZE as u64;

impl Mapper {
    /// Maps all of `rq` and writes the address of each further controller page that it touches to
    /// the words of `list` from `first` on, of which there are `room`; returns the address of its
    /// first byte and how many there were.
    ///
    /// The pieces of `rq` must meet at page boundaries, and `room` must do for its bytes. `None` if it has to be done another way:
    /// nothing is mapped then.
    #[inline(always)]
    pub(crate) fn map_direct<T: Types>(
        &self,
        rq: &Request<T>,
        list: &Words,
        first: usize,
        room: usize,
    ) -> Option<(DmaAddress, usize)> {
        if self.need_unmap() {
            return None;
        }
        // There is room for all pages, so what is mapped at a page is also written.
        let mut pages = list.writer(first, room)?;
        let mut segments = Segments::new(rq);
        let Segment { phys, len } = segments.next()?;
        let direction = rq.dma_direction();
        let start = self.map_phys(phys, len, direction)?;
        let mut done = pages.rest_of(start, len);
        while done {
            if let Some(phys) = segments.next_page() {
                // CAST: 4096.
                done = match self.map_phys(phys, PAGE as u32, direction) {
                    Some(addr) => pages.push(addr),
                    None => false,
                };
                continue;
            }
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
        if done && !self.need_unmap() {
            return Some((start, pages.written()));
        }
        self.forget(rq, start, list, first, pages.written());
        None
    }

    /// Undoes what [`Self::map_direct`] has done, which wrote `written` words. The device has not
    /// been told of them; one without IOMMU could write there all the same, as it could anywhere.
    #[cold]
    fn forget<T: Types>(
        &self,
        rq: &Request<T>,
        start: DmaAddress,
        list: &Words,
        first: usize,
        written: usize,
    ) {
        let mut segments = Segments::new(rq);
        let mut addr = start;
        // The word of the next piece: the first page of the first has none.
        let mut at = 0usize.wrapping_sub(1);
        while let Some(Segment { len, .. }) = segments.next() {
            self.unmap_page(rq, addr, len.into());
            // CAST: less than the pages of a request.
            at = at.wrapping_add((addr % PAGE + u64::from(len)).div_ceil(PAGE) as usize);
            if at >= written {
                break;
            }
            addr = list.read(first + at);
        }
    }
}
