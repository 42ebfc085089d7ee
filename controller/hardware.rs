// SPDX-License-Identifier: GPL-2.0

//! The hardware of a controller: its registers, interrupts and queues, and what is done to them when
//! something happens. What is to be done is decided by [`recovery::next`].
//!
//! All that stops a controller is [`Hardware::halt`]: no new command, the device stopped (CC.EN = 0,
//! and its DMA taken away), what was in flight ended, or kept by the block layer to be tried again.
//! Rings are used again or freed only after that.

// What one interrupt vector serves.
mod vector_handler;
// Abort commands under way.
mod aborts;
// Starting and stopping by registers.
mod registers;
// Starting again.
mod restart;
// First start and end.
mod setup;
// Time-outs and the watchdog.
mod timeouts;

pub(crate) use self::setup::Identity;

use self::{
    aborts::Aborts,
    registers::gone,
    vector_handler::Vector, //
};
use crate::{
    admin::{
        Admin,
        AdminQueue, //
    },
    data::Carrier,
    io::Io,
    nvme::{
        Capabilities,
        Status,
        CSTS, //
    },
    policy::{
        next,
        Action,
        Event,
        State, //
    },
    queue::{
        Gate,
        Queue, //
    },
    sys::{
        base::Work,
        block::{
            TagSet,
            Types, //
        },
        pci::{
            Bar,
            ControllerMemory,
            Line,
            Shadows, //
        },
    },
};

use core::sync::atomic::{
    AtomicBool,
    AtomicU32,
    AtomicU8,
    Ordering::Relaxed, //
};
use kernel::{
    fmt,
    io::{
        poll::read_poll_timeout,
        Io as _, //
    },
    pci,
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        Mutex, //
    },
    time::{
        Delta,
        Instant,
        Monotonic, //
    }, //
};

/// How often registers are looked at while waiting.
const POLL_INTERVAL: Delta = Delta::from_millis(1);

struct Inner {
    lines: KVec<Line<Vector>>,
    /// What the first line served, while it has none: the controller runs all the same.
    parked: Option<KBox<Vector>>,
    /// The longest that an orderly shutdown may take.
    shutdown: Delta,
    admin: Option<Arc<Queue<Admin>>>,
    /// To ask for aborts.
    commands: Option<Arc<AdminQueue>>,
    io: KVec<Arc<Queue<Io>>>,
    /// In front of the I/O queues, once there are disks.
    set: Option<Arc<TagSet<Io>>>,
    /// Whether `set` is kept from dispatching.
    held: bool,
    /// Whether it was to stop.
    halted: bool,
    /// Whether the controller has confirmed that it stopped, or is gone.
    stopped: bool,
    /// Since when it does not work.
    since: Option<Instant<Monotonic>>,
    /// Whether its PCI function is being reset.
    function_reset: bool,
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
    /// In which part of its life it is: a [`State`]. Changed with `inner` held.
    state: AtomicU8,
    /// Whether it is to be quiet, from [`Event::Pause`] to [`Event::Wake`]: nobody may bring it up.
    /// Changed with `inner` held.
    paused: AtomicBool,
    /// Whether somebody is in [`Self::sit_out`].
    sitting_out: AtomicBool,
    /// What brings the controller up again.
    reset: Arc<Work>,
    aborts: Arc<Aborts>,
    /// What there was of it so far.
    pub(crate) counters: Counters,
    /// LOCK: the state of the controller, its interrupt lines and queues; inside: `Inner::quiesced`,
    /// `Queue::submission`, `Queue::polled`. The time-out handlers take it. With it held the driver
    /// waits for registers (for at most CAP.TO and the time of a shutdown) and for requests on their
    /// way into a queue, but executes no command.
    #[pin]
    inner: Mutex<Inner>,
}

/// How often something happened.
#[derive(Default)]
pub(crate) struct Counters {
    /// Resets that were begun.
    pub(crate) resets: AtomicU32,
    /// Commands that were to be aborted.
    pub(crate) aborts: AtomicU32,
    /// Queues with completions that no interrupt told of.
    pub(crate) lost_interrupts: AtomicU32,
}

/// How a controller is stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It is told first, and may write back its caches: CC.SHN.
    Orderly,
    /// At once: CC.EN = 0.
    AtOnce,
}

/// What becomes of I/O when a controller is stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It waits for the controller to come back.
    Wait,
    /// It fails.
    Fail,
}

impl Hardware {
    /// The registers.
    pub(crate) fn bar(&self) -> &Arc<Bar> {
        &self.bar
    }

    /// What CAP says.
    pub(crate) fn caps(&self) -> &Capabilities {
        &self.caps
    }

