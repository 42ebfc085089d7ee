// SPDX-License-Identifier: GPL-2.0

//! Set Features, a type for each feature that the driver sets.
//!
//! Base 5.27.

use super::{
    admin::AdminCommand,
    Sqe, //
};
use crate::nvme::event::Events;
use kernel::prelude::*;

/// The opcode of Set Features.
const SET_FEATURES: u8 = 0x09;

/// Set Features, Number of Queues (Base 5.27.1.5): requests I/O queue pairs.
pub(crate) struct SetNumberOfQueues {
    /// Number of pairs to request, 1 or more.
    pub(crate) pairs: u16,
}

impl AdminCommand for SetNumberOfQueues {
    /// Number of pairs that the controller grants: 1 to 65536, possibly more than requested.
    type Reply = u32;
    const OPCODE: u8 = SET_FEATURES;
    const DETAIL: &'static str = " (Number of Queues)";

    fn sqe(&self) -> Sqe {
        const NUMBER_OF_QUEUES: u32 = 0x07;
        let pairs_z = u32::from(self.pairs.saturating_sub(1));
        Sqe {
            cdw10: NUMBER_OF_QUEUES,
            cdw11: (pairs_z << 16) | pairs_z,
            ..Sqe::new(Self::OPCODE, 0)
        }
    }

    fn reply(&self, dw0: u32) -> u32 {
        let (submission_z, completion_z) = (dw0 & 0xffff, dw0 >> 16);
        submission_z.min(completion_z) + 1
    }
}

/// A feature whose value is CDW11, and that value. Set Features has the same form for all of them.
pub(crate) trait Feature {
    /// Feature Identifier.
    const FEATURE: u8;
    /// What log lines show after the name of the command.
    const NAME: &'static str;

    /// CDW11.
    fn value(&self) -> u32;
}

impl<F: Feature> AdminCommand for F {
    type Reply = ();
    const OPCODE: u8 = SET_FEATURES;
    const DETAIL: &'static str = F::NAME;

    fn sqe(&self) -> Sqe {
        Sqe {
            cdw10: F::FEATURE.into(),
            cdw11: self.value(),
            ..Sqe::new(SET_FEATURES, 0)
        }
    }

    fn reply(&self, _dw0: u32) {}
}

/// Set Features, Interrupt Coalescing (Base 5.27.1.6): how long the interrupts of I/O queues may
/// wait for more completions. The interrupt of the admin queue does not wait.
pub(crate) struct SetInterruptCoalescing {
    /// The longest wait, in units of 100 microseconds; 0: none.
    pub(crate) time: u8,
    /// Number of completions that end the wait, 1 to 256.
    pub(crate) entries: u16,
}

impl Feature for SetInterruptCoalescing {
    const FEATURE: u8 = 0x08;
    const NAME: &'static str = " (Interrupt Coalescing)";

    fn value(&self) -> u32 {
        let entries_z = self.entries.saturating_sub(1).min(u8::MAX.into());
        (u32::from(self.time) << 8) | u32::from(entries_z)
    }
}

/// Set Features, Interrupt Vector Configuration (Base 5.27.1.7): disables coalescing for one
/// vector, which a completion queue must already use.
pub(crate) struct DisableCoalescing {
    /// The vector.
    pub(crate) vector: u16,
}

impl Feature for DisableCoalescing {
    const FEATURE: u8 = 0x09;
    const NAME: &'static str = " (Interrupt Vector Configuration)";

    fn value(&self) -> u32 {
        const COALESCING_DISABLE: u32 = 1 << 16;
        COALESCING_DISABLE | u32::from(self.vector)
    }
}

/// Set Features, Host Behavior Support (Base 5.27.1.18): the behaviour that the controller may
/// expect of the host. Its data is [`Self::DATA`].
pub(crate) struct SetHostBehavior;

impl SetHostBehavior {
    /// ACRE, Advanced Command Retry Enable: the host obeys Command Retry Delay.
    pub(crate) const RETRY_DELAYS: u8 = 1;
    /// The data of the command: of all behaviour, this host supports retry delays only.
    pub(crate) const DATA: [u8; 512] = {
        let mut data = [0; 512];
        data[0] = Self::RETRY_DELAYS;
        data
    };
}

impl Feature for SetHostBehavior {
    const FEATURE: u8 = 0x16;
    const NAME: &'static str = " (Host Behavior Support)";

    fn value(&self) -> u32 {
        0
    }
}

/// Set Features, Asynchronous Event Configuration (Base 5.27.1.8): which events the controller
/// reports.
pub(crate) struct SetAsyncEvents {
    /// The events to report. The controller also reports events that have no bit here.
    pub(crate) events: Events,
}

impl Feature for SetAsyncEvents {
    const FEATURE: u8 = 0x0b;
    const NAME: &'static str = " (Asynchronous Event Configuration)";

    fn value(&self) -> u32 {
        self.events.raw()
    }
}

/// Set Features, Volatile Write Cache (Base 5.27.1.4): whether the controller uses its cache.
pub(crate) struct SetWriteCache {
    /// Whether the cache is used.
    pub(crate) enable: bool,
}

impl Feature for SetWriteCache {
    const FEATURE: u8 = 0x06;
    const NAME: &'static str = " (Volatile Write Cache)";

    fn value(&self) -> u32 {
        self.enable.into()
    }
}

/// Set Features, Autonomous Power State Transition (Base 5.27.1.9): whether an idle controller
/// changes its power state by itself. Its data is a table of 32 entries, one for each power state.
pub(crate) struct SetAutonomousPower {
    /// Whether the controller changes its power state by itself.
    pub(crate) enable: bool,
}

