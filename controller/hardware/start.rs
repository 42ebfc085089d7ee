// SPDX-License-Identifier: GPL-2.0

//! The first start of a controller: its parts are attached one after the other.

use super::{
    vector_handler::VectorHandler,
    Aborts,
    AdminHardware,
    Counters,
    Hardware,
    Inner,
    IoHardware,
    Lines,
    Registers, //
};
use crate::{
    admin::{
        Admin,
        AdminQueue, //
    },
    io::Io,
    nvme::{
        Capabilities,
        ControllerInfo, //
    },
    policy::{
        timing,
        Lifecycle,
        PowerEvent,
        State, //
    },
    queue::{
        Completions,
        Pair,
        Queue, //
    },
    sys::{
        base::Work,
        block::TagSet,
        pci::{
            box_on,
            Bar,
            ControllerMemory,
            Line,
            Shadows,
            Vectors, //
        },
    },
};
use core::{
    mem::take,
    sync::atomic::AtomicU8, //
};
use kernel::{
    new_mutex,
    pci,
    prelude::*,
    sync::Arc,
    time::Delta, //
};

/// What [`Hardware`] is made from.
pub(crate) struct Identity {
    /// The registers.
    pub(crate) bar: Arc<Bar>,
    /// CAP, decoded.
    pub(crate) caps: Capabilities,
    /// The controller's number.
    pub(crate) number: u32,
    /// Whether threads handle interrupts.
    pub(crate) threads: bool,
    /// The job that brings the controller up again.
    pub(crate) reset: Arc<Work>,
}

impl Hardware {
    /// The controller of `identity`, disabled.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; what [`Registers::disable`] returns, with a line in the log.
    pub(crate) fn new(pdev: &pci::Device, identity: Identity) -> Result<Arc<Self>> {
        let aborts = Arc::new(Aborts::new(pdev), GFP_KERNEL)?;
        let registers = Registers {
            pdev: pdev.into(),
            bar: identity.bar,
            caps: identity.caps,
        };
        // Firmware may have left the controller running, or a reset may still be under way: the
        // admin queue can be replaced only when CSTS.RDY is 0.
        registers
            .disable(registers.stated_timeout())
            .inspect_err(|_| {
                let csts = registers.csts().into_raw();
                dev_err!(pdev, "controller cannot be disabled: CSTS {:#x}\n", csts);
            })?;
        let life = Lifecycle::NEW;
        Arc::pin_init(
            pin_init!(Self {
                registers,
                number: identity.number,
                threads: identity.threads,
                snapshot: AtomicU8::new(life.snapshot().into_raw()),
                reset: identity.reset,
                aborts,
                counters: Counters::default(),
                inner <- new_mutex!(Inner {
                    life,
                    shutdown: timing::millis(timing::SHUTDOWN_MS),
                    lines: Lines {
                        lines: KVec::new(),
                        parked: None,
                    },
                    admin: None,
                    io: None,
                }),
            }),
            GFP_KERNEL,
        )
    }

    /// Attaches the admin queue, whose commands go through `commands`, with a vector of its own.
    pub(crate) fn attach_admin(
        &self,
        queue: &Arc<Queue<Admin>>,
        completions: Completions<Admin>,
        commands: &Arc<AdminQueue>,
    ) -> Result {
        let vectors = Vectors::allocate(&self.registers.pdev, 1, 0, self.threads)?;
        let vector = VectorHandler::of_admin(completions)?;
        let mut inner = self.inner.lock();
        inner.lines.parked = Some(KBox::new(vector, GFP_KERNEL)?);
        inner.admin = Some(AdminHardware {
            queue: queue.clone(),
            commands: commands.clone(),
            shadows: None,
            memory: None,
        });
        inner.lines.serve_parked(&vectors, self.number)
    }

    /// Enables the controller with its admin queue and waits until the controller is ready.
    ///
    /// # Errors
    ///
    /// `ENODEV`: the device is gone, or was told to stop. `EIO`: the controller reports a fatal
    /// status, or its CAP has changed. `ETIMEDOUT`: the controller is not ready within CAP.TO (or
    /// CRTO).
    pub(crate) fn start_admin(&self) -> Result {
        self.registers.check_caps()?;
        let (queue, timeout) = {
            let mut inner = self.inner.lock();
            let queue = match &inner.admin {
                Some(admin) if self.is_coming_up() => admin.queue.clone(),
                _ => return Err(ENODEV),
            };
            // Before the writes: if one of them fails, the controller must be stopped all the same.
            inner.life.apply_power(PowerEvent::Enable);
            self.registers
                .enable(queue.submission_ring(), queue.completion_ring())?;
            (queue, inner.time_left(timing::millis(self.ready_ms())))
        };
        self.registers
            .wait_ready(timeout, || self.is_coming_up())
            .inspect_err(|_| {
                dev_err!(
                    self.registers.pdev,
                    "controller is not ready: CSTS {:#x} (it had {} ms to become so)\n",
                    self.registers.csts().into_raw(),
                    timeout.as_millis()
                );
            })?;
        self.open(&queue)
    }

