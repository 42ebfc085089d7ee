// SPDX-License-Identifier: GPL-2.0

//! Memory for PRP lists, allocated with the queue, so that no request allocates.
//!
//! Each tag has a small list of its own. A transfer that is too large for a small list takes a
//! lease on one of a few large lists while it is in flight. If no large list is free, the block
//! layer queues the request again when another one has ended. No allocation is larger than the list
//! of the largest transfer: memory of a machine that has run for long is fragmented.

use crate::{
    prp,
    sys::{
        dma::{
            FixedList,
            Lease,
            ListPool,
            ListSpan,
            Words,
            LEASES, //
        },
        pci::{
            numa,
            vec_on, //
        },
    },
};
use kernel::{
    device::{
        Bound,
        Device, //
    },
    prelude::*, //
};

/// PRP entries of a small list: a transfer of 32 pages and, if it is not aligned, one page more.
pub(crate) const SMALL: usize = 32;

/// The lists of one queue.
pub(crate) struct Lists {
    /// Small lists, by tag.
    small: ListPool<SMALL>,
    /// Large lists, by lease.
    large: KVec<Words>,
}

impl Lists {
    /// Allocates lists for `tags` tags and transfers of up to `max_transfer` bytes.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(dev: &Device<Bound>, tags: u16, max_transfer: u32) -> Result<Self> {
        let pages = prp::list_pages(prp::list_entries(prp::PAGE_MASK, max_transfer)).max(1);
        let mut large = vec_on(numa::of(dev), LEASES)?;
        for _ in 0..LEASES {
            large.push(
                Words::zeroed(dev, pages * prp::ENTRIES_PER_PAGE)?,
                GFP_KERNEL,
            )?;
        }
        Ok(Self {
            small: ListPool::zeroed(dev, tags.into())?,
            large,
        })
    }

    /// The small list of `tag`.
    #[inline(always)]
    pub(crate) fn small(&self, tag: u16) -> Option<FixedList<'_, SMALL>> {
        self.small.get(tag.into())
    }

    /// The first page of the large list of `lease`.
    pub(crate) fn large(&self, lease: &Lease) -> Option<FixedList<'_, { prp::ENTRIES_PER_PAGE }>> {
        self.large.get(lease.index())?.first()
    }

    /// The list of a request: the large list of `lease`, or else the small list of `tag`.
    pub(crate) fn list(&self, tag: u16, lease: Option<&Lease>) -> Option<ListSpan<'_>> {
        match lease {
            Some(lease) => self.large.get(lease.index()).map(Words::span),
            None => self.small(tag).map(FixedList::span),
        }
    }
}

impl prp::List for ListSpan<'_> {
    #[inline(always)]
    fn set(&mut self, slot: usize, value: u64) -> bool {
        self.write(slot, value)
    }

    fn page_address(&self, page: usize) -> u64 {
        self.address_of(page * prp::ENTRIES_PER_PAGE)
    }

    fn capacity(&self) -> usize {
        self.len()
    }
}
