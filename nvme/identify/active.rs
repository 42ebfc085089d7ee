// SPDX-License-Identifier: GPL-2.0

//! The active namespace list.
//!
//! Base 5.17.2.2.

use super::IDENTIFY_SIZE;
use crate::nvme::ids::Nsid;
use core::slice;
use kernel::{
    fmt,
    prelude::*, //
};
use zerocopy_derive::{
    Immutable,
    KnownLayout, //
};

/// A page of the active namespace list (CNS 02h): ascending identifiers, then zeroes.
#[repr(C)]
#[derive(FromBytes, Immutable, KnownLayout)]
pub(crate) struct NamespaceList {
    nsids: [u32; Self::LEN],
}

const _: () = assert!(size_of::<NamespaceList>() == IDENTIFY_SIZE);

impl NamespaceList {
    /// Identifiers of a full page. Another page follows a full one.
    pub(crate) const LEN: usize = 1024;

    /// The identifiers of the page that Identify returned for `after`.
    ///
    /// The iterator ends after an error. Each identifier is above the one before, so the list is
    /// finite over all pages, whatever the device returns.
    pub(crate) fn iter(&self, after: u32) -> ActiveNamespaces<'_> {
        ActiveNamespaces {
            rest: self.nsids.iter(),
            last: after,
        }
    }
}

/// The identifiers of a [`NamespaceList`].
pub(crate) struct ActiveNamespaces<'a> {
    rest: slice::Iter<'a, u32>,
    last: u32,
}

/// The list breaks the specification: its identifiers do not ascend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAscending {
    /// The identifier before; for the first one, the `after` of the page.
    previous: u32,
    /// The identifier that is not above `previous`, or is the broadcast value.
    next: u32,
}

impl fmt::Display for NotAscending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "active namespace list: identifier {:#x} cannot follow {:#x}",
            self.next, self.previous
        )
    }
}

impl Iterator for ActiveNamespaces<'_> {
    type Item = Result<Nsid, NotAscending>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = *self.rest.next()?;
        if next == 0 {
            self.rest = [].iter();
            return None;
        }
        let previous = self.last;
        let valid = Nsid::new(next).filter(|_| next > previous);
        if valid.is_none() {
            self.rest = [].iter();
        }
        self.last = next;
        Some(valid.ok_or(NotAscending { previous, next }))
    }
}

#[kunit_tests(rnvme_identify_active)]
mod tests {
    use super::{
        super::tests::page,
        *, //
    };
    use zerocopy::FromBytes;

    /// Number and sum of the identifiers of a list that begins with `ids`, and the error that ended
    /// it, if any.
    fn list(fill: u8, ids: &[u32], after: u32) -> Result<(u32, u32, Option<(u32, u32)>)> {
        let mut page = page(fill, &[])?;
        for (i, id) in ids.iter().enumerate() {
            page[4 * i..4 * i + 4].copy_from_slice(&id.to_le_bytes());
        }
        let list = NamespaceList::ref_from_bytes(&page).map_err(|_| EINVAL)?;
        let (mut count, mut sum, mut error) = (0, 0, None);
        for id in list.iter(after) {
            // Nothing follows an error.
            assert!(error.is_none());
            match id {
                Ok(id) => (count, sum) = (count + 1, sum + id.get()),
                Err(e) => error = Some((e.previous, e.next)),
            }
        }
        Ok((count, sum, error))
    }

    #[test]
    fn namespace_lists() -> Result {
        assert_eq!(list(0, &[], 0)?, (0, 0, None));
        assert_eq!(list(0, &[1, 2, 9], 0)?, (3, 12, None));
        assert_eq!(list(0, &[1, 0, 9], 0)?, (1, 1, None));
        assert_eq!(list(0, &[5], 4)?, (1, 5, None));
        Ok(())
    }

    #[test]
    fn lists_that_do_not_ascend() -> Result {
        assert_eq!(list(0, &[2, 1, 3], 0)?, (1, 2, Some((2, 1))));
        assert_eq!(list(0, &[1, 1], 0)?, (1, 1, Some((1, 1))));
        assert_eq!(list(0, &[4, 5], 4)?, (0, 0, Some((4, 4))));
        assert_eq!(list(0xff, &[], 0)?, (0, 0, Some((0, u32::MAX))));
        Ok(())
    }

    #[test]
    fn full_list() -> Result {
        let mut ids = KVec::with_capacity(NamespaceList::LEN, GFP_KERNEL)?;
        for id in 1..=1024 {
            ids.push(id, GFP_KERNEL)?;
        }
        assert_eq!(list(0, &ids, 0)?, (1024, 1024 * 1025 / 2, None));
        Ok(())
    }
}
