// SPDX-License-Identifier: GPL-2.0

//! Segments to PRP entries, one segment at a time, as they are mapped.

use super::{
    list_entries,
    list_pages,
    List,
    PrpError,
    ENTRIES_PER_PAGE,
    LAST_SLOT,
    PAGE,
    PAGE_MASK, //
};
use crate::{
    num::usize_as_u64,
    nvme::DataPtr, //
};
use kernel::prelude::*;

/// Turns segments, in the order of the data, into PRPs.
pub(crate) struct PrpBuilder {
    /// PRP2 is the list, or the second page, or 0.
    data: DataPtr,
    /// Bytes of the transfer that no segment has covered yet.
    missing: u32,
    /// Whether there is a list.
    listed: bool,
    stage: Stage,
    /// Data entries of the list that have not been written yet.
    entries: usize,
    /// The slot that comes next.
    slot: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Before the first segment.
    Empty,
    /// The last segment ended at a page boundary.
    Open,
    /// The last segment ended within a page: nothing may follow.
    Closed,
}

impl PrpBuilder {
    /// A transfer of `total_len` bytes.
    #[inline(always)]
    pub(crate) const fn new(total_len: u32) -> Self {
        Self {
            data: DataPtr { prp1: 0, prp2: 0 },
            missing: total_len,
            listed: false,
            stage: Stage::Empty,
            entries: 0,
            slot: 0,
        }
    }

    /// The next segment: `len` bytes at bus address `addr`.
    ///
    /// After an error the transfer is incomplete, and [`Self::finish`] says so.
    #[inline]
    pub(crate) fn push(
        &mut self,
        addr: u64,
        len: u32,
        list: &mut impl List,
    ) -> Result<(), PrpError> {
        // The page above the segment must exist, too, so that no address below wraps.
        if len == 0 || addr.checked_add(u64::from(len) + PAGE).is_none() {
            return Err(PrpError::BadSegment);
        }
        let end = addr.wrapping_add(len.into());
        let Some(missing) = self.missing.checked_sub(len) else {
            return Err(PrpError::WrongLength);
        };
        let page = match self.stage {
            Stage::Empty => {
                self.begin(addr, list)?;
                (addr & !PAGE_MASK).wrapping_add(PAGE)
            }
            Stage::Open if addr & PAGE_MASK == 0 => addr,
            _ => return Err(PrpError::Gap),
        };
        self.missing = missing;
        self.stage = if end & PAGE_MASK == 0 {
            Stage::Open
        } else {
            Stage::Closed
        };
        if self.listed {
            return self.fill(page, end, list);
        }
        // Two pages at most, so at most one after the first.
        if page < end {
            self.data.prp2 = page;
        }
        Ok(())
    }

    /// Takes the first segment: decides whether there is a list, and checks that the list fits.
    #[inline]
    fn begin(&mut self, addr: u64, list: &impl List) -> Result<(), PrpError> {
        if addr & 3 != 0 {
            return Err(PrpError::Misaligned);
        }
        self.data.prp1 = addr;
        self.entries = list_entries(addr, self.missing);
        if self.entries == 0 {
            return Ok(());
        }
        let pages = list_pages(self.entries);
        let slots = self.entries.wrapping_add(pages).wrapping_sub(1);
        if slots > list.capacity() {
            return Err(PrpError::ListTooSmall);
        }
        let start = list.page_address(0);
        let fits = if pages > 1 {
            start & PAGE_MASK == 0
        } else {
            start & 7 == 0 && (start & PAGE_MASK) + usize_as_u64(slots * size_of::<u64>()) <= PAGE
        };
        if !fits {
            return Err(PrpError::ListMisplaced);
        }
        self.listed = true;
        self.data.prp2 = start;
        Ok(())
    }

    /// Writes the entries of the pages from `page` to `end`.
    #[inline(always)]
    fn fill(&mut self, mut page: u64, end: u64, list: &mut impl List) -> Result<(), PrpError> {
        let (mut slot, mut entries) = (self.slot, self.entries);
        while page < end {
            if slot % ENTRIES_PER_PAGE == LAST_SLOT && entries > 1 {
                let next = slot.wrapping_add(1);
                if !list.set(slot, list.page_address(next / ENTRIES_PER_PAGE)) {
                    return Err(PrpError::ListTooSmall);
                }
                slot = next;
            }
            if !list.set(slot, page) {
                return Err(PrpError::ListTooSmall);
            }
            slot = slot.wrapping_add(1);
            entries = entries.wrapping_sub(1);
            page = page.wrapping_add(PAGE);
        }
        (self.slot, self.entries) = (slot, entries);
        Ok(())
    }

