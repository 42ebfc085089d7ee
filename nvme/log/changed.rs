// SPDX-License-Identifier: GPL-2.0

//! The Changed Namespace List: the namespaces that were added, removed or changed since the last
//! read of the list.
//!
//! Base 5.16.1.5.

use crate::nvme::ids::Nsid;
use kernel::prelude::*;
use zerocopy_derive::{
    Immutable,
    KnownLayout, //
};

/// The list (log page 04h): identifiers, then zeroes.
#[repr(C)]
#[derive(FromBytes, Immutable, KnownLayout)]
pub(crate) struct ChangedNamespaces {
    nsids: [u32; Self::LEN],
}

impl ChangedNamespaces {
    /// Maximum number of identifiers.
    pub(crate) const LEN: usize = 1024;

    /// The namespaces that changed. `None`: any namespace may have changed. The list then has the
    /// identifier FFFFFFFFh, which means that more namespaces changed than the list can hold.
    pub(crate) fn iter(&self) -> Option<impl Iterator<Item = Nsid> + '_> {
        let ids = || self.nsids.iter().take_while(|id| **id != 0);
        if ids().any(|id| Nsid::new(*id).is_none()) {
            return None;
        }
        Some(ids().filter_map(|id| Nsid::new(*id)))
    }
}

#[kunit_tests(rnvme_log_changed)]
mod tests {
    use super::*;
    use zerocopy::FromBytes;

    /// Number and sum of the identifiers of a list that begins with `ids`.
    fn list(fill: u8, ids: &[u32]) -> Result<Option<(usize, u32)>> {
        let mut page = KVec::from_elem(fill, 4 * ChangedNamespaces::LEN, GFP_KERNEL)?;
        for (i, id) in ids.iter().enumerate() {
            page[4 * i..4 * i + 4].copy_from_slice(&id.to_le_bytes());
        }
        let list = ChangedNamespaces::ref_from_bytes(&page).map_err(|_| EINVAL)?;
        Ok(list.iter().map(|ids| {
            ids.fold((0, 0), |(count, sum), id| {
                (count + 1, u32::wrapping_add(sum, id.get()))
            })
        }))
    }

    #[test]
    fn lists() -> Result {
        assert_eq!(list(0, &[])?, Some((0, 0)));
        assert_eq!(list(0, &[7])?, Some((1, 7)));
        // Identifiers after a zero do not count; the order does not matter.
        assert_eq!(list(0, &[9, 2, 0, 5, u32::MAX])?, Some((2, 11)));
        assert_eq!(list(0, &[0xffff_fffe])?, Some((1, 0xffff_fffe)));
        // All 1024.
        assert_eq!(
            list(1, &[])?,
            Some((1024, 1024u32.wrapping_mul(0x0101_0101)))
        );
        Ok(())
    }

    #[test]
    fn lists_that_say_nothing() -> Result {
        assert_eq!(list(0, &[u32::MAX])?, None);
        assert_eq!(list(0, &[1, u32::MAX])?, None);
        assert_eq!(list(0xff, &[])?, None);
        Ok(())
    }
}
