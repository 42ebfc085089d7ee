// SPDX-License-Identifier: GPL-2.0

//! What is handed to the hardware when a controller is brought up for the first time, and taken
//! back at the end.

use super::{
    vector_handler::VectorHandler,
    Aborts,
    Counters,
    Fate,
    Hardware,
    Inner,
    Stop, //
};
use crate::{
    admin::{
        Admin,
        AdminQueue, //
    },
    io::Io,
    nvme::Capabilities,
    policy::{
        Event,
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
    sync::atomic::{
        AtomicBool,
        AtomicU32,
        AtomicU8,
        Ordering::Relaxed, //
    }, //
};
use kernel::{
    new_mutex,
    pci,
    prelude::*,
    sync::Arc,
    time::Delta, //
};

/// How long an orderly shutdown may take, unless the controller asks for more: Linux's default.
const SHUTDOWN: Delta = Delta::from_secs(5);
/// How long it may take whatever the controller asks for.
const SHUTDOWN_MAX: Delta = Delta::from_secs(60);

/// What a controller's hardware is known by.
pub(crate) struct Identity {
    /// Its registers.
    pub(crate) bar: Arc<Bar>,
    /// What CAP says.
    pub(crate) caps: Capabilities,
    /// The controller's number.
    pub(crate) instance: u32,
    /// Whether interrupts are handled in threads.
    pub(crate) threads: bool,
    /// What brings it up again.
    pub(crate) reset: Arc<Work>,
}

impl Hardware {
    /// The controller of `identity`, disabled.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; if it cannot be disabled, what [`Self::start_admin`] returns, with a line in the
    /// log.
    pub(crate) fn new(pdev: &pci::Device, identity: Identity) -> Result<Arc<Self>> {
        let aborts = Aborts {
            pdev: pdev.into(),
            left: AtomicU32::new(0),
        };
        let aborts = Arc::new(aborts, GFP_KERNEL)?;
        let Identity {
            bar,
            caps,
            instance,
            threads,
            reset,
        } = identity;
        let timeout = Delta::from_millis(caps.timeout_ms.into());
        let hardware = Arc::pin_init(
            pin_init!(Self {
                pdev: pdev.into(),
                bar,
                caps,
                instance,
                threads,
                state: AtomicU8::new(State::New as u8),
                paused: AtomicBool::new(false),
                waits_while_paused: AtomicBool::new(false),
                reset,
                aborts,
                counters: Counters::default(),
                inner <- new_mutex!(Inner {
                    lines: KVec::new(),
                    parked: None,
                    shutdown: SHUTDOWN,
                    admin: None,
                    commands: None,
                    io: KVec::new(),
                    set: None,
                    held: false,
                    halted: false,
                    stopped: true,
                    since: None,
                    function_reset: false,
                    shadows: None,
                    memory: None,
                }),
            }),
            GFP_KERNEL,
        )?;
        // Firmware may have left it running, or a reset may still be under way: its queues can be
        // replaced only once it is ready for neither.
        hardware.disable(timeout).inspect_err(|_| {
            dev_err!(
                pdev,
                "controller cannot be disabled: CSTS {:#x}\n",
                hardware.csts()
            );
        })?;
        Ok(hardware)
    }

    /// Takes over the admin queue, on one vector of its own, before anything else is known.
    pub(crate) fn attach_admin(
        &self,
        queue: &Arc<Queue<Admin>>,
        completions: Completions<Admin>,
    ) -> Result {
        let vectors = Vectors::allocate(&self.pdev, 1, 0, self.threads)?;
        let vector = VectorHandler::of_admin(completions)?;
        let mut inner = self.inner.lock();
        inner.parked = Some(KBox::new(vector, GFP_KERNEL)?);
        inner.admin = Some(queue.clone());
        self.serve_parked(&mut inner, &vectors)
    }

    /// Takes over what aborts are asked for with; the controller takes `aborts` at a time.
    pub(crate) fn attach_commands(&self, commands: &Arc<AdminQueue>, aborts: u32) {
        self.aborts.left.store(aborts, Relaxed);
        self.inner.lock().commands = Some(commands.clone());
    }

    /// Takes over the block layer's side of the I/O queues.
    pub(crate) fn attach_set(&self, set: &Arc<TagSet<Io>>) {
        self.inner.lock().set = Some(set.clone());
    }

    /// Gives the parked handler the first of `vectors`.
    fn serve_parked(&self, inner: &mut Inner, vectors: &Arc<Vectors>) -> Result {
        inner.lines.reserve(1, GFP_KERNEL)?;
        let vector = inner.parked.take().ok_or(ENODEV)?;
        match Line::request(vectors, 0, self.instance, 0, vector) {
            Ok(line) => Ok(inner.lines.push(line, GFP_KERNEL)?),
            Err((e, vector)) => {
                inner.parked = Some(vector);
                Err(e)
            }
        }
    }

    /// Allocates vectors for the admin queue and up to `queues` I/O queues with interrupts, `write`
    /// of them for writes if that is not 0, in place of those that there are. The admin queue is
    /// deaf until [`Self::attach_io`]; I/O queues that were attached are dropped: the controller
    /// must not know them any more.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the hardware has failed meanwhile, `ENOMEM` and the like.
    pub(crate) fn reallocate_vectors(&self, queues: u32, write: u32) -> Result<Arc<Vectors>> {
        let mut inner = self.inner.lock();
        if self.state() != State::New {
            return Err(ENODEV);
        }
        for line in take(&mut inner.lines) {
            let mut vector = line.free();
            if vector.has_admin() {
                vector.clear();
                inner.parked = Some(vector);
            }
        }
        for queue in take(&mut inner.io) {
            drop(queue.detach_polled());
        }
        Vectors::allocate(&self.pdev, queues.saturating_add(1), write, self.threads)
    }

    /// Takes over the I/O queues, which the controller does not know yet: the first `interrupt` get
    /// their vectors, the others are polled.
    pub(crate) fn attach_io(
        &self,
        vectors: &Arc<Vectors>,
        queues: KVec<Pair<Io>>,
        interrupt: u32,
    ) -> Result {
        let shared = vectors.count() == 1;
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        if self.state() != State::New {
            return Err(ENODEV);
        }
        let mut own = KVec::with_capacity(queues.len(), GFP_KERNEL)?;
        for (index, (queue, completions)) in (0..).zip(queues) {
            inner.io.push(queue.clone(), GFP_KERNEL)?;
            if index >= interrupt {
                queue.attach_polled(completions);
                continue;
            }
            match &mut inner.parked {
                Some(first) if shared => first.push(completions)?,
                _ => own.push(completions, GFP_KERNEL)?,
            }
        }
        self.serve_parked(inner, vectors)?;
        for (index, completions) in (1..).zip(own) {
            let vector = box_on(vectors.node(), VectorHandler::of_queue(completions))?;
            let line =
                Line::request(vectors, index, self.instance, index, vector).map_err(|(e, _)| e)?;
            inner.lines.push(line, GFP_KERNEL)?;
        }
        Ok(())
    }

    /// Sets how long an orderly shutdown may take: `typical_us`, as the controller says (RTD3E),
    /// within sensible bounds.
    pub(crate) fn set_shutdown_time(&self, typical_us: u32) {
        let typical = Delta::from_micros(typical_us.into());
        self.inner.lock().shutdown = typical.max(SHUTDOWN).min(SHUTDOWN_MAX);
    }

    /// Keeps the pages of shadow doorbells until the controller is stopped.
    pub(crate) fn keep_shadows(&self, shadows: Arc<Shadows>) {
        self.inner.lock().shadows = Some(shadows);
    }

    /// Keeps the controller's own memory switched on until the controller is stopped.
    pub(crate) fn keep_memory(&self, memory: Arc<ControllerMemory>) {
        self.inner.lock().memory = Some(memory);
    }

    /// Ends everything for good and takes apart what was attached. What a controller that does not
    /// stop may still write to is never freed.
    pub(crate) fn dismantle(&self) {
        self.notify(Event::Leave, "");
        let mut inner = self.inner.lock();
        // What was live until now has not been stopped by that.
        self.halt(&mut inner, Stop::Orderly, Fate::Fail);
        let stopped = inner.stopped;
        for line in take(&mut inner.lines) {
            free_or_leak(line.free(), stopped);
        }
        free_or_leak(inner.parked.take(), stopped);
        for queue in take(&mut inner.io) {
            free_or_leak(queue.detach_polled(), stopped);
        }
        free_or_leak(inner.shadows.take(), stopped);
        inner.memory = None;
        inner.admin = None;
        let above = (inner.commands.take(), inner.set.take());
        drop(inner);
        // They lead back to here.
        drop(above);
        if !stopped {
            dev_err!(
                self.pdev,
                "controller does not stop: its queue memory is kept\n"
            );
        }
    }
}

/// Frees `memory` that the device knew, unless it has not `stopped`.
fn free_or_leak<T>(memory: T, stopped: bool) {
    if stopped {
        drop(memory);
    } else {
        core::mem::forget(memory);
    }
}
