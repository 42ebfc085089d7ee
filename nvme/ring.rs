// SPDX-License-Identifier: GPL-2.0

//! Indices and phase tag of the rings of a queue pair: arithmetic only.
//!
//! A ring of n entries is full with n - 1 of them in use, so that full and empty differ (NVMe Base
//! 2.0, 3.3.1.5). The phase tag, which the controller inverts with each round, tells new
//! completions from old ones (4.2.4), so the host keeps no count of them.

use crate::num::u16_as_usize;

use super::completion::Phase;

/// The index after `index` in a ring of `entries`.
#[inline(always)]
const fn next(index: u16, entries: u16) -> u16 {
    let next = index.wrapping_add(1);
    if next >= entries {
        0
    } else {
        next
    }
}

/// Whether the change of a shadow doorbell from `old` to `new` passes the event index `event`, so
/// that the host must write the doorbell register, too (Base 5.8, B.5). The arithmetic is modulo
/// 2^16: where a ring wraps, the result may be a needless write, never a missing one.
#[inline(always)]
pub(crate) const fn needs_event(event: u16, new: u16, old: u16) -> bool {
    new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
}

/// The tail of a submission queue: where the host writes.
///
/// INVARIANT: fewer commands are in flight than the ring has entries. Otherwise the tail could wrap
/// to the value that the controller saw last, which means "empty". A controller that completes
/// commands before their doorbell write can break this: it then misses other commands, which time
/// out. Memory stays safe.
pub(crate) struct Tail {
    at: u16,
    /// The doorbell value that the controller was given last.
    rung: u16,
    entries: u16,
}

impl Tail {
    /// The tail of an empty ring of `entries`, 2 or more.
    pub(crate) const fn new(entries: u16) -> Self {
        Self {
            at: 0,
            rung: 0,
            entries,
        }
    }

    /// The index of the next entry.
    #[inline(always)]
    pub(crate) const fn index(&self) -> usize {
        u16_as_usize(self.at)
    }

    /// Moves on past an entry that was written.
    #[inline(always)]
    pub(crate) const fn advance(&mut self) {
        self.at = next(self.at, self.entries);
    }

    /// Whether entries were written since the last doorbell write.
    pub(crate) const fn is_pending(&self) -> bool {
        self.at != self.rung
    }

    /// The old and the new value of the doorbell. From now on the new one counts as written.
    #[inline(always)]
    pub(crate) const fn ring(&mut self) -> (u16, u16) {
        let old = self.rung;
        self.rung = self.at;
        (old, self.at)
    }
}

/// The head of a completion queue: where the host reads.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    at: u16,
    /// The doorbell value that the controller was given last.
    rung: u16,
    entries: u16,
    phase: Phase,
}

impl Head {
    /// The head of an empty, zeroed ring of `entries`, 2 or more.
    pub(crate) const fn new(entries: u16) -> Self {
        Self {
            at: 0,
            rung: 0,
            entries,
            phase: Phase::FIRST,
        }
    }

    /// The index of the entry to check next.
    #[inline(always)]
    pub(crate) const fn index(&self) -> usize {
        u16_as_usize(self.at)
    }

    /// The phase tag that the entry has once it is new.
    #[inline(always)]
    pub(crate) const fn phase(&self) -> Phase {
        self.phase
    }

    /// Moves on past an entry that was read. Returns `false` if it is the last of its round: then
    /// [`Self::begin_round`] must follow.
    #[inline(always)]
    pub(crate) const fn advance(&mut self) -> bool {
        let next = self.at.wrapping_add(1);
        if next >= self.entries {
            return false;
        }
        self.at = next;
        true
    }

    /// Returns to the first entry, with the phase tag inverted.
    pub(crate) const fn begin_round(&mut self) {
        self.at = 0;
        self.phase = self.phase.next();
    }

    /// The old and the new value of the doorbell. From now on the new one counts as written.
    #[inline(always)]
    pub(crate) const fn ring(&mut self) -> (u16, u16) {
        let old = self.rung;
        self.rung = self.at;
        (old, self.at)
    }
}

