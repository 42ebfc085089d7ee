// SPDX-License-Identifier: GPL-2.0

//! The completion queue entry, and what its status means.
//!
//! Base 3.3.3.2. The names and classes of the statuses are one table, in `status.rs`.

use super::{
    ids::CommandId,
    status, //
};
use core::mem::offset_of;
use kernel::{
    fmt,
    prelude::*, //
};

/// A completion queue entry: 16 bytes. The device writes it: it is never the target of a
/// reference, and is read by its two 64-bit words.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Cqe {
    /// Dwords 0 and 1: what the command returns.
    pub(crate) result: u64,
    /// Dwords 2 and 3, to be read at once.
    pub(crate) tail: CqeTail,
}

const _: () = {
    assert!(size_of::<Cqe>() == 16);
    assert!(offset_of!(Cqe, result) == 0);
    assert!(offset_of!(Cqe, tail) == 8);
};

/// Dwords 2 and 3 of a completion queue entry.
///
/// ```text
///   63         49   48   47      32 31      16 15           0
///  |   status   | phase |   CID    |   SQID   | SQ head      |
/// ```
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(crate) struct CqeTail(u64);

impl CqeTail {
    /// The word as it lies in the ring.
    #[inline(always)]
    pub(crate) const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// The phase tag, which tells a new entry from an old one: 0 or 1.
    #[inline(always)]
    pub(crate) const fn phase(self) -> u64 {
        (self.0 >> 48) & 1
    }

    /// The command that is complete, if the device can be believed.
    #[inline(always)]
    pub(crate) const fn command_id(self) -> CommandId {
        // CAST: bits 47:32.
        CommandId::from_raw((self.0 >> 32) as u16)
    }

    /// How it went.
    #[inline(always)]
    pub(crate) const fn status(self) -> Status {
        // CAST: bits 63:49.
        Status((self.0 >> 49) as u16)
    }
}

/// The status field of a completion without its phase tag (Base 3.3.3.2.1).
///
/// ```text
///    14   13   12 11 10  8 7        0
///  | DNR | M | CRD  | SCT |    SC    |
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(u16);

impl Status {
    const DNR: u16 = 1 << 14;

    /// Host Aborted Command (Base 3.3.3.2.1.4): the driver gave the command up.
    pub(crate) const HOST_ABORTED: Self = Self(0x371);

    /// The status field, shifted right by the phase tag: 15 bits.
    #[inline(always)]
    pub(crate) const fn from_raw(raw: u16) -> Self {
        Self(raw)
    }

    /// What [`Self::from_raw`] takes.
    #[inline(always)]
    pub(crate) const fn raw(self) -> u16 {
        self.0
    }

    /// Whether the command did what it was asked to.
    #[inline(always)]
    pub(crate) const fn is_success(self) -> bool {
        self.code() == 0
    }

    /// Status Code Type and Status Code: what the table is sorted by.
    const fn code(self) -> u16 {
        self.0 & 0x7ff
    }

    /// Status Code Type: 0 generic, 1 command specific, 2 media, 3 path, 7 vendor.
    pub(crate) const fn sct(self) -> u16 {
        self.code() >> 8
    }

    /// Status Code.
    pub(crate) const fn sc(self) -> u16 {
        self.0 & 0xff
    }

    /// Command Retry Delay: 0 for none, else which of CRDT1 to CRDT3 of Identify Controller.
    pub(crate) const fn crd(self) -> u16 {
        (self.0 >> 11) & 3
    }

    /// Do Not Retry: the same command is expected to fail again.
    pub(crate) const fn do_not_retry(self) -> bool {
        self.0 & Self::DNR != 0
    }

    /// The class of the status.
    pub(crate) fn outcome(self) -> Outcome {
        status::find(self.code()).map_or(Outcome::IoError, |row| row.outcome)
    }

    /// Whether the same command may well succeed when it is sent again.
    pub(crate) fn is_retryable(self) -> bool {
        !self.do_not_retry()
            && !matches!(
                self.outcome(),
                Outcome::Success | Outcome::NotSupported | Outcome::NoSpace | Outcome::ResvConflict
            )
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match (status::find(self.code()), self.sct(), self.sc()) {
            (Some(row), _, _) => row.name,
            (None, 7, _) | (None, _, 0xc0..) => "vendor specific status",
            (None, ..) => "unknown status",
        };
        let dnr = if self.do_not_retry() { ", DNR" } else { "" };
        write!(
            f,
            "{name} (sct {:#x} / sc {:#x}{dnr})",
            self.sct(),
            self.sc()
        )
    }
}

/// What a status means to those who asked: the classes that the block layer tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was done.
    Success,
    /// The controller or namespace cannot do it.
    NotSupported,
    /// The namespace has no room left.
    NoSpace,
    /// The target refuses for now, or the blocks do not exist.
    Target,
    /// The medium failed.
    Medium,
    /// End-to-end protection found damage.
    Protection,
    /// Somebody else holds a reservation.
    ResvConflict,
    /// The way to the device failed.
    Transport,
    /// Anything else.
    IoError,
}
