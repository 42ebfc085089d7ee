// SPDX-License-Identifier: GPL-2.0

//! blk-mq: tag sets, requests, disks.

// Requests as owned values.
mod request;
// Borrowed requests.
mod borrowed;
// Timeouts of requests.
mod timeout;
// Requests in batches.
mod batch;
// Which CPU uses which hardware queue.
mod queue_map;
// Frozen request queues.
mod freeze;
// Requests in flight.
mod in_flight;
// The operations of a driver, and the callbacks that call them.
mod operations;
// Tag sets.
mod tag_set;
// Requests that wait before they are queued again.
mod requeue;
// Disks.
mod disk;
// The waits for the ends of requests.
mod wait;
// Request queues for commands of the driver's own.
mod driver_queue;

pub(in crate::sys) use self::request::dma_direction;
pub(crate) use self::{
    batch::{
        Completed,
        Submissions, //
    },
    borrowed::Borrowed,
    disk::{
        AddedDisks,
        Disk,
        DiskData,
        Limits, //
    },
    driver_queue::{
        Buffer,
        DriverQueue,
        Ended,
        Ends, //
    },
    in_flight::{
        InFlight,
        Reaper, //
    },
    operations::{
        finish,
        Dispatch,
        Operations,
        TimeoutVerdict, //
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
    requeue::{
        Due,
        RequeueTimer, //
    },
    tag_set::{
        possible_queues,
        TagSet, //
    },
    timeout::{
        TimedOut, //
        Timeout,
    },
};
