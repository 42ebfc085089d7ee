// SPDX-License-Identifier: GPL-2.0

//! Memory that the device reads and writes.

// Rings and lists of words.
mod memory;
// Words of PRP and SGL lists.
mod list_memory;
// Free pages, some of them reserved.
mod shelf;
// Pages of lists, and those of one request.
mod lease;
// The pages of a controller's lists.
mod page_pool;
// The page of the small lists of eight tags.
mod group;
// The lists of a queue.
mod queue_lists;
// Hints about registers.
mod registers;
// The memory of a request.
mod segments;
// Requests of whole pages.
mod pages;
// Mappings by the DMA layer's iterator.
mod mapping;
// Mappings segment by segment, straight into a list.
mod mapping_direct;

pub(crate) use self::{
    lease::Lease,
    list_memory::{
        FixedList,
        ListSpan, //
    },
    mapping::{
        MapError,
        Mapper,
        Mapping,
        MAX_SEGMENTS, //
    },
    mapping_direct::{
        ListedData,
        Pointers, //
    },
    memory::{
        max_mapping,
        read_barrier,
        set_up,
        Ring,
        Words, //
    },
    page_pool::PagePool,
    queue_lists::{
        QueueLists,
        SMALL, //
    },
};
