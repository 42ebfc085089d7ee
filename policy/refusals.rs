// SPDX-License-Identifier: GPL-2.0

//! What a controller does not support: admin commands that it refused for good.

use crate::nvme::{
    AdminFunction,
    Status, //
};

/// The most functions that are remembered. A controller that refuses more is asked for the rest each
/// time.
const MAX: usize = 32;

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
        let is_it = |entry: &&Entry| entry.holds && entry.function == function;
        entries.find(is_it).map(|entry| entry.status)
    }

    /// The controller ended `function` with `status`. Returns whether that is worth a line in the
    /// log: not if the same refusal had one before.
    pub(crate) fn note(&mut self, function: AdminFunction, status: Status) -> bool {
        let is_it = |entry: &Option<Entry>| entry.is_some_and(|it| it.function == function);
        let known = self.entries.iter().position(is_it);
        let free = || self.entries.iter().position(Option::is_none);
        let passing = || {
            self.entries
                .iter()
                .flatten()
                .position(|it| !it.is_for_good())
        };
        let Some(place) = known.or_else(free).or_else(passing) else {
            return true;
        };
        let Some(entry) = self.entries.get_mut(place) else {
            return true;
        };
        let was_said = entry.is_some_and(|it| it.status == status);
        // What may be otherwise the next time is asked again, and said once.
        *entry = Some(Entry {
            function,
            status,
            holds: status.is_unsupported(),
        });
        !was_said
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
            assert!(refusals.note(identify(cns), REFUSED));
        }
        assert!(refusals.holds(identify(31)).is_some() && refusals.holds(identify(32)).is_none());
        assert!(refusals.note(identify(32), REFUSED));
    }
}
