// SPDX-License-Identifier: GPL-2.0

//! Requests of a disk as NVMe commands.
//!
//! A read takes this path: [`Io::queue_rq`] has the queue map the data, checks the blocks and
//! submits the command; the interrupt of the queue brings the request to [`Io::complete`].

// The wait for a namespace that is not ready.
mod readiness;
// A namespace: logical blocks, limits.
mod blocks;
// How a command failed: block status, log line.
mod status;

pub(crate) use self::{
    blocks::{
        Blocks,
        Geometry, //
    },
    readiness::Readiness, //
};

use self::status::{
    block_status,
    report,
    report_wait, //
};
use crate::{
    data::RequestData,
    nvme::{
        Data,
        DataPtr,
        RangeCount,
        RwControl,
        Sqe,
        Status,
        ZeroesControl, //
    },
    policy::timing,
    queue::{
        Queue,
        Route,
        Series, //
    },
    sys::block::{
        BlkStatus,
        Completed,
        Dispatch,
        Due,
        Op,
        Operations,
        Request,
        Started,
        Submissions,
        TimedOut,
        TimeoutVerdict,
        Types, //
    },
};
use kernel::prelude::*;

/// The operations of a disk.
pub(crate) struct Io;

impl Types for Io {
    type RequestData = RequestData;
    type Queue = Queue<Io>;
    type QueueData = Geometry;
}

impl Operations for Io {
    #[inline(always)]
    fn queue_rq(
        queue: &Queue<Io>,
        dispatch: Dispatch<'_>,
        rq: Request<Self>,
        last: bool,
    ) -> Result<(), (Request<Self>, BlkStatus)> {
        // Started first, so that the call keeps less. blk-mq takes a started request back.
        let mut rq = rq.start();
        match transfer(queue, &mut rq, |rq| queue.data().map_plain(rq, dispatch)) {
            Some(command) => {
                queue.submit(dispatch, rq, command, last);
                Ok(())
            }
            None => unusual_alone(queue, dispatch, rq, last),
        }
    }

    fn queue_rqs(queue: &Queue<Io>, dispatch: Dispatch<'_>, requests: &mut Submissions<'_, Self>) {
        queue.submit_many(requests, |series, mut rq| {
            match transfer(queue, &mut rq, |rq| queue.data().map_plain(rq, dispatch)) {
                Some(command) => series.put(rq, command),
                None => unusual_in_series(queue, dispatch, series, rq),
            }
        });
    }

