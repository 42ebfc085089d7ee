// SPDX-License-Identifier: GPL-2.0

//! The handler of one interrupt vector: the completion sides of the queues that it serves.

use crate::{
    admin::Admin,
    io::Io,
    nvme::Status,
    queue::Completions,
    sys::pci::InterruptHandler, //
};
use kernel::prelude::*;

/// The queues of one interrupt vector.
pub(crate) struct VectorHandler {
    /// The completions of an I/O queue: the only queue of most vectors.
    pub(crate) io: Option<Completions<Io>>,
    /// What the first vector serves besides.
    pub(crate) more: Option<KBox<AdminAndShared>>,
}

/// The admin queue, and the I/O queues that share its vector.
pub(crate) struct AdminAndShared {
    /// The admin queue's completions.
    pub(crate) admin: Completions<Admin>,
    /// The completions of further I/O queues, where there are too few vectors.
    pub(crate) io: KVec<Completions<Io>>,
}

impl VectorHandler {
    /// A handler of an I/O queue.
    pub(crate) const fn of_queue(completions: Completions<Io>) -> Self {
        Self {
            io: Some(completions),
            more: None,
        }
    }

    /// A handler of the admin queue.
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

    /// Makes room for `queues` I/O queues in the handler of the admin queue.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn reserve(&mut self, queues: usize) -> Result {
        if let Some(more) = &mut self.more {
            more.io.reserve(queues, GFP_KERNEL)?;
        }
        Ok(())
    }

    /// Takes the I/O queue of `other`, if it has one, into the handler of the admin queue.
    ///
    /// # Errors
    ///
    /// `ENOMEM` without [`Self::reserve`].
    pub(crate) fn adopt(&mut self, other: &mut Self) -> Result {
        let Some(completions) = other.io.take() else {
            return Ok(());
        };
        match &mut self.more {
            Some(more) if self.io.is_some() => more.io.push(completions, GFP_KERNEL)?,
            _ => self.io = Some(completions),
        }
        Ok(())
    }

    /// Removes all I/O queues.
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

    /// Handles completions that were already pending at the previous call, whose interrupt was lost;
    /// returns whether there were any.
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

    /// Rings no doorbell for completions any more: the controller forgets the queues now.
    pub(crate) fn mute(&mut self) {
        self.queues_mut().for_each(Completions::mute);
        if let Some(more) = &mut self.more {
            more.admin.mute();
        }
    }

    /// Whether the doorbells of I/O queues use their shadows from now on.
    pub(crate) fn use_shadows(&mut self, are_used: bool) {
        self.queues_mut().for_each(|io| io.use_shadow(are_used));
    }

    /// Makes the completion sides as new: the controller has forgotten the queues.
    pub(crate) fn reset(&mut self) {
        self.queues_mut().for_each(Completions::reset);
        if let Some(more) = &mut self.more {
            more.admin.reset();
        }
    }

    /// Completes all commands in flight with Host Aborted Command; returns how many of them were I/O
    /// commands. Admin commands do not count: one always waits for an event.
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
    /// Most interrupts announce completions of one I/O queue.
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
