// SPDX-License-Identifier: GPL-2.0

//! Power states, and the table of Autonomous Power State Transitions (APST).
//!
//! Base 5.17.2.1 (NPSS, APSTA, power state descriptors), 5.27.1.9 (the table), 8.15.

use crate::num::usize_as_u64;
use kernel::prelude::*;
use zerocopy_derive::{
    Immutable,
    KnownLayout, //
};

/// A power state descriptor, as the device writes it.
#[repr(C)]
#[derive(FromBytes, Immutable, KnownLayout)]
pub(crate) struct RawPowerState {
    pub(crate) max_power: u16,
    _rsvd2: u8,
    pub(crate) flags: u8,
    pub(crate) entry_lat: u32,
    pub(crate) exit_lat: u32,
    _rest: [u8; 20],
}

/// A power state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PowerState {
    /// Maximum power in microwatts; 0 if not reported.
    pub(crate) max_power_uw: u32,
    /// Maximum entry latency in microseconds.
    pub(crate) entry_us: u32,
    /// Maximum exit latency in microseconds.
    pub(crate) exit_us: u32,
    /// Whether the controller processes no I/O in this state (NOPS).
    pub(crate) non_operational: bool,
}

impl PowerState {
    /// MXPS: the unit of the power is 0.1 mW rather than 10 mW.
    pub(crate) const SMALL_UNITS: u8 = 1 << 0;
    /// NOPS: non-operational.
    pub(crate) const NON_OPERATIONAL: u8 = 1 << 1;

    fn decode(raw: &RawPowerState) -> Self {
        let unit_uw = if raw.flags & Self::SMALL_UNITS != 0 {
            100
        } else {
            10_000
        };
        Self {
            max_power_uw: u32::from(raw.max_power) * unit_uw,
            entry_us: raw.entry_lat,
            exit_us: raw.exit_lat,
            non_operational: raw.flags & Self::NON_OPERATIONAL != 0,
        }
    }

    /// Entry plus exit latency in microseconds: the longest wait of a command that arrives just as
    /// the controller enters the state. 0 if not reported.
    fn round_trip_us(&self) -> u64 {
        u64::from(self.entry_us) + u64::from(self.exit_us)
    }
}

/// The power states of a controller, by descending power.
pub(crate) struct PowerStates {
    states: [PowerState; Self::MAX],
    /// The number of the last state, below [`Self::MAX`].
    last: u8,
    autonomous: bool,
}

impl PowerStates {
    /// Maximum number of states.
    pub(crate) const MAX: usize = 32;

    /// Decodes the descriptors, NPSS (the last state) and APSTA. If NPSS is out of range, the
    /// result has only the first state, which every controller has, and no APST.
    pub(super) fn decode(raw: &[RawPowerState; Self::MAX], npss: u8, apsta: u8) -> Self {
        let valid = usize::from(npss) < Self::MAX;
        Self {
            states: raw.each_ref().map(PowerState::decode),
            last: if valid { npss } else { 0 },
            autonomous: valid && apsta & 1 != 0,
        }
    }

    /// Whether the controller can change its power state by itself (APSTA).
    pub(crate) const fn is_autonomous(&self) -> bool {
        self.autonomous
    }

    /// The APST table of a controller whose power states may delay a command by at most
    /// `max_latency_us` microseconds.
    ///
    /// The rule is Linux's: transitions take at most 2 % of the time. An idle controller enters a
    /// state after 50 times the state's entry and exit latency. From each state it enters the next
    /// lower one that is non-operational, reports a latency, and stays within `max_latency_us`.
    /// `skip_last`: the last state of all must not be entered.
    pub(crate) fn idle_table(&self, max_latency_us: u32, skip_last: bool) -> ApstTable {
        let mut table = ApstTable {
            entries: [0; Self::MAX],
            deepest: None,
        };
        if !self.autonomous {
            return table;
        }
        let mut target = 0;
        let pairs = table.entries.iter_mut().zip(&self.states);
        for (number, (entry, state)) in pairs.enumerate().take(usize::from(self.last) + 1).rev() {
            *entry = target;
            let latency = state.round_trip_us();
            let is_skipped = skip_last && number == usize::from(self.last);
            if !state.non_operational
                || latency == 0
                || latency > max_latency_us.into()
                || is_skipped
            {
                continue;
            }
            target = ApstTable::entry(number, latency);
            // CAST: below 32.
            table.deepest = table.deepest.or(Some(number as u8));
        }
        table
    }
}

