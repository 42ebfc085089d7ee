// SPDX-License-Identifier: GPL-2.0

//! Identify data structures as the device writes them, and the checked values that decoding yields.
//!
//! The driver does not trust the device. Each `decode` takes any 4096 bytes, and either returns
//! values that the rest of the driver can rely on, or an error that says what is wrong with them.
//!
//! Base 5.17.2.

// The active namespace list (CNS 02h).
mod active;
// Power states, autonomous power state transitions.
mod power;
// The controller (CNS 01h).
mod controller;
// Namespace identification descriptors (CNS 03h).
mod descriptors;
// A namespace (CNS 00h).
mod namespace;
// What the NVM command set adds (CNS 05h, 06h).
mod nvm;
// A namespace of any command set (CNS 08h).
mod independent;

pub(crate) use self::{
    active::{
        NamespaceList,
        NotAscending, //
    },
    controller::{
        ControllerInfo,
        IdentifyController,
        RetryDelays,
        Subsystem, //
    },
    descriptors::{
        CommandSet,
        NamespaceDescriptors,
        SameNamespace,
        UniqueIds,
        WrongLength, //
    },
    independent::{
        IdentifyNamespaceIndependent,
        NamespaceAttributes, //
    },
    namespace::{
        IdentifyNamespace,
        NamespaceError,
        NamespaceHints,
        NamespaceInfo, //
    },
    nvm::{
        IdentifyControllerNvm,
        IdentifyNamespaceNvm,
        LargeHints,
        NvmLimits, //
    },
    power::{
        ApstTable,
        PowerState,
        PowerStates,
        RawPowerState, //
    },
};

use kernel::prelude::*;

/// Bytes of each Identify data structure.
pub(crate) const IDENTIFY_SIZE: usize = 4096;

/// A buffer of [`IDENTIFY_SIZE`] bytes for an Identify data structure, filled with `fill`.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn page(fill: u8) -> Result<KVec<u8>> {
    Ok(KVec::from_elem(fill, IDENTIFY_SIZE, GFP_KERNEL)?)
}

#[kunit_tests(rnvme_identify)]
mod tests {
    use super::*;

    /// A page of `fill` but for `fields`, each an offset and its bytes.
    pub(super) fn page(fill: u8, fields: &[(usize, &[u8])]) -> Result<KVec<u8>> {
        let mut page = super::page(fill)?;
        for (offset, bytes) in fields {
            page[*offset..*offset + bytes.len()].copy_from_slice(bytes);
        }
        Ok(page)
    }

    #[test]
    fn pages_are_full_of_what_was_asked_for() -> Result {
        let page = page(7, &[(4094, &[8])])?;
        assert_eq!(page.len(), 4096);
        assert!(page[..4094].iter().all(|byte| *byte == 7));
        assert_eq!(page[4094..], [8, 7]);
        Ok(())
    }
}
