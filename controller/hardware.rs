// SPDX-License-Identifier: GPL-2.0

//! The hardware of a controller: its registers, interrupts and queues, and what each event does to
//! them.
//!
//! [`Lifecycle`] decides, [`Hardware::step`] carries the decision out. One function stops a
//! controller, [`Hardware::halt`]: no new command, CC.EN = 0, bus mastering taken, commands in
//! flight completed with an error or kept by the block layer. Only after that are rings used again
//! or freed.
//!
//! Three parts are made in order: [`Registers`], [`AdminHardware`], [`IoHardware`].

// What one interrupt vector serves.
mod vector_handler;
// The vectors: handlers and their lines.
mod vectors;
// Abort commands under way.
mod aborts;
// Starting and stopping by registers.
mod registers;
// The first start: queues and vectors are attached.
mod start;
// Stopping, and the end.
mod stop;
// Pauses: what comes before the stop.
mod pause;
// Starting again.
mod restart;
// Timeouts and the watchdog.
mod timeouts;

pub(crate) use self::{
    pause::Rest,
    start::{
        read_caps,
        Identity, //
    },
};

use self::{
    aborts::Aborts,
    registers::Registers,
    stop::{
        Fate,
        Stop, //
    },
    vectors::Lines, //
};
use crate::{
    admin::{
        Admin,
        AdminQueue, //
    },
    data::Queued,
    io::Io,
    nvme::Capabilities,
    policy::{
        timing,
        Absence,
        Action,
        Event,
        Lifecycle,
        Power,
        Quirks,
        Snapshot,
        State, //
    },
    queue::{
        Gate,
        Queue, //
    },
    sys::{
        base::{
            NoIo,
            RateLimit,
            Work, //
        },
        block::TagSet,
        pci::{
            Bar,
            ControllerMemory,
            Shadows, //
        },
    },
};
use core::sync::atomic::{
    AtomicU32,
    AtomicU8,
    Ordering::Relaxed, //
};
use kernel::{
    device::Device,
    fmt,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
    time::{
        Delta,
        Instant,
        Monotonic, //
    }, //
};

/// What the admin queue brings: commands, and the memory that the controller was told of by them.
struct AdminHardware {
    queue: Arc<Queue<Admin>>,
    /// Sends Abort commands.
    commands: Arc<AdminQueue>,
    /// The controller reads and writes the shadow doorbells, where it has them.
    shadows: Option<Arc<Shadows>>,
    /// The controller memory buffer holds submission rings, where it is used.
    memory: Option<Arc<ControllerMemory>>,
}

/// What the I/O queues bring.
struct IoHardware {
    queues: KVec<Arc<Queue<Io>>>,
    /// The block layer's side of the queues.
    set: Arc<TagSet<Io>>,
}

struct Inner {
    life: Lifecycle,
    /// Until when the controller that the driver enabled may become ready, or the one that the driver
    /// told to shut down may do so; `None` if it may have been firmware.
    settled_by: Option<Instant<Monotonic>>,
    /// Since when the device does not answer.
    absence: Absence,
    /// Whether the controller was given memory: a controller that firmware left running has none of
    /// the driver's.
    has_memory: bool,
    /// The longest that an orderly shutdown may take.
    shutdown: Delta,
    lines: Lines,
    admin: Option<AdminHardware>,
    io: Option<IoHardware>,
}

/// A controller's registers, interrupts and queues.
#[pin_data]
pub(crate) struct Hardware {
    registers: Registers,
    /// The controller's number.
    number: u32,
    /// Whether threads handle interrupts.
    threads: bool,
    /// A [`Snapshot`] of the lifecycle, for readers without the lock.
    snapshot: AtomicU8,
    /// The job that brings the controller up again.
    reset: Arc<Work>,
    aborts: Arc<Aborts>,
    /// How many commands that time out have a line in the log.
    #[pin]
    timeouts: RateLimit,
    /// What happened so far.
    pub(crate) counters: Counters,
    /// LOCK: the lifecycle of the controller, its interrupt lines and queues; inside:
    /// `SetState::listed`, `Queue::submission`, `Queue::polled`. The timeout handlers take it. With
    /// it held the driver waits for registers (for at most CAP.TO and the time of a shutdown), for a
    /// device that is away, for interrupt handlers and for requests on their way into a queue, but
    /// executes no command.
    #[pin]
    inner: Mutex<Inner>,
}

