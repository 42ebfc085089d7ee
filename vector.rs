// SPDX-License-Identifier: GPL-2.0

//! What one interrupt vector serves: the completion sides of queues.

use crate::{
    admin::Admin,
    io::Io,
    queue::Completions,
    spec::completion::Status,
    sys::irq::Handler, //
};
use kernel::prelude::*;

/// All that one interrupt vector serves.
pub(crate) struct Vector {
    /// Those of an I/O queue: the one, as a rule.
    pub(crate) io: Option<Completions<Io>>,
    /// Those of further I/O queues, where vectors are short.
    pub(crate) more: KVec<Completions<Io>>,
    /// The admin queue's completions, on the first vector.
    pub(crate) admin: Option<Completions<Admin>>,
}

impl Vector {
    /// Serves the queue of `completions`, too.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn push(&mut self, completions: Completions<Io>) -> Result {
        match self.io {
            None => self.io = Some(completions),
            Some(_) => self.more.push(completions, GFP_KERNEL)?,
        }
        Ok(())
    }

    /// Serves no I/O queue any more.
    pub(crate) fn clear(&mut self) {
        self.io = None;
        self.more.clear();
    }

    /// Whether the device has no I/O request of these queues.
    pub(crate) fn is_idle(&self) -> bool {
        Iterator::chain(self.io.iter(), &self.more).all(Completions::is_idle)
    }

    /// Ends what the device will not end; returns how many commands that were.
    pub(crate) fn cancel(&mut self) -> u32 {
        let status = Status::HOST_ABORTED;
        let io = Iterator::chain(self.io.iter_mut(), &mut self.more);
        let admin: u32 = self.admin.iter_mut().map(|c| c.cancel(status)).sum();
        admin + io.map(|c| c.cancel(status)).sum::<u32>()
    }
}

impl Handler for Vector {
    #[inline(always)]
    fn handle(&mut self) -> bool {
        let mut found = false;
        if let Some(completions) = &mut self.io {
            found = completions.reap_all();
        }
        for completions in &mut self.more {
            found |= completions.reap_cold();
        }
        if let Some(completions) = &mut self.admin {
            found |= completions.reap_cold();
        }
        found
    }

    fn is_pending(&self) -> bool {
        Iterator::chain(self.io.iter(), &self.more).any(Completions::is_pending)
            || self.admin.as_ref().is_some_and(Completions::is_pending)
    }
}
