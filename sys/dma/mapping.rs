// SPDX-License-Identifier: GPL-2.0

//! The data of requests: mapped for DMA while the device works on it, and unmapped again.
//!
//! A [`Mapping`] is an owned value, made for one request by one [`Mapper`] and given back to it.
//! The values that unmapping needs are in memory that the device cannot write.

use super::segments::{
    self,
    Segment, //
};
use crate::{
    num::{
        u32_as_usize,
        u64_as_usize, //
    },
    sys::{
        block::{
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
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        }, //
    }, //
};

/// The most segments that a request may have.
pub(crate) const MAX_SEGMENTS: u16 = 256;

/// How many [`Lease`]s a [`Mapper`] has.
pub(crate) const LEASES: usize = 32;

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
    /// Mapped one by one, to be unmapped one by one: the lease keeps the pairs of address and
    /// length.
    const SEGMENTS: Self = Self(4);
}

/// The DMA mapping of one request's data. 24 bytes, part of the request's private data.
#[derive(Zeroable)]
pub(crate) struct Mapping {
    addr: DmaAddress,
    len: u64,
    nr_segments: u16,
    kind: Kind,
    /// The index of a lease plus one; 0: none.
    lease: u8,
}

impl Mapping {
    /// Whether there is nothing to undo, and no lease to give back.
    #[inline(always)]
    pub(crate) fn is_none(&self) -> bool {
        // One comparison.
        u16::from_ne_bytes([self.kind.0, self.lease]) == u16::from_ne_bytes([Kind::NONE.0, 0])
    }

    /// Nothing mapped.
    pub(crate) const NONE: Self = Self {
        addr: 0,
        len: 0,
        nr_segments: 0,
        kind: Kind::NONE,
        lease: 0,
    };

    /// Keeps `lease` as long as the mapping lives. The mapping must have no lease yet.
    pub(crate) fn hold(&mut self, lease: Lease) {
        self.lease = lease.0;
    }
}

/// The right to one of a few large pieces of memory: a large PRP list, and room to keep the
/// segments of a request that must be unmapped one by one.
pub(crate) struct Lease(u8);

impl Lease {
    /// The index of the lease, less than [`LEASES`].
    pub(crate) fn index(&self) -> usize {
        usize::from(self.0).wrapping_sub(1)
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
    /// Boxed, because requests write to it.
    kept: KBox<Kept>,
}

// SAFETY: `flags` is only read, atomically, and `dev` or `kept` keeps its target.
unsafe impl Send for Mapper {}
// SAFETY: as above; the other fields synchronise access themselves.
unsafe impl Sync for Mapper {}

/// The values that large requests need while they are mapped.
struct Kept {
    /// One bit for each lease, set while it is taken.
    leased: Atomic<u32>,
    /// Zeroes, for [`Mapper::flags`].
    never: AtomicUsize,
    /// [`MAX_SEGMENTS`] pairs of address and length for each lease.
    segments: KVVec<Atomic<u64>>,
}

impl Mapper {
    /// The number of bytes from the beginning of a `Mapper` that a request of one segment needs.
    pub(crate) const HOT: usize = offset_of!(Self, kept);

    /// `DEV_FLAG_DMA_SKIP_SYNC`: no mapping has been through a bounce buffer so far.
    const SKIPS: usize = 1 << bindings::struct_device_flags_DEV_FLAG_DMA_SKIP_SYNC;

