// SPDX-License-Identifier: GPL-2.0

//! What a controller does not support: admin commands that it refused for good.

use crate::nvme::{
    AdminFunction,
    Status, //
};

/// The most functions that are remembered. A controller that refuses more is asked for the rest each
/// time, without a line in the log.
const MAX: usize = 32;
/// For so many namespaces a controller refuses a function before it refuses it for all.
const FEW: usize = 4;
/// [`AdminFunction::nsid`] of a function that is refused for all namespaces.
const ALL: u32 = 0;

/// A function that the controller refused.
#[derive(Clone, Copy)]
struct Entry {
    function: AdminFunction,
    status: Status,
    /// Whether the refusal is for good, and the controller was not reset since.
    holds: bool,
}

impl Entry {
    /// Whether the controller will refuse the function each time.
    fn is_for_good(&self) -> bool {
        self.status.is_unsupported()
    }

    /// Whether it is `function`, for whichever namespace.
    fn is_like(&self, function: AdminFunction) -> bool {
        (self.function.opcode, self.function.selector) == (function.opcode, function.selector)
    }

    /// Whether `function` is refused with it.
    fn covers(&self, function: AdminFunction) -> bool {
        self.function == function || self.is_like(function) && self.function.nsid == ALL
    }
}

/// The functions that a controller refused: because it has them not, which holds, or for now.
pub(crate) struct Refusals {
    entries: [Option<Entry>; MAX],
}

impl Refusals {
    /// Nothing was refused yet.
    pub(crate) const NONE: Self = Self {
        entries: [None; MAX],
    };

    /// The status with which `function` was refused since the last [`Self::forget`].
    pub(crate) fn holds(&self, function: AdminFunction) -> Option<Status> {
        let mut entries = self.entries.iter().flatten();
        let is_it = |entry: &&Entry| entry.holds && entry.covers(function);
        entries.find(is_it).map(|entry| entry.status)
    }

    /// The controller ended `function` with `status`. Returns whether that is worth a line in the
    /// log: not if the same refusal had one before, for whichever namespace.
    ///
    /// What the controller refuses for several namespaces holds for all of them: there may be
    /// thousands.
    pub(crate) fn note(&mut self, mut function: AdminFunction, status: Status) -> bool {
        let mut like = self.entries.iter().flatten();
        let was_said = like.any(|it| it.is_like(function) && it.status == status);
        let others = |it: &&Entry| it.is_like(function) && it.holds && it.function != function;
        if status.is_unsupported()
            && self.entries.iter().flatten().filter(others).count() + 1 >= FEW
        {
            for entry in &mut self.entries {
                *entry = entry.filter(|it| !it.is_like(function));
            }
            function.nsid = ALL;
        }
        if let Some(place) = self.place(function) {
            *place = Some(Entry {
                function,
                status,
                // What may be otherwise the next time is asked again, and said once.
                holds: status.is_unsupported(),
            });
            return !was_said;
        }
        false
    }

    /// The place for `function`: its own, a free one, or that of a refusal that may pass.
    fn place(&mut self, function: AdminFunction) -> Option<&mut Option<Entry>> {
        let position = |is_it: &dyn Fn(&Option<Entry>) -> bool| self.entries.iter().position(is_it);
        let known = position(&|it| it.is_some_and(|it| it.function == function));
        let free = || position(&Option::is_none);
        let passing = || position(&|it| it.is_some_and(|it| !it.is_for_good()));
        let index = known.or_else(free).or_else(passing)?;
        self.entries.get_mut(index)
    }

    /// The controller was reset, or has other firmware: it is asked for everything again. A
    /// refusal that is no other than before has no line in the log.
    pub(crate) fn forget(&mut self) {
        for entry in &mut self.entries {
            *entry = entry.filter(Entry::is_for_good);
            if let Some(entry) = entry {
                entry.holds = false;
            }
        }
    }
}

#[kernel::macros::kunit_tests(rnvme_refusals)]
mod tests {
    use super::*;

    const REFUSED: Status = Status::from_raw(Status::DNR | 2);

    /// Identify with this CNS.
    fn identify(cns: u32) -> AdminFunction {
        AdminFunction {
            opcode: 6,
            selector: cns,
            nsid: 0,
        }
    }

    #[test]
    fn a_refusal_is_said_once_and_holds_until_a_reset() {
        let mut refusals = Refusals::NONE;
        assert!(refusals.holds(identify(6)).is_none());
        assert!(refusals.note(identify(6), REFUSED));
        assert!(refusals.holds(identify(6)).is_some() && refusals.holds(identify(5)).is_none());
        refusals.forget();
        assert!(refusals.holds(identify(6)).is_none());
        assert!(!refusals.note(identify(6), REFUSED));
        assert!(refusals.holds(identify(6)).is_some());
        // Another status is news; many controllers do not set DNR.
        for raw in [1, 2, 0x2002, Status::DNR | 1] {
            assert!(refusals.note(identify(6), Status::from_raw(raw)));
            assert!(refusals.holds(identify(6)).is_some());
        }
    }

    #[test]
    fn what_may_work_the_next_time_does_not_hold() {
        let mut refusals = Refusals::NONE;
        // Internal Error, Invalid Namespace or Format, with DNR and without.
        for raw in [6, 0xb, Status::DNR | 6, Status::DNR | 0xb] {
            assert!(refusals.note(identify(3), Status::from_raw(raw)));
            assert!(!refusals.note(identify(3), Status::from_raw(raw)));
            assert!(refusals.holds(identify(3)).is_none());
        }
        // After a reset it is news.
        refusals.forget();
        assert!(refusals.note(identify(3), Status::from_raw(Status::DNR | 0xb)));
    }

    #[test]
    fn more_than_fit_are_asked_for_each_time() {
        let mut refusals = Refusals::NONE;
        for cns in 0..40 {
            assert_eq!(refusals.note(identify(cns), REFUSED), cns < 32);
        }
        assert!(refusals.holds(identify(31)).is_some() && refusals.holds(identify(32)).is_none());
        assert!(!refusals.note(identify(32), REFUSED));
    }

    #[test]
    fn what_is_refused_for_several_namespaces_is_refused_for_all() {
        let descriptors = |nsid| AdminFunction {
            nsid,
            ..identify(3)
        };
        let mut refusals = Refusals::NONE;
        for round in 0..3 {
            for nsid in 1..9 {
                assert_eq!(refusals.holds(descriptors(nsid)).is_some(), nsid > 4);
                if nsid <= 4 {
                    let is_first = round == 0 && nsid == 1;
                    assert_eq!(refusals.note(descriptors(nsid), REFUSED), is_first);
                }
            }
            for nsid in 1..9 {
                assert!(refusals.holds(descriptors(nsid)).is_some());
            }
            assert!(refusals.holds(identify(5)).is_none());
            refusals.forget();
        }
        // Another status is news.
        assert!(refusals.note(descriptors(1), Status::from_raw(1)));
    }
}
