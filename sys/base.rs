// SPDX-License-Identifier: GPL-2.0

//! What does not belong to a device: work, locks, classes, time.

// Device classes and attributes in sysfs.
mod class;
// Threads that I/O may wait for.
mod noio;
// Work for threads.
pub(crate) mod work;
// A spinlock without a detour.
mod spinlock;
// Log lines within a budget.
mod rate_limit;
// The time of day.
pub(crate) mod clock;
// What the controllers share.
pub(crate) mod global;

pub(crate) use self::{
    class::{
        Attribute,
        Class,
        ClassDevice, //
    },
    global::with_registry,
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
