// SPDX-License-Identifier: GPL-2.0

//! Log pages: the structures as the device writes them, and the checked values that decoding
//! yields.
//!
//! The driver does not trust the device: the decoders take any bytes.
//!
//! Base 5.16.1.

// Changed namespaces.
mod changed;
// Error information.
mod errors;
// Firmware slots.
mod firmware;
// SMART and health.
mod smart;

pub(crate) use self::{
    changed::ChangedNamespaces,
    errors::ErrorLog,
    firmware::FirmwareSlots,
    smart::{
        Health,
        SmartLog,
        Warnings, //
    },
};
