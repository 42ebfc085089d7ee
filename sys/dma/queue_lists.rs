// SPDX-License-Identifier: GPL-2.0

//! The lists of a queue: small ones by tag, larger ones from the pool of the controller.
//!
//! A small list is an eighth of a page, aligned to its size: there are drives that misread a list
//! which is not, or which ends with its page. A page has the lists of eight consecutive tags. It
//! comes from the pool when one of them first needs a list, and stays, so that a request finds its list by one load and gives nothing back. A
//! page that no request has used for a while returns to the pool in two steps (see [`Group`]):
//!
//! 1. [`QueueLists::trim`] makes it resting. From then on [`QueueLists::get`] does not return it. A
//!    request that needs the list makes it ready again ([`QueueLists::supply`]).
//! 2. At a later call, a page that is still resting has no user if none of its tags is in flight:
//!    every request that [`QueueLists::get`] gave the list before the first step has been put in
//!    flight, or refused, because an RCU grace period has passed.
//!
//! blk-mq calls the driver to submit requests in an RCU read-side critical section
//! (`blk_mq_run_dispatch_ops`): see [`Dispatch`].

use super::{
    group::Group,
    lease::{
        Lease,
        ListPage, //
    },
    list_memory::FixedList,
    page_pool::PagePool,
    shelf::Reserve, //
};
use crate::{
    num::usize_as_u64,
    nvme::PAGE_SIZE,
    sys::{
        base::SpinLock,
        block::Dispatch,
        ffi as bindings,
        pci::{
            numa,
            vec_on, //
        }, //
    },
};
use kernel::{
    device::Device,
    prelude::*,
    static_lock_class,
    sync::Arc, //
};

/// The words of a small list.
pub(crate) const SMALL: usize = 64;

/// The tags of a group.
const TAGS: usize = PAGE_SIZE / BYTES;

/// The bytes of a small list.
const BYTES: usize = SMALL * size_of::<u64>();

/// What the lock protects.
struct Owned {
    /// The page of each group.
    pages: KVec<Option<KBox<ListPage>>>,
    /// How many of them there are.
    count: usize,
    /// The state of RCU when groups were last made resting.
    rested: Option<c_ulong>,
    /// The place in the ring at the last look.
    place: usize,
    /// How many more looks a busy queue keeps its pages.
    patience: u32,
}

/// How many looks a busy queue keeps its pages: five minutes.
const PATIENCE: u32 = 30;

impl Owned {
    /// Whether pages may go now. `place` is the place in the ring.
    fn may_trim(&mut self, place: usize) -> bool {
        let is_busy = core::mem::replace(&mut self.place, place) != place;
        if is_busy && self.patience > 0 {
            self.patience -= 1;
            return false;
        }
        self.patience = PATIENCE;
        true
    }
}

/// The lists of a queue that are rarely touched.
#[pin_data]
struct Seldom {
    pool: Arc<PagePool>,
    /// For a request that finds no memory.
    reserve: Reserve,
    /// LOCK: the small lists of a queue, while pages come and go; inside: `PagePool::shelves`, and
    /// only locks of the kernel's own (allocations that do not wait).
    #[pin]
    owned: SpinLock<Owned>,
}

/// The lists of a queue: small ones by tag, others from the pool of the controller.
///
/// # Invariants
///
/// A list that [`Self::get`] returns is part of a page in `owned`, which stays there until no
/// [`Dispatch`] that was there at the call is left.
pub(crate) struct QueueLists {
    groups: KVec<Group>,
    rest: Pin<KBox<Seldom>>,
}

