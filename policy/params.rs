// SPDX-License-Identifier: GPL-2.0

//! Module parameters, checked: a value out of range keeps the module from loading, with one line
//! that says which and what would do.

use super::queue_counts::Wanted;
use core::ops::RangeInclusive;
use kernel::fmt;

/// The values of the module parameters: as given, and after [`Params::checked`] all within their
/// ranges.
#[derive(Clone, Copy)]
pub(crate) struct Params {
    /// Entries of an I/O queue.
    pub(crate) io_queue_depth: u32,
    /// The most I/O queues of a controller; 0: one for each CPU.
    pub(crate) io_queues: u32,
    /// I/O queues for writes; 0: all take both.
    pub(crate) write_queues: u32,
    /// I/O queues to be polled.
    pub(crate) poll_queues: u32,
    /// Average bytes of a segment from which SGLs are preferred; 0: never.
    pub(crate) sgl_threshold: u32,
    /// 1: submission queues in controller memory.
    pub(crate) use_cmb_sqes: u32,
    /// Seconds until an I/O command is late.
    pub(crate) io_timeout: u32,
    /// Seconds until an admin command is late.
    pub(crate) admin_timeout: u32,
    /// 1: interrupts are handled in threads.
    pub(crate) use_threaded_interrupts: u32,
    /// The longest that an interrupt waits for more completions, in units of 100 microseconds; 0:
    /// it does not wait.
    pub(crate) irq_coalescing_time: u32,
    /// How many completions it waits for at most; 0 or 1: it does not wait.
    pub(crate) irq_coalescing_threshold: u32,
    /// How often a failed I/O command is tried again.
    pub(crate) max_retries: u32,
    /// The longest that a command may wait for an idle controller that saves power, in
    /// microseconds; 0: it is not to save power by itself.
    pub(crate) default_ps_max_latency_us: u32,
    /// Seconds after which a controller that heard nothing may stop; 0: it never does.
    pub(crate) keep_alive: u32,
}

/// A parameter that is out of its range.
pub(crate) struct OutOfRange {
    name: &'static str,
    value: u32,
    range: RangeInclusive<u32>,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "parameter {}={} is out of range: it takes {} to {}",
            self.name,
            self.value,
            self.range.start(),
            self.range.end()
        )
    }
}

fn check(name: &'static str, value: u32, range: RangeInclusive<u32>) -> Result<(), OutOfRange> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(OutOfRange { name, value, range })
}

/// The number of milliseconds that `text` says, as far as a time-out may have them: a second to a
/// day.
pub(crate) fn milliseconds(text: &[u8]) -> Option<u32> {
    let ms = core::str::from_utf8(text).ok()?.trim().parse().ok()?;
    (1000..=86_400_000).contains(&ms).then_some(ms)
}

impl Params {
    /// The values, if all are within their ranges; else the first that is not.
    pub(crate) fn checked(self) -> Result<Self, OutOfRange> {
        // A ring has at least two entries; a command id has 12 bits for the tag.
        check("io_queue_depth", self.io_queue_depth, 2..=4095)?;
        check("io_queues", self.io_queues, 0..=65535)?;
        check("write_queues", self.write_queues, 0..=65535)?;
        check("poll_queues", self.poll_queues, 0..=65535)?;
        check("sgl_threshold", self.sgl_threshold, 0..=1 << 23)?;
        check("use_cmb_sqes", self.use_cmb_sqes, 0..=1)?;
        check("io_timeout", self.io_timeout, 1..=86400)?;
        check("admin_timeout", self.admin_timeout, 1..=86400)?;
        check(
            "use_threaded_interrupts",
            self.use_threaded_interrupts,
            0..=1,
        )?;
        // Neither does anything without the other.
        let (time, threshold) = (self.irq_coalescing_time, self.irq_coalescing_threshold);
        let least = |other: u32, least| if other > 0 { least } else { 0 };
        check("irq_coalescing_time", time, 0..=255)?;
        check("irq_coalescing_threshold", threshold, least(time, 2)..=256)?;
        check("irq_coalescing_time", time, least(threshold, 1)..=255)?;
        check("max_retries", self.max_retries, 0..=255)?;
        check("keep_alive", self.keep_alive, 0..=86400)?;
        Ok(self)
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

    /// How they are to be shared out.
    pub(crate) fn wanted(&self) -> Wanted {
        Wanted {
            write: self.write_queues,
            poll: self.poll_queues,
        }
    }

    /// The longest wait of an interrupt, in units of 100 microseconds, and the number of completions
    /// that end it; `None` if it is not to wait.
    pub(crate) fn coalescing(&self) -> Option<(u8, u16)> {
        // CAST: `checked` has bounded both.
        (self.irq_coalescing_time > 0).then_some((
            self.irq_coalescing_time as u8,
            self.irq_coalescing_threshold as u16,
        ))
    }

    /// Milliseconds until an I/O command is late.
    pub(crate) fn io_timeout_ms(&self) -> u32 {
        self.io_timeout * 1000
    }

    /// Milliseconds after which a controller that heard nothing may stop, if it may.
    pub(crate) fn keep_alive_ms(&self) -> Option<u32> {
        (self.keep_alive > 0).then_some(self.keep_alive * 1000)
    }

    /// Milliseconds until an admin command is late.
    pub(crate) fn admin_timeout_ms(&self) -> u32 {
        self.admin_timeout * 1000
    }

    /// How often a failed I/O command is tried again.
    pub(crate) fn retries(&self) -> u8 {
        // CAST: checked.
        self.max_retries as u8
    }
}

#[kernel::macros::kunit_tests(rnvme_params)]
mod tests {
    use super::*;

