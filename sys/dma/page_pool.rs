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
    list_memory::FixedList,
    shelf::{
        Linked,
        Reserve,
        Shelf,
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
    sys::{
        base::Work,
        ffi as bindings, //
    },
};
use core::sync::atomic::{
    AtomicU32,
    Ordering::Relaxed, //
};
use kernel::{
    device::{
        Bound,
        Device, //
    },
    dma::DmaAddress,
    prelude::*,
    sync::{
        aref::ARef,
        new_spinlock_irq,
        Arc,
        SpinLockIrq, //
    },
};

/// A page that the device reads and writes. Dropped, it is leaked: only a [`PagePool`] frees it.
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
    /// A zeroed page for `dev` of the pool with the number `pool`.
    ///
    /// # Safety
    ///
    /// `dev` is valid and bound to this driver.
    unsafe fn new(dev: *mut bindings::device, pool: u32, how: How) -> Result<KBox<Self>> {
        let (flags, raw) = match how {
            How::Wait => (GFP_KERNEL, bindings::GFP_KERNEL),
            How::Now => (
                GFP_ATOMIC | __GFP_NOWARN,
                bindings::GFP_ATOMIC | bindings::__GFP_NOWARN,
            ),
        };
        let page = Self {
            base: core::ptr::null_mut(),
            address: 0,
            next: None,
            pool,
            reserve: 0,
        };
        let mut page = KBox::new(page, flags)?;
        // INVARIANT: coherent memory of one page, if there is any; else the value is dropped.
        // SAFETY: the caller promises that the device is valid.
        let base = unsafe { bindings::dma_alloc_attrs(dev, PAGE_SIZE, &mut page.address, raw, 0) };
        if base.is_null() {
            return Err(ENOMEM);
        }
        page.base = base.cast();
        Ok(page)
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
enum How {
    Wait,
    Now,
}

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

/// Pages that one request uses alone: a list, or ranges. The pages are linked.
#[repr(transparent)]
pub(crate) struct Lease(KBox<ListPage>);

// SAFETY: a `KBox` is never null, and all zeroes is the `None` of an `Option` of it; `Lease` is
// transparent.
unsafe impl pin_init::ZeroableOption for Lease {}

impl Lease {
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

    /// Allocates `pages` pages for a queue, so that one of its requests always has them.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn reserve(&self, pages: usize) -> Result<Reserve> {
        match self.new_pages(pages, How::Wait) {
            Ok(new) => {
                self.shelves.lock().pages.add_reserve(new);
                Ok(Reserve::new(pages))
            }
            Err(some) => {
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
        let mut first = taken.pages.into_chain()?;
        first.reserve = match taken.is_reserve {
            true => reserve.number(),
            false => 0,
        };
        Some(Lease(first))
    }

    /// Takes `lease` back. The device must be done with the pages. `reserve` is that of the queue
    /// that took the lease: a lease of another queue or device is kept for good.
    pub(super) fn release(&self, mut lease: Lease, reserve: &Reserve) {
        let of_reserve = core::mem::take(&mut lease.0.reserve);
        let to = (self.number, reserve.number());
        if !may_return((lease.0.pool, of_reserve), to) {
            kernel::pr_warn_once!("a PRP list came back to another queue: its memory is kept\n");
            core::mem::forget(lease);
            return;
        }
        let reserve = (of_reserve != 0).then_some(reserve);
        let pages = Stack::from_chain(lease.0);
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
            // SAFETY: by the type invariant of `ListPage` the value owned this memory of this
            // device, and it is dropped. The device is done with the memory: the page was free.
            unsafe {
                bindings::dma_free_attrs(dev, PAGE_SIZE, page.base.cast(), page.address, 0);
            }
        }
    }
}

/// Whether a lease may return to the pool and the queue's reserve with the numbers `to`: `from` has the
/// number of its pool, and that of the reserve that it is, or 0.
const fn may_return(from: (u32, u32), to: (u32, u32)) -> bool {
    from.0 == to.0 && (from.1 == 0 || from.1 == to.1)
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
