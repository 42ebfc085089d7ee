// SPDX-License-Identifier: GPL-2.0

//! Work, locks, classes, time: nothing here belongs to a device.

// Device classes and attributes in sysfs.
mod class;
// Scopes in which allocations do not wait for I/O.
mod noio;
// Jobs on workqueues.
pub(crate) mod work;
// A spinlock as cheap as C's.
mod spinlock;
// Log lines within a budget.
mod rate_limit;
// The time of day.
pub(crate) mod clock;
// The registry that all controllers share.
mod global;
// The kernel that saves the memory of a crashed one.
mod crash;

pub(crate) use self::{
    class::{
        Attribute,
        Class,
        ClassDevice, //
    },
    crash::is_kdump_kernel,
    global::{
        init_registry,
        with_registry, //
    },
    noio::NoIo,
    rate_limit::RateLimit,
    spinlock::{
        Guard,
        SpinLock, //
    },
    work::{
        Job,
        Urgency,
        Work, //
    },
};
