// SPDX-License-Identifier: GPL-2.0

//! A shadow doorbell against a controller that stops looking at it: no wake-up is lost, and a
//! controller that sees the new value sees the entries before it.

use super::{
    explore,
    Outcomes, //
};
use crate::{
    nvme::Tail,
    sys::pci::Doorbell, //
};
use loom::{
    cell::UnsafeCell,
    thread, //
};
use std::sync::Arc;

/// Entries of the ring: one more than commands.
const ENTRIES: u16 = 3;

/// A submission queue in memory. Entries are the commands themselves: 1 and 2.
struct Memory {
    ring: [UnsafeCell<u32>; ENTRIES as usize],
    doorbell: Doorbell,
}

impl Memory {
    /// An empty ring that has been used up to `at`.
    fn new(at: u16) -> Self {
        Self {
            ring: [0; ENTRIES as usize].map(UnsafeCell::new),
            doorbell: Doorbell::new(at),
        }
    }

    /// What the host does, as `Queue::write`: both commands, a doorbell each.
    fn submit(&self, at: u16) {
        let mut tail = Tail::new(ENTRIES);
        for _ in 0..at {
            tail.advance();
        }
        tail.ring();
        for command in [1, 2] {
            // SAFETY: the entry is the host's until the doorbell says otherwise; loom checks it.
            self.ring[tail.index()].with_mut(|entry| unsafe { *entry = command });
            tail.advance();
            self.doorbell.ring(tail.ring());
        }
    }
}

/// A controller: what it has executed, and what woke it.
struct Controller {
    memory: Arc<Memory>,
    head: u16,
    register: u16,
    executed: Vec<u32>,
    outcomes: Outcomes,
}

impl Controller {
    fn new(memory: &Arc<Memory>, at: u16, outcomes: &Outcomes) -> Self {
        Self {
            memory: memory.clone(),
            head: at,
            register: at,
            executed: Vec::new(),
            outcomes: outcomes.clone(),
        }
    }

    /// Executes what memory has.
    fn execute(&mut self) {
        let tail = self.memory.doorbell.look();
        while self.head != tail {
            let entry = &self.memory.ring[usize::from(self.head)];
            // SAFETY: the doorbell says that it is the controller's; loom checks it.
            self.executed.push(entry.with(|entry| unsafe { *entry }));
            self.head = (self.head + 1) % ENTRIES;
        }
    }

    /// Executes until there is nothing to do, and sleeps; returns once it sleeps and the register
    /// has not been written.
    fn run(&mut self) {
        loop {
            self.execute();
            self.memory.doorbell.stop_looking(self.head);
            if self.memory.doorbell.look() != self.head {
                self.outcomes.note("seen before it slept");
            } else if !self.wakes() {
                return;
            }
        }
    }

    /// Whether the register was written since it woke.
    fn wakes(&mut self) -> bool {
        let register = self.memory.doorbell.register();
        let before = std::mem::replace(&mut self.register, register);
        if register != before {
            self.outcomes.note("woken by the register");
        }
        register != before
    }
}

/// Two commands in a ring used up to `at`, against a controller that is awake.
fn no_wake_up_is_lost(at: u16) {
    let outcomes = [
        "seen before it slept",
        "woken by the register",
        "woken late",
    ];
    explore(&outcomes, move |outcomes| {
        let memory = Arc::new(Memory::new(at));
        let mut controller = Controller::new(&memory, at, outcomes);
        let device = thread::spawn(move || {
            controller.run();
            controller
        });
        memory.submit(at);
        let mut controller = device.join().expect("it ends");
        if controller.wakes() {
            outcomes.note("woken late");
            controller.run();
        }
        assert_eq!(controller.executed, [1, 2], "a wake-up was lost");
    });
}

/// From the beginning of the ring.
pub(super) fn in_order() {
    no_wake_up_is_lost(0);
}

/// Over the end of the ring.
pub(super) fn wrapping() {
    no_wake_up_is_lost(ENTRIES - 1);
}
