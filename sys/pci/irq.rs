// SPDX-License-Identifier: GPL-2.0

//! Interrupt vectors with affinity, and handlers that own what they work on.
//!
//! The state of a handler is exclusively its own. The kernel does not run the handler of one line
//! on two CPUs at once, and [`Line::with_disabled`] keeps it from running; but genirq's poll of a
//! line that it found stuck runs handlers of disabled lines all the same (`kernel/irq/spurious.c`).
//! So whoever works on the state holds a flag: one uncontended exchange for each interrupt.
//!
//! A handler may have a thread. Then the interrupt only looks whether there is something to do, and
//! wakes the thread, which does it. Here the flag is contended in earnest: by the next interrupt,
//! which comes while the thread is at work.

use super::numa;
use crate::{
    policy::QueueCounts,
    sys::ffi as bindings, //
};
use core::{
    cell::UnsafeCell,
    mem::ManuallyDrop,
    sync::atomic::{
        AtomicBool,
        Ordering, //
    }, //
};
use kernel::{
    alloc::NumaNode,
    error::to_result,
    pci,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    },
    time::{
        delay::fsleep,
        Delta, //
    }, //
};

/// Allocated vectors of a device: MSI-X, else MSI, else the pin. Freed when dropped, which is
/// when their last [`Line`] is gone.
pub(crate) struct Vectors {
    pdev: ARef<pci::Device>,
    count: u32,
    /// Whether handlers have threads.
    threads: bool,
}

impl Vectors {
    /// Allocates 1 to `max` vectors. All but the first are spread over the CPUs, and follow them
    /// when these go offline and come back: twice over all CPUs, if `write` is not 0, because the
    /// queues are then of two kinds ([`QueueCounts::read_share`]). Handlers get `threads`, unless the
    /// pin is all there is: its level stays as it is until the thread has run, and so the interrupt
    /// would come again and again.
    ///
    /// # Errors
    ///
    /// What `pci_alloc_irq_vectors_affinity` returns if there is not even one.
    pub(crate) fn allocate(
        pdev: &pci::Device,
        max: u32,
        write: u32,
        threads: bool,
    ) -> Result<Arc<Self>> {
        let mut affinity = bindings::irq_affinity {
            pre_vectors: 1,
            calc_sets: Some(calculate_sets),
            // CAST: `calculate_sets` takes the number back out.
            priv_: write as usize as *mut c_void,
            ..Default::default()
        };
        // A single vector is the admin queue's, or everybody's: nothing to spread.
        let (spread, affinity) = if max > 1 {
            (bindings::PCI_IRQ_AFFINITY, &raw mut affinity)
        } else {
            (0, core::ptr::null_mut())
        };
        // SAFETY: `pdev` is a valid device that this driver is bound to and that has no vectors
        // allocated (`controller.rs` frees the old before it takes new ones; else this fails).
        let count = unsafe {
            bindings::pci_alloc_irq_vectors_affinity(
                super::function::raw(pdev),
                1,
                max.max(1),
                bindings::PCI_IRQ_ALL_TYPES | spread,
                affinity,
            )
        };
        to_result(count.min(0))?;
        let vectors = Self {
            pdev: pdev.into(),
            count: u32::try_from(count)?,
            threads: threads && has_messages(pdev),
        };
        Ok(Arc::new(vectors, GFP_KERNEL)?)
    }

    /// The node of the device: for what its handlers need.
    pub(crate) fn node(&self) -> NumaNode {
        numa::of(self.pdev.as_ref())
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }
}

/// Whether the vectors of `pdev` are messages, so MSI-X or MSI.
pub(crate) fn has_messages(pdev: &pci::Device) -> bool {
    let pdev = super::function::raw(pdev);
    // SAFETY: `pdev` is a valid device; whoever allocates its vectors, which is its driver, sets
    // these bits.
    unsafe {
        bindings::pci_dev::msix_enabled_raw(pdev) != 0
            || bindings::pci_dev::msi_enabled_raw(pdev) != 0
    }
}

/// Says how many of `vectors` are for queues of which kind.
///
/// # Safety
///
/// For `struct irq_affinity` only.
unsafe extern "C" fn calculate_sets(affinity: *mut bindings::irq_affinity, vectors: c_uint) {
    // SAFETY: genirq passes what `Vectors::allocate` gave it.
    let affinity = unsafe { &mut *affinity };
    // CAST: `allocate` put a u32 there.
    let read = QueueCounts::read_share(vectors, affinity.priv_ as usize as u32);
    affinity.set_size[0] = vectors - read;
    affinity.set_size[1] = read;
    affinity.nr_sets = if read > 0 { 2 } else { 1 };
}

