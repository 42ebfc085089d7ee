// SPDX-License-Identifier: GPL-2.0

//! Pages that are free, some of them reserved. Arithmetic and links only: who holds the lock calls
//! this.
//!
//! A reserve is a number of pages that only its owner may take, once at a time. Therefore a request
//! of each owner makes progress even if there is no memory at all. The pages of a reserve are any
//! pages of the shelf.

use core::sync::atomic::{
    AtomicBool,
    AtomicU32,
    Ordering::Relaxed, //
};
use kernel::prelude::*;

/// Something that has a link to another of its kind.
pub(super) trait Linked: Sized {
    /// The link.
    fn next(&mut self) -> &mut Option<KBox<Self>>;
}

/// Linked pages, the last one first.
pub(super) struct Stack<P: Linked> {
    top: Option<KBox<P>>,
    count: usize,
}

impl<P: Linked> Stack<P> {
    /// No page.
    pub(super) const fn new() -> Self {
        Self {
            top: None,
            count: 0,
        }
    }

    /// The number of pages.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Adds `page`.
    pub(super) fn push(&mut self, mut page: KBox<P>) {
        *page.next() = self.top.take();
        self.top = Some(page);
        self.count += 1;
    }

    /// Takes the page that came last.
    pub(super) fn pop(&mut self) -> Option<KBox<P>> {
        let mut page = self.top.take()?;
        self.top = page.next().take();
        self.count -= 1;
        Some(page)
    }

    /// Takes `count` pages; fewer if there are no more.
    fn split(&mut self, count: usize) -> Self {
        let mut taken = Self::new();
        while taken.count < count {
            match self.pop() {
                Some(page) => taken.push(page),
                None => break,
            }
        }
        taken
    }

    /// Takes all pages of `other`.
    fn append(&mut self, mut other: Self) {
        while let Some(page) = other.pop() {
            self.push(page);
        }
    }

    /// The pages, each linked to the next.
    pub(super) fn into_chain(mut self) -> Option<KBox<P>> {
        self.count = 0;
        self.top.take()
    }

    /// The pages that are linked to `page`, and that itself.
    pub(super) fn from_chain(page: KBox<P>) -> Self {
        let mut stack = Self::new();
        let mut rest = Some(page);
        while let Some(mut page) = rest {
            rest = page.next().take();
            stack.push(page);
        }
        stack
    }
}

impl<P: Linked> Drop for Stack<P> {
    fn drop(&mut self) {
        // One by one: the drop of the first would drop its link, and so on, each on the stack.
        while self.pop().is_some() {}
    }
}

/// The right to take some pages of a shelf that no other owner may take. Only a [`Shelf`] reads and
/// writes it.
pub(super) struct Reserve {
    pages: usize,
    is_out: AtomicBool,
    /// Not 0; no other reserve has it.
    number: u32,
}

/// The number of the next reserve.
static NUMBERS: AtomicU32 = AtomicU32::new(1);

impl Reserve {
    /// A reserve of `pages` pages, for [`Shelf::add_reserve`].
    pub(super) fn new(pages: usize) -> Self {
        Self {
            pages,
            is_out: AtomicBool::new(false),
            number: NUMBERS.fetch_add(1, Relaxed).max(1),
        }
    }

    /// The number of the reserve, not 0.
    pub(super) fn number(&self) -> u32 {
        self.number
    }
}

/// What [`Shelf::take`] and [`Shelf::take_last`] return.
pub(super) struct Taken<P: Linked> {
    pub(super) pages: Stack<P>,
    /// Whether they are the caller's reserve.
    pub(super) is_reserve: bool,
}

/// Free pages.
pub(super) struct Shelf<P: Linked> {
    free: Stack<P>,
    /// How many of `free` are reserved; at most its number.
    reserved: usize,
    /// The least number of free pages that were not reserved, since the last [`Self::trim`].
    low: usize,
    /// Whether a request found no page and waits for one.
    is_awaited: bool,
}

impl<P: Linked> Shelf<P> {
    /// No page.
    pub(super) const fn new() -> Self {
        Self {
            free: Stack::new(),
            reserved: 0,
            low: 0,
            is_awaited: false,
        }
    }

