// SPDX-License-Identifier: GPL-2.0

//! The driver's lock-free protocols, explored by loom: each order of their steps, and each value
//! that a load may return by the memory model of Rust, which allows more than x86-64 does.
//!
//! What is explored is the driver's own source: `#[path]` takes `sys/block/in_flight.rs`,
//! `sys/pci/doorbell/shadow.rs`, `sys/dma/group.rs`, `queue/submission.rs` and the arithmetic that they need from where
//! Kbuild takes them. Files of the same module path stand in for the rest; `sys/atomic.rs` has loom's
//! atomics and, where a feature asks for it, breaks one of them.
//!
//! `model` prints the names of the models, `model NAME` explores one: it panics where a promise
//! is broken.

mod models;
#[allow(dead_code, unused_imports, reason = "the models need a part of it")]
#[path = "../../num.rs"]
mod num;
#[allow(
    dead_code,
    unfulfilled_lint_expectations,
    reason = "the driver's own files: the models need a part of them"
)]
mod nvme;
mod queue;
#[allow(dead_code, reason = "as above")]
mod sys;

use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(name) = std::env::args().nth(1) else {
        for (name, _) in models::ALL {
            println!("{name}");
        }
        return ExitCode::SUCCESS;
    };
    let Some((_, model)) = models::ALL.iter().find(|(known, _)| *known == name) else {
        eprintln!("no such model: {name}");
        return ExitCode::from(2);
    };
    model();
    ExitCode::SUCCESS
}
