// SPDX-License-Identifier: GPL-2.0

//! Rate limit of log lines that a device or a user can cause at will: ten in five seconds.

use super::timing::LOG_INTERVAL;
use kernel::time::{
    Instant,
    Monotonic, //
};

/// Maximum lines in one interval.
const BURST: u32 = 10;

/// One budget of log lines.
#[derive(Default)]
pub(crate) struct LogBudget {
    began: Option<Instant<Monotonic>>,
    printed: u32,
    missed: u32,
}

impl LogBudget {
    /// Requests to print a line at `now`. Returns the number of lines suppressed since the last
    /// printed one, or `None` if this line must be suppressed, too.
    pub(crate) fn admit(&mut self, now: Instant<Monotonic>) -> Option<u32> {
        if self.began.is_none_or(|began| now - began >= LOG_INTERVAL) {
            self.began = Some(now);
            self.printed = 0;
        }
        if self.printed >= BURST {
            self.missed = self.missed.saturating_add(1);
            return None;
        }
        self.printed += 1;
        Some(core::mem::take(&mut self.missed))
    }
}

#[kernel::macros::kunit_tests(rnvme_log_budget)]
mod tests {
    use super::*;
    use kernel::time::Delta;

    #[test]
    fn a_burst_is_printed_and_the_rest_counted() {
        let (mut window, now) = (LogBudget::default(), Instant::now());
        for _ in 0..BURST {
            assert_eq!(window.admit(now), Some(0));
        }
        for _ in 0..7 {
            assert_eq!(window.admit(now), None);
        }
        assert_eq!(window.missed, 7);
    }

    #[test]
    fn the_next_interval_begins_with_what_was_missed() {
        let (mut window, now) = (LogBudget::default(), Instant::now());
        for _ in 0..BURST + 3 {
            window.admit(now);
        }
        let almost = now + (LOG_INTERVAL - Delta::from_millis(1));
        assert_eq!(window.admit(almost), None);
        assert_eq!(window.admit(now + LOG_INTERVAL), Some(4));
        assert_eq!(window.admit(now + LOG_INTERVAL), Some(0));
    }
}