impl QueueLists {
    /// The lists of a queue of `dev` with tags 0 to `tags - 1`, from `pool`. A request needs at most
    /// `most` pages.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(dev: &Device, pool: &Arc<PagePool>, tags: u16, most: usize) -> Result<Self> {
        let node = numa::of(dev);
        let count = usize::from(tags).div_ceil(TAGS);
        let (mut groups, mut pages) = (vec_on(node, count)?, vec_on(node, count)?);
        for _ in 0..count {
            groups.push(Group::none(), GFP_KERNEL)?;
            pages.push(None, GFP_KERNEL)?;
        }
        let owned = Owned {
            pages,
            count: 0,
            rested: None,
            place: 0,
            patience: PATIENCE,
        };
        let rest = KBox::pin_init(
            try_pin_init!(Seldom {
                pool: pool.clone(),
                reserve: pool.reserve(most)?,
                owned <- SpinLock::new(owned, c"rnvme_lists", static_lock_class!()),
            }? Error),
            GFP_KERNEL,
        )?;
        Ok(Self { groups, rest })
    }

    /// The pool.
    pub(crate) fn pool(&self) -> &Arc<PagePool> {
        &self.rest.pool
    }

    /// The small list of `tag`, if it is ready.
    #[inline(always)]
    pub(crate) fn get<'a>(&'a self, tag: u16, _: Dispatch<'a>) -> Option<FixedList<'a, SMALL>> {
        let tag = usize::from(tag);
        let group = self.groups.get(tag / TAGS)?;
        let (base, address) = group.find()?;
        let offset = tag % TAGS * BYTES;
        let address = address.wrapping_add(usize_as_u64(offset));
        // CAST: it is the address of a page, which has `TAGS` lists.
        let base = base.wrapping_add(offset) as *mut u64;
        // SAFETY: the page has `SMALL` words there. `address` is the device's address of them: it
        // does not change before the dispatch ends, see the invariant of `Group`. The page stays
        // until then, by the type invariant.
        Some(unsafe { FixedList::new(base, address) })
    }

    /// The small list of `tag`, which is made ready if there is memory.
    #[cold]
    pub(crate) fn supply<'a>(
        &'a self,
        tag: u16,
        dispatch: Dispatch<'a>,
    ) -> Option<FixedList<'a, SMALL>> {
        let list = self.get(tag, dispatch);
        if list.is_some() {
            return list;
        }
        let index = usize::from(tag) / TAGS;
        let group = self.groups.get(index)?;
        let mut owned = self.rest.owned.lock();
        let owned_now = &mut *owned;
        let page = owned_now.pages.get_mut(index)?;
        match page {
            // It rested, or another request was faster.
            Some(page) => set(group, page),
            None => {
                set(group, page.insert(self.rest.pool.take_page()?));
                owned_now.count += 1;
            }
        }
        drop(owned);
        self.get(tag, dispatch)
    }

    /// Takes `pages` pages for one request, or the reserve of the queue. `None` if there is no memory:
    /// the block layer tries again when a page has come back.
    pub(crate) fn lease(&self, pages: usize) -> Option<Lease> {
        self.rest.pool.lease(pages, &self.rest.reserve)
    }

    /// Takes `lease` back. The device must be done with its pages.
    pub(crate) fn release(&self, lease: Lease) {
        self.rest.pool.release(lease, &self.rest.reserve);
    }

    /// Gives pages of small lists back that no request has used since the call before the last one,
    /// and for an RCU grace period. A queue whose `place` in the ring is another than at the last call
    /// keeps its pages for [`PATIENCE`] calls. `is_in_flight` says whether the device has a command of
    /// a tag.
    pub(crate) fn trim(&self, place: usize, is_in_flight: impl Fn(u16) -> bool) {
        let mut owned = self.rest.owned.lock();
        let owned = &mut *owned;
        if owned.count == 0 || !owned.may_trim(place) {
            return;
        }
        // SAFETY: the cookie is one that `start_poll_synchronize_rcu` returned.
        let has_rested = |cookie| unsafe { bindings::poll_state_synchronize_rcu(cookie) };
        if owned.rested.is_some_and(|cookie| !has_rested(cookie)) {
            return;
        }
        let mut is_any_ready = false;
        for ((first, group), page) in (0..).step_by(TAGS).zip(&self.groups).zip(&mut owned.pages) {
            if group.rest() {
                is_any_ready = true;
            } else if page.is_some() && !(first..).take(TAGS).any(&is_in_flight) {
                // The group has rested since the last call or longer, and an RCU grace period has
                // passed since. Each request that found the list before is no longer being
                // submitted: it is in flight or does not use the list. None is in flight.
                group.clear();
                if let Some(page) = page.take() {
                    self.rest.pool.put_page(page);
                    owned.count -= 1;
                }
            }
        }
        // It orders the stores above before the grace period.
        // SAFETY: may be called in any context.
        owned.rested = is_any_ready.then(|| unsafe { bindings::start_poll_synchronize_rcu() });
    }
}

/// Makes `page` ready as the page of `group`.
fn set(group: &Group, page: &ListPage) {
    // CAST: an address.
    group.set(page.base() as usize, page.address());
}

impl Drop for QueueLists {
    fn drop(&mut self) {
        let mut owned = self.rest.owned.lock();
        for page in &mut owned.pages {
            if let Some(page) = page.take() {
                self.rest.pool.put_page(page);
            }
        }
        drop(owned);
        self.rest.pool.unreserve(&self.rest.reserve);
    }
}
