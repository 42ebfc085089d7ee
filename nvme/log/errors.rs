// SPDX-License-Identifier: GPL-2.0

//! The Error Information log, the newest entry first.
//!
//! Base 5.16.1.2.

use crate::nvme::{
    completion::Status,
    ids::{
        CommandId,
        Nsid,
        QueueId, //
    },
};
use core::mem::offset_of;
use kernel::{
    fmt,
    prelude::*, //
};
use zerocopy_derive::{
    Immutable,
    KnownLayout, //
};

/// An entry, as the device writes it.
#[repr(C)]
#[derive(FromBytes, Immutable, KnownLayout)]
pub(crate) struct RawEntry {
    count: u64,
    sqid: u16,
    cid: u16,
    /// The status field, with the phase tag in bit 0.
    status: u16,
    _location: u16,
    lba: u64,
    nsid: u32,
    _rest: [u8; 36],
}

const _: () = {
    assert!(size_of::<RawEntry>() == ErrorLog::ENTRY_LEN);
    assert!(offset_of!(RawEntry, sqid) == 8);
    assert!(offset_of!(RawEntry, cid) == 10);
    assert!(offset_of!(RawEntry, status) == 12);
    assert!(offset_of!(RawEntry, lba) == 16);
    assert!(offset_of!(RawEntry, nsid) == 24);
};

/// The log (log page 01h): as many entries as the command requested.
#[repr(C)]
#[derive(FromBytes, Immutable, KnownLayout)]
pub(crate) struct ErrorLog {
    entries: [RawEntry],
}

/// An error in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ErrorEntry {
    /// Error count: the number of the error in the controller's life.
    pub(crate) count: u64,
    /// The submission queue of the command; `None` if the error belongs to no command.
    pub(crate) queue: Option<QueueId>,
    /// The command; `None` if the error belongs to no command.
    pub(crate) command: Option<CommandId>,
    /// The status of the command.
    pub(crate) status: Status,
    /// The first logical block that is affected, if any is.
    pub(crate) lba: u64,
    /// The namespace; `None` if the error belongs to no single namespace.
    pub(crate) nsid: Option<Nsid>,
}

impl ErrorLog {
    /// Bytes of an entry.
    pub(crate) const ENTRY_LEN: usize = 64;

    /// The valid entries, the newest first. An error count of 0 ends them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = ErrorEntry> + '_ {
        self.entries
            .iter()
            .take_while(|raw| raw.count != 0)
            .map(|raw| {
                let of_command = |value: u16| (value != u16::MAX).then_some(value);
                ErrorEntry {
                    count: raw.count,
                    queue: of_command(raw.sqid).map(QueueId::new),
                    command: of_command(raw.cid).map(CommandId::from_raw),
                    status: Status::from_raw(raw.status >> 1),
                    lba: raw.lba,
                    nsid: Nsid::new(raw.nsid),
                }
            })
    }
}

impl fmt::Display for ErrorEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error {}: ", self.count)?;
        fmt::Display::fmt(&self.status, f)?;
        if let (Some(queue), Some(command)) = (self.queue, self.command) {
            write!(f, ", queue {}, command {:#x}", queue.raw(), command.raw())?;
        }
        if let Some(nsid) = self.nsid {
            write!(f, ", namespace {}, LBA {}", nsid.get(), self.lba)?;
        }
        Ok(())
    }
}

#[kunit_tests(rnvme_log_errors)]
mod tests {
    use super::*;
    use kernel::str::CString;
    use zerocopy::FromBytes;

    /// A log of `entries` entries of `fill` but for `fields`, each an offset and its bytes.
    fn page(entries: usize, fill: u8, fields: &[(usize, &[u8])]) -> Result<KVec<u8>> {
        let mut page = KVec::from_elem(fill, entries * ErrorLog::ENTRY_LEN, GFP_KERNEL)?;
        for (offset, bytes) in fields {
            page[*offset..*offset + bytes.len()].copy_from_slice(bytes);
        }
        Ok(page)
    }

    /// The number of valid entries, and the last one.
    fn last(page: &[u8]) -> Result<(usize, Option<ErrorEntry>)> {
        let log = ErrorLog::ref_from_bytes(page).map_err(|_| EINVAL)?;
        Ok((log.iter().count(), log.iter().last()))
    }

    #[test]
    fn entries() -> Result {
        let fields: &[(usize, &[u8])] = &[
            (0, &[2]),
            (64, &[1]),
            (72, &[3, 0, 0x34, 0x12, 0x03, 0x45, 0x28, 0x05]),
            (80, &[9]),
            (88, &[7]),
        ];
        let page = page(3, 0, fields)?;
        let (count, entry) = last(&page)?;
        let expected = ErrorEntry {
            count: 1,
            queue: Some(QueueId::new(3)),
            command: Some(CommandId::from_raw(0x1234)),
            status: Status::from_raw(0x2281),
            lba: 9,
            nsid: Nsid::new(7),
        };
        assert_eq!((count, entry), (2, Some(expected)));
        let text = CString::try_from_fmt(fmt!("{expected}"))?;
        let words = b"error 1: Unrecovered Read Error (sct 0x2 / sc 0x81), queue 3, \
                      command 0x1234, namespace 7, LBA 9";
        assert_eq!(text.to_bytes(), words);
        Ok(())
    }

    #[test]
    fn none_and_any() -> Result {
        assert_eq!(last(&page(2, 0, &[])?)?, (0, None));
        // An error of no command and no namespace.
        let (count, entry) = last(&page(256, 0xff, &[])?)?;
        let entry = entry.ok_or(EINVAL)?;
        assert_eq!((count, entry.count), (256, u64::MAX));
        assert!(entry.queue.is_none() && entry.command.is_none() && entry.nsid.is_none());
        let text = CString::try_from_fmt(fmt!("{entry}"))?;
        let words: &[u8] =
            b"error 18446744073709551615: vendor specific status (sct 0x7 / sc 0xff, DNR)";
        assert_eq!(text.to_bytes(), words);
        // An entry that is cut off is refused.
        assert!(ErrorLog::ref_from_bytes(&page(1, 0, &[])?[..63]).is_err());
        Ok(())
    }
}
