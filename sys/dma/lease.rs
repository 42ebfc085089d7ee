// SPDX-License-Identifier: GPL-2.0

//! Pages that the device reads and writes, and those that one request uses alone.

use super::{
    list_memory::FixedList,
    shelf::{
        Linked,
        Reserve,
        Stack,
        Taken, //
    },
};
use crate::{
    nvme::PAGE_SIZE,
    prp::{
        List,
        ENTRIES_PER_PAGE, //
    },
    sys::ffi as bindings,
};
use kernel::{
    alloc::Flags,
    dma::DmaAddress,
    prelude::*, //
};

/// A page that the device reads and writes. Dropped, it is leaked: only a `PagePool` frees it.
///
/// # Invariants
///
/// `base` points to [`PAGE_SIZE`] bytes of coherent memory of the device of the pool with the number
/// `pool`, which begin at a page and which the value owns. `address` is the device's address of
/// them.
pub(super) struct ListPage {
    base: *mut u64,
    address: DmaAddress,
    next: Option<KBox<Self>>,
    pool: u32,
    /// The number of the reserve that the page and those linked to it are; 0: none.
    reserve: u32,
}

// SAFETY: the page belongs to no thread.
unsafe impl Send for ListPage {}
// SAFETY: all access to the memory is by volatile loads and stores of aligned words.
unsafe impl Sync for ListPage {}

impl Linked for ListPage {
    fn next(&mut self) -> &mut Option<KBox<Self>> {
        &mut self.next
    }
}

impl ListPage {
    /// A page that has no memory yet: not to be used.
    pub(super) fn empty(pool: u32, flags: Flags) -> Result<KBox<Self>> {
        let page = Self {
            base: core::ptr::null_mut(),
            address: 0,
            next: None,
            pool,
            reserve: 0,
        };
        Ok(KBox::new(page, flags)?)
    }

    /// A zeroed page for `dev` of the pool with the number `pool`.
    ///
    /// # Safety
    ///
    /// `dev` is valid and bound to this driver.
    pub(super) unsafe fn new(
        dev: *mut bindings::device,
        pool: u32,
        how: How,
    ) -> Result<KBox<Self>> {
        let (flags, raw) = match how {
            How::Wait => (GFP_KERNEL, bindings::GFP_KERNEL),
            How::Now => (
                GFP_ATOMIC | __GFP_NOWARN,
                bindings::GFP_ATOMIC | bindings::__GFP_NOWARN,
            ),
        };
        let mut page = Self::empty(pool, flags)?;
        // INVARIANT: coherent memory of one page, if there is any; else the value is dropped.
        // SAFETY: the caller promises that the device is valid.
        let base = unsafe { bindings::dma_alloc_attrs(dev, PAGE_SIZE, &mut page.address, raw, 0) };
        if base.is_null() {
            return Err(ENOMEM);
        }
        page.base = base.cast();
        Ok(page)
    }

    /// Frees a page.
    ///
    /// # Safety
    ///
    /// `dev` is the device of the page, and is done with it.
    pub(super) unsafe fn free(page: KBox<Self>, dev: *mut bindings::device) {
        // SAFETY: by the type invariant the value owned this memory of this device, and it is
        // dropped. The caller promises that the device is done with the memory.
        unsafe { bindings::dma_free_attrs(dev, PAGE_SIZE, page.base.cast(), page.address, 0) };
    }

    /// The first word.
    pub(super) fn base(&self) -> *mut u64 {
        self.base
    }

    /// The device's address of the first word.
    pub(super) fn address(&self) -> DmaAddress {
        self.address
    }
}

/// Whether an allocation may wait.
#[derive(Clone, Copy)]
pub(super) enum How {
    Wait,
    Now,
}

/// Pages that one request uses alone: a list, or ranges. The pages are linked.
#[repr(transparent)]
pub(crate) struct Lease(KBox<ListPage>);

// SAFETY: a `KBox` is never null, and all zeroes is the `None` of an `Option` of it; `Lease` is
// transparent.
unsafe impl pin_init::ZeroableOption for Lease {}

impl Lease {
    /// The pages that were `taken` for a queue with this `reserve`; `None` if there are none.
    pub(super) fn new(taken: Taken<ListPage>, reserve: &Reserve) -> Option<Self> {
        let mut first = taken.pages.into_chain()?;
        first.reserve = match taken.is_reserve {
            true => reserve.number(),
            false => 0,
        };
        Some(Self(first))
    }

    /// The pages, and whether they are the `reserve` of the queue that took them. `None` if the lease
    /// is of another queue, or of another pool than that with the number `pool`: it is kept for good.
    pub(super) fn into_pages(
        mut self,
        pool: u32,
        reserve: &Reserve,
    ) -> Option<(Stack<ListPage>, bool)> {
        let of_reserve = core::mem::take(&mut self.0.reserve);
        if !may_return((self.0.pool, of_reserve), (pool, reserve.number())) {
            kernel::pr_warn_once!("a PRP list came back to another queue: its memory is kept\n");
            core::mem::forget(self);
            return None;
        }
        Some((Stack::from_chain(self.0), of_reserve != 0))
    }

    /// The page with word `512 * index`.
    fn page(&self, index: usize) -> Option<&ListPage> {
        let mut page = &*self.0;
        for _ in 0..index {
            page = page.next.as_deref()?;
        }
        Some(page)
    }

    /// The first page.
    pub(crate) fn first(&self) -> FixedList<'_, ENTRIES_PER_PAGE> {
        // SAFETY: by the type invariant of `ListPage` there are as many words, as long as `self`
        // owns the page.
        unsafe { FixedList::new(self.0.base, self.0.address) }
    }
}

impl List for Lease {
    fn set(&mut self, slot: usize, value: u64) -> bool {
        let Some(page) = self.page(slot / ENTRIES_PER_PAGE) else {
            return false;
        };
        // SAFETY: by the type invariant of `ListPage` the page has `ENTRIES_PER_PAGE` words.
        let word = unsafe { page.base.add(slot % ENTRIES_PER_PAGE) };
        // SAFETY: as above; the words are aligned.
        unsafe { word.write_volatile(value.to_le()) };
        true
    }

    fn page_address(&self, page: usize) -> u64 {
        self.page(page).map_or(0, ListPage::address)
    }

    fn capacity(&self) -> usize {
        let mut pages = 1;
        let mut page = &*self.0;
        while let Some(next) = page.next.as_deref() {
            (page, pages) = (next, pages + 1);
        }
        pages * ENTRIES_PER_PAGE
    }
}

/// Whether a lease may return to the pool and the queue's reserve with the numbers `to`: `from` has the
/// number of its pool, and that of the reserve that it is, or 0.
const fn may_return(from: (u32, u32), to: (u32, u32)) -> bool {
    from.0 == to.0 && (from.1 == 0 || from.1 == to.1)
}

#[kunit_tests(rnvme_lease)]
mod tests {
    use super::*;

    #[test]
    fn leases_return_to_where_they_came_from() {
        for (from, to, expected) in [
            ((1, 0), (1, 5), true),
            ((1, 5), (1, 5), true),
            // Another device; another queue's reserve; both.
            ((2, 0), (1, 5), false),
            ((1, 6), (1, 5), false),
            ((2, 5), (1, 5), false),
            ((2, 6), (1, 5), false),
        ] {
            assert_eq!(may_return(from, to), expected);
        }
    }
}
