// SPDX-License-Identifier: GPL-2.0

//! What the driver keeps with each request: 40 bytes, so that a tag costs 320 bytes and not 512.

use crate::{
    nvme::Status,
    sys::{
        block::{
            Request,
            Types,
            REQUEST_SIZE, //
        },
        dma::Mapping, //
    },
};
use kernel::prelude::*;

/// What the driver keeps with each request.
#[repr(C)]
#[derive(Zeroable)]
pub(crate) struct RequestData {
    /// How the data is mapped.
    pub(crate) mapping: Mapping,
    /// Dwords 0 and 1 of the completion, where somebody wants them.
    pub(crate) result: u64,
    /// The status of the completion. Where it is not kept it is 0 whenever a request is submitted,
    /// so that success need not be written.
    pub(crate) status: u16,
    /// How often the request was tried again.
    retries: u8,
}

impl RequestData {
    /// A tag costs the request and this, rounded up to cache lines: five of them. (The request has
    /// 272 bytes with every option that adds to it; none of them is for debugging.)
    const FITS: () = assert!(REQUEST_SIZE + size_of::<Self>() <= 320);

    /// Dwords 0 and 1 of the completion.
    pub(crate) fn result(&self) -> u64 {
        self.result
    }

    /// A request that nobody will end begins, as far as one can say yet.
    pub(crate) fn begin(&mut self) {
        self.status = Status::HOST_ABORTED.raw();
    }

    /// The status of the completion.
    pub(crate) fn status(&self) -> Status {
        Status::from_raw(self.status)
    }

    /// The status of the completion; what follows finds success.
    #[inline(always)]
    pub(crate) fn take_status(&mut self) -> Status {
        let () = Self::FITS;
        Status::from_raw(core::mem::take(&mut self.status))
    }

    /// The first try of a request begins.
    pub(crate) fn reset_retries(&mut self) {
        self.retries = 0;
    }

    /// How often the request was tried again.
    pub(crate) fn retries(&self) -> u8 {
        self.retries
    }

    /// Counts one more try.
    pub(crate) fn count_retry(&mut self) {
        self.retries = self.retries.saturating_add(1);
    }
}

/// A type of request data with the queue's part in it.
pub(crate) trait HasQueueData {
    /// Whether the completion is read after the request has ended.
    const KEEPS_COMPLETION: bool;

    /// The queue's part.
    fn queue_part(&mut self) -> &mut RequestData;
}

impl HasQueueData for RequestData {
    const KEEPS_COMPLETION: bool = false;

    #[inline(always)]
    fn queue_part(&mut self) -> &mut RequestData {
        self
    }
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
}
