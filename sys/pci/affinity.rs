// SPDX-License-Identifier: GPL-2.0

//! Which queue's vector interrupts a CPU.

use super::irq::Vectors;
use crate::{
    policy::QueueCounts,
    sys::ffi as bindings, //
};
use kernel::{
    cpu::{
        nr_cpu_ids,
        CpuId, //
    },
    cpumask::Cpumask,
    prelude::*,
    sync::Arc, //
};

/// The affinity of vectors as it was when they were allocated. A copy: the map outlives the vectors,
/// which a reset may exchange while the block layer maps CPUs.
pub(crate) struct CpuMap {
    /// The index of the queue for each CPU.
    default: KVec<u32>,
    /// The same among the queues for reads.
    read: KVec<u32>,
}

impl CpuMap {
    /// The map of `vectors`, of which the queue of index `i` has vector `i + 1`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(vectors: &Vectors, counts: QueueCounts) -> Result<Arc<Self>> {
        let map = Self {
            default: row(vectors, 0, counts.default)?,
            read: row(vectors, counts.default, counts.interrupt())?,
        };
        Ok(Arc::new(map, GFP_KERNEL)?)
    }

    /// The index of the queue of `kind` for each CPU; empty if vectors do not say.
    pub(in crate::sys) fn queues(&self, kind: bindings::hctx_type) -> &[u32] {
        match kind {
            bindings::hctx_type_HCTX_TYPE_DEFAULT => &self.default,
            bindings::hctx_type_HCTX_TYPE_READ => &self.read,
            _ => &[],
        }
    }
}

/// For each CPU which of the queues `first` to `end - 1` has a vector that interrupts the CPU;
/// `first` for a CPU without. Empty if the kernel does not spread the vectors.
fn row(vectors: &Vectors, first: u32, end: u32) -> Result<KVec<u32>> {
    let mut row = KVec::new();
    for _ in 0..nr_cpu_ids() {
        row.push(first, GFP_KERNEL)?;
    }
    for queue in first..end {
        let Some(mask) = affinity(vectors, queue.saturating_add(1)) else {
            return Ok(KVec::new());
        };
        for (cpu, of_cpu) in (0..).zip(row.iter_mut()) {
            if CpuId::from_u32(cpu).is_some_and(|cpu| mask.test(cpu)) {
                *of_cpu = queue;
            }
        }
    }
    Ok(row)
}

/// The CPUs of vector `index`, if the kernel spreads the vectors.
fn affinity(vectors: &Vectors, index: u32) -> Option<&Cpumask> {
    if index >= vectors.count() {
        return None;
    }
    // CAST: below the number of vectors, which C has as an int.
    let index = index as c_int;
    // SAFETY: the device is valid, and has a vector of this number as long as `vectors` lives.
    let mask =
        unsafe { bindings::pci_irq_get_affinity(super::function::raw(vectors.device()), index) };
    if mask.is_null() {
        return None;
    }
    // SAFETY: the mask is part of the descriptor of the vector, which lives as long as `vectors`, as
    // the result does, or constant. A descriptor has a mask only if the kernel manages the affinity
    // of the vector, and then the mask does not change.
    Some(unsafe { Cpumask::from_raw(mask) })
}
