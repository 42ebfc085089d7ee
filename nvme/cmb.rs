// SPDX-License-Identifier: GPL-2.0

//! Controller memory buffer: CMBLOC and CMBSZ, decoded and checked.
//!
//! NVMe Base 2.0, 3.1.3.11, 3.1.3.12 (registers) and 8.5 (the feature).

use kernel::{
    fmt,
    prelude::*,
    register, //
};

/// Offset of CMBMSC, Controller Memory Buffer Memory Space Control (64 bits): 3.1.3.14.
pub(crate) const CMBMSC: usize = 0x50;
/// CMBMSC.CRE, Capabilities Registers Enabled: CMBLOC and CMBSZ are valid.
pub(crate) const CMBMSC_CRE: u64 = 1 << 0;
/// CMBMSC.CMSE, Controller Memory Space Enable: the controller decodes bus addresses from
/// CMBMSC.CBA on as its buffer.
pub(crate) const CMBMSC_CMSE: u64 = 1 << 1;
/// CMBMSC.CBA, Controller Base Address: the bits of the buffer's bus address, a multiple of 4096.
const CMBMSC_CBA: u64 = !0xfff;

register! {
    /// Controller Memory Buffer Location: 3.1.3.11.
    pub(crate) CMBLOC(u32) @ 0x38 {
        /// Offset in the BAR, in units of CMBSZ.SZU.
        31:12 ofst;
        /// Number of the BAR.
        2:0 bir;
    }

    /// Controller Memory Buffer Size: 3.1.3.12.
    pub(crate) CMBSZ(u32) @ 0x3c {
        /// Size in units of SZU.
        31:12 sz;
        /// Unit: 4 KiB times 16 to the power of this.
        11:8 szu;
        /// Submission Queue Support: the buffer may hold submission queues.
        0:0 sqs;
    }

    /// Controller Memory Buffer Status: 3.1.3.15.
    pub(crate) CMBSTS(u32) @ 0x58 {
        /// Controller Base Address Invalid: the controller rejects CMBMSC.CBA.
        0:0 cbai;
    }
}

/// The place of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CmbLayout {
    /// Number of the BAR.
    pub(crate) bar: u32,
    /// Offset of the buffer in the BAR in bytes; a multiple of 4096.
    pub(crate) offset: u64,
    /// Bytes of the buffer, 4096 or more; all of them lie in the BAR.
    pub(crate) len: u64,
}

/// Why the buffer cannot be used for submission queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// CMBSZ.SZ is 0: there is no buffer.
    None,
    /// CMBSZ.SQS is 0: the buffer does not hold submission queues.
    NotForSubmission,
    /// The registers contradict each other, the BARs or the doorbells.
    Nonsense,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "there is none",
            Self::NotForSubmission => "it does not support submission queues",
            Self::Nonsense => "CMBLOC or CMBSZ is invalid",
        })
    }
}

impl CmbLayout {
    /// Decodes the registers. `bar_len` returns the bytes of a memory BAR, and `None` for any other
    /// BAR. In BAR 0 the buffer must begin at `registers_end` or later.
    pub(crate) fn decode(
        location: CMBLOC,
        size: CMBSZ,
        registers_end: u64,
        bar_len: impl FnOnce(u32) -> Option<u64>,
    ) -> Result<Self, Unusable> {
        if size.sz() == 0 {
            return Err(Unusable::None);
        }
        if size.sqs() == 0 {
            return Err(Unusable::NotForSubmission);
        }
        // 4 KiB to 64 GiB (3.1.3.12).
        if size.szu().get() > 6 {
            return Err(Unusable::Nonsense);
        }
        let unit = 4096u64 << (4 * size.szu().get());
        // 20 bits times 2^36 at most: no overflow.
        let offset = u64::from(location.ofst().get()) * unit;
        let claimed = u64::from(size.sz().get()) * unit;
        let bar = location.bir().get();
        if bar == 1 || bar > 5 || (bar == 0 && offset < registers_end) {
            return Err(Unusable::Nonsense);
        }
        // Behind some bridges the BAR is smaller than the buffer that CMBSZ states.
        let room = bar_len(bar)
            .and_then(|len| len.checked_sub(offset))
            .filter(|room| *room >= 4096)
            .ok_or(Unusable::Nonsense)?;
        Ok(Self {
            bar,
            offset,
            len: claimed.min(room),
        })
    }

