// SPDX-License-Identifier: GPL-2.0

//! Interrupt vectors with affinity, and handlers that own their state.
//!
//! A handler has its state for itself. The kernel does not run the handler of one line on two CPUs
//! at once, and [`Line::with_disabled`] keeps the handler from running. But genirq polls a line
//! that it found stuck, and then runs the handler of a disabled line, too
//! (`kernel/irq/spurious.c`). Therefore each user of the state holds a flag, which costs one
//! uncontended exchange for each interrupt.
//!
//! A handler may have a thread. Then the interrupt only checks whether there is work, and wakes the
//! thread, which does the work. Here the flag is contended in practice: the next interrupt comes
//! while the thread works.

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

/// The kinds of vectors that work.
#[derive(Clone, Copy)]
pub(crate) enum VectorKinds {
    /// MSI-X, MSI, the pin.
    All,
    /// MSI-X and the pin.
    NoMsi,
}

impl VectorKinds {
    fn flags(self) -> c_uint {
        match self {
            Self::All => bindings::PCI_IRQ_ALL_TYPES,
            Self::NoMsi => bindings::PCI_IRQ_ALL_TYPES & !bindings::PCI_IRQ_MSI,
        }
    }
}

/// Allocated vectors of a device: MSI-X, else MSI, else the pin. Each [`Line`] holds a count; the
/// vectors are freed when the last one is dropped.
pub(crate) struct Vectors {
    pdev: ARef<pci::Device>,
    count: u32,
    /// Whether handlers have threads.
    threads: bool,
}

