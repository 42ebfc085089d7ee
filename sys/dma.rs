// SPDX-License-Identifier: GPL-2.0

//! Memory that the device reads and writes.

// Rings and lists of words.
mod memory;
// Memory for PRP and SGL lists.
mod list_memory;
// The memory of a request.
mod segments;
// Requests of whole pages.
mod pages;
// Mappings by the DMA layer's iterator.
mod mapping;
// Mappings segment by segment, straight into a list.
mod mapping_direct;

pub(crate) use self::{
    list_memory::{
        FixedList,
        ListPool,
        ListSpan, //
    },
    mapping::{
        Lease,
        MapError,
        Mapper,
        Mapping,
        LEASES,
        MAX_SEGMENTS, //
    },
    mapping_direct::ListedData,
    memory::{
        max_mapping,
        read_barrier,
        set_up,
        Ring,
        Words, //
    },
};
