// SPDX-License-Identifier: GPL-2.0

//! The memory of a request that consists of whole pages, and the fast way through it.

use super::{
    registers::{
        computed_here,
        Aside, //
    },
    segments::{
        page_to_phys,
        read,
        Segment,
        PAGE, //
    }, //
};
use crate::{
    num::u32_as_usize,
    sys::{
        block::{
            Request,
            Types, //
        },
        ffi as bindings, //
    },
};
use core::{
    marker::PhantomData,
    mem::MaybeUninit, //
};

/// The memory of a request that consists of pages of one bio, without its first piece: each piece
/// is a page, the last may be the beginning of a page. Most requests of several segments are so.
///
/// # Invariants
///
/// `at` points to pieces of a bio of a request that is the driver's as long as `'a`. They have
/// `left` bytes, not 0.
#[derive(Clone, Copy)]
pub(in crate::sys) struct Pages<'a> {
    at: *const bindings::bio_vec,
    left: u32,
    _request: PhantomData<&'a ()>,
}

impl<'a> Pages<'a> {
    /// The first piece of `rq` and the pieces after it. `None` if the first piece does not end at
    /// the end of a page, if there are no others, or if the request has another bio.
    #[inline(always)]
    pub(in crate::sys) fn of<T: Types>(rq: &'a Request<T>) -> Option<(Segment, Self)> {
        if rq.segments() < 2 {
            return None;
        }
        let (bio, bytes) = (rq.bio(), rq.bytes());
        // SAFETY: a request with segments has a bio, which is live as long as the request, and
        // whose iterator points into its vector.
        let (first, done, size) = unsafe {
            let iter = core::ptr::addr_of!((*bio).bi_iter);
            let first = (*bio).bi_io_vec.add(u32_as_usize((*iter).bi_idx));
            (first, (*iter).bi_offset, (*iter).bi_size)
        };
        // The bytes of a request are those of all its bios, so this bio has all of them or is not
        // alone.
        if size != bytes {
            return None;
        }
        // SAFETY: the bio of a request with segments has data, so there is a piece.
        let (page, len, offset) = unsafe { read(first) };
        if len.wrapping_add(offset) != PAGE {
            return None;
        }
        let len = len.wrapping_sub(done);
        if bytes <= len {
            return None;
        }
        let phys = page_to_phys(page)
            .wrapping_add(offset.into())
            .wrapping_add(done.into());
        // INVARIANT: the first piece is done, and there are more bytes, so there is another piece.
        let pages = Self {
            // SAFETY: there is another piece, as just said.
            at: unsafe { first.add(1) },
            left: bytes.wrapping_sub(len),
            _request: PhantomData,
        };
        Some((Segment { phys, len }, pages))
    }

    /// The number of bytes.
    #[inline(always)]
    pub(in crate::sys) fn bytes(self) -> u32 {
        self.left
    }

    /// The pieces that have to be whole pages; [`Whole::take`] checks each.
    #[inline(always)]
    pub(in crate::sys) fn whole(self, place: &'a mut MaybeUninit<Aside<u32>>) -> Whole<'a> {
        let count = u32_as_usize(self.left / PAGE);
        let end = self.at.wrapping_add(count);
        // CAST: the words for 4 GiB.
        let words = count.wrapping_mul(size_of::<u64>()) as isize;
        // INVARIANT: `left` has the bytes of `count` pages and of a tail. If the former are whole
        // pages, the latter is in the piece after them.
        Whole {
            end: computed_here(end),
            offset: words.wrapping_neg(),
            bytes: Aside::put(place, self.left),
            _request: PhantomData,
        }
    }
}

/// Pieces that have to be whole pages, and the bytes after them.
///
/// One number counts the pieces and the words for their addresses, up to 0 at the end: a loop needs
/// no other.
///
/// # Invariants
///
/// `offset` is a multiple of the size of a word, and not positive. There are as many pieces before
/// `end` as words in it, and one at `end` if `bytes` are not a multiple of a page. They are of a bio of a request that is
/// the driver's as long as `'a`. This holds as far as the pieces are whole pages: a piece may only be
/// read if all before it were.
pub(in crate::sys) struct Whole<'a> {
    end: *const bindings::bio_vec,
    offset: isize,
    bytes: &'a Aside<u32>,
    _request: PhantomData<&'a ()>,
}

