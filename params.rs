// SPDX-License-Identifier: GPL-2.0

//! Module parameters, checked: a value out of range keeps the module from loading, with one line
//! that says which and what would do.

use crate::counts::Wanted;
use core::ops::RangeInclusive;
use kernel::fmt;

/// The values of the module parameters, all within their ranges.
#[derive(Clone, Copy)]
pub(crate) struct Params {
    io_queue_depth: u32,
    io_queues: u32,
    write_queues: u32,
    poll_queues: u32,
    sgl_threshold: u32,
    io_timeout: u32,
    admin_timeout: u32,
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

fn check(name: &'static str, value: u32, range: RangeInclusive<u32>) -> Result<u32, OutOfRange> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(OutOfRange { name, value, range })
}

impl Params {
    /// Checks the values as they were given.
    pub(crate) fn new(
        io_queue_depth: u32,
        io_queues: u32,
        write_queues: u32,
        poll_queues: u32,
        sgl_threshold: u32,
        io_timeout: u32,
        admin_timeout: u32,
    ) -> Result<Self, OutOfRange> {
        Ok(Self {
            // A ring has at least two entries; a command id has 12 bits for the tag.
            io_queue_depth: check("io_queue_depth", io_queue_depth, 2..=4095)?,
            io_queues: check("io_queues", io_queues, 0..=65535)?,
            write_queues: check("write_queues", write_queues, 0..=65535)?,
            poll_queues: check("poll_queues", poll_queues, 0..=65535)?,
            sgl_threshold: check("sgl_threshold", sgl_threshold, 0..=1 << 23)?,
            io_timeout: check("io_timeout", io_timeout, 1..=86400)?,
            admin_timeout: check("admin_timeout", admin_timeout, 1..=86400)?,
        })
    }

    /// Entries of an I/O queue.
    pub(crate) fn io_queue_depth(&self) -> u32 {
        self.io_queue_depth
    }

    /// How many I/O queues to ask for on a machine of `cpus` CPUs: at least 1. Queues for writes
    /// and for polling come on top of one for each CPU.
    pub(crate) fn io_queues(&self, cpus: u32) -> u32 {
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

    /// Average bytes of a segment from which SGLs are preferred; 0: never.
    pub(crate) fn sgl_threshold(&self) -> u32 {
        self.sgl_threshold
    }

    /// Milliseconds until an I/O command is late.
    pub(crate) fn io_timeout_ms(&self) -> u32 {
        self.io_timeout * 1000
    }

    /// Milliseconds until an admin command is late.
    pub(crate) fn admin_timeout_ms(&self) -> u32 {
        self.admin_timeout * 1000
    }
}

#[kernel::macros::kunit_tests(rnvme_params)]
mod tests {
    use super::*;

    #[test]
    fn defaults_and_edges_are_taken() {
        assert!(Params::new(1024, 0, 0, 0, 0, 30, 60).is_ok());
        assert!(Params::new(2, 0, 0, 0, 0, 1, 1).is_ok());
        assert!(Params::new(4095, 65535, 65535, 65535, 1 << 23, 86400, 86400).is_ok());
    }

    #[test]
    fn values_out_of_range_are_named() {
        for (v, name) in [
            ([1, 0, 0, 0, 0, 30, 60], "io_queue_depth"),
            ([4096, 0, 0, 0, 0, 30, 60], "io_queue_depth"),
            ([1024, 65536, 0, 0, 0, 30, 60], "io_queues"),
            ([1024, 0, 65536, 0, 0, 30, 60], "write_queues"),
            ([1024, 0, 0, u32::MAX, 0, 30, 60], "poll_queues"),
            ([1024, 0, 0, 0, (1 << 23) + 1, 30, 60], "sgl_threshold"),
            ([1024, 0, 0, 0, 0, 0, 60], "io_timeout"),
            ([1024, 0, 0, 0, 0, 86401, 60], "io_timeout"),
            ([1024, 0, 0, 0, 0, 30, 0], "admin_timeout"),
            ([1024, 0, 0, 0, 0, 30, u32::MAX], "admin_timeout"),
        ] {
            let refused = Params::new(v[0], v[1], v[2], v[3], v[4], v[5], v[6]).err();
            assert_eq!(refused.map(|e| e.name), Some(name));
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
            let params = Params::new(1024, limit, write, poll, 0, 30, 60);
            let queues = params.map(|p| p.io_queues(cpus));
            assert_eq!(queues.ok(), Some(expected));
        }
    }
}
