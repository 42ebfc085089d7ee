// SPDX-License-Identifier: GPL-2.0

//! Retries: which failed commands, how often, and after which delay.
//!
//! Base 3.3.3.2.1 (Do Not Retry, Command Retry Delay), 5.17.2.1 (CRDT1 to CRDT3).

use super::timing::LONGEST_RETRY_DELAY_MS;
use crate::nvme::{
    RetryDelays,
    Status, //
};
use kernel::prelude::*;

/// The unit of Command Retry Delay Times in milliseconds.
const UNIT_MS: u32 = 100;

/// Which failed commands the driver retries, and when.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct RetryPolicy {
    most: u8,
    delays: RetryDelays,
}

impl RetryPolicy {
    /// At most `most` retries of a command, after the `delays` that the controller states (CRDT).
    pub(crate) fn new(most: u8, delays: RetryDelays) -> Self {
        Self { most, delays }
    }

    /// Whether to retry a command that ended with `status` after `retries` retries: the delay in
    /// milliseconds, at most a minute, or `None`. `failfast`: the submitter wants errors rather
    /// than retries.
    pub(crate) fn decide(&self, status: Status, failfast: bool, retries: u8) -> Option<u32> {
        if failfast || retries >= self.most || !status.is_retryable() {
            return None;
        }
        Some(self.delay(status))
    }

    /// Whether a retry of a command that ended with `status` has a delay.
    pub(crate) fn has_delay(&self, status: Status) -> bool {
        status.is_retryable() && self.delay(status) > 0
    }

    /// The delay before a retry, in milliseconds.
    fn delay(&self, status: Status) -> u32 {
        let time = self.delays.get(status.retry_delay());
        (u32::from(time) * UNIT_MS).min(LONGEST_RETRY_DELAY_MS)
    }
}

#[kunit_tests(rnvme_retry)]
mod tests {
    use super::*;

    const DELAYS: RetryDelays = RetryDelays([1, 20, 0xffff]);
    /// Command Interrupted.
    const AGAIN: u16 = 0x021;
    const DNR: u16 = 1 << 14;

    fn decide(most: u8, status: u16, failfast: bool, retries: u8) -> Option<u32> {
        RetryPolicy::new(most, DELAYS).decide(Status::from_raw(status), failfast, retries)
    }

    #[test]
    fn as_often_as_allowed() {
        // Maximum retries, retries so far, whether there is another one.
        for (most, retries, again) in [
            (0, 0, false),
            (0, 255, false),
            (1, 0, true),
            (1, 1, false),
            (5, 4, true),
            (5, 5, false),
            (255, 254, true),
            (255, 255, false),
        ] {
            let verdict = decide(most, AGAIN, false, retries);
            assert_eq!(verdict, again.then_some(0));
        }
    }

    #[test]
    fn neither_against_the_device_nor_the_submitter() {
        for delay in 0..4 {
            let status = AGAIN | delay << 11;
            assert!(decide(255, status, false, 0).is_some());
            assert!(decide(255, status, true, 0).is_none());
            assert!(decide(255, status | DNR, false, 0).is_none());
            // Invalid Field in Command; success.
            assert!(decide(255, 0x002 | delay << 11, false, 0).is_none());
            assert!(decide(255, delay << 11, false, 0).is_none());
        }
    }

    #[test]
    fn after_the_delay_that_the_status_names() {
        for (delay, ms) in [(0, 0), (1, 100), (2, 2000), (3, 60_000)] {
            assert_eq!(decide(5, AGAIN | delay << 11, false, 0), Some(ms));
            let policy = RetryPolicy::new(5, DELAYS);
            let has_delay = |status| policy.has_delay(Status::from_raw(status));
            assert_eq!(has_delay(AGAIN | delay << 11), ms > 0);
            assert!(!has_delay(AGAIN | delay << 11 | DNR));
            // The bit More does not matter.
            assert_eq!(decide(5, AGAIN | delay << 11 | 1 << 13, false, 0), Some(ms));
        }
    }

    #[test]
    fn no_delay_is_longer_than_a_minute() {
        for (time, ms) in [(0, 0), (599, 59_900), (600, 60_000), (601, 60_000)] {
            let policy = RetryPolicy::new(1, RetryDelays([time, 0, 0]));
            let status = Status::from_raw(AGAIN | 1 << 11);
            assert_eq!(policy.decide(status, false, 0), Some(ms));
        }
    }
}
