// SPDX-License-Identifier: GPL-2.0

//! Namespaces that are not ready: how long the driver waits for each, and when it looks again.

use crate::{
    nvme::Nsid,
    policy::NotReady, //
};
use kernel::prelude::*;

/// The wait for a namespace.
struct Wait {
    nsid: Nsid,
    state: NotReady,
    /// Whether this scan found the namespace not ready, too.
    is_current: bool,
}

/// The namespaces that were not ready in the last scan. All times are milliseconds of one clock.
pub(super) struct Waits {
    list: KVec<Wait>,
    /// The longest wait: CAP.TO, or CRTO.
    limit_ms: u32,
    /// The number of resets at the last scan.
    resets: u32,
}

impl Waits {
    /// No namespace; each is waited for `limit_ms` at most.
    pub(super) const fn new(limit_ms: u32) -> Self {
        Self {
            list: KVec::new(),
            limit_ms,
            resets: 0,
        }
    }

    /// A scan begins, after so many `resets`. After a reset each namespace is waited for anew.
    pub(super) fn begin(&mut self, resets: u32, limit_ms: u32) {
        if self.resets != resets {
            self.list.clear();
        }
        (self.resets, self.limit_ms) = (resets, limit_ms);
        for wait in &mut self.list {
            wait.is_current = false;
        }
    }

    /// A scan has looked at all namespaces: those that it found ready are forgotten.
    pub(super) fn end(&mut self) {
        self.list.retain(|wait| wait.is_current);
    }

    /// Namespace `nsid` is not ready at `now`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn note(&mut self, nsid: Nsid, now: u64) -> Result {
        let known = self.list.iter_mut().find(|wait| wait.nsid == nsid);
        if let Some(wait) = known {
            wait.state = NotReady::still(Some(wait.state), now);
            wait.is_current = true;
            return Ok(());
        }
        let wait = Wait {
            nsid,
            state: NotReady::still(None, now),
            is_current: true,
        };
        Ok(self.list.push(wait, GFP_KERNEL)?)
    }

    /// I/O has waited for namespace `nsid` in vain: the driver does not wait any longer, at `now`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn note_late(&mut self, nsid: Nsid, now: u64) -> Result {
        self.note(nsid, now)?;
        for wait in self.list.iter_mut().filter(|wait| wait.nsid == nsid) {
            let began = now.saturating_sub(self.limit_ms.into());
            wait.state.began = wait.state.began.min(began);
        }
        Ok(())
    }

    /// Whether the driver waits for namespace `nsid`, which is not ready at `now`.
    pub(super) fn is_patient(&self, nsid: Nsid, now: u64) -> bool {
        let before = self.list.iter().find(|wait| wait.nsid == nsid);
        let state = NotReady::still(before.map(|wait| wait.state), now);
        state.pause(self.limit_ms).is_some()
    }

    /// Whether the driver waits for any namespace.
    pub(super) fn is_patient_with_any(&self) -> bool {
        let mut waits = self.list.iter();
        waits.any(|wait| wait.state.pause(self.limit_ms).is_some())
    }

    /// The milliseconds until the next scan, if a namespace is not ready.
    pub(super) fn until_scan(&self) -> Option<u32> {
        let next = |wait: &Wait| {
            let pause = wait.state.pause(self.limit_ms);
            pause.unwrap_or_else(|| wait.state.until_look())
        };
        self.list.iter().map(next).min()
    }
}

#[kunit_tests(rnvme_waits)]
mod tests {
    use super::*;

    #[test]
    fn each_namespace_has_its_own_wait() -> Result {
        let (first, second) = (Nsid::new(1).ok_or(EINVAL)?, Nsid::new(2).ok_or(EINVAL)?);
        let mut waits = Waits::new(1000);
        assert_eq!(waits.until_scan(), None);
        assert!(waits.is_patient(first, 0));
        waits.note(first, 0)?;
        assert_eq!(waits.until_scan(), Some(10));
        // The driver has waited for the first when the second begins.
        waits.begin(0, 1000);
        waits.note(first, 2000)?;
        assert_eq!(waits.until_scan(), Some(5000));
        assert!(!waits.is_patient(first, 2000) && waits.is_patient(second, 2000));
        assert!(!waits.is_patient_with_any());
        waits.note(second, 2000)?;
        waits.end();
        assert!(waits.is_patient_with_any());
        assert_eq!(waits.until_scan(), Some(10));
        // The second is ready.
        waits.begin(0, 1000);
        waits.note(first, 3000)?;
        waits.end();
        assert_eq!(waits.until_scan(), Some(5000));
        // A reset.
        waits.begin(1, 1000);
        assert!(waits.is_patient(first, 4000));
        waits.end();
        assert_eq!(waits.until_scan(), None);
        Ok(())
    }

    #[test]
    fn io_that_has_waited_is_enough() -> Result {
        let nsid = Nsid::new(1).ok_or(EINVAL)?;
        let mut waits = Waits::new(1000);
        waits.note_late(nsid, 50_000)?;
        assert!(!waits.is_patient(nsid, 50_000));
        assert_eq!(waits.until_scan(), Some(5000));
        Ok(())
    }
}
