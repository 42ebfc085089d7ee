// SPDX-License-Identifier: GPL-2.0

//! What the driver decides: pure functions, a KUnit suite in each.

// How many queues of which kind.
mod queue_counts;
// Module parameters, checked.
pub(crate) mod params;
// Identify data as limits of the block layer.
mod disk_limits;
// Which failed commands are tried again, and when.
mod retry;
// States of a controller, and what each event does.
mod lifecycle;
// Which namespaces are in use, and what a new one is to them.
mod namespace_registry;
// How many log lines a device may cause.
mod log_budget;

pub(crate) use self::{
    disk_limits::{
        Atomic,
        DiskLimits,
        Source, //
    },
    lifecycle::{
        next,
        Action,
        Event,
        State, //
    },
    log_budget::LogBudget,
    namespace_registry::{
        Registry,
        RegistryEntry,
        Relation, //
    },
    params::{
        with_parameters,
        Params, //
    },
    queue_counts::{
        QueueCounts,
        Wanted, //
    },
    retry::RetryPolicy, //
};
