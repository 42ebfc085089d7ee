// SPDX-License-Identifier: GPL-2.0

//! Identify Namespace independent of the I/O command set: what holds for any kind of namespace.
//!
//! Base 5.17.2.8 (CNS 08h).

use super::IDENTIFY_SIZE;
use core::mem::offset_of;
use kernel::prelude::*;
use zerocopy_derive::{
    Immutable,
    KnownLayout, //
};

/// Identify Namespace, I/O Command Set Independent (CNS 08h). The names of fields that the driver
/// does not use begin with `_`.
#[repr(C)]
#[derive(FromBytes, Immutable, KnownLayout)]
pub(crate) struct IdentifyNamespaceIndependent {
    pub(crate) nsfeat: u8,
    _nmic: u8,
    _rescap: u8,
    _fpi: u8,
    _anagrpid: u32,
    pub(crate) nsattr: u8,
    _rsvd9: u8,
    _nvmsetid: u16,
    _endgid: u16,
    pub(crate) nstat: u8,
    _rsvd15: [u8; 4081],
}

const _: () = {
    assert!(size_of::<IdentifyNamespaceIndependent>() == IDENTIFY_SIZE);
    assert!(offset_of!(IdentifyNamespaceIndependent, nsattr) == 8);
    assert!(offset_of!(IdentifyNamespaceIndependent, nstat) == 14);
};

/// Attributes of a namespace that do not depend on its command set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NamespaceAttributes {
    /// Whether the namespace is write protected now (NSATTR bit 0).
    pub(crate) write_protected: bool,
    /// Whether the media rotate (NSFEAT bit 4).
    pub(crate) rotational: bool,
    /// Whether the controller's volatile write cache, if it has one, is not used for this namespace
    /// (NSFEAT bit 5, VWCNP).
    pub(crate) no_write_cache: bool,
    /// Whether the namespace is ready (NSTAT bit 0): I/O commands do not fail with Namespace Not
    /// Ready.
    pub(crate) ready: bool,
}

impl NamespaceAttributes {
    /// What holds where the controller does not report the structure.
    pub(crate) const UNREPORTED: Self = Self {
        write_protected: false,
        rotational: false,
        no_write_cache: false,
        ready: true,
    };

    /// Decodes the structure: any bytes are valid.
    pub(crate) fn decode(raw: &IdentifyNamespaceIndependent) -> Self {
        Self {
            write_protected: raw.nsattr & IdentifyNamespaceIndependent::WRITE_PROTECTED != 0,
            rotational: raw.nsfeat & IdentifyNamespaceIndependent::ROTATIONAL != 0,
            no_write_cache: raw.nsfeat & IdentifyNamespaceIndependent::NO_WRITE_CACHE != 0,
            ready: raw.nstat & IdentifyNamespaceIndependent::READY != 0,
        }
    }
}

impl IdentifyNamespaceIndependent {
    /// NSFEAT: rotational media.
    pub(crate) const ROTATIONAL: u8 = 1 << 4;
    /// NSFEAT: volatile write cache not present.
    pub(crate) const NO_WRITE_CACHE: u8 = 1 << 5;
    /// NSATTR: currently write protected.
    pub(crate) const WRITE_PROTECTED: u8 = 1 << 0;
    /// NSTAT: namespace ready.
    pub(crate) const READY: u8 = 1 << 0;
}

#[kunit_tests(rnvme_identify_independent)]
mod tests {
    use super::{
        super::tests::page,
        *, //
    };
    use zerocopy::FromBytes;

    #[test]
    fn attributes_are_at_their_places() -> Result {
        // NSFEAT, NSATTR, NSTAT; write protected, rotational, no cache, ready.
        let cases: [(u8, u8, u8, [bool; 4]); 7] = [
            (0x00, 0x00, 0x00, [false, false, false, false]),
            (0x00, 0x01, 0x00, [true, false, false, false]),
            (0x10, 0x00, 0x00, [false, true, false, false]),
            (0x20, 0x00, 0x00, [false, false, true, false]),
            (0x00, 0x00, 0x01, [false, false, false, true]),
            (0xcf, 0xfe, 0xfe, [false, false, false, false]),
            (0xff, 0xff, 0xff, [true, true, true, true]),
        ];
        for (nsfeat, nsattr, nstat, expected) in cases {
            let fields: &[(usize, &[u8])] = &[(0, &[nsfeat]), (8, &[nsattr]), (14, &[nstat])];
            let page = page(0, fields)?;
            let raw = IdentifyNamespaceIndependent::ref_from_bytes(&page).map_err(|_| EINVAL)?;
            let seen = NamespaceAttributes::decode(raw);
            let [write_protected, rotational, no_write_cache, ready] = expected;
            let expected = NamespaceAttributes {
                write_protected,
                rotational,
                no_write_cache,
                ready,
            };
            assert_eq!(seen, expected);
        }
        Ok(())
    }
}
