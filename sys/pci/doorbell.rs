// SPDX-License-Identifier: GPL-2.0

//! Doorbells: registers of BAR 0, and their shadows in memory, if the controller supports them.
//!
//! With shadow doorbells (NVMe Base 2.0, 5.8 and annex B.5) the host stores the new value in
//! memory. It writes the register only if the new value passed the event index, the value at which
//! the controller stopped reading the memory. On an emulated controller a register write costs an
//! exit of the guest; a store does not.

// The protocol of shadow and event index.
mod shadow;

use self::shadow::SharedWords;
use super::bar::Bar;
use core::{
    cell::UnsafeCell,
    ptr::NonNull,
    sync::atomic::{
        compiler_fence,
        Ordering, //
    }, //
};
use kernel::{
    device::{
        Bound,
        Device, //
    },
    dma::{
        Coherent,
        DmaAddress, //
    },
    prelude::*,
    sync::Arc, //
};

/// The number of 32-bit values of a page.
const PER_PAGE: usize = 1024;

/// The page of shadow doorbells and, after it, the page of event indices. Each page has the layout
/// of the doorbells in the BAR, so an event index is always one page behind its shadow doorbell.
pub(crate) struct Shadows(Coherent<[u32]>);

impl Shadows {
    /// Allocates both pages, zeroed: the values of newly created queues.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(dev: &Device<Bound>) -> Result<Arc<Self>> {
        let pages = Coherent::zeroed_slice(dev, 2 * PER_PAGE, GFP_KERNEL)?;
        Ok(Arc::new(Self(pages), GFP_KERNEL)?)
    }

    /// Zeroes both pages. The controller must not know them, and no queue may be in use.
    pub(crate) fn clear(&self) {
        let first: *mut u32 = self.0.as_mut_ptr().cast();
        for index in 0..2 * PER_PAGE {
            // SAFETY: the pages have that many values, and are accessed by volatile stores and
            // loads of aligned values only.
            unsafe { first.add(index).write_volatile(0) };
        }
    }

    /// The device's address of the page of shadow doorbells.
    pub(crate) fn doorbells(&self) -> DmaAddress {
        self.0.dma_address()
    }

    /// The device's address of the page of event indices.
    pub(crate) fn events(&self) -> DmaAddress {
        // CAST: 4096; widening.
        self.0.dma_address() + (PER_PAGE * size_of::<u32>()) as DmaAddress
    }
}

/// One doorbell.
///
/// # Invariants
///
/// `ptr` is 4-byte aligned and points into the mapping that `home` keeps, or to `home.nowhere`.
/// `shadow` and `home.shadow` point into the first of the pages that `home` keeps.
pub(crate) struct Doorbell {
    ptr: *mut u32,
    /// `None` while the register alone is written.
    shadow: Option<Shadow>,
    /// Boxed, so that the doorbell shares a cache line with the other data that a command needs.
    home: KBox<Home>,
}

/// The location of a doorbell.
struct Home {
    bar: Arc<Bar>,
    /// Bytes from the beginning of the BAR.
    offset: usize,
    /// The target of the stores of a muted doorbell, which is never read. It saves
    /// [`Doorbell::ring`] a test.
    nowhere: UnsafeCell<u32>,
    /// The shadow, whether it is used or not.
    shadow: Option<Shadow>,
    _shadows: Option<Arc<Shadows>>,
}

/// The address of the shadow of a doorbell: see the head of the file.
#[derive(Clone, Copy)]
struct Shadow(NonNull<u32>);

// SAFETY: the pointers of a doorbell point into a mapping and into memory that `home` keeps
// (`nowhere`, which is never read, included). Aligned 32-bit accesses to them do not tear, from any
// CPU.
unsafe impl Send for Doorbell {}
// SAFETY: as above; `ring` takes `&self` and does aligned volatile accesses.
unsafe impl Sync for Doorbell {}

