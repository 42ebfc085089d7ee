// SPDX-License-Identifier: GPL-2.0

//! The time of bring-ups: how long one is under way, how long the controller is down, when a dead one
//! is tried again.

use super::{
    Lifecycle,
    Power,
    PowerEvent,
    State, //
};
use crate::policy::timing;
use kernel::time::{
    Delta,
    Instant,
    Monotonic, //
};

impl Lifecycle {
    /// A reset of the PCI function begins at `now`.
    pub(crate) fn begin_function_reset(&mut self, now: Instant<Monotonic>) {
        self.apply_power(PowerEvent::FunctionReset);
        self.revival.function_reset(now);
        self.set_bring_up(Some(now));
    }

    /// The reset of the PCI function is over; another bring-up begins at `now`.
    pub(crate) fn end_function_reset(&mut self, now: Instant<Monotonic>) {
        self.apply_power(PowerEvent::FunctionBack);
        self.set_bring_up(Some(now));
        self.second = true;
    }

    /// Whether a failed bring-up may reset the PCI function at `now`: not a second time, and seldom if
    /// the driver tries by itself.
    pub(crate) fn may_reset_function(&self, now: Instant<Monotonic>) -> bool {
        let may = !self.quiet || self.revival.may_reset_function(now);
        may && !self.second
    }

    /// Whether a dead controller, or one without I/O queues, is to be tried again at `now`.
    pub(crate) fn is_retry_due(&self, now: Instant<Monotonic>) -> bool {
        // A reset of the function that does not end belongs to the bring-up before.
        let is_idle = !self.is_paused() && !self.pausing && self.power != Power::FunctionReset;
        let may_work = self.state == State::Dead || self.state == State::Live && self.lacks_queues;
        may_work && is_idle && self.revival.is_due(now)
    }

    /// The controller was brought up at `now`. If it lacks I/O queues, it is tried again.
    pub(crate) fn set_lacks_queues(&mut self, lacks: bool, now: Instant<Monotonic>) {
        match (self.lacks_queues, lacks) {
            (false, true) => self.revival.died(now),
            (true, true) => self.revival.failed(now),
            _ => {}
        }
        self.lacks_queues = lacks;
    }

    /// How long the present bring-up, or reset of the PCI function, is under way at `now`.
    pub(crate) fn bring_up_for(&self, now: Instant<Monotonic>) -> Option<Delta> {
        self.bring_up_since.map(|since| now - since)
    }

    /// A bring-up begins at `now`, if it did not begin with an event.
    pub(crate) fn begin_bring_up(&mut self, now: Instant<Monotonic>) {
        self.set_bring_up(self.bring_up_since.or(Some(now)));
        self.second = false;
    }

    /// The bring-up that is under way begins again: its commands have not begun.
    pub(crate) fn begin_bring_up_again(&mut self) {
        self.bring_up_ends = None;
    }

    /// The bring-up is over: nothing more is granted or taken on its account.
    pub(crate) fn end_bring_up(&mut self) {
        self.set_bring_up(None);
    }

    /// A bring-up is under way since the instant of `since`, or none is.
    pub(super) fn set_bring_up(&mut self, since: Option<Instant<Monotonic>>) {
        self.bring_up_since = since;
        self.bring_up_ends = None;
    }

    /// The admin commands of the present bring-up must have completed at `commands`, and the host must
    /// have done its part soon after that.
    pub(crate) fn set_commands_end(&mut self, commands: Instant<Monotonic>) {
        self.bring_up_ends = Some(commands + timing::millis(timing::HOST_MS));
    }

    /// Whether the present bring-up takes too long at `now`, though none of its commands does.
    pub(crate) fn is_bring_up_stuck(&self, now: Instant<Monotonic>) -> bool {
        let is_over = self
            .bring_up_ends
            .is_some_and(|end| now - end > Delta::ZERO);
        is_over && self.power != Power::FunctionReset
    }

    /// How long the controller has not worked at `now`, if it did not; it works from now on.
    pub(crate) fn take_down_for(&mut self, now: Instant<Monotonic>) -> Option<Delta> {
        self.end_bring_up();
        self.down_since.take().map(|since| now - since)
    }
}

#[kernel::macros::kunit_tests(rnvme_bring_up)]
mod tests {
    use super::{
        super::{
            Action::*,
            Event::*, //
        },
        State::*,
        *, //
    };

    #[test]
    fn a_bring_up_that_the_host_holds_up_ends() {
        let began = Instant::now();
        let at = |seconds| began + Delta::from_secs(seconds);
        let mut life = Lifecycle::NEW;
        life.begin_bring_up(began);
        assert!(!life.is_bring_up_stuck(at(1000)));
        life.set_commands_end(at(5));
        let end = at(5) + timing::millis(timing::HOST_MS);
        let late = end + Delta::from_millis(1);
        assert!(!life.is_bring_up_stuck(end));
        assert!(life.is_bring_up_stuck(late));
        life.begin_function_reset(at(6));
        assert!(!life.is_bring_up_stuck(late));
        life.end_function_reset(at(7));
        assert!(!life.is_bring_up_stuck(late));
        life.set_commands_end(at(5));
        assert!(life.is_bring_up_stuck(late));
        life.begin_bring_up_again();
        assert!(!life.is_bring_up_stuck(late));
        life.set_commands_end(at(5));
        assert!(life.is_bring_up_stuck(late));
        life.apply(Up, at(8));
        assert!(!life.is_bring_up_stuck(late));
    }

