// SPDX-License-Identifier: GPL-2.0

//! Pages of small lists that go while requests look for them: no page goes that a request or the
//! device uses, and the address that the device gets is that of the list.

use super::{
    explore,
    Outcomes, //
};
use crate::sys::dma::{
    QueueLists,
    Request, //
};
use loom::thread;
use std::sync::Arc;

fn note(outcomes: &Outcomes, request: Request) {
    outcomes.note(match request {
        Request::Found => "found",
        Request::Supplied => "supplied",
        Request::Refused => "refused",
    });
}

/// A request, and two looks of the watchdog.
pub(super) fn trimmed() {
    explore(&["found", "supplied", "kept", "gone"], |outcomes| {
        let lists = Arc::new(QueueLists::new(true));
        let submitter = {
            let (lists, outcomes) = (lists.clone(), outcomes.clone());
            thread::spawn(move || note(&outcomes, lists.request()))
        };
        outcomes.note(match lists.trim_twice() {
            true => "gone",
            false => "kept",
        });
        submitter.join().expect("it does not panic");
    });
}

/// One request of each of two tags, whose group has no page yet.
pub(super) fn supplied() {
    explore(&["found", "supplied"], |outcomes| {
        let lists = Arc::new(QueueLists::new(false));
        let other = {
            let (lists, outcomes) = (lists.clone(), outcomes.clone());
            thread::spawn(move || note(&outcomes, lists.find_or_supply()))
        };
        note(outcomes, lists.find_or_supply());
        other.join().expect("it does not panic");
    });
}
