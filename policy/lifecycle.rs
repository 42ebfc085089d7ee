// SPDX-License-Identifier: GPL-2.0

//! The life of a controller: its state, its power, and what each event does to both.
//!
//! ```text
//!   New ──► Live ◄──────────── brought up ─────────────┐
//!            │ timeout, fault, request, pause           │
//!            └──────────────────────────────────► Resetting ──► Dead ──┐
//!                                                       ▲   failed     │ request
//!                                                       └──────────────┘
//!   any ── unbind, shutdown ──► Deleting                   any ── gone ──► Dead
//! ```
//!
//! [`next`] and [`Power::next`] are total functions, tabled below. [`Lifecycle`] is the one value
//! that they change; `controller/hardware.rs` carries the actions out. The words of the states are
//! those of Linux's driver (`drivers/nvme/host/sysfs.c`).

use kernel::time::{
    Delta,
    Instant,
    Monotonic, //
};

/// In which part of its life a controller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    /// The controller is brought up for the first time: there are no disks yet.
    New,
    /// The controller works.
    Live,
    /// The controller is stopped and is to work again: I/O waits.
    Resetting,
    /// The driver leaves the controller.
    Deleting,
    /// The controller does not work: I/O fails at once.
    Dead,
}

impl State {
    /// All states, in the order of their numbers.
    pub(crate) const ALL: [Self; 5] = [
        Self::New,
        Self::Live,
        Self::Resetting,
        Self::Deleting,
        Self::Dead,
    ];

    /// The state of number `raw`; [`State::Dead`] for a number of no state.
    fn from_raw(raw: u8) -> Self {
        Self::ALL
            .get(usize::from(raw))
            .copied()
            .unwrap_or(Self::Dead)
    }

    /// The word of the state in sysfs.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Live => "live",
            Self::Resetting => "resetting",
            Self::Deleting => "deleting",
            Self::Dead => "dead",
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
    /// The device is not on the bus any more.
    Gone,
    /// The driver leaves the controller.
    Leave,
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
    /// Let I/O go on.
    Resume,
    /// Stop the controller; I/O fails from now on.
    End,
}

/// The state after `event`, and what to do.
pub(crate) const fn next(state: State, event: Event) -> (State, Action) {
    use Action::*;
    use State::*;
    match (state, event) {
        // No I/O waits yet, and no job brings the controller up a second time.
        (New, Event::Up) => (Live, Nothing),
        (New, Event::TimedOut | Event::Stuck | Event::Fault | Event::Failed | Event::Gone) => {
            (Dead, End)
        }
        (New, Event::Requested | Event::Pause | Event::Wake) => (New, Nothing),
        (New, Event::Leave) => (Deleting, End),

        (Live, Event::Up) => (Live, Nothing),
        (Live, Event::TimedOut) => (Live, Abort),
        // A wake without a pause: the function was reset, or lost its power.
        (Live, Event::Stuck | Event::Fault | Event::Requested | Event::Wake) => (Resetting, Reset),
        (Live, Event::Pause) => (Resetting, Hold),
        (Live, Event::Failed | Event::Gone) => (Dead, End),
        // The disks are removed first, and their I/O ends in order.
        (Live, Event::Leave) => (Deleting, Nothing),

        (Resetting, Event::Up) => (Live, Resume),
        (Resetting, Event::TimedOut | Event::Stuck) => (Resetting, Cancel),
        // A reset is under way.
        (Resetting, Event::Fault | Event::Requested) => (Resetting, Nothing),
        // The bring-up that is under way must end.
        (Resetting, Event::Pause) => (Resetting, Hold),
        (Resetting, Event::Wake) => (Resetting, BringUp),
        (Resetting, Event::Failed | Event::Gone) => (Dead, End),
        // I/O waits for a controller that will not come back.
        (Resetting, Event::Leave) => (Deleting, End),

        (Deleting, Event::TimedOut | Event::Stuck | Event::Fault | Event::Failed | Event::Gone) => {
            (Deleting, End)
        }
        (Deleting, Event::Up | Event::Requested | Event::Pause | Event::Wake | Event::Leave) => {
            (Deleting, Nothing)
        }

        // A request tries again what failed by itself, and so does the end of a pause.
        (Dead, Event::Requested | Event::Wake) => (Resetting, Reset),
        (Dead, Event::TimedOut | Event::Stuck) => (Dead, End),
        (Dead, Event::Up | Event::Fault | Event::Failed | Event::Pause | Event::Gone) => {
            (Dead, Nothing)
        }
        (Dead, Event::Leave) => (Deleting, End),
    }
}

