// SPDX-License-Identifier: GPL-2.0

//! Doorbells: registers of BAR 0, and, where the controller takes them, their shadows in memory.
//!
//! With shadow doorbells (NVMe Base 2.0, 5.8 and annex B.5) the host stores the new value in
//! memory, and writes the register only if that passed the value of the event index, at which the
//! controller stopped looking at the memory. On an emulated controller a register write costs an
//! exit of the guest, a store costs nothing.

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

/// 32-bit values of a page.
const PER_PAGE: usize = 1024;

/// The page of shadow doorbells and that of event indices, each laid out as the doorbells in the BAR
/// are: one after the other, so that an event index is always as far from its doorbell.
pub(crate) struct Shadows(Coherent<[u32]>);

impl Shadows {
    /// Allocates both pages, zeroed: as queues are that were just created.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(dev: &Device<Bound>) -> Result<Arc<Self>> {
        let pages = Coherent::zeroed_slice(dev, 2 * PER_PAGE, GFP_KERNEL)?;
        Ok(Arc::new(Self(pages), GFP_KERNEL)?)
    }

    /// Makes both pages as they were when they were new. The controller must not know them, and no
    /// queue be in use.
    pub(crate) fn clear(&self) {
        let first: *mut u32 = self.0.as_mut_ptr().cast();
        for index in 0..2 * PER_PAGE {
            // SAFETY: the pages have that many values, and are accessed by volatile stores and
            // loads of aligned values only.
            unsafe { first.add(index).write_volatile(0) };
        }
    }

    /// The device's address of the page of doorbells.
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
/// `ptr` is 4-byte aligned and either lies in the mapping that `home` keeps, or is that of
/// `home.nowhere`; `shadow` is in the first of the pages that `home` keeps.
pub(crate) struct Doorbell {
    ptr: *mut u32,
    shadow: Option<Shadow>,
    /// Elsewhere: a doorbell is to fit into the cache line of what else a command needs.
    home: KBox<Home>,
}

/// Where a doorbell is.
struct Home {
    bar: Arc<Bar>,
    /// Bytes from the beginning of the BAR.
    offset: usize,
    /// Memory that nobody reads, for a doorbell that is not to be heard: that it is costs
    /// [`Doorbell::ring`] no question.
    nowhere: UnsafeCell<u32>,
    _shadows: Option<Arc<Shadows>>,
}

/// The shadow of a doorbell: see there.
#[derive(Clone, Copy)]
struct Shadow(NonNull<u32>);

// SAFETY: a doorbell is an address in a mapping that `home` keeps, and addresses in memory that it
// keeps, too (`nowhere` among them, which nobody reads); 32-bit accesses to them do not tear, from
// whichever CPU.
unsafe impl Send for Doorbell {}
// SAFETY: as above; `ring` takes `&self` and does aligned volatile accesses.
unsafe impl Sync for Doorbell {}

impl Doorbell {
    /// The doorbell at byte `offset` of `bar`, the first of which is at `base`; with its shadow, if
    /// there are `shadows`.
    ///
    /// # Errors
    ///
    /// `ENXIO` if the BAR, or the page of shadows, ends before it; `ENOMEM`.
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
                // SAFETY: as just checked.
                let value = unsafe { first.add(index) };
                Some(Shadow(NonNull::new(value).ok_or(ENXIO)?))
            }
            None => None,
        };
        let home = Home {
            bar: bar.clone(),
            offset,
            nowhere: UnsafeCell::new(0),
            _shadows: shadows.cloned(),
        };
        // INVARIANT: aligned and inside the mapping, as checked; `home` keeps mapping and pages.
        Ok(Self {
            ptr: home.register(),
            shadow,
            home: KBox::new(home, GFP_KERNEL)?,
        })
    }

    /// From now on the controller does not hear it.
    pub(crate) fn mute(&mut self) {
        // INVARIANT: the box keeps its place.
        self.ptr = self.home.nowhere.get();
    }

    /// The controller hears it again.
    pub(crate) fn unmute(&mut self) {
        // INVARIANT: as in `new`.
        self.ptr = self.home.register();
    }

    /// Whether a page of shadows has room for the doorbell at `offset`, the first of which is at
    /// `base`.
    pub(crate) const fn has_shadow(base: usize, offset: usize) -> bool {
        offset >= base && offset - base < PER_PAGE * size_of::<u32>()
    }

    /// Tells the controller that the value went from `old` to `new`, after every store that
    /// precedes this call has become visible to it.
    #[inline(always)]
    pub(crate) fn ring(&self, (old, new): (u16, u16)) {
        if let Some(shadow) = &self.shadow {
            if !shadow::update(shadow, old, new) {
                return;
            }
        }
        self.write(new.into());
    }

    /// On x86-64 this is what `writel` compiles to, without the call that it is from Rust: stores
    /// are not reordered with stores, so only the compiler must be kept from it.
    #[inline(always)]
    fn write(&self, value: u32) {
        #[cfg(target_arch = "x86_64")]
        {
            compiler_fence(Ordering::SeqCst);
            // SAFETY: by the type invariant `ptr` is aligned and mapped, or in memory of ours.
            unsafe { self.ptr.write_volatile(value) };
            compiler_fence(Ordering::SeqCst);
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            // There it matters what is memory and what a register.
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
        // SAFETY: by the invariant of `Doorbell` the pointer is to memory of ours, aligned.
        unsafe { self.0.write_volatile(value.to_le()) };
    }

    #[inline(always)]
    fn load_event(self) -> u32 {
        // SAFETY: as above; the event index is a page further on, in the second page.
        u32::from_le(unsafe { self.0.add(PER_PAGE).read_volatile() })
    }
}
