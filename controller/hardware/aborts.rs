// SPDX-License-Identifier: GPL-2.0

//! Abort commands in flight. NVMe Base 2.0, 5.1.

use crate::{
    admin::{
        Admin,
        AdminRequestData, //
    },
    nvme::Abort,
    sys::block::Ended, //
};
use core::sync::atomic::{
    AtomicU32,
    Ordering::Relaxed, //
};
use kernel::{
    pci,
    prelude::*,
    sync::aref::ARef, //
};

/// The budget of Abort commands.
pub(super) struct Aborts {
    pdev: ARef<pci::Device>,
    /// How many Aborts the controller takes at a time (ACL).
    limit: AtomicU32,
    /// How many Aborts the controller has.
    used: AtomicU32,
}

impl Aborts {
    /// No budget yet.
    pub(super) fn new(pdev: &pci::Device) -> Self {
        Self {
            pdev: pdev.into(),
            limit: AtomicU32::new(0),
            used: AtomicU32::new(0),
        }
    }

    /// Sets how many Aborts the controller takes at a time; those that it has count.
    pub(super) fn set_limit(&self, limit: u32) {
        self.limit.store(limit, Relaxed);
    }

    /// Takes one Abort from the budget; returns whether there was one.
    pub(super) fn take(&self) -> bool {
        let limit = self.limit.load(Relaxed);
        self.used
            .fetch_update(Relaxed, Relaxed, |used| (used < limit).then_some(used + 1))
            .is_ok()
    }

    /// Returns one Abort to the budget.
    pub(super) fn give_back(&self) {
        self.used.fetch_sub(1, Relaxed);
    }
}

impl Ended<Admin> for Aborts {
    fn ended(&self, data: &AdminRequestData, ok: bool) {
        self.give_back();
        if !ok || !Abort::has_aborted(data.result()) {
            dev_warn!(
                self.pdev,
                "Abort: the controller has not aborted the command\n"
            );
        }
    }
}
