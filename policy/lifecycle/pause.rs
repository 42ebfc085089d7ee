// SPDX-License-Identifier: GPL-2.0

//! Pauses: when I/O that a pause has kept from beginning may begin again.

use super::{
    Lifecycle,
    State, //
};

impl Lifecycle {
    /// Sets whether the controller pauses its processing of commands.
    pub(crate) fn set_processing_paused(&mut self, paused: bool) {
        self.processing_paused = paused;
    }

    /// Sets whether a pause is about to begin; [`Event::Pause`] begins it.
    ///
    /// [`Event::Pause`]: super::Event::Pause
    pub(crate) fn set_pausing(&mut self, pausing: bool) {
        self.pausing = pausing;
    }

    /// The system goes down, or is about to (`early`): the next pause does not end. Returns whether
    /// the controller is to be shut down now: an early shutdown waits for the end of a pause, which
    /// I/O waits for.
    pub(crate) fn go_down(&mut self, early: bool) -> bool {
        self.shutdown_due = early && (self.pausing || self.is_paused());
        if self.state == State::Deleting || self.shutdown_due {
            return false;
        }
        self.going_down = true;
        true
    }

    /// Whether the system goes down.
    pub(crate) fn is_going_down(&self) -> bool {
        self.going_down
    }

    /// Whether an early shutdown waits for the end of a pause.
    pub(crate) fn is_shutdown_due(&self) -> bool {
        self.shutdown_due
    }

    /// The pause that is about to begin is one for a reset of the PCI function: [`Event::Pause`] and
    /// [`Event::Wake`] are certain to follow.
    ///
    /// [`Event::Pause`]: super::Event::Pause
    /// [`Event::Wake`]: super::Event::Wake
    pub(crate) fn set_reset_follows(&mut self) {
        self.reset_follows = true;
    }

    /// Whether the failure of a bring-up is no verdict: a pause has ended it, or the PCI function is
    /// about to be reset. The end of that pause begins the next bring-up.
    pub(crate) fn is_failure_excused(&self) -> bool {
        self.is_paused() || self.reset_follows
    }

    /// Whether a pause is about to begin.
    pub(crate) fn is_pausing(&self) -> bool {
        self.pausing
    }

    /// The pause that is about to begin is a sleep.
    pub(crate) fn set_slept(&mut self) {
        self.slept = true;
    }

    /// Whether a sleep may have taken the controller's power, and no bring-up since is over.
    pub(crate) fn has_slept(&self) -> bool {
        self.slept
    }

    /// Whether a pause is under way.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused || self.cut_off
    }

    /// Whether the controller pauses its processing of commands.
    pub(crate) fn is_processing_paused(&self) -> bool {
        self.processing_paused
    }

    /// Whether I/O that a pause has kept from beginning must begin now: the controller works again,
    /// or fails I/O at once.
    pub(crate) fn must_let_io_begin(&self) -> bool {
        match self.state {
            State::Live => !self.pausing,
            State::Dead | State::Trying => true,
            State::New | State::Resetting | State::Deleting => false,
        }
    }
}

#[kernel::macros::kunit_tests(rnvme_pause)]
mod tests {
    use super::{
        Lifecycle,
        State, //
    };
    use crate::policy::{
        Action,
        Event::{
            self,
            *, //
        }, //
    };
    use kernel::time::Instant;

    /// A life after these events.
    fn after(events: &[Event]) -> Lifecycle {
        let mut life = Lifecycle::NEW;
        for event in events {
            life.apply(*event, Instant::now());
        }
        life
    }

    #[test]
    fn io_begins_again_when_the_controller_works_or_is_dead() {
        // Events in order, and whether I/O must begin after them.
        for (events, expected) in [
            (&[Up][..], true),
            (&[Up, Pause], false),
            (&[Up, Pause, Wake], false),
            (&[Up, Pause, Wake, Up], true),
            (&[Up, Pause, Wake, Failed], true),
            (&[Up, Pause, Gone], true),
            (&[Up, Gone, Pause], true),
            (&[Up, Gone, Pause, Wake], false),
            (&[Up, Fault], false),
            // Shutdown: a submitter waits for the end of the system.
            (&[Up, Pause, Leave], false),
            (&[Pause], false),
        ] {
            assert_eq!(after(events).must_let_io_begin(), expected);
        }
    }