/// How often something happened.
#[derive(Default)]
pub(crate) struct Counters {
    /// Resets that began.
    pub(crate) resets: AtomicU32,
    /// Commands that were aborted.
    pub(crate) aborts: AtomicU32,
    /// Completion queues whose interrupt was lost.
    pub(crate) lost_interrupts: AtomicU32,
}

impl Hardware {
    /// The registers.
    pub(crate) fn bar(&self) -> &Arc<Bar> {
        &self.registers.bar
    }

    /// The controller's number.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// CAP, decoded.
    pub(crate) fn caps(&self) -> &Capabilities {
        &self.registers.caps
    }

    /// The device's quirks.
    pub(crate) fn quirks(&self) -> Quirks {
        self.registers.quirks()
    }

    /// The device's name on its bus.
    pub(crate) fn name(&self) -> &str {
        self.registers
            .pdev
            .as_ref()
            .name()
            .to_str()
            .unwrap_or_default()
    }

    /// The device, for log lines.
    pub(crate) fn device(&self) -> &Device {
        self.registers.pdev.as_ref()
    }

    /// The NUMA node of the device; -1 if it has none.
    pub(crate) fn node(&self) -> i32 {
        crate::sys::pci::node(self.registers.pdev.as_ref())
    }

    /// The longest time that the controller states for a change of CSTS.RDY, in milliseconds.
    pub(crate) fn ready_ms(&self) -> u32 {
        self.registers.ready_ms()
    }

    /// Milliseconds that the device needs after a reset of its PCI function.
    pub(crate) fn function_delay_ms(&self) -> u32 {
        self.registers.function_delay_ms()
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::from_raw(self.snapshot.load(Relaxed))
    }

    /// The state as it is now.
    pub(crate) fn state(&self) -> State {
        self.snapshot().state()
    }

    /// Whether commands can be submitted.
    pub(crate) fn is_live(&self) -> bool {
        self.state() == State::Live
    }

    /// Whether the controller was told to stop. No admin command is answered after that.
    pub(crate) fn is_halted(&self) -> bool {
        self.inner.lock().life.power() != Power::On
    }

    /// Whether a bring-up may be in progress.
    pub(crate) fn is_coming_up(&self) -> bool {
        self.snapshot().is_coming_up()
    }

    /// `event` happened; `why` is the reason in words, for the log.
    pub(crate) fn notify(&self, event: Event, why: &str) {
        let mut inner = self.inner.lock();
        self.step(&mut inner, event, fmt!("{}", why));
    }

    /// The bring-up failed with `e`.
    pub(crate) fn bring_up_failed(&self, e: Error) {
        let mut inner = self.inner.lock();
        if inner.life.is_failure_excused() {
            // `Event::Wake` starts the next.
            return;
        }
        self.step(
            &mut inner,
            Event::Failed,
            fmt!("bring-up failed: error {}", e.to_errno()),
        );
    }

    /// The bring-up succeeded, unless the controller was told to stop again; returns whether the
    /// controller works now. `lacks_queues`: it created no I/O queue, though it should have, and is
    /// tried again.
    pub(crate) fn brought_up(&self, lacks_queues: bool) -> bool {
        let mut inner = self.inner.lock();
        if inner.life.is_paused() {
            return false;
        }
        let (event, why) = match inner.life.power() {
            Power::On => (Event::Up, ""),
            _ => (Event::Failed, "the controller was stopped during bring-up"),
        };
        if event == Event::Up {
            inner.life.set_lacks_queues(lacks_queues, Instant::now());
        }
        self.step(&mut inner, event, fmt!("{}", why));
        let works = self.is_live();
        if works {
            // No sleep and no reset of the function can begin with the lock held.
            let _noio = NoIo::new();
            self.registers.config.renew();
        }
        works
    }

