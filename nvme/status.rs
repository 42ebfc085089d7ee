// SPDX-License-Identifier: GPL-2.0

//! The statuses of the specification: one table of code, class and name.
//!
//! Base 3.3.3.2.1.1 (generic), .2 (command specific), .3 (media), .4 (path); NVM 3.1.2.

use self::Outcome::{
    IoError,
    Medium,
    NoSpace,
    NotSupported,
    Protection,
    ResvConflict,
    Success,
    Target,
    Transport, //
};
use kernel::prelude::*;

/// The class of a status, as the block layer tells classes apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The command succeeded.
    Success,
    /// The controller or namespace does not support the command.
    NotSupported,
    /// The namespace has no room left.
    NoSpace,
    /// The target refuses for now, or the blocks do not exist.
    Target,
    /// The medium failed.
    Medium,
    /// End-to-end protection found damage.
    Protection,
    /// Another host holds a reservation.
    ResvConflict,
    /// The path to the device failed.
    Transport,
    /// Anything else.
    IoError,
}

/// A row of the table: one status.
pub(super) struct Row {
    /// Status Code Type in bits 10:8, Status Code in bits 7:0.
    code: u16,
    /// The class of the status.
    pub(super) outcome: Outcome,
    /// Its name in the specification.
    pub(super) name: &'static str,
}

/// The row of `code`; `None` if the table does not have it.
pub(super) fn find(code: u16) -> Option<&'static Row> {
    let index = TABLE.binary_search_by_key(&code, |row| row.code).ok()?;
    TABLE.get(index)
}

const fn row(code: u16, outcome: Outcome, name: &'static str) -> Row {
    Row {
        code,
        outcome,
        name,
    }
}

