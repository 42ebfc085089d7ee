// SPDX-License-Identifier: GPL-2.0

//! Code that must not compile: each line that ends with `//~ CODE` would harm, and the types keep it
//! out. `scripts/must-not-compile` checks that.

use crate::sys::{
    base::{
        ClassDevice,
        Guard,
        Job,
        NoIo, //
    },
    block::Types,
    pci::{
        InterruptHandler,
        Line, //
    },
};
use core::cell::Cell;
use kernel::{
    device::Device,
    prelude::*,
    sync::Arc, //
};

/// A thread must not hand this to another one.
#[derive(Zeroable)]
struct OfOneThread(*mut u8);

fn needs_send<T: Send>() {}

/// A request ends on any CPU, and its private data with it.
struct Disk;

impl Types for Disk {
    type RequestData = OfOneThread; //~ E0277
    type Queue = Cell<u32>; //~ E0277
    type QueueData = Cell<u32>; //~ E0277
}

/// An interrupt comes on any CPU.
impl InterruptHandler for OfOneThread {
    //~ E0277
    fn handle(&mut self) -> bool {
        false
    }

    fn is_pending(&self) -> bool {
        false
    }
}

/// A workqueue runs a job on any CPU, also while other code uses it.
impl Job for OfOneThread {
    //~ E0277
    fn run(&self) {}
}

/// Readers of a file of sysfs use the data at the same time.
fn share(parent: &Device, data: Arc<Cell<u32>>) {
    let _ = ClassDevice::new(parent, 0, data, &[]); //~ E0277
}

fn threads() {
    // The thread that took a lock releases it.
    needs_send::<Guard<'_, u32>>(); //~ E0277
                                    // The flag is one of the thread.
    needs_send::<NoIo>(); //~ E0277
    needs_send::<Line<OfOneThread>>();
}
