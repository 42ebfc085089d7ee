// SPDX-License-Identifier: GPL-2.0

//! The pages of a controller's PRP and SGL lists and ranges, and room to note what must be unmapped:
//! one pool for all queues.
//!
//! A request that needs a page of its own has a [`Lease`] while it is in flight; other pages are cut
//! into small lists (`sys/dma/queue_lists.rs`). If no page is free, one is allocated without
//! waiting. If there is no memory, a request takes the [`Reserve`] of its queue. If that is in use,
//! the block layer tries again as soon as a page comes back. A page is freed by [`PagePool::trim`]
//! or with the pool, never in an interrupt.

use super::{
    lease::{
        How,
        Lease,
        ListPage, //
    },
    shelf::{
        Linked,
        Reserve,
        Shelf,
        Stack,
        Taken, //
    },
};
use crate::{nvme::PAGE_SIZE, sys::base::Work};
use core::sync::atomic::{
    AtomicU32,
    Ordering::Relaxed, //
};
use kernel::{
    device::{
        Bound,
        Device, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        new_spinlock_irq,
        Arc,
        SpinLockIrq, //
    },
};

/// The number of pairs of a [`Note`].
pub(super) const NOTED: usize = 255;

/// Room for addresses and lengths of mappings, in memory that the device cannot reach.
#[derive(Zeroable)]
pub(super) struct Note {
    pub(super) segments: [[u64; 2]; NOTED],
    next: Option<KBox<Note>>,
}

const _: () = assert!(size_of::<Note>() <= PAGE_SIZE);

impl Linked for Note {
    fn next(&mut self) -> &mut Option<KBox<Self>> {
        &mut self.next
    }
}

/// What is free.
struct Shelves {
    pages: Shelf<ListPage>,
    notes: Shelf<Note>,
}

/// The pages and notes of a controller that are free.
#[pin_data(PinnedDrop)]
pub(crate) struct PagePool {
    dev: ARef<Device>,
    /// Tells pages of different pools apart.
    number: u32,
    /// Has the block layer try again.
    retry: Arc<Work>,
    note_reserve: Reserve,
    /// LOCK: the free pages of a controller; inside: nothing. Completions take it in interrupts, so
    /// its holder allocates and frees nothing.
    #[pin]
    shelves: SpinLockIrq<Shelves>,
}

/// The number of the next pool.
static NUMBERS: AtomicU32 = AtomicU32::new(1);

impl PagePool {
    /// A pool for `dev` without pages. `retry` is queued when a page comes back for which a request
    /// waits.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(dev: &Device<Bound>, retry: Arc<Work>) -> Result<Arc<Self>> {
        let dev: &Device = dev;
        let pool = Arc::pin_init(
            pin_init!(Self {
                dev: dev.into(),
                number: NUMBERS.fetch_add(1, Relaxed),
                retry,
                note_reserve: Reserve::new(1),
                shelves <- new_spinlock_irq!(Shelves {
                    pages: Shelf::new(),
                    notes: Shelf::new(),
                }),
            }),
            GFP_KERNEL,
        )?;
        let mut notes = Stack::new();
        notes.push(new_note(How::Wait)?);
        pool.shelves.lock().notes.add_reserve(notes);
        Ok(pool)
    }

    /// The number of the pool, which no other has.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    fn new_page(&self, how: How) -> Result<KBox<ListPage>> {
        let dev = crate::sys::pci::raw_device(&self.dev);
        // SAFETY: `dev` keeps the device. Pages are allocated for queues that are made, and for
        // requests of a queue; the driver removes its queues before the device is unbound.
        unsafe { ListPage::new(dev, self.number, how) }
    }

    /// `count` new pages.
    ///
    /// # Errors
    ///
    /// Returns as many as there is memory for.
    fn new_pages(&self, count: usize, how: How) -> Result<Stack<ListPage>, Stack<ListPage>> {
        let mut pages = Stack::new();
        while pages.count() < count {
            match self.new_page(how) {
                Ok(page) => pages.push(page),
                Err(_) => return Err(pages),
            }
        }
        Ok(pages)
    }

    /// Reserves `pages` pages for a queue, so that one of its requests always has them. Pages that are
    /// free come first: those of the queues of a bring-up that failed, for instance.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn reserve(&self, pages: usize) -> Result<Reserve> {
        let found = self.shelves.lock().pages.reserve_spare(pages);
        match self.new_pages(pages - found, How::Wait) {
            Ok(new) => {
                self.shelves.lock().pages.add_reserve(new);
                Ok(Reserve::new(pages))
            }
            Err(some) => {
                self.unreserve(&Reserve::new(found));
                self.put_back(some);
                Err(ENOMEM)
            }
        }
    }

    /// Gives up `reserve`, which no request uses any more.
    pub(super) fn unreserve(&self, reserve: &Reserve) {
        self.shelves.lock().pages.remove_reserve(reserve);
    }

    /// Takes `pages` pages, or the `reserve` of the queue. `None` if there is no memory: the block
    /// layer tries again when a page has come back.
    pub(super) fn lease(&self, pages: usize, reserve: &Reserve) -> Option<Lease> {
        let found = self.shelves.lock().pages.take(pages);
        let taken = match found {
            Some(taken) => taken,
            None => match self.new_pages(pages, How::Now) {
                Ok(pages) => Taken {
                    pages,
                    is_reserve: false,
                },
                Err(some) => {
                    self.put_back(some);
                    self.shelves.lock().pages.take_last(pages, reserve)?
                }
            },
        };
        Lease::new(taken, reserve)
    }

    /// Takes `lease` back. The device must be done with the pages. `reserve` is that of the queue
    /// that took the lease: a lease of another queue or device is kept for good.
    pub(super) fn release(&self, lease: Lease, reserve: &Reserve) {
        let Some((pages, is_reserve)) = lease.into_pages(self.number, reserve) else {
            return;
        };
        let reserve = is_reserve.then_some(reserve);
        let is_awaited = self.shelves.lock().pages.give(pages, reserve);
        if is_awaited {
            self.retry.queue();
        }
    }

    /// A page, if there is memory, that no request has to give back.
    pub(super) fn take_page(&self) -> Option<KBox<ListPage>> {
        let found = self.shelves.lock().pages.take(1);
        match found {
            Some(mut taken) => taken.pages.pop(),
            None => self.new_page(How::Now).ok(),
        }
    }

    /// Takes back what [`Self::take_page`] returned.
    pub(super) fn put_page(&self, page: KBox<ListPage>) {
        self.put_back(Stack::from_chain(page));
    }

    fn put_back(&self, pages: Stack<ListPage>) {
        if pages.count() > 0 && self.shelves.lock().pages.give(pages, None) {
            self.retry.queue();
        }
    }

    /// Room to note mappings; `None` if there is no memory.
    pub(super) fn take_note(&self) -> Option<KBox<Note>> {
        let found = self.shelves.lock().notes.take(1);
        if let Some(mut taken) = found {
            return taken.pages.pop();
        }
        if let Ok(note) = new_note(How::Now) {
            return Some(note);
        }
        let mut shelves = self.shelves.lock();
        shelves.notes.take_last(1, &self.note_reserve)?.pages.pop()
    }

    /// Takes back what [`Self::take_note`] returned.
    pub(super) fn put_note(&self, note: KBox<Note>) {
        let mut notes = Stack::new();
        notes.push(note);
        let is_awaited = {
            let mut shelves = self.shelves.lock();
            // Any note will do.
            let is_out = shelves.notes.is_out(&self.note_reserve);
            let reserve = is_out.then_some(&self.note_reserve);
            shelves.notes.give(notes, reserve)
        };
        if is_awaited {
            self.retry.queue();
        }
    }

    /// Frees what was not needed since the last call. May sleep. No command that used a free page may
    /// still be in the controller: the controller is live, and has not been stopped since the page
    /// came back.
    pub(crate) fn trim(&self) {
        let (mut pages, notes) = {
            let mut shelves = self.shelves.lock();
            (shelves.pages.trim(), shelves.notes.trim())
        };
        self.free(&mut pages);
        drop(notes);
    }

    fn free(&self, pages: &mut Stack<ListPage>) {
        let dev = crate::sys::pci::raw_device(&self.dev);
        while let Some(page) = pages.pop() {
            // SAFETY: a page of the pool is of its device. It was free, so the device is done with it.
            unsafe { ListPage::free(page, dev) };
        }
    }
}

