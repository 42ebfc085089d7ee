// SPDX-License-Identifier: GPL-2.0

//! The I/O queues of a controller: their number and memory, and the commands that create and delete
//! them.

// How many I/O queues there will be, and their memory.
mod plan;

use super::shared::Shared;
use crate::{
    io::Io,
    num::u32_as_usize,
    nvme::{
        CreateIoCq,
        CreateIoSq,
        DeleteIoCq,
        DeleteIoSq,
        DisableCoalescing,
        DoorbellBufferConfig,
        QueueId,
        SetInterruptCoalescing,
        SetNumberOfQueues, //
    },
    policy::{
        timing,
        QueueCounts,
        Quirks, //
    },
    queue::Queue,
    sys::{
        block::{
            QueueMap,
            TagSet, //
        },
        pci::{
            ControllerMemory,
            Shadows, //
        },
    },
};
use core::sync::atomic::{
    AtomicUsize,
    Ordering::Relaxed, //
};
use kernel::{
    prelude::*,
    sync::Arc,
    time::Instant, //
};

/// The I/O queues of a controller.
pub(super) struct IoQueues {
    shared: Arc<Shared>,
    /// The block layer's side of the queues.
    pub(super) set: Arc<TagSet<Io>>,
    /// How many queues there are of each kind.
    pub(super) counts: QueueCounts,
    /// Entries of a ring.
    pub(super) entries: u16,
    queues: KVec<Arc<Queue<Io>>>,
    /// How many queues the controller has: fewer after a reset in which it lost some.
    made: AtomicUsize,
    /// How many queues the block layer uses.
    used: AtomicUsize,
    memory: Memory,
}

/// What the controller did about the creation of queues.
struct Created {
    /// How many queues it created.
    queues: usize,
    /// What it refused of the next.
    refused: Option<Refused>,
}

/// What the controller refused of a queue.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refused {
    /// All of it.
    All,
    /// The submission queue; it kept the completion queue.
    Half,
}

/// Memory that I/O queues use besides their rings in host memory.
#[derive(Clone)]
struct Memory {
    shadows: Option<Arc<Shadows>>,
    /// Holds submission rings.
    buffer: Option<Arc<ControllerMemory>>,
}

/// Clones of `queues`.
fn references<'a>(
    queues: impl ExactSizeIterator<Item = &'a Arc<Queue<Io>>>,
) -> Result<KVec<Arc<Queue<Io>>>> {
    let mut more = KVec::with_capacity(queues.len(), GFP_KERNEL)?;
    for queue in queues {
        more.push(queue.clone(), GFP_KERNEL)?;
    }
    Ok(more)
}

/// The command that announces `shadows`.
fn shadows_of(shadows: &Shadows) -> DoorbellBufferConfig {
    DoorbellBufferConfig {
        doorbells: shadows.doorbells(),
        events: shadows.events(),
    }
}

impl Shared {
    /// Deletes I/O queues 1 to `count`: all submission queues together, then all completion queues
    /// together, within `ms` milliseconds. Returns whether the controller deleted all. If not, the caller
    /// must stop the controller, whose other queues, and commands that have not ended, end with that.
    fn delete_queues(&self, count: u16, ms: u32) -> bool {
        let deadline = Instant::now() + timing::millis(ms);
        let ids = (1..=count).map(QueueId::new);
        let done = self
            .admin
            .execute_together(ids.clone().map(DeleteIoSq), deadline)
            .and_then(|all| match all {
                true => self.admin.execute_together(ids.map(DeleteIoCq), deadline),
                // A completion queue goes after its submission queue.
                false => Ok(false),
            });
        done.unwrap_or(false)
    }
}

impl IoQueues {
    /// How many queues have their submission ring in the controller memory buffer.
    pub(super) fn in_controller(&self) -> usize {
        self.queues.iter().filter(|q| q.is_in_controller()).count()
    }

    /// Creates the first `count` queues in the controller, in order, until it refuses one.
    fn create(&self, count: usize) -> Created {
        for (index, queue) in self.queues.iter().take(count).enumerate() {
            if let Err(refused) = self.create_pair(queue) {
                return Created {
                    queues: index,
                    refused: Some(refused),
                };
            }
        }
        Created {
            queues: count.min(self.queues.len()),
            refused: None,
        }
    }

