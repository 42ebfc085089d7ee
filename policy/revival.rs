// SPDX-License-Identifier: GPL-2.0

//! When a dead controller is tried again, and when its PCI function may be reset for that.

use super::timing;
use kernel::{
    prelude::*,
    time::{
        Delta,
        Instant,
        Monotonic, //
    }, //
};

/// Whether a bring-up that failed with `error` may succeed another time: the controller has not
/// answered, has failed, or has refused. Any other error says that the controller cannot be driven, or
/// what the host lacks.
pub(crate) fn may_pass(error: Error) -> bool {
    [EIO, ETIMEDOUT, ENODEV].contains(&error)
}

/// The tries of one controller.
#[derive(Clone, Copy)]
pub(crate) struct Revival {
    /// How many tries have failed since the controller died.
    failed: u32,
    /// When the last try failed, or the controller died.
    since: Option<Instant<Monotonic>>,
    /// When the PCI function was reset by the driver.
    function_reset: Option<Instant<Monotonic>>,
}

impl Revival {
    /// A controller that has not died.
    pub(crate) const NEW: Self = Self {
        failed: 0,
        since: None,
        function_reset: None,
    };

    /// The controller has died at `now`.
    pub(crate) fn died(&mut self, now: Instant<Monotonic>) {
        self.failed = 0;
        self.since = Some(now);
    }

    /// A try has failed at `now`.
    pub(crate) fn failed(&mut self, now: Instant<Monotonic>) {
        self.failed = self.failed.saturating_add(1);
        self.since = Some(now);
    }

    /// Whether the next try is due at `now`.
    pub(crate) fn is_due(&self, now: Instant<Monotonic>) -> bool {
        let delay = timing::millis(timing::retry_delay_ms(self.failed));
        self.since.is_some_and(|since| now - since >= delay)
    }

    /// The driver resets the PCI function at `now`.
    pub(crate) fn function_reset(&mut self, now: Instant<Monotonic>) {
        self.function_reset = Some(now);
    }

    /// Whether a try at `now` may reset the PCI function.
    pub(crate) fn may_reset_function(&self, now: Instant<Monotonic>) -> bool {
        let pause: Delta = timing::millis(timing::FUNCTION_RESET_INTERVAL_MS);
        self.function_reset.is_none_or(|at| now - at >= pause)
    }
}

#[kunit_tests(rnvme_revival)]
mod tests {
    use super::*;

    fn seconds(count: i64) -> Delta {
        Delta::from_secs(count)
    }

    #[test]
    fn after_ten_seconds_then_thirty_then_each_minute() {
        let now = Instant::now();
        let mut revival = Revival::NEW;
        assert!(!revival.is_due(now + seconds(3600)));
        revival.died(now);
        for delay in [10, 30, 60, 60, 60] {
            assert!(!revival.is_due(now + Delta::from_millis(delay * 1000 - 1)));
            assert!(revival.is_due(now + seconds(delay)));
            revival.failed(now);
        }
        revival.failed = u32::MAX;
        revival.failed(now);
        assert!(!revival.is_due(now + seconds(59)));
        assert!(revival.is_due(now + seconds(60)));
        // It was brought up, and died again.
        revival.died(now);
        assert!(revival.is_due(now + seconds(10)));
    }

    #[test]
    fn what_the_host_lacks_does_not_pass() {
        assert!([EIO, ETIMEDOUT, ENODEV].into_iter().all(may_pass));
        assert!(![ENOMEM, EOPNOTSUPP, ENOSPC, EINVAL]
            .into_iter()
            .any(may_pass));
    }

    #[test]
    fn one_function_reset_in_ten_minutes() {
        let now = Instant::now();
        let mut revival = Revival::NEW;
        assert!(revival.may_reset_function(now));
        revival.function_reset(now);
        revival.died(now);
        assert!(!revival.may_reset_function(now + seconds(599)));
        assert!(revival.may_reset_function(now + seconds(600)));
    }
}
