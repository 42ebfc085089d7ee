// SPDX-License-Identifier: GPL-2.0

//! The life of a controller: its state, and what each event does to it.
//!
//! ```text
//!   New ──► Live ◄──────────── brought up ─────────────┬───────────────────────┐
//!    │       │ timeout, fault, request, pause, its time │                       │
//!    │       └──────────────────────────────────► Resetting ──► Dead ──────► Trying
//!    │                                                  ▲ failed │▲▲  its time  │
//!    │                                                  └────────┘│└────────────┘
//!    └──────────────────── failed ────────────────────────────────┘    failed
//!   any ── unbind, shutdown ──► Deleting                   any ── gone ──► Dead
//! ```
//!
//! [`next`] is a total function, tabled below; so is [`Power::next`]. [`Lifecycle`] is the one value
//! that they change; `controller/hardware.rs` carries the actions out. The words of the states are
//! those of Linux's driver (`drivers/nvme/host/sysfs.c`).

// State and pause in one byte.
mod snapshot;
// How long a bring-up is under way, and when the next may begin.
mod bring_up;
// Pauses, and when I/O begins again that one has kept from beginning.
mod pause;

pub(crate) use self::snapshot::Snapshot;

use super::{
    power::{
        Power,
        PowerEvent, //
    },
    revival::Revival, //
};
use kernel::time::{
    Instant,
    Monotonic, //
};

/// In which part of its life a controller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    /// Probe brings the controller up: there are no disks yet.
    New,
    /// The controller works.
    Live,
    /// The controller is stopped and is to work again: I/O waits.
    Resetting,
    /// The driver leaves the controller.
    Deleting,
    /// The controller does not work: I/O fails at once.
    Dead,
    /// The controller is dead, and the driver tries to bring it up again: I/O fails at once.
    Trying,
}

impl State {
    /// All states, in the order of their numbers.
    pub(crate) const ALL: [Self; 6] = [
        Self::New,
        Self::Live,
        Self::Resetting,
        Self::Deleting,
        Self::Dead,
        Self::Trying,
    ];

    /// The state of number `raw`; [`State::Dead`] for a number of no state.
    fn from_raw(raw: u8) -> Self {
        Self::ALL
            .get(usize::from(raw))
            .copied()
            .unwrap_or(Self::Dead)
    }

    /// Whether the controller is dead, as far as I/O and users see.
    pub(crate) const fn is_dead(self) -> bool {
        matches!(self, Self::Dead | Self::Trying)
    }

    /// The word of the state in sysfs.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Live => "live",
            Self::Resetting => "resetting",
            Self::Deleting => "deleting",
            Self::Dead | Self::Trying => "dead",
        }
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The controller was brought up.
    Up,
    /// The controller could not be brought up.
    Failed,
    /// An I/O command timed out that can be aborted.
    TimedOut,
    /// A command timed out that cannot be aborted, or was aborted before.
    Stuck,
    /// The controller reports a failure, or its registers do not answer.
    Fault,
    /// A reset is requested.
    Requested,
    /// The controller must be quiet for a while: the system sleeps, or PCI core resets the function.
    Pause,
    /// The pause is over.
    Wake,
    /// The bus does not reach the controller any more.
    CutOff,
    /// The bus reaches the controller again, whose slot was reset.
    Reached,
    /// The device is not on the bus any more.
    Gone,
    /// The driver leaves the controller.
    Leave,
    /// The time has come to try a dead controller again, or one without I/O queues.
    Retry,
}

/// What an event asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing.
    Nothing,
    /// Ask the controller to abort the command, and extend its timeout.
    Abort,
    /// Stop the controller in an orderly way; I/O waits.
    Hold,
    /// Stop the controller at once and bring it up again; I/O waits.
    Reset,
    /// Bring the stopped controller up.
    BringUp,
    /// Stop the controller at once: its bring-up must find out that it does not answer.
    Cancel,
    /// The controller works again: let I/O go on.
    Resume,
    /// Stop the controller; I/O fails from now on.
    End,
}