    /// Sets what the controller of `info` states: how many Abort commands it takes at a time (ACL),
    /// and how long an orderly shutdown takes (RTD3E), but [`timing::SHUTDOWN_MS`] to
    /// [`timing::LONGEST_SHUTDOWN_MS`].
    pub(crate) fn set_limits(&self, info: &ControllerInfo) {
        self.aborts.set_limit(info.abort_limit.into());
        self.inner.lock().shutdown = Delta::from_micros(info.rtd3e_us.into())
            .max(timing::millis(timing::SHUTDOWN_MS))
            .min(timing::millis(timing::LONGEST_SHUTDOWN_MS));
    }

    /// Keeps the pages of the shadow doorbells until the controller is stopped.
    pub(crate) fn keep_shadows(&self, shadows: Arc<Shadows>) {
        if let Some(admin) = &mut self.inner.lock().admin {
            admin.shadows = Some(shadows);
        }
    }

    /// Keeps the controller memory buffer switched on until the controller is stopped.
    pub(crate) fn keep_memory(&self, memory: Arc<ControllerMemory>) {
        if let Some(admin) = &mut self.inner.lock().admin {
            admin.memory = Some(memory);
        }
    }

    /// Allocates vectors for the admin queue and up to `queues` I/O queues with interrupts, `write`
    /// of them for writes if that is not 0, in place of the present ones. The admin queue has no
    /// interrupt until [`Self::attach_io`]. I/O queues that were attached are dropped: the controller
    /// must not know them any more.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the controller has failed; `ENOMEM`; what the allocation of vectors returns.
    pub(crate) fn reallocate_vectors(&self, queues: u32, write: u32) -> Result<Arc<Vectors>> {
        let io = {
            let mut inner = self.inner.lock();
            if self.state() != State::New {
                return Err(ENODEV);
            }
            inner.lines.park();
            inner.io.take()
        };
        for queue in io.iter().flat_map(|io| &io.queues) {
            drop(queue.detach_polled());
        }
        let count = queues.saturating_add(1);
        Vectors::allocate(&self.registers.pdev, count, write, self.threads)
    }

    /// Attaches the I/O queues of `set`, which the controller does not know yet: the first
    /// `interrupt` get their vectors, the others are polled.
    pub(crate) fn attach_io(
        &self,
        vectors: &Arc<Vectors>,
        pairs: KVec<Pair<Io>>,
        interrupt: u32,
        set: Arc<TagSet<Io>>,
    ) -> Result {
        let is_shared = vectors.count() == 1;
        let mut queues = KVec::with_capacity(pairs.len(), GFP_KERNEL)?;
        let mut own = KVec::with_capacity(pairs.len(), GFP_KERNEL)?;
        for (queue, _) in &pairs {
            queues.push(queue.clone(), GFP_KERNEL)?;
        }
        let mut inner = self.inner.lock();
        if self.state() != State::New {
            return Err(ENODEV);
        }
        // From here on a halt finds the queues, and the end detaches their completion sides.
        inner.io = Some(IoHardware { queues, set });
        for (index, (queue, completions)) in (0..).zip(pairs) {
            if index >= interrupt {
                queue.attach_polled(completions);
                continue;
            }
            match &mut inner.lines.parked {
                Some(first) if is_shared => first.push(completions)?,
                _ => own.push(completions, GFP_KERNEL)?,
            }
        }
        inner.lines.serve_parked(vectors, self.number)?;
        for (index, completions) in (1..).zip(own) {
            let vector = box_on(vectors.node(), VectorHandler::of_queue(completions))?;
            inner.lines.serve(vectors, self.number, index, vector)?;
        }
        Ok(())
    }
}

impl Lines {
    /// Gives `vector` the line of vector `index`.
    fn serve(
        &mut self,
        vectors: &Arc<Vectors>,
        number: u32,
        index: u32,
        vector: KBox<VectorHandler>,
    ) -> Result {
        let line = Line::request(vectors, index, number, index, vector).map_err(|(e, _)| e)?;
        Ok(self.lines.push(line, GFP_KERNEL)?)
    }

    /// Gives the parked handler the line of the first vector.
    fn serve_parked(&mut self, vectors: &Arc<Vectors>, number: u32) -> Result {
        self.lines.reserve(1, GFP_KERNEL)?;
        let vector = self.parked.take().ok_or(ENODEV)?;
        match Line::request(vectors, 0, number, 0, vector) {
            Ok(line) => Ok(self.lines.push(line, GFP_KERNEL)?),
            Err((e, vector)) => {
                self.parked = Some(vector);
                Err(e)
            }
        }
    }

    /// Frees all lines; the admin queue's handler is parked, without I/O queues.
    fn park(&mut self) {
        for line in take(&mut self.lines) {
            let mut vector = line.free();
            if vector.has_admin() {
                vector.clear();
                self.parked = Some(vector);
            }
        }
    }
}