    /// The number of free pages that are not reserved.
    fn spare(&self) -> usize {
        self.free.count().saturating_sub(self.reserved)
    }

    /// Adds the `pages` of a new reserve, of as many pages.
    pub(super) fn add_reserve(&mut self, pages: Stack<P>) {
        self.reserved += pages.count();
        self.free.append(pages);
    }

    /// Makes up to `count` free pages those of a new reserve, for which [`Self::add_reserve`] adds the
    /// rest; returns how many.
    pub(super) fn reserve_spare(&mut self, count: usize) -> usize {
        let found = count.min(self.spare());
        self.reserved += found;
        found
    }

    /// Gives up `reserve`, which is not out: its pages are as all others.
    pub(super) fn remove_reserve(&mut self, reserve: &Reserve) {
        if !reserve.is_out.swap(true, Relaxed) {
            self.reserved -= reserve.pages;
        }
    }

    /// Takes `count` pages that are not reserved, if there are as many.
    pub(super) fn take(&mut self, count: usize) -> Option<Taken<P>> {
        let left = self.spare().checked_sub(count)?;
        self.low = self.low.min(left);
        Some(Taken {
            pages: self.free.split(count),
            is_reserve: false,
        })
    }

    /// As [`Self::take`], or takes `reserve`. If that is out, the caller waits: the next
    /// [`Self::give`] says so.
    pub(super) fn take_last(&mut self, count: usize, reserve: &Reserve) -> Option<Taken<P>> {
        if let Some(taken) = self.take(count) {
            return Some(taken);
        }
        if count > reserve.pages || reserve.is_out.swap(true, Relaxed) {
            self.is_awaited = true;
            return None;
        }
        self.reserved -= reserve.pages;
        Some(Taken {
            pages: self.free.split(reserve.pages),
            is_reserve: true,
        })
    }

    /// Takes `pages` back, which are `reserve` if that is given. Returns whether a request waits
    /// for a page: once for all that wait.
    #[must_use = "requests wait"]
    pub(super) fn give(&mut self, pages: Stack<P>, reserve: Option<&Reserve>) -> bool {
        if let Some(reserve) = reserve {
            self.reserved += reserve.pages;
            reserve.is_out.store(false, Relaxed);
        }
        self.free.append(pages);
        core::mem::take(&mut self.is_awaited)
    }

    /// Whether `reserve` is taken.
    pub(super) fn is_out(&self, reserve: &Reserve) -> bool {
        reserve.is_out.load(Relaxed)
    }

    /// Takes all pages.
    pub(super) fn take_all(&mut self) -> Stack<P> {
        self.reserved = 0;
        self.free.split(usize::MAX)
    }

    /// Takes the pages that were not needed since the last call.
    pub(super) fn trim(&mut self) -> Stack<P> {
        let unused = self.free.split(self.low.min(self.spare()));
        self.low = self.spare();
        unused
    }
}

#[kunit_tests(rnvme_shelf)]
mod tests {
    use super::*;

    struct Page {
        number: u32,
        next: Option<KBox<Page>>,
    }

    impl Linked for Page {
        fn next(&mut self) -> &mut Option<KBox<Self>> {
            &mut self.next
        }
    }

    fn pages(numbers: core::ops::Range<u32>) -> Result<Stack<Page>> {
        let mut stack = Stack::new();
        for number in numbers {
            stack.push(KBox::new(Page { number, next: None }, GFP_KERNEL)?);
        }
        Ok(stack)
    }

    /// A shelf with a reserve of `reserved` pages, and `spare` others.
    fn shelf(reserved: u32, spare: u32) -> Result<(Shelf<Page>, Reserve)> {
        let mut shelf = Shelf::new();
        shelf.add_reserve(pages(0..reserved)?);
        assert!(!shelf.give(pages(reserved..reserved + spare)?, None));
        Ok((shelf, Reserve::new(reserved as usize)))
    }

    #[test]
    fn a_chain_has_all_pages_once() -> Result {
        let chain = pages(0..5)?.into_chain().ok_or(EINVAL)?;
        assert_eq!(chain.number, 4);
        let mut stack = Stack::from_chain(chain);
        assert_eq!(stack.count(), 5);
        for number in 0..5 {
            assert_eq!(stack.pop().map(|page| page.number), Some(number));
        }
        assert!(stack.pop().is_none());
        Ok(())
    }