impl Drop for Vectors {
    fn drop(&mut self) {
        // SAFETY: allocated by `allocate`; no handler is left, as each holds a count of `self`.
        unsafe { bindings::pci_free_irq_vectors(super::function::raw(&self.pdev)) }
    }
}

/// What an interrupt handler does.
pub(crate) trait InterruptHandler: Send + 'static {
    /// Handles one interrupt, in hard-interrupt context or in a thread; returns whether it was this
    /// device's.
    fn handle(&mut self) -> bool;
    /// Whether there is something to handle.
    fn is_pending(&self) -> bool;
}

/// What genirq calls.
type Callback = unsafe extern "C" fn(c_int, *mut c_void) -> bindings::irqreturn_t;

#[inline(always)]
fn handled(found: bool) -> bindings::irqreturn_t {
    if found {
        bindings::irqreturn::IRQ_HANDLED
    } else {
        bindings::irqreturn::IRQ_NONE
    }
}

/// A requested interrupt line and the state of its handler.
///
/// # Invariants
///
/// The line is requested with `shared` for its cookie, which came out of a `KBox`; `shared.state`
/// is used only by whoever has set `shared.busy`.
pub(crate) struct Line<H: InterruptHandler> {
    vectors: Arc<Vectors>,
    index: u32,
    shared: *mut Shared<H>,
}

/// What a handler and the owner of its line share.
struct Shared<H> {
    busy: AtomicBool,
    state: UnsafeCell<KBox<H>>,
}

/// How often the flag is looked at before sleeping: an interrupt has it for less.
const SPINS: u32 = 1000;
/// How long to sleep then: a thread has it.
const NAP: Delta = Delta::from_micros(50);

impl<H> Shared<H> {
    /// Has `f` work on the state, unless somebody else does.
    #[inline(always)]
    fn try_with<R>(&self, f: impl FnOnce(&mut H) -> R) -> Option<R> {
        if self.busy.swap(true, Ordering::Acquire) {
            return None;
        }
        // SAFETY: we set `busy`, so the state is ours until it is cleared.
        let result = f(unsafe { &mut *self.state.get() });
        self.busy.store(false, Ordering::Release);
        Some(result)
    }

    /// Has `f` work on the state when nobody else does. May sleep: who has the state may be a task
    /// that this one keeps from running.
    fn with<R>(&self, mut f: impl FnMut(&mut H) -> R) -> R {
        let mut looks = 0u32;
        // TIMEOUT: others have it for one pass over the rings.
        loop {
            if let Some(result) = self.try_with(&mut f) {
                return result;
            }
            looks = looks.saturating_add(1);
            if looks < SPINS {
                core::hint::spin_loop();
            } else {
                fsleep(NAP);
            }
        }
    }
}

// SAFETY: the state is `Send`; access to it is exclusive, see the module's head.
unsafe impl<H: InterruptHandler> Send for Line<H> {}
// SAFETY: nothing can be done with a shared reference to a `Line`.
unsafe impl<H: InterruptHandler> Sync for Line<H> {}

impl<H: InterruptHandler> Line<H> {
    /// Has `state` handle vector `index`; `rnvme<instance>q<queue>` in `/proc/interrupts`.
    ///
    /// # Errors
    ///
    /// What `pci_request_irq` returns, and the state: hardware may still work for it.
    pub(crate) fn request(
        vectors: &Arc<Vectors>,
        index: u32,
        instance: u32,
        queue: u32,
        state: KBox<H>,
    ) -> Result<Self, (Error, KBox<H>)> {
        let shared = Shared {
            busy: AtomicBool::new(false),
            state: UnsafeCell::new(state),
        };
        let shared = match numa::uninit_on(vectors.node()) {
            Ok(memory) => KBox::into_raw(memory.write(shared)),
            Err(e) => return Err((e, shared.state.into_inner())),
        };
        let (handler, thread): (Callback, Option<Callback>) = if vectors.threads {
            (Self::wake, Some(Self::thread))
        } else {
            (Self::handler, None)
        };
        // SAFETY: the vector is allocated if `index` is in range, else the call fails. `shared` is
        // boxed, so it stays where it is, and it is freed only after `pci_free_irq`. The format
        // takes two unsigned ints.
        let ret = unsafe {
            bindings::pci_request_irq(
                super::function::raw(&vectors.pdev),
                index,
                Some(handler),
                thread,
                shared.cast(),
                c"rnvme%uq%u".as_char_ptr(),
                instance,
                queue,
            )
        };
        if let Err(e) = to_result(ret) {
            // SAFETY: `into_raw` made it of a box, and no handler has been installed.
            let shared = unsafe { KBox::from_raw(shared) };
            return Err((e, KBox::into_inner(shared).state.into_inner()));
        }
        // INVARIANT: the line was requested with `shared`, which came out of a box.
        Ok(Self {
            vectors: vectors.clone(),
            index,
            shared,
        })
    }