    /// Whether the driver goes on with the queues that were `created`, if it can with fewer.
    ///
    /// # Errors
    ///
    /// `EIO` if the controller did not answer; or if it refused all queues, until a reset of its PCI
    /// function perhaps.
    fn check(&self, created: &Created) -> Result {
        let hardware = &self.shared.hardware;
        let lacks_all = created.queues == 0 && !self.shared.info().is_administrative;
        // A controller that was told to stop did not refuse: it did not answer.
        if hardware.is_halted() || lacks_all && hardware.may_reset_function() {
            return Err(EIO);
        }
        Ok(())
    }

    /// Creates `queue` in the controller. Its gate stays shut: the queue may have to be created again,
    /// and must not have had a command then.
    ///
    /// # Errors
    ///
    /// What the controller refused.
    fn create_pair(&self, queue: &Queue<Io>) -> Result<(), Refused> {
        let Shared {
            hardware, admin, ..
        } = &*self.shared;
        let id = queue.id();
        let own = if hardware.shares_vector() {
            0
        } else {
            id.raw()
        };
        let cq = CreateIoCq {
            id,
            entries: queue.entries(),
            ring: queue.completion_ring(),
            vector: (u32::from(id.raw()) <= self.counts.interrupt()).then_some(own),
        };
        self.create_completion_queue(&cq)?;
        let sq = CreateIoSq {
            id,
            entries: queue.entries(),
            ring: queue.submission_ring(),
            cq: id,
            medium: hardware.quirks().has(Quirks::MEDIUM_PRIO_SQ),
        };
        if admin.execute(&sq).is_err() {
            return Err(match admin.execute(&DeleteIoCq(id)) {
                Ok(()) => Refused::All,
                Err(_) => Refused::Half,
            });
        }
        Ok(())
    }