/// Whether the controller runs, as far as the driver knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Power {
    /// The controller confirmed that it stopped, or is gone: it does not access memory.
    Off,
    /// The controller was enabled.
    On,
    /// The controller was told to stop and did not confirm it.
    Unstoppable,
    /// The PCI function is being reset.
    FunctionReset,
}

/// What is done to the controller's power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PowerEvent {
    /// CC.EN becomes 1.
    Enable,
    /// The controller was told to stop, and confirmed it.
    Stopped,
    /// The controller was told to stop, and did not confirm it in time.
    NotStopped,
    /// A reset of the PCI function begins.
    FunctionReset,
    /// The reset of the PCI function is over, whatever its result.
    FunctionBack,
}

impl Power {
    /// The power after `event`.
    pub(crate) const fn next(self, event: PowerEvent) -> Self {
        match (self, event) {
            // That the function did not answer during its reset does not say that it has stopped.
            (Self::FunctionReset, PowerEvent::FunctionBack) => Self::Unstoppable,
            (Self::FunctionReset, _) => Self::FunctionReset,
            (_, PowerEvent::FunctionReset) => Self::FunctionReset,
            (_, PowerEvent::Enable) => Self::On,
            (Self::Off, _) | (_, PowerEvent::Stopped) => Self::Off,
            (_, PowerEvent::NotStopped) => Self::Unstoppable,
            (power, PowerEvent::FunctionBack) => power,
        }
    }
}

/// The whole life of one controller.
#[derive(Clone, Copy)]
pub(crate) struct Lifecycle {
    state: State,
    power: Power,
    /// Between [`Event::Pause`] and [`Event::Wake`]: nothing may bring the controller up.
    paused: bool,
    /// The controller pauses its processing of commands (CSTS.PP): a timeout says nothing.
    processing_paused: bool,
    /// Since when the controller does not work, while it is brought up again.
    down_since: Option<Instant<Monotonic>>,
}

impl Lifecycle {
    /// A controller that is new and disabled.
    pub(crate) const NEW: Self = Self {
        state: State::New,
        power: Power::Off,
        paused: false,
        processing_paused: false,
        down_since: None,
    };

    /// Applies `event`, which happened at `now`; returns what to do.
    pub(crate) fn apply(&mut self, event: Event, now: Instant<Monotonic>) -> Action {
        match event {
            Event::Pause => self.paused = true,
            Event::Wake => self.paused = false,
            _ => {}
        }
        let (state, action) = next(self.state, event);
        self.state = state;
        if matches!(action, Action::Reset | Action::BringUp) {
            self.down_since = Some(now);
        }
        action
    }

    /// Applies `event` to the power.
    pub(crate) fn apply_power(&mut self, event: PowerEvent) {
        self.power = self.power.next(event);
    }

    /// Sets whether the controller pauses its processing of commands.
    pub(crate) fn set_processing_paused(&mut self, paused: bool) {
        self.processing_paused = paused;
    }

    /// The state.
    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// The power.
    pub(crate) fn power(&self) -> Power {
        self.power
    }

    /// Whether a pause is under way.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether the controller pauses its processing of commands.
    pub(crate) fn is_processing_paused(&self) -> bool {
        self.processing_paused
    }

    /// How long the controller has not worked at `now`, while it is brought up again.
    pub(crate) fn down_for(&self, now: Instant<Monotonic>) -> Option<Delta> {
        self.down_since.map(|since| now - since)
    }

    /// As [`Self::down_for`]; the controller works from now on.
    pub(crate) fn take_down_for(&mut self, now: Instant<Monotonic>) -> Option<Delta> {
        self.down_since.take().map(|since| now - since)
    }

    /// State and pause in one byte, for readers without the lock.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot((self.state as u8) << 1 | u8::from(self.paused))
    }
}

/// State and pause of a [`Lifecycle`], as they were at one moment.
#[derive(Clone, Copy)]
pub(crate) struct Snapshot(u8);

