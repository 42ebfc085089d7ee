// SPDX-License-Identifier: GPL-2.0

//! The hardware as something that is on, fails, and is stopped: who owns the interrupts, and what
//! happens when a command does not come back.
//!
//! ```text
//!   Live ── a command is late, and no completion was missed ──► Dead: all I/O fails at once
//!   Live ── unbind, shutdown ─────────────────────────────────► Stopped
//! ```
//!
//! Either way ends in [`Hardware::halt`]: no new command, the device stopped (CC.EN = 0, or its DMA
//! taken away), interrupts freed, what was in flight ended. Only then may rings be freed.
//!
//! LOCK: `Hardware::state` is taken by the timeout handlers, which wait for nothing but registers
//! while they hold it (for at most CAP.TO and the time of a shutdown); nobody executes a command
//! with it held. `Queue::submission` nests inside.

use crate::{
    admin::Admin,
    io::Io,
    queue::{
        Completions,
        Pair,
        Queue,
        Watchdog, //
    },
    regs::{
        Capabilities,
        CC,
        CSTS, //
    },
    spec::{
        completion::Status,
        ids::QueueId, //
    },
    sys::{
        blk::Timeout,
        cmb::ControllerMemory,
        doorbell::Shadows,
        irq::{
            Handler,
            Line,
            Vectors, //
        },
        mmio::Bar,
        node::box_on,
        pci::{
            is_present,
            stop_dma, //
        },
    },
    vector::Vector, //
};
use kernel::{
    io::{
        poll::read_poll_timeout,
        Io as _, //
    },
    new_mutex,
    pci,
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        Mutex, //
    },
    time::Delta, //
};

/// Not to be taken for the phase tag of a completion.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Live,
    Dead,
    Stopped,
}

struct State {
    life: Life,
    lines: KVec<Line<Vector>>,
    /// What the first line served, while it has none: the controller runs all the same.
    parked: Option<KBox<Vector>>,
    /// The longest that an orderly shutdown may take.
    shutdown: Delta,
    admin: Option<Arc<Queue<Admin>>>,
    io: KVec<Arc<Queue<Io>>>,
    /// The controller writes to these, too.
    shadows: Option<Arc<Shadows>>,
    /// There are queues in it.
    memory: Option<Arc<ControllerMemory>>,
}

/// A controller's registers, interrupts and queues.
#[pin_data]
pub(crate) struct Hardware {
    pdev: ARef<pci::Device>,
    bar: Arc<Bar>,
    caps: Capabilities,
    instance: u32,
    /// Whether interrupts are handled in threads.
    threads: bool,
    #[pin]
    state: Mutex<State>,
}

/// How a controller is stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// It is told first, and may write back its caches: CC.SHN.
    Orderly,
    /// At once: CC.EN = 0.
    AtOnce,
}

