// SPDX-License-Identifier: GPL-2.0

//! Number of I/O queues of each kind: arithmetic only.
//!
//! Queues are numbered in the order default, read, poll. Default and read queues have interrupts.
//! Without read queues the default queues take reads, too; without poll queues nothing is polled.

/// Numbers of I/O queues by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueCounts {
    /// For requests without a kind of queue of their own. At least 1.
    pub(crate) default: u32,
    /// For reads.
    pub(crate) read: u32,
    /// For requests whose submitter polls.
    pub(crate) poll: u32,
}

/// The numbers that the module parameters `write_queues` and `poll_queues` ask for.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    /// Queues for writes, so that reads get the others; 0: no queues for reads alone.
    pub(crate) write: u32,
    /// Queues to poll.
    pub(crate) poll: u32,
}

impl QueueCounts {
    /// Divides `total` queues (1 or more) into kinds. At most `vectors` queues (1 or more) can have
    /// an interrupt of their own. At least one queue has interrupts; poll queues take precedence
    /// over further queues with interrupts, as in Linux's driver.
    pub(crate) const fn plan(total: u32, vectors: u32, wanted: Wanted) -> Self {
        let mut poll = wanted.poll;
        if poll > total - 1 {
            poll = total - 1;
        }
        let mut interrupt = total - poll;
        if interrupt > vectors {
            interrupt = vectors;
        }
        let read = Self::read_share(interrupt, wanted.write);
        Self {
            default: interrupt - read,
            read,
            poll,
        }
    }

    /// Number of read queues among `interrupt` queues with interrupts, if `write` queues are
    /// reserved for everything else.
    pub(crate) const fn read_share(interrupt: u32, write: u32) -> u32 {
        if interrupt <= 1 || write == 0 {
            0
        } else if write >= interrupt {
            1
        } else {
            interrupt - write
        }
    }

    /// The counts if only the first `count` queues (1 or more) exist.
    pub(crate) const fn first(&self, count: u32) -> Self {
        const fn at_most(most: u32, left: u32) -> u32 {
            if left < most {
                left
            } else {
                most
            }
        }
        let default = at_most(self.default, count);
        let read = at_most(self.read, count - default);
        let poll = at_most(self.poll, count - default - read);
        Self {
            default,
            read,
            poll,
        }
    }

    /// Number of queues with interrupts.
    pub(crate) const fn interrupt(&self) -> u32 {
        self.default + self.read
    }

    /// Number of all queues.
    pub(crate) const fn total(&self) -> u32 {
        self.interrupt() + self.poll
    }
}

#[kernel::macros::kunit_tests(rnvme_queue_counts)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_shared_out() {
        // total, vectors, write, poll wanted: default, read, poll.
        for (total, vectors, write, poll, expected) in [
            (1, 1, 0, 0, (1, 0, 0)),
            (2, 2, 0, 0, (2, 0, 0)),
            (2, 1, 0, 0, (1, 0, 0)),
            // Read queues are the queues that writes leave; both kinds keep one.
            (2, 2, 1, 0, (1, 1, 0)),
            (4, 4, 1, 0, (1, 3, 0)),
            (4, 4, 9, 0, (3, 1, 0)),
            (1, 1, 1, 0, (1, 0, 0)),
            // Poll queues need no vector, but one queue keeps its interrupt.
            (2, 2, 0, 1, (1, 0, 1)),
            (2, 2, 0, 9, (1, 0, 1)),
            (1, 1, 0, 9, (1, 0, 0)),
            (6, 2, 0, 2, (2, 0, 2)),
            (6, 6, 2, 2, (2, 2, 2)),
            (64, 64, 0, 0, (64, 0, 0)),
            (65535, 2047, 1, 100, (1, 2046, 100)),
        ] {
            let counts = QueueCounts::plan(total, vectors, Wanted { write, poll });
            assert_eq!((counts.default, counts.read, counts.poll), expected);
            assert!(counts.default >= 1 && counts.total() <= total);
            assert!(counts.interrupt() <= vectors);
        }
    }

    #[test]
    fn the_first_queues_keep_their_kind() {
        let counts = |default, read, poll| QueueCounts {
            default,
            read,
            poll,
        };
        for (count, expected) in [
            (1, counts(1, 0, 0)),
            (2, counts(2, 0, 0)),
            (3, counts(2, 1, 0)),
            (5, counts(2, 3, 0)),
            (6, counts(2, 3, 1)),
            (7, counts(2, 3, 2)),
            (8, counts(2, 3, 2)),
        ] {
            assert_eq!(counts(2, 3, 2).first(count), expected);
        }
    }
}
