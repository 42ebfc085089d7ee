// SPDX-License-Identifier: GPL-2.0

//! Requests of a disk as NVMe commands, and statuses as what the block layer makes of them.
//!
//! The way of a read: [`Io::queue_rq`] checks its bounds, has the queue map its data, and submits
//! the command; the interrupt of the queue brings it back to [`Io::complete`].

use crate::{
    data::RequestData,
    num::SECTOR_SHIFT,
    nvme::{
        opcode_name,
        BlockCount,
        Data,
        DataPtr,
        Lba,
        Nsid,
        Outcome,
        RangeCount,
        RwControl,
        Sqe,
        Status,
        UniqueIds,
        ZeroesControl, //
    },
    policy::{
        timing::BUSY_RETRY_MS,
        Atomic,
        RetryPolicy, //
    },
    queue::{
        Queue,
        Route,
        Series, //
    },
    sys::{
        base::RateLimit,
        block::{
            BlkStatus,
            Completed,
            DiskData,
            Op,
            Operations,
            Request,
            RequeueTimer,
            Started,
            Submissions,
            TimedOut,
            TimeoutVerdict,
            Types, //
        },
    },
};
use core::sync::atomic::{
    AtomicU32,
    Ordering::Relaxed, //
};
use kernel::prelude::*;

/// The operations of a disk.
pub(crate) struct Io;

/// What the data path needs to know of a namespace.
#[pin_data]
pub(crate) struct Geometry {
    /// The namespace.
    pub(crate) nsid: Nsid,
    /// Its logical blocks.
    pub(crate) blocks: Blocks,
    /// Which writes are atomic.
    pub(crate) atomic: Atomic,
    /// Whether a discard may have more than one range.
    pub(crate) many_ranges: bool,
    /// Whether writing zeroes may deallocate.
    pub(crate) deallocating_zeroes: bool,
    /// What it is known by.
    pub(crate) ids: UniqueIds,
    /// What to do about commands that fail.
    pub(crate) retries: RetryPolicy,
    /// Which of them may wait before they are tried again.
    pub(crate) requeue_timer: RequeueTimer,
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
        self.blocks.range(rq.sector(), rq.bytes())
    }
}

/// The logical blocks of a namespace.
pub(crate) struct Blocks {
    /// log2 of their bytes.
    shift: u32,
    /// The bits of a number of bytes that are less than a block; all of them, if there shall be no
    /// block: the way of those that are read and written has no further question then.
    in_bytes: AtomicU32,
    /// The bits of a number of 512-byte sectors that are less than a block.
    in_sectors: u32,
}

impl Blocks {
    /// Blocks of 2^`shift` bytes; `NamespaceInfo` has validated that it is 9 to 16.
    pub(crate) const fn new(shift: u32) -> Self {
        Self {
            shift,
            in_bytes: AtomicU32::new((1u32.wrapping_shl(shift)).wrapping_sub(1)),
            in_sectors: (1u32.wrapping_shl(shift.wrapping_sub(SECTOR_SHIFT))).wrapping_sub(1),
        }
    }

    /// From now on nothing is made of whole blocks: they are not what they were.
    pub(crate) fn refuse(&self) {
        self.in_bytes.store(u32::MAX, Relaxed);
    }

    /// Whether that is so.
    pub(crate) fn are_refused(&self) -> bool {
        self.in_bytes.load(Relaxed) == u32::MAX
    }

    /// `bytes` from 512-byte sector `sector` on in these blocks; `None` unless they are 1 to 65536
    /// whole ones.
    #[inline(always)]
    fn range(&self, sector: u64, bytes: u32) -> Option<(Lba, BlockCount)> {
        // CAST: a block has at most 128 sectors.
        if bytes & self.in_bytes.load(Relaxed) | sector as u32 & self.in_sectors != 0 {
            return None;
        }
        let lba = sector.wrapping_shr(self.shift.wrapping_sub(SECTOR_SHIFT));
        let blocks = BlockCount::new(bytes.wrapping_shr(self.shift))?;
        Some((Lba::new(lba), blocks))
    }
}

impl DiskData for Geometry {
    fn designator(&self, to: &mut [u8; 16]) -> Option<usize> {
        self.ids.designator(to)
    }

    fn requeue_timer(&self) -> &RequeueTimer {
        &self.requeue_timer
    }
}