    /// Applies `event` to the lifecycle and carries out its action, which it returns.
    fn step(&self, inner: &mut Inner, event: Event, why: fmt::Arguments<'_>) -> Action {
        let pdev = &self.registers.pdev;
        let before = inner.life.state();
        let action = inner.life.apply(event, Instant::now());
        let state = inner.life.state();
        self.snapshot
            .store(inner.life.snapshot().into_raw(), Relaxed);
        match action {
            Action::Nothing | Action::Abort => {}
            Action::Hold => self.halt(inner, Stop::ShutDown, Fate::Wait),
            Action::Cancel => {
                if self.is_bring_up_logged() {
                    dev_warn!(pdev, "stopping the controller: {}\n", why);
                }
                self.halt(inner, Stop::AtOnce, Fate::of(state));
            }
            Action::Reset => {
                if self.is_bring_up_logged() {
                    dev_warn!(pdev, "resetting the controller: {}\n", why);
                }
                self.counters.resets.fetch_add(1, Relaxed);
                self.halt(inner, Stop::AtOnce, Fate::Wait);
                self.reset.queue();
            }
            Action::BringUp => self.reset.queue(),
            Action::Resume => {
                let took = inner.life.take_down_for(Instant::now());
                let took = took.unwrap_or(Delta::ZERO).as_millis();
                if self.is_bring_up_logged() || before == State::Trying {
                    dev_info!(pdev, "controller is back after {} ms\n", took);
                }
            }
            Action::End => {
                if state == State::Dead && !before.is_dead() {
                    dev_err!(
                        pdev,
                        "controller is dead: {}: I/O fails, the next reset comes in {} s\n",
                        why,
                        timing::FIRST_RETRY_MS / 1000
                    );
                }
                let how = match (event, before) {
                    (Event::Leave, _) => Stop::ShutDown,
                    // No I/O waits for the end of a try, but a sleep may.
                    (_, State::Trying) => Stop::Briefly,
                    _ => Stop::AtOnce,
                };
                self.halt(inner, how, Fate::Fail);
            }
        }
        if before == State::Resetting && state != State::Resetting {
            inner.release_io();
        }
        if inner.life.must_let_io_begin() {
            inner.thaw();
        }
        action
    }

    /// Opens the gate of `queue`, which the controller knows now.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the controller was told to stop.
    pub(crate) fn open<T: Queued>(&self, queue: &Queue<T>) -> Result {
        let inner = self.inner.lock();
        self.check_power(&inner)?;
        queue.set_gate(Gate::Open);
        Ok(())
    }

    /// Opens the gates of the first `made` I/O queues, which the controller knows now, and closes
    /// those of the others, which it lost: their commands go through another queue, or fail if there
    /// is none. The controller keeps the queues from here on: a queue that was open is created again
    /// only after [`Self::restart`], because the controller's new queue begins at entry 0.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the controller was told to stop: its gates stay as that has set them.
    pub(crate) fn open_io(&self, made: usize) -> Result {
        let inner = self.inner.lock();
        self.check_power(&inner)?;
        for (index, queue) in inner.io_queues().iter().enumerate() {
            queue.set_gate(match index < made {
                true => Gate::Open,
                false => Gate::Closed,
            });
        }
        Ok(())
    }

    /// The end of a bring-up: whether the controller has answered all its commands, those included
    /// that it may refuse.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the controller was told to stop.
    pub(crate) fn check_answered(&self) -> Result {
        self.check_power(&self.inner.lock())
    }

    /// Whether the bring-up goes on.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the controller was told to stop.
    fn check_power(&self, inner: &Inner) -> Result {
        match self.is_coming_up() && inner.life.power() == Power::On {
            true => Ok(()),
            false => Err(ENODEV),
        }
    }
}

impl Inner {
    /// The I/O queues; none before they are attached.
    fn io_queues(&self) -> &[Arc<Queue<Io>>] {
        self.io.as_ref().map_or(&[], |io| &io.queues)
    }

    /// Dispatches the requests that waited in the block layer: the controller works again, or its
    /// queues refuse them.
    fn release_io(&self) {
        if let Some(io) = &self.io {
            io.set.kick_requeued();
        }
    }

    /// Lets I/O begin again, if a pause does not.
    fn thaw(&self) {
        if let Some(io) = &self.io {
            io.set.thaw();
        }
    }
}
