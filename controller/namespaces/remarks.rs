// SPDX-License-Identifier: GPL-2.0

//! What the log has of namespaces: scans come often, a line comes once, and again when it has
//! changed. A device may say something else of each of thousands of namespaces in each scan: the
//! lines of a minute are bounded, and so is what is remembered.

use crate::{
    nvme::{
        CommandSet,
        NamespaceError,
        NotAscending,
        Nsid,
        Status,
        WrongLength, //
    },
    policy::{
        LogBudget,
        Relation, //
    },
};
use kernel::{
    prelude::*,
    time::Instant, //
};

/// The most lines of scans in a minute.
const LINES: u32 = 64;
/// The most remarks that are remembered.
const MOST: usize = 1024;
/// After so many scans in which a remark was not made, and which did not reach the end, it is
/// forgotten.
const SCANS: u8 = 8;

/// A line of the log about a namespace, or about the list of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Remark {
    /// The command set is not driven.
    CommandSet(CommandSet),
    /// Identify Namespace describes no disk.
    Unusable(NamespaceError),
    /// A block of so many bytes is more than a transfer.
    LargeBlock(u32),
    /// It was not ready for too long.
    NotReady,
    /// It has no disk, for this error.
    LeftOut(Error),
    /// The controller refuses a data structure of this name.
    Refused(&'static str, Status),
    /// A descriptor contradicts itself.
    Descriptor(WrongLength),
    /// It has the identifiers of another.
    Twin(Relation),
    /// No namespace has a disk.
    None,
    /// There is no list, and there may be more namespaces than so many.
    Unlisted(u32),
    /// The list contradicts itself.
    List(NotAscending),
    /// The list is refused.
    ListRefused(Status),
    /// The scan failed.
    Failed(Error),
    /// There are more namespaces than so many.
    TooMany(usize),
    /// So many namespaces are in the list but inactive; the first of them.
    Inactive(u32, Nsid),
}

/// A remark that the log has.
struct Said {
    /// The namespace; `None`: the list of them.
    nsid: Option<Nsid>,
    remark: Remark,
    /// How many scans ago it was made; 0: in this one.
    age: u8,
}

/// The remarks that the log has, and that still hold.
pub(super) struct Remarks {
    said: KVec<Said>,
    is_mute: bool,
    budget: LogBudget,
    /// The lines that were left out, and when the log has their number.
    missed: (u32, LogBudget),
}

impl Remarks {
    /// The log has none.
    pub(super) const fn new() -> Self {
        Self::make(false)
    }

    /// For a look that is followed by a scan, which says what there is to say.
    pub(super) const fn mute() -> Self {
        Self::make(true)
    }

    const fn make(is_mute: bool) -> Self {
        Self {
            said: KVec::new(),
            is_mute,
            budget: LogBudget::of_a_minute(LINES),
            missed: (0, LogBudget::of_a_minute(1)),
        }
    }

    /// A scan begins.
    pub(super) fn begin(&mut self) {
        for said in &mut self.said {
            said.age = said.age.saturating_add(1);
        }
        self.said.retain(|said| said.age <= SCANS);
    }

    /// A scan has looked at all namespaces: what it did not find again is news the next time.
    pub(super) fn end(&mut self) {
        self.said.retain(|said| said.age == 0);
    }

    /// Whether the log is to have this `remark` about namespace `nsid` (`None`: about all of them).
    pub(super) fn is_new(&mut self, nsid: impl Into<Option<Nsid>>, remark: Remark) -> bool {
        if self.is_mute {
            return false;
        }
        let nsid = nsid.into();
        let is_it = |said: &&mut Said| said.nsid == nsid && said.remark == remark;
        if let Some(said) = self.said.iter_mut().find(is_it) {
            said.age = 0;
            return false;
        }
        // What is left out is news in the next scan.
        if self.said.len() >= MOST {
            self.missed.0 = self.missed.0.saturating_add(1);
            return false;
        }
        if !self.may_log() {
            return false;
        }
        let said = Said {
            nsid,
            remark,
            age: 0,
        };
        // Without memory the next scan says it again.
        let _ = self.said.push(said, GFP_KERNEL);
        true
    }

    /// Whether the log is to have a line that is new each time, because something has changed.
    pub(super) fn may_log(&mut self) -> bool {
        let admitted = self.budget.admit(Instant::now());
        if admitted.is_none() {
            self.missed.0 = self.missed.0.saturating_add(1);
        }
        admitted.is_some()
    }

    /// How many lines were left out, once a minute.
    pub(super) fn left_out(&mut self) -> Option<u32> {
        let (missed, budget) = &mut self.missed;
        if *missed == 0 {
            return None;
        }
        budget.admit(Instant::now())?;
        Some(core::mem::take(missed))
    }
}

#[kunit_tests(rnvme_remarks)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_once_until_it_has_changed() -> Result {
        let (first, second) = (Nsid::new(1).ok_or(EINVAL)?, Nsid::new(2).ok_or(EINVAL)?);
        let mut remarks = Remarks::new();
        for (nsid, remark, is_new) in [
            (Some(first), Remark::NotReady, true),
            (Some(second), Remark::NotReady, true),
            (Some(first), Remark::NotReady, false),
            (Some(first), Remark::LeftOut(EIO), true),
            (None, Remark::None, true),
        ] {
            assert_eq!(remarks.is_new(nsid, remark), is_new);
        }
        // A scan that ends early forgets nothing.
        remarks.begin();
        assert!(!remarks.is_new(first, Remark::NotReady));
        remarks.begin();
        assert!(!remarks.is_new(second, Remark::NotReady));
        remarks.end();
        assert!(!remarks.is_new(second, Remark::NotReady));
        assert!(remarks.is_new(first, Remark::NotReady));
        assert!(!Remarks::mute().is_new(first, Remark::NotReady));
        Ok(())
    }

    #[test]
    fn what_changes_each_time_is_bounded() -> Result {
        let mut remarks = Remarks::new();
        let mut lines = 0;
        for scan in 0..300 {
            remarks.begin();
            for nsid in (1..40).filter_map(Nsid::new) {
                // A scan that never reaches its end, and another status each time.
                let remark = Remark::ListRefused(Status::from_raw(scan));
                lines += u32::from(remarks.is_new(nsid, remark));
            }
        }
        assert_eq!(lines, LINES);
        // The log has the number of the others once.
        assert_eq!(remarks.left_out(), Some(300 * 39 - LINES));
        assert_eq!(remarks.left_out(), None);
        // What was said long ago is forgotten.
        assert!(remarks.said.is_empty());
        assert!(!remarks.may_log() && remarks.left_out().is_none());
        Ok(())
    }
}