/// The state after `event`, and what to do.
pub(crate) const fn next(state: State, event: Event) -> (State, Action) {
    use Action::*;
    use State::*;
    match (state, event) {
        // No I/O waits yet.
        (New, Event::Up) => (Live, Nothing),
        (New, Event::TimedOut | Event::Stuck) => (New, Cancel),
        // The bring-up is under way, and tells what follows.
        (New, Event::Fault | Event::Requested | Event::Retry) => (New, Nothing),
        (New, Event::Wake | Event::Reached) => (New, Nothing),
        // After a pause the wake brings the controller up.
        (New, Event::Pause | Event::CutOff) => (Resetting, Hold),
        (New, Event::Failed | Event::Gone) => (Dead, End),
        (New, Event::Leave) => (Deleting, End),

        (Live, Event::Up) => (Live, Nothing),
        (Live, Event::TimedOut) => (Live, Abort),
        // A wake without a pause: the function was reset, or lost its power.
        (Live, Event::Wake | Event::Reached | Event::Retry) => (Resetting, Reset),
        (Live, Event::Stuck | Event::Fault | Event::Requested) => (Resetting, Reset),
        (Live, Event::Pause | Event::CutOff) => (Resetting, Hold),
        (Live, Event::Failed | Event::Gone) => (Dead, End),
        // The disks are removed first, and their I/O ends in order.
        (Live, Event::Leave) => (Deleting, Nothing),

        (Resetting, Event::Up) => (Live, Resume),
        (Resetting, Event::TimedOut | Event::Stuck) => (Resetting, Cancel),
        // A reset is under way.
        (Resetting, Event::Fault | Event::Requested | Event::Retry) => (Resetting, Nothing),
        // The bring-up that is under way must end.
        (Resetting, Event::Pause | Event::CutOff) => (Resetting, Hold),
        (Resetting, Event::Wake | Event::Reached) => (Resetting, BringUp),
        (Resetting, Event::Failed | Event::Gone) => (Dead, End),
        // I/O waits for a controller that will not come back.
        (Resetting, Event::Leave) => (Deleting, End),

        (Deleting, Event::TimedOut | Event::Stuck | Event::Fault | Event::Failed | Event::Gone) => {
            (Deleting, End)
        }
        (Deleting, _) => (Deleting, Nothing),

        // A request tries again what failed by itself, and so does the end of a pause.
        (Dead, Event::Requested | Event::Wake | Event::Reached) => (Resetting, Reset),
        (Dead, Event::TimedOut | Event::Stuck) => (Dead, End),
        (Dead, Event::Up | Event::Fault | Event::Failed | Event::Gone) => (Dead, Nothing),
        (Dead, Event::Pause | Event::CutOff) => (Dead, Nothing),
        (Dead, Event::Leave) => (Deleting, End),
        (Dead, Event::Retry) => (Trying, BringUp),

        (Trying, Event::Up) => (Live, Resume),
        (Trying, Event::TimedOut | Event::Stuck) => (Trying, Cancel),
        // The try is under way, and tells what follows.
        (Trying, Event::Fault | Event::Requested | Event::Retry) => (Trying, Nothing),
        (Trying, Event::Wake | Event::Reached) => (Trying, Nothing),
        // After a pause the wake brings the controller up.
        (Trying, Event::Pause | Event::CutOff) => (Dead, End),
        (Trying, Event::Failed | Event::Gone) => (Dead, End),
        (Trying, Event::Leave) => (Deleting, End),
    }
}