    #[test]
    fn nothing_wakes_a_controller_when_the_system_goes_down() {
        for first in [Up, Gone] {
            let mut life = after(&[Up, first]);
            assert!(life.go_down(false) && life.is_going_down());
            let (state, now) = (life.state(), Instant::now());
            assert_eq!(life.apply(Wake, now), Action::Nothing);
            assert_eq!(life.state(), state);
            life.apply(Pause, now);
            let state = life.state();
            assert_eq!(life.apply(Wake, now), Action::Nothing);
            assert_eq!(life.state(), state);
            assert!(life.is_paused() && !life.snapshot().is_coming_up());
            life.apply(Leave, now);
            assert_eq!(life.state(), State::Deleting);
        }
    }

    #[test]
    fn an_early_shutdown_waits_for_the_end_of_a_pause() {
        for (events, begins) in [
            (&[Up][..], true),
            (&[Up, Fault], true),
            (&[Up, Gone], true),
            (&[Up, Pause], false),
            (&[Up, CutOff], false),
            (&[Up, Pause, Wake], true),
            (&[Up, Leave], false),
        ] {
            let mut life = after(events);
            assert_eq!(life.go_down(true), begins);
            let is_over = life.state() == State::Deleting;
            assert_eq!(life.is_shutdown_due(), !begins && !is_over);
            assert_eq!(life.is_going_down(), begins);
            // The shutdown itself does not wait.
            assert_eq!(life.go_down(false), !is_over);
            assert!(!life.is_shutdown_due());
        }
        let mut life = after(&[Up]);
        life.set_pausing(true);
        assert!(!life.go_down(true) && life.is_shutdown_due());
        for event in [Pause, Wake] {
            assert!(life.apply(event, Instant::now()) != Action::Nothing);
        }
    }

    #[test]
    fn the_last_of_two_pauses_ends_with_a_bring_up() {
        for (events, ends) in [
            (&[CutOff, Pause, Wake][..], Reached),
            (&[CutOff, Pause, Reached], Wake),
            (&[Pause, CutOff, Reached], Wake),
            (&[Pause, CutOff, Wake], Reached),
            (&[CutOff, Wake], Reached),
            // A recovery that was given up, and a sleep.
            (&[CutOff, Gone, Pause, Wake], Reached),
        ] {
            let mut life = after(&[Up]);
            for event in events {
                let action = life.apply(*event, Instant::now());
                assert!(!matches!(action, Action::BringUp | Action::Reset));
                assert!(life.is_paused() && !life.snapshot().is_coming_up());
            }
            let action = life.apply(ends, Instant::now());
            assert!(matches!(action, Action::BringUp | Action::Reset));
            assert!(!life.is_paused() && life.snapshot().is_coming_up());
        }
    }

    #[test]
    fn a_sleep_counts_until_the_next_bring_up_is_over() {
        for end in [Up, Failed, Gone] {
            let mut life = after(&[Up]);
            life.set_slept();
            for event in [Pause, Wake, Stuck, Fault, end] {
                assert!(life.has_slept());
                life.apply(event, Instant::now());
            }
            assert!(!life.has_slept());
        }
    }

    #[test]
    fn a_pause_that_is_about_to_begin_outlasts_a_reset() {
        let mut life = after(&[Up]);
        life.set_pausing(true);
        for event in [Fault, Up, Requested, Up] {
            life.apply(event, Instant::now());
            assert!(!life.must_let_io_begin());
        }
        life.apply(Gone, Instant::now());
        assert!(life.must_let_io_begin());
        life.apply(Pause, Instant::now());
        assert!(!life.is_pausing());
    }

    #[test]
    fn a_bring_up_that_fails_before_a_reset_of_the_function_is_no_verdict() {
        let mut life = after(&[Up, Fault]);
        life.set_pausing(true);
        // Before a sleep it is one: I/O must end.
        assert!(!life.is_failure_excused());
        life.set_reset_follows();
        assert!(life.is_failure_excused());
        life.apply(Pause, Instant::now());
        assert!(life.is_failure_excused());
        life.apply(Wake, Instant::now());
        assert!(!life.is_failure_excused());
    }
}