    /// Creates a completion queue. If the controller has queues of this number, which it kept while it
    /// was disabled, they are deleted first.
    fn create_completion_queue(&self, cq: &CreateIoCq) -> Result<(), Refused> {
        let Shared {
            hardware, admin, ..
        } = &*self.shared;
        match admin.attempt(cq) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(status)) if status.is_invalid_queue() => {}
            _ => return Err(Refused::All),
        }
        let _ = admin.execute(&DeleteIoSq(cq.id));
        admin
            .execute(&DeleteIoCq(cq.id))
            .and_then(|()| admin.execute(cq))
            .map_err(|_| Refused::All)?;
        dev_warn!(
            hardware.device(),
            "the controller had kept I/O queue {} while it was disabled: deleted, and created again\n",
            cq.id.raw()
        );
        Ok(())
    }

    /// The controller has none of the queues.
    fn lose_all(&self) {
        self.made.store(0, Relaxed);
        self.used.store(0, Relaxed);
    }

    /// Whether the controller has no I/O queue.
    pub(super) fn has_none(&self) -> bool {
        self.made.load(Relaxed) == 0
    }

    /// Whether the controller has no I/O queue, though it should have.
    pub(super) fn lacks_all(&self) -> bool {
        self.has_none() && !self.shared.info().is_administrative
    }

    /// Creates the queues again in a controller that was brought up again, as many as it takes: see
    /// [`Self::use_made`].
    ///
    /// # Errors
    ///
    /// `EIO` if the controller does not answer; `ENODEV` if it was told to stop; what announcing the
    /// controller memory returns.
    pub(super) fn create_again(&self) -> Result {
        let Shared {
            hardware, admin, ..
        } = &*self.shared;
        let all = self.queues.len();
        let request = SetNumberOfQueues {
            pairs: all.try_into()?,
        };
        // A controller that refuses says with the first queue that it does not create how many there
        // are.
        let granted = admin.execute(&request).map_or(all, u32_as_usize);
        self.announce_shadows();
        if let Some(memory) = &self.memory.buffer {
            memory.tell()?;
        }
        let made = self.create_fitting(granted.min(all))?;
        hardware.open_io(made)?;
        self.made.store(made, Relaxed);
        self.set_coalescing();
        Ok(())
    }

    /// Announces the shadow doorbells again, if there are any, to a controller that knows no I/O queue.
    /// If the controller does not take them this time, the driver writes the registers only.
    fn announce_shadows(&self) {
        let Shared {
            hardware, admin, ..
        } = &*self.shared;
        let Some(shadows) = &self.memory.shadows else {
            return;
        };
        let are_taken =
            self.shared.info().doorbell_buffer && admin.execute(&shadows_of(shadows)).is_ok();
        hardware.use_shadows(are_taken);
        if !are_taken && !hardware.is_halted() {
            dev_warn!(
                hardware.device(),
                "the controller takes no shadow doorbells this time: I/O goes on with the registers alone\n"
            );
        }
    }

    /// Creates the first `count` queues, or as many as controller and vectors allow, with vectors
    /// that are spread over just these queues. Returns how many that are. No gate is open: a queue
    /// that is deleted to be created again has had no command.
    ///
    /// # Errors
    ///
    /// What [`Self::check`] returns; `EIO` if the controller does not delete a queue; what
    /// [`Hardware::fit_vectors`](super::hardware::Hardware::fit_vectors) returns.
    fn create_fitting(&self, mut count: usize) -> Result<usize> {
        let Shared { hardware, .. } = &*self.shared;
        while count > 0 {
            let counts = self.counts.first(count.try_into()?);
            let served = u32_as_usize(hardware.fit_vectors(counts)?.total());
            let created = self.create(served);
            self.check(&created)?;
            let made = created.queues;
            if made == served {
                return Ok(made);
            }
            let ms = self.shared.admin.timeout();
            if !self.shared.delete_queues(made.try_into()?, ms) {
                return Err(EIO);
            }
            count = made;
        }
        Ok(0)
    }

    /// Has the block layer use the queues that the controller has now, and no others; returns how
    /// many that are, if the number has changed. Waits for I/O; a request on its way to a lost queue
    /// goes through queue 1.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: the block layer uses the queues that it used before.
    pub(super) fn use_made(&self) -> Result<Option<usize>> {
        let made = self.made.load(Relaxed);
        if made == self.used.swap(made, Relaxed) {
            return Ok(None);
        }
        if made > 0 {
            self.update(made).inspect_err(|_| {
                // The next scan tries again.
                self.used.store(0, Relaxed);
            })?;
        }
        Ok(Some(made))
    }

    fn update(&self, made: usize) -> Result {
        let queues = references(self.queues.iter().take(made))?;
        let counts = self.counts.first(made.try_into()?);
        let cpus = self.shared.hardware.cpus();
        self.set.update_queues(queues, QueueMap { counts, cpus })?;
        Ok(())
    }

    /// Sets interrupt coalescing, where the user wants it. A controller that refuses does without it;
    /// the log has a line.
    fn set_coalescing(&self) {
        let Shared {
            hardware,
            admin,
            params,
            ..
        } = &*self.shared;
        let Some((time, entries)) = params.coalescing() else {
            return;
        };
        // Admin commands come one at a time, so their vector gains nothing. Disabled before
        // coalescing is enabled, so that it never waits; not at all where I/O queues share the vector.
        if !hardware.shares_vector() {
            admin.offer(&DisableCoalescing { vector: 0 });
        }
        admin.offer(&SetInterruptCoalescing { time, entries });
    }

    /// The admin commands of a reset that the queues and the controller itself take.
    pub(super) fn commands_of_a_reset(&self) -> u32 {
        self.counts.total().saturating_mul(2).saturating_add(8)
    }

    /// The longest that I/O waits for this controller, with the module's `io_timeout` and one disk:
    /// see [`timing::recovery_bound_ms`].
    pub(super) fn recovery_bound_ms(&self) -> u64 {
        let commands = self.commands_of_a_reset().saturating_add(1);
        let Shared {
            hardware, params, ..
        } = &*self.shared;
        let (timeout, ready) = (params.io_timeout_ms(), hardware.ready_ms());
        let own = u64::from(hardware.function_delay_ms());
        own + timing::recovery_bound_ms(timeout, ready, commands)
    }

    /// Deletes all queues, before an orderly stop of the controller, which must follow: see
    /// [`Shared::delete_queues`]. No I/O command may be in flight. Takes [`timing::DELETE_MS`] at most;
    /// what the controller has not deleted then goes when it is disabled.
    pub(super) fn delete(&self) {
        let Shared { hardware, .. } = &*self.shared;
        // CAST: ids have 16 bits.
        let count = self.made.load(Relaxed) as u16;
        if !hardware.is_halted() && !self.shared.delete_queues(count, timing::DELETE_MS) {
            dev_warn!(
                hardware.device(),
                "controller has not deleted its I/O queues: disabling it does\n"
            );
        }
    }
}
