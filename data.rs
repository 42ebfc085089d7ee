// SPDX-License-Identifier: GPL-2.0

//! The data of a request as PRPs or as an SGL, with or without a list.
//!
//! | data | PRPs | SGL, if the controller has them |
//! |---|---|---|
//! | one segment on one or two pages | PRP1, PRP2 | |
//! | one segment, larger | list | one descriptor, no list (unless the threshold is 0) |
//! | segments that meet at pages | list | list, if they are large on average |
//! | segments with gaps | impossible | list |
//!
//! A list of up to [`SMALL`] words is the small list of the tag. A longer one, and all ranges, are in
//! pages that the request leases.

// The private data of a request.
mod request_data;
// The list of one request.
mod list;
// SGL descriptors.
mod sgl;
// The ranges of a discard.
mod discard;

pub(crate) use self::request_data::{
    HasQueueData,
    Queued,
    RequestData, //
};

use self::list::RequestList;
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
            Borrowed,
            Dispatch,
            Request,
            Types, //
        },
        dma::{
            FixedList,
            Lease,
            ListedData, //
            MapError,
            Mapper,
            PagePool,
            Pointers,
            QueueLists,
            SMALL,
        },
    },
};

use core::mem::offset_of;
use kernel::{
    device::{
        Bound,
        Device, //
    },
    prelude::*,
    sync::Arc, //
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
    lists: QueueLists,
}

impl Transfers {
    /// Bytes of the structure, from its beginning, that a request of one segment on two pages
    /// reads.
    pub(crate) const HOT: usize = offset_of!(Self, mapper) + Mapper::HOT;

