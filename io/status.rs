// SPDX-License-Identifier: GPL-2.0

//! How a command failed: a block status for the submitter, a line for the log.

use super::{
    blocks::Geometry,
    readiness::Pause, //
};
use crate::{
    data::Queued,
    nvme::{
        opcode_name,
        Outcome,
        Sqe,
        Status, //
    },
    queue::Queue,
    sys::block::{
        BlkStatus,
        Op,
        Request, //
    },
};
use kernel::prelude::*;

/// The block status of each outcome.
pub(super) fn block_status(outcome: Outcome) -> BlkStatus {
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

/// Logs that the command of `rq` failed with `status`, if the namespace's budget of lines allows.
pub(super) fn report<T>(queue: &Queue<T>, rq: &Request<T>, status: Status)
where
    T: Queued<QueueData = Geometry>,
{
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
    dev_err!(
        queue.device(),
        "rnvme{}n{}: {} of {} blocks at LBA {} failed: {}{}\n",
        controller,
        disk,
        opcode_name(queue.id(), opcode),
        rq.bytes() >> geometry.blocks.shift(),
        geometry.blocks.first(rq.sector()),
        status,
        missed
    );
}

/// Logs that I/O begins to wait for a namespace that is not ready, if `pause` is the first.
pub(super) fn report_wait<T>(queue: &Queue<T>, geometry: &Geometry, status: Status, pause: Pause)
where
    T: Queued<QueueData = Geometry>,
{
    let (Some(limit_ms), Some(_)) = (pause.begins, geometry.log.admit()) else {
        return;
    };
    let (controller, disk) = geometry.name;
    dev_warn!(
        queue.device(),
        "rnvme{}n{}: not ready: {}: I/O is tried again for up to {} ms\n",
        controller,
        disk,
        status,
        limit_ms
    );
}

#[kunit_tests(rnvme_io_status)]
mod tests {
    use super::*;

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
}
