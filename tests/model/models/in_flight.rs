// SPDX-License-Identifier: GPL-2.0

//! `InFlight` and `Reaper`: a request is released once, by its own command id, with all that its
//! submitter wrote; a slot is used again only after that.

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
        CqeEnd,
        Phase, //
    },
    sys::block::{
        InFlight,
        Reaper,
        Requests, //
    },
};
use loom::thread;

/// Submits both requests of tag 0, whose data says which command they are. The second is sent back
/// while the slot is in use.
fn submit_both(in_flight: &mut InFlight<Driver>, requests: &Requests, outcomes: &Outcomes) {
    for (index, command) in [(0, 1), (1, 2)] {
        let mut rq = requests.start(index);
        rq.set_data(command);
        match in_flight.arm(rq) {
            Ok(_) => outcomes.note(["first armed", "second armed"][index]),
            Err(rq) => {
                assert_eq!(rq.data(), command);
                outcomes.note(["first refused", "second refused"][index]);
            }
        }
    }
}

/// Completes commands of tag 0 as a device says, right or wrong; returns how many requests that
/// released.
fn reap(reaper: &mut Reaper<Driver>, generations: &[u8], outcomes: &Outcomes) {
    for &generation in generations {
        let end = CqeEnd::success(id(0, generation));
        let Some(rq) = complete(reaper, end) else {
            continue;
        };
        let command = rq.data();
        assert_eq!(
            command,
            generation.into(),
            "a completion took another's request"
        );
        outcomes.note(["first completed", "second completed"][usize::from(generation) - 1]);
    }
}

/// What is left comes out once, and then the driver has all of its requests.
fn drain(mut reaper: Reaper<Driver>, requests: &Requests, count: usize) {
    while reaper.take_any().is_some() {}
    assert!(reaper.is_idle());
    for index in 0..count {
        assert!(requests.is_owned(index), "a request was lost");
    }
}

/// Two commands of one tag against their completions, of which the device says `generations`.
fn two_commands(generations: &'static [u8]) {
    let outcomes = [
        "first armed",
        "second armed",
        "second refused",
        "first completed",
        "second completed",
    ];
    explore(&outcomes, move |outcomes| {
        let requests = Requests::new(&[0, 0]);
        let (mut in_flight, mut reaper) = table(1);
        let noted = outcomes.clone();
        let reaping = thread::spawn(move || {
            reap(&mut reaper, generations, &noted);
            reaper
        });
        submit_both(&mut in_flight, &requests, outcomes);
        drain(reaping.join().expect("it ends"), &requests, 2);
    });
}

/// The device completes each command once, as early as it likes.
pub(super) fn reuse() {
    two_commands(&[1, 2]);
}

/// The device says a completion again, when the tag may have its next command.
pub(super) fn repeated() {
    two_commands(&[1, 1, 2, 1]);
}

/// The device says what it was never given: other generations, other tags, tags that there are
/// not, with success or not. Nothing is taken but the command in flight.
pub(super) fn invented() {
    explore(&["taken"], |outcomes| {
        let requests = Requests::new(&[0]);
        let (mut in_flight, mut reaper) = table(2);
        let reaping = thread::spawn(move || {
            for cid in [
                id(0, 0),
                id(0, 2),
                id(1, 0),
                id(1, 1),
                id(2, 1),
                id(0xfff, 15),
            ] {
                for raw in [CqeEnd::success(cid).raw(), failure(cid)] {
                    let end = CqeEnd::new(raw, Phase::FIRST).expect("it is new");
                    assert!(
                        complete(&mut reaper, end).is_none(),
                        "an invented id took a request"
                    );
                }
            }
            reaper
        });
        let rq = requests.start(0);
        assert!(in_flight.arm(rq).is_ok());
        let mut reaper = reaping.join().expect("it ends");
        let taken = complete(&mut reaper, CqeEnd::success(id(0, 1))).is_some();
        outcomes.note(if taken { "taken" } else { "not taken" });
        drain(reaper, &requests, 1);
    });
}

/// Dword 3 of a completion with status 1.
fn failure(cid: CommandId) -> u32 {
    CqeEnd::success(cid).raw() | 1 << 17
}

/// A request of another queue: no completion is taken for its plain success, whatever the status.
pub(super) fn lent() {
    explore(&["taken", "early"], |outcomes| {
        let requests = Requests::new(&[0]);
        let (mut in_flight, mut reaper) = table(1);
        let noted = outcomes.clone();
        let reaping = thread::spawn(move || {
            let cid = id(0, 1);
            for raw in [CqeEnd::success(cid).raw(), failure(cid)] {
                let end = CqeEnd::new(raw, Phase::FIRST).expect("it is new");
                assert!(
                    reaper.take_success(end).is_none(),
                    "taken as its own queue's"
                );
            }
            match reaper.take(cid) {
                Some(rq) => {
                    assert_eq!(rq.data(), 1);
                    noted.note("taken");
                }
                None => noted.note("early"),
            }
            reaper
        });
        let mut rq = requests.start(0);
        rq.set_data(1);
        assert!(in_flight.lend(rq).is_ok());
        drain(reaping.join().expect("it ends"), &requests, 1);
    });
}