/// The data of Set Features, Autonomous Power State Transition: for each state, the state to enter
/// next and the idle time before that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ApstTable {
    entries: [u64; PowerStates::MAX],
    deepest: Option<u8>,
}

impl ApstTable {
    /// Bytes of the table.
    pub(crate) const LEN: usize = 8 * PowerStates::MAX;
    /// The longest idle time that an entry can hold, in milliseconds.
    const MAX_IDLE_MS: u64 = (1 << 24) - 1;

    /// The entry that leads to power state `state`, whose entry and exit together take `latency_us`
    /// microseconds.
    fn entry(state: usize, latency_us: u64) -> u64 {
        // 50 times the latency, in milliseconds.
        let idle_ms = latency_us.div_ceil(20).min(Self::MAX_IDLE_MS);
        (idle_ms << 8) | (usize_as_u64(state) << 3)
    }

    /// The state with the least power that the table leads to; `None` if the table is empty.
    pub(crate) const fn deepest(&self) -> Option<u8> {
        self.deepest
    }

    /// The table as the controller reads it.
    pub(crate) fn bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        for (to, entry) in bytes.chunks_exact_mut(8).zip(self.entries) {
            to.copy_from_slice(&entry.to_le_bytes());
        }
        bytes
    }
}

#[kunit_tests(rnvme_identify_power)]
mod tests {
    use super::{
        super::tests::page,
        *, //
    };
    use crate::nvme::identify::controller::IdentifyController;
    use zerocopy::FromBytes;

    /// Flags, entry and exit latency of a state.
    type Row = (u8, u32, u32);

    /// The power states of a controller with these `rows`, `npss` and `apsta`.
    fn states(rows: &[Row], npss: u8, apsta: u8) -> Result<PowerStates> {
        let mut page = page(0, &[(263, &[npss]), (265, &[apsta])])?;
        for (i, (flags, entry, exit)) in rows.iter().enumerate() {
            let at = 2048 + 32 * i;
            page[at..at + 2].copy_from_slice(&[0x58, 0x02]);
            page[at + 3] = *flags;
            page[at + 4..at + 8].copy_from_slice(&entry.to_le_bytes());
            page[at + 8..at + 12].copy_from_slice(&exit.to_le_bytes());
        }
        let raw = IdentifyController::ref_from_bytes(&page).map_err(|_| EINVAL)?;
        Ok(raw.power_states())
    }

    /// A common drive: three operational states, two non-operational ones.
    const DRIVE: [Row; 5] = [
        (0, 0, 0),
        (0, 0, 0),
        (0, 0, 0),
        (2, 210, 1200),
        (3, 2000, 8000),
    ];

    /// State and milliseconds of the first `N` entries.
    fn table<const N: usize>(states: &PowerStates, max_latency_us: u32) -> [(u64, u64); N] {
        let bytes = states.idle_table(max_latency_us, false).bytes();
        assert!(bytes[8 * N..].iter().all(|byte| *byte == 0));
        let mut entries = [(0, 0); N];
        for (number, entry) in entries.iter_mut().enumerate() {
            let raw = &bytes[8 * number..8 * number + 8];
            // Reserved.
            assert!(raw[0] & 7 == 0 && raw[4..] == [0; 4]);
            let ms = u32::from_le_bytes([raw[1], raw[2], raw[3], 0]);
            *entry = ((raw[0] >> 3).into(), ms.into());
        }
        entries
    }