    /// The PRPs, once every byte of the transfer has a segment.
    #[inline]
    pub(crate) fn finish(self) -> Result<DataPtr, PrpError> {
        if self.stage == Stage::Empty || self.missing != 0 || self.entries != 0 {
            return Err(PrpError::WrongLength);
        }
        Ok(self.data)
    }
}

#[kunit_tests(rnvme_prp_builder)]
mod tests {
    use super::*;
    use crate::prp::simple;

    /// A list in ordinary memory that the device sees at `base`.
    struct Memory {
        base: u64,
        slots: KVec<u64>,
    }

    impl Memory {
        fn new(base: u64, slots: usize) -> Result<Self> {
            let slots = KVec::from_elem(u64::MAX, slots, GFP_KERNEL)?;
            Ok(Self { base, slots })
        }
    }

    impl List for Memory {
        fn set(&mut self, slot: usize, value: u64) -> bool {
            self.slots.get_mut(slot).map(|to| *to = value).is_some()
        }

        fn page_address(&self, page: usize) -> u64 {
            self.base + 4096 * page as u64
        }

        fn capacity(&self) -> usize {
            self.slots.len()
        }
    }

    const BASE: u64 = 0x7000_0000;
    const MANY: usize = 6 * 512;

    /// Walks PRPs as a controller does: passes each run of bytes within a page to `run`, until
    /// `run` returns `false` or no byte is left. Written from the specification alone: it tracks
    /// the bytes that are left and the place in a page of the list, not the length of the list.
    fn walk(data: DataPtr, len: u32, list: &Memory, mut run: impl FnMut(u64, u64) -> bool) -> bool {
        let mut left = u64::from(len);
        let first = left.min(4096 - data.prp1 % 4096);
        left -= first;
        if !run(data.prp1, first) {
            return false;
        }
        if left == 0 {
            return data.prp2 == 0;
        }
        if left <= 4096 {
            return data.prp2 % 4096 == 0 && run(data.prp2, left);
        }
        let mut at = data.prp2;
        while left > 0 {
            let index = at.wrapping_sub(list.base) / 8;
            let Some(entry) = list.slots.get(index as usize) else {
                return false;
            };
            if entry % 4096 != 0 {
                return false;
            }
            if at % 4096 == 4088 && left > 4096 {
                at = *entry;
                continue;
            }
            let bytes = left.min(4096);
            if !run(*entry, bytes) {
                return false;
            }
            left -= bytes;
            at += 8;
        }
        true
    }

    /// Builds PRPs for `segments`, walks them, and returns whether the walk touches exactly the
    /// bytes of the segments, in their order.
    fn round_trip(segments: &[(u64, u32)], list: &mut Memory) -> bool {
        let total = segments.iter().map(|(_, len)| len).sum();
        let Ok(data) = build(total, segments, list) else {
            return false;
        };
        let mut rest = segments.iter();
        let (mut want, mut end) = (0, 0);
        walk(data, total, list, |addr, len| {
            if want == end {
                let Some((addr, len)) = rest.next() else {
                    return false;
                };
                (want, end) = (*addr, *addr + u64::from(*len));
            }
            let good = addr == want && addr + len <= end;
            want += len;
            good
        }) && want == end
            && rest.next().is_none()
    }

    fn build(total: u32, segments: &[(u64, u32)], list: &mut Memory) -> Result<DataPtr, PrpError> {
        let mut builder = PrpBuilder::new(total);
        for (addr, len) in segments {
            builder.push(*addr, *len, list)?;
        }
        builder.finish()
    }

    /// Where data may begin in a page: at its start, at a dword, at a sector, at the last sector,
    /// at the last dword.
    const OFFSETS: [u64; 7] = [0, 4, 512, 2048, 3584, 4088, 4092];

    #[test]
    fn one_segment_of_each_size() -> Result {
        let mut list = Memory::new(BASE, MANY)?;
        for offset in OFFSETS {
            for pages in 1..=513 {
                // To the end of the last page, and to its first dword only.
                for cut in [0, 4092] {
                    let len = (pages * 4096 - offset).saturating_sub(cut);
                    let addr = 0x1_0000_0000 + offset;
                    assert!(len == 0 || round_trip(&[(addr, len as u32)], &mut list));
                }
            }
        }
        Ok(())
    }