    #[cold]
    fn turned_away(queue: &Queue<Io>, dispatch: Dispatch<'_>, mut rq: Started<Io>) {
        let rq = match queue.route() {
            Route::None => return rq.end(BlkStatus::IOERR),
            Route::Retry => rq,
            Route::Via(fallback) => match prepare(queue, dispatch, &mut rq) {
                Ok(command) => match fallback.carry(rq, command) {
                    Ok(()) => return,
                    Err(rq) => queue.take_back(rq),
                },
                Err(BlkStatus::RESOURCE) => rq,
                Err(status) => return rq.end(status),
            },
        };
        // What waits for a retry delay is tried then, too, which does not count.
        rq.requeue_after(timing::BUSY_RETRY_MS, |geometry| &geometry.requeue_timer);
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

/// The command of an ordinary read or write, its data mapped by `map`: the hot path. `None` if `rq`
/// is another request, or `map` does not take its data; nothing is mapped then.
#[inline(always)]
fn transfer(
    queue: &Queue<Io>,
    rq: &mut Request<Io>,
    map: impl FnOnce(&mut Request<Io>) -> Option<DataPtr>,
) -> Option<Sqe> {
    let direction = rq.ordinary()?;
    let data = Data::prp(map(rq)?);
    let geometry = rq.queue_data();
    let Some((lba, blocks)) = geometry.blocks.range(rq.sector(), rq.bytes()) else {
        queue.data().unmap(rq);
        return None;
    };
    let (nsid, control) = (geometry.nsid, RwControl::default());
    Some(Sqe::transfer(direction, nsid, lba, blocks, control, data))
}

/// Submits a request that the hot path does not take.
#[inline(never)]
fn unusual_alone(
    queue: &Queue<Io>,
    dispatch: Dispatch<'_>,
    mut rq: Started<Io>,
    last: bool,
) -> Result<(), (Request<Io>, BlkStatus)> {
    match prepare(queue, dispatch, &mut rq) {
        Ok(command) => {
            queue.submit(dispatch, rq, command, last);
            Ok(())
        }
        Err(status) => Err((rq.into_request(), status)),
    }
}

/// Puts a request that the hot path does not take into a series.
#[inline(never)]
fn unusual_in_series(
    queue: &Queue<Io>,
    dispatch: Dispatch<'_>,
    series: Series<'_, Io>,
    mut rq: Started<Io>,
) -> Result<(), Started<Io>> {
    match prepare(queue, dispatch, &mut rq) {
        Ok(command) => series.put(rq, command),
        Err(_) => Err(rq),
    }
}

/// The command of `rq`, its data mapped, after the hot path did not take it.
#[inline(always)]
fn prepare(
    queue: &Queue<Io>,
    dispatch: Dispatch<'_>,
    rq: &mut Request<Io>,
) -> Result<Sqe, BlkStatus> {
    match transfer(queue, rq, |rq| queue.data().map_pieces(rq, dispatch)) {
        Some(command) => Ok(command),
        None => unusual(queue, dispatch, rq),
    }
}

/// The command of `rq`, of any operation, its data mapped.
#[inline(never)]
fn unusual(
    queue: &Queue<Io>,
    dispatch: Dispatch<'_>,
    rq: &mut Request<Io>,
) -> Result<Sqe, BlkStatus> {
    let op = rq.op();
    let geometry = rq.queue_data();
    let nsid = geometry.nsid;
    match op {
        Op::Flush => return Ok(Sqe::flush(nsid)),
        // A discard may be longer than 65536 blocks.
        Op::Discard => return discard(queue, rq),
        Op::WriteZeroes if geometry.zeroes_by_discard => return discard(queue, rq),
        _ => {}
    }
    let Some((lba, blocks)) = geometry.blocks.range(rq.sector(), rq.bytes()) else {
        return Err(BlkStatus::IOERR);
    };
    match op {
        Op::Write if rq.is_atomic() && !geometry.atomic.allows(rq.sector(), rq.bytes()) => {
            Err(BlkStatus::INVAL)
        }
        Op::Read | Op::Write => {
            let data = queue.data().map(rq, dispatch)?;
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

/// The bits of a Read or Write that follow from the flags of `rq`.
fn control(rq: &Request<Io>) -> RwControl {
    RwControl::new(rq.is_fua(), rq.is_hasty(), rq.is_read_ahead())
}

/// The Dataset Management command of a discard, or of zeroes where deallocated blocks read as
/// zeroes: one range for each piece.
#[cold]
fn discard(queue: &Queue<Io>, rq: &mut Request<Io>) -> Result<Sqe, BlkStatus> {
    let geometry = rq.queue_data();
    let (nsid, shift) = (geometry.nsid, geometry.blocks.shift());
    if geometry.blocks.are_refused() {
        return Err(BlkStatus::IOERR);
    }
    // A discard without segments is one piece (`blk_rq_nr_discard_segments`). Where a command takes
    // one range only, the block layer merges contiguous pieces.
    let pieces = if geometry.many_ranges {
        rq.segments().max(1)
    } else {
        1
    };
    let count = RangeCount::new(pieces).ok_or(BlkStatus::IOERR)?;
    let data = queue.data().store_ranges(rq, shift, count)?;
    Ok(Sqe::deallocate(nsid, count, data))
}

/// Retries a command that failed, or ends its request with an error.
#[cold]
fn fail(queue: &Queue<Io>, mut rq: Started<Io>, status: Status) {
    rq.begin_retries();
    let may_wait = !rq.is_failfast() && rq.may_wait(|geometry| &geometry.requeue_timer);
    // Without pauses the namespace would be asked all the time.
    if status.is_not_ready() && may_wait {
        if let Some(pause) = rq.queue_data().readiness.pause() {
            report_wait(queue, rq.queue_data(), status, pause);
            rq.requeue_after(pause.ms, |geometry| &geometry.requeue_timer);
            return;
        }
    }
    let policy = rq.queue_data().retries;
    // Another request was due first, and both were tried: the delay of this one is not over.
    let due = rq.private().due();
    if may_wait && !due.is_over() && policy.has_delay(status) {
        rq.requeue_at(due, |geometry| &geometry.requeue_timer);
        return;
    }
    if let Some(delay) = policy.decide(status, rq.is_failfast(), rq.private().retries()) {
        let due = Due::after(delay);
        rq.private_mut().count_retry(due);
        if queue.is_held() {
            // No dispatch would succeed.
            rq.park_while(|| queue.is_held(), |geometry| &geometry.requeue_timer);
        } else {
            rq.requeue_at(due, |geometry| &geometry.requeue_timer);
        }
        return;
    }
    let block_status = block_status(status.outcome());
    if !rq.is_quiet() {
        report(queue, &rq, status);
    }
    rq.end(block_status);
}
