// SPDX-License-Identifier: GPL-2.0

//! Rate limit of log lines that a device or a user can cause at will.

use super::timing::{
    LOG_INTERVAL,
    REPORT_INTERVAL_MS, //
};
use kernel::{
    fmt,
    time::{
        Delta,
        Instant,
        Monotonic, //
    }, //
};

/// Maximum lines in one [`LOG_INTERVAL`].
const BURST: u32 = 10;

/// One budget of log lines: ten in five seconds, if nothing else is said.
pub(crate) struct LogBudget {
    burst: u32,
    interval: Delta,
    began: Option<Instant<Monotonic>>,
    printed: u32,
    missed: u32,
}

/// Whether a counter reaches or passes a power of two as it goes from `before` to `after`: the log
/// has a line then, however many a device causes.
pub(crate) fn reaches_power_of_two(before: u32, after: u32) -> bool {
    before == 0 || (before ^ after) > before
}

/// How many lines were not printed.
pub(crate) struct Missed(pub(crate) u32);

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return Ok(());
        }
        write!(f, " ({} more were not printed)", self.0)
    }
}

impl Default for LogBudget {
    fn default() -> Self {
        Self::new(BURST, LOG_INTERVAL)
    }
}

impl LogBudget {
    /// A budget of `burst` lines in an `interval`.
    pub(crate) const fn new(burst: u32, interval: Delta) -> Self {
        Self {
            burst,
            interval,
            began: None,
            printed: 0,
            missed: 0,
        }
    }

    /// A budget of `burst` lines in a minute.
    pub(crate) const fn of_a_minute(burst: u32) -> Self {
        // CAST: u32 to i64 widens; i64::from is no const fn.
        Self::new(burst, Delta::from_millis(REPORT_INTERVAL_MS as i64))
    }

    /// Requests to print a line at `now`. Returns the number of lines suppressed since the last
    /// printed one, or `None` if this line must be suppressed, too.
    pub(crate) fn admit(&mut self, now: Instant<Monotonic>) -> Option<u32> {
        if self.is_over(now) {
            self.began = Some(now);
            self.printed = 0;
        }
        if self.printed >= self.burst {
            self.missed = self.missed.saturating_add(1);
            return None;
        }
        self.printed += 1;
        Some(core::mem::take(&mut self.missed))
    }

    /// The number of lines suppressed since the last printed one, once their interval is over. They
    /// do not count for the next line then.
    pub(crate) fn rest(&mut self, now: Instant<Monotonic>) -> Option<u32> {
        if self.missed == 0 || !self.is_over(now) {
            return None;
        }
        Some(core::mem::take(&mut self.missed))
    }

    fn is_over(&self, now: Instant<Monotonic>) -> bool {
        self.began.is_none_or(|began| now - began >= self.interval)
    }
}

#[kernel::macros::kunit_tests(rnvme_log_budget)]
mod tests {
    use super::*;

    #[test]
    fn a_line_at_each_power_of_two() {
        for (before, after, line) in [
            (0, 1, true),
            (0, 7, true),
            (1, 2, true),
            (2, 3, false),
            (3, 4, true),
            (5, 9, true),
            (u32::MAX, 0, false),
            (u32::MAX, 3, false),
        ] {
            assert_eq!(reaches_power_of_two(before, after), line);
        }
    }

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

    #[test]
    fn what_is_missed_is_told_once() {
        let (mut window, now) = (LogBudget::new(1, LOG_INTERVAL), Instant::now());
        assert_eq!(window.rest(now), None);
        window.admit(now);
        for _ in 0..3 {
            assert_eq!(window.admit(now), None);
        }
        assert_eq!(window.rest(now), None);
        assert_eq!(window.rest(now + LOG_INTERVAL), Some(3));
        assert_eq!(window.rest(now + LOG_INTERVAL), None);
        assert_eq!(window.admit(now + LOG_INTERVAL), Some(0));
    }

    #[test]
    fn missed_lines_are_told() {
        use kernel::{
            prelude::*,
            str::CString, //
        };
        let text = |missed| CString::try_from_fmt(fmt!("{}", Missed(missed)));
        assert!(text(0).is_ok_and(|t| t.is_empty()));
        assert!(text(3).is_ok_and(|t| t.to_bytes() == b" (3 more were not printed)"));
    }
}
