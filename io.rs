// SPDX-License-Identifier: GPL-2.0

//! Requests of a disk as NVMe commands, and statuses as what the block layer makes of them.
//!
//! The way of a read: [`Io::queue_rq`] checks its bounds, has the queue map its data, and submits
//! the command; the interrupt of the queue brings it back to [`Io::complete`].

use crate::{
    limit::RateLimit,
    pdu::Pdu,
    queue::Queue,
    spec::{
        command::{
            opcode_name,
            RwControl,
            Sqe, //
        },
        completion::{
            Outcome,
            Status, //
        },
        ids::{
            BlockCount,
            Lba,
            Nsid, //
        },
    },
    sys::request::{
        BlkStatus,
        Op,
        Operations,
        Request,
        Started,
        TimedOut,
        Timeout, //
    }, //
};
use kernel::prelude::*;

/// How often a command that may succeed is tried again (`nvme_core.max_retries`).
const MAX_RETRIES: u8 = 5;

/// log2 of the unit of the block layer, 512 bytes.
const SECTOR_SHIFT: u32 = 9;

/// The operations of a disk.
pub(crate) struct Io;

/// What the data path needs to know of a namespace.
#[pin_data]
pub(crate) struct Geometry {
    /// The namespace.
    pub(crate) nsid: Nsid,
    /// log2 of the bytes of a logical block.
    pub(crate) lba_shift: u32,
    /// The controller's and the disk's number, to log by.
    pub(crate) name: (u32, u32),
    /// Keeps a failing medium from flooding the log.
    #[pin]
    pub(crate) log: RateLimit,
}

impl Geometry {
    /// The first logical block and the number of blocks of `rq`, if it is made of whole blocks
    /// and one command can take it (1 to 65536 blocks).
    #[inline(always)]
    fn range(&self, rq: &Request<Io>) -> Option<(Lba, BlockCount)> {
        range(self.lba_shift, rq.sector(), rq.bytes())
    }
}

/// `bytes` from 512-byte sector `sector` on, in logical blocks of 2^`lba_shift` bytes; `None`
/// unless they are 1 to 65536 whole blocks.
#[inline(always)]
fn range(lba_shift: u32, sector: u64, bytes: u32) -> Option<(Lba, BlockCount)> {
    // `NamespaceInfo` validated the shift: 9 to 16.
    let blocks = bytes.wrapping_shr(lba_shift);
    let lba_in_sectors = lba_shift.wrapping_sub(SECTOR_SHIFT);
    let lba = sector.wrapping_shr(lba_in_sectors);
    if blocks.wrapping_shl(lba_shift) != bytes || lba.wrapping_shl(lba_in_sectors) != sector {
        return None;
    }
    Some((Lba::new(lba), BlockCount::new(blocks)?))
}

impl Operations for Io {
    type Pdu = Pdu;
    type Queue = Queue<Io>;
    type QueueData = Geometry;

    #[inline(always)]
    fn queue_rq(
        queue: &Queue<Io>,
        mut rq: Request<Self>,
        last: bool,
    ) -> Result<(), (Request<Self>, BlkStatus)> {
        if rq.is_first_time() {
            rq.pdu_mut().begin();
        }
        let command = match command(queue, &mut rq) {
            Ok(command) => command,
            Err(status) => return Err((rq, status)),
        };
        match queue.submit(rq.start(), command, last) {
            Ok(()) => Ok(()),
            Err(mut rq) => {
                queue.unmap(&mut rq);
                Err((rq.into_request(), BlkStatus::IOERR))
            }
        }
    }

    fn commit_rqs(queue: &Queue<Io>) {
        queue.commit();
    }

    #[inline(always)]
    fn complete(queue: &Queue<Io>, mut rq: Started<Self>) {
        queue.unmap(&mut rq);
        let status = rq.pdu().status();
        if status.is_success() {
            rq.end(BlkStatus::OK);
        } else {
            fail(queue, rq, status);
        }
    }

    fn timeout(queue: &Queue<Io>, rq: &TimedOut<'_, Self>) -> Timeout {
        queue.late(rq.tag(), &|| rq.is_in_flight())
    }
}

/// The command that `rq` asks for, its data mapped.
#[inline(always)]
fn command(queue: &Queue<Io>, rq: &mut Request<Io>) -> Result<Sqe, BlkStatus> {
    let op = rq.op();
    let geometry = rq.queue_data();
    let nsid = geometry.nsid;
    if op == Op::Flush {
        return Ok(Sqe::flush(nsid));
    }
    let Some((lba, blocks)) = geometry.range(rq) else {
        return Err(BlkStatus::IOERR);
    };
    let control = RwControl {
        fua: rq.is_fua(),
        limited_retry: rq.is_hasty(),
    };
    match op {
        Op::Read => Ok(Sqe::read(nsid, lba, blocks, control, queue.map(rq)?)),
        Op::Write => Ok(Sqe::write(nsid, lba, blocks, control, queue.map(rq)?)),
        _ => Err(BlkStatus::NOTSUPP),
    }
}

