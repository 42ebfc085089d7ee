// SPDX-License-Identifier: GPL-2.0

//! The Abort commands that a controller has at a time. NVMe Base 2.0, 5.1.

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

/// Aborts that are under way.
pub(super) struct Aborts {
    pub(super) pdev: ARef<pci::Device>,
    /// How many more the controller takes.
    pub(super) left: AtomicU32,
}

impl Aborts {
    /// Whether one more may be given; it counts then.
    pub(super) fn take(&self) -> bool {
        self.left
            .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1))
            .is_ok()
    }

    pub(super) fn give_back(&self) {
        self.left.fetch_add(1, Relaxed);
    }
}

impl Ended<Admin> for Aborts {
    fn ended(&self, data: &AdminRequestData, ok: bool) {
        self.give_back();
        if !ok || !Abort::has_aborted(data.result()) {
            dev_warn!(self.pdev, "the controller has not aborted the command\n");
        }
    }
}
