// SPDX-License-Identifier: GPL-2.0

//! The data of a request as PRPs or as an SGL, with or without a list.
//!
//! | data | PRPs | SGL, if the controller has them |
//! |---|---|---|
//! | one segment on one or two pages | PRP1, PRP2 | |
//! | one segment, larger | list | one descriptor, no list (unless the threshold is 0) |
//! | segments that meet at pages | list | list, if they are large on average |
//! | segments with gaps | impossible | list |

// The private data of a request.
mod request_data;
// Memory for PRP lists, allocated with the queue.
mod lists;
// SGL descriptors.
mod sgl;
// The ranges of a discard.
mod discard;

pub(crate) use self::request_data::{
    HasQueueData,
    Queued,
    RequestData, //
};

use self::lists::Lists;
use crate::{
    num::{
        u16_as_u64,
        u32_as_u64,
        u32_as_usize,
        usize_into_u32, //
    },
    nvme::{
        regs,
        Data,
        DataPtr, //
    },
    prp,
    sys::{
        block::{
            BlkStatus,
            Request,
            Types, //
        },
        dma::{
            FixedList,
            Lease,
            ListSpan, //
            ListedData,
            MapError,
            Mapper,
            Mapping,
        },
    },
};

use core::mem::offset_of;
use kernel::{
    device::{
        Bound,
        Device, //
    },
    prelude::*, //
};

/// Bytes of a page of the controller.
const PAGE: u32 = usize_into_u32::<{ regs::PAGE_SIZE }>();

/// Average bytes of a segment from which an SGL is preferred to PRPs. 0: an SGL describes only data
/// that PRPs cannot describe.
#[derive(Clone, Copy)]
pub(crate) struct SglThreshold(pub(crate) u32);

impl SglThreshold {
    /// Whether an SGL may describe data that PRPs can describe, too.
    const fn allows_choice(self) -> bool {
        self.0 != 0
    }

    /// Whether an SGL is preferred for `bytes` in `segments`. A multiplication, because a division
    /// would check for zero.
    #[inline(always)]
    const fn prefers(self, bytes: u32, segments: u16) -> bool {
        // 2^32 times 2^16 fits.
        let least = u32_as_u64(self.0).wrapping_mul(u16_as_u64(segments));
        self.allows_choice() && u32_as_u64(bytes) >= least
    }
}

/// Maps the data of a queue's requests. The most frequently used field is first.
#[repr(C)]
pub(crate) struct Transfers {
    mapper: Mapper,
    sgl: Option<SglThreshold>,
    lists: Lists,
}

impl Transfers {
    /// Bytes of the structure, from its beginning, that a request of one segment on two pages
    /// reads.
    pub(crate) const HOT: usize = offset_of!(Self, mapper) + Mapper::HOT;

