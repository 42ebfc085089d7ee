// SPDX-License-Identifier: GPL-2.0

//! Whether the namespace under an identifier is still the one that a disk was made from.
//!
//! After a reset, I/O that waited must not reach another namespace, nor blocks of another size. A
//! controller may also forget the identifiers of its namespaces in a reset, until a power cycle:
//! they read as zero. That alone makes no other namespace of it.

use crate::nvme::{
    SameNamespace,
    UniqueIds, //
};
use kernel::prelude::*;

/// What a namespace is recognised by. The serial number of the controller is compared
/// elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Likeness {
    /// Its identifiers, as far as the controller reports them.
    pub(crate) ids: UniqueIds,
    /// log2 of the bytes of a block.
    pub(crate) lba_shift: u32,
    /// Its size in units of 512 bytes.
    pub(crate) sectors: u64,
}

/// What a namespace is to a disk that was made before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The same namespace; its size may be another.
    None,
    /// Its identifiers do not tell, and all else is the same: taken for the same namespace.
    IdsUnknown,
    /// The same namespace with blocks of another size: its data is gone.
    Formatted,
    /// Another namespace.
    Replaced,
}

impl Likeness {
    /// What the namespace of `self` is to a disk made from `before`.
    pub(crate) fn change(&self, before: &Self) -> Change {
        let is_formatted = self.lba_shift != before.lba_shift;
        match self.ids.is_same_as(&before.ids) {
            SameNamespace::No => Change::Replaced,
            SameNamespace::Unknown if is_formatted || self.sectors != before.sectors => {
                Change::Replaced
            }
            SameNamespace::Unknown => Change::IdsUnknown,
            SameNamespace::Yes if is_formatted => Change::Formatted,
            SameNamespace::Yes => Change::None,
        }
    }
}

#[kunit_tests(rnvme_namespace_change)]
mod tests {
    use super::*;

    fn likeness(nguid: u8, lba_shift: u32, sectors: u64) -> Likeness {
        let ids = UniqueIds {
            nguid: [nguid; 16],
            ..UniqueIds::default()
        };
        Likeness {
            ids,
            lba_shift,
            sectors,
        }
    }

    #[test]
    fn what_a_namespace_has_become() {
        // NGUID, log2 of the block size and sectors, before and now.
        for (before, now, change) in [
            ((1, 9, 8), (1, 9, 8), Change::None),
            ((1, 9, 8), (1, 9, 16), Change::None),
            ((0, 9, 8), (0, 9, 16), Change::None),
            ((1, 9, 8), (1, 12, 8), Change::Formatted),
            ((0, 9, 8), (0, 12, 8), Change::Formatted),
            ((1, 9, 8), (2, 9, 8), Change::Replaced),
            ((1, 9, 8), (2, 12, 8), Change::Replaced),
            ((1, 9, 8), (0, 9, 8), Change::IdsUnknown),
            ((0, 9, 8), (1, 9, 8), Change::IdsUnknown),
            ((1, 9, 8), (0, 9, 16), Change::Replaced),
            ((1, 9, 8), (0, 12, 8), Change::Replaced),
        ] {
            let (before, now): ((u8, u32, u64), (u8, u32, u64)) = (before, now);
            let before = likeness(before.0, before.1, before.2);
            let now = likeness(now.0, now.1, now.2);
            assert_eq!(now.change(&before), change);
        }
    }
}
