// SPDX-License-Identifier: GPL-2.0

//! Memory for PRP lists, made with the queue, so that no request has to allocate.
//!
//! Every tag has a small list of its own; a transfer too large for it takes a lease on one of a
//! few large lists for as long as it is in flight. A request that finds none free is queued again
//! by the block layer when another has ended. No piece is larger than the list of the largest
//! transfer: contiguous memory is hard to get on a machine that has run for long.

use crate::{
    prp,
    sys::{
        dma::Words,
        mapping::{
            Lease,
            LEASES, //
        },
        node::{
            self,
            vec_on, //
        }, //
    }, //
};
use kernel::{
    device::{
        Bound,
        Device, //
    },
    prelude::*, //
};

/// PRP entries that every tag has room for: transfers of up to 32 pages and the unaligned first.
pub(crate) const SMALL: usize = 32;
/// Small lists in a page.
const SMALL_PER_PAGE: usize = prp::ENTRIES_PER_PAGE / SMALL;

/// The lists of one queue.
pub(crate) struct Lists {
    /// Pages of small lists, by tag.
    small: KVec<Words>,
    /// Large lists, by lease.
    large: KVec<Words>,
}

impl Lists {
    /// Lists for `tags` tags and transfers of up to `max_transfer` bytes.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(dev: &Device<Bound>, tags: u16, max_transfer: u32) -> Result<Self> {
        let pages = usize::from(tags).div_ceil(SMALL_PER_PAGE);
        let largest = prp::list_pages(prp::list_entries(prp::PAGE_MASK, max_transfer)).max(1);
        Ok(Self {
            small: words(dev, pages, prp::ENTRIES_PER_PAGE)?,
            large: words(dev, LEASES, largest * prp::ENTRIES_PER_PAGE)?,
        })
    }

    /// The words that the small list of `tag` is in, and the index of its first.
    #[inline(always)]
    pub(crate) fn small(&self, tag: u16) -> Option<(&Words, usize)> {
        let tag = usize::from(tag);
        let words = self.small.get(tag / SMALL_PER_PAGE)?;
        Some((words, tag % SMALL_PER_PAGE * SMALL))
    }

    /// The list of a request: the large one of its lease, else the small one of its tag.
    pub(crate) fn list(&self, tag: u16, lease: Option<&Lease>) -> Option<ListRef<'_>> {
        Some(match lease {
            Some(lease) => {
                let words = self.large.get(lease.index())?;
                ListRef {
                    words,
                    first: 0,
                    len: words.len(),
                }
            }
            None => {
                let (words, first) = self.small(tag)?;
                ListRef {
                    words,
                    first,
                    len: SMALL,
                }
            }
        })
    }
}

/// `count` pieces of `len` words.
fn words(dev: &Device<Bound>, count: usize, len: usize) -> Result<KVec<Words>> {
    let mut pieces = vec_on(node::of(dev), count)?;
    for _ in 0..count {
        pieces.push(Words::zeroed(dev, len)?, GFP_KERNEL)?;
    }
    Ok(pieces)
}

/// The PRP list of one request.
pub(crate) struct ListRef<'a> {
    words: &'a Words,
    first: usize,
    len: usize,
}

impl prp::List for ListRef<'_> {
    #[inline(always)]
    fn set(&mut self, slot: usize, value: u64) -> bool {
        slot < self.len && self.words.write(self.first.wrapping_add(slot), value)
    }

    fn page_address(&self, page: usize) -> u64 {
        self.words
            .address_of(self.first + page * prp::ENTRIES_PER_PAGE)
    }

    fn capacity(&self) -> usize {
        self.len
    }
}