    /// Allocates lists for `tags` requests of up to `max_transfer` bytes.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(
        dev: &Device<Bound>,
        tags: u16,
        max_transfer: u32,
        sgl: Option<SglThreshold>,
    ) -> Result<Self> {
        Ok(Self {
            mapper: Mapper::new(dev, direct(sgl))?,
            lists: Lists::new(dev, tags, max_transfer)?,
            sgl,
        })
    }

    /// The device.
    pub(crate) fn device(&self) -> &Device {
        self.mapper.device()
    }

    /// Maps the data of `rq` and returns the data pointer of its command.
    ///
    /// # Errors
    ///
    /// [`BlkStatus::RESOURCE`] if no mapping or no large list is free for now, [`BlkStatus::IOERR`]
    /// if neither PRPs nor an SGL can describe the segments. Nothing stays mapped then.
    #[inline(always)]
    pub(crate) fn map<T: Queued>(&self, rq: &mut Request<T>) -> Result<Data, BlkStatus> {
        if rq.segments() == 1 {
            let (addr, len) = self.map_one(rq).ok_or(BlkStatus::RESOURCE)?;
            if prp::pages(addr, len) <= 2 {
                return Ok(Data::prp(prp::simple(addr, len)));
            }
            if self.sgl.is_some_and(SglThreshold::allows_choice) {
                return Ok(Data::sgl(sgl::single(addr, len)));
            }
            return self.prp_list_of_one(rq, addr, len);
        }
        if rq.segments() == 0 {
            return Ok(Data::default());
        }
        if self.is_for_sgl(rq) {
            self.sgl_list(rq)
        } else {
            self.prp_list(rq)
        }
    }

    /// Maps the data of a read or write, if it is one segment on one or two pages, or whole pages
    /// that fit a small list. `None` if the data is other or cannot be mapped; nothing is mapped
    /// then.
    #[inline(always)]
    pub(crate) fn map_plain<T: Queued>(&self, rq: &mut Request<T>) -> Option<DataPtr> {
        let bytes = rq.bytes();
        if bytes > 2 * PAGE || rq.segments() != 1 {
            return self.map_pages(rq);
        }
        let (addr, len) = self.map_one(rq)?;
        if prp::pages(addr, len) > 2 {
            self.unmap(rq);
            return None;
        }
        Some(prp::simple(addr, len))
    }

    /// Maps the data of a read or write of several segments, if they are whole pages that fit a
    /// small list and that need not be unmapped.
    #[inline(always)]
    fn map_pages<T: Queued>(&self, rq: &Request<T>) -> Option<DataPtr> {
        if !self.mapper.takes_direct(rq.bytes()) {
            return None;
        }
        let list = self.lists.small(rq.tag())?;
        let listed = self.mapper.map_pages(rq, list)?;
        Some(pointers(&listed, list))
    }

    /// Maps the data of a read or write of several segments, if PRPs in a small list can describe
    /// them and they need not be unmapped.
    #[inline(always)]
    pub(crate) fn map_pieces<T: Queued>(&self, rq: &Request<T>) -> Option<DataPtr> {
        let bytes = rq.bytes();
        if !self.mapper.takes_direct(bytes) || rq.has_gaps(regs::PAGE_SHIFT) || self.prefers_sgl(rq)
        {
            return None;
        }
        let list = self.lists.small(rq.tag())?;
        let listed = self.mapper.map_pieces(rq, list)?;
        if u32_as_usize(prp::pages(listed.start, bytes)) != listed.entries.wrapping_add(1) {
            return None;
        }
        Some(pointers(&listed, list))
    }

    /// Maps the data of a request of one segment: bus address and length.
    #[inline(always)]
    fn map_one<T: Queued>(&self, rq: &mut Request<T>) -> Option<(u64, u32)> {
        let mut made = None;
        let result = self.mapper.map_one(rq, |mapping| made = Some(mapping));
        if let Some(mapping) = made {
            rq.queue_part().mapping = mapping;
        }
        result
    }

    /// Whether the data of `rq` needs no unmapping.
    #[inline(always)]
    pub(crate) fn is_free<T: Queued>(rq: &mut Request<T>) -> bool {
        rq.queue_part().mapping.is_none()
    }

    /// Whether an SGL describes a request of several segments: PRPs cannot, or the SGL is
    /// preferred.
    fn is_for_sgl<T: Types>(&self, rq: &Request<T>) -> bool {
        self.prefers_sgl(rq) || (self.sgl.is_some() && rq.has_gaps(regs::PAGE_SHIFT))
    }

    /// Whether an SGL is preferred for a request of several segments.
    #[inline(always)]
    fn prefers_sgl<T: Types>(&self, rq: &Request<T>) -> bool {
        self.sgl
            .is_some_and(|threshold| threshold.prefers(rq.bytes(), rq.segments()))
    }

    /// Takes a lease, if a small list has fewer than `words` words.
    fn lease(&self, words: usize) -> Result<Option<Lease>, BlkStatus> {
        if words <= lists::SMALL {
            return Ok(None);
        }
        self.mapper.lease().map(Some).ok_or(BlkStatus::RESOURCE)
    }

    /// Writes the PRP list of a request of one mapped segment. Unmaps the segment on an error.
    fn prp_list_of_one<T: Queued>(
        &self,
        rq: &mut Request<T>,
        addr: u64,
        len: u32,
    ) -> Result<Data, BlkStatus> {
        let result = self.lease(prp::list_entries(addr, len)).and_then(|lease| {
            let list = self.lists.list(rq.tag(), lease.as_ref());
            if let Some(lease) = lease {
                rq.queue_part().mapping.hold(lease);
            }
            let mut list = list.ok_or(BlkStatus::IOERR)?;
            let mut builder = prp::PrpBuilder::new(len);
            builder
                .push(addr, len, &mut list)
                .and_then(|()| builder.finish())
                .map(Data::prp)
                .map_err(|_| BlkStatus::IOERR)
        });
        if result.is_err() {
            self.unmap(rq);
        }
        result
    }

    fn prp_list<T: Queued>(&self, rq: &mut Request<T>) -> Result<Data, BlkStatus> {
        let bytes = rq.bytes();
        // The worst case: data from the last dword of a page on touches one page more.
        let lease = self.lease(prp::list_entries(prp::PAGE_MASK, bytes))?;
        if let Some(data) = lease.as_ref().and_then(|lease| self.map_leased(rq, lease)) {
            if let Some(lease) = lease {
                rq.queue_part().mapping.hold(lease);
            }
            return Ok(Data::prp(data));
        }
        let mut builder = prp::PrpBuilder::new(bytes);
        self.list(rq, lease, |addr, len, list| {
            builder.push(addr, len, list).is_ok()
        })?;
        self.finish(rq, builder.finish().map(Data::prp))
    }

    fn sgl_list<T: Queued>(&self, rq: &mut Request<T>) -> Result<Data, BlkStatus> {
        let mut builder = sgl::SglBuilder::new(rq.bytes());
        let words = usize::from(rq.segments()) * sgl::WORDS;
        let lease = self.lease(words)?;
        let list = self.list(rq, lease, |addr, len, list| {
            builder.push(addr, len, list).is_ok()
        })?;
        self.finish(rq, builder.finish(&list).map(Data::sgl))
    }

    /// Like [`Self::map_pages`], into the first page of the large list of `lease`.
    fn map_leased<T: Types>(&self, rq: &Request<T>, lease: &Lease) -> Option<DataPtr> {
        if !self.mapper.is_direct() {
            return None;
        }
        let list = self.lists.large(lease)?;
        let listed = self.mapper.map_pages(rq, list)?;
        Some(pointers(&listed, list))
    }

    /// Maps the segments of `rq`. `push` adds each segment to the list of `lease`, or else of the
    /// tag.
    #[inline(always)]
    fn list<T: Queued>(
        &self,
        rq: &mut Request<T>,
        lease: Option<Lease>,
        mut push: impl FnMut(u64, u32, &mut ListSpan<'_>) -> bool,
    ) -> Result<ListSpan<'_>, BlkStatus> {
        let Some(mut list) = self.lists.list(rq.tag(), lease.as_ref()) else {
            if let Some(lease) = lease {
                self.mapper.release(lease);
            }
            return Err(BlkStatus::IOERR);
        };
        let mapping = self
            .mapper
            .map_many(rq, lease, |addr, len| push(addr, len, &mut list))
            .map_err(refusal)?;
        rq.queue_part().mapping = mapping;
        Ok(list)
    }

    /// Unmaps the data of `rq` if the builder refused it: the block layer gave fewer bytes than the
    /// length of the request.
    #[inline(always)]
    fn finish<T: Queued, E>(
        &self,
        rq: &mut Request<T>,
        data: Result<Data, E>,
    ) -> Result<Data, BlkStatus> {
        data.map_err(|_| {
            self.unmap(rq);
            BlkStatus::IOERR
        })
    }

    /// Undoes [`Self::map`], when the controller has completed the command or never got it.
    #[inline(always)]
    pub(crate) fn unmap<T: Queued>(&self, rq: &mut Request<T>) {
        let mapping = core::mem::replace(&mut rq.queue_part().mapping, Mapping::NONE);
        self.mapper.unmap(rq, mapping);
    }
}