    /// What the device is called on its bus.
    pub(crate) fn name(&self) -> &str {
        self.pdev.as_ref().name().to_str().unwrap_or_default()
    }

    /// The NUMA node of the device; -1 if it has none.
    pub(crate) fn node(&self) -> i32 {
        crate::sys::pci::node(self.pdev.as_ref())
    }

    /// CSTS as it is now, to be logged.
    pub(crate) fn csts(&self) -> u32 {
        self.bar.read(CSTS).into_raw()
    }

    /// The state as it is now.
    pub(crate) fn state(&self) -> State {
        State::from_raw(self.state.load(Relaxed))
    }

    /// Whether commands can be given.
    pub(crate) fn is_live(&self) -> bool {
        self.state() == State::Live
    }

    /// Whether it was stopped, or should have been: there is nobody to be told anything.
    pub(crate) fn is_halted(&self) -> bool {
        self.inner.lock().halted
    }

    /// Whether somebody may be at bringing it up.
    pub(crate) fn is_coming_up(&self) -> bool {
        matches!(self.state(), State::New | State::Resetting) && !self.paused.load(Relaxed)
    }

    /// Something happened; `why`, in words.
    pub(crate) fn notify(&self, event: Event, why: &str) {
        let mut inner = self.inner.lock();
        self.step(&mut inner, event, fmt!("{}", why));
    }

    /// It could not be brought up.
    pub(crate) fn give_up(&self, e: Error) {
        let mut inner = self.inner.lock();
        if self.paused.load(Relaxed) {
            // It was not to be, for now: whoever wakes it up has it tried again.
            return;
        }
        self.step(
            &mut inner,
            Event::Failed,
            fmt!("it cannot be brought up again: error {}", e.to_errno()),
        );
    }

    /// The controller was brought up, unless it was told to stop again meanwhile; returns whether it
    /// works now.
    pub(crate) fn up(&self) -> bool {
        let mut inner = self.inner.lock();
        if self.paused.load(Relaxed) {
            return false;
        }
        let (event, why) = match inner.halted {
            false => (Event::Up, ""),
            true => (Event::Failed, "it was stopped while it was brought up"),
        };
        self.step(&mut inner, event, fmt!("{}", why));
        self.is_live()
    }

    /// Does what is to be done about `event`, and returns what that was.
    fn step(&self, inner: &mut Inner, event: Event, why: fmt::Arguments<'_>) -> Action {
        match event {
            Event::Pause => self.paused.store(true, Relaxed),
            Event::Wake => self.paused.store(false, Relaxed),
            _ => {}
        }
        let before = self.state();
        let (state, action) = next(before, event);
        self.state.store(state as u8, Relaxed);
        match action {
            Action::Nothing | Action::Abort => {}
            Action::Hold => self.halt(inner, Stop::Orderly, Fate::Wait),
            Action::Cancel => {
                dev_warn!(self.pdev, "stopping the controller again: {}\n", why);
                self.halt(inner, Stop::AtOnce, Fate::Wait);
            }
            Action::Reset => {
                dev_warn!(self.pdev, "resetting the controller: {}\n", why);
                self.counters.resets.fetch_add(1, Relaxed);
                inner.since = Some(Instant::now());
                self.halt(inner, Stop::AtOnce, Fate::Wait);
                self.reset.queue();
            }
            Action::BringUp => {
                inner.since = Some(Instant::now());
                self.reset.queue();
            }
            Action::Resume => {
                let took = inner
                    .since
                    .take()
                    .map_or(Delta::ZERO, |since| since.elapsed());
                dev_info!(
                    self.pdev,
                    "controller is back after {} ms\n",
                    took.as_millis()
                );
                self.release_io(inner);
            }
            Action::End => {
                if state == State::Dead && before != State::Dead {
                    dev_err!(self.pdev, "controller is dead: {}\n", why);
                }
                let how = match event {
                    Event::Leave => Stop::Orderly,
                    _ => Stop::AtOnce,
                };
                self.halt(inner, how, Fate::Fail);
            }
        }
        action
    }