    /// # Safety
    ///
    /// For `pci_request_irq` only.
    unsafe extern "C" fn handler(_irq: c_int, shared: *mut c_void) -> bindings::irqreturn_t {
        // SAFETY: `request` passed the boxed `Shared<H>`, which lives until `pci_free_irq` has
        // returned.
        let shared = unsafe { &*shared.cast::<Shared<H>>() };
        // If somebody else is at it, he will see what there is to see.
        shared
            .try_with(|state| handled(state.handle()))
            .unwrap_or(bindings::irqreturn::IRQ_NONE)
    }

    /// The interrupt of a handler with a thread.
    ///
    /// # Safety
    ///
    /// For `pci_request_irq` only.
    unsafe extern "C" fn wake(_irq: c_int, shared: *mut c_void) -> bindings::irqreturn_t {
        // SAFETY: as in `handler`.
        let shared = unsafe { &*shared.cast::<Shared<H>>() };
        // If the thread is at it, it may have looked for the last time: it looks once more.
        if shared.try_with(|state| state.is_pending()) == Some(false) {
            bindings::irqreturn::IRQ_NONE
        } else {
            bindings::irqreturn::IRQ_WAKE_THREAD
        }
    }

    /// The thread of a handler.
    ///
    /// # Safety
    ///
    /// For `pci_request_irq` only.
    unsafe extern "C" fn thread(_irq: c_int, shared: *mut c_void) -> bindings::irqreturn_t {
        // SAFETY: as in `handler`: `pci_free_irq` waits for the thread, too.
        let shared = unsafe { &*shared.cast::<Shared<H>>() };
        handled(shared.with(H::handle))
    }

    /// Calls `f` on the handler's state while the handler is kept from running. May sleep.
    pub(crate) fn with_disabled<R>(&mut self, f: impl FnMut(&mut H) -> R) -> R {
        // SAFETY: the vector is allocated: the line holds a count of it.
        let irq = unsafe {
            bindings::pci_irq_vector(super::function::raw(&self.vectors.pdev), self.index)
        };
        // CAST: the number of a requested line, so not a negative error.
        let irq = irq as u32;
        // SAFETY: `irq` is a requested line; `disable_irq` waits for a running handler and its thread.
        // What may still come is genirq's poll, which may wake the thread, too.
        unsafe { bindings::disable_irq(irq) };
        // SAFETY: by the type invariant `shared` is alive.
        let result = unsafe { &*self.shared }.with(f);
        // SAFETY: disabled above.
        unsafe { bindings::enable_irq(irq) };
        result
    }

    /// Gives the line back, and the state.
    pub(crate) fn free(self) -> KBox<H> {
        let mut this = ManuallyDrop::new(self);
        let state = this.free_irq();
        // SAFETY: `this` is not dropped and not used any more, so its count is ours to drop.
        unsafe { core::ptr::drop_in_place(&mut this.vectors) };
        state
    }

    /// To be called once.
    fn free_irq(&mut self) -> KBox<H> {
        // SAFETY: `request` requested the line with this cookie. The handler is unlinked, and
        // waited for if it runs, so nobody else uses the state any more.
        unsafe {
            bindings::pci_free_irq(
                super::function::raw(&self.vectors.pdev),
                self.index,
                self.shared.cast(),
            )
        };
        // SAFETY: by the type invariant it came out of a box; nobody else uses it any more.
        let shared = unsafe { KBox::from_raw(self.shared) };
        KBox::into_inner(shared).state.into_inner()
    }
}

impl<H: InterruptHandler> Drop for Line<H> {
    fn drop(&mut self) {
        drop(self.free_irq());
    }
}