    /// For `tags` requests of up to `max_transfer` bytes, whose lists come from `pool`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(
        dev: &Device<Bound>,
        pool: &Arc<PagePool>,
        tags: u16,
        max_transfer: u32,
        sgl: Option<SglThreshold>,
    ) -> Result<Self> {
        let most = prp::list_pages(prp::list_entries(prp::PAGE_MASK, max_transfer)).max(1);
        Ok(Self {
            mapper: Mapper::new(dev, direct(sgl), pool)?,
            lists: QueueLists::new(dev, pool, tags, most)?,
            sgl,
        })
    }

    /// The device.
    pub(crate) fn device(&self) -> &Device {
        self.mapper.device()
    }

    /// The lists of the queue.
    pub(crate) fn lists(&self) -> &QueueLists {
        &self.lists
    }

    /// Maps the data of `rq` and returns the data pointer of its command.
    ///
    /// # Errors
    ///
    /// [`BlkStatus::RESOURCE`] if there is no mapping or no memory for now, [`BlkStatus::IOERR`] if
    /// neither PRPs nor an SGL can describe the segments. Nothing stays mapped then.
    #[inline(always)]
    pub(crate) fn map<T: Queued>(
        &self,
        rq: &mut Request<T>,
        dispatch: Dispatch<'_>,
    ) -> Result<Data, BlkStatus> {
        if rq.segments() == 1 {
            let (addr, len) = self.map_one(rq).map_err(refusal)?;
            if prp::pages(addr, len) <= 2 {
                return Ok(Data::prp(prp::simple(addr, len)));
            }
            if self.sgl.is_some_and(SglThreshold::allows_choice) {
                return Ok(Data::sgl(sgl::single(addr, len)));
            }
            return self.prp_list_of_one(rq, dispatch, addr, len);
        }
        if rq.segments() == 0 {
            return Ok(Data::default());
        }
        if self.is_for_sgl(rq) {
            self.sgl_list(rq, dispatch)
        } else {
            self.prp_list(rq, dispatch)
        }
    }

    /// Maps the data of a read or write, if it is one segment on one or two pages, or whole pages
    /// that fit a small list. `None` if the data is other or cannot be mapped; nothing is mapped
    /// then.
    #[inline(always)]
    pub(crate) fn map_plain<T: Queued>(
        &self,
        rq: &mut Request<T>,
        dispatch: Dispatch<'_>,
    ) -> Option<DataPtr> {
        let bytes = rq.bytes();
        if bytes > 2 * PAGE || rq.segments() != 1 {
            return self.map_pages(rq.borrow(), dispatch).map(Pointers::get);
        }
        let (addr, len) = self.map_one(rq).ok()?;
        if prp::pages(addr, len) > 2 {
            self.unmap(rq);
            return None;
        }
        Some(prp::simple(addr, len))
    }

    /// Maps the data of a read or write of several segments, if they are whole pages that fit a
    /// small list and that need not be unmapped, and if the tag has its list already.
    ///
    /// A function of its own: in line it would have to share registers with the caller's values.
    #[inline(never)]
    fn map_pages<T: Queued>(
        &self,
        rq: Borrowed<'_, T>,
        dispatch: Dispatch<'_>,
    ) -> Option<Pointers> {
        if !self.mapper.takes_direct(rq.bytes()) {
            return None;
        }
        let list = self.lists.get(rq.tag(), dispatch)?;
        self.mapper.map_pages(rq, list)
    }

    /// Maps the data of a read or write of several segments, if PRPs in a small list can describe
    /// them and they need not be unmapped.
    #[inline(always)]
    pub(crate) fn map_pieces<T: Queued>(
        &self,
        rq: &Request<T>,
        dispatch: Dispatch<'_>,
    ) -> Option<DataPtr> {
        let bytes = rq.bytes();
        if !self.mapper.takes_direct(bytes) || rq.has_gaps(regs::PAGE_SHIFT) || self.prefers_sgl(rq)
        {
            return None;
        }
        let list = self.lists.supply(rq.tag(), dispatch)?;
        let listed = self.mapper.map_pieces(rq, list)?;
        if u32_as_usize(prp::pages(listed.start, bytes)) != listed.entries.wrapping_add(1) {
            return None;
        }
        Some(pointers(&listed, list))
    }

    /// Maps the data of a request of one segment: bus address and length.
    #[inline(always)]
    fn map_one<T: Queued>(&self, rq: &mut Request<T>) -> Result<(u64, u32), MapError> {
        self.mapper.map_one(rq, |rq| &mut rq.queue_part().mapping)
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

    /// A list of up to `words` words, for a request of `tag`: the small list of the tag, or else
    /// `pages` pages.
    fn request_list<'a>(
        &'a self,
        tag: u16,
        dispatch: Dispatch<'a>,
        words: usize,
        pages: usize,
    ) -> Result<RequestList<'a>, BlkStatus> {
        if words <= SMALL {
            if let Some(list) = self.lists.supply(tag, dispatch) {
                return Ok(RequestList::Small(list.span()));
            }
        }
        let lease = self.lists.lease(pages).ok_or(BlkStatus::RESOURCE)?;
        Ok(RequestList::Leased(lease))
    }

    /// A list for `entries` PRP entries.
    fn list_of_prps<'a>(
        &'a self,
        tag: u16,
        dispatch: Dispatch<'a>,
        entries: usize,
    ) -> Result<RequestList<'a>, BlkStatus> {
        self.request_list(tag, dispatch, entries, prp::list_pages(entries).max(1))
    }

    /// Keeps `list` with `rq`, whose command has `data`. Without data, undoes all and fails.
    fn settle<T: Queued>(
        &self,
        rq: &mut Request<T>,
        list: RequestList<'_>,
        data: Option<Data>,
    ) -> Result<Data, BlkStatus> {
        if let RequestList::Leased(lease) = list {
            rq.queue_part().mapping.hold(lease);
        }
        data.ok_or_else(|| {
            self.unmap(rq);
            BlkStatus::IOERR
        })
    }

    /// Writes the PRP list of a request of one mapped segment. Unmaps the segment on an error.
    fn prp_list_of_one<T: Queued>(
        &self,
        rq: &mut Request<T>,
        dispatch: Dispatch<'_>,
        addr: u64,
        len: u32,
    ) -> Result<Data, BlkStatus> {
        match self.list_of_prps(rq.tag(), dispatch, prp::list_entries(addr, len)) {
            Ok(mut list) => {
                let mut builder = prp::PrpBuilder::new(len);
                let data = builder
                    .push(addr, len, &mut list)
                    .and_then(|()| builder.finish());
                self.settle(rq, list, data.map(Data::prp).ok())
            }
            Err(e) => {
                self.unmap(rq);
                Err(e)
            }
        }
    }

    fn prp_list<T: Queued>(
        &self,
        rq: &mut Request<T>,
        dispatch: Dispatch<'_>,
    ) -> Result<Data, BlkStatus> {
        let bytes = rq.bytes();
        // The worst case: data from the last dword of a page on touches one page more.
        let entries = prp::list_entries(prp::PAGE_MASK, bytes);
        let mut list = self.list_of_prps(rq.tag(), dispatch, entries)?;
        if let RequestList::Leased(lease) = &list {
            if let Some(data) = self.map_leased(rq, lease) {
                return self.settle(rq, list, Some(Data::prp(data)));
            }
        }
        let mut builder = prp::PrpBuilder::new(bytes);
        let mapped = self.map_many(rq, |addr, len| builder.push(addr, len, &mut list).is_ok());
        if let Err(e) = mapped {
            return Err(self.give_up(list, e));
        }
        self.settle(rq, list, builder.finish().map(Data::prp).ok())
    }

    fn sgl_list<T: Queued>(
        &self,
        rq: &mut Request<T>,
        dispatch: Dispatch<'_>,
    ) -> Result<Data, BlkStatus> {
        let words = usize::from(rq.segments()) * sgl::WORDS;
        let mut list = self.request_list(rq.tag(), dispatch, words, 1)?;
        let mut builder = sgl::SglBuilder::new(rq.bytes());
        let mapped = self.map_many(rq, |addr, len| builder.push(addr, len, &mut list).is_ok());
        if let Err(e) = mapped {
            return Err(self.give_up(list, e));
        }
        let data = builder.finish(&list).map(Data::sgl).ok();
        self.settle(rq, list, data)
    }

    /// Like [`Self::map_pages`], into the first page of `lease`.
    fn map_leased<T: Types>(&self, rq: &Request<T>, lease: &Lease) -> Option<DataPtr> {
        if !self.mapper.is_direct() {
            return None;
        }
        let list = lease.first();
        self.mapper.map_pages(rq.borrow(), list).map(Pointers::get)
    }

    /// Maps the segments of `rq`, which `push` adds to a list.
    #[inline(always)]
    fn map_many<T: Queued>(
        &self,
        rq: &mut Request<T>,
        push: impl FnMut(u64, u32) -> bool,
    ) -> Result<(), MapError> {
        rq.queue_part().mapping = self.mapper.map_many(rq, push)?;
        Ok(())
    }

    /// Gives back the list of a request that could not be mapped.
    #[cold]
    fn give_up(&self, list: RequestList<'_>, error: MapError) -> BlkStatus {
        if let RequestList::Leased(lease) = list {
            self.lists.release(lease);
        }
        refusal(error)
    }

    /// Undoes [`Self::map`], when the controller has completed the command or never got it.
    #[inline(always)]
    pub(crate) fn unmap<T: Queued>(&self, rq: &mut Request<T>) {
        let direction = rq.direction();
        let lease = self.mapper.unmap(direction, &mut rq.queue_part().mapping);
        if let Some(lease) = lease {
            self.lists.release(lease);
        }
    }
}

/// Maximum bytes of a request whose pages are always described by PRPs in a small list: 0 if the
/// threshold prefers an SGL for segments of one page.
const fn direct(sgl: Option<SglThreshold>) -> u32 {
    match sgl {
        Some(threshold) if threshold.prefers(PAGE, 1) => 0,
        // The worst case: data from the last dword of a page on touches one page more.
        _ => usize_into_u32::<{ SMALL * regs::PAGE_SIZE }>(),
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
    fn what_cannot_be_described_is_not_tried_again() {
        assert!(refusal(MapError::Resource) == BlkStatus::RESOURCE);
        assert!(refusal(MapError::Invalid) == BlkStatus::IOERR);
    }

    #[test]
    fn pages_are_listed_unless_an_sgl_is_better() {
        for (threshold, expected) in [
            (None, 262144),
            (Some(0), 262144),
            (Some(1), 0),
            (Some(4096), 0),
            (Some(4097), 262144),
            (Some(32768), 262144),
        ] {
            assert_eq!(direct(threshold.map(SglThreshold)), expected);
        }
    }
}
