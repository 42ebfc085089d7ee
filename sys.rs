// SPDX-License-Identifier: GPL-2.0

//! The only unsafe code of rnvme: the kernel's C interfaces, made safe.
//!
//! The code above this layer is safe Rust. The layer keeps these promises whatever that code does
//! and whatever the device returns:
//!
//! - A request of the block layer is an owned value. It is ended, requeued or handed to the
//!   hardware exactly once, and comes back from the hardware at most once ([`block::InFlight`]).
//! - Memory that the device can write is only read by volatile loads, never through a reference,
//!   and every index is checked ([`dma::Words`]).
//! - An interrupt handler never runs after its state is freed, and never while other code accesses
//!   that state ([`pci::Line`]).
//! - A BAR stays mapped as long as a register, a doorbell or a ring in it has a holder
//!   ([`pci::Bar`], [`pci::Doorbell`], [`dma::Words`]).
//! - Callbacks of the kernel reach their objects through pointers that this layer stored. The
//!   objects outlive the callback.
//!
//! The layer cannot promise that the device writes only where it was told to. The hardware must be
//! stopped before its memory is freed: `controller/hardware.rs` does that, and `docs/SAFETY.md`
//! explains how.

// C declarations.
pub(crate) mod ffi;
// What the lock-free protocols are made of.
mod atomic;
// The PCI function: registers, interrupts, doorbells, memory.
pub(crate) mod pci;
// Work, locks, classes, time: nothing here belongs to a device.
pub(crate) mod base;
// blk-mq: tag sets, requests, disks.
pub(crate) mod block;
// Memory that the device reads and writes.
pub(crate) mod dma;
// `nvme` compared with `linux/nvme.h` at compile time.
mod layout_checks;