/// The whole life of one controller.
#[derive(Clone, Copy)]
pub(crate) struct Lifecycle {
    state: State,
    power: Power,
    /// A pause is about to begin: no I/O may begin, and what has begun ends first.
    pausing: bool,
    /// PCI core resets the function in the pause that is about to begin.
    reset_follows: bool,
    /// Between [`Event::Pause`] and [`Event::Wake`]: nothing may bring the controller up.
    paused: bool,
    /// Between [`Event::CutOff`] and [`Event::Reached`]: the same.
    cut_off: bool,
    /// The controller may have lost its power in a sleep, and was not brought up since.
    slept: bool,
    /// The system goes down: no [`Event::Wake`] ends a pause.
    going_down: bool,
    /// The system is about to go down, and a pause has kept the shutdown from beginning.
    shutdown_due: bool,
    /// The controller pauses its processing of commands (CSTS.PP): a timeout says nothing.
    processing_paused: bool,
    /// Since when the controller does not work, a pause aside.
    down_since: Option<Instant<Monotonic>>,
    /// Since when the present bring-up, or reset of the PCI function, is under way.
    bring_up_since: Option<Instant<Monotonic>>,
    /// When the present bring-up must be over, once its admin commands have begun.
    bring_up_ends: Option<Instant<Monotonic>>,
    /// Whether the present bring-up is the second one, after a reset of the PCI function.
    second: bool,
    /// Whether [`Event::Retry`] began the last bring-up.
    quiet: bool,
    /// Whether the controller works, but for I/O: it has no I/O queue, though it should.
    lacks_queues: bool,
    /// When a dead controller is tried again, or one without I/O queues.
    revival: Revival,
}

impl Lifecycle {
    /// A controller that is new: firmware or another driver may have left it running.
    pub(crate) const NEW: Self = Self {
        state: State::New,
        power: Power::Unknown,
        pausing: false,
        reset_follows: false,
        paused: false,
        cut_off: false,
        slept: false,
        going_down: false,
        shutdown_due: false,
        processing_paused: false,
        down_since: None,
        bring_up_since: None,
        bring_up_ends: None,
        second: false,
        quiet: false,
        lacks_queues: false,
        revival: Revival::NEW,
    };

    /// Applies `event`, which happened at `now`; returns what to do.
    pub(crate) fn apply(&mut self, event: Event, now: Instant<Monotonic>) -> Action {
        match event {
            Event::Pause | Event::CutOff => {
                self.paused |= event == Event::Pause;
                self.cut_off |= event == Event::CutOff;
                self.pausing = false;
                self.reset_follows = false;
            }
            // A reset of the function by others is over.
            Event::Wake | Event::Reached if self.going_down => return Action::Nothing,
            Event::Wake | Event::Reached => {
                self.paused &= event != Event::Wake;
                self.cut_off &= event != Event::Reached;
                // Two pauses may overlap: the end of the last one brings the controller up.
                if self.is_paused() {
                    return Action::Nothing;
                }
            }
            Event::Up | Event::Failed | Event::Gone => self.slept = false,
            // The end of the pause brings the controller up. If the device is gone, none may come.
            Event::Requested | Event::Retry if self.is_paused() => return Action::Nothing,
            _ => {}
        }
        let before = self.state;
        let (state, action) = next(before, event);
        self.state = state;
        if event == Event::Up {
            self.end_bring_up();
        }
        if matches!(action, Action::Reset | Action::BringUp) {
            self.set_bring_up(Some(now));
            self.quiet = event == Event::Retry;
            // A try does not change since when the controller is dead.
            if state == State::Resetting {
                self.down_since = Some(now);
            }
        }
        if state == State::Dead && before == State::Trying {
            self.revival.failed(now);
        } else if state == State::Dead && before != State::Dead {
            self.revival.died(now);
            self.down_since = self.down_since.or(Some(now));
        }
        action
    }

    /// Applies `event` to the power.
    pub(crate) fn apply_power(&mut self, event: PowerEvent) {
        self.power = self.power.next(event);
    }

    /// The state.
    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// The power.
    pub(crate) fn power(&self) -> Power {
        self.power
    }

    /// State and pause in one byte, for readers without the lock.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.state, self.is_paused(), self.quiet)
    }
}

#[kernel::macros::kunit_tests(rnvme_lifecycle)]
mod tests {
    use super::{
        Action::*,
        Event::*,
        State::*,
        *, //
    };

    const EVENTS: [Event; 11] = [
        Up, Failed, TimedOut, Stuck, Fault, Requested, Pause, Wake, Gone, Leave, Retry,
    ];

