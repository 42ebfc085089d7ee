// SPDX-License-Identifier: GPL-2.0

//! The private data of a request: 48 bytes, so that a tag takes 320 bytes and not 512.

use crate::{
    nvme::Status,
    sys::{
        block::{
            Due,
            Request,
            Types,
            REQUEST_SIZE, //
        },
        dma::Mapping, //
    },
};
use kernel::prelude::*;

/// The private data of a request: the part that a queue reads and writes.
#[repr(C)]
#[derive(Zeroable)]
pub(crate) struct RequestData {
    /// The DMA mapping of the data, and its list if no small list will do.
    pub(crate) mapping: Mapping,
    /// The status of the completion. It is 0 (success) when a request without
    /// [`HasQueueData::KEEPS_COMPLETION`] is submitted, so a successful completion writes nothing.
    pub(crate) status: u16,
    /// The number of retries.
    retries: u8,
    /// When the next try counts.
    due: Due,
}

impl RequestData {
    /// A tag takes a `struct request` and this, rounded up to cache lines: five. (`struct request`
    /// has 272 bytes with every option that adds to it, none of them for debugging.)
    const FITS: () = assert!(REQUEST_SIZE + size_of::<Self>() <= 320);

    /// Begins a request: its status is Host Aborted Command until a completion says otherwise.
    pub(crate) fn begin(&mut self) {
        self.status = Status::HOST_ABORTED.raw();
    }

    /// The status of the completion.
    pub(crate) fn status(&self) -> Status {
        Status::from_raw(self.status)
    }

    /// Takes the status of the completion. The next use of the request begins with success.
    #[inline(always)]
    pub(crate) fn take_status(&mut self) -> Status {
        let () = Self::FITS;
        Status::from_raw(core::mem::take(&mut self.status))
    }

    /// Sets the number of retries to 0.
    fn reset_retries(&mut self) {
        (self.retries, self.due) = (0, Due::NOW);
    }

    /// The number of retries.
    pub(crate) fn retries(&self) -> u8 {
        self.retries
    }

    /// When the next retry counts.
    pub(crate) fn due(&self) -> Due {
        self.due
    }

    /// Counts one more retry, at `due`.
    pub(crate) fn count_retry(&mut self, due: Due) {
        self.retries = self.retries.saturating_add(1);
        self.due = due;
    }
}

/// A type of request data with the queue's part in it.
pub(crate) trait HasQueueData {
    /// Whether the completion is read after the request has ended.
    const KEEPS_COMPLETION: bool;

    /// The queue's part.
    fn queue_part(&mut self) -> &mut RequestData;

    /// Keeps dwords 0 and 1 of the completion, if [`Self::KEEPS_COMPLETION`] says so.
    fn keep(&mut self, result: u64);
}

impl HasQueueData for RequestData {
    const KEEPS_COMPLETION: bool = false;

    #[inline(always)]
    fn queue_part(&mut self) -> &mut RequestData {
        self
    }

    fn keep(&mut self, _result: u64) {}
}

/// Types of requests that a queue takes: their data has the queue's part.
pub(crate) trait Queued: Types<RequestData: HasQueueData> {}

impl<T: Types<RequestData: HasQueueData>> Queued for T {}

impl<T: Queued> Request<T> {
    /// The queue's part of the private data.
    #[inline(always)]
    pub(crate) fn queue_part(&mut self) -> &mut RequestData {
        self.private_mut().queue_part()
    }

    /// The driver gives the request back to the block layer for the first time, or not: the first
    /// time no retry has been counted.
    pub(crate) fn begin_retries(&mut self) {
        if self.is_first_time() {
            self.queue_part().reset_retries();
        }
    }
}
