// SPDX-License-Identifier: GPL-2.0

//! The completion queue entry, and the meaning of its status.
//!
//! Base 3.3.3.2. `status.rs` has the table of status names and classes.

pub(crate) use super::status::Outcome;

use super::{
    ids::CommandId,
    status, //
};

use crate::num::u16_as_u32;
use core::mem::offset_of;
use kernel::{
    fmt,
    prelude::*, //
};

/// A completion queue entry: 16 bytes. The device writes it, so the driver makes no reference to it
/// and reads it in two pieces.
#[repr(C)]
#[expect(dead_code, reason = "a layout only: the device writes the entries")]
pub(crate) struct Cqe {
    /// Dwords 0 and 1: the result of the command.
    pub(crate) result: u64,
    /// The controller's head of the submission queue.
    pub(crate) sq_head: u16,
    /// Identifier of the submission queue.
    pub(crate) sqid: u16,
    /// Dword 3, read in one access: see [`CqeEnd`].
    pub(crate) end: u32,
}

const _: () = {
    assert!(size_of::<Cqe>() == 16);
    assert!(offset_of!(Cqe, result) == 0);
    assert!(offset_of!(Cqe, sq_head) == 8);
    assert!(offset_of!(Cqe, sqid) == 10);
    assert!(offset_of!(Cqe, end) == 12);
};

/// The phase tag that new entries have in a round of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Phase {
    /// XOR mask that makes the phase tag 1.
    flip: u32,
}

impl Phase {
    /// The phase tag of the first round: 1.
    pub(crate) const FIRST: Self = Self { flip: 0 };

    /// The phase tag of the next round.
    #[inline(always)]
    pub(crate) const fn next(self) -> Self {
        Self {
            flip: self.flip ^ CqeEnd::NEW,
        }
    }
}

/// Dword 3 of a new completion queue entry. The phase tag is always 1 here, whatever it is in the
/// ring.
///
/// ```text
///   31         17   16   15           0
///  |   status   | phase |     CID      |
/// ```
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CqeEnd(u32);

impl CqeEnd {
    /// The bit of the phase tag.
    const NEW: u32 = 1 << 16;

    /// Decodes `raw`, dword 3 as it lies in the ring; `None` if the entry is not new in a round of
    /// `phase`.
    #[inline(always)]
    pub(crate) const fn new(raw: u32, phase: Phase) -> Option<Self> {
        let end = raw ^ phase.flip;
        if end & Self::NEW == 0 {
            return None;
        }
        Some(Self(end))
    }

    /// The value for a plain success of `cid`: all bits of the status are 0.
    #[inline(always)]
    pub(crate) const fn success(cid: CommandId) -> Self {
        Self(Self::NEW | u16_as_u32(cid.raw()))
    }

    /// The value as a number, never 0.
    #[inline(always)]
    pub(crate) const fn raw(self) -> u32 {
        self.0
    }

    /// The identifier of the completed command: the device may write any value.
    #[inline(always)]
    pub(crate) const fn command_id(self) -> CommandId {
        // CAST: bits 15:0.
        CommandId::from_raw(self.0 as u16)
    }

