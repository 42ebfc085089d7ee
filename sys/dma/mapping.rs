// SPDX-License-Identifier: GPL-2.0

//! The data of requests: mapped for DMA while the device works on it, and unmapped again.
//!
//! A [`Mapping`] is an owned value, made for one request by one [`Mapper`] and given back to it.
//! The values that unmapping needs are in memory that the device cannot write.

use super::{
    lease::Lease,
    page_pool::{
        Note,
        PagePool,
        NOTED, //
    },
    segments::{
        map_phys,
        note_checked,
        single,
        Segment, //
    },
};
use crate::{
    num::{
        u32_as_usize,
        u64_as_usize, //
    },
    nvme::Direction,
    sys::{
        block::{
            dma_direction,
            Request,
            Types, //
        },
        ffi as bindings,
        pci::numa, //
    },
};
use core::{
    mem::{
        offset_of,
        MaybeUninit, //
    },
    ptr::NonNull,
    sync::atomic::{
        AtomicU32,
        AtomicUsize,
        Ordering, //
    }, //
};
use kernel::{
    device::{
        Bound,
        Device, //
    },
    dma::DmaAddress,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    }, //
};

/// The most segments that a request may have.
pub(crate) const MAX_SEGMENTS: u16 = 256;

// A mapping has room for one more.
const _: () = assert!(MAX_SEGMENTS == 256 && NOTED == 255);

/// How the data of a request is mapped, and so how it is unmapped.
#[derive(Clone, Copy, PartialEq, Eq, Zeroable)]
#[repr(transparent)]
struct Kind(u8);

impl Kind {
    /// Nothing is mapped: the value in a new request, which is zeroed.
    const NONE: Self = Self(0);
    /// One segment, mapped alone: `addr`, `len`.
    const PAGE: Self = Self(1);
    /// One IOVA range for all segments: `addr`, `len` are the `dma_iova_state`.
    const IOVA: Self = Self(2);
    /// Mapped one by one, and the DMA layer needs no unmapping.
    const DIRECT: Self = Self(3);
    /// Mapped one by one, to be unmapped one by one: `addr`, `len` are the first segment, the note
    /// has the others.
    const SEGMENTS: Self = Self(4);
}

/// The DMA mapping of one request's data, and its list if that is a [`Lease`]. 40 bytes, part of
/// the request's private data.
#[derive(Zeroable)]
pub(crate) struct Mapping {
    addr: DmaAddress,
    len: u64,
    note: Option<KBox<Note>>,
    lease: Option<Lease>,
    nr_segments: u16,
    kind: Kind,
    /// Whether there is a lease: 1 or 0.
    leased: u8,
    /// The number of the pool of the mapper, and so of the device.
    pool: u32,
}

impl Mapping {
    /// Whether there is nothing to undo, and no lease to give back.
    #[inline(always)]
    pub(crate) fn is_none(&self) -> bool {
        // One comparison.
        u16::from_ne_bytes([self.kind.0, self.leased]) == u16::from_ne_bytes([Kind::NONE.0, 0])
    }

    /// Nothing mapped.
    pub(crate) const NONE: Self = Self {
        addr: 0,
        len: 0,
        note: None,
        lease: None,
        nr_segments: 0,
        kind: Kind::NONE,
        leased: 0,
        pool: 0,
    };

    /// Keeps `lease` as long as the mapping lives. The mapping must have no lease yet.
    pub(crate) fn hold(&mut self, lease: Lease) {
        self.lease = Some(lease);
        self.leased = 1;
    }

    /// The address and the length of segment `index`.
    fn segment(&self, index: u16) -> Option<(DmaAddress, u64)> {
        match usize::from(index).checked_sub(1) {
            None => Some((self.addr, self.len)),
            Some(at) => {
                let [addr, len] = *self.note.as_ref()?.segments.get(at)?;
                Some((addr, len))
            }
        }
    }

    /// Notes one more segment. `false` if there is no room.
    fn note(&mut self, addr: DmaAddress, len: u32) -> bool {
        match usize::from(self.nr_segments).checked_sub(1) {
            None => (self.addr, self.len) = (addr, len.into()),
            Some(at) => {
                let note = self
                    .note
                    .as_mut()
                    .and_then(|note| note.segments.get_mut(at));
                let Some(place) = note else {
                    return false;
                };
                *place = [addr, len.into()];
            }
        }
        self.nr_segments = self.nr_segments.wrapping_add(1);
        true
    }
}