    /// A mapper for `dev`. Where mappings need not be undone, it maps requests of several segments
    /// and up to `direct` bytes straight into a list.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(dev: &Device<Bound>, direct: u32) -> Result<Self> {
        let count = LEASES * usize::from(MAX_SEGMENTS) * 2;
        let normal: &Device = dev;
        let node = numa::of(normal);
        let mut segments = numa::vec_on(node, count)?;
        for _ in 0..count {
            segments.push(Atomic::new(0), GFP_KERNEL)?;
        }
        let kept = Kept {
            leased: Atomic::new(0),
            never: AtomicUsize::new(0),
            segments,
        };
        let kept = numa::box_on(node, kept)?;
        let raw = crate::sys::pci::raw_device(normal);
        // If mappings must be undone now, that does not change: the device keeps its kind of
        // mapping while it is bound. If not, the flag alone tells from now on.
        // SAFETY: the device is valid.
        let (flags, direct) = if unsafe { bindings::dma_need_unmap(raw) } {
            (NonNull::from(&kept.never), 0)
        } else {
            // SAFETY: as above; the flags are accessed by atomic operations only.
            let flags = unsafe { (&raw mut (*raw).flags).cast::<AtomicUsize>() };
            (NonNull::new(flags).ok_or(ENODEV)?, direct)
        };
        Ok(Self {
            dev: normal.into(),
            flags,
            direct: AtomicU32::new(direct),
            kept,
        })
    }

