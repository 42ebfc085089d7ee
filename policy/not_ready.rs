// SPDX-License-Identifier: GPL-2.0

//! How long the driver waits for a namespace that is not ready (status Namespace Not Ready without
//! Do Not Retry), and the pauses between two tries.
//!
//! A controller that becomes ready independent of its media, and a namespace that was just attached
//! or formatted, may answer so for a time. CRTO, or CAP.TO, bounds the time after a reset
//! (Base 3.5.4.1). The wait is one for all commands of a namespace: a disk's partition table is read
//! in 60 commands, one after the other.

use super::timing::{
    LONGEST_READY_LOOK_MS,
    LONGEST_READY_PAUSE_MS,
    NOT_READY_FORGOTTEN_MS,
    SHORTEST_READY_LOOK_MS,
    SHORTEST_READY_PAUSE_MS, //
};
use kernel::prelude::*;

/// The last time that a namespace was not ready; all times in milliseconds of one clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotReady {
    /// When the driver first saw it.
    pub(crate) began: u64,
    /// When the driver saw it last.
    pub(crate) seen: u64,
}

impl NotReady {
    /// The namespace is not ready at `now`, after `before`. A namespace that was ready for a while
    /// begins anew.
    pub(crate) fn again(before: Option<Self>, now: u64) -> Self {
        let began = before
            .filter(|before| now.saturating_sub(before.seen) < NOT_READY_FORGOTTEN_MS.into())
            .map_or(now, |before| before.began);
        Self { began, seen: now }
    }

    /// The namespace is not ready at `now`, and was not at any look since `before`.
    pub(crate) fn still(before: Option<Self>, now: u64) -> Self {
        Self {
            began: before.map_or(now, |before| before.began),
            seen: now,
        }
    }

    /// The milliseconds until the next look at a namespace for which the driver does not wait any
    /// longer: more each time.
    pub(crate) fn until_look(&self) -> u32 {
        let waited = self.seen.saturating_sub(self.began);
        let pause = (waited / 4).clamp(SHORTEST_READY_LOOK_MS.into(), LONGEST_READY_LOOK_MS.into());
        // CAST: at most `LONGEST_READY_LOOK_MS`.
        pause as u32
    }

    /// The pause in milliseconds before the next try, longer each time; `None` once the driver has
    /// waited for `limit_ms`.
    pub(crate) fn pause(&self, limit_ms: u32) -> Option<u32> {
        let waited = self.seen.saturating_sub(self.began);
        let left = u64::from(limit_ms)
            .checked_sub(waited)
            .filter(|ms| *ms > 0)?;
        let pause = (waited / 4).clamp(
            SHORTEST_READY_PAUSE_MS.into(),
            LONGEST_READY_PAUSE_MS.into(),
        );
        // CAST: at most `LONGEST_READY_PAUSE_MS`.
        Some(pause.min(left) as u32)
    }
}

#[kunit_tests(rnvme_not_ready)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_the_limit() {
        // When it began, when it was seen, the limit, the pause.
        for (began, seen, limit, pause) in [
            (0, 0, 2000, Some(10)),
            (7000, 7000, 2000, Some(10)),
            (0, 40, 2000, Some(10)),
            (0, 400, 2000, Some(100)),
            (0, 1900, 2000, Some(100)),
            (0, 1999, 2000, Some(1)),
            (0, 2000, 2000, None),
            (0, 2500, 2000, None),
            (0, 60_000, 300_000, Some(500)),
            (0, 0, 0, None),
            // A clock that other CPUs have read before.
            (5, 0, 2000, Some(10)),
        ] {
            assert_eq!(NotReady { began, seen }.pause(limit), pause);
        }
    }

    #[test]
    fn a_wait_begins_anew_after_a_while() {
        let first = NotReady::again(None, 50);
        assert_eq!((first.began, first.seen), (50, 50));
        let next = NotReady::again(Some(first), 50 + 9_999);
        assert_eq!((next.began, next.seen), (50, 10_049));
        let anew = NotReady::again(Some(next), 10_049 + 10_000);
        assert_eq!((anew.began, anew.seen), (20_049, 20_049));
    }

    #[test]
    fn looks_are_rare_and_the_wait_stays() {
        let first = NotReady::still(None, 50);
        assert_eq!((first.began, first.seen), (50, 50));
        let mut state = first;
        // When the namespace was seen, the time until the next look.
        for (now, pause) in [
            (2_000, 5_000),
            (40_050, 10_000),
            (2_000_000, 499_987),
            (9_000_000, 600_000),
        ] {
            state = NotReady::still(Some(state), now);
            assert_eq!((state.began, state.until_look()), (50, pause));
            assert_eq!(state.pause(1_000), None);
        }
    }

    #[test]
    fn the_pauses_of_a_wait_are_few() {
        let mut state = NotReady::again(None, 0);
        let mut pauses = 0;
        while let Some(ms) = state.pause(300_000) {
            pauses += 1;
            state = NotReady::again(Some(state), state.seen + u64::from(ms));
        }
        assert_eq!(state.seen, 300_000);
        assert!(pauses < 700);
    }
}