impl Types for Io {
    type RequestData = RequestData;
    type Queue = Queue<Io>;
    type QueueData = Geometry;
}

impl Operations for Io {
    #[inline(always)]
    fn queue_rq(
        queue: &Queue<Io>,
        rq: Request<Self>,
        last: bool,
    ) -> Result<(), (Request<Self>, BlkStatus)> {
        // Early, so that less has to be kept over the call: blk-mq takes a started request back.
        let mut rq = rq.start();
        match transfer(queue, &mut rq, |rq| queue.data().map_plain(rq)) {
            Some(command) => {
                queue.submit(rq, command, last);
                Ok(())
            }
            None => unusual_alone(queue, rq, last),
        }
    }

    fn queue_rqs(queue: &Queue<Io>, requests: &mut Submissions<'_, Self>) {
        queue.submit_many(requests, |series, mut rq| {
            match transfer(queue, &mut rq, |rq| queue.data().map_plain(rq)) {
                Some(command) => series.put(rq, command),
                None => unusual_in_series(queue, series, rq),
            }
        });
    }

    #[cold]
    fn turned_away(queue: &Queue<Io>, mut rq: Started<Io>) {
        let rq = match queue.route() {
            Route::None => return rq.end(BlkStatus::IOERR),
            Route::Retry => rq,
            Route::Via(fallback) => match prepare(queue, &mut rq) {
                Ok(command) => match fallback.carry(rq, command) {
                    Ok(()) => return,
                    Err(rq) => queue.take_back(rq),
                },
                Err(BlkStatus::RESOURCE) => rq,
                Err(status) => return rq.end(status),
            },
        };
        // Whoever waits for a delay that the controller asked for has the same timer: the one who comes
        // last says when it ends, for both.
        rq.requeue_after(BUSY_RETRY_MS, |geometry| &geometry.requeue_timer);
    }

    fn commit_rqs(queue: &Queue<Io>) {
        queue.commit();
    }

    #[inline(always)]
    fn complete(queue: &Queue<Io>, mut rq: Started<Self>) {
        queue.data().unmap(&mut rq);
        let status = rq.private_mut().take_status();
        if status.is_success() {
            rq.end(BlkStatus::OK);
        } else {
            fail(queue, rq, status);
        }
    }

    fn poll(queue: &Queue<Io>, done: &mut Completed<Self>) -> bool {
        queue.poll(done)
    }

    fn timeout(queue: &Queue<Io>, rq: &TimedOut<'_, Self>) -> TimeoutVerdict {
        queue.timeout(rq)
    }
}

/// The command of an ordinary read or write, mapped by `map`, in a straight line: the way of almost
/// all requests. `None` if it is none, or `map` does not take it; nothing is mapped then.
#[inline(always)]
fn transfer(
    queue: &Queue<Io>,
    rq: &mut Request<Io>,
    map: impl FnOnce(&mut Request<Io>) -> Option<DataPtr>,
) -> Option<Sqe> {
    let direction = rq.ordinary()?;
    let data = Data::prp(map(rq)?);
    let geometry = rq.queue_data();
    let Some((lba, blocks)) = geometry.range(rq) else {
        queue.data().unmap(rq);
        return None;
    };
    let (nsid, control) = (geometry.nsid, RwControl::default());
    Some(Sqe::transfer(direction, nsid, lba, blocks, control, data))
}

/// A request that is no ordinary read or write, or whose data is not plain.
#[inline(never)]
fn unusual_alone(
    queue: &Queue<Io>,
    mut rq: Started<Io>,
    last: bool,
) -> Result<(), (Request<Io>, BlkStatus)> {
    match prepare(queue, &mut rq) {
        Ok(command) => {
            queue.submit(rq, command, last);
            Ok(())
        }
        Err(status) => Err((rq.into_request(), status)),
    }
}

/// The same, in a series.
#[inline(never)]
fn unusual_in_series(
    queue: &Queue<Io>,
    series: Series<'_, Io>,
    mut rq: Started<Io>,
) -> Result<(), Started<Io>> {
    match prepare(queue, &mut rq) {
        Ok(command) => series.put(rq, command),
        Err(_) => Err(rq),
    }
}

