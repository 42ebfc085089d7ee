// SPDX-License-Identifier: GPL-2.0

//! The driver's group of small lists; the rest as the driver's `QueueLists` and `Queue::trim_lists`
//! have it, for one group with two pages and one tag.

#[allow(dead_code, reason = "the driver's own file")]
#[path = "../../../sys/dma/group.rs"]
mod group;

use self::group::Group;
use crate::sys::{
    atomic::Ordering,
    base::SpinLock, //
};
use loom::{
    cell::UnsafeCell,
    sync::{
        atomic::AtomicBool,
        RwLock, //
    },
};

/// Bytes of a page.
const PAGE: usize = 4096;
/// What the device adds to the address of a page.
const OFFSET: u64 = 0x1_0000;

/// What the lock protects.
struct Owned {
    /// The index of the page of the group.
    page: Option<usize>,
    /// How many pages were taken so far.
    taken: usize,
}

/// The lists of a queue.
pub(crate) struct QueueLists {
    group: Group,
    owned: SpinLock<Owned>,
    /// The contents of the pages.
    memory: [UnsafeCell<u32>; 2],
    /// `Queue::submission`.
    submission: SpinLock<()>,
    /// Whether the slot of the tag is in use.
    is_in_flight: AtomicBool,
    /// Who holds it to read is in an RCU read-side critical section. Who takes it to write and lets
    /// it go has waited for a grace period.
    rcu: RwLock<()>,
}

/// What came of a request.
#[derive(PartialEq, Eq)]
pub(crate) enum Request {
    /// It found its list.
    Found,
    /// It made its list ready.
    Supplied,
    /// The list went to rest at once.
    Refused,
}

impl QueueLists {
    /// The group has a page if `is_ready`.
    pub(crate) fn new(is_ready: bool) -> Self {
        let lists = Self {
            group: Group::none(),
            owned: SpinLock::new(Owned {
                page: None,
                taken: 0,
            }),
            memory: [0, 0].map(UnsafeCell::new),
            submission: SpinLock::new(()),
            is_in_flight: AtomicBool::new(false),
            rcu: RwLock::new(()),
        };
        if is_ready {
            lists.supply();
        }
        lists
    }

    /// The page at `base` is the one that the device has at `address`; returns its index.
    fn index((base, address): (usize, u64)) -> usize {
        assert_eq!(base as u64 + OFFSET, address, "the address of another page");
        base / PAGE - 1
    }

    /// `QueueLists::supply`.
    fn supply(&self) -> Option<usize> {
        let mut owned = self.owned.lock();
        let page = match owned.page {
            Some(page) => page,
            None => {
                let page = owned.taken;
                owned.taken += 1;
                owned.page = Some(page);
                page
            }
        };
        let base = (page + 1) * PAGE;
        self.group.set(base, base as u64 + OFFSET);
        drop(owned);
        self.group.find().map(Self::index)
    }

    /// The page of the list, and how it was found.
    fn list(&self) -> Option<(usize, Request)> {
        match self.group.find() {
            Some(found) => Some((Self::index(found), Request::Found)),
            None => Some((self.supply()?, Request::Supplied)),
        }
    }

    /// A request that looks for its list only.
    pub(crate) fn find_or_supply(&self) -> Request {
        self.list().map_or(Request::Refused, |(_, result)| result)
    }

    /// A request that writes its list and is put in flight; the device reads the list and completes
    /// the command.
    pub(crate) fn request(&self) -> Request {
        let dispatch = self.rcu.read().expect("no holder panics");
        let (page, result) = match self.list() {
            Some(found) => found,
            None => return Request::Refused,
        };
        // SAFETY: the page is the request's until its command has completed; loom checks it.
        self.memory[page].with_mut(|list| unsafe { *list += 1 });
        let submission = self.submission.lock();
        self.is_in_flight.store(true, Ordering::Release);
        drop(submission);
        drop(dispatch);
        // SAFETY: as above.
        self.memory[page].with(|list| assert_ne!(unsafe { *list }, 0, "the list was freed"));
        self.is_in_flight.store(false, Ordering::Release);
        result
    }

    /// Two looks at the lists, with an RCU grace period in between; returns whether the page went.
    pub(crate) fn trim_twice(&self) -> bool {
        self.trim();
        if !cfg!(feature = "no_grace") {
            drop(self.rcu.write().expect("no holder panics"));
        }
        self.trim()
    }

    /// `QueueLists::trim`.
    fn trim(&self) -> bool {
        let _submission = self.submission.lock();
        let mut owned = self.owned.lock();
        let is_in_flight =
            !cfg!(feature = "flight_ignored") && self.is_in_flight.load(Ordering::Acquire);
        if self.group.rest() || owned.page.is_none() || is_in_flight {
            return false;
        }
        self.group.clear();
        let page = owned.page.take().expect("there is a page");
        // SAFETY: no one uses the page any more; loom checks it.
        self.memory[page].with_mut(|list| unsafe { *list = 0 });
        true
    }
}