impl Hardware {
    /// The controller behind `bar`, not running yet.
    pub(crate) fn new(
        pdev: &pci::Device,
        bar: Arc<Bar>,
        caps: Capabilities,
        instance: u32,
        threads: bool,
    ) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                pdev: pdev.into(),
                bar,
                caps,
                instance,
                threads,
                state <- new_mutex!(State {
                    life: Life::Live,
                    lines: KVec::new(),
                    parked: None,
                    shutdown: SHUTDOWN,
                    admin: None,
                    shadows: None,
                    memory: None,
                    io: KVec::new(),
                }),
            }),
            GFP_KERNEL,
        )
    }

    /// The registers.
    pub(crate) fn bar(&self) -> &Arc<Bar> {
        &self.bar
    }

    /// What CAP says.
    pub(crate) fn caps(&self) -> &Capabilities {
        &self.caps
    }

    /// Enables the controller with `cc` and waits until it is ready.
    ///
    /// # Errors
    ///
    /// `ENODEV`: it is gone. `EIO`: it reports a fatal status. `ETIMEDOUT`: it is not ready within
    /// CAP.TO.
    pub(crate) fn enable(&self, cc: CC) -> Result {
        self.bar.write_reg(cc.with_const_en::<1>());
        self.wait_ready(true).inspect_err(|_| {
            dev_err!(
                self.pdev,
                "controller is not ready: CSTS {:#x} (it has {} ms to become so)\n",
                self.bar.read(CSTS).into_raw(),
                self.caps.timeout_ms
            );
        })
    }

    /// Disables the controller and waits until it is.
    ///
    /// # Errors
    ///
    /// As for [`Self::enable`].
    pub(crate) fn disable(&self) -> Result {
        self.bar
            .update(CC, |cc| cc.with_const_en::<0>().with_const_shn::<0>());
        self.wait_ready(false)
    }

    /// TIMEOUT: CAP.TO is the worst case that the controller itself states (NVMe Base 2.0,
    /// 3.1.3.1), for either direction.
    fn wait_ready(&self, ready: bool) -> Result {
        let status = read_poll_timeout(
            || Ok(self.bar.read(CSTS)),
            |csts| gone(*csts) || (ready && csts.cfs() == 1) || (csts.rdy() == 1) == ready,
            POLL_INTERVAL,
            Delta::from_millis(self.caps.timeout_ms.into()),
        )?;
        if gone(status) {
            return Err(ENODEV);
        }
        if (status.rdy() == 1) != ready {
            return Err(EIO);
        }
        Ok(())
    }

    /// Takes over the admin queue, on one vector of its own, before anything else is known.
    pub(crate) fn attach_admin(
        &self,
        queue: &Arc<Queue<Admin>>,
        completions: Completions<Admin>,
    ) -> Result {
        let vectors = Vectors::allocate(&self.pdev, 1, 0, self.threads)?;
        let vector = Vector::of_admin(completions)?;
        let mut state = self.state.lock();
        state.parked = Some(KBox::new(vector, GFP_KERNEL)?);
        state.admin = Some(queue.clone());
        self.serve_parked(&mut state, &vectors)
    }

    /// Gives the parked handler the first of `vectors`.
    fn serve_parked(&self, state: &mut State, vectors: &Arc<Vectors>) -> Result {
        state.lines.reserve(1, GFP_KERNEL)?;
        let vector = state.parked.take().ok_or(ENODEV)?;
        match Line::request(vectors, 0, self.instance, 0, vector) {
            Ok(line) => Ok(state.lines.push(line, GFP_KERNEL)?),
            Err((e, vector)) => {
                state.parked = Some(vector);
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
        let mut state = self.state.lock();
        if state.life != Life::Live {
            return Err(ENODEV);
        }
        for line in core::mem::take(&mut state.lines) {
            let mut vector = line.free();
            if vector.has_admin() {
                vector.clear();
                state.parked = Some(vector);
            }
        }
        for queue in core::mem::take(&mut state.io) {
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
        let mut state = self.state.lock();
        let state = &mut *state;
        if state.life != Life::Live {
            return Err(ENODEV);
        }
        let mut own = KVec::with_capacity(queues.len(), GFP_KERNEL)?;
        for (index, (queue, completions)) in (0..).zip(queues) {
            state.io.push(queue.clone(), GFP_KERNEL)?;
            if index >= interrupt {
                queue.attach_polled(completions);
                continue;
            }
            match &mut state.parked {
                Some(first) if shared => first.push(completions)?,
                _ => own.push(completions, GFP_KERNEL)?,
            }
        }
        self.serve_parked(state, vectors)?;
        for (index, completions) in (1..).zip(own) {
            let vector = box_on(vectors.node(), Vector::of_queue(completions))?;
            let line =
                Line::request(vectors, index, self.instance, index, vector).map_err(|(e, _)| e)?;
            state.lines.push(line, GFP_KERNEL)?;
        }
        Ok(())
    }

    /// Sets how long an orderly shutdown may take: `typical_us`, as the controller says (RTD3E),
    /// within sensible bounds.
    pub(crate) fn set_shutdown_time(&self, typical_us: u32) {
        let typical = Delta::from_micros(typical_us.into());
        self.state.lock().shutdown = typical.max(SHUTDOWN).min(SHUTDOWN_MAX);
    }

    /// Keeps the pages of shadow doorbells until the controller is stopped.
    pub(crate) fn keep_shadows(&self, shadows: Arc<Shadows>) {
        self.state.lock().shadows = Some(shadows);
    }

    /// Keeps the controller's own memory switched on until the controller is stopped.
    pub(crate) fn keep_memory(&self, memory: Arc<ControllerMemory>) {
        self.state.lock().memory = Some(memory);
    }

    /// Whether commands can be given.
    pub(crate) fn is_live(&self) -> bool {
        self.state.lock().life == Life::Live
    }

    /// Waits until no I/O command is in flight, for at most `limit`. The I/O queues must have
    /// been quiesced, else it may never be so.
    pub(crate) fn drain(&self, limit: Delta) -> Result {
        read_poll_timeout(
            || {
                let mut state = self.state.lock();
                let mut idle = state.io.iter().all(|queue| queue.is_idle());
                for line in &mut state.lines {
                    idle &= line.with_disabled(|v| v.is_idle());
                }
                Ok(idle)
            },
            |idle| *idle,
            POLL_INTERVAL,
            limit,
        )
        .map(|_| ())
    }

    /// Stops the controller for good: in order if it is alive, and if it is gone, without it.
    pub(crate) fn stop(&self) {
        let mut state = self.state.lock();
        if state.life == Life::Live {
            self.halt(&mut state, Life::Stopped, Stop::Orderly);
        }
        state.life = Life::Stopped;
    }

    /// The controller is not there any more or does not answer: ends everything.
    pub(crate) fn fail(&self) {
        let mut state = self.state.lock();
        if state.life == Life::Live {
            self.halt(&mut state, Life::Dead, Stop::AtOnce);
        }
    }

    /// See the head of the file.
    fn halt(&self, state: &mut State, life: Life, how: Stop) {
        state.life = life;
        if let Some(queue) = &state.admin {
            queue.disable();
        }
        for queue in &state.io {
            queue.disable();
        }
        let stopped = self.power_down(how, state.shutdown);
        let mut cancelled = 0;
        let lines = core::mem::take(&mut state.lines);
        let served = lines.into_iter().map(Line::free);
        for mut vector in Iterator::chain(served, state.parked.take()) {
            cancelled += vector.cancel();
            if !stopped {
                // The device may still write to the rings of these queues: they are never freed.
                core::mem::forget(vector);
            }
        }
        let shadows = state.shadows.take();
        if !stopped {
            core::mem::forget(shadows);
        }
        state.memory = None;
        state.admin = None;
        for queue in core::mem::take(&mut state.io) {
            let Some(mut completions) = queue.detach_polled() else {
                continue;
            };
            cancelled += completions.cancel(Status::HOST_ABORTED);
            if !stopped {
                core::mem::forget(completions);
            }
        }
        if cancelled > 0 {
            dev_warn!(
                self.pdev,
                "{} commands ended without the device\n",
                cancelled
            );
        }
        if !stopped {
            dev_err!(
                self.pdev,
                "controller does not stop: its queue memory is kept\n"
            );
        }
    }

    /// Stops the controller and takes its right to access memory; returns whether it confirmed
    /// that it stopped, or is gone.
    fn power_down(&self, how: Stop, patience: Delta) -> bool {
        if !is_present(&self.pdev) {
            return true;
        }
        let csts = self.bar.read(CSTS);
        if how == Stop::Orderly && !gone(csts) && csts.rdy() == 1 {
            self.bar.update(CC, |cc| cc.with_const_shn::<1>());
            // TIMEOUT: see `set_shutdown_time`.
            let _ = read_poll_timeout(
                || Ok(self.bar.read(CSTS)),
                |csts| gone(*csts) || csts.shst() == 2,
                POLL_INTERVAL,
                patience,
            );
        }
        let stopped = match self.disable() {
            Ok(()) => true,
            Err(e) => e == ENODEV,
        };
        // Whatever its registers say.
        stop_dma(&self.pdev);
        stopped
    }
}

impl Watchdog for Hardware {
    fn late(&self, id: QueueId, tag: i32, in_flight: &dyn Fn() -> bool) -> Timeout {
        let mut state = self.state.lock();
        if !in_flight() {
            return Timeout::Done;
        }
        if state.life != Life::Live {
            return Timeout::Again;
        }
        for line in &mut state.lines {
            line.with_disabled(Handler::handle);
        }
        for queue in &state.io {
            queue.poll_all();
        }
        if !in_flight() {
            dev_warn!(
                self.pdev,
                "queue {}: tag {} was completed without an interrupt\n",
                id.raw(),
                tag
            );
            return Timeout::Done;
        }
        dev_err!(
            self.pdev,
            "queue {}: tag {} timed out, CSTS {:#x}: stopping the controller, its disks fail\n",
            id.raw(),
            tag,
            self.bar.read(CSTS).into_raw()
        );
        self.halt(&mut state, Life::Dead, Stop::AtOnce);
        Timeout::Done
    }
}

/// How long an orderly shutdown may take, unless the controller asks for more: Linux's default.
const SHUTDOWN: Delta = Delta::from_secs(5);
/// How long it may take whatever the controller asks for.
const SHUTDOWN_MAX: Delta = Delta::from_secs(60);
/// How often registers are looked at while waiting.
const POLL_INTERVAL: Delta = Delta::from_millis(1);

/// All ones is what a device that is not there reads as.
fn gone(csts: CSTS) -> bool {
    csts.into_raw() == u32::MAX
}
