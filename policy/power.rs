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
    /// CC.SHN was written, CC.EN = 1, and bus mastering is taken: the controller has written back its
    /// caches, or had the time to. Memory that it knows stays until it is [`Self::Off`].
    ShutDown,
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
    /// The controller was told to shut down (CC.SHN), and its time to do so is over.
    ShutDown,
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
            (_, PowerEvent::ShutDown) => Self::ShutDown,
            (_, PowerEvent::Stopped) => Self::Off,
            (_, PowerEvent::NotStopped) => Self::Unknown,
            (power, PowerEvent::FunctionBack) => power,
        }
    }
}

/// CSTS.SHST: whether the controller was told to shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShutdownStatus {
    /// It was not.
    None,
    /// The shutdown is under way.
    InProgress,
    /// The shutdown is complete.
    Complete,
}

impl ShutdownStatus {
    /// The status of number `raw` in CSTS.SHST.
    pub(crate) const fn from_raw(raw: u32) -> Self {
        match raw {
            0 => Self::None,
            1 => Self::InProgress,
            _ => Self::Complete,
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
    /// CSTS.SHST.
    pub(crate) shutdown: ShutdownStatus,
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
/// `may_settle`: the time is not over in which the enabled controller may become ready (CAP.TO), or
/// may complete its shutdown (RTD3E).
pub(crate) const fn stop_step(reading: Option<Reading>, may_settle: bool) -> StopStep {
    let Some(it) = reading else {
        return StopStep::Wait;
    };
    match (it.enabled, it.ready, it.shutdown) {
        (false, false, _) => StopStep::Done,
        // A controller reset is under way.
        (false, true, _) => StopStep::Wait,
        // A failed controller does not settle.
        (true, _, _) if it.failed || !may_settle => StopStep::Disable,
        // The host clears CC.EN only after CSTS.RDY has followed it (Base 3.1.3.5).
        (true, false, ShutdownStatus::None) => StopStep::Wait,
        // CC.EN = 0 would end the shutdown before the caches are written back (Base 3.6).
        (true, _, ShutdownStatus::InProgress) => StopStep::Wait,
        (true, _, _) => StopStep::Disable,
    }
}

#[kernel::macros::kunit_tests(rnvme_power)]
mod tests {
    use super::*;

    #[test]
    fn every_power_event_at_every_power() {
        use PowerEvent as P;
        const EVENTS: [PowerEvent; 6] = [
            P::Enable,
            P::ShutDown,
            P::Stopped,
            P::NotStopped,
            P::FunctionReset,
            P::FunctionBack,
        ];
        let (off, on, shut) = (Power::Off, Power::On, Power::ShutDown);
        let (unknown, away) = (Power::Unknown, Power::FunctionReset);
        for (power, row) in [
            (off, [on, shut, off, unknown, away, off]),
            (on, [on, shut, off, unknown, away, on]),
            (shut, [on, shut, off, unknown, away, shut]),
            (unknown, [on, shut, off, unknown, away, unknown]),
            (away, [away, away, away, away, away, unknown]),
        ] {
            for (event, expected) in EVENTS.into_iter().zip(row) {
                assert_eq!(power.next(event), expected);
            }
        }
    }

    #[test]
    fn every_reading() {
        use StopStep::*;
        // CC.EN, CSTS.RDY, CFS; the steps at CSTS.SHST = 0, 1, 2 while the controller may settle.
        for (bits, during) in [
            (0b000, [Done, Done, Done]),
            (0b001, [Done, Done, Done]),
            (0b010, [Wait, Wait, Wait]),
            (0b011, [Wait, Wait, Wait]),
            (0b100, [Wait, Wait, Disable]),
            (0b101, [Disable, Disable, Disable]),
            (0b110, [Disable, Wait, Disable]),
            (0b111, [Disable, Disable, Disable]),
        ] {
            for (shst, expected) in (0..).zip(during) {
                let reading = Some(Reading {
                    enabled: bits & 4 != 0,
                    ready: bits & 2 != 0,
                    failed: bits & 1 != 0,
                    shutdown: ShutdownStatus::from_raw(shst),
                });
                assert_eq!(stop_step(reading, true), expected);
                // After that no enabled controller is waited for.
                let after = match bits & 4 {
                    0 => expected,
                    _ => Disable,
                };
                assert_eq!(stop_step(reading, false), after);
            }
        }
        // A reserved value.
        assert_eq!(ShutdownStatus::from_raw(3), ShutdownStatus::Complete);
    }

    #[test]
    fn all_ones_never_say_that_it_stopped() {
        assert_eq!(stop_step(None, true), StopStep::Wait);
        assert_eq!(stop_step(None, false), StopStep::Wait);
    }
}
