// SPDX-License-Identifier: GPL-2.0

//! The table of the module parameters. A row makes the parameter of `module!`, its line of
//! `modinfo`, its field of [`Params`](super::Params), its range, and its tests. `scripts/params` copies
//! it into README.md.

use core::ops::RangeInclusive;
use kernel::fmt;

/// Hands the rows of the table to a macro.
///
/// A row is `name: type = default, range, text;`. `module!` takes a text as one literal only, so
/// each text repeats range and default: "(LEAST to MOST UNIT, default DEFAULT)" ends it. A text that
/// disagrees does not compile.
macro_rules! with_parameters {
    ($macro:ident) => {
        $macro! {
            io_queue_depth: u32 = 1024, 2..=4095,
                "Size of an I/O queue; CAP.MQES may lower it (2 to 4095 entries, default 1024)";
            io_queues: u32 = 0, 0..=65535,
                "Most I/O queues of a controller; 0: one for each CPU \
(0 to 65535 queues, default 0)";
            write_queues: u32 = 0, 0..=65535,
                "I/O queues for writes alone, reads use the others; 0: each queue takes both \
(0 to 65535 queues, default 0)";
            poll_queues: u32 = 0, 0..=65535,
                "I/O queues for polling, without interrupts (0 to 65535 queues, default 0)";
            sgl_threshold: u32 = 32768, 0..=8388608,
                "Average segment from which the driver prefers SGLs to PRPs; \
0: SGLs only where PRPs cannot describe the data \
(0 to 8388608 bytes, default 32768)";
            use_cmb_sqes: bool = 0, 0..=1,
                "1: submission queues in the controller memory buffer, where they fit \
(0 to 1, default 0)";
            io_timeout: u32 = 30, 1..=4294967295,
                "Time until an I/O command times out, a day at most \
(1 to 4294967295 seconds, default 30)";
            admin_timeout: u32 = 60, 1..=4294967295,
                "Time until an admin command times out, a day at most \
(1 to 4294967295 seconds, default 60)";
            use_threaded_interrupts: bool = 0, 0..=1,
                "1: threads handle completions; the pin's interrupt has no thread \
(0 to 1, default 0)";
            irq_coalescing_time: u32 = 0, 0..=255,
                "Longest wait of an I/O queue's interrupt for more completions; 0: no wait \
(0 to 255 times 100 us, default 0)";
            irq_coalescing_threshold: u32 = 0, 0..=256,
                "Completions that end the wait of irq_coalescing_time, at least 2; 0: no wait \
(0 to 256 completions, default 0)";
            max_retries: u32 = 5, 0..=255,
                "Retries of an I/O command that fails with a status that allows them \
(0 to 255 retries, default 5)";
            default_ps_max_latency_us: u32 = 100000, 0..=4294967295,
                "Longest time that an idle controller may take to enter and leave a power state \
of its own choice; 0: no such state (0 to 4294967295 us, default 100000)";
            keep_alive: u32 = 0, 0..=86400,
                "Keep Alive Timeout of the controller; 0: no timeout \
(0 to 86400 seconds, default 0)";
        }
    };
}
pub(crate) use with_parameters;

/// A row of the table.
#[derive(Clone, Copy)]
pub(crate) struct Parameter {
    pub(super) name: &'static str,
    pub(super) least: u32,
    pub(super) most: u32,
}

impl Parameter {
    /// The row, whose text must end with its range and its default.
    pub(super) const fn new(name: &'static str, values: [u32; 3], text: &'static str) -> Self {
        let [default, least, most] = values;
        assert!(least <= default && default <= most, "default out of range");
        let mut end = text.as_bytes();
        while let [first, rest @ ..] = end {
            end = rest;
            if *first == b'(' {
                break;
            }
        }
        end = after(after_number(end, least), b" to ");
        end = after_number(end, most);
        while let [first, rest @ ..] = end {
            if *first == b',' {
                break;
            }
            end = rest;
        }
        end = after(after_number(after(end, b", default "), default), b")");
        assert!(end.is_empty(), "a text ends after its default");
        Self { name, least, most }
    }

    /// The row with another least value.
    pub(super) const fn at_least(self, least: u32) -> Self {
        Self { least, ..self }
    }

    /// `value`, if it is in the range.
    pub(super) fn check(&self, value: u32) -> Result<(), OutOfRange> {
        let range = self.least..=self.most;
        if range.contains(&value) {
            return Ok(());
        }
        Err(OutOfRange {
            name: self.name,
            value,
            range,
        })
    }
}

/// The rest of a text that begins with `word`.
const fn after<'a>(text: &'a [u8], word: &[u8]) -> &'a [u8] {
    let (start, rest) = text.split_at(word.len());
    let mut i = 0;
    while i < word.len() {
        assert!(
            start[i] == word[i],
            "a text ends with (LEAST to MOST UNIT, default DEFAULT)"
        );
        i += 1;
    }
    rest
}

/// The rest of a text that begins with `number`.
const fn after_number(text: &[u8], number: u32) -> &[u8] {
    let (mut value, mut rest) = (0u64, text);
    while let [digit @ b'0'..=b'9', tail @ ..] = rest {
        // CAST: u8 and u32 to u64 widen.
        value = value * 10 + (*digit - b'0') as u64;
        rest = tail;
    }
    assert!(
        value == number as u64,
        "a number of the text differs from its row"
    );
    rest
}

/// A parameter that is out of its range.
pub(crate) struct OutOfRange {
    pub(super) name: &'static str,
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