/// Why a request could not be mapped.
pub(crate) enum MapError {
    /// Out of mapping resources for now.
    Resource,
    /// The driver cannot describe the segments to the device, or the block layer refused the
    /// mapping.
    Invalid,
}

/// Maps requests of one queue for one device.
#[repr(C)]
pub(crate) struct Mapper {
    dev: ARef<Device>,
    /// The flags of the device, or zeroes. The bit [`Self::SKIPS`] says that mappings need not be
    /// undone. The flags may change at each mapping.
    flags: NonNull<AtomicUsize>,
    /// The most bytes of a request of several segments that is mapped straight into the list of its
    /// tag; 0: none is.
    pub(super) direct: AtomicU32,
    /// Zeroes, for [`Self::flags`].
    never: KBox<AtomicUsize>,
    /// Has room to note what must be unmapped.
    pool: Arc<PagePool>,
}

// SAFETY: `flags` is only read, atomically, and `dev` or `never` keeps its target.
unsafe impl Send for Mapper {}
// SAFETY: as above; the other fields synchronise access themselves.
unsafe impl Sync for Mapper {}

impl Mapper {
    /// The number of bytes from the beginning of a `Mapper` that a request of one segment needs.
    pub(crate) const HOT: usize = offset_of!(Self, never);

    /// `DEV_FLAG_DMA_SKIP_SYNC`: no mapping has been through a bounce buffer so far.
    const SKIPS: usize = 1 << bindings::struct_device_flags_DEV_FLAG_DMA_SKIP_SYNC;

