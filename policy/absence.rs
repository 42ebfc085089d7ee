// SPDX-License-Identifier: GPL-2.0

//! Whether a device that does not answer is gone, or only behind a link that is down for a moment.
//!
//! Until [`timing::ABSENCE_MS`] are over the device may come back as it was, with its queues and its
//! bus mastering: no command may end without it.

use super::timing;
use kernel::{
    prelude::*,
    time::{
        Delta,
        Instant,
        Monotonic, //
    }, //
};

/// Whether a device is on the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It answers.
    There,
    /// It does not answer, and may do so again.
    Away,
    /// It is gone.
    Gone,
}

/// Since when a device does not answer.
#[derive(Clone, Copy)]
pub(crate) struct Absence(Option<Instant<Monotonic>>);

impl Absence {
    /// The device answers.
    pub(crate) const NONE: Self = Self(None);

    /// The device was looked at, at `now`, and answered if `is_there`.
    pub(crate) fn look(&mut self, is_there: bool, now: Instant<Monotonic>) -> Presence {
        if is_there {
            self.0 = None;
            return Presence::There;
        }
        let since = *self.0.get_or_insert(now);
        match now - since >= timing::millis(timing::ABSENCE_MS) {
            true => Presence::Gone,
            false => Presence::Away,
        }
    }

    /// Whether the device did not answer when it was last looked at.
    pub(crate) fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// The device answers at `now`: ends its absence, and returns how long that was.
    pub(crate) fn end(&mut self, now: Instant<Monotonic>) -> Option<Delta> {
        self.0.take().map(|since| now - since)
    }
}

#[kunit_tests(rnvme_absence)]
mod tests {
    use super::*;

    #[test]
    fn away_for_a_while_is_gone() {
        let now = Instant::now();
        let last = now + timing::millis(timing::ABSENCE_MS);
        let mut absence = Absence::NONE;
        assert_eq!(absence.look(true, now), Presence::There);
        assert!(!absence.is_some());
        assert_eq!(absence.look(false, now), Presence::Away);
        assert!(absence.is_some());
        let almost = last - Delta::from_millis(1);
        assert_eq!(absence.look(false, almost), Presence::Away);
        assert_eq!(absence.look(false, last), Presence::Gone);
        assert_eq!(absence.look(false, last), Presence::Gone);
    }

    #[test]
    fn an_answer_ends_it() {
        let now = Instant::now();
        let last = now + timing::millis(timing::ABSENCE_MS);
        let mut absence = Absence::NONE;
        absence.look(false, now);
        assert_eq!(absence.look(true, last), Presence::There);
        assert_eq!(absence.look(false, last), Presence::Away);
        let end = last + Delta::from_millis(7);
        assert_eq!(absence.end(end).map(|it| it.as_millis()), Some(7));
        assert!(absence.end(end).is_none());
    }
}
