// SPDX-License-Identifier: GPL-2.0

//! The life of a controller, and what happens when something goes wrong, as a pure function of the
//! state and of what happened: [`next`].
//!
//! ```text
//!   New ──► Live ◄──────────── brought up ─────────────┐
//!            │ a command does not come back, a fault,   │
//!            │ somebody asks, the system sleeps         │
//!            └──────────────────────────────────► Resetting ──► Dead ──┐
//!                                                       ▲  it failed   │ somebody asks
//!                                                       └──────────────┘
//!   any ── unbind, shutdown ──► Deleting                   any ── gone ──► Dead
//! ```
//!
//! What the actions do is in `controller/hardware.rs`. The words of the states are those of Linux's driver
//! (`drivers/nvme/host/sysfs.c`).

/// In which part of its life a controller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    /// It is brought up for the first time: there are no disks yet.
    New,
    /// It works.
    Live,
    /// It is stopped, and is to work again: I/O waits.
    Resetting,
    /// The driver leaves it.
    Deleting,
    /// It does not work: I/O fails at once.
    Dead,
}

impl State {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Self; 5] = [
        Self::New,
        Self::Live,
        Self::Resetting,
        Self::Deleting,
        Self::Dead,
    ];

    /// The state of number `raw`; what is none is dead.
    pub(crate) fn from_raw(raw: u8) -> Self {
        Self::ALL
            .get(usize::from(raw))
            .copied()
            .unwrap_or(Self::Dead)
    }

    /// The word for it in sysfs.
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
    /// It could not be brought up.
    Failed,
    /// An I/O command is late, and no completion was missed.
    Late,
    /// A command is late that cannot be aborted, or was to be.
    Stuck,
    /// The controller says that it has failed, or its registers do not answer.
    Fault,
    /// Somebody wants it to be reset.
    Asked,
    /// It is to be quiet for a while: the system sleeps, or something else resets the device.
    Pause,
    /// The while is over.
    Wake,
    /// The device is not there any more.
    Gone,
    /// The driver is to leave it.
    Leave,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing.
    Nothing,
    /// Ask the controller to abort the command, and give it a little more time.
    Abort,
    /// Stop the controller and keep its I/O for later.
    Hold,
    /// The same, and bring the controller up again.
    Reset,
    /// Bring the controller up, which was stopped before.
    BringUp,
    /// End what the controller has: whoever brings it up shall notice that it does not answer.
    Cancel,
    /// Let I/O go on.
    Resume,
    /// Stop the controller and end all I/O with errors, now and from now on.
    End,
}

/// What `event` makes of `state`, and what is to be done.
pub(crate) const fn next(state: State, event: Event) -> (State, Action) {
    use Action::*;
    use State::*;
    match (state, event) {
        // There is no I/O yet that could wait, and nobody to bring it up again.
        (New, Event::Up) => (Live, Nothing),
        (New, Event::Late | Event::Stuck | Event::Fault | Event::Failed | Event::Gone) => {
            (Dead, End)
        }
        (New, Event::Asked | Event::Pause | Event::Wake) => (New, Nothing),
        (New, Event::Leave) => (Deleting, End),

        (Live, Event::Up) => (Live, Nothing),
        (Live, Event::Late) => (Live, Abort),
        // Whoever wakes it up has reset it, or its power was off.
        (Live, Event::Stuck | Event::Fault | Event::Asked | Event::Wake) => (Resetting, Reset),
        (Live, Event::Pause) => (Resetting, Hold),
        (Live, Event::Failed | Event::Gone) => (Dead, End),
        // The disks go first, and their I/O ends in order.
        (Live, Event::Leave) => (Deleting, Nothing),

        (Resetting, Event::Up) => (Live, Resume),
        (Resetting, Event::Late | Event::Stuck) => (Resetting, Cancel),
        // It is being reset.
        (Resetting, Event::Fault | Event::Asked) => (Resetting, Nothing),
        // What brings it up must let go of it.
        (Resetting, Event::Pause) => (Resetting, Hold),
        (Resetting, Event::Wake) => (Resetting, BringUp),
        (Resetting, Event::Failed | Event::Gone) => (Dead, End),
        // I/O waits for what will not come any more.
        (Resetting, Event::Leave) => (Deleting, End),

        (Deleting, Event::Late | Event::Stuck | Event::Fault | Event::Failed | Event::Gone) => {
            (Deleting, End)
        }
        (Deleting, Event::Up | Event::Asked | Event::Pause | Event::Wake | Event::Leave) => {
            (Deleting, Nothing)
        }

        // A user may try again what failed by itself, and so may whoever has reset the device.
        (Dead, Event::Asked | Event::Wake) => (Resetting, Reset),
        (Dead, Event::Late | Event::Stuck) => (Dead, End),
        (Dead, Event::Up | Event::Fault | Event::Failed | Event::Pause | Event::Gone) => {
            (Dead, Nothing)
        }
        (Dead, Event::Leave) => (Deleting, End),
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
        Up, Failed, Late, Stuck, Fault, Asked, Pause, Wake, Gone, Leave,
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
    fn io_never_waits_for_nothing() {
        // I/O waits in `Resetting` only: into it leads what brings the controller up again (or
        // what will be followed by `Wake`), and out of it what lets I/O go on or ends it.
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
    fn nothing_comes_back_from_deleting() {
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
}
