// SPDX-License-Identifier: GPL-2.0

//! What the NVMe specification says about commands, completions and data structures.
//!
//! Facts only: no device, no memory, no policy. Names are the specification's. Sections are those
//! of NVMe Base 2.0 ("Base"), the NVM Command Set 1.0 ("NVM") and, where they differ, NVMe 1.4.
//!
//! Two things are said here for the whole layer. Multi-byte fields are little-endian, and so is
//! the CPU: asserted below, so that no field needs a conversion. Zero-based counts end in `_z`.

pub(crate) mod command;
pub(crate) mod completion;
pub(crate) mod event;
pub(crate) mod identify;
pub(crate) mod ids;
pub(crate) mod log;
mod status;
pub(crate) mod text;

const _: () = assert!(
    cfg!(target_endian = "little"),
    "rnvme lays wire types out as a little-endian CPU does"
);
