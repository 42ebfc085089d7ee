// SPDX-License-Identifier: GPL-2.0

//! All models, and what they share.

mod gate;
mod in_flight;
mod lists;
mod shadow;

use crate::{
    nvme::{
        CommandId,
        CqeEnd, //
    },
    sys::block::{
        InFlight,
        Reaper,
        Started,
        Types, //
    },
};
use kernel::alloc::NumaNode;
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        Mutex, //
    },
};

/// Each model by name.
pub(crate) const ALL: &[(&str, fn())] = &[
    ("in_flight/reuse", in_flight::reuse),
    ("in_flight/repeated", in_flight::repeated),
    ("in_flight/invented", in_flight::invented),
    ("in_flight/lent", in_flight::lent),
    ("gate/closed", gate::closed),
    ("gate/two_cpus", gate::two_cpus),
    ("gate/reopened", gate::reopened),
    ("lists/trimmed", lists::trimmed),
    ("lists/supplied", lists::supplied),
    ("shadow/in_order", shadow::in_order),
    ("shadow/wrapping", shadow::wrapping),
];

/// What came about in the executions of a model. It is the model's own: it orders nothing.
#[derive(Clone, Default)]
struct Outcomes(Arc<Mutex<BTreeSet<&'static str>>>);

impl Outcomes {
    fn note(&self, outcome: &'static str) {
        self.0.lock().expect("no holder panics").insert(outcome);
    }
}

/// Explores all executions of `model`. Each of `outcomes`, and no other, must have come about:
/// else the promises that it checks say less than they seem to.
fn explore(outcomes: &[&'static str], model: impl Fn(&Outcomes) + Send + Sync + 'static) {
    let seen = Outcomes::default();
    let noted = seen.clone();
    loom::model(move || model(&noted));
    let seen = seen.0.lock().expect("no holder panics");
    let expected = outcomes.iter().copied().collect();
    assert_eq!(*seen, expected, "what came about");
}

/// The types of the models' driver.
struct Driver;

impl Types for Driver {}

/// Both sides of a table of `depth` tags.
fn table(depth: u16) -> (InFlight<Driver>, Reaper<Driver>) {
    InFlight::new(depth, NumaNode::NO_NODE).expect("no allocation fails")
}

/// The id of the `generation`th command of `tag`: the first that is armed is 1.
const fn id(tag: u16, generation: u8) -> CommandId {
    CommandId::new(tag, generation)
}

/// What `Completions::complete` and `complete_in_full` do with an entry.
fn complete(reaper: &mut Reaper<Driver>, end: CqeEnd) -> Option<Started<Driver>> {
    reaper
        .take_success(end)
        .or_else(|| reaper.take(end.command_id()))
}
