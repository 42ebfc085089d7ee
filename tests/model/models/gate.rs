// SPDX-License-Identifier: GPL-2.0

//! The gate: once it was set to anything but open, nothing more is put in flight, and `cancel` finds
//! all that was.

use super::{
    complete,
    explore,
    id,
    table,
    Driver,
    Outcomes, //
};
use crate::{
    nvme::{
        CommandId,
        CqeEnd, //
    },
    queue::{
        cancel,
        Gate,
        Queue, //
    },
    sys::block::{
        Reaper,
        Requests, //
    },
};
use loom::thread::{
    self,
    JoinHandle, //
};
use std::sync::Arc;

/// Data of a request that waits for its completion, and of one that was cancelled.
const SUBMITTED: u32 = 1;
const CANCELLED: u32 = 2;

/// An open queue of two tags, and a request for each.
fn open_queue() -> (Arc<Queue<Driver>>, Reaper<Driver>, Requests) {
    let (in_flight, reaper) = table(2);
    let queue = Arc::new(Queue::new(in_flight, 3));
    queue.set_gate(Gate::Open);
    (queue, reaper, Requests::new(&[0, 1]))
}

/// How a request gets into the queue.
#[derive(Clone, Copy)]
enum Way {
    Submit,
    Carry,
}

/// A CPU that submits request `index`, up to `tries` times; returns whether it went.
fn submitter(
    (queue, requests, outcomes): (&Arc<Queue<Driver>>, &Requests, &Outcomes),
    (index, way, tries): (usize, Way, u32),
) -> JoinHandle<bool> {
    let (queue, requests, outcomes) = (queue.clone(), requests.clone(), outcomes.clone());
    thread::spawn(move || {
        let mut rq = requests.start(index);
        rq.set_data(SUBMITTED);
        for _ in 0..tries {
            let result = match way {
                Way::Submit => queue.submit(rq),
                Way::Carry => queue.carry(rq),
            };
            match result {
                Ok(_) => {
                    outcomes.note("submitted");
                    return true;
                }
                Err(back) => rq = back,
            }
            assert_eq!(rq.data(), SUBMITTED);
            outcomes.note("turned away");
        }
        false
    })
}

/// Closes the gate, and ends what is in flight, as after the device was stopped: first the commands
/// `cids`, which stand in the ring. Returns how many that were.
fn stop(
    queue: &Queue<Driver>,
    gate: Gate,
    (reaper, cids): (&mut Reaper<Driver>, &[CommandId]),
) -> usize {
    queue.set_gate(gate);
    let count = cancel(reaper, cids, |mut rq| {
        assert_eq!(rq.data(), SUBMITTED);
        rq.set_data(CANCELLED);
    });
    assert!(reaper.is_idle(), "cancel left a request");
    count
}

/// One CPU submits, the device may have completed that, the gate closes for good.
pub(super) fn closed() {
    let outcomes = ["submitted", "turned away", "completed", "cancelled"];
    explore(&outcomes, |outcomes| {
        let (queue, mut reaper, requests) = open_queue();
        let cpu = submitter((&queue, &requests, outcomes), (0, Way::Submit, 1));
        let mut count = 0;
        if let Some(rq) = complete(&mut reaper, CqeEnd::success(id(0, 1))) {
            assert_eq!(rq.data(), SUBMITTED);
            outcomes.note("completed");
            count += 1;
        }
        if stop(&queue, Gate::Closed, (&mut reaper, &[id(0, 1)])) != 0 {
            outcomes.note("cancelled");
            count += 1;
        }
        let submitted = cpu.join().expect("it ends");
        assert!(reaper.is_idle(), "put in flight behind a closed gate");
        assert_eq!(count, usize::from(submitted));
        assert!(requests.is_owned(0));
    });
}

/// Two CPUs submit, one of them a request of another queue.
pub(super) fn two_cpus() {
    let outcomes = ["submitted", "turned away", "none", "one", "two"];
    explore(&outcomes, |outcomes| {
        let (queue, mut reaper, requests) = open_queue();
        let cpus = [(0, Way::Submit, 1), (1, Way::Carry, 1)]
            .map(|what| submitter((&queue, &requests, outcomes), what));
        let count = stop(&queue, Gate::Closed, (&mut reaper, &[]));
        outcomes.note(["none", "one", "two"][count]);
        let submitted = cpus.map(|cpu| usize::from(cpu.join().expect("it ends")));
        assert!(reaper.is_idle(), "put in flight behind a closed gate");
        assert_eq!(count, submitted.iter().sum());
        assert!(requests.is_owned(0) && requests.is_owned(1));
    });
}

/// The gate is held for a reset and opened again, while a CPU submits and tries again.
pub(super) fn reopened() {
    let outcomes = ["submitted", "turned away", "cancelled", "in flight"];
    explore(&outcomes, |outcomes| {
        let (queue, mut reaper, requests) = open_queue();
        let cpu = submitter((&queue, &requests, outcomes), (0, Way::Submit, 2));
        let cancelled = stop(&queue, Gate::Held, (&mut reaper, &[]));
        assert!(reaper.is_idle(), "put in flight behind a held gate");
        queue.set_gate(Gate::Open);
        let submitted = cpu.join().expect("it ends");
        let in_flight = usize::from(!reaper.is_idle());
        assert_eq!(cancelled + in_flight, usize::from(submitted));
        outcomes.note(["cancelled", "in flight"][in_flight]);
    });
}
