// SPDX-License-Identifier: GPL-2.0

//! What the log has of namespaces: scans come often, a line comes once, and again when it has
//! changed.

use crate::{
    nvme::{
        CommandSet,
        NamespaceError,
        NotAscending,
        Nsid,
        Status,
        WrongLength, //
    },
    policy::Relation, //
};
use kernel::prelude::*;

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
    /// Whether this scan would say it, too.
    is_current: bool,
}

/// The remarks that the log has, and that still hold.
pub(super) struct Remarks {
    said: KVec<Said>,
    is_mute: bool,
}

impl Remarks {
    /// The log has none.
    pub(super) const fn new() -> Self {
        Self {
            said: KVec::new(),
            is_mute: false,
        }
    }

    /// For a look that is followed by a scan, which says what there is to say.
    pub(super) const fn mute() -> Self {
        Self {
            said: KVec::new(),
            is_mute: true,
        }
    }

    /// A scan begins.
    pub(super) fn begin(&mut self) {
        for said in &mut self.said {
            said.is_current = false;
        }
    }

    /// A scan has looked at all namespaces: what it did not find again is news the next time.
    pub(super) fn end(&mut self) {
        self.said.retain(|said| said.is_current);
    }

    /// Whether the log is to have this `remark` about namespace `nsid` (`None`: about all of them).
    pub(super) fn is_new(&mut self, nsid: impl Into<Option<Nsid>>, remark: Remark) -> bool {
        if self.is_mute {
            return false;
        }
        let nsid = nsid.into();
        let is_it = |said: &&mut Said| said.nsid == nsid && said.remark == remark;
        if let Some(said) = self.said.iter_mut().find(is_it) {
            said.is_current = true;
            return false;
        }
        let said = Said {
            nsid,
            remark,
            is_current: true,
        };
        // Without memory the next scan says it again.
        let _ = self.said.push(said, GFP_KERNEL);
        true
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
}