impl Doorbell {
    /// The doorbell at byte `offset` of `bar`, with its shadow if there are `shadows`. `base` is
    /// the offset of the first doorbell.
    ///
    /// # Errors
    ///
    /// `ENXIO` if the BAR or the page of shadows ends before the doorbell, or it is not aligned;
    /// `ENOMEM`.
    pub(crate) fn new(
        bar: &Arc<Bar>,
        base: usize,
        offset: usize,
        shadows: Option<&Arc<Shadows>>,
    ) -> Result<Self> {
        let end = offset.checked_add(size_of::<u32>()).ok_or(ENXIO)?;
        if end > bar.len() || offset % size_of::<u32>() != 0 {
            return Err(ENXIO);
        }
        let shadow = match shadows {
            Some(pages) => {
                let index = offset.checked_sub(base).ok_or(ENXIO)? / size_of::<u32>();
                if index >= PER_PAGE {
                    return Err(ENXIO);
                }
                let first: *mut u32 = pages.0.as_mut_ptr().cast();
                // INVARIANT: the index is below the number of elements of a page.
                // SAFETY: the page has this element, as just checked.
                let value = unsafe { first.add(index) };
                Some(Shadow(NonNull::new(value).ok_or(ENXIO)?))
            }
            None => None,
        };
        let home = Home {
            bar: bar.clone(),
            offset,
            nowhere: UnsafeCell::new(0),
            shadow,
            _shadows: shadows.cloned(),
        };
        // INVARIANT: aligned and inside the mapping, as checked; `home` keeps mapping and pages.
        Ok(Self {
            ptr: home.register(),
            shadow,
            home: KBox::new(home, GFP_KERNEL)?,
        })
    }

    /// From now on [`Self::ring`] does not write the register.
    pub(crate) fn mute(&mut self) {
        // INVARIANT: `home` is boxed, so `nowhere` does not move.
        self.ptr = self.home.nowhere.get();
    }

    /// From now on [`Self::ring`] writes the register again.
    pub(crate) fn unmute(&mut self) {
        // INVARIANT: as in `new`.
        self.ptr = self.home.register();
    }

    /// Whether [`Self::ring`] uses the shadow from now on, if there is one. The controller must not
    /// know the queue.
    pub(crate) fn use_shadow(&mut self, is_used: bool) {
        // INVARIANT: as in `new`.
        self.shadow = self.home.shadow.filter(|_| is_used);
    }

    /// Whether a page of shadows has room for the doorbell at `offset`. `base` is the offset of the
    /// first doorbell.
    pub(crate) const fn has_shadow(base: usize, offset: usize) -> bool {
        offset >= base && offset - base < PER_PAGE * size_of::<u32>()
    }

    /// Tells the controller that the value went from `old` to `new`. Every store that precedes this
    /// call is visible to the controller before that.
    #[inline(always)]
    pub(crate) fn ring(&self, (old, new): (u16, u16)) {
        if let Some(shadow) = &self.shadow {
            if !shadow::update(shadow, old, new) {
                return;
            }
        }
        self.write(new.into());
    }

    /// Writes the register. On x86-64 this is the code of `writel`, without the call that `writel`
    /// is in Rust: the CPU does not reorder stores, so a compiler fence is enough.
    #[inline(always)]
    fn write(&self, value: u32) {
        #[cfg(target_arch = "x86_64")]
        {
            compiler_fence(Ordering::SeqCst);
            // SAFETY: by the type invariant `ptr` is aligned, and mapped or in memory of ours.
            unsafe { self.ptr.write_volatile(value) };
            compiler_fence(Ordering::SeqCst);
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            // `writel` is for registers only, and `nowhere` is memory.
            if self.ptr != self.home.nowhere.get() {
                // SAFETY: by the type invariant `ptr` is aligned and mapped.
                unsafe { kernel::bindings::writel(value, self.ptr.cast()) };
            }
        }
    }
}

impl Home {
    /// The address of the register.
    fn register(&self) -> *mut u32 {
        (self.bar.addr() + self.offset) as *mut u32
    }
}

impl SharedWords for Shadow {
    #[inline(always)]
    fn store_shadow(self, value: u32) {
        // SAFETY: by the invariant of `Doorbell` the pointer is aligned and points to
        // memory that it keeps.
        unsafe { self.0.write_volatile(value.to_le()) };
    }

    #[inline(always)]
    fn load_event(self) -> u32 {
        // SAFETY: as above; the event index is a page further on, in the second page.
        u32::from_le(unsafe { self.0.add(PER_PAGE).read_volatile() })
    }
}