    /// See the head of the file.
    fn halt(&self, inner: &mut Inner, how: Stop, fate: Fate) {
        if let Some(queue) = &inner.admin {
            queue.set_gate(Gate::Closed);
        }
        let gate = match fate {
            Fate::Wait => Gate::Held,
            Fate::Fail => Gate::Closed,
        };
        for queue in &inner.io {
            queue.set_gate(gate);
        }
        if let (Fate::Wait, false, Some(set)) = (fate, inner.held, &inner.set) {
            // Without this the block layer would try again every few milliseconds.
            set.quiesce();
            inner.held = true;
        }
        // One that did not stop when it was told to will not hear of an orderly end either.
        let how = if inner.halted { Stop::AtOnce } else { how };
        inner.halted = true;
        if !inner.stopped {
            inner.stopped = self.power_down(how, inner);
        }
        let mut cancelled = 0;
        inner.for_each_vector(|vector| cancelled += vector.cancel());
        for queue in &inner.io {
            let ended = queue.with_polled(|polled| polled.cancel(Status::HOST_ABORTED));
            cancelled += ended.unwrap_or(0);
        }
        if cancelled > 0 {
            dev_warn!(
                self.pdev,
                "{} I/O commands {} without the device\n",
                cancelled,
                match fate {
                    Fate::Wait => "wait",
                    Fate::Fail => "ended",
                }
            );
        }
        if fate == Fate::Fail {
            self.release_io(inner);
        }
    }

    /// Lets the block layer dispatch again.
    fn release_io(&self, inner: &mut Inner) {
        if let (true, Some(set)) = (core::mem::take(&mut inner.held), &inner.set) {
            set.unquiesce();
        }
    }

    /// Has commands let through to `queue`, which the controller knows now.
    ///
    /// # Errors
    ///
    /// `ENODEV` if it was told to stop meanwhile.
    pub(crate) fn open<T>(&self, queue: &Queue<T>) -> Result
    where
        T: Types,
        T::Pdu: Carrier,
    {
        let inner = self.inner.lock();
        if !self.is_coming_up() || inner.halted {
            return Err(ENODEV);
        }
        queue.set_gate(Gate::Open);
        Ok(())
    }

    /// Waits until no I/O command is in flight, for at most `limit`. I/O must have been kept from
    /// being dispatched, else it may never be so.
    fn drain(&self, limit: Delta) {
        let _ = read_poll_timeout(
            || {
                let mut inner = self.inner.lock();
                let mut idle = inner.io.iter().all(|queue| queue.is_idle());
                inner.for_each_vector(|vector| idle &= vector.is_idle());
                Ok(idle)
            },
            |idle| *idle,
            POLL_INTERVAL,
            limit,
        );
    }

    /// Lets the I/O in flight end, as long as that is to be waited for, and keeps the rest; the
    /// controller is told to be ready for the loss of power and stopped. Until [`Event::Wake`].
    pub(crate) fn pause(&self) {
        let set = {
            let inner = self.inner.lock();
            inner.set.clone().filter(|_| self.is_live())
        };
        // TIMEOUT: as long as Linux waits for the shutdown itself; what has not ended by then is
        // tried again afterwards.
        if let Some(set) = &set {
            set.quiesce();
            self.drain(Delta::from_secs(5));
        }
        // That holds I/O, too, whatever the state is by now.
        self.notify(Event::Pause, "");
        if let Some(set) = &set {
            set.unquiesce();
        }
    }

    /// The system goes down: I/O in flight may end, the rest fails, the controller is told to be
    /// ready for the loss of power and stopped.
    pub(crate) fn shut_down(&self) {
        self.pause();
        self.notify(Event::Leave, "");
    }

    /// Keeps I/O back until the controller has done what it pauses for (CSTS.PP), new firmware for
    /// instance; resets it if that takes longer than `longest`.
    pub(crate) fn sit_out(&self, longest: Delta) {
        let Some(set) = self.inner.lock().set.clone() else {
            return;
        };
        self.sitting_out.store(true, Relaxed);
        set.quiesce();
        let result = read_poll_timeout(
            || Ok(self.bar.read(CSTS)),
            |csts| csts.pp() == 0 || gone(*csts) || !self.is_live(),
            POLL_INTERVAL,
            longest,
        );
        self.sitting_out.store(false, Relaxed);
        if result.is_err() {
            self.notify(Event::Fault, "it pauses for longer than it said (CSTS.PP)");
        }
        set.unquiesce();
    }

    /// Has the commands on their way to `queue`, which the controller does not have any more, go
    /// through another, or fail if there is none.
    pub(crate) fn lose(&self, queue: &Queue<Io>) {
        let _inner = self.inner.lock();
        queue.set_gate(Gate::Closed);
    }
}

impl Inner {
    /// From now on the controller does not hear of completions: it is about to forget all queues.
    fn mute(&mut self) {
        self.for_each_vector(Vector::mute);
        for queue in &self.io {
            let _ = queue.with_polled(|polled| polled.mute());
        }
    }

    /// Calls `f` on what each vector serves, while its handler is kept from running.
    fn for_each_vector(&mut self, mut f: impl FnMut(&mut Vector)) {
        for line in &mut self.lines {
            line.with_disabled(&mut f);
        }
        if let Some(vector) = &mut self.parked {
            f(vector);
        }
    }
}