impl Whole<'_> {
    /// The bytes of a piece for each byte of a word.
    const SCALE: isize = {
        assert!(size_of::<bindings::bio_vec>() % size_of::<u64>() == 0);
        // CAST: a small number.
        (size_of::<bindings::bio_vec>() / size_of::<u64>()) as isize
    };

    /// The number of pieces that are left.
    #[inline(always)]
    pub(in crate::sys) fn left(&self) -> u32 {
        // CAST: not negative, and at most the number of pages of 4 GiB.
        (self.offset.wrapping_neg() as usize / size_of::<u64>()) as u32
    }

    /// Whether no piece is left.
    #[inline(always)]
    pub(in crate::sys) fn is_empty(&self) -> bool {
        self.offset == 0
    }

    /// Calls `each` with the address of the next piece, if that is a whole page, and with the place
    /// of its word: bytes from the end of the words. Takes the piece if `each` returns `true`;
    /// returns whether it was taken.
    #[inline(always)]
    pub(in crate::sys) fn take(
        &mut self,
        each: impl FnOnce(bindings::phys_addr_t, isize) -> bool,
    ) -> bool {
        if self.offset == 0 {
            return false;
        }
        let at = self.offset.wrapping_mul(Self::SCALE);
        // SAFETY: by the type invariant there is a piece: all before it were whole pages.
        let (page, len, offset) = unsafe { read(self.end.wrapping_byte_offset(at)) };
        // One comparison.
        if u64::from(len) | u64::from(offset) << 32 != u64::from(PAGE)
            || !each(page_to_phys(page), self.offset)
        {
            return false;
        }
        // INVARIANT: one whole page is done. CAST: a small number.
        self.offset = self.offset.wrapping_add(size_of::<u64>() as isize);
        true
    }

    /// The number of bytes of all pieces, also of those that have been taken.
    #[inline(always)]
    pub(in crate::sys) fn bytes(&self) -> u32 {
        self.bytes.get()
    }

    /// The bytes after the whole pages, which have been taken, if there are any and they are the
    /// beginning of a page.
    pub(in crate::sys) fn tail(&self) -> Option<Segment> {
        let tail = self.bytes() % PAGE;
        if self.offset != 0 || tail == 0 {
            return None;
        }
        // SAFETY: by the type invariant there is another piece: all before it were whole pages.
        let (page, len, offset) = unsafe { read(self.end) };
        (offset == 0 && len >= tail).then(|| Segment {
            phys: page_to_phys(page),
            len: tail,
        })
    }
}

#[kernel::macros::kunit_tests(rnvme_pages)]
mod tests {
    use super::*;
    use crate::sys::dma::segments::Segments;
    use kernel::prelude::*;

    struct Test;

    impl Types for Test {
        type RequestData = ();
        type Queue = ();
        type QueueData = ();
    }

    /// Frame, length and offset of a piece.
    type Piece = (u64, u32, u32);