    #[test]
    fn fields_of_a_state() -> Result {
        let states = states(&DRIVE, 4, 1)?;
        assert!(states.is_autonomous());
        assert_eq!(states.last, 4);
        let operational = PowerState {
            max_power_uw: 6_000_000,
            ..PowerState::default()
        };
        assert_eq!(states.states[2], operational);
        let deepest = PowerState {
            max_power_uw: 60_000,
            entry_us: 2000,
            exit_us: 8000,
            non_operational: true,
        };
        assert_eq!(states.states[4], deepest);
        Ok(())
    }

    #[test]
    fn tables() -> Result {
        let states = states(&DRIVE, 4, 1)?;
        let (light, deep) = ((3, 71), (4, 500));
        let none = (0, 0);
        // Longest latency, table, deepest state.
        let cases = [
            (u32::MAX, [light, light, light, deep, none], Some(4)),
            (10_000, [light, light, light, deep, none], Some(4)),
            (9_999, [light, light, light, none, none], Some(3)),
            (1_410, [light, light, light, none, none], Some(3)),
            (1_409, [none; 5], None),
            (0, [none; 5], None),
        ];
        for (max_latency_us, entries, deepest) in cases {
            assert_eq!(table(&states, max_latency_us), entries);
            assert_eq!(states.idle_table(max_latency_us, false).deepest(), deepest);
        }
        Ok(())
    }

    #[test]
    fn the_last_state_is_skipped() -> Result {
        let states = states(&DRIVE, 4, 1)?;
        assert_eq!(states.idle_table(u32::MAX, true).deepest(), Some(3));
        // Only the last of all: not the deepest that is allowed.
        assert_eq!(states.idle_table(9_999, true).deepest(), Some(3));
        Ok(())
    }

    #[test]
    fn idle_times() -> Result {
        // Entry and exit latency, milliseconds: 50 times their sum, rounded up, cut to 24 bits.
        for (entry, exit, ms) in [
            (1, 0, 1),
            (10, 10, 1),
            (10, 11, 2),
            (0, 2000, 100),
            (335_544_299, 0, 0xff_ffff),
            (335_544_300, 0, 0xff_ffff),
            (335_544_280, 0, 0xff_fffe),
            (1 << 31, (1 << 31) - 1, 0xff_ffff),
        ] {
            let states = states(&[(0, 0, 0), (2, entry, exit)], 1, 1)?;
            assert_eq!(table(&states, u32::MAX), [(1, ms), (0, 0)]);
        }
        Ok(())
    }

    #[test]
    fn states_that_are_not_entered() -> Result {
        let none = [(0, 0); 3];
        // Operational; of unknown latency; longer than 32 bits can say.
        for row in [(0, 5, 5), (1, 5, 5), (2, 0, 0), (2, u32::MAX, 1)] {
            let states = states(&[(0, 0, 0), row, row], 2, 1)?;
            assert_eq!(table(&states, u32::MAX), none);
        }
        // Beyond the last; without APST.
        for (npss, apsta) in [(0, 1), (2, 0), (2, 0xfe)] {
            let states = states(&[(0, 0, 0), (2, 5, 5), (2, 9, 9)], npss, apsta)?;
            assert_eq!(table(&states, u32::MAX), none);
            assert_eq!(states.idle_table(u32::MAX, false).deepest(), None);
        }
        Ok(())
    }

    #[test]
    fn as_many_states_as_there_can_be() -> Result {
        let all = states(&[(2, 20, 0); 32], 31, 1)?;
        let bytes = all.idle_table(20, false).bytes();
        for state in 0..PowerStates::MAX {
            let next = if state == 31 {
                0
            } else {
                0x100 + 8 * (state as u64 + 1)
            };
            assert_eq!(bytes[8 * state..8 * state + 8], next.to_le_bytes());
        }
        // NPSS out of range.
        for npss in [32, 255] {
            let nonsense = states(&[(2, 20, 0); 32], npss, 1)?;
            assert!(!nonsense.is_autonomous());
            assert_eq!(nonsense.last, 0);
            assert_eq!(nonsense.idle_table(u32::MAX, false).deepest(), None);
        }
        Ok(())
    }
}