impl Feature for SetAutonomousPower {
    const FEATURE: u8 = 0x0c;
    const NAME: &'static str = " (Autonomous Power State Transition)";

    fn value(&self) -> u32 {
        self.enable.into()
    }
}

/// Set Features, Timestamp (Base 5.27.1.11): the host's time. Its data is [`Self::data`].
pub(crate) struct SetTimestamp {
    /// Milliseconds since the beginning of 1970, UTC.
    pub(crate) ms: u64,
}

impl SetTimestamp {
    /// The data of the command: the lower 48 bits of `ms`, then zeroes.
    pub(crate) const fn data(&self) -> [u8; 8] {
        (self.ms & ((1 << 48) - 1)).to_le_bytes()
    }
}

impl Feature for SetTimestamp {
    const FEATURE: u8 = 0x0e;
    const NAME: &'static str = " (Timestamp)";

    fn value(&self) -> u32 {
        0
    }
}

/// Set Features, Keep Alive Timer (Base 5.27.1.12): how long the controller waits for a Keep Alive.
pub(crate) struct SetKeepAliveTimer {
    /// Keep Alive Timeout in milliseconds; 0: disabled.
    pub(crate) ms: u32,
}

impl Feature for SetKeepAliveTimer {
    const FEATURE: u8 = 0x0f;
    const NAME: &'static str = " (Keep Alive Timer)";

    fn value(&self) -> u32 {
        self.ms
    }
}

#[kunit_tests(rnvme_features)]
mod tests {
    use super::{
        super::tests::is,
        *, //
    };

    #[test]
    fn number_of_queues_image() {
        let one = SetNumberOfQueues { pairs: 1 };
        assert!(is(one.sqe(), &[(0, &[9]), (40, &[7])]));
        let many = SetNumberOfQueues { pairs: 0x0203 };
        assert!(is(
            many.sqe(),
            &[(0, &[9]), (40, &[7]), (44, &[2, 2, 2, 2])]
        ));
    }

    #[test]
    fn number_of_queues_granted() {
        let command = SetNumberOfQueues { pairs: 8 };
        // The smaller of both, each zero-based.
        let cases = [
            (0x0000_0000, 1),
            (0x0007_0007, 8),
            (0x0003_0007, 4),
            (0x0007_0003, 4),
            (0x0000_ffff, 1),
            (0xffff_ffff, 65536),
        ];
        for (dw0, pairs) in cases {
            assert_eq!(command.reply(dw0), pairs);
        }
    }

    #[test]
    fn interrupt_coalescing_images() {
        // Units of 100 us, completions: the low two bytes of CDW11.
        for (time, entries, cdw11) in [
            (0, 1, [0, 0]),
            (1, 2, [1, 1]),
            (3, 8, [7, 3]),
            (255, 256, [255, 255]),
            // Values out of range stay within their field.
            (1, 0, [0, 1]),
            (1, u16::MAX, [255, 1]),
        ] {
            let command = SetInterruptCoalescing { time, entries };
            assert!(is(command.sqe(), &[(0, &[9]), (40, &[8]), (44, &cdw11)]));
        }
    }

    #[test]
    fn interrupt_vector_images() {
        let first = DisableCoalescing { vector: 0 };
        assert!(is(first.sqe(), &[(0, &[9]), (40, &[9]), (44, &[0, 0, 1])]));
        let other = DisableCoalescing { vector: 0x0203 };
        assert!(is(other.sqe(), &[(0, &[9]), (40, &[9]), (44, &[3, 2, 1])]));
    }

    #[test]
    fn host_behavior_image() {
        assert!(is(SetHostBehavior.sqe(), &[(0, &[9]), (40, &[0x16])]));
        let data = SetHostBehavior::DATA;
        assert_eq!((data.len(), data[0]), (512, 1));
        assert!(data[1..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn power_images() {
        for (enable, field) in [(false, 0), (true, 1)] {
            let command = SetAutonomousPower { enable };
            assert!(is(
                command.sqe(),
                &[(0, &[9]), (40, &[0x0c]), (44, &[field])]
            ));
        }
    }

    #[test]
    fn write_cache_images() {
        for (enable, field) in [(false, 0), (true, 1)] {
            let command = SetWriteCache { enable };
            assert!(is(command.sqe(), &[(0, &[9]), (40, &[6]), (44, &[field])]));
        }
    }

    #[test]
    fn asynchronous_events_images() {
        for (oaes, cdw11) in [(0, [0x1f, 0]), (0x100, [0x1f, 1]), (u32::MAX, [0x1f, 3])] {
            let command = SetAsyncEvents {
                events: Events::wanted(oaes),
            };
            assert!(is(command.sqe(), &[(0, &[9]), (40, &[0x0b]), (44, &cdw11)]));
        }
    }

    #[test]
    fn timestamps() {
        for (ms, data) in [
            (0, [0; 8]),
            (0x0102_0304_0506, [6, 5, 4, 3, 2, 1, 0, 0]),
            // Beyond the year 10889 the time wraps, and reserved bytes stay 0.
            (u64::MAX, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0]),
        ] {
            let command = SetTimestamp { ms };
            assert!(is(command.sqe(), &[(0, &[9]), (40, &[0x0e])]));
            assert_eq!(command.data(), data);
        }
    }

    #[test]
    fn keep_alive_timer_image() {
        let command = SetKeepAliveTimer { ms: 0x0102_0304 };
        assert!(is(
            command.sqe(),
            &[(0, &[9]), (40, &[0x0f]), (44, &[4, 3, 2, 1])]
        ));
    }
}
