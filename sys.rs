// SPDX-License-Identifier: GPL-2.0

//! The only unsafe code of rnvme: the kernel's C interfaces, made safe.
//!
//! Everything above this layer is ordinary Rust. What the layer promises, whatever the code above
//! it does and whatever the device says:
//!
//! - A request of the block layer is an owned value. It is ended, requeued or handed to the
//!   hardware exactly once, and comes back from the hardware at most once ([`inflight::InFlight`]).
//! - Memory that the device can write is only read by volatile loads, never through a reference
//!   ([`dma::Words`]), and every index is checked.
//! - An interrupt handler never runs on state that is gone, and never at the same time as
//!   somebody else's access to that state ([`irq::Line`]).
//! - A BAR stays mapped as long as anything holds a register, a doorbell or a ring in it
//!   ([`mmio::Bar`], [`doorbell::Doorbell`], [`dma::Words`]).
//! - Callbacks of the kernel get their objects through pointers that this layer stored itself and
//!   that outlive the callback.
//!
//! What it cannot promise: that the device writes only where it was told to. Hardware must be
//! stopped before its memory is freed; `controller.rs` sees to that, and `docs/SAFETY.md` says how.

// C declarations.
pub(crate) mod ffi;
// What the lock-free protocols are made of.
mod atomic;
// The PCI function: registers, interrupts, doorbells, memory.
pub(crate) mod pci;
// What belongs to no device: work, locks, classes, time.
pub(crate) mod base;
// blk-mq: tag sets, requests, disks.
pub(crate) mod block;
// Memory that the device reads and writes.
pub(crate) mod dma;
// What `nvme` says, compared with `linux/nvme.h`.
mod layout_checks;