    /// The status of the command.
    #[inline(always)]
    pub(crate) const fn status(self) -> Status {
        // CAST: bits 31:17.
        Status((self.0 >> 17) as u16)
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
    /// Do Not Retry.
    pub(crate) const DNR: u16 = 1 << 14;
    /// Command Retry Delay.
    pub(crate) const CRD: u16 = 3 << 11;

    /// Command Aborted By Host (Base 3.3.3.2.1.4): the driver ended the command, not the
    /// controller.
    pub(crate) const HOST_ABORTED: Self = Self(0x371);

    /// The status from the status field `raw` without its phase tag: 15 bits.
    #[inline(always)]
    pub(crate) const fn from_raw(raw: u16) -> Self {
        Self(raw)
    }

    /// The value that [`Self::from_raw`] takes.
    #[inline(always)]
    pub(crate) const fn raw(self) -> u16 {
        self.0
    }

    /// Whether the command succeeded: SCT and SC are 0.
    #[inline(always)]
    pub(crate) const fn is_success(self) -> bool {
        self.code() == 0
    }

    /// Status Code Type and Status Code: the key of the table.
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

    /// Do Not Retry: the same command is expected to fail again.
    pub(crate) const fn do_not_retry(self) -> bool {
        self.0 & Self::DNR != 0
    }

    /// Command Retry Delay: which of the controller's three delays (1 to 3) to wait before a retry;
    /// 0: none.
    pub(crate) const fn retry_delay(self) -> u16 {
        (self.0 & Self::CRD) >> 11
    }

    /// Whether the controller has completed the command; otherwise the driver ended it.
    pub(crate) fn is_from_controller(self) -> bool {
        self != Self::HOST_ABORTED
    }

    /// Whether the namespace, or the media of the controller, are not ready yet or being formatted,
    /// so that the same command succeeds later: Admin Command Media Not Ready, Namespace Not Ready,
    /// Format In Progress.
    pub(crate) const fn is_not_ready(self) -> bool {
        matches!(self.code(), 0x024 | 0x082 | 0x084) && !self.do_not_retry()
    }

    /// Whether the controller does not know the namespace: Invalid Namespace or Format.
    pub(crate) const fn is_invalid_namespace(self) -> bool {
        self.code() == 0x00b
    }

    /// Whether a queue cannot have this number: it is too large, or in use (Invalid Queue Identifier).
    pub(crate) const fn is_invalid_queue(self) -> bool {
        self.code() == 0x101
    }

    /// The class of the status.
    pub(crate) fn outcome(self) -> Outcome {
        status::find(self.code()).map_or(Outcome::IoError, |row| row.outcome)
    }

    /// Whether the controller does not support the optional function that it was asked for, and will
    /// not until it is reset: many controllers say so without Do Not Retry. What a namespace refuses
    /// is not among these statuses.
    pub(crate) const fn is_unsupported(self) -> bool {
        const INVALID_OPCODE: u16 = 0x001;
        const INVALID_FIELD: u16 = 0x002;
        const INVALID_LOG_PAGE: u16 = 0x109;
        const NOT_SAVEABLE: u16 = 0x10d;
        const NOT_NAMESPACE_SPECIFIC: u16 = 0x10f;
        const COMMAND_SET_NOT_SUPPORTED: u16 = 0x129;
        matches!(
            self.code(),
            INVALID_OPCODE | INVALID_FIELD | INVALID_LOG_PAGE | NOT_SAVEABLE
                ..=NOT_NAMESPACE_SPECIFIC | COMMAND_SET_NOT_SUPPORTED
        )
    }

    /// Whether a retry of the command may succeed.
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

#[kunit_tests(rnvme_completion)]
mod tests {
    use super::*;
    use kernel::str::CString;

    /// Dword 3 of a new entry: command 9abch, then the two bytes of `status`.
    fn end(status: [u8; 2]) -> CqeEnd {
        let [low, high] = status;
        let raw = u32::from_le_bytes([0xbc, 0x9a, low, high]);
        CqeEnd::new(raw, Phase::FIRST)
            .or_else(|| CqeEnd::new(raw, Phase::FIRST.next()))
            .unwrap()
    }

    #[test]
    fn parts_of_an_entry() {
        assert_eq!(end([0, 0]).command_id().raw(), 0x9abc);
        assert_eq!(end([0xff, 0xff]).command_id().raw(), 0x9abc);
        assert_eq!(end([0x03, 0x45]).status().raw(), 0x2281);
        assert!(end([0x01, 0x00]).status().is_success());
        assert!(!end([0x02, 0x00]).status().is_success());
    }

    #[test]
    fn phase_is_apart_from_the_status() {
        let (first, second) = (Phase::FIRST, Phase::FIRST.next());
        assert_eq!(second.next(), first);
        for (raw, phase) in [
            (0x0001_0000, first),
            (0x0000_0000, second),
            (0xffff_ffff, first),
            (0xfffe_ffff, second),
        ] {
            assert!(CqeEnd::new(raw, phase).is_some());
            assert!(CqeEnd::new(raw, phase.next()).is_none());
        }
        assert_eq!(end([0xfe, 0xff]), end([0xff, 0xff]));
    }

    #[test]
    fn success_is_one_value() {
        let plain = CqeEnd::success(CommandId::from_raw(0x9abc));
        for status in [[0x00, 0x00], [0x01, 0x00]] {
            assert_eq!(end(status), plain);
        }
        // Any bit of the status, hints included, gives another value, and so does any other
        // command.
        for bit in 1..16 {
            assert!(end((1u16 << bit).to_le_bytes()) != plain);
        }
        for bit in 0..16 {
            assert!(CqeEnd::success(CommandId::from_raw(0x9abc ^ 1 << bit)) != plain);
        }
    }

    #[test]
    fn parts_of_a_status() {
        // Wire status (CQE dword 3, bytes 2 and 3), SCT, SC, CRD, DNR.
        let cases = [
            ([0x02, 0x00], 0, 0x01, 0, false),
            ([0xfe, 0x01], 0, 0xff, 0, false),
            ([0x00, 0x0e], 7, 0x00, 0, false),
            ([0x00, 0x10], 0, 0x00, 1, false),
            ([0x00, 0x20], 0, 0x00, 2, false),
            ([0x00, 0x30], 0, 0x00, 3, false),
            ([0x00, 0x40], 0, 0x00, 0, false),
            ([0x00, 0x80], 0, 0x00, 0, true),
            ([0x02, 0xa5], 2, 0x81, 2, true),
            ([0xff, 0xff], 7, 0xff, 3, true),
        ];
        for (wire, sct, sc, crd, dnr) in cases {
            let status = end(wire).status();
            assert_eq!(status.sct(), sct);
            assert_eq!(status.sc(), sc);
            assert_eq!(status.retry_delay(), crd);
            assert_eq!(status.do_not_retry(), dnr);
        }
    }

    #[test]
    fn hints_do_not_make_an_error() {
        // More, retry delay and DNR without a code: still success.
        assert!(Status::from_raw(0x7800).is_success());
        assert!(!Status::from_raw(0x7801).is_success());
        assert_eq!(Status::from_raw(0x7800).outcome(), Outcome::Success);
        assert!(!Status::from_raw(0).is_retryable());
    }

    #[test]
    fn statuses_in_words() -> Result {
        let cases: [(u16, &[u8]); 10] = [
            (0x0000, b"Successful Completion (sct 0x0 / sc 0x0)"),
            (0x4281, b"Unrecovered Read Error (sct 0x2 / sc 0x81, DNR)"),
            (0x0080, b"LBA Out of Range (sct 0x0 / sc 0x80)"),
            (0x0371, b"Command Aborted By Host (sct 0x3 / sc 0x71)"),
            (0x0017, b"unknown status (sct 0x0 / sc 0x17)"),
            (0x0104, b"unknown status (sct 0x1 / sc 0x4)"),
            (0x02bf, b"unknown status (sct 0x2 / sc 0xbf)"),
            (0x1c04, b"unknown status (sct 0x4 / sc 0x4)"),
            (0x02c0, b"vendor specific status (sct 0x2 / sc 0xc0)"),
            (0x7fff, b"vendor specific status (sct 0x7 / sc 0xff, DNR)"),
        ];
        for (raw, words) in cases {
            let text = CString::try_from_fmt(fmt!("{}", Status::from_raw(raw)))?;
            assert_eq!(text.to_bytes(), words);
        }
        Ok(())
    }

    #[test]
    fn what_to_retry() {
        let cases = [
            (0x001, false),
            (0x002, false),
            (0x004, true),
            (0x006, true),
            (0x00b, false),
            (0x021, true),
            (0x081, false),
            (0x082, true),
            (0x083, false),
            (0x281, true),
            (0x371, true),
            (0x7ff, true),
        ];
        for (code, retry) in cases {
            assert_eq!(Status::from_raw(code).is_retryable(), retry);
            assert!(!Status::from_raw(code | 0x4000).is_retryable());
        }
    }

    #[test]
    fn what_is_not_ready_yet() {
        for code in 0..=0x7ff {
            let status = Status::from_raw(code);
            assert_eq!(status.is_not_ready(), matches!(code, 0x024 | 0x082 | 0x084));
            assert!(!Status::from_raw(code | Status::DNR).is_not_ready());
            assert_eq!(status.is_invalid_namespace(), code == 0x00b);
        }
        assert!(Status::from_raw(0x400b).is_invalid_namespace());
    }

    #[test]
    fn host_aborted_is_a_path_status() {
        let status = Status::HOST_ABORTED;
        assert_eq!((status.sct(), status.sc()), (3, 0x71));
        assert!(!status.is_from_controller() && Status::from_raw(0).is_from_controller());
        assert_eq!(status.outcome(), Outcome::IoError);
    }

    #[test]
    fn retries_are_among_those_of_linux() {
        // `nvme_decide_disposition` of Linux 7.3 retries every failure without DNR (but for a
        // request for authentication, which PCIe does not have). Of these failures, this driver
        // does not retry the ones below: `blk_path_error` does not blame the path, and a retry
        // cannot end otherwise.
        for code in 0..=0x7ff {
            let status = Status::from_raw(code);
            let in_vain = matches!(code, 0x001 | 0x002 | 0x00b | 0x180 | 0x081 | 0x083 | 0x000);
            assert_eq!(status.is_retryable(), !in_vain);
            assert!(!Status::from_raw(code | 0x4000).is_retryable());
        }
    }
}