#[kernel::macros::kunit_tests(rnvme_ring)]
mod tests {
    use super::*;
    use crate::nvme::completion::CqeEnd;

    /// Boundary sizes: the smallest, an odd one, the admin queue's, the largest of this driver and
    /// the largest of NVMe that a `u16` counts.
    const SIZES: [u16; 5] = [2, 3, 32, 4095, u16::MAX];

    #[test]
    fn tail_visits_every_entry_in_order() {
        for entries in SIZES {
            let mut tail = Tail::new(entries);
            for _ in 0..3 {
                for expected in 0..usize::from(entries) {
                    assert_eq!(tail.index(), expected);
                    tail.advance();
                }
            }
        }
    }

    #[test]
    fn tail_is_pending_until_rung() {
        let mut tail = Tail::new(32);
        assert!(!tail.is_pending());
        tail.advance();
        assert!(tail.is_pending());
        assert_eq!(tail.ring(), (0, 1));
        assert!(!tail.is_pending());
    }

    #[test]
    fn tail_is_pending_however_many_were_written() {
        for entries in SIZES {
            let mut tail = Tail::new(entries);
            // From any position that the controller may have seen.
            for _ in 0..3 {
                for _ in 1..entries {
                    tail.advance();
                    assert!(tail.is_pending());
                }
                tail.ring();
            }
        }
    }

    #[test]
    fn head_inverts_the_phase_with_each_round() {
        for entries in SIZES {
            let mut head = Head::new(entries);
            let mut phase = Phase::FIRST;
            for _ in 0..4 {
                for expected in 0..usize::from(entries) {
                    assert_eq!(head.index(), expected);
                    assert_eq!(head.phase(), phase);
                    let more = expected + 1 < usize::from(entries);
                    assert_eq!(head.advance(), more);
                    if !more {
                        head.begin_round();
                    }
                }
                phase = phase.next();
            }
        }
    }

    /// A controller that posts a few completions at a time: the host sees all of them, once, in
    /// order, and nothing else.
    #[test]
    fn head_follows_a_controller_over_many_rounds() {
        const ENTRIES: usize = 5;
        // Each entry is (phase, serial number).
        let mut ring = [(Phase::FIRST.next(), 0u32); ENTRIES];
        let (mut at, mut phase, mut posted) = (0, Phase::FIRST, 0u32);
        // CAST: 5 fits.
        let mut head = Head::new(ENTRIES as u16);
        let mut seen = 0u32;
        for burst in [1, 4, 0, 3, 2, 4, 4, 1, 0, 4, 3, 3, 4] {
            for _ in 0..burst {
                posted += 1;
                ring[at] = (phase, posted);
                at += 1;
                if at == ENTRIES {
                    at = 0;
                    phase = phase.next();
                }
            }
            while ring[head.index()].0 == head.phase() {
                seen += 1;
                assert_eq!(ring[head.index()].1, seen);
                if !head.advance() {
                    head.begin_round();
                }
            }
            assert_eq!(seen, posted);
            assert_eq!(usize::from(head.ring().1), at);
        }
    }

    #[test]
    fn head_takes_a_zeroed_ring_for_empty() {
        let head = Head::new(2);
        assert!(CqeEnd::new(0, head.phase()).is_none());
    }

    /// Against the definition: some value after `old`, up to `new`, is the one after `event`.
    #[test]
    fn events_are_those_that_were_passed() {
        for old in [0u16, 1, 100, 1023, 32767, 65530, 65535] {
            for step in 0..12u16 {
                let new = old.wrapping_add(step);
                for distance in 0..=30u16 {
                    let event = old.wrapping_sub(10).wrapping_add(distance);
                    let passed = (1..=step).any(|s| old.wrapping_add(s) == event.wrapping_add(1));
                    assert_eq!(needs_event(event, new, old), passed);
                }
            }
        }
    }

    /// A ring that wraps: a change from 1022 to 2 of 1024 must write the register for each event
    /// index in between.
    #[test]
    fn events_are_not_missed_where_a_ring_wraps() {
        for event in [1022, 1023, 0, 1] {
            assert!(needs_event(event, 2, 1022));
        }
    }
}
