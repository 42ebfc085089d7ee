// SPDX-License-Identifier: GPL-2.0

//! Work, locks, classes, time: nothing here belongs to a device.

// Users of an object that code reaches without holding it.
mod users;
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
// What all controllers share: the registry, the list of their shutdowns.
mod global;
// The kernel that saves the memory of a crashed one.
mod crash;
// What the firmware says of the machine.
mod machine;
// The module parameter that is a text.
mod quirk_text;

pub(crate) use self::{
    class::{
        Attribute,
        Class,
        ClassDevice, //
    },
    crash::is_kdump_kernel,
    global::{
        begin_shutdowns,
        init_globals,
        with_registry,
        Shutdown, //
    },
    machine::is_machine,
    noio::NoIo,
    quirk_text::given_quirks,
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