    /// A mapper for `dev`, the device of `pool`. Where mappings need not be undone, it maps requests of
    /// several segments and up to `direct` bytes straight into a list.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(dev: &Device<Bound>, direct: u32, pool: &Arc<PagePool>) -> Result<Self> {
        let normal: &Device = dev;
        let never = numa::box_on(numa::of(normal), AtomicUsize::new(0))?;
        let raw = crate::sys::pci::raw_device(normal);
        // If mappings must be undone now, that does not change: the device keeps its kind of
        // mapping while it is bound. If not, the flag alone tells from now on.
        // SAFETY: the device is valid.
        let (flags, direct) = if unsafe { bindings::dma_need_unmap(raw) } {
            (NonNull::from(&*never), 0)
        } else {
            // SAFETY: as above; the flags are accessed by atomic operations only.
            let flags = unsafe { (&raw mut (*raw).flags).cast::<AtomicUsize>() };
            (NonNull::new(flags).ok_or(ENODEV)?, direct)
        };
        Ok(Self {
            dev: normal.into(),
            flags,
            direct: AtomicU32::new(direct),
            never,
            pool: pool.clone(),
        })
    }

    /// Whether mappings of this device must be undone. Only meaningful right after mapping
    /// (`dma_need_unmap`, `kernel/dma/mapping.c`).
    #[inline(always)]
    pub(super) fn need_unmap(&self) -> bool {
        // SAFETY: `new` made `flags` point to the flags of the device or to `never`, and `self` keeps
        // both.
        unsafe { self.flags.as_ref() }.load(Ordering::Relaxed) & Self::SKIPS == 0
    }

    /// The device.
    pub(crate) fn device(&self) -> &Device {
        &self.dev
    }

    #[inline(always)]
    pub(super) fn raw(&self) -> *mut bindings::device {
        crate::sys::pci::raw_device(&self.dev)
    }

    /// Maps a piece of memory that a request keeps alive until its mapping is undone.
    #[inline(always)]
    pub(super) fn map_phys(
        &self,
        phys: bindings::phys_addr_t,
        len: u32,
        direction: bindings::dma_data_direction,
    ) -> Option<DmaAddress> {
        // SAFETY: the device is valid, and the memory belongs to a request, which keeps it until it
        // is unmapped.
        unsafe { map_phys(self.raw(), phys, u32_as_usize(len), direction) }
    }

    /// Maps a request of one segment. Returns the device's address and the length in bytes. If the
    /// mapping has to be undone, it is put into the `place` for it, which has none.
    ///
    /// # Errors
    ///
    /// [`MapError::Invalid`] if the request has not one segment with all its bytes,
    /// [`MapError::Resource`] if it cannot be mapped now.
    #[inline(always)]
    pub(crate) fn map_one<T: Types>(
        &self,
        rq: &mut Request<T>,
        place: impl FnOnce(&mut Request<T>) -> &mut Mapping,
    ) -> Result<(DmaAddress, u32), MapError> {
        let Segment { phys, len } = single(rq).ok_or(MapError::Invalid)?;
        let addr = self
            .map_phys(phys, len, rq.dma_direction())
            .ok_or(MapError::Resource)?;
        if self.need_unmap() {
            // Field by field: the drop of what was there would cost registers.
            let mapping = place(rq);
            (mapping.addr, mapping.len) = (addr, len.into());
            mapping.kind = Kind::PAGE;
            mapping.pool = self.pool.number();
        }
        Ok((addr, len))
    }

    /// Maps a request of any number of segments, and calls `each` with the device's address and
    /// the length of every range, in order.
    ///
    /// Behind an IOMMU the whole request becomes one range where the DMA layer can do that.
    /// Segments that have to be unmapped one by one are noted in room from the pool.
    ///
    /// # Errors
    ///
    /// On an error nothing is mapped.
    pub(crate) fn map_many<T: Types>(
        &self,
        rq: &Request<T>,
        mut each: impl FnMut(DmaAddress, u32) -> bool,
    ) -> Result<Mapping, MapError> {
        let mut mapping = Mapping {
            pool: self.pool.number(),
            ..Mapping::NONE
        };
        let mut state = bindings::dma_iova_state::default();
        let mut iter = MaybeUninit::<bindings::blk_dma_iter>::zeroed();
        // SAFETY: all zeroes is a value of this C struct.
        let it = unsafe { iter.assume_init_mut() };
        // SAFETY: request and device are valid; `state` and `it` are for the call to fill in.
        let first =
            unsafe { bindings::blk_rq_dma_map_iter_start(rq.as_ptr(), self.raw(), &mut state, it) };
        let result = if !first {
            Err(map_error(it.status))
        } else if state.__size != 0 {
            (mapping.addr, mapping.len) = (state.addr, state.__size);
            mapping.kind = Kind::IOVA;
            each(it.addr, it.len).then_some(()).ok_or(MapError::Invalid)
        } else {
            mapping.kind = Kind::DIRECT;
            self.map_each(rq, it, &mut mapping, each)
        };
        match result {
            Ok(()) => Ok(mapping),
            Err(e) => {
                let _ = self.unmap(rq.direction(), &mut mapping);
                Err(e)
            }
        }
    }

    /// Maps the segments of `it` one by one. The first is mapped already.
    #[inline(always)]
    fn map_each<T: Types>(
        &self,
        rq: &Request<T>,
        it: &mut bindings::blk_dma_iter,
        mapping: &mut Mapping,
        mut each: impl FnMut(DmaAddress, u32) -> bool,
    ) -> Result<(), MapError> {
        loop {
            let (addr, len) = (it.addr, it.len);
            // SAFETY: the device is valid.
            unsafe { note_checked(self.raw(), addr) };
            // Segments must be unmapped from the first one on, or from the first one with a bounce
            // buffer. The segments before that are mapped directly, and unmapping them does
            // nothing.
            if mapping.kind == Kind::DIRECT && self.need_unmap() {
                mapping.kind = Kind::SEGMENTS;
                mapping.note = self.pool.take_note();
            }
            if mapping.kind == Kind::SEGMENTS && !mapping.note(addr, len) {
                self.unmap_page(rq.dma_direction(), addr, len.into());
                return Err(MapError::Resource);
            }
            if !each(addr, len) {
                return Err(MapError::Invalid);
            }
            // SAFETY: request and device are valid, and `iter_start` initialised `it` for them.
            if !unsafe { bindings::blk_rq_dma_map_iter_next(rq.as_ptr(), self.raw(), it) } {
                break;
            }
        }
        if it.status != bindings::BLK_STS_OK {
            return Err(map_error(it.status));
        }
        Ok(())
    }

    /// Undoes `mapping`, which was made for a request of this `direction`; the device must be done
    /// with the data. Returns the lease of the mapping. A mapping for another device stays.
    #[inline(never)]
    pub(crate) fn unmap(&self, direction: Direction, mapping: &mut Mapping) -> Option<Lease> {
        let mut mapping = core::mem::replace(mapping, Mapping::NONE);
        if mapping.kind != Kind::NONE && mapping.kind != Kind::DIRECT {
            self.unmap_some(dma_direction(direction), &mut mapping);
        }
        mapping.lease.take()
    }

    fn unmap_some(&self, direction: bindings::dma_data_direction, mapping: &mut Mapping) {
        if mapping.pool != self.pool.number() {
            kernel::pr_warn_once!(
                "a request was to be unmapped for another device: it stays mapped\n"
            );
            return;
        }
        match mapping.kind {
            Kind::PAGE => self.unmap_page(direction, mapping.addr, mapping.len),
            Kind::IOVA => self.unmap_range(direction, mapping),
            _ => {
                for index in 0..mapping.nr_segments {
                    if let Some((addr, len)) = mapping.segment(index) {
                        self.unmap_page(direction, addr, len);
                    }
                }
            }
        }
        if let Some(note) = mapping.note.take() {
            self.pool.put_note(note);
        }
    }

    fn unmap_range(&self, direction: bindings::dma_data_direction, mapping: &Mapping) {
        let mut state = bindings::dma_iova_state {
            addr: mapping.addr,
            __size: mapping.len,
        };
        let len = u64_as_usize(mapping.len & !bindings::DMA_IOVA_USE_SWIOTLB);
        // SAFETY: `state` is what `blk_rq_dma_map_iter_start` made for this device and request, and
        // all of it is linked. The mapping is consumed, so this happens once.
        unsafe { bindings::dma_iova_destroy(self.raw(), &mut state, len, direction, 0) };
    }

    pub(super) fn unmap_page(
        &self,
        direction: bindings::dma_data_direction,
        addr: DmaAddress,
        len: u64,
    ) {
        // SAFETY: exactly this range was mapped for this device and direction, as the mapping says.
        // The mapping is consumed, so this happens once.
        unsafe { bindings::dma_unmap_phys(self.raw(), addr, u64_as_usize(len), direction, 0) };
    }
}