    #[test]
    fn reserved_pages_are_for_their_owner_alone() -> Result {
        let (mut shelf, reserve) = shelf(2, 3)?;
        assert!(shelf.take(4).is_none());
        let taken = shelf.take(3).ok_or(EINVAL)?;
        assert_eq!((taken.pages.count(), taken.is_reserve), (3, false));
        assert!(shelf.take(1).is_none());
        // More than the reserve, then the reserve as a whole, then nothing.
        assert!(shelf.take_last(3, &reserve).is_none());
        let last = shelf.take_last(1, &reserve).ok_or(EINVAL)?;
        assert_eq!((last.pages.count(), last.is_reserve), (2, true));
        assert!(shelf.take_last(1, &reserve).is_none());
        // It is the reserve again when it returns.
        assert!(shelf.give(last.pages, Some(&reserve)));
        assert!(shelf.take(1).is_none());
        assert!(shelf.take_last(2, &reserve).is_some_and(|it| it.is_reserve));
        Ok(())
    }

    #[test]
    fn another_owners_reserve_is_left() -> Result {
        let (mut shelf, first) = shelf(1, 0)?;
        let second = Reserve::new(1);
        shelf.add_reserve(pages(7..8)?);
        let one = shelf.take_last(1, &first).ok_or(EINVAL)?;
        assert!(shelf.take_last(1, &first).is_none());
        assert!(shelf.take_last(1, &second).is_some_and(|it| it.is_reserve));
        assert!(shelf.give(one.pages, Some(&first)));
        assert!(shelf.take_last(1, &second).is_none());
        assert!(shelf.take_last(1, &first).is_some());
        Ok(())
    }

    #[test]
    fn who_waits_is_told_once() -> Result {
        let (mut shelf, reserve) = shelf(1, 1)?;
        let spare = shelf.take_last(1, &reserve).ok_or(EINVAL)?;
        let last = shelf.take_last(1, &reserve).ok_or(EINVAL)?;
        for _ in 0..2 {
            assert!(shelf.take_last(1, &reserve).is_none());
        }
        assert!(shelf.give(spare.pages, None));
        assert!(!shelf.give(last.pages, Some(&reserve)));
        Ok(())
    }

    #[test]
    fn what_was_not_needed_is_trimmed() -> Result {
        let (mut shelf, reserve) = shelf(1, 6)?;
        // Pages that came in this period may have been needed just before.
        assert_eq!(shelf.trim().count(), 0);
        let taken = shelf.take(4).ok_or(EINVAL)?;
        assert!(!shelf.give(taken.pages, None));
        assert_eq!(shelf.trim().count(), 2);
        // Nothing was needed: all go but the reserve.
        assert_eq!(shelf.trim().count(), 4);
        assert_eq!(shelf.trim().count(), 0);
        assert!(shelf.take_last(1, &reserve).is_some());
        assert_eq!(shelf.trim().count(), 0);
        Ok(())
    }

    #[test]
    fn a_reserve_that_is_removed_serves_the_next() -> Result {
        let (mut shelf, reserve) = shelf(2, 1)?;
        assert_eq!(shelf.reserve_spare(2), 1);
        assert_eq!(shelf.reserve_spare(2), 0);
        shelf.remove_reserve(&Reserve::new(1));
        for _ in 0..3 {
            shelf.remove_reserve(&Reserve::new(2));
            assert_eq!(shelf.reserve_spare(2), 2);
        }
        assert_eq!(
            (
                shelf.take(1).map(|it| it.pages.count()),
                shelf.trim().count()
            ),
            (Some(1), 0)
        );
        assert!(shelf.take_last(1, &reserve).is_some_and(|it| it.is_reserve));
        Ok(())
    }

    #[test]
    fn a_reserve_that_is_removed_is_spare() -> Result {
        let (mut shelf, reserve) = shelf(2, 0)?;
        shelf.remove_reserve(&reserve);
        assert!(shelf
            .take_last(1, &reserve)
            .is_some_and(|it| !it.is_reserve));
        assert!(shelf.take_last(2, &reserve).is_none());
        Ok(())
    }
}
