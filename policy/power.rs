// SPDX-License-Identifier: GPL-2.0

//! Whether a controller accesses memory, as far as the driver knows, and how it is stopped.
//!
//! The registers decide: [`stop_step`] says what to do next by what CC and CSTS read as. All ones say
//! nothing, and so does what was read before a sleep or a reset of the function.

/// Whether the controller runs, as far as the driver knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Power {
    /// CC.EN = 0 and CSTS.RDY = 0 were read: the controller does not access memory.
    Off,
    /// The controller was enabled.
    On,
    /// The registers did not say that the controller has stopped, or did not say anything.
    Unknown,
    /// The PCI function is being reset.
    FunctionReset,
}

/// What is done to the controller's power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PowerEvent {
    /// CC.EN becomes 1.
    Enable,
    /// CC.EN = 0 and CSTS.RDY = 0 were read.
    Stopped,
    /// The registers say that the controller has not stopped, or do not answer.
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
            (Self::FunctionReset, PowerEvent::FunctionBack) => Self::Unknown,
            (Self::FunctionReset, _) => Self::FunctionReset,
            (_, PowerEvent::FunctionReset) => Self::FunctionReset,
            (_, PowerEvent::Enable) => Self::On,
            (_, PowerEvent::Stopped) => Self::Off,
            (_, PowerEvent::NotStopped) => Self::Unknown,
            (power, PowerEvent::FunctionBack) => power,
        }
    }
}

/// What CC and CSTS said together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// CC.EN.
    pub(crate) enabled: bool,
    /// CSTS.RDY.
    pub(crate) ready: bool,
    /// CSTS.CFS: the controller has failed.
    pub(crate) failed: bool,
    /// CSTS.SHST: the controller was told to shut down.
    pub(crate) shut_down: bool,
}

/// What to do next about a controller that must stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopStep {
    /// Nothing: it has stopped.
    Done,
    /// Write CC.EN = 0.
    Disable,
    /// Read the registers again in a moment.
    Wait,
}

/// The next step to stop a controller whose registers say `reading`; `None`: they read as all ones.
/// `may_be_ready`: the time in which the enabled controller may become ready (CAP.TO) is not over.
pub(crate) const fn stop_step(reading: Option<Reading>, may_be_ready: bool) -> StopStep {
    let Some(it) = reading else {
        return StopStep::Wait;
    };
    match (it.enabled, it.ready) {
        (false, false) => StopStep::Done,
        // A controller reset is under way.
        (false, true) => StopStep::Wait,
        // The host clears CC.EN only after CSTS.RDY has followed it (Base 3.1.3.5).
        (true, false) if !it.failed && !it.shut_down && may_be_ready => StopStep::Wait,
        (true, _) => StopStep::Disable,
    }
}

#[kernel::macros::kunit_tests(rnvme_power)]
mod tests {
    use super::*;

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
        let (off, on, unknown, away) =
            (Power::Off, Power::On, Power::Unknown, Power::FunctionReset);
        for (power, row) in [
            (off, [on, off, unknown, away, off]),
            (on, [on, off, unknown, away, on]),
            (unknown, [on, off, unknown, away, unknown]),
            (away, [away, away, away, away, unknown]),
        ] {
            for (event, expected) in EVENTS.into_iter().zip(row) {
                assert_eq!(power.next(event), expected);
            }
        }
    }

    #[test]
    fn every_reading() {
        use StopStep::*;
        // CC.EN, CSTS.RDY, CFS, SHST; the step while CAP.TO runs, and after it.
        for (bits, during, after) in [
            (0b0000, Done, Done),
            (0b0001, Done, Done),
            (0b0010, Done, Done),
            (0b0011, Done, Done),
            (0b0100, Wait, Wait),
            (0b0101, Wait, Wait),
            (0b0110, Wait, Wait),
            (0b0111, Wait, Wait),
            (0b1000, Wait, Disable),
            (0b1001, Disable, Disable),
            (0b1010, Disable, Disable),
            (0b1011, Disable, Disable),
            (0b1100, Disable, Disable),
            (0b1101, Disable, Disable),
            (0b1110, Disable, Disable),
            (0b1111, Disable, Disable),
        ] {
            let reading = Reading {
                enabled: bits & 8 != 0,
                ready: bits & 4 != 0,
                failed: bits & 2 != 0,
                shut_down: bits & 1 != 0,
            };
            assert_eq!(stop_step(Some(reading), true), during);
            assert_eq!(stop_step(Some(reading), false), after);
        }
    }

    #[test]
    fn all_ones_never_say_that_it_stopped() {
        assert_eq!(stop_step(None, true), StopStep::Wait);
        assert_eq!(stop_step(None, false), StopStep::Wait);
    }
}
