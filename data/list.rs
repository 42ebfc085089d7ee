// SPDX-License-Identifier: GPL-2.0

//! The list of one request: small, or in pages of its own.

use crate::{
    prp::List,
    sys::dma::{
        Lease,
        ListSpan, //
    },
};

/// The list of a request.
pub(super) enum RequestList<'a> {
    /// The small list of its tag.
    Small(ListSpan<'a>),
    /// Pages of its own.
    Leased(Lease),
}

impl List for RequestList<'_> {
    fn set(&mut self, slot: usize, value: u64) -> bool {
        match self {
            Self::Small(list) => list.set(slot, value),
            Self::Leased(lease) => lease.set(slot, value),
        }
    }

    fn page_address(&self, page: usize) -> u64 {
        match self {
            Self::Small(list) => list.page_address(page),
            Self::Leased(lease) => lease.page_address(page),
        }
    }

    fn capacity(&self) -> usize {
        match self {
            Self::Small(list) => list.capacity(),
            Self::Leased(lease) => lease.capacity(),
        }
    }
}
