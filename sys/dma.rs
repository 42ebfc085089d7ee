// SPDX-License-Identifier: GPL-2.0

//! Memory that the device reads and writes: what the driver owns ([`Words`]), and the data of
//! requests while the device works on it ([`Mapping`]).

use super::{
    blk::Operations,
    ffi as bindings,
    request::Request, //
};
use core::{
    mem::MaybeUninit,
    sync::atomic::{
        fence,
        Ordering, //
    }, //
};
use kernel::{
    device::{
        Bound,
        Device, //
    },
    dma::{
        Coherent,
        DmaAddress, //
    },
    prelude::*,
    sync::aref::ARef, //
};

/// Coherent memory as an array of little-endian 64-bit words, shared with the device.
///
/// No reference into it ever exists: each access is one volatile load or store of a checked
/// index, because the device may write at any moment.
///
/// # Invariants
///
/// `base` points to `len` words that `mem` owns.
pub(crate) struct Words {
    base: *mut u64,
    len: usize,
    mem: Coherent<[u64]>,
}

// SAFETY: the memory belongs to no thread and `Coherent` is `Send`.
unsafe impl Send for Words {}
// SAFETY: all access is by volatile loads and stores of aligned words, which do not tear; who may
// write which word is agreed on above this layer, and a mix-up yields a wrong word, no more.
unsafe impl Sync for Words {}

impl Words {
    /// Allocates `len` zeroed words for `dev`; page-aligned in the device's view.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EINVAL` for a length of 0.
    pub(crate) fn zeroed(dev: &Device<Bound>, len: usize) -> Result<Self> {
        if len == 0 {
            return Err(EINVAL);
        }
        let mem = Coherent::<u64>::zeroed_slice(dev, len, GFP_KERNEL)?;
        // INVARIANT: `zeroed_slice` allocated `len` words.
        Ok(Self {
            base: mem.as_mut_ptr().cast(),
            len,
            mem,
        })
    }

    /// The device's address of the first word.
    pub(crate) fn address(&self) -> DmaAddress {
        self.mem.dma_address()
    }

    /// Reads word `index`; 0 if there is no such word.
    #[inline(always)]
    pub(crate) fn read(&self, index: usize) -> u64 {
        if index >= self.len {
            return 0;
        }
        // SAFETY: `index < len` words at `base`, which are allocated and aligned.
        u64::from_le(unsafe { self.base.add(index).read_volatile() })
    }

    /// Writes word `index`; returns whether there is such a word.
    #[inline(always)]
    pub(crate) fn write(&self, index: usize, value: u64) -> bool {
        if index >= self.len {
            return false;
        }
        // SAFETY: `index < len` words at `base`, which are allocated and aligned.
        unsafe { self.base.add(index).write_volatile(value.to_le()) };
        true
    }

    /// Writes `N` words from word `index` on, one store each, in ascending order, if all of them
    /// exist.
    #[inline(always)]
    pub(crate) fn write_block<const N: usize>(&self, index: usize, values: [u64; N]) {
        // An index near `usize::MAX` wraps to a small end, below `index`.
        let end = index.wrapping_add(N);
        if end > self.len || end < index {
            return;
        }
        // SAFETY: `index + N <= len`, so the block lies in the allocation.
        let block = unsafe { self.base.add(index) };
        let mut i = 0;
        while i < N {
            // SAFETY: `i < N`, inside the block.
            unsafe { block.add(i).write_volatile(values[i].to_le()) };
            i = i.wrapping_add(1);
        }
    }
}

/// Orders the load of a word that the device wrote last before the loads that follow
/// (`dma_rmb`). On x86-64 loads are not reordered with loads; an acquire fence keeps the compiler
/// from it and costs no instruction.
#[inline(always)]
pub(crate) fn read_barrier() {
    #[cfg(target_arch = "x86_64")]
    fence(Ordering::Acquire);
    #[cfg(not(target_arch = "x86_64"))]
    kernel::sync::barrier::dma_mb(kernel::sync::barrier::Read);
}

/// How the data of a request is mapped, so that it can be unmapped.
#[derive(Clone, Copy, PartialEq, Eq, Zeroable)]
#[repr(transparent)]
struct Kind(u8);

impl Kind {
    /// Nothing is mapped: what a fresh request is filled with.
    const NONE: Self = Self(0);
    /// One segment, mapped by `dma_map_page_attrs`: `addr`, `len`.
    const PAGE: Self = Self(1);
    /// One IOVA range for all segments: `addr`, `len` are the `dma_iova_state`.
    const IOVA: Self = Self(2);
    /// Mapped one by one, and the DMA layer needs no unmapping.
    const DIRECT: Self = Self(3);
    /// Mapped one by one, to be unmapped one by one: the pairs are in the queue's [`Segments`].
    const SEGMENTS: Self = Self(4);
}