/// A command failed: again, or to the submitter.
#[cold]
fn fail(queue: &Queue<Io>, mut rq: Started<Io>, status: Status) {
    if status.is_retryable() && !rq.is_failfast() && rq.pdu_mut().count_retry() <= MAX_RETRIES {
        rq.requeue();
        return;
    }
    let block_status = block_status(status.outcome());
    if !rq.is_quiet() {
        report(queue, &rq, status);
    }
    rq.end(block_status);
}

fn report(queue: &Queue<Io>, rq: &Request<Io>, status: Status) {
    let geometry = rq.queue_data();
    let Some(missed) = geometry.log.admit() else {
        return;
    };
    let (controller, disk) = geometry.name;
    let opcode = match rq.op() {
        Op::Read => Sqe::OPCODE_READ,
        Op::Write => Sqe::OPCODE_WRITE,
        _ => Sqe::OPCODE_FLUSH,
    };
    let lba = rq.sector() >> (geometry.lba_shift - SECTOR_SHIFT);
    dev_err!(
        queue.device(),
        "rnvme{}n{}: {} of {} blocks at LBA {} failed: {}{}\n",
        controller,
        disk,
        opcode_name(queue.id(), opcode),
        rq.bytes() >> geometry.lba_shift,
        lba,
        status,
        Missed(missed)
    );
}

/// How many lines were not printed.
struct Missed(u32);

impl kernel::fmt::Display for Missed {
    fn fmt(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        if self.0 == 0 {
            return Ok(());
        }
        write!(f, " ({} more were not printed)", self.0)
    }
}

/// What the block layer is told: one row for each outcome.
fn block_status(outcome: Outcome) -> BlkStatus {
    match outcome {
        Outcome::Success => BlkStatus::OK,
        Outcome::NotSupported => BlkStatus::NOTSUPP,
        Outcome::NoSpace => BlkStatus::NOSPC,
        Outcome::Target => BlkStatus::TARGET,
        Outcome::Medium => BlkStatus::MEDIUM,
        Outcome::Protection => BlkStatus::PROTECTION,
        Outcome::ResvConflict => BlkStatus::RESV_CONFLICT,
        Outcome::Transport => BlkStatus::TRANSPORT,
        Outcome::IoError => BlkStatus::IOERR,
    }
}

#[kernel::macros::kunit_tests(rnvme_io)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_whole_blocks() {
        for (shift, sector, bytes, expected) in [
            (9, 0, 512, Some((0, 0))),
            (9, 7, 4096, Some((7, 7))),
            (9, u64::from(u32::MAX) + 2, 512, Some((1 << 32 | 1, 0))),
            (9, 0, 65536 << 9, Some((0, 65535))),
            (12, 8, 4096, Some((1, 0))),
            (12, 16, 1 << 20, Some((2, 255))),
            (16, 128, 65536, Some((1, 0))),
            // Not a whole number of blocks, no block at all, more than a command can take.
            (9, 0, 511, None),
            (9, 0, 0, None),
            (9, 0, 65537 << 9, None),
            (12, 8, 512, None),
            (12, 8, 6144, None),
            // Not at the beginning of a block.
            (12, 1, 4096, None),
            (16, 8, 65536, None),
        ] {
            let range = range(shift, sector, bytes);
            assert_eq!(
                range.map(|(lba, count)| (lba.get(), count.zero_based())),
                expected
            );
        }
    }

    #[test]
    fn statuses_become_what_the_block_layer_knows() {
        for (status, expected) in [
            (0x000, BlkStatus::OK),
            (0x001, BlkStatus::NOTSUPP),
            (0x081, BlkStatus::NOSPC),
            (0x083, BlkStatus::RESV_CONFLICT),
            (0x280, BlkStatus::MEDIUM),
            (0x281, BlkStatus::MEDIUM),
            (0x282, BlkStatus::PROTECTION),
            (0x006, BlkStatus::IOERR),
            (0x7ff, BlkStatus::IOERR),
        ] {
            // Retry hints do not change what it means.
            for hints in [0, 1 << 11, 1 << 14] {
                let outcome = Status::from_raw(status | hints).outcome();
                assert!(block_status(outcome) == expected);
            }
        }
    }

    #[test]
    fn missed_lines_are_told() {
        use kernel::str::CString;
        let text = |missed| CString::try_from_fmt(fmt!("{}", Missed(missed)));
        assert!(text(0).is_ok_and(|t| t.is_empty()));
        assert!(text(3).is_ok_and(|t| t.to_bytes() == b" (3 more were not printed)"));
    }
}
