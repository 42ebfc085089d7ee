// SPDX-License-Identifier: GPL-2.0

//! Module parameters, checked: a value out of its range keeps the module from loading. One log line
//! names the parameter and its range.

// The table of the parameters, and the check of a range.
mod table;

use super::{
    queue_counts::Wanted,
    quirks::QuirkOverrides, //
};

use self::table::{
    OutOfRange,
    Parameter, //
};

pub(crate) use self::table::with_parameters;

/// A value of a parameter after its check.
trait Checked {
    fn from_checked(value: u32) -> Self;
}

impl Checked for u32 {
    fn from_checked(value: u32) -> Self {
        value
    }
}

/// A flag: its range is 0 to 1.
impl Checked for bool {
    fn from_checked(value: u32) -> Self {
        value != 0
    }
}

macro_rules! define_params {
    ($(
        $name:ident: $type:ident = $default:literal, $least:literal..=$most:literal, $text:literal;
    )*) => {
        /// The values of the module parameters, each within its range.
        #[derive(Clone, Copy)]
        pub(crate) struct Params {
            $(#[doc = $text] pub(crate) $name: $type,)*
            /// The user's changes to the quirks of devices.
            pub(crate) quirks: QuirkOverrides,
        }

        #[allow(non_upper_case_globals, reason = "named after the parameters")]
        impl Params {
            $(const $name: Parameter =
                Parameter::new(stringify!($name), [$default, $least, $most], $text);)*

            const TABLE: &'static [Parameter] = &[$(Self::$name),*];

            /// How many parameters there are.
            pub(crate) const COUNT: usize = Self::TABLE.len();

            /// The values in the order of the table, if all are within their ranges; else the first
            /// that is not.
            pub(crate) fn new(values: [u32; Self::COUNT]) -> Result<Self, OutOfRange> {
                let [$($name),*] = values;
                $(Self::$name.check($name)?;)*
                let params = Self {
                    $($name: <$type>::from_checked($name),)*
                    quirks: QuirkOverrides::NONE,
                };
                params.check_coalescing()?;
                Ok(params)
            }
        }
    };
}
with_parameters!(define_params);

// What the code below and its callers rely on.
const _: () = {
    // A ring has at least two entries; a command id has 12 bits for the tag.
    assert!(Params::io_queue_depth.least >= 2 && Params::io_queue_depth.most < 1 << 12);
    // CAST: u8 and u16 to u32 widen.
    assert!(Params::irq_coalescing_time.most <= u8::MAX as u32);
    assert!(Params::irq_coalescing_threshold.most <= u16::MAX as u32);
    assert!(Params::max_retries.most <= u8::MAX as u32);
    assert!(LONGEST_TIMEOUT <= u32::MAX / 1000);
    assert!(Params::keep_alive.most <= u32::MAX / 1000);
    assert!(Params::use_cmb_sqes.most == 1 && Params::use_threaded_interrupts.most == 1);
};

/// The longest timeout in seconds. Users who want none give the largest number that there is, as
/// providers of virtual machines advise.
const LONGEST_TIMEOUT: u32 = 86_400;

/// The number of milliseconds that `text` says, as far as a timeout may have them: a second to a
/// day.
pub(crate) fn milliseconds(text: &[u8]) -> Option<u32> {
    let ms = core::str::from_utf8(text).ok()?.trim().parse().ok()?;
    (1000..=86_400_000).contains(&ms).then_some(ms)
}

impl Params {
    /// Neither parameter of interrupt coalescing does anything without the other.
    fn check_coalescing(&self) -> Result<(), OutOfRange> {
        let (time, threshold) = (self.irq_coalescing_time, self.irq_coalescing_threshold);
        if time > 0 {
            Self::irq_coalescing_threshold
                .at_least(2)
                .check(threshold)?;
        }
        if threshold > 0 {
            Self::irq_coalescing_time.at_least(1).check(time)?;
        }
        Ok(())
    }

    /// These parameters for a kernel with little memory, which saves that of a crashed one: one I/O
    /// queue of at most 64 entries.
    pub(crate) fn frugal(self) -> Self {
        Self {
            io_queues: 1,
            write_queues: 0,
            poll_queues: 0,
            io_queue_depth: self.io_queue_depth.min(64),
            ..self
        }
    }

    /// These parameters with the user's changes to quirks.
    pub(crate) fn with_quirks(self, quirks: QuirkOverrides) -> Self {
        Self { quirks, ..self }
    }

    /// How many I/O queues to ask for on a machine of `cpus` CPUs: at least 1. Queues for writes
    /// and for polling come on top of one for each CPU.
    pub(crate) fn queues_to_ask_for(&self, cpus: u32) -> u32 {
        let all = cpus
            .saturating_add(self.write_queues)
            .saturating_add(self.poll_queues);
        match self.io_queues {
            0 => all,
            limit => limit.min(all),
        }
        .clamp(1, 65535)
    }

    /// How many of these queues serve writes alone, and how many are polled.
    pub(crate) fn wanted(&self) -> Wanted {
        Wanted {
            write: self.write_queues,
            poll: self.poll_queues,
        }
    }

    /// The longest wait of an interrupt, in units of 100 microseconds, and the number of completions
    /// that end it; `None` if it is not to wait.
    pub(crate) fn coalescing(&self) -> Option<(u8, u16)> {
        // CAST: the table bounds both; asserted above.
        (self.irq_coalescing_time > 0).then_some((
            self.irq_coalescing_time as u8,
            self.irq_coalescing_threshold as u16,
        ))
    }

    /// Milliseconds until an I/O command times out.
    pub(crate) fn io_timeout_ms(&self) -> u32 {
        self.io_timeout.min(LONGEST_TIMEOUT) * 1000
    }

    /// Milliseconds after which a controller that heard nothing may stop, if it may.
    pub(crate) fn keep_alive_ms(&self) -> Option<u32> {
        (self.keep_alive > 0).then_some(self.keep_alive * 1000)
    }

    /// Milliseconds until an admin command times out.
    pub(crate) fn admin_timeout_ms(&self) -> u32 {
        self.admin_timeout.min(LONGEST_TIMEOUT) * 1000
    }

    /// How often a failed I/O command is tried again.
    pub(crate) fn retries(&self) -> u8 {
        // CAST: the table bounds it; asserted above.
        self.max_retries as u8
    }
}

#[kernel::macros::kunit_tests(rnvme_params)]
mod tests {
    use super::*;

    macro_rules! define_defaults {
        ($(
            $name:ident: $type:ident = $default:literal, $range:expr, $text:literal;
        )*) => {
            const DEFAULTS: [u32; Params::COUNT] = [$($default),*];
        };
    }
    with_parameters!(define_defaults);

    /// The defaults but for some parameters.
    fn with(changes: &[(&str, u32)]) -> Result<Params, OutOfRange> {
        let mut values = DEFAULTS;
        for (value, row) in values.iter_mut().zip(Params::TABLE) {
            if let Some((_, changed)) = changes.iter().find(|(name, _)| *name == row.name) {
                *value = *changed;
            }
        }
        Params::new(values)
    }

    /// The values of one column of the table.
    fn column(of: fn(&Parameter) -> u32) -> [u32; Params::COUNT] {
        let mut values = [0; Params::COUNT];
        for (value, row) in values.iter_mut().zip(Params::TABLE) {
            *value = of(row);
        }
        values
    }

    #[test]
    fn defaults_and_edges_are_taken() {
        assert!(Params::new(DEFAULTS).is_ok());
        assert!(Params::new(column(|row| row.least)).is_ok());
        assert!(Params::new(column(|row| row.most)).is_ok());
    }

    #[test]
    fn values_out_of_range_are_named() {
        for row in Params::TABLE {
            let beyond = [row.least.checked_sub(1), row.most.checked_add(1)];
            for value in beyond.into_iter().flatten() {
                let error = with(&[(row.name, value)]).err();
                assert_eq!(error.map(|e| e.name), Some(row.name));
            }
        }
    }

    #[test]
    fn values_are_those_given() {
        let params = with(&[("io_queue_depth", 7), ("use_cmb_sqes", 1)]).ok();
        assert!(params.is_some_and(|p| p.io_queue_depth == 7 && p.use_cmb_sqes));
        assert!(params.is_some_and(|p| !p.use_threaded_interrupts && p.retries() == 5));
        assert!(params.is_some_and(|p| p.io_timeout_ms() == 30_000));
        assert!(params.is_some_and(|p| p.admin_timeout_ms() == 60_000));
        let longest = with(&[("io_timeout", u32::MAX), ("admin_timeout", u32::MAX)]).ok();
        assert!(longest.is_some_and(|p| p.io_timeout_ms() == 86_400_000));
        assert!(longest.is_some_and(|p| p.admin_timeout_ms() == 86_400_000));
    }

    #[test]
    fn coalescing_needs_time_and_threshold() {
        // Time, threshold: the parameter that is wrong, or what is meant.
        for (time, threshold, expected) in [
            (0, 0, Ok(None)),
            (1, 2, Ok(Some((1, 2)))),
            (255, 256, Ok(Some((255, 256)))),
            (0, 1, Err("irq_coalescing_time")),
            (0, 8, Err("irq_coalescing_time")),
            (256, 8, Err("irq_coalescing_time")),
            (3, 0, Err("irq_coalescing_threshold")),
            (3, 1, Err("irq_coalescing_threshold")),
            (3, 257, Err("irq_coalescing_threshold")),
            (0, u32::MAX, Err("irq_coalescing_threshold")),
        ] {
            let params = with(&[
                ("irq_coalescing_time", time),
                ("irq_coalescing_threshold", threshold),
            ]);
            let meant = params.map(|p| p.coalescing());
            assert!(meant.map_err(|e| e.name) == expected);
        }
    }

    #[test]
    fn queues_follow_cpus_and_the_limit() {
        // Limit, CPUs, for writes, to poll: how many to ask for.
        for (limit, cpus, write, poll, expected) in [
            (0, 2, 0, 0, 2),
            (1, 2, 0, 0, 1),
            (8, 2, 0, 0, 2),
            (0, 0, 0, 0, 1),
            (3, 64, 0, 0, 3),
            (0, 2, 1, 2, 5),
            (4, 2, 1, 2, 4),
            (0, 65535, 65535, 65535, 65535),
        ] {
            let params = with(&[
                ("io_queues", limit),
                ("write_queues", write),
                ("poll_queues", poll),
            ]);
            let asked = params.ok().map(|p| p.queues_to_ask_for(cpus));
            assert_eq!(asked, Some(expected));
        }
    }

    #[test]
    fn the_kernel_of_a_crash_gets_one_short_queue() {
        for (depth, expected) in [(1024, 64), (64, 64), (3, 3)] {
            let params = with(&[
                ("io_queue_depth", depth),
                ("io_queues", 8),
                ("write_queues", 1),
                ("poll_queues", 2),
            ]);
            let frugal = params.ok().map(Params::frugal);
            let seen = frugal.map(|p| (p.queues_to_ask_for(64), p.io_queue_depth));
            assert_eq!(seen, Some((1, expected)));
        }
    }

    #[test]
    fn milliseconds_as_written_to_a_file() {
        for (text, expected) in [
            ("1000", Some(1000)),
            ("30000\n", Some(30000)),
            ("86400000", Some(86_400_000)),
            ("86400001", None),
            ("999", None),
            ("0", None),
            ("-5", None),
            ("5 s", None),
            ("", None),
            ("99999999999", None),
        ] {
            assert_eq!(milliseconds(text.as_bytes()), expected);
        }
        assert_eq!(milliseconds(&[0xff, b'1']), None);
    }
}
