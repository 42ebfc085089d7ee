// SPDX-License-Identifier: GPL-2.0

//! Get Log Page: the type parameter names the page.
//!
//! Base 5.16.

use super::{
    admin::AdminCommand,
    Sqe, //
};
use crate::{
    num::{
        u16_as_usize,
        u32_as_usize, //
    },
    nvme::log::{
        ChangedNamespaces,
        ErrorLog,
        FirmwareSlots,
        SmartLog, //
    },
};
use core::marker::PhantomData;
use kernel::prelude::*;
use zerocopy::{
    Immutable,
    KnownLayout, //
};

/// A log page (Base 5.16.1).
pub(crate) trait LogPage: FromBytes + Immutable + KnownLayout {
    /// Log Page Identifier.
    const LID: u8;
    /// The name of the page, which log lines show after the name of the command.
    const NAME: &'static str;
}

impl LogPage for ErrorLog {
    const LID: u8 = 0x01;
    const NAME: &'static str = " (Error Information)";
}

impl LogPage for SmartLog {
    const LID: u8 = 0x02;
    const NAME: &'static str = " (SMART / Health Information)";
}

impl LogPage for FirmwareSlots {
    const LID: u8 = 0x03;
    const NAME: &'static str = " (Firmware Slot Information)";
}

impl LogPage for ChangedNamespaces {
    const LID: u8 = 0x04;
    const NAME: &'static str = " (Changed Namespace List)";
}

/// Get Log Page, for page `P` of the whole controller. The admin queue adds the data pointer.
pub(crate) struct GetLogPage<P: ?Sized> {
    /// Length of the page in dwords, 1 or more.
    dwords: u32,
    /// Whether the read leaves the event of this page masked.
    retains: bool,
    page: PhantomData<P>,
}

impl<P: LogPage + ?Sized> GetLogPage<P> {
    const fn new(len: usize) -> Self {
        Self {
            // CAST: the longest page, 256 errors, has 4096 dwords.
            dwords: (len / size_of::<u32>()) as u32,
            retains: false,
            page: PhantomData,
        }
    }

    /// The same, with Retain Asynchronous Event if `retains`: the controller does not report the
    /// event of this page again until a read without it.
    pub(crate) const fn retaining(mut self, retains: bool) -> Self {
        self.retains = retains;
        self
    }

    /// Length of the page in bytes.
    pub(crate) const fn len(&self) -> usize {
        u32_as_usize(self.dwords) * size_of::<u32>()
    }
}

impl GetLogPage<ErrorLog> {
    /// The newest `entries` errors of Error Information, brought into 1 to 256. The caller asks for
    /// no more than the controller keeps (ELPE).
    pub(crate) const fn errors(entries: u16) -> Self {
        let entries = if entries == 0 {
            1
        } else if entries > 256 {
            256
        } else {
            entries
        };
        Self::new(u16_as_usize(entries) * ErrorLog::ENTRY_LEN)
    }
}

impl GetLogPage<SmartLog> {
    /// SMART / Health Information.
    pub(crate) const fn smart() -> Self {
        Self::new(size_of::<SmartLog>())
    }
}

impl GetLogPage<FirmwareSlots> {
    /// Firmware Slot Information.
    pub(crate) const fn firmware_slots() -> Self {
        Self::new(size_of::<FirmwareSlots>())
    }
}

impl GetLogPage<ChangedNamespaces> {
    /// Changed Namespace List.
    pub(crate) const fn changed_namespaces() -> Self {
        Self::new(size_of::<ChangedNamespaces>())
    }
}

impl<P: LogPage + ?Sized> AdminCommand for GetLogPage<P> {
    type Reply = ();
    const OPCODE: u8 = 0x02;
    const DETAIL: &'static str = P::NAME;

    fn sqe(&self) -> Sqe {
        /// The broadcast NSID: the page of the controller, not of a namespace.
        const WHOLE_CONTROLLER: u32 = u32::MAX;
        const RETAIN_EVENT: u32 = 1 << 15;
        let retain = if self.retains { RETAIN_EVENT } else { 0 };
        let dwords_z = self.dwords.saturating_sub(1);
        Sqe {
            cdw10: (dwords_z << 16) | retain | u32::from(P::LID),
            cdw11: dwords_z >> 16,
            ..Sqe::new(Self::OPCODE, WHOLE_CONTROLLER)
        }
    }

    fn reply(&self, _dw0: u32) {}
}

#[kunit_tests(rnvme_log_page)]
mod tests {
    use super::{
        super::tests::is,
        *, //
    };

    /// The whole controller.
    const ALL: (usize, &[u8]) = (4, &[0xff; 4]);

    #[test]
    fn pages() {
        // Command, CDW10, bytes.
        let smart = GetLogPage::smart();
        assert!(is(smart.sqe(), &[(0, &[2]), ALL, (40, &[2, 0, 127, 0])]));
        assert_eq!(smart.len(), 512);
        let retaining = GetLogPage::smart().retaining(true).sqe();
        assert!(is(retaining, &[(0, &[2]), ALL, (40, &[2, 0x80, 127, 0])]));
        let firmware = GetLogPage::firmware_slots();
        assert!(is(firmware.sqe(), &[(0, &[2]), ALL, (40, &[3, 0, 127, 0])]));
        assert_eq!(firmware.len(), 512);
        let changed = GetLogPage::changed_namespaces();
        assert!(is(changed.sqe(), &[(0, &[2]), ALL, (40, &[4, 0, 0xff, 3])]));
        assert_eq!(changed.len(), 4096);
    }

    #[test]
    fn error_entries() {
        // Entries, NUMDL, bytes.
        for (entries, numdl, len) in [
            (0, [15, 0], 64),
            (1, [15, 0], 64),
            (4, [63, 0], 256),
            (256, [0xff, 0x0f], 16384),
            (257, [0xff, 0x0f], 16384),
            (u16::MAX, [0xff, 0x0f], 16384),
        ] {
            let command = GetLogPage::errors(entries);
            assert!(is(
                command.sqe(),
                &[(0, &[2]), ALL, (40, &[1, 0]), (42, &numdl)]
            ));
            assert_eq!(command.len(), len);
        }
    }

    #[test]
    fn pages_of_more_than_65536_dwords() {
        let command = GetLogPage::<ErrorLog>::new(0x12_3458 * 4);
        assert!(is(
            command.sqe(),
            &[(0, &[2]), ALL, (40, &[1, 0, 0x57, 0x34]), (44, &[0x12])]
        ));
    }
}