/// All statuses by ascending code.
const TABLE: &[Row] = &[
    // Generic.
    row(0x000, Success, "Successful Completion"),
    row(0x001, NotSupported, "Invalid Command Opcode"),
    row(0x002, NotSupported, "Invalid Field in Command"),
    row(0x003, IoError, "Command ID Conflict"),
    row(0x004, IoError, "Data Transfer Error"),
    row(
        0x005,
        IoError,
        "Commands Aborted due to Power Loss Notification",
    ),
    row(0x006, IoError, "Internal Error"),
    row(0x007, IoError, "Command Abort Requested"),
    row(0x008, IoError, "Command Aborted due to SQ Deletion"),
    row(
        0x009,
        IoError,
        "Command Aborted due to Failed Fused Command",
    ),
    row(
        0x00a,
        IoError,
        "Command Aborted due to Missing Fused Command",
    ),
    row(0x00b, NotSupported, "Invalid Namespace or Format"),
    row(0x00c, IoError, "Command Sequence Error"),
    row(0x00d, IoError, "Invalid SGL Segment Descriptor"),
    row(0x00e, IoError, "Invalid Number of SGL Descriptors"),
    row(0x00f, IoError, "Data SGL Length Invalid"),
    row(0x010, IoError, "Metadata SGL Length Invalid"),
    row(0x011, IoError, "SGL Descriptor Type Invalid"),
    row(0x012, IoError, "Invalid Use of Controller Memory Buffer"),
    row(0x013, IoError, "PRP Offset Invalid"),
    row(0x014, IoError, "Atomic Write Unit Exceeded"),
    row(0x015, IoError, "Operation Denied"),
    row(0x016, IoError, "SGL Offset Invalid"),
    row(0x018, IoError, "Host Identifier Inconsistent Format"),
    row(0x019, IoError, "Keep Alive Timer Expired"),
    row(0x01a, IoError, "Keep Alive Timeout Invalid"),
    row(0x01b, IoError, "Command Aborted due to Preempt and Abort"),
    row(0x01c, IoError, "Sanitize Failed"),
    row(0x01d, IoError, "Sanitize In Progress"),
    row(0x01e, IoError, "SGL Data Block Granularity Invalid"),
    row(0x01f, IoError, "Command Not Supported for Queue in CMB"),
    row(0x020, IoError, "Namespace is Write Protected"),
    row(0x021, Target, "Command Interrupted"),
    row(0x022, IoError, "Transient Transport Error"),
    row(
        0x023,
        IoError,
        "Command Prohibited by Command and Feature Lockdown",
    ),
    row(0x024, IoError, "Admin Command Media Not Ready"),
    row(0x080, Target, "LBA Out of Range"),
    row(0x081, NoSpace, "Capacity Exceeded"),
    row(0x082, Target, "Namespace Not Ready"),
    row(0x083, ResvConflict, "Reservation Conflict"),
    row(0x084, IoError, "Format In Progress"),
    row(0x085, IoError, "Invalid Value Size"),
    row(0x086, IoError, "Invalid Key Size"),
    row(0x087, IoError, "KV Key Does Not Exist"),
    row(0x088, IoError, "Unrecovered Error"),
    row(0x089, IoError, "Key Exists"),
    // Command specific.
    row(0x100, IoError, "Completion Queue Invalid"),
    row(0x101, IoError, "Invalid Queue Identifier"),
    row(0x102, IoError, "Invalid Queue Size"),
    row(0x103, IoError, "Abort Command Limit Exceeded"),
    row(0x105, IoError, "Asynchronous Event Request Limit Exceeded"),
    row(0x106, IoError, "Invalid Firmware Slot"),
    row(0x107, IoError, "Invalid Firmware Image"),
    row(0x108, IoError, "Invalid Interrupt Vector"),
    row(0x109, IoError, "Invalid Log Page"),
    row(0x10a, IoError, "Invalid Format"),
    row(
        0x10b,
        IoError,
        "Firmware Activation Requires Conventional Reset",
    ),
    row(0x10c, IoError, "Invalid Queue Deletion"),
    row(0x10d, IoError, "Feature Identifier Not Saveable"),
    row(0x10e, IoError, "Feature Not Changeable"),
    row(0x10f, IoError, "Feature Not Namespace Specific"),
    row(
        0x110,
        IoError,
        "Firmware Activation Requires NVM Subsystem Reset",
    ),
    row(
        0x111,
        IoError,
        "Firmware Activation Requires Controller Level Reset",
    ),
    row(
        0x112,
        IoError,
        "Firmware Activation Requires Maximum Time Violation",
    ),
    row(0x113, IoError, "Firmware Activation Prohibited"),
    row(0x114, IoError, "Overlapping Range"),
    row(0x115, IoError, "Namespace Insufficient Capacity"),
    row(0x116, IoError, "Namespace Identifier Unavailable"),
    row(0x118, IoError, "Namespace Already Attached"),
    row(0x119, IoError, "Namespace Is Private"),
    row(0x11a, IoError, "Namespace Not Attached"),
    row(0x11b, IoError, "Thin Provisioning Not Supported"),
    row(0x11c, IoError, "Controller List Invalid"),
    row(0x11d, IoError, "Device Self-test In Progress"),
    row(0x11e, IoError, "Boot Partition Write Prohibited"),
    row(0x11f, IoError, "Invalid Controller Identifier"),
    row(0x120, IoError, "Invalid Secondary Controller State"),
    row(0x121, IoError, "Invalid Number of Controller Resources"),
    row(0x122, IoError, "Invalid Resource Identifier"),
    row(
        0x123,
        IoError,
        "Sanitize Prohibited While Persistent Memory Region is Enabled",
    ),
    row(0x124, IoError, "ANA Group Identifier Invalid"),
    row(0x125, IoError, "ANA Attach Failed"),
    row(0x126, IoError, "Insufficient Capacity"),
    row(0x127, IoError, "Namespace Attachment Limit Exceeded"),
    row(
        0x128,
        IoError,
        "Prohibition of Command Execution Not Supported",
    ),
    row(0x129, IoError, "I/O Command Set Not Supported"),
    row(0x12a, IoError, "I/O Command Set Not Enabled"),
    row(0x12b, IoError, "I/O Command Set Combination Rejected"),
    row(0x12c, IoError, "Invalid I/O Command Set"),
    row(0x12d, IoError, "Identifier Unavailable"),
    row(0x180, NotSupported, "Conflicting Attributes"),
    row(0x181, Protection, "Invalid Protection Information"),
    row(0x182, Medium, "Attempted Write to Read Only Range"),
    row(0x183, IoError, "Command Size Limit Exceeded"),
    row(0x1b8, IoError, "Zone Boundary Error"),
    row(0x1b9, IoError, "Zone Is Full"),
    row(0x1ba, IoError, "Zone Is Read Only"),
    row(0x1bb, IoError, "Zone Is Offline"),
    row(0x1bc, IoError, "Zone Invalid Write"),
    row(0x1bd, IoError, "Too Many Active Zones"),
    row(0x1be, IoError, "Too Many Open Zones"),
    row(0x1bf, IoError, "Invalid Zone State Transition"),
    // Media and data integrity.
    row(0x280, Medium, "Write Fault"),
    row(0x281, Medium, "Unrecovered Read Error"),
    row(0x282, Protection, "End-to-end Guard Check Error"),
    row(0x283, Protection, "End-to-end Application Tag Check Error"),
    row(0x284, Protection, "End-to-end Reference Tag Check Error"),
    row(0x285, Medium, "Compare Failure"),
    row(0x286, Medium, "Access Denied"),
    row(0x287, Medium, "Deallocated or Unwritten Logical Block"),
    row(0x288, Protection, "End-to-end Storage Tag Check Error"),
    // Path related.
    row(0x300, IoError, "Internal Path Error"),
    row(0x301, IoError, "Asymmetric Access Persistent Loss"),
    row(0x302, IoError, "Asymmetric Access Inaccessible"),
    row(0x303, IoError, "Asymmetric Access Transition"),
    row(0x360, IoError, "Controller Pathing Error"),
    row(0x370, Transport, "Host Pathing Error"),
    row(0x371, IoError, "Command Aborted By Host"),
];

