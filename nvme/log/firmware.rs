// SPDX-License-Identifier: GPL-2.0

//! The Firmware Slot Information log: the firmware revision of each slot, and the active slot.
//!
//! Base 5.16.1.4.

use crate::nvme::text::Text;
use core::mem::offset_of;
use kernel::prelude::*;
use zerocopy_derive::{
    Immutable,
    KnownLayout, //
};

/// The log (log page 03h).
#[repr(C)]
#[derive(FromBytes, Immutable, KnownLayout)]
pub(crate) struct FirmwareSlots {
    pub(crate) afi: u8,
    _rsvd1: [u8; 7],
    pub(crate) frs: [[u8; 8]; Self::SLOTS],
    _rsvd64: [u8; 448],
}

const _: () = {
    assert!(size_of::<FirmwareSlots>() == 512);
    assert!(offset_of!(FirmwareSlots, frs) == 8);
};

impl FirmwareSlots {
    /// Maximum number of slots. The first slot is 1.
    pub(crate) const SLOTS: usize = 7;

    /// Slot `raw`; `None` for 0, which names no slot.
    const fn slot(raw: u8) -> Option<u8> {
        if raw == 0 {
            None
        } else {
            Some(raw)
        }
    }

    /// The slot of the running firmware (AFI bits 2:0), 1 to 7; `None` if the log names none.
    pub(crate) const fn active(&self) -> Option<u8> {
        Self::slot(self.afi & 7)
    }

    /// The firmware revision in slot `slot`; `None` if the slot is empty or does not exist.
    pub(crate) fn revision(&self, slot: u8) -> Option<Text<8>> {
        let raw = self.frs.get(usize::from(slot).checked_sub(1)?)?;
        raw.iter().any(|byte| *byte != 0).then(|| Text::new(raw))
    }

    /// The revision of the running firmware.
    pub(crate) fn running(&self) -> Option<Text<8>> {
        self.revision(self.active()?)
    }
}

#[kunit_tests(rnvme_log_firmware)]
mod tests {
    use super::*;
    use zerocopy::FromBytes;

    /// A log of two slots.
    fn page(afi: u8) -> Result<KVec<u8>> {
        let mut page = KVec::from_elem(0, 512, GFP_KERNEL)?;
        page[0] = afi;
        page[8..16].copy_from_slice(b"1.0     ");
        page[24..32].copy_from_slice(b"2.0\xff    ");
        Ok(page)
    }

    #[test]
    fn slots() -> Result {
        // AFI, active slot, running revision.
        let cases = [
            (0x00, None, None),
            (0x01, Some(1), Some("1.0")),
            (0x11, Some(1), Some("1.0")),
            (0x13, Some(3), Some("2.0?")),
            (0x02, Some(2), None),
            (0x30, None, None),
            // Reserved bits.
            (0x89, Some(1), Some("1.0")),
            (0xff, Some(7), None),
        ];
        for (afi, active, running) in cases {
            let page = page(afi)?;
            let log = FirmwareSlots::ref_from_bytes(&page).map_err(|_| EINVAL)?;
            assert_eq!(log.active(), active);
            assert_eq!(log.running().as_ref().map(Text::as_str), running);
        }
        Ok(())
    }

    #[test]
    fn no_slot_beyond_the_last() -> Result {
        let page = KVec::from_elem(b'x', 512, GFP_KERNEL)?;
        let log = FirmwareSlots::ref_from_bytes(&page).map_err(|_| EINVAL)?;
        for slot in 0..=u8::MAX {
            assert_eq!(log.revision(slot).is_some(), (1..=7).contains(&slot));
        }
        Ok(())
    }
}
