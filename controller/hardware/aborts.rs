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
    pub(super) pdev: ARef<pci::Device>,
    /// How many more Aborts the controller takes (ACL).
    pub(super) left: AtomicU32,
}

impl Aborts {
    /// Takes one Abort from the budget; returns whether there was one.
    pub(super) fn take(&self) -> bool {
        self.left
            .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1))
            .is_ok()
    }

    /// Returns one Abort to the budget.
    pub(super) fn give_back(&self) {
        self.left.fetch_add(1, Relaxed);
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
