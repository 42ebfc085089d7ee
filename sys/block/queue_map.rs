// SPDX-License-Identifier: GPL-2.0

//! The kinds of hardware queues, and how CPUs are mapped to them.

use crate::{
    policy::QueueCounts,
    sys::{
        ffi as bindings,
        pci::CpuMap, //
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// How CPUs are mapped to hardware queues.
#[derive(Clone)]
pub(crate) struct QueueMap {
    /// The number of queues of each kind, in the order of their indices: default, read, poll.
    pub(crate) counts: QueueCounts,
    /// The CPUs that the vector of each queue interrupts, if each queue with interrupts has a vector
    /// of its own; else CPUs are spread by topology.
    pub(crate) cpus: Option<Arc<CpuMap>>,
}

impl QueueMap {
    /// The number of queues of `kind` and the index of the first, if blk-mq uses only the first
    /// `total` queues of all.
    pub(super) fn range(&self, kind: bindings::hctx_type, total: u32) -> (u32, u32) {
        let (count, first) = match kind {
            bindings::hctx_type_HCTX_TYPE_READ => (self.counts.read, self.counts.default),
            bindings::hctx_type_HCTX_TYPE_POLL => (self.counts.poll, self.counts.interrupt()),
            _ => (self.counts.default, 0),
        };
        (count.min(total.saturating_sub(first)), first)
    }

    /// The queue of `kind` for each CPU, if vectors say so for the `count` queues from `first` on.
    pub(super) fn queues(
        &self,
        kind: bindings::hctx_type,
        count: u32,
        first: u32,
    ) -> Option<&[u32]> {
        let queues = self.cpus.as_ref()?.queues(kind);
        // The map may be that of more queues, after a reset that gave the controller more.
        let fits = |queue: &u32| (first..first + count).contains(queue);
        (!queues.is_empty() && queues.iter().all(fits)).then_some(queues)
    }
}

#[kunit_tests(rnvme_queue_map)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_no_queues_that_blk_mq_does_not_have() {
        use bindings::{
            hctx_type_HCTX_TYPE_DEFAULT as DEFAULT,
            hctx_type_HCTX_TYPE_POLL as POLL,
            hctx_type_HCTX_TYPE_READ as READ, //
        };
        let map = QueueMap {
            counts: QueueCounts {
                default: 3,
                read: 2,
                poll: 1,
            },
            cpus: None,
        };
        for (total, counts) in [
            (6, [3, 2, 1]),
            (5, [3, 2, 0]),
            (4, [3, 1, 0]),
            (2, [2, 0, 0]),
        ] {
            assert_eq!(map.range(DEFAULT, total), (counts[0], 0));
            assert_eq!(map.range(READ, total), (counts[1], 3));
            assert_eq!(map.range(POLL, total), (counts[2], 5));
        }
    }
}
