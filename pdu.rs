// SPDX-License-Identifier: GPL-2.0

//! What the driver keeps with each request: 40 bytes, so that a tag costs 320 bytes and not 512.

use crate::{
    spec::completion::Status,
    sys::{
        mapping::Mapping,
        request::REQUEST_SIZE, //
    }, //
};
use kernel::prelude::*;

/// What the driver keeps with each request.
#[repr(C)]
#[derive(Zeroable)]
pub(crate) struct Pdu {
    /// How the data is mapped.
    pub(crate) mapping: Mapping,
    /// Dwords 0 and 1 of the completion.
    pub(crate) result: u64,
    /// The status of the completion.
    pub(crate) status: u16,
    /// How often the request was tried again.
    retries: u8,
}

impl Pdu {
    /// A tag costs the request and this, rounded up to cache lines: five of them. (The request has
    /// 272 bytes with every option that adds to it; none of them is for debugging.)
    const FITS: () = assert!(REQUEST_SIZE + size_of::<Self>() <= 320);

    /// Dwords 0 and 1 of the completion.
    pub(crate) fn result(&self) -> u64 {
        self.result
    }

    /// The status of the completion.
    #[inline(always)]
    pub(crate) fn status(&self) -> Status {
        Status::from_raw(self.status)
    }

    /// A request that the driver sees for the first time.
    #[inline(always)]
    pub(crate) fn begin(&mut self) {
        let () = Self::FITS;
        self.mapping = Mapping::NONE;
        self.retries = 0;
        self.status = Status::HOST_ABORTED.raw();
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

/// A private data type with the queue's part in it.
pub(crate) trait Carrier {
    /// The queue's part.
    fn pdu_mut(&mut self) -> &mut Pdu;
}

impl Carrier for Pdu {
    #[inline(always)]
    fn pdu_mut(&mut self) -> &mut Pdu {
        self
    }
}