    #[test]
    fn segments_of_a_page_each() -> Result {
        let mut list = Memory::new(BASE, MANY)?;
        for offset in OFFSETS {
            let mut segments = KVec::new();
            let mut addr = 0x2_0000_0000;
            segments.push((addr + offset, 4096 - offset as u32), GFP_KERNEL)?;
            for _ in 0..64 {
                assert!(round_trip(&segments, &mut list));
                // Descending, with holes: nothing that could be taken for one large segment.
                addr -= 3 * 4096;
                segments.push((addr, 4096), GFP_KERNEL)?;
            }
        }
        Ok(())
    }

    #[test]
    fn many_segments_make_the_list_of_one() -> Result {
        let (mut one, mut many) = (Memory::new(BASE, MANY)?, Memory::new(BASE, MANY)?);
        for pages in [1, 2, 3, 7, 512, 513, 514, 1024, 1025, 2048] {
            let len = 4096 * pages;
            let mut segments = KVec::new();
            for page in 0..pages {
                segments.push((u64::from(page) * 4096, 4096), GFP_KERNEL)?;
            }
            let whole = build(len, &[(0, len)], &mut one);
            assert!(whole.is_ok());
            assert_eq!(whole, build(len, &segments, &mut many));
            assert!(one.slots[..] == many.slots[..]);
        }
        Ok(())
    }

    #[test]
    fn mixed_segments() -> Result {
        let mut list = Memory::new(BASE, MANY)?;
        let cases: &[&[(u64, u32)]] = &[
            &[(0x1e00, 512)],
            &[(0x1e00, 512), (0x8000, 512)],
            &[(0x1e00, 512), (0x8000, 4096), (0x5000, 4)],
            &[(0x1ffc, 4), (0x8000, 1 << 20), (0x5000, 4092)],
            &[(0x1200, 0x10e00), (0x100_0000, 8 << 20)],
            &[(0x1000, 4096), (0x1000, 4096), (0x1000, 4096)],
        ];
        for segments in cases {
            assert!(round_trip(segments, &mut list));
        }
        Ok(())
    }

    #[test]
    fn large_transfers() -> Result {
        let mut list = Memory::new(BASE, MANY)?;
        for pages in [510, 511, 512, 513, 514, 1022, 1023, 1024, 1025, 1535, 2048] {
            for offset in OFFSETS {
                let len = pages * 4096;
                assert!(round_trip(&[(0x5000_0000 + offset, len)], &mut list));
                assert!(round_trip(&[(0x5000_0000 + offset, len - 4)], &mut list));
            }
        }
        Ok(())
    }

    #[test]
    fn pointers_between_list_pages() -> Result {
        // 513 entries: the last slot of the first page points to the second, which holds two.
        let mut list = Memory::new(BASE, MANY)?;
        let len = 514 * 4096;
        assert!(build(len, &[(0x1000, len)], &mut list).is_ok());
        assert_eq!(list.slots[510], 0x1000 + 511 * 4096);
        assert_eq!(list.slots[511], BASE + 4096);
        assert_eq!(list.slots[512], 0x1000 + 512 * 4096);
        assert_eq!(list.slots[513], 0x1000 + 513 * 4096);
        assert_eq!(list.slots[514], u64::MAX);
        // 512 entries: the last slot is a page of the data.
        let len = 513 * 4096;
        assert!(build(len, &[(0x1000, len)], &mut list).is_ok());
        assert_eq!(list.slots[511], 0x1000 + 512 * 4096);
        Ok(())
    }

    #[test]
    fn unaligned_4k_takes_two_pages() -> Result {
        let mut list = Memory::new(BASE, 0)?;
        let data = DataPtr {
            prp1: 0x3200,
            prp2: 0x4000,
        };
        assert_eq!(simple(0x3200, 4096), data);
        assert_eq!(build(4096, &[(0x3200, 4096)], &mut list), Ok(data));
        Ok(())
    }

    #[test]
    fn simple_agrees_with_the_builder() -> Result {
        let mut list = Memory::new(BASE, 0)?;
        for addr in (0x7000..0x8000).step_by(4) {
            for len in [4, 512, 2048, 4092, 4096] {
                assert_eq!(build(len, &[(addr, len)], &mut list), Ok(simple(addr, len)));
            }
        }
        assert_eq!(simple(0, 8192).prp2, 4096);
        Ok(())
    }