/// The DMA mapping of one request's data. 24 bytes, part of the request's private data.
#[derive(Clone, Copy, Zeroable)]
pub(crate) struct Mapping {
    addr: DmaAddress,
    len: u64,
    nr_segments: u16,
    kind: Kind,
}

impl Mapping {
    /// Nothing mapped.
    pub(crate) const NONE: Self = Self {
        addr: 0,
        len: 0,
        nr_segments: 0,
        kind: Kind::NONE,
    };
}

/// Where the address and length of each mapped segment is kept when unmapping needs them.
pub(crate) trait Segments {
    /// Keeps segment `index`; `false` if there is no room.
    fn put(&mut self, index: u16, addr: DmaAddress, len: u32) -> bool;
    /// Gives segment `index` back.
    fn get(&self, index: u16) -> Option<(DmaAddress, u32)>;
}

/// Why a request could not be mapped.
pub(crate) enum MapError {
    /// Out of mapping resources for now.
    Resource,
    /// The segments cannot be expressed to the device, or the block layer refused.
    Invalid,
}

/// The device that DMA is done by: a counted reference, and the direct pointer to it.
pub(crate) struct Mapper {
    dev: ARef<Device>,
}

impl Mapper {
    /// Maps for `dev`.
    pub(crate) fn new(dev: &Device<Bound>) -> Self {
        let normal: &Device = dev;
        Self { dev: normal.into() }
    }

    /// The device.
    pub(crate) fn device(&self) -> &Device {
        &self.dev
    }

    #[inline(always)]
    fn raw(&self) -> *mut bindings::device {
        super::pci::raw_device(&self.dev)
    }

    /// Maps a request of one segment.
    ///
    /// Returns the mapping, the device's address and the length in bytes.
    #[inline(always)]
    pub(crate) fn map_one<T: Operations>(
        &self,
        rq: &Request<T>,
    ) -> Result<(Mapping, DmaAddress, u32), MapError> {
        let bv = rq.first_bvec();
        // SAFETY: the device is valid, and `bv` describes memory that the request keeps alive
        // until it ends; the mapping is undone before that.
        let addr = unsafe {
            bindings::dma_map_page_attrs(
                self.raw(),
                bv.bv_page,
                // CAST: u32 to usize widens.
                bv.bv_offset as usize,
                bv.bv_len as usize,
                rq.dma_direction(),
                0,
            )
        };
        if self.failed(addr) {
            return Err(MapError::Resource);
        }
        let mapping = Mapping {
            addr,
            len: bv.bv_len.into(),
            nr_segments: 1,
            kind: Kind::PAGE,
        };
        Ok((mapping, addr, bv.bv_len))
    }

    /// Maps a request of any number of segments, and calls `each` with the device's address and
    /// the length of every range, in order.
    ///
    /// Behind an IOMMU the whole request becomes one range where the DMA layer can do that. If
    /// segments have to be unmapped one by one, they are kept in `keep`, which is asked for only
    /// then.
    ///
    /// # Errors
    ///
    /// On an error nothing is mapped, and `keep` has been asked for at most once.
    pub(crate) fn map_many<T: Operations, S: Segments>(
        &self,
        rq: &Request<T>,
        mut keep: impl FnMut() -> Option<S>,
        mut each: impl FnMut(DmaAddress, u32) -> bool,
    ) -> Result<Mapping, MapError> {
        let mut state = bindings::dma_iova_state::default();
        let mut iter = MaybeUninit::<bindings::blk_dma_iter>::uninit();
        // SAFETY: request and device are valid; `state` and `iter` need not be initialised.
        let first = unsafe {
            bindings::blk_rq_dma_map_iter_start(
                rq.as_ptr(),
                self.raw(),
                &mut state,
                iter.as_mut_ptr(),
            )
        };
        // SAFETY: plain data; `iter_start` has written every field that is read here: `status`
        // always, `addr` and `len` when it returned true.
        let it = unsafe { &mut *iter.as_mut_ptr() };
        if !first {
            return Err(map_error(it.status));
        }

        let iova = state.__size != 0;
        let mut mapping = Mapping {
            addr: state.addr,
            len: state.__size,
            nr_segments: 0,
            kind: if iova { Kind::IOVA } else { Kind::DIRECT },
        };
        if iova {
            if !each(it.addr, it.len) {
                self.unmap(rq, &mut mapping, None::<&S>);
                return Err(MapError::Invalid);
            }
            return Ok(mapping);
        }

        let mut kept: Option<S> = None;
        loop {
            let (addr, len) = (it.addr, it.len);
            self.note_checked(addr);
            if mapping.kind == Kind::DIRECT && self.need_unmap() {
                // From here on every segment is remembered. This is decided at the first one, or
                // when a bounce buffer came into play at a later one: those before it went
                // through the direct mapping, where unmapping is nothing.
                kept = keep();
                mapping.kind = Kind::SEGMENTS;
            }
            if mapping.kind == Kind::SEGMENTS {
                let stored = kept
                    .as_mut()
                    .is_some_and(|s| s.put(mapping.nr_segments, addr, len));
                if !stored {
                    self.unmap_page(rq, addr, len.into());
                    self.unmap(rq, &mut mapping, kept.as_ref());
                    return Err(MapError::Resource);
                }
                mapping.nr_segments = mapping.nr_segments.wrapping_add(1);
            }
            if !each(addr, len) {
                self.unmap(rq, &mut mapping, kept.as_ref());
                return Err(MapError::Invalid);
            }
            // SAFETY: as for `iter_start`, which initialised `it`.
            if !unsafe { bindings::blk_rq_dma_map_iter_next(rq.as_ptr(), self.raw(), it) } {
                break;
            }
        }
        if it.status != bindings::BLK_STS_OK {
            self.unmap(rq, &mut mapping, kept.as_ref());
            return Err(map_error(it.status));
        }
        Ok(mapping)
    }