    /// A row for each state, a column for each of `EVENTS`.
    #[rustfmt::skip]
    const TABLE: [(State, [(State, Action); 11]); 6] = [
        (New, [
            (Live, Nothing), (Dead, End), (New, Cancel), (New, Cancel), (New, Nothing),
            (New, Nothing), (Resetting, Hold), (New, Nothing), (Dead, End), (Deleting, End),
            (New, Nothing),
        ]),
        (Live, [
            (Live, Nothing), (Dead, End), (Live, Abort), (Resetting, Reset), (Resetting, Reset),
            (Resetting, Reset), (Resetting, Hold), (Resetting, Reset), (Dead, End), (Deleting, Nothing),
            (Resetting, Reset),
        ]),
        (Resetting, [
            (Live, Resume), (Dead, End), (Resetting, Cancel), (Resetting, Cancel), (Resetting, Nothing),
            (Resetting, Nothing), (Resetting, Hold), (Resetting, BringUp), (Dead, End), (Deleting, End),
            (Resetting, Nothing),
        ]),
        (Deleting, [
            (Deleting, Nothing), (Deleting, End), (Deleting, End), (Deleting, End), (Deleting, End),
            (Deleting, Nothing), (Deleting, Nothing), (Deleting, Nothing), (Deleting, End), (Deleting, Nothing),
            (Deleting, Nothing),
        ]),
        (Dead, [
            (Dead, Nothing), (Dead, Nothing), (Dead, End), (Dead, End), (Dead, Nothing),
            (Resetting, Reset), (Dead, Nothing), (Resetting, Reset), (Dead, Nothing), (Deleting, End),
            (Trying, BringUp),
        ]),
        (Trying, [
            (Live, Resume), (Dead, End), (Trying, Cancel), (Trying, Cancel), (Trying, Nothing),
            (Trying, Nothing), (Dead, End), (Trying, Nothing), (Dead, End), (Deleting, End),
            (Trying, Nothing),
        ]),
    ];

    #[test]
    fn every_event_in_every_state() {
        for (state, row) in TABLE {
            for (event, expected) in EVENTS.into_iter().zip(row) {
                assert_eq!(next(state, event), expected);
            }
            assert_eq!(next(state, CutOff), next(state, Pause));
            assert_eq!(next(state, Reached), next(state, Wake));
        }
    }

    #[test]
    fn io_waits_only_while_a_reset_is_under_way() {
        // I/O waits in `Resetting` only. Into it leads an action that brings the controller up again
        // (or a pause, which `Wake` ends), out of it an action that lets I/O go on or ends it.
        for state in State::ALL {
            for event in EVENTS {
                let (after, action) = next(state, event);
                if after == Resetting && state != Resetting {
                    assert!(matches!(action, Reset | Hold));
                    assert!(action != Hold || event == Pause);
                }
                if state == Resetting && after != Resetting {
                    assert!(matches!(action, Resume | End));
                }
            }
        }
    }

    #[test]
    fn deleting_is_final() {
        for event in EVENTS {
            assert_eq!(next(Deleting, event).0, Deleting);
        }
    }

    #[test]
    fn a_failure_never_leads_to_live() {
        for state in State::ALL {
            for event in [Failed, Stuck, Fault, Gone, Leave] {
                assert!(next(state, event).0 != Live);
            }
        }
    }

    #[test]
    fn states_have_numbers_and_words() {
        for (number, state) in (0..).zip(State::ALL) {
            assert_eq!(state as u8, number);
            assert_eq!(State::from_raw(number), state);
        }
        assert_eq!(State::from_raw(6), Dead);
        assert_eq!(Trying.name(), "dead");
        assert_eq!(Resetting.name(), "resetting");
    }

    #[test]
    fn a_pause_keeps_the_controller_from_coming_up() {
        let now = Instant::now();
        for event in EVENTS {
            for first in EVENTS {
                let mut life = Lifecycle::NEW;
                life.apply(Up, now);
                life.apply(first, now);
                life.apply(Pause, now);
                let before = life.state();
                life.apply(event, now);
                assert_eq!(life.is_paused(), event != Wake);
                // Only the end of the pause has I/O wait again.
                assert!(event == Wake || before == Resetting || life.state() != Resetting);
                let seen = life.snapshot();
                assert_eq!(seen.state(), life.state());
                assert!(event == Wake || !seen.is_coming_up());
            }
        }
    }
}
