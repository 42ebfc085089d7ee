// SPDX-License-Identifier: GPL-2.0

//! What one interrupt vector serves: the completion sides of queues.

use crate::{
    admin::Admin,
    io::Io,
    queue::Completions,
    spec::completion::Status,
    sys::{
        batch::Completed,
        irq::Handler, //
    }, //
};
use kernel::prelude::*;

/// All that one interrupt vector serves.
pub(crate) struct Vector {
    /// The admin queue's completions, on the first vector.
    pub(crate) admin: Option<Completions<Admin>>,
    /// Those of I/O queues.
    pub(crate) io: KVec<Completions<Io>>,
}

impl Vector {
    /// Whether the device has no I/O request of these queues.
    pub(crate) fn is_idle(&self) -> bool {
        self.io.iter().all(Completions::is_idle)
    }

    /// Ends what the device will not end; returns how many commands that were.
    pub(crate) fn cancel(&mut self) -> u32 {
        let status = Status::HOST_ABORTED;
        let admin: u32 = self.admin.iter_mut().map(|c| c.cancel(status)).sum();
        let io: u32 = self.io.iter_mut().map(|c| c.cancel(status)).sum();
        admin + io
    }
}

impl Handler for Vector {
    #[inline(always)]
    fn handle(&mut self) -> bool {
        let mut found = false;
        Completed::collect(|done| {
            for completions in &mut self.io {
                found |= completions.reap(done);
            }
        });
        if let Some(completions) = &mut self.admin {
            found |= Completed::collect(|done| completions.reap(done));
        }
        found
    }

    fn is_pending(&self) -> bool {
        self.io.iter().any(Completions::is_pending)
            || self.admin.as_ref().is_some_and(Completions::is_pending)
    }
}