    #[test]
    fn the_time_down_counts_from_the_last_bring_up() {
        let began = Instant::now();
        let later = began + Delta::from_millis(700);
        let mut life = Lifecycle::NEW;
        life.apply(Up, began);
        assert!(life.bring_up_for(later).is_none());
        life.apply(Fault, began);
        assert_eq!(life.bring_up_for(later), Some(Delta::from_millis(700)));
        life.apply(Pause, later);
        life.apply(Wake, later);
        assert_eq!(life.bring_up_for(later), Some(Delta::ZERO));
        assert_eq!(life.take_down_for(later), Some(Delta::ZERO));
        assert!(life.take_down_for(later).is_none());
        assert!(life.bring_up_for(later).is_none());
    }

    #[test]
    fn a_controller_that_fails_at_probe_is_dead_and_tried_again() {
        let began = Instant::now();
        let at = |seconds| began + Delta::from_secs(seconds);
        let mut life = Lifecycle::NEW;
        life.begin_bring_up(began);
        assert_eq!(life.apply(Stuck, at(1)), Cancel);
        assert!(life.snapshot().is_coming_up() && life.may_reset_function(at(1)));
        life.begin_function_reset(at(1));
        life.end_function_reset(at(2));
        assert_eq!(life.bring_up_for(at(3)), Some(Delta::from_secs(1)));
        assert!(!life.may_reset_function(at(3)));
        life.apply(Failed, at(3));
        assert!(!life.is_retry_due(at(12)) && life.is_retry_due(at(13)));
        assert_eq!(life.apply(Retry, at(13)), BringUp);
        life.begin_bring_up(at(13));
        assert!(!life.may_reset_function(at(13)));
        assert_eq!(life.apply(Up, at(14)), Resume);
        assert!(life.bring_up_for(at(15)).is_none());
        // The second bring-up at probe succeeds.
        life = Lifecycle::NEW;
        life.begin_function_reset(at(1));
        life.end_function_reset(at(2));
        life.apply(Up, at(3));
        assert!(life.bring_up_for(at(4)).is_none());
    }

    #[test]
    fn a_dead_controller_is_tried_again_and_stays_dead_meanwhile() {
        let began = Instant::now();
        let at = |seconds| began + Delta::from_secs(seconds);
        let mut life = Lifecycle::NEW;
        life.apply(Up, began);
        life.apply(Gone, began);
        assert!(!life.is_retry_due(at(9)));
        assert!(life.is_retry_due(at(10)));
        assert_eq!(life.apply(Retry, at(10)), BringUp);
        assert_eq!((life.state(), life.state().name()), (Trying, "dead"));
        assert!(life.snapshot().is_coming_up() && life.may_reset_function(at(10)));
        life.begin_function_reset(at(10));
        assert!(!life.is_retry_due(at(50)));
        life.end_function_reset(at(11));
        life.apply(Failed, at(12));
        // Not a second reset of the function, and not in a pause.
        assert!(life.is_retry_due(at(42)) && !life.is_retry_due(at(41)));
        life.apply(Pause, at(42));
        assert!(!life.is_retry_due(at(43)));
        life.apply(Wake, at(50));
        life.begin_bring_up(at(50));
        assert!(life.may_reset_function(at(50)));
        life.apply(Failed, at(51));
        life.apply(Retry, at(61));
        life.begin_bring_up(at(61));
        assert!(!life.may_reset_function(at(61)));
        // The death counts from the last reset.
        life.apply(Up, at(62));
        assert_eq!(life.state(), Live);
        assert_eq!(life.take_down_for(at(62)), Some(Delta::from_secs(12)));
    }

    #[test]
    fn a_controller_without_queues_is_reset_again_and_again() {
        let began = Instant::now();
        let at = |seconds| began + Delta::from_secs(seconds);
        let mut life = Lifecycle::NEW;
        life.apply(Up, began);
        life.apply(Requested, began);
        assert!(!life.snapshot().is_quiet() && life.may_reset_function(began));
        life.begin_function_reset(began);
        life.end_function_reset(began);
        life.set_lacks_queues(true, began);
        life.apply(Up, began);
        assert!(!life.is_retry_due(at(9)) && life.is_retry_due(at(10)));
        life.set_pausing(true);
        assert!(!life.is_retry_due(at(10)));
        life.set_pausing(false);
        assert_eq!(life.apply(Retry, at(10)), Reset);
        // The log has no line, and the function is not reset again so soon.
        life.begin_bring_up(at(10));
        assert!(life.snapshot().is_quiet() && !life.may_reset_function(at(10)));
        life.set_lacks_queues(true, at(11));
        life.apply(Up, at(11));
        assert!(!life.is_retry_due(at(40)) && life.is_retry_due(at(41)));
        life.apply(Retry, at(41));
        life.set_lacks_queues(false, at(42));
        life.apply(Up, at(42));
        assert!(!life.is_retry_due(at(9999)));
        // A reset for another reason is no try.
        life.apply(Fault, at(43));
        assert!(!life.snapshot().is_quiet() && life.may_reset_function(at(43)));
    }
}
