// SPDX-License-Identifier: GPL-2.0

//! What one interrupt vector serves: the completion sides of queues.

use crate::{
    admin::Admin,
    io::Io,
    nvme::Status,
    queue::Completions,
    sys::pci::InterruptHandler, //
};
use kernel::prelude::*;

/// All that one interrupt vector serves.
pub(crate) struct VectorHandler {
    /// Those of an I/O queue: the one, as a rule.
    pub(crate) io: Option<Completions<Io>>,
    /// What the first vector serves besides.
    pub(crate) more: Option<KBox<AdminAndShared>>,
}

/// What the first vector serves besides, or alone.
pub(crate) struct AdminAndShared {
    /// The admin queue's completions.
    pub(crate) admin: Completions<Admin>,
    /// Those of further I/O queues, where vectors are short.
    pub(crate) io: KVec<Completions<Io>>,
}

impl VectorHandler {
    /// Serves an I/O queue.
    pub(crate) const fn of_queue(completions: Completions<Io>) -> Self {
        Self {
            io: Some(completions),
            more: None,
        }
    }

    /// Serves the admin queue.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn of_admin(admin: Completions<Admin>) -> Result<Self> {
        let more = AdminAndShared {
            admin,
            io: KVec::new(),
        };
        Ok(Self {
            io: None,
            more: Some(KBox::new(more, GFP_KERNEL)?),
        })
    }

    /// Serves the I/O queue of `completions`, too; the vector is the admin queue's.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn push(&mut self, completions: Completions<Io>) -> Result {
        match &mut self.more {
            Some(more) if self.io.is_some() => more.io.push(completions, GFP_KERNEL)?,
            _ => self.io = Some(completions),
        }
        Ok(())
    }

    /// Whether it serves the admin queue.
    pub(crate) fn has_admin(&self) -> bool {
        self.more.is_some()
    }

    /// Serves no I/O queue any more.
    pub(crate) fn clear(&mut self) {
        self.io = None;
        if let Some(more) = &mut self.more {
            more.io.clear();
        }
    }

    /// The I/O queues.
    fn queues(&self) -> impl Iterator<Item = &Completions<Io>> {
        let more = self.more.iter().flat_map(|more| &more.io);
        Iterator::chain(self.io.iter(), more)
    }

    /// The I/O queues.
    fn queues_mut(&mut self) -> impl Iterator<Item = &mut Completions<Io>> {
        let more = self.more.iter_mut().flat_map(|more| &mut more.io);
        Iterator::chain(self.io.iter_mut(), more)
    }

    /// Whether the device has no I/O request of these queues.
    pub(crate) fn is_idle(&self) -> bool {
        self.queues().all(Completions::is_idle)
    }

    /// Takes what waits although nobody told of it when this was asked before; returns whether
    /// there was any.
    pub(crate) fn check(&mut self) -> bool {
        let mut overlooked = self.io.as_mut().is_some_and(Completions::is_overlooked);
        if let Some(more) = &mut self.more {
            overlooked |= more.admin.is_overlooked();
            for io in &mut more.io {
                overlooked |= io.is_overlooked();
            }
        }
        overlooked && self.handle()
    }

    /// From now on the device does not hear of completions: it is going to forget the queues.
    pub(crate) fn mute(&mut self) {
        self.queues_mut().for_each(Completions::mute);
        if let Some(more) = &mut self.more {
            more.admin.mute();
        }
    }

    /// Makes the completion sides as they were when they were new: the device forgot the queues.
    pub(crate) fn reset(&mut self) {
        self.queues_mut().for_each(Completions::reset);
        if let Some(more) = &mut self.more {
            more.admin.reset();
        }
    }

    /// Ends what the device will not end; returns how many I/O commands that were. Who gave an
    /// admin command says what its end means; one waits for an event at all times.
    pub(crate) fn cancel(&mut self) -> u32 {
        let status = Status::HOST_ABORTED;
        let mut count = self.io.as_mut().map_or(0, |io| io.cancel(status));
        if let Some(more) = &mut self.more {
            more.admin.cancel(status);
            count += more.io.iter_mut().map(|io| io.cancel(status)).sum::<u32>();
        }
        count
    }

    #[inline(never)]
    fn handle_more(&mut self) -> bool {
        let Some(more) = &mut self.more else {
            return false;
        };
        let mut found = more.admin.reap_all();
        for completions in &mut more.io {
            found |= completions.reap_all();
        }
        found
    }
}

impl InterruptHandler for VectorHandler {
    /// Most interrupts are those of one queue, and there is something.
    #[inline(always)]
    fn handle(&mut self) -> bool {
        let found = match &mut self.io {
            Some(io) => io.reap_all(),
            None => false,
        };
        if !found {
            return self.handle_more();
        }
        if self.more.is_some() {
            self.handle_more();
        }
        true
    }

    fn is_pending(&self) -> bool {
        self.queues().any(Completions::is_pending)
            || self
                .more
                .as_ref()
                .is_some_and(|more| more.admin.is_pending())
    }
}