// The binary search of `find` needs ascending codes.
const _: () = {
    let mut i = 1;
    while i < TABLE.len() {
        assert!(TABLE[i - 1].code < TABLE[i].code);
        i += 1;
    }
};

#[kunit_tests(rnvme_status)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found() {
        for row in TABLE {
            assert!(find(row.code).is_some_and(|found| found.name == row.name));
        }
        let found = (0..=0x7ff).filter(|code| find(*code).is_some()).count();
        assert_eq!(found, TABLE.len());
    }

    #[test]
    fn names_are_distinct() {
        for (index, row) in TABLE.iter().enumerate() {
            assert!(!row.name.is_empty());
            assert!(TABLE[..index].iter().all(|other| other.name != row.name));
        }
    }

    #[test]
    fn what_the_specification_has() {
        // First and last of each run of codes without a gap.
        let runs: [(u16, u16); 12] = [
            (0x000, 0x016),
            (0x018, 0x024),
            (0x080, 0x089),
            (0x100, 0x103),
            (0x105, 0x116),
            (0x118, 0x12d),
            (0x180, 0x183),
            (0x1b8, 0x1bf),
            (0x280, 0x288),
            (0x300, 0x303),
            (0x360, 0x360),
            (0x370, 0x371),
        ];
        for code in 0..=0x7ff {
            let named = runs
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&code));
            assert_eq!(find(code).is_some(), named);
        }
    }

    #[test]
    fn classes_are_those_of_linux() {
        // `nvme_error_status` of Linux 7.3; every other status is an I/O error.
        let classes: &[(Outcome, &[u16])] = &[
            (Success, &[0x000]),
            (NoSpace, &[0x081]),
            (Target, &[0x080, 0x021, 0x082]),
            (NotSupported, &[0x180, 0x001, 0x002, 0x00b]),
            (Medium, &[0x280, 0x281, 0x287, 0x286, 0x182, 0x285]),
            (Protection, &[0x282, 0x283, 0x284, 0x181, 0x288]),
            (ResvConflict, &[0x083]),
            (Transport, &[0x370]),
        ];
        for row in TABLE {
            let class = classes.iter().find(|(_, codes)| codes.contains(&row.code));
            assert_eq!(row.outcome, class.map_or(IoError, |(outcome, _)| *outcome));
        }
    }

    #[test]
    fn only_zero_is_success() {
        let successes = TABLE.iter().filter(|row| row.outcome == Success).count();
        assert_eq!(successes, 1);
    }
}
