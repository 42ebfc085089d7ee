// SPDX-License-Identifier: GPL-2.0

//! blk-mq: tag sets, requests, disks.

// Requests as owned values.
mod request;
// Requests whose time is up.
mod timeout;
// Requests that wait before they are queued again.
mod requeue;
// Many requests at a time.
mod batch;
// Which CPU uses which hardware queue.
mod queue_map;
// Request queues kept empty.
mod freeze;
// Requests that the hardware has.
mod in_flight;
// blk-mq operations and tag sets.
mod tag_set;
// Disks.
mod disk;
// A thread that waits for a request.
mod wait;
// A request queue for commands of the driver.
mod driver_queue;

pub(crate) use self::{
    batch::{
        Completed,
        Submissions, //
    },
    disk::{
        Disk,
        DiskData,
        Limits, //
    },
    driver_queue::{
        Buffer,
        DriverQueue, //
        Ended,
    },
    in_flight::{
        InFlight,
        Reaper, //
    },
    queue_map::QueueMap,
    request::{
        BlkStatus,
        Op,
        Request,
        Started,
        Types,
        REQUEST_SIZE, //
    },
    requeue::RequeueTimer,
    tag_set::{
        finish,
        possible_queues,
        Operations,
        TagSet,
        TimeoutVerdict, //
    },
    timeout::{
        TimedOut, //
        Timeout,
    },
};
