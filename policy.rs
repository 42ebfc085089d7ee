// SPDX-License-Identifier: GPL-2.0

//! Decisions of the driver: pure functions, with a KUnit suite in each file.

// Number of I/O queues of each kind.
mod queue_counts;
// What devices need that the specification does not say.
mod quirks;
// Module parameters, checked.
pub(crate) mod params;
// Identify data as limits of the block layer.
mod disk_limits;
// Every time and bound, and their sum.
pub(crate) mod timing;
// Whether a controller may go on after a reset, and what holds of it then.
mod continuation;
// Which failed commands are tried again, and when.
mod retry;
// How long a namespace that is not ready is waited for.
mod not_ready;
// Whether a controller accesses memory, and how it is stopped.
mod power;
// When a dead controller is tried again.
mod revival;
// Whether a device that does not answer is gone.
mod absence;
// States of a controller, and the actions on each event.
mod lifecycle;
// Namespaces in use, and the relation of a new one to them.
mod namespace_registry;
// Whether a namespace is still the one of a disk.
mod namespace_change;
// Rate limit of log lines that a device can cause.
mod log_budget;
// What of asynchronous events the log has.
mod reports;
// What a controller does not support.
mod refusals;

pub(crate) use self::{
    absence::{
        Absence,
        Presence, //
    },
    continuation::Continuation,
    disk_limits::{
        Atomic,
        DiskLimits,
        Ignored,
        Source, //
    },
    lifecycle::{
        Action,
        Event,
        Lifecycle,
        Snapshot,
        State, //
    },
    log_budget::{
        reaches_power_of_two,
        LogBudget,
        Missed, //
    },
    namespace_change::{
        Change,
        Likeness, //
    },
    namespace_registry::{
        Registry,
        RegistryEntry,
        Relation, //
    },
    not_ready::NotReady,
    params::{
        with_parameters,
        Params, //
    },
    power::{
        stop_step,
        Power,
        PowerEvent,
        Reading,
        ShutdownStatus,
        StopStep, //
    },
    queue_counts::{
        QueueCounts,
        Wanted, //
    },
    quirks::{
        MachineField,
        QuirkOverrides,
        Quirks,
        FUNCTION_DELAY_MS,
        READY_DELAY_MS, //
    },
    refusals::Refusals,
    reports::Reports,
    retry::RetryPolicy,
    revival::may_pass, //
};
