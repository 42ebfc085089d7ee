// SPDX-License-Identifier: GPL-2.0

//! What the driver keeps with each request: 40 bytes, so that a tag costs 320 bytes and not 512.

use crate::{
    spec::completion::Status,
    sys::mapping::Mapping, //
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

// A tag costs the request (272 bytes) and this, rounded up to cache lines: 320 bytes.
const _: () = assert!(size_of::<Pdu>() <= 48);

impl Pdu {
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