fn map_error(status: bindings::blk_status_t) -> MapError {
    if status == bindings::BLK_STS_RESOURCE {
        MapError::Resource
    } else {
        MapError::Invalid
    }
}

#[kunit_tests(rnvme_mapping)]
mod tests {
    use super::*;
    use crate::sys::base::{
        Urgency,
        Work, //
    };
    use kernel::{
        faux,
        static_lock_class, //
    };

    struct Test;

    impl Types for Test {
        type RequestData = Mapping;
        type Queue = ();
        type QueueData = ();
    }

    #[test]
    fn a_request_that_is_not_one_segment_is_invalid() -> Result {
        let device = faux::Registration::new(c"rnvme-mapping", None)?;
        let retry = Work::new(c"rnvme test", static_lock_class!(), Urgency::Reset)?;
        let pool = PagePool::new(device.as_ref().as_ref(), retry)?;
        let mapper = Mapper::new(device.as_ref().as_ref(), 0, &pool)?;
        let mut piece = bindings::bio_vec {
            bv_len: 4096,
            ..pin_init::zeroed()
        };
        let mut bio = KBox::new(pin_init::zeroed::<bindings::bio>(), GFP_KERNEL)?;
        bio.bi_io_vec = &raw mut piece;
        let mut raw = KBox::new(pin_init::zeroed::<bindings::request>(), GFP_KERNEL)?;
        raw.bio = &raw mut *bio;
        // Segments, bytes, bytes of the piece that are done.
        for (segments, bytes, done) in [(0, 4096, 0), (2, 4096, 0), (1, 4608, 0), (1, 4096, 512)] {
            raw.nr_phys_segments = segments;
            raw.__data_len = bytes;
            bio.bi_iter.bi_offset = done;
            // SAFETY: the mapper reads only the fields about memory, which are set, and does not come
            // to the private data. The test alone has `raw`.
            let mut rq = unsafe { Request::<Test>::from_raw(&raw mut *raw) };
            // Not `MapError::Resource`: the block layer would try again for ever.
            let result = mapper.map_one(&mut rq, Request::private_mut);
            assert!(matches!(result, Err(MapError::Invalid)));
        }
        Ok(())
    }
}