impl Snapshot {
    /// The snapshot of number `raw`.
    pub(crate) fn from_raw(raw: u8) -> Self {
        Self(raw)
    }

    /// The number.
    pub(crate) fn into_raw(self) -> u8 {
        self.0
    }

    /// The state.
    pub(crate) fn state(self) -> State {
        State::from_raw(self.0 >> 1)
    }

    /// Whether a bring-up may go on.
    pub(crate) fn is_coming_up(self) -> bool {
        self.0 & 1 == 0 && matches!(self.state(), State::New | State::Resetting)
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

    const EVENTS: [Event; 10] = [
        Up, Failed, TimedOut, Stuck, Fault, Requested, Pause, Wake, Gone, Leave,
    ];

    /// A row for each state, a column for each of `EVENTS`.
    #[rustfmt::skip]
    const TABLE: [(State, [(State, Action); 10]); 5] = [
        (New, [
            (Live, Nothing), (Dead, End), (Dead, End), (Dead, End), (Dead, End),
            (New, Nothing), (New, Nothing), (New, Nothing), (Dead, End), (Deleting, End),
        ]),
        (Live, [
            (Live, Nothing), (Dead, End), (Live, Abort), (Resetting, Reset), (Resetting, Reset),
            (Resetting, Reset), (Resetting, Hold), (Resetting, Reset), (Dead, End), (Deleting, Nothing),
        ]),
        (Resetting, [
            (Live, Resume), (Dead, End), (Resetting, Cancel), (Resetting, Cancel), (Resetting, Nothing),
            (Resetting, Nothing), (Resetting, Hold), (Resetting, BringUp), (Dead, End), (Deleting, End),
        ]),
        (Deleting, [
            (Deleting, Nothing), (Deleting, End), (Deleting, End), (Deleting, End), (Deleting, End),
            (Deleting, Nothing), (Deleting, Nothing), (Deleting, Nothing), (Deleting, End), (Deleting, Nothing),
        ]),
        (Dead, [
            (Dead, Nothing), (Dead, Nothing), (Dead, End), (Dead, End), (Dead, Nothing),
            (Resetting, Reset), (Dead, Nothing), (Resetting, Reset), (Dead, Nothing), (Deleting, End),
        ]),
    ];

    #[test]
    fn every_event_in_every_state() {
        for (state, row) in TABLE {
            for (event, expected) in EVENTS.into_iter().zip(row) {
                assert_eq!(next(state, event), expected);
            }
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
        assert_eq!(State::from_raw(5), Dead);
        assert_eq!(Resetting.name(), "resetting");
    }

    #[test]
    fn every_power_event_at_every_power() {
        use PowerEvent as P;
        const EVENTS: [PowerEvent; 5] = [
            P::Enable,
            P::Stopped,
            P::NotStopped,
            P::FunctionReset,
            P::FunctionBack,
        ];
        let (off, on, stuck, away) = (
            Power::Off,
            Power::On,
            Power::Unstoppable,
            Power::FunctionReset,
        );
        for (power, row) in [
            (off, [on, off, off, away, off]),
            (on, [on, off, stuck, away, on]),
            (stuck, [on, off, stuck, away, stuck]),
            (away, [away, away, away, away, stuck]),
        ] {
            for (event, expected) in EVENTS.into_iter().zip(row) {
                assert_eq!(power.next(event), expected);
            }
        }
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
                life.apply(event, now);
                assert_eq!(life.is_paused(), event != Wake);
                let seen = life.snapshot();
                assert_eq!(seen.state(), life.state());
                assert!(event == Wake || !seen.is_coming_up());
            }
        }
    }

    #[test]
    fn the_time_down_counts_from_the_last_bring_up() {
        let began = Instant::now();
        let later = began + Delta::from_millis(700);
        let mut life = Lifecycle::NEW;
        life.apply(Up, began);
        assert!(life.down_for(later).is_none());
        life.apply(Fault, began);
        assert_eq!(life.down_for(later), Some(Delta::from_millis(700)));
        life.apply(Pause, later);
        life.apply(Wake, later);
        assert_eq!(life.down_for(later), Some(Delta::ZERO));
        assert_eq!(life.take_down_for(later), Some(Delta::ZERO));
        assert!(life.down_for(later).is_none());
    }
}