/// A new note.
fn new_note(how: How) -> Result<KBox<Note>> {
    let flags = match how {
        How::Wait => GFP_KERNEL,
        How::Now => GFP_ATOMIC | __GFP_NOWARN,
    };
    Ok(KBox::zeroed(flags)?)
}

#[pinned_drop]
impl PinnedDrop for PagePool {
    fn drop(self: Pin<&mut Self>) {
        let mut pages = self.shelves.lock().pages.take_all();
        self.free(&mut pages);
    }
}

#[kunit_tests(rnvme_page_pool)]
mod tests {
    use super::*;
    use crate::sys::base::{
        Job,
        Urgency, //
    };
    use kernel::{
        faux,
        static_lock_class, //
    };

    /// Counts how often it runs.
    struct Count(AtomicU32);

    impl Job for Count {
        fn run(&self) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn what_comes_back_has_those_that_wait_try_again() -> Result {
        let device = faux::Registration::new(c"rnvme-page-pool", None)?;
        let job = Arc::new(Count(AtomicU32::new(0)), GFP_KERNEL)?;
        let retry = Work::new(c"rnvme test", static_lock_class!(), Urgency::Reset)?;
        retry.open(job.clone());
        let retries = || {
            retry.flush();
            job.0.swap(0, Relaxed)
        };
        let pool = PagePool::new(device.as_ref().as_ref(), retry.clone())?;
        let reserve = Reserve::new(1);
        // No request uses the page, which has no memory.
        let page = Stack::from_chain(ListPage::empty(pool.number, GFP_KERNEL)?);
        pool.shelves.lock().pages.add_reserve(page);
        // As `PagePool::lease` does where there is no memory.
        let lease = |reserve: &Reserve| {
            let taken = pool.shelves.lock().pages.take_last(1, reserve)?;
            Lease::new(taken, reserve)
        };
        for waits in [false, true, false] {
            let held = lease(&reserve).ok_or(EINVAL)?;
            for _ in 0..2 * u32::from(waits) {
                assert!(lease(&reserve).is_none());
            }
            assert_eq!(retries(), 0);
            // Once for all that wait.
            pool.release(held, &reserve);
            assert_eq!(retries(), u32::from(waits));
        }
        // Room to note mappings.
        let note = || pool.shelves.lock().notes.take_last(1, &pool.note_reserve);
        let held = note().and_then(|mut it| it.pages.pop()).ok_or(EINVAL)?;
        assert!(note().is_none());
        assert_eq!(retries(), 0);
        pool.put_note(held);
        assert_eq!(retries(), 1);
        assert!(note().is_some());
        // The pool must not free memory that there is not.
        drop(pool.shelves.lock().pages.take_all());
        Ok(())
    }
}