    const DEFAULTS: Params = Params {
        io_queue_depth: 1024,
        io_queues: 0,
        write_queues: 0,
        poll_queues: 0,
        sgl_threshold: 32768,
        use_cmb_sqes: 0,
        io_timeout: 30,
        admin_timeout: 60,
        use_threaded_interrupts: 0,
        irq_coalescing_time: 0,
        irq_coalescing_threshold: 0,
        max_retries: 5,
        default_ps_max_latency_us: 100_000,
        keep_alive: 0,
    };

    /// The defaults but for one parameter.
    fn with(set: impl FnOnce(&mut Params)) -> Params {
        let mut params = DEFAULTS;
        set(&mut params);
        params
    }

    #[test]
    fn defaults_and_edges_are_taken() {
        for params in [
            DEFAULTS,
            Params {
                io_queue_depth: 2,
                sgl_threshold: 0,
                io_timeout: 1,
                admin_timeout: 1,
                max_retries: 0,
                ..DEFAULTS
            },
            Params {
                io_queue_depth: 4095,
                io_queues: 65535,
                write_queues: 65535,
                poll_queues: 65535,
                sgl_threshold: 1 << 23,
                use_cmb_sqes: 1,
                io_timeout: 86400,
                admin_timeout: 86400,
                use_threaded_interrupts: 1,
                irq_coalescing_time: 255,
                irq_coalescing_threshold: 256,
                max_retries: 255,
                default_ps_max_latency_us: u32::MAX,
                keep_alive: 86400,
            },
        ] {
            assert!(params.checked().is_ok());
        }
    }

    #[test]
    fn values_out_of_range_are_named() {
        for (params, name) in [
            (with(|p| p.io_queue_depth = 1), "io_queue_depth"),
            (with(|p| p.io_queue_depth = 4096), "io_queue_depth"),
            (with(|p| p.io_queues = 65536), "io_queues"),
            (with(|p| p.write_queues = 65536), "write_queues"),
            (with(|p| p.poll_queues = u32::MAX), "poll_queues"),
            (with(|p| p.sgl_threshold = (1 << 23) + 1), "sgl_threshold"),
            (with(|p| p.use_cmb_sqes = 2), "use_cmb_sqes"),
            (with(|p| p.io_timeout = 0), "io_timeout"),
            (with(|p| p.io_timeout = 86401), "io_timeout"),
            (with(|p| p.admin_timeout = 0), "admin_timeout"),
            (with(|p| p.admin_timeout = u32::MAX), "admin_timeout"),
            (
                with(|p| p.use_threaded_interrupts = 2),
                "use_threaded_interrupts",
            ),
            (with(|p| p.max_retries = 256), "max_retries"),
            (with(|p| p.keep_alive = 86401), "keep_alive"),
        ] {
            let refused = params.checked().err();
            assert_eq!(refused.map(|e| e.name), Some(name));
        }
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
            let params = with(|p| {
                p.irq_coalescing_time = time;
                p.irq_coalescing_threshold = threshold;
            });
            let meant = params.checked().map(|p| p.coalescing());
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
            let params = Params {
                io_queues: limit,
                write_queues: write,
                poll_queues: poll,
                ..DEFAULTS
            };
            assert_eq!(params.queues_to_ask_for(cpus), expected);
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
