// SPDX-License-Identifier: GPL-2.0

//! The memory of a request, piece by piece, in the order of C's `rq_for_each_bvec`; a piece mapped.

use crate::{
    num::{
        u32_as_usize,
        usize_as_u64, //
    },
    sys::{
        block::{
            Request,
            Types, //
        },
        ffi as bindings, //
    },
};
use core::marker::PhantomData;
use kernel::dma::DmaAddress;

/// Bytes of a page, of the CPU and of the controller.
pub(super) const PAGE: u32 = 4096;

/// A piece of physical memory.
pub(in crate::sys) struct Segment {
    /// The address of its first byte.
    pub(in crate::sys) phys: bindings::phys_addr_t,
    /// Its length in bytes, not 0.
    pub(in crate::sys) len: u32,
}

// `page_to_phys` is a macro without an exported equivalent, and depends on the memory model.
#[cfg(not(all(target_arch = "x86_64", CONFIG_SPARSEMEM_VMEMMAP)))]
compile_error!(
    "rnvme is for x86-64 kernels with CONFIG_SPARSEMEM_VMEMMAP: see sys/dma/segments.rs"
);

/// `page_to_phys`.
#[inline(always)]
pub(super) fn page_to_phys(page: *mut bindings::page) -> bindings::phys_addr_t {
    // SAFETY: the kernel sets `vmemmap_base` when it starts, and never again.
    let base = unsafe { (&raw const bindings::vmemmap_base).read() };
    // CAST: both are addresses of 64 bits.
    let distance = (page as u64).wrapping_sub(base as u64);
    // `distance` is a multiple of the size of a `struct page`, which divides the size of a page.
    const { assert!(u32_as_usize(PAGE) % size_of::<bindings::page>() == 0) };
    distance.wrapping_mul(u64::from(PAGE) / usize_as_u64(size_of::<bindings::page>()))
}

/// The pieces of a request's memory, in order.
///
/// # Invariants
///
/// `bio` is null or a bio of a request that is the driver's as long as `'a`. Its remaining `left`
/// bytes are in the pieces from `next` on, after the first `done` bytes of the first of these.
pub(in crate::sys) struct Segments<'a> {
    bio: *const bindings::bio,
    next: *const bindings::bio_vec,
    left: u32,
    done: u32,
    _request: PhantomData<&'a ()>,
}

impl<'a> Segments<'a> {
    /// The pieces of `rq`.
    #[inline(always)]
    pub(in crate::sys) fn new<T: Types>(rq: &'a Request<T>) -> Self {
        let mut segments = Self {
            bio: rq.bio(),
            next: core::ptr::null(),
            left: 0,
            done: 0,
            _request: PhantomData,
        };
        segments.open();
        segments
    }

    /// Begins with the first piece of `bio`.
    #[inline(always)]
    fn open(&mut self) {
        if self.bio.is_null() {
            return;
        }
        // INVARIANT: the values are those of the bio's iterator.
        // SAFETY: by the type invariant it is a live bio, whose iterator points into its vector.
        unsafe {
            let iter = core::ptr::addr_of!((*self.bio).bi_iter);
            self.next = (*self.bio).bi_io_vec.add(u32_as_usize((*iter).bi_idx));
            self.left = (*iter).bi_size;
            self.done = (*iter).bi_offset;
        }
    }

    /// The next piece.
    #[inline(always)]
    pub(in crate::sys) fn next(&mut self) -> Option<Segment> {
        if self.left == 0 {
            if self.bio.is_null() {
                return None;
            }
            // SAFETY: by the type invariant it is a live bio.
            self.bio = unsafe { (*self.bio).bi_next };
            self.open();
            if self.left == 0 {
                return None;
            }
        }
        // SAFETY: by the type invariant there are bytes left, so there is a piece.
        let (page, len, offset) = unsafe { read(self.next) };
        let len = len.wrapping_sub(self.done).min(self.left);
        let offset = offset.wrapping_add(self.done);
        // INVARIANT: the piece is done; only the last piece of a bio may have bytes after `left`.
        self.left = self.left.wrapping_sub(len);
        self.done = 0;
        // SAFETY: at most one past the end of the vector.
        self.next = unsafe { self.next.add(1) };
        Some(Segment {
            phys: page_to_phys(page).wrapping_add(offset.into()),
            len,
        })
    }
}

/// Page, length and offset of a piece.
///
/// # Safety
///
/// `at` points to a piece.
#[inline(always)]
pub(super) unsafe fn read(at: *const bindings::bio_vec) -> (*mut bindings::page, u32, u32) {
    // SAFETY: the caller promises that `at` points to a piece.
    unsafe { ((*at).bv_page, (*at).bv_len, (*at).bv_offset) }
}

/// The memory of a request of one segment; `None` if it has no segment or more.
#[inline(always)]
pub(in crate::sys) fn single<T: Types>(rq: &Request<T>) -> Option<Segment> {
    if rq.segments() != 1 {
        return None;
    }
    let (bio, len) = (rq.bio(), rq.bytes());
    // SAFETY: a request with a segment has a bio, which is live as long as the request, and whose
    // iterator points into its vector.
    let ((page, in_page, offset), done) = unsafe {
        let iter = core::ptr::addr_of!((*bio).bi_iter);
        let first = (*bio).bi_io_vec.add(u32_as_usize((*iter).bi_idx));
        (read(first), (*iter).bi_offset)
    };
    // One segment is one piece, which has all bytes of the request. If that were ever untrue, this
    // check prevents a transfer to other memory.
    if in_page.wrapping_sub(done) < len {
        return None;
    }
    Some(Segment {
        phys: page_to_phys(page).wrapping_add(offset.wrapping_add(done).into()),
        len,
    })
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
pub(super) unsafe fn note_checked(_dev: *mut bindings::device, _addr: DmaAddress) {
    #[cfg(CONFIG_DMA_API_DEBUG)]
    // SAFETY: the caller promises that the device is valid; the function only looks the address up.
    unsafe {
        bindings::debug_dma_mapping_error(_dev, _addr)
    };
}