    /// Undoes `mapping` of `rq`; the device must be done with the data.
    #[inline(always)]
    pub(crate) fn unmap<T: Operations, S: Segments>(
        &self,
        rq: &Request<T>,
        mapping: &mut Mapping,
        kept: Option<&S>,
    ) {
        match mapping.kind {
            Kind::NONE | Kind::DIRECT => {}
            Kind::PAGE => self.unmap_page(rq, mapping.addr, mapping.len),
            _ => self.unmap_many(rq, mapping, kept),
        }
        mapping.kind = Kind::NONE;
    }

    #[cold]
    fn unmap_many<T: Operations, S: Segments>(
        &self,
        rq: &Request<T>,
        mapping: &Mapping,
        kept: Option<&S>,
    ) {
        if mapping.kind == Kind::IOVA {
            let mut state = bindings::dma_iova_state {
                addr: mapping.addr,
                __size: mapping.len,
            };
            // CAST: the length of a request, at most 32 bits, fits in usize.
            let len = (mapping.len & !bindings::DMA_IOVA_USE_SWIOTLB) as usize;
            // SAFETY: `state` is what `blk_rq_dma_map_iter_start` left for this device and
            // request, `len` bytes are linked, and this is done once (`kind` becomes `NONE`).
            unsafe {
                bindings::dma_iova_destroy(self.raw(), &mut state, len, rq.dma_direction(), 0)
            };
            return;
        }
        for index in 0..mapping.nr_segments {
            if let Some((addr, len)) = kept.and_then(|s| s.get(index)) {
                self.unmap_page(rq, addr, len.into());
            }
        }
    }

    #[inline(always)]
    fn unmap_page<T: Operations>(&self, rq: &Request<T>, addr: DmaAddress, len: u64) {
        // SAFETY: exactly this range was mapped for this device and direction, and is unmapped
        // once.
        unsafe {
            bindings::dma_unmap_page_attrs(
                self.raw(),
                addr,
                // CAST: the length of one segment, at most 32 bits.
                len as usize,
                rq.dma_direction(),
                0,
            )
        };
    }

    /// Whether the DMA layer wants mappings of this device undone. Only meaningful right after
    /// mapping (`dma_need_unmap`, `kernel/dma/mapping.c`).
    fn need_unmap(&self) -> bool {
        // SAFETY: the device is valid.
        unsafe { bindings::dma_need_unmap(self.raw()) }
    }

    #[inline(always)]
    fn failed(&self, addr: DmaAddress) -> bool {
        self.note_checked(addr);
        addr == bindings::DMA_MAPPING_ERROR
    }

    /// Tells DMA debugging that the address was checked for an error.
    #[inline(always)]
    fn note_checked(&self, _addr: DmaAddress) {
        #[cfg(CONFIG_DMA_API_DEBUG)]
        // SAFETY: the device is valid; the function only looks the address up.
        unsafe {
            bindings::debug_dma_mapping_error(self.raw(), _addr)
        };
    }
}

fn map_error(status: bindings::blk_status_t) -> MapError {
    if status == bindings::BLK_STS_RESOURCE {
        MapError::Resource
    } else {
        MapError::Invalid
    }
}

/// Allows the device to address 64 bits.
///
/// # Errors
///
/// What `dma_set_mask_and_coherent` returns; `EIO` as a rule.
pub(crate) fn set_mask(pdev: &kernel::pci::Device<kernel::device::Core<'_>>) -> Result {
    use kernel::dma::{
        Device as _,
        DmaMask, //
    };
    // SAFETY: the device is being probed, so nothing maps for it concurrently.
    unsafe { pdev.dma_set_mask_and_coherent(DmaMask::new::<64>()) }
}
