// SPDX-License-Identifier: GPL-2.0

//! What the log says of asynchronous events: each change of a critical warning, and of each type of
//! event a few lines a minute.

use super::{
    timing::{
        FAULT_INTERVAL_MS,
        REPORT_INTERVAL_MS, //
    },
    LogBudget, //
};
use crate::nvme::{
    Events,
    Warnings, //
};
use kernel::time::{
    Delta,
    Instant,
    Monotonic, //
};

/// The most events of a type that the log has in [`INTERVAL`].
const BURST: u32 = 4;

/// In which they are counted.
// CAST: u32 to i64 widens; i64::from is no const fn.
const INTERVAL: Delta = Delta::from_millis(REPORT_INTERVAL_MS as i64);

/// The most resets because of persistent internal errors in [`RESETS_INTERVAL`].
const RESETS: u32 = 3;

/// In which they are counted. A controller that reports the same error after each reset is not reset
/// for ever: its I/O may work.
// CAST: u32 to i64 widens; i64::from is no const fn.
const RESETS_INTERVAL: Delta = Delta::from_millis(FAULT_INTERVAL_MS as i64);

/// The types of events.
const TYPES: usize = 8;

/// What of the events of a controller the log has.
pub(crate) struct Reports {
    budgets: [LogBudget; TYPES],
    resets: LogBudget,
    /// The critical warnings that there are, or were at the last look at the SMART log.
    warnings: Warnings,
}

impl Reports {
    /// Nothing was reported yet.
    pub(crate) const NONE: Self = Self {
        budgets: [const { LogBudget::new(BURST, INTERVAL) }; TYPES],
        resets: LogBudget::new(RESETS, RESETS_INTERVAL),
        warnings: Warnings::NONE,
    };

    /// An event of type `kind` (0 to 7) at `now`: see [`LogBudget::admit`].
    pub(crate) fn admit(&mut self, kind: u8, now: Instant<Monotonic>) -> Option<u32> {
        let budget = self.budgets.get_mut(usize::from(kind) % TYPES)?;
        budget.admit(now)
    }

    /// A persistent internal error was reported at `now`: whether a reset may help.
    pub(crate) fn may_reset(&mut self, now: Instant<Monotonic>) -> bool {
        self.resets.admit(now).is_some()
    }

    /// The number of events of type `kind` that the log does not have, if their interval is over: see
    /// [`LogBudget::rest`].
    pub(crate) fn rest(&mut self, kind: u8, now: Instant<Monotonic>) -> Option<u32> {
        let budget = self.budgets.get_mut(usize::from(kind) % TYPES)?;
        budget.rest(now)
    }

    /// An event is about `warnings`; returns those that are new. A warning that is not there any more
    /// counts until [`Self::look`], so a warning that flaps is one.
    pub(crate) fn raise(&mut self, warnings: Warnings) -> Option<Warnings> {
        let raised = warnings.without(self.warnings);
        self.warnings = self.warnings.with(warnings);
        (!raised.is_empty()).then_some(raised)
    }

    /// The SMART log has `warnings` now; returns those that have cleared.
    pub(crate) fn look(&mut self, warnings: Warnings) -> Option<Warnings> {
        let cleared = self.warnings.without(warnings);
        self.warnings = self.warnings.without(cleared);
        (!cleared.is_empty()).then_some(cleared)
    }

    /// Whether there is a critical warning.
    pub(crate) fn has_warnings(&self) -> bool {
        !self.warnings.is_empty()
    }

    /// Which of the `wanted` events the controller may report: not the warnings that there are.
    pub(crate) fn unmasked(&self, wanted: Events) -> Events {
        wanted.without_warnings(self.warnings.raw())
    }
}

#[kernel::macros::kunit_tests(rnvme_reports)]
mod tests {
    use super::*;

    const SPARE: Warnings = Warnings::from_raw(Warnings::SPARE);
    const HOT: Warnings = Warnings::from_raw(Warnings::TEMPERATURE);
    const BOTH: Warnings = Warnings::from_raw(Warnings::SPARE | Warnings::TEMPERATURE);

    #[test]
    fn a_warning_that_flaps_is_one() {
        let mut reports = Reports::NONE;
        // Warnings of an event, those that are new.
        for (now, raised) in [
            (Warnings::NONE, None),
            (HOT, Some(HOT)),
            (Warnings::NONE, None),
            (HOT, None),
            (BOTH, Some(SPARE)),
            (SPARE, None),
        ] {
            assert_eq!(reports.raise(now), raised);
        }
        // Warnings at a look, those that have cleared.
        for (now, cleared) in [
            (BOTH, None),
            (SPARE, Some(HOT)),
            (BOTH, None),
            (Warnings::NONE, Some(SPARE)),
            (Warnings::NONE, None),
        ] {
            assert_eq!(reports.look(now), cleared);
        }
        assert_eq!(reports.raise(HOT), Some(HOT));
    }

    #[test]
    fn a_warning_is_masked_until_it_clears() {
        let mut reports = Reports::NONE;
        let wanted = Events::wanted(Events::NAMESPACES);
        // Warnings of an event and at the look after it; configuration after each.
        for (event, masked, look, left) in [
            (Warnings::NONE, 0x11f, Warnings::NONE, 0x11f),
            (HOT, 0x11d, HOT, 0x11d),
            (SPARE, 0x11c, SPARE, 0x11e),
            (Warnings::from_raw(0xff), 0x100, Warnings::NONE, 0x11f),
        ] {
            reports.raise(event);
            assert_eq!(reports.unmasked(wanted).raw(), masked);
            reports.look(look);
            assert_eq!(reports.unmasked(wanted).raw(), left);
            assert_eq!(reports.has_warnings(), left != 0x11f);
        }
    }

    #[test]
    fn a_controller_is_not_reset_for_ever() {
        let (mut reports, now) = (Reports::NONE, Instant::now());
        for _ in 0..RESETS {
            assert!(reports.may_reset(now));
        }
        assert!(!reports.may_reset(now) && !reports.may_reset(now + INTERVAL));
        assert!(reports.may_reset(now + RESETS_INTERVAL));
    }

    #[test]
    fn each_type_has_its_own_lines() {
        let (mut reports, now) = (Reports::NONE, Instant::now());
        for kind in 0..8 {
            for _ in 0..BURST {
                assert_eq!(reports.admit(kind, now), Some(0));
            }
            assert_eq!(reports.admit(kind, now), None);
            assert_eq!(reports.rest(kind, now), None);
        }
        let later = now + INTERVAL;
        assert_eq!(reports.rest(3, later), Some(1));
        assert_eq!(reports.rest(3, later), None);
        assert_eq!(reports.admit(4, later), Some(1));
    }
}