    #[test]
    fn segments_that_break_the_rules() -> Result {
        use PrpError::*;
        let mut list = Memory::new(BASE, MANY)?;
        let cases: &[(u32, &[(u64, u32)], PrpError)] = &[
            (0, &[], WrongLength),
            (4096, &[], WrongLength),
            (4096, &[(0x1000, 0)], BadSegment),
            (8192, &[(0x1000, 4096), (0x3000, 0)], BadSegment),
            (4096, &[(u64::MAX - 4095, 4096)], BadSegment),
            (4092, &[(u64::MAX - 4095, 4092)], BadSegment),
            (4096, &[(0x1001, 4096)], Misaligned),
            (4096, &[(0x1002, 4)], Misaligned),
            (8192, &[(0x1000, 4096), (0x3200, 4096)], Gap),
            (8192, &[(0x1000, 512), (0x3000, 7680)], Gap),
            (8192, &[(0x1200, 512), (0x1400, 7680)], Gap),
            (12288, &[(0x1000, 4096), (0x3000, 512), (0x4000, 7680)], Gap),
            (4096, &[(0x1000, 4097)], WrongLength),
            (8192, &[(0x1000, 4096), (0x3000, 4100)], WrongLength),
            (8192, &[(0x1000, 4096)], WrongLength),
            (1 << 20, &[(0x1000, (1 << 20) - 4)], WrongLength),
        ];
        for (total, segments, error) in cases {
            assert_eq!(build(*total, segments, &mut list), Err(*error));
        }
        Ok(())
    }

    #[test]
    fn a_failed_builder_stays_failed() -> Result {
        let mut list = Memory::new(BASE, MANY)?;
        let mut builder = PrpBuilder::new(3 * 4096);
        assert!(builder.push(0x1000, 4096, &mut list).is_ok());
        assert_eq!(builder.push(0x3200, 8192, &mut list), Err(PrpError::Gap));
        assert_eq!(builder.finish(), Err(PrpError::WrongLength));
        Ok(())
    }

    #[test]
    fn lists_that_are_too_small() -> Result {
        // Pages of the transfer, slots that it needs.
        for (pages, slots) in [(3, 2), (33, 32), (513, 512), (514, 514), (2049, 2052)] {
            let len = pages * 4096;
            let segment = [(0x1_0000, len)];
            let mut list = Memory::new(BASE, slots)?;
            assert!(round_trip(&segment, &mut list));
            let mut list = Memory::new(BASE, slots - 1)?;
            let error = Err(PrpError::ListTooSmall);
            assert_eq!(build(len, &segment, &mut list), error);
            assert!(list.slots.iter().all(|slot| *slot == u64::MAX));
        }
        Ok(())
    }

    #[test]
    fn small_lists_lie_anywhere_in_a_page() -> Result {
        // Offset of the list in its page, pages of the transfer, whether it fits.
        let cases = [
            (0, 33, true),
            (256, 33, true),
            (3840, 33, true),
            (3848, 33, false),
            (4080, 3, true),
            (4088, 3, false),
            (260, 3, false),
            (8, 512, true),
            (8, 513, false),
            (8, 514, false),
            (0, 514, true),
        ];
        for (offset, pages, fits) in cases {
            let mut list = Memory::new(BASE + offset, MANY)?;
            let len = pages * 4096;
            let data = build(len, &[(0x1_0000, len)], &mut list);
            assert_eq!(data.err(), (!fits).then_some(PrpError::ListMisplaced));
            assert!(!fits || round_trip(&[(0x1_0000, len)], &mut list));
        }
        // Bus address 0 is valid.
        assert!(round_trip(&[(0x1_0000, 12288)], &mut Memory::new(0, 2)?));
        Ok(())
    }

    #[test]
    fn a_list_that_refuses() {
        /// A list that claims more slots than it has.
        struct Liar;
        impl List for Liar {
            fn set(&mut self, slot: usize, _value: u64) -> bool {
                slot < 3
            }
            fn page_address(&self, _page: usize) -> u64 {
                BASE
            }
            fn capacity(&self) -> usize {
                512
            }
        }
        let mut builder = PrpBuilder::new(5 * 4096);
        let refused = builder.push(0x1000, 5 * 4096, &mut Liar);
        assert_eq!(refused, Err(PrpError::ListTooSmall));
        assert_eq!(builder.finish(), Err(PrpError::WrongLength));
    }
}
