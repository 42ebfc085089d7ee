// SPDX-License-Identifier: GPL-2.0

//! Limits of Write Zeroes (NVM 3.2.8), or of the command that serves for it.

use super::{
    Calculation,
    Discard,
    Ignored, //
};
use crate::{
    num::SECTOR_SHIFT,
    policy::quirks::Quirks, //
};
use kernel::prelude::*;

/// Maximum blocks of one Write Zeroes: NLB has 16 bits.
const MAX_ZEROES_BLOCKS: u32 = 1 << 16;

impl Calculation<'_> {
    /// Sectors of the largest Write Zeroes; 0: not supported. And whether Dataset Management serves
    /// for it.
    pub(super) fn zeroes(&mut self, discard: Discard) -> (u32, bool) {
        let by_discard = self.source.quirks.has(Quirks::DEALLOCATE_ZEROES);
        if by_discard && discard.sectors != 0 {
            return (discard.sectors, true);
        }
        (self.write_zeroes(), false)
    }

    fn write_zeroes(&mut self) -> u32 {
        let is_broken = self.source.quirks.has(Quirks::DISABLE_WRITE_ZEROES);
        if is_broken || !self.source.controller.write_zeroes {
            return 0;
        }
        // MDTS does not limit a command without data, but some devices apply it.
        let limit = self.source.nvm.zeroes_bytes;
        let bytes = limit.unwrap_or(self.source.max_transfer.into());
        let blocks = (bytes / u64::from(self.block)).min(MAX_ZEROES_BLOCKS.into());
        if blocks == 0 {
            self.ignore(Ignored::WZSL);
        }
        // CAST: at most 2^16 blocks of 2^7 sectors.
        blocks as u32 * (self.block >> SECTOR_SHIFT)
    }
}

#[kunit_tests(rnvme_zeroes)]
mod tests {
    use super::{
        super::tests::{
            device,
            NO_HINTS, //
        },
        *, //
    };
    use crate::nvme::NamespaceHints;

    #[test]
    fn quirks_change_limits() {
        let with = |quirks, oncs| {
            let hints = NamespaceHints {
                io_boundary: 256,
                ..NO_HINTS
            };
            let mut device = device(9, hints);
            (device.quirks, device.oncs) = (quirks, oncs);
            device.limits().0
        };
        let plain = with(Quirks::NONE, 0xc);
        let striped = with(Quirks::STRIPE_SIZE, 0xc);
        assert_eq!((plain.chunk_sectors, striped.chunk_sectors), (256, 1024));
        let broken = with(Quirks::DISABLE_WRITE_ZEROES, 0xc);
        assert_eq!(
            (broken.zeroes_sectors, broken.deallocating_zeroes),
            (0, false)
        );
        let by_discard = with(Quirks::DEALLOCATE_ZEROES, 0xc);
        assert!(by_discard.zeroes_by_discard && !plain.zeroes_by_discard);
        assert_eq!(by_discard.zeroes_sectors, by_discard.discard.sectors);
        // Without Dataset Management there is only Write Zeroes.
        let without = with(Quirks::DEALLOCATE_ZEROES, 0x8);
        assert_eq!(without, with(Quirks::NONE, 0x8));
    }

    #[test]
    fn zeroes_limits() {
        // Shift, WZSL in bytes, sectors, ignored.
        for (shift, bytes, sectors, ignored) in [
            (9, None, 1024, 0),
            (9, Some(8192), 16, 0),
            (9, Some(1 << 40), 65536, 0),
            (12, Some(u64::MAX), 65536 << 3, 0),
            (16, Some(8192), 0, Ignored::WZSL),
        ] {
            let mut device = device(shift, NO_HINTS);
            device.nvm.zeroes_bytes = bytes;
            let (limits, seen) = device.limits();
            assert_eq!((limits.zeroes_sectors, seen.0), (sectors, ignored));
        }
    }
}