    /// The value of CMBMSC that places the buffer at bus address `address`; `None` if CBA cannot
    /// hold the address.
    pub(crate) const fn control(address: u64) -> Option<u64> {
        if address & !CMBMSC_CBA != 0 {
            return None;
        }
        Some(address | CMBMSC_CRE | CMBMSC_CMSE)
    }

    /// Byte offset in the buffer of the `index`th piece of `bytes` bytes, where each piece begins
    /// at a page of its own; `None` if the buffer does not have that many pieces.
    pub(crate) fn piece(&self, index: u64, bytes: u64) -> Option<u64> {
        let stride = bytes.checked_next_multiple_of(4096)?;
        let start = index.checked_mul(stride)?;
        let end = start.checked_add(bytes)?;
        (end <= self.len).then_some(start)
    }
}

#[kunit_tests(rnvme_cmb)]
mod tests {
    use super::*;

    /// 1 MiB: 16 units of 64 KiB, for submission queues.
    const SIZE: u32 = 16 << 12 | 1 << 8 | 1;

    fn decode(location: u32, size: u32) -> Result<(u32, u64, u64), Unusable> {
        let layout = CmbLayout::decode(
            CMBLOC::from_raw(location),
            CMBSZ::from_raw(size),
            0x2000,
            |bar| match bar {
                0 => Some(0x4000),
                2 => Some(0x20_0000),
                4 => Some(0x8_0000),
                _ => None,
            },
        )?;
        Ok((layout.bar, layout.offset, layout.len))
    }

    #[test]
    fn sizes_and_places() {
        assert_eq!(decode(2, SIZE), Ok((2, 0, 0x10_0000)));
        // Offsets count in the same unit.
        assert_eq!(decode(2 | 8 << 12, SIZE), Ok((2, 0x8_0000, 0x10_0000)));
        assert_eq!(decode(2, 3 << 12 | 1), Ok((2, 0, 0x3000)));
        // The BAR is smaller than the buffer.
        assert_eq!(decode(4, SIZE), Ok((4, 0, 0x8_0000)));
        assert_eq!(
            decode(2, 0xf_ffff << 12 | 6 << 8 | 1),
            Ok((2, 0, 0x20_0000))
        );
        // Behind the doorbells in BAR 0.
        assert_eq!(decode(2 << 12, 1 << 12 | 1), Ok((0, 0x2000, 0x1000)));
    }

    #[test]
    fn nonsense_is_refused() {
        for (location, size, reason) in [
            (2, 0, Unusable::None),
            (2, SIZE & !1, Unusable::NotForSubmission),
            // An invalid unit, BARs that do not exist.
            (2, 16 << 12 | 7 << 8 | 1, Unusable::Nonsense),
            (1, SIZE, Unusable::Nonsense),
            (3, SIZE, Unusable::Nonsense),
            (6, SIZE, Unusable::Nonsense),
            (7, SIZE, Unusable::Nonsense),
            // Begins among the registers, at the end of the BAR, behind the BAR.
            (1 << 12, 1 << 12 | 1, Unusable::Nonsense),
            (4 | 8 << 12, SIZE, Unusable::Nonsense),
            (4 | 0xf_ffff << 12, SIZE, Unusable::Nonsense),
            (u32::MAX, u32::MAX, Unusable::Nonsense),
        ] {
            assert_eq!(decode(location, size), Err(reason));
        }
    }

    #[test]
    fn addresses_are_told() {
        assert_eq!(CmbLayout::control(0xfe00_0000), Some(0xfe00_0003));
        assert_eq!(CmbLayout::control(0xfe00_0800), None);
    }

    #[test]
    fn pieces_do_not_overlap() {
        let layout = CmbLayout {
            bar: 2,
            offset: 0,
            len: 0x3800,
        };
        // Index, bytes, place.
        for (index, bytes, place) in [
            (0, 64, Some(0)),
            (1, 64, Some(0x1000)),
            (3, 0x800, Some(0x3000)),
            (3, 0x801, None),
            (0, 0x1001, Some(0)),
            (1, 0x1001, Some(0x2000)),
            (2, 0x1001, None),
            (0, 0x3800, Some(0)),
            (0, 0x3801, None),
            (u64::MAX, 64, None),
            (1, u64::MAX, None),
        ] {
            assert_eq!(layout.piece(index, bytes), place);
        }
    }
}