/// Maximum bytes of a request whose pages are always described by PRPs in a small list: 0 if the
/// threshold prefers an SGL for segments of one page.
const fn direct(sgl: Option<SglThreshold>) -> u32 {
    match sgl {
        Some(threshold) if threshold.prefers(PAGE, 1) => 0,
        // The worst case: data from the last dword of a page on touches one page more.
        _ => usize_into_u32::<{ lists::SMALL * regs::PAGE_SIZE }>(),
    }
}

/// The data pointer to pages in `list`. They need no unmapping.
#[inline(always)]
fn pointers<const N: usize>(listed: &ListedData, list: FixedList<'_, N>) -> DataPtr {
    let first = || list.span().read(0);
    prp::listed(listed.start, listed.entries, first, list.address())
}

/// The block status of a failed mapping.
fn refusal(error: MapError) -> BlkStatus {
    match error {
        MapError::Resource => BlkStatus::RESOURCE,
        MapError::Invalid => BlkStatus::IOERR,
    }
}

#[kernel::macros::kunit_tests(rnvme_data)]
mod tests {
    use super::*;

    #[test]
    fn sgls_are_preferred_for_large_segments() {
        // Threshold, bytes, segments.
        for (threshold, bytes, segments, expected) in [
            (32768, 65536, 2, true),
            (32768, 65535, 2, false),
            (32768, 1 << 20, 256, false),
            (32768, 8 << 20, 256, true),
            (1, 512, 256, true),
            (0, 8 << 20, 2, false),
        ] {
            assert_eq!(SglThreshold(threshold).prefers(bytes, segments), expected);
        }
    }

    #[test]
    fn pages_are_listed_unless_an_sgl_is_better() {
        for (threshold, expected) in [
            (None, 131072),
            (Some(0), 131072),
            (Some(1), 0),
            (Some(4096), 0),
            (Some(4097), 131072),
            (Some(32768), 131072),
        ] {
            assert_eq!(direct(threshold.map(SglThreshold)), expected);
        }
    }
}