    /// Whether mappings of this device must be undone. Only meaningful right after mapping
    /// (`dma_need_unmap`, `kernel/dma/mapping.c`).
    #[inline(always)]
    pub(super) fn need_unmap(&self) -> bool {
        // SAFETY: `new` made `flags` point to the flags of the device or to a part of `kept`, and
        // `self` keeps both.
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

    /// Takes a lease, if one is left.
    pub(crate) fn lease(&self) -> Option<Lease> {
        let mut leased = self.kept.leased.load(Relaxed);
        while let Some(bit) = 1u32.checked_shl(leased.trailing_ones()) {
            match self.kept.leased.cmpxchg(leased, leased | bit, Full) {
                // CAST: 1 to 32.
                Ok(_) => return Some(Lease(bit.trailing_zeros() as u8 + 1)),
                Err(now) => leased = now,
            }
        }
        None
    }

    /// Takes `lease` back. The device must be done with the memory of the lease.
    pub(crate) fn release(&self, lease: Lease) {
        let bit = 1u32.wrapping_shl(u32::from(lease.0).wrapping_sub(1));
        let mut leased = self.kept.leased.load(Relaxed);
        while let Err(now) = self.kept.leased.cmpxchg(leased, leased & !bit, Full) {
            leased = now;
        }
    }

    /// The address and the length of segment `index`, as kept under `lease`.
    fn segment(&self, lease: u8, index: u16) -> Option<(&Atomic<u64>, &Atomic<u64>)> {
        if index >= MAX_SEGMENTS {
            return None;
        }
        let first = usize::from(lease).checked_sub(1)? * usize::from(MAX_SEGMENTS);
        let at = (first + usize::from(index)) * 2;
        let segments = &self.kept.segments;
        Some((segments.get(at)?, segments.get(at + 1)?))
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

    /// Maps a request of one segment. If the mapping has to be undone, calls `mapping` with it.
    ///
    /// Returns the device's address and the length in bytes, or `None` if the request has not one
    /// segment or cannot be mapped.
    #[inline(always)]
    pub(crate) fn map_one<T: Types>(
        &self,
        rq: &Request<T>,
        mapping: impl FnOnce(Mapping),
    ) -> Option<(DmaAddress, u32)> {
        let Segment { phys, len } = segments::single(rq)?;
        let addr = self.map_phys(phys, len, rq.dma_direction())?;
        if self.need_unmap() {
            mapping(Mapping {
                addr,
                len: len.into(),
                nr_segments: 1,
                kind: Kind::PAGE,
                lease: 0,
            });
        }
        Some((addr, len))
    }

    /// Maps a request of any number of segments, and calls `each` with the device's address and
    /// the length of every range, in order.
    ///
    /// Behind an IOMMU the whole request becomes one range where the DMA layer can do that. If
    /// segments have to be unmapped one by one, they are kept under `lease`, or under a lease that
    /// is taken for them.
    ///
    /// # Errors
    ///
    /// On an error nothing is mapped, and `lease` has been given back.
    pub(crate) fn map_many<T: Types>(
        &self,
        rq: &Request<T>,
        lease: Option<Lease>,
        mut each: impl FnMut(DmaAddress, u32) -> bool,
    ) -> Result<Mapping, MapError> {
        let mut mapping = Mapping {
            lease: lease.map_or(0, |lease| lease.0),
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
                self.unmap(rq, mapping);
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
                if mapping.lease == 0 {
                    mapping.lease = self.lease().map_or(0, |lease| lease.0);
                }
            }
            if mapping.kind == Kind::SEGMENTS {
                let Some(kept) = self.segment(mapping.lease, mapping.nr_segments) else {
                    self.unmap_page(rq, addr, len.into());
                    return Err(MapError::Resource);
                };
                kept.0.store(addr, Relaxed);
                kept.1.store(len.into(), Relaxed);
                mapping.nr_segments = mapping.nr_segments.wrapping_add(1);
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

    /// Undoes `mapping`, which was made for `rq`; the device must be done with the data.
    #[inline(always)]
    pub(crate) fn unmap<T: Types>(&self, rq: &Request<T>, mapping: Mapping) {
        match mapping.kind {
            Kind::NONE | Kind::DIRECT => {}
            Kind::PAGE => self.unmap_page(rq, mapping.addr, mapping.len),
            _ => self.unmap_many(rq, &mapping),
        }
        if mapping.lease != 0 {
            self.release(Lease(mapping.lease));
        }
    }

    fn unmap_many<T: Types>(&self, rq: &Request<T>, mapping: &Mapping) {
        if mapping.kind == Kind::IOVA {
            let mut state = bindings::dma_iova_state {
                addr: mapping.addr,
                __size: mapping.len,
            };
            let len = u64_as_usize(mapping.len & !bindings::DMA_IOVA_USE_SWIOTLB);
            // SAFETY: `state` is what `blk_rq_dma_map_iter_start` made for this device and request,
            // and all of it is linked. The mapping is consumed, so this happens once.
            unsafe {
                bindings::dma_iova_destroy(self.raw(), &mut state, len, rq.dma_direction(), 0)
            };
            return;
        }
        for index in 0..mapping.nr_segments {
            if let Some((addr, len)) = self.segment(mapping.lease, index) {
                self.unmap_page(rq, addr.load(Relaxed), len.load(Relaxed));
            }
        }
    }

    pub(super) fn unmap_page<T: Types>(&self, rq: &Request<T>, addr: DmaAddress, len: u64) {
        // SAFETY: exactly this range was mapped for this device and direction, as the mapping says.
        // The mapping is consumed, so this happens once.
        unsafe {
            bindings::dma_unmap_phys(self.raw(), addr, u64_as_usize(len), rq.dma_direction(), 0)
        };
    }
}

/// Maps a piece of memory.
///
/// # Safety
///
/// `dev` is valid, and the memory stays until it is unmapped.
#[inline(always)]
pub(super) unsafe fn map_phys(
    dev: *mut bindings::device,
    phys: bindings::phys_addr_t,
    len: usize,
    direction: bindings::dma_data_direction,
) -> Option<DmaAddress> {
    // SAFETY: the caller promises that the device is valid and the memory stays.
    let addr = unsafe { bindings::dma_map_phys(dev, phys, len, direction, 0) };
    // SAFETY: as above.
    unsafe { note_checked(dev, addr) };
    (addr != bindings::DMA_MAPPING_ERROR).then_some(addr)
}

/// Tells DMA debugging that the address was checked for an error.
///
/// # Safety
///
/// `_dev` is valid.
#[inline(always)]
unsafe fn note_checked(_dev: *mut bindings::device, _addr: DmaAddress) {
    #[cfg(CONFIG_DMA_API_DEBUG)]
    // SAFETY: the caller promises that the device is valid; the function only looks the address up.
    unsafe {
        bindings::debug_dma_mapping_error(_dev, _addr)
    };
}

fn map_error(status: bindings::blk_status_t) -> MapError {
    if status == bindings::BLK_STS_RESOURCE {
        MapError::Resource
    } else {
        MapError::Invalid
    }
}
