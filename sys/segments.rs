// SPDX-License-Identifier: GPL-2.0

//! The memory of a request, piece by piece: what C's `rq_for_each_bvec` goes through.

use super::{
    ffi as bindings,
    request::{
        Request,
        Types, //
    }, //
};
use core::marker::PhantomData;

/// Bytes of a page of the CPU; where they are not those of the controller, no piece is "a page".
const PAGE: u32 = 4096;

/// A piece of physical memory.
pub(super) struct Segment {
    /// Where it begins.
    pub(super) phys: bindings::phys_addr_t,
    /// Its length in bytes, not 0.
    pub(super) len: u32,
}

// `page_to_phys` is a macro without an exported equivalent, and different everywhere.
#[cfg(not(all(target_arch = "x86_64", CONFIG_SPARSEMEM_VMEMMAP)))]
compile_error!("rnvme is for x86-64 kernels with CONFIG_SPARSEMEM_VMEMMAP: see sys/segments.rs");

/// `page_to_phys`.
#[inline(always)]
fn page_to_phys(page: *mut bindings::page) -> bindings::phys_addr_t {
    // SAFETY: set when the kernel starts, and never again.
    let base = unsafe { (&raw const bindings::vmemmap_base).read() };
    // CAST: both are addresses of 64 bits.
    let distance = (page as u64).wrapping_sub(base as u64);
    // It is a multiple of the size of a `struct page`, and that divides the size of a page.
    const { assert!(PAGE as usize % size_of::<bindings::page>() == 0) };
    distance.wrapping_mul(u64::from(PAGE) / size_of::<bindings::page>() as u64)
}

/// The pieces of a request's memory, in order.
///
/// # Invariants
///
/// `bio` is a bio of a request that is the driver's as long as `'a`, or null. `left` bytes of it
/// are in the pieces from `next` on, the first `done` bytes of the first of which have gone by.
pub(super) struct Segments<'a> {
    bio: *const bindings::bio,
    next: *const bindings::bio_vec,
    left: u32,
    done: u32,
    _request: PhantomData<&'a ()>,
}

impl<'a> Segments<'a> {
    /// Those of `rq`.
    #[inline(always)]
    pub(super) fn new<T: Types>(rq: &'a Request<T>) -> Self {
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

    /// Begins with `bio`.
    #[inline(always)]
    fn open(&mut self) {
        if self.bio.is_null() {
            return;
        }
        // INVARIANT: what the bio's iterator says.
        // SAFETY: by the type invariant it is a live bio, whose iterator points into its vector.
        unsafe {
            let iter = core::ptr::addr_of!((*self.bio).bi_iter);
            // CAST: u32 to usize widens.
            self.next = (*self.bio).bi_io_vec.add((*iter).bi_idx as usize);
            self.left = (*iter).bi_size;
            self.done = (*iter).bi_offset;
        }
    }

    /// The next piece.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Option<Segment> {
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
        let (page, len, offset) = unsafe {
            (
                (*self.next).bv_page,
                (*self.next).bv_len,
                (*self.next).bv_offset,
            )
        };
        let len = len.wrapping_sub(self.done).min(self.left);
        let offset = offset.wrapping_add(self.done);
        // INVARIANT: the piece has gone by; only the last one of a bio is not used up.
        self.left = self.left.wrapping_sub(len);
        self.done = 0;
        // SAFETY: at most one past the end of the vector.
        self.next = unsafe { self.next.add(1) };
        Some(Segment {
            phys: page_to_phys(page).wrapping_add(offset.into()),
            len,
        })
    }

    /// The next piece of the bio that [`Self::next`] returned the last one of, if it is exactly a
    /// page.
    #[inline(always)]
    pub(super) fn next_page(&mut self) -> Option<bindings::phys_addr_t> {
        if self.left < PAGE || self.done != 0 {
            return None;
        }
        // SAFETY: by the type invariant there are bytes left, so there is a piece.
        let (page, len, offset) = unsafe {
            (
                (*self.next).bv_page,
                (*self.next).bv_len,
                (*self.next).bv_offset,
            )
        };
        // One comparison.
        if u64::from(len) | u64::from(offset) << 32 != u64::from(PAGE) {
            return None;
        }
        // INVARIANT: the piece has gone by.
        self.left = self.left.wrapping_sub(PAGE);
        // SAFETY: at most one past the end of the vector.
        self.next = unsafe { self.next.add(1) };
        Some(page_to_phys(page))
    }
}

/// The memory of a request of one segment; `None` if it has none or more.
#[inline(always)]
pub(super) fn single<T: Types>(rq: &Request<T>) -> Option<Segment> {
    if rq.segments() != 1 {
        return None;
    }
    let (bio, len) = (rq.bio(), rq.bytes());
    // SAFETY: a request with a segment has a bio, which is live as long as the request, and whose
    // iterator points into its vector.
    let (page, in_page, offset) = unsafe {
        let iter = core::ptr::addr_of!((*bio).bi_iter);
        let done = (*iter).bi_offset;
        // CAST: u32 to usize widens.
        let bv = (*bio).bi_io_vec.add((*iter).bi_idx as usize);
        (
            (*bv).bv_page,
            (*bv).bv_len.wrapping_sub(done),
            (*bv).bv_offset.wrapping_add(done),
        )
    };
    // One segment is one piece, which has all of the request; this keeps a surprise from being a
    // transfer to somebody else's memory.
    if in_page < len {
        return None;
    }
    Some(Segment {
        phys: page_to_phys(page).wrapping_add(offset.into()),
        len,
    })
}
