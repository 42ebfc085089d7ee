// SPDX-License-Identifier: GPL-2.0

//! DMA segments as Scatter Gather List descriptors: arithmetic only.
//!
//! One segment of any length is one descriptor, in the command itself. Several segments are a list
//! in memory, to which the command points. Unlike the pages of PRPs, segments begin and end at any
//! byte. Base 4.1.2.

use crate::{
    num::u32_as_u64,
    nvme::DataPtr,
    prp::List, //
};
use kernel::{
    fmt,
    prelude::*, //
};

/// 64-bit words of a descriptor.
pub(crate) const WORDS: usize = 2;
/// Descriptor type and subtype of an SGL Data Block, in the last byte of a descriptor.
const DATA_BLOCK: u64 = 0x00;
/// Descriptor type and subtype of an SGL Last Segment: a list that ends the SGL.
const LAST_SEGMENT: u64 = 0x30;

/// The second word of a descriptor: length and type.
const fn length_and_type(len: u32, kind: u64) -> u64 {
    u32_as_u64(len) | kind << 56
}

/// The descriptor of one segment.
#[inline(always)]
pub(crate) const fn single(addr: u64, len: u32) -> DataPtr {
    DataPtr {
        prp1: addr,
        prp2: length_and_type(len, DATA_BLOCK),
    }
}

/// Why there is no SGL for some data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SglError {
    /// A segment has no bytes.
    Empty,
    /// The segments are longer or shorter than the transfer.
    WrongLength,
    /// The list has too few slots for the segments.
    ListTooSmall,
}

impl fmt::Display for SglError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "SGL: a segment is empty",
            Self::WrongLength => "SGL: the segments do not add up to the transfer",
            Self::ListTooSmall => "SGL: the list is too small",
        })
    }
}

/// Turns segments, in the order of the data, into an SGL.
pub(crate) struct SglBuilder {
    /// Bytes of the transfer that follow the segments so far.
    missing: u32,
    count: usize,
    first: DataPtr,
}

impl SglBuilder {
    /// Begins the SGL of a transfer of `total_len` bytes.
    pub(crate) const fn new(total_len: u32) -> Self {
        Self {
            missing: total_len,
            count: 0,
            first: DataPtr { prp1: 0, prp2: 0 },
        }
    }

    /// Adds the next segment: `len` bytes at bus address `addr`.
    #[inline]
    pub(crate) fn push(
        &mut self,
        addr: u64,
        len: u32,
        list: &mut impl List,
    ) -> Result<(), SglError> {
        if len == 0 {
            return Err(SglError::Empty);
        }
        let missing = self.missing.checked_sub(len).ok_or(SglError::WrongLength)?;
        let descriptor = single(addr, len);
        let slot = self.count.wrapping_mul(WORDS);
        if !list.set(slot, descriptor.prp1) || !list.set(slot.wrapping_add(1), descriptor.prp2) {
            return Err(SglError::ListTooSmall);
        }
        if self.count == 0 {
            self.first = descriptor;
        }
        self.missing = missing;
        self.count = self.count.wrapping_add(1);
        Ok(())
    }

    /// The descriptor for the command: the only segment, or the list at `list`.
    pub(crate) fn finish(self, list: &impl List) -> Result<DataPtr, SglError> {
        if self.missing != 0 || self.count == 0 {
            return Err(SglError::WrongLength);
        }
        if self.count == 1 {
            return Ok(self.first);
        }
        // CAST: at most the slots of a list, some thousands.
        let bytes = (self.count * WORDS * size_of::<u64>()) as u32;
        Ok(DataPtr {
            prp1: list.page_address(0),
            prp2: length_and_type(bytes, LAST_SEGMENT),
        })
    }
}

#[kernel::macros::kunit_tests(rnvme_sgl)]
mod tests {
    use super::*;

    const AT: u64 = 0xabc_d000;

    struct Memory {
        slots: [u64; 8],
    }

    impl List for Memory {
        fn set(&mut self, slot: usize, value: u64) -> bool {
            self.slots.get_mut(slot).map(|to| *to = value).is_some()
        }

        fn page_address(&self, _page: usize) -> u64 {
            AT
        }

        fn capacity(&self) -> usize {
            self.slots.len()
        }
    }

    fn build(total: u32, segments: &[(u64, u32)]) -> (Result<DataPtr, SglError>, [u64; 8]) {
        let mut list = Memory { slots: [0; 8] };
        let mut builder = SglBuilder::new(total);
        for (addr, len) in segments {
            if let Err(e) = builder.push(*addr, *len, &mut list) {
                return (Err(e), list.slots);
            }
        }
        (builder.finish(&list), list.slots)
    }

    fn data(prp1: u64, prp2: u64) -> Result<DataPtr, SglError> {
        Ok(DataPtr { prp1, prp2 })
    }

    #[test]
    fn one_segment_is_in_the_command() {
        for (addr, len) in [(0x1000, 512), (0x1004, 4), (0xffff_ffff_f000, 8 << 20)] {
            assert_eq!(build(len, &[(addr, len)]).0, data(addr, len.into()));
            assert_eq!(Ok(single(addr, len)), data(addr, len.into()));
        }
    }

    #[test]
    fn more_segments_are_a_list() {
        let (sgl, slots) = build(0x3400, &[(0x1200, 0x400), (0x8000, 0x1000), (0x20, 0x2000)]);
        assert_eq!(sgl, data(AT, 0x3000_0000_0000_0030));
        assert_eq!(slots, [0x1200, 0x400, 0x8000, 0x1000, 0x20, 0x2000, 0, 0]);
    }

    #[test]
    fn a_full_list_and_one_too_many() {
        let four = [(0x1000, 512); 4];
        assert_eq!(build(2048, &four).0, data(AT, 0x3000_0000_0000_0040));
        let five = [(0x1000, 512); 5];
        assert_eq!(build(2560, &five).0, Err(SglError::ListTooSmall));
    }

    #[test]
    fn lengths_must_add_up() {
        for (total, segments, error) in [
            (1024, &[(0x1000, 512)][..], SglError::WrongLength),
            (
                512,
                &[(0x1000, 512), (0x2000, 512)][..],
                SglError::WrongLength,
            ),
            (512, &[(0x1000, 0)][..], SglError::Empty),
            (0, &[][..], SglError::WrongLength),
        ] {
            assert_eq!(build(total, segments).0, Err(error));
        }
    }
}