impl Vectors {
    /// Allocates 1 to `max` vectors. The kernel spreads all but the first over the CPUs, and adapts
    /// their affinity when CPUs go offline and come back. If `write` is not 0, the queues are of
    /// two kinds ([`QueueCounts::read_share`]), and the vectors of each kind are spread over all
    /// CPUs. With `threads` handlers have threads, unless the pin is the only vector: the device
    /// asserts the pin until the thread has run, so the interrupt would come again and again.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the device has message vectors already; what `pci_alloc_irq_vectors_affinity`
    /// returns if there is not even one vector.
    pub(crate) fn allocate(
        pdev: &pci::Device,
        (max, write): (u32, u32),
        kinds: VectorKinds,
        threads: bool,
    ) -> Result<Arc<Self>> {
        // Whose drop would free the vectors of the other?
        if has_messages(pdev) {
            return Err(EBUSY);
        }
        let mut affinity = bindings::irq_affinity {
            pre_vectors: 1,
            calc_sets: Some(calculate_sets),
            // CAST: `calculate_sets` casts the number back.
            priv_: write as usize as *mut c_void,
            ..Default::default()
        };
        // A single vector serves the admin queue or all queues: there is nothing to spread.
        let (spread, affinity) = if max > 1 {
            (bindings::PCI_IRQ_AFFINITY, &raw mut affinity)
        } else {
            (0, core::ptr::null_mut())
        };
        // SAFETY: `pdev` is a valid device that this driver is bound to, and `affinity` is null or
        // valid for the call. The device has no message vectors, as just checked; to allocate the
        // pin twice is harmless.
        let count = unsafe {
            bindings::pci_alloc_irq_vectors_affinity(
                super::function::raw(pdev),
                1,
                max.max(1),
                kinds.flags() | spread,
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

    /// The NUMA node of the device, for the memory of its handlers.
    pub(crate) fn node(&self) -> NumaNode {
        numa::of(self.pdev.as_ref())
    }

    /// The device.
    pub(super) fn device(&self) -> &pci::Device {
        &self.pdev
    }

    /// The number of vectors.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }
}

/// Whether the vectors of `pdev` are messages: MSI-X or MSI.
pub(crate) fn has_messages(pdev: &pci::Device) -> bool {
    let pdev = super::function::raw(pdev);
    // SAFETY: `pdev` is a valid device; these bits change only when its driver allocates or frees
    // vectors.
    unsafe {
        bindings::pci_dev::msix_enabled_raw(pdev) != 0
            || bindings::pci_dev::msi_enabled_raw(pdev) != 0
    }
}

/// Divides `vectors` into those of the default queues and those of the read queues.
///
/// # Safety
///
/// For `struct irq_affinity` only.
unsafe extern "C" fn calculate_sets(affinity: *mut bindings::irq_affinity, vectors: c_uint) {
    // SAFETY: genirq passes the `irq_affinity` that `Vectors::allocate` gave it, for this call
    // alone.
    let affinity = unsafe { &mut *affinity };
    // CAST: `allocate` stored a u32 there.
    let read = QueueCounts::read_share(vectors, affinity.priv_ as usize as u32);
    affinity.set_size[0] = vectors - read;
    affinity.set_size[1] = read;
    affinity.nr_sets = if read > 0 { 2 } else { 1 };
}

impl Drop for Vectors {
    fn drop(&mut self) {
        // SAFETY: `allocate` allocated the vectors. No handler is left, because each line holds a
        // count of `self`.
        unsafe { bindings::pci_free_irq_vectors(super::function::raw(&self.pdev)) }
    }
}

/// The work of an interrupt handler.
pub(crate) trait InterruptHandler: Send + 'static {
    /// Handles one interrupt, in hard-interrupt context or in a thread. Returns whether the
    /// interrupt came from this device.
    fn handle(&mut self) -> bool;
    /// Whether there is something to handle.
    fn is_pending(&self) -> bool;
}

/// The type of the functions that genirq calls.
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
/// The line is requested with `shared` as its cookie, which came out of a `KBox`. Only the code
/// that has set `shared.busy` uses `shared.state`.
pub(crate) struct Line<H: InterruptHandler> {
    vectors: Arc<Vectors>,
    index: u32,
    shared: *mut HandlerState<H>,
}

/// The data that a handler shares with the owner of its line.
struct HandlerState<H> {
    busy: AtomicBool,
    state: UnsafeCell<KBox<H>>,
}

/// How often [`HandlerState::with`] tries to set the flag before it sleeps. An interrupt holds the
/// flag for less time.
const SPINS: u32 = 1000;
/// How long [`HandlerState::with`] sleeps between two tries after that: a thread holds the flag.
const NAP: Delta = Delta::from_micros(50);

impl<H> HandlerState<H> {
    /// Calls `f` on the state, unless other code uses it.
    #[inline(always)]
    fn try_with<R>(&self, f: impl FnOnce(&mut H) -> R) -> Option<R> {
        if self.busy.swap(true, Ordering::Acquire) {
            return None;
        }
        // SAFETY: this call set `busy`, so the state is ours until `busy` is cleared.
        let result = f(unsafe { &mut *self.state.get() });
        self.busy.store(false, Ordering::Release);
        Some(result)
    }

    /// Waits until no other code uses the state, and calls `f` on it. May sleep: the user of the
    /// state may be a task that cannot run while this one spins.
    fn with<R>(&self, mut f: impl FnMut(&mut H) -> R) -> R {
        let mut looks = 0u32;
        // TIMEOUT: other users hold the flag for one pass over the rings.
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

// SAFETY: the state is `Send`; access to it is exclusive: see the head of the file.
unsafe impl<H: InterruptHandler> Send for Line<H> {}
// SAFETY: a shared reference to a `Line` gives access to nothing.
unsafe impl<H: InterruptHandler> Sync for Line<H> {}

impl<H: InterruptHandler> Line<H> {
    /// Requests vector `index`, which `state` handles from now on. It is `rnvme<instance>q<queue>`
    /// in `/proc/interrupts`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or what `pci_request_irq` returns; and the state, because the hardware may still
    /// use its memory.
    pub(crate) fn request(
        vectors: &Arc<Vectors>,
        index: u32,
        instance: u32,
        queue: u32,
        state: KBox<H>,
    ) -> Result<Self, (Error, KBox<H>)> {
        let shared = HandlerState {
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
            // SAFETY: `shared` came from `KBox::into_raw`, and no handler has been installed.
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

    /// The vectors, which are not freed before what this returns is dropped.
    pub(crate) fn vectors(&self) -> Arc<Vectors> {
        self.vectors.clone()
    }

    /// # Safety
    ///
    /// For `pci_request_irq` only.
    unsafe extern "C" fn handler(_irq: c_int, shared: *mut c_void) -> bindings::irqreturn_t {
        // SAFETY: `request` passed the boxed `HandlerState<H>`, which lives until `pci_free_irq`
        // has returned.
        let shared = unsafe { &*shared.cast::<HandlerState<H>>() };
        // If other code uses the state, that code takes the completions that there are.
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
        let shared = unsafe { &*shared.cast::<HandlerState<H>>() };
        // If the thread uses the state, it may have checked for the last time, so it is woken once
        // more.
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
        let shared = unsafe { &*shared.cast::<HandlerState<H>>() };
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
        // SAFETY: `irq` is a requested line; `disable_irq` waits for a running handler and its
        // thread. Only genirq's poll may still run the handler or wake the thread.
        unsafe { bindings::disable_irq(irq) };
        // SAFETY: by the type invariant `shared` is alive.
        let result = unsafe { &*self.shared }.with(f);
        // SAFETY: disabled above.
        unsafe { bindings::enable_irq(irq) };
        result
    }

    /// Frees the line, and returns the state.
    pub(crate) fn free(self) -> KBox<H> {
        let mut this = ManuallyDrop::new(self);
        let state = this.free_irq();
        // SAFETY: `this` is not dropped and not used any more, so its count is ours to drop.
        unsafe { core::ptr::drop_in_place(&mut this.vectors) };
        state
    }

    /// Frees the line. Called once.
    fn free_irq(&mut self) -> KBox<H> {
        // SAFETY: `request` requested the line with this cookie. The call unlinks the handler and
        // waits for it if it runs.
        unsafe {
            bindings::pci_free_irq(
                super::function::raw(&self.vectors.pdev),
                self.index,
                self.shared.cast(),
            )
        };
        // SAFETY: by the type invariant `shared` came out of a box. The handler is gone, so no
        // other code uses it.
        let shared = unsafe { KBox::from_raw(self.shared) };
        KBox::into_inner(shared).state.into_inner()
    }
}

impl<H: InterruptHandler> Drop for Line<H> {
    fn drop(&mut self) {
        drop(self.free_irq());
    }
}
