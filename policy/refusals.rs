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
    /// Whether the controller was not reset since.
    holds: bool,
}

/// The functions that a controller refused with Do Not Retry.
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
        let Some(place) = known.or_else(|| self.entries.iter().position(Option::is_none)) else {
            return true;
        };
        let Some(entry) = self.entries.get_mut(place) else {
            return true;
        };
        let was_said = entry.is_some_and(|it| it.status == status);
        *entry = status.is_unsupported().then_some(Entry {
            function,
            status,
            holds: true,
        });
        !was_said
    }

    /// The controller was reset, or the user wants to know: it is asked for everything again. A
    /// refusal that is no other than before has no line in the log.
    pub(crate) fn forget(&mut self) {
        for entry in self.entries.iter_mut().flatten() {
            entry.holds = false;
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
        // Another status is news.
        assert!(refusals.note(identify(6), Status::from_raw(Status::DNR | 1)));
    }

    #[test]
    fn what_may_work_the_next_time_does_not_hold() {
        let mut refusals = Refusals::NONE;
        // Invalid Field without DNR, Internal Error, Invalid Namespace or Format with it.
        for raw in [2, 6, Status::DNR | 6, Status::DNR | 0xb] {
            assert!(refusals.note(identify(3), Status::from_raw(raw)));
            assert!(refusals.holds(identify(3)).is_none());
        }
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