    /// A bio: its pieces, how many are done, how many bytes of the next are done, bytes left.
    type Bio<'a> = (&'a [Piece], u32, u32, u32);

    /// Addresses and lengths of memory.
    type Memory = KVec<(u64, u32)>;

    fn vector(pieces: &[Piece]) -> Result<KVec<bindings::bio_vec>> {
        let mut vector = KVec::new();
        for (frame, bv_len, bv_offset) in pieces {
            // SAFETY: the kernel sets `vmemmap_base` when it starts, and never again.
            let base = unsafe { (&raw const bindings::vmemmap_base).read() };
            // CAST: a frame of the tests is a small number.
            let bv_page = (base as *mut bindings::page).wrapping_add(*frame as usize);
            vector.push(
                bindings::bio_vec {
                    bv_page,
                    bv_len: *bv_len,
                    bv_offset: *bv_offset,
                },
                GFP_KERNEL,
            )?;
        }
        Ok(vector)
    }

    fn bio(vector: &mut KVec<bindings::bio_vec>, of: Bio<'_>) -> Result<KBox<bindings::bio>> {
        let mut bio = KBox::new(pin_init::zeroed::<bindings::bio>(), GFP_KERNEL)?;
        bio.bi_io_vec = vector.as_mut_ptr();
        (
            _,
            bio.bi_iter.bi_idx,
            bio.bi_iter.bi_offset,
            bio.bi_iter.bi_size,
        ) = of;
        Ok(bio)
    }

    /// The memory of a request of one or two bios, as [`Segments`] and as [`Pages`] see it.
    fn walks(first: Bio<'_>, second: Option<Bio<'_>>) -> Result<(Memory, Option<Memory>)> {
        let (mut vector1, mut vector2) = (vector(first.0)?, vector(second.map_or(&[], |b| b.0))?);
        let mut bio1 = bio(&mut vector1, first)?;
        let mut bio2 = second.map(|second| bio(&mut vector2, second)).transpose()?;
        if let Some(bio2) = &mut bio2 {
            bio1.bi_next = &raw mut **bio2;
        }
        let mut raw = KBox::new(pin_init::zeroed::<bindings::request>(), GFP_KERNEL)?;
        raw.bio = &raw mut *bio1;
        raw.__data_len = first.3 + second.map_or(0, |second| second.3);
        raw.nr_phys_segments = u16::try_from(vector1.len() + vector2.len())?;
        // SAFETY: the tested code only reads the fields about memory, which are set. It alone has
        // `raw`.
        let rq = unsafe { Request::<Test>::from_raw(&raw mut *raw) };
        let mut all = Memory::new();
        let mut segments = Segments::new(&rq);
        while let Some(segment) = segments.next() {
            all.push((segment.phys, segment.len), GFP_KERNEL)?;
        }
        Ok((all, pages(&rq)?))
    }

    fn pages(rq: &Request<Test>) -> Result<Option<Memory>> {
        let Some((first, pages)) = Pages::of(rq) else {
            return Ok(None);
        };
        let mut memory = Memory::new();
        memory.push((first.phys, first.len), GFP_KERNEL)?;
        let mut place = MaybeUninit::uninit();
        let mut whole = pages.whole(&mut place);
        // CAST: a small number.
        let words = whole.left() as isize;
        let mut mapped = 0;
        while whole.take(|phys, offset| {
            mapped += 1;
            assert_eq!(offset, (mapped - 1 - words) * 8);
            memory.push((phys, PAGE), GFP_KERNEL).is_ok()
        }) {}
        if !whole.is_empty() {
            return Ok(None);
        }
        if whole.bytes() % PAGE != 0 {
            let Some(tail) = whole.tail() else {
                return Ok(None);
            };
            memory.push((tail.phys, tail.len), GFP_KERNEL)?;
        }
        Ok(Some(memory))
    }

    /// The memory of one bio, if it consists of pages.
    fn one(of: Bio<'_>) -> Result<Option<Memory>> {
        let (all, pages) = walks(of, None)?;
        // `Segments` and `Pages` see the same memory.
        assert!(pages.as_ref().is_none_or(|pages| **pages == *all));
        Ok(pages)
    }

    const THREE: &[Piece] = &[(0x100, 4096, 0), (0x200, 4096, 0), (0x300, 4096, 0)];

    #[test]
    fn pages_are_taken() -> Result {
        for (of, expected) in [
            (
                (THREE, 0, 0, 12288),
                &[(0x10_0000, 4096), (0x20_0000, 4096), (0x30_0000, 4096)][..],
            ),
            // Some of it is done, to the end of a page or into it.
            ((THREE, 1, 0, 8192), &[(0x20_0000, 4096), (0x30_0000, 4096)]),
            (
                (THREE, 1, 512, 7680),
                &[(0x20_0200, 3584), (0x30_0000, 4096)],
            ),
            // It ends before its last page does.
            (
                (THREE, 0, 0, 8704),
                &[(0x10_0000, 4096), (0x20_0000, 4096), (0x30_0000, 512)],
            ),
            (
                (THREE, 0, 3584, 4608),
                &[(0x10_0e00, 512), (0x20_0000, 4096)],
            ),
            (
                (THREE, 0, 3584, 1024),
                &[(0x10_0e00, 512), (0x20_0000, 512)],
            ),
            // It begins within a page, and ends within one.
            (
                (&[(7, 512, 3584), (9, 4096, 0), (8, 1024, 0)], 0, 0, 5632),
                &[(0x7e00, 512), (0x9000, 4096), (0x8000, 1024)],
            ),
        ] {
            let memory = one(of)?.ok_or(EINVAL)?;
            assert_eq!(&*memory, expected);
        }
        Ok(())
    }

    #[test]
    fn other_memory_is_left() -> Result {
        for of in [
            // One piece, or all in the first.
            (&[(1, 4096, 0)][..], 0, 0, 4096),
            (THREE, 0, 0, 4096),
            (THREE, 0, 0, 512),
            // The first ends before its page, or after it.
            (&[(1, 2048, 0), (2, 4096, 0)], 0, 0, 6144),
            (&[(1, 8192, 0), (3, 4096, 0)], 0, 0, 12288),
            // One in the middle is shorter, longer or begins later.
            (&[(1, 4096, 0), (2, 2048, 0), (3, 4096, 0)], 0, 0, 10240),
            (&[(1, 4096, 0), (2, 8192, 0), (4, 4096, 0)], 0, 0, 16384),
            (&[(1, 4096, 0), (2, 4096, 512), (4, 4096, 0)], 0, 0, 12288),
            // The last begins within a page, or is too short.
            (&[(1, 4096, 0), (2, 2048, 2048)], 0, 0, 6144),
            (&[(1, 4096, 0), (2, 1024, 0), (3, 1024, 0)], 0, 0, 6144),
        ] {
            assert!(one(of)?.is_none());
        }
        Ok(())
    }

    #[test]
    fn several_bios_are_walked() -> Result {
        let second = (&[(9, 4096, 0), (4, 4096, 0)][..], 0, 1024, 4096);
        let (all, pages) = walks((THREE, 2, 0, 4096), Some(second))?;
        assert_eq!(&*all, &[(0x30_0000, 4096), (0x9400, 3072), (0x4000, 1024)]);
        assert!(pages.is_none());
        // The rest of the vector of the first bio does not belong to the request.
        let other = (&[(9, 4096, 0), (4, 4096, 0)][..], 0, 0, 8192);
        let (all, pages) = walks((THREE, 0, 0, 4096), Some(other))?;
        assert_eq!(&*all, &[(0x10_0000, 4096), (0x9000, 4096), (0x4000, 4096)]);
        assert!(pages.is_none());
        // The pages of the first bio are not all of the memory.
        let (all, pages) = walks((THREE, 0, 0, 12288), Some(second))?;
        assert_eq!(all.len(), 5);
        assert!(pages.is_none());
        Ok(())
    }
}