/// The command that `rq` asks for, its data mapped.
#[inline(always)]
fn prepare(queue: &Queue<Io>, rq: &mut Request<Io>) -> Result<Sqe, BlkStatus> {
    match transfer(queue, rq, |rq| queue.data().map_pieces(rq)) {
        Some(command) => Ok(command),
        None => unusual(queue, rq),
    }
}

/// The command that `rq` asks for, whatever it is, its data mapped.
#[inline(never)]
fn unusual(queue: &Queue<Io>, rq: &mut Request<Io>) -> Result<Sqe, BlkStatus> {
    let op = rq.op();
    let geometry = rq.queue_data();
    let nsid = geometry.nsid;
    match op {
        Op::Flush => return Ok(Sqe::flush(nsid)),
        // May be longer than what any other command can take.
        Op::Discard => return discard(queue, rq),
        _ => {}
    }
    let Some((lba, blocks)) = geometry.range(rq) else {
        return Err(BlkStatus::IOERR);
    };
    match op {
        Op::Write if rq.is_atomic() && !geometry.atomic.allows(rq.sector(), rq.bytes()) => {
            Err(BlkStatus::INVAL)
        }
        Op::Read | Op::Write => {
            let data = queue.data().map(rq)?;
            let direction = rq.direction();
            Ok(Sqe::transfer(
                direction,
                nsid,
                lba,
                blocks,
                control(rq),
                data,
            ))
        }
        Op::WriteZeroes => {
            let control = ZeroesControl {
                fua: rq.is_fua(),
                deallocate: geometry.deallocating_zeroes && !rq.must_not_unmap(),
            };
            Ok(Sqe::write_zeroes(nsid, lba, blocks, control))
        }
        _ => Err(BlkStatus::NOTSUPP),
    }
}

/// How `rq` is to be read or written.
fn control(rq: &Request<Io>) -> RwControl {
    RwControl::new(rq.is_fua(), rq.is_hasty(), rq.is_read_ahead())
}

/// The command for a discard: a range for each piece.
#[cold]
fn discard(queue: &Queue<Io>, rq: &mut Request<Io>) -> Result<Sqe, BlkStatus> {
    let geometry = rq.queue_data();
    let (nsid, shift) = (geometry.nsid, geometry.blocks.shift);
    if geometry.blocks.are_refused() {
        return Err(BlkStatus::IOERR);
    }
    // Without segments it is one piece (`blk_rq_nr_discard_segments`). Where there may be only
    // one range, the block layer merges what is contiguous.
    let pieces = if geometry.many_ranges {
        rq.segments().max(1)
    } else {
        1
    };
    let count = RangeCount::new(pieces).ok_or(BlkStatus::IOERR)?;
    let data = queue.data().store_ranges(rq, shift, count)?;
    Ok(Sqe::deallocate(nsid, count, data))
}

/// A command failed: again, or to the submitter.
#[cold]
fn fail(queue: &Queue<Io>, mut rq: Started<Io>, status: Status) {
    if rq.is_first_time() {
        rq.private_mut().reset_retries();
    }
    let policy = rq.queue_data().retries;
    if let Some(delay) = policy.decide(status, rq.is_failfast(), rq.private().retries()) {
        rq.private_mut().count_retry();
        rq.requeue_after(delay, |geometry| &geometry.requeue_timer);
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
        Op::Discard => Sqe::OPCODE_DATASET_MANAGEMENT,
        Op::WriteZeroes => Sqe::OPCODE_WRITE_ZEROES,
        _ => Sqe::OPCODE_FLUSH,
    };
    let lba = rq.sector() >> (geometry.blocks.shift - SECTOR_SHIFT);
    dev_err!(
        queue.device(),
        "rnvme{}n{}: {} of {} blocks at LBA {} failed: {}{}\n",
        controller,
        disk,
        opcode_name(queue.id(), opcode),
        rq.bytes() >> geometry.blocks.shift,
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
            let range = Blocks::new(shift).range(sector, bytes);
            assert_eq!(
                range.map(|(lba, count)| (lba.get(), count.zero_based())),
                expected
            );
        }
    }

    #[test]
    fn blocks_that_are_refused_are_none() {
        let blocks = Blocks::new(9);
        assert!(!blocks.are_refused());
        blocks.refuse();
        assert!(blocks.are_refused());
        for bytes in [512, 4096, 1 << 20] {
            assert!(blocks.range(0, bytes).is_none());
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
