// SPDX-License-Identifier: GPL-2.0

//! Interrupt vectors with affinity, and handlers that own what they work on.
//!
//! The state of a handler is exclusively its own: the kernel never runs the handler of one line
//! on two CPUs at once, and [`Line::with_disabled`] and [`Line::free`] give others access only
//! while it cannot run. So the completion path needs no lock.

use super::ffi as bindings;
use core::mem::ManuallyDrop;
use kernel::{
    error::to_result,
    pci,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    }, //
};

/// Allocated vectors of a device: MSI-X, else MSI, else the pin. Freed when dropped, which is
/// when their last [`Line`] is gone.
pub(crate) struct Vectors {
    pdev: ARef<pci::Device>,
    count: u32,
}

impl Vectors {
    /// Allocates 1 to `max` vectors. All but the first are spread over the CPUs, and follow them
    /// when these go offline and come back.
    ///
    /// # Errors
    ///
    /// What `pci_alloc_irq_vectors_affinity` returns if there is not even one.
    pub(crate) fn allocate(pdev: &pci::Device, max: u32) -> Result<Arc<Self>> {
        let mut affinity = bindings::irq_affinity {
            pre_vectors: 1,
            ..Default::default()
        };
        let flags = bindings::PCI_IRQ_ALL_TYPES | bindings::PCI_IRQ_AFFINITY;
        // SAFETY: `pdev` is a valid device that this driver is bound to and that has no vectors
        // allocated (`ctrl.rs` frees the old before it takes new ones; else this fails).
        let count = unsafe {
            bindings::pci_alloc_irq_vectors_affinity(
                super::pci::raw(pdev),
                1,
                max.max(1),
                flags,
                // A single vector is the admin queue's: nothing to spread.
                if max > 1 {
                    &mut affinity
                } else {
                    core::ptr::null_mut()
                },
            )
        };
        to_result(count.min(0))?;
        let vectors = Self {
            pdev: pdev.into(),
            count: u32::try_from(count)?,
        };
        Ok(Arc::new(vectors, GFP_KERNEL)?)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }
}

impl Drop for Vectors {
    fn drop(&mut self) {
        // SAFETY: allocated by `allocate`; no handler is left, as each holds a count of `self`.
        unsafe { bindings::pci_free_irq_vectors(super::pci::raw(&self.pdev)) }
    }
}

/// What an interrupt handler does.
pub(crate) trait Handler: Send + 'static {
    /// Handles one interrupt, in hard-interrupt context; returns whether it was this device's.
    fn handle(&mut self) -> bool;
}

/// A requested interrupt line and the state of its handler.
///
/// # Invariants
///
/// The line is requested with `state` for its cookie, which came out of a `KBox` and is used only
/// by the handler, or while that cannot run.
pub(crate) struct Line<H: Handler> {
    vectors: Arc<Vectors>,
    index: u32,
    state: *mut H,
}

// SAFETY: the state is `Send`; access to it is exclusive, see the module's head.
unsafe impl<H: Handler> Send for Line<H> {}
// SAFETY: nothing can be done with a shared reference to a `Line`.
unsafe impl<H: Handler> Sync for Line<H> {}

impl<H: Handler> Line<H> {
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
        let state = KBox::into_raw(state);
        // SAFETY: the vector is allocated if `index` is in range, else the call fails. The state
        // is boxed, so it stays where it is, and it is freed only after `pci_free_irq`. The
        // format takes two unsigned ints.
        let ret = unsafe {
            bindings::pci_request_irq(
                super::pci::raw(&vectors.pdev),
                index,
                Some(Self::handler),
                None,
                state.cast(),
                c"rnvme%uq%u".as_char_ptr(),
                instance,
                queue,
            )
        };
        to_result(ret).map_err(|e| {
            // SAFETY: `into_raw` made it of a box, and no handler has been installed.
            (e, unsafe { KBox::from_raw(state) })
        })?;
        // INVARIANT: the line was requested with `state`, which came out of a box.
        Ok(Self {
            vectors: vectors.clone(),
            index,
            state,
        })
    }

    /// # Safety
    ///
    /// For `pci_request_irq` only.
    unsafe extern "C" fn handler(_irq: c_int, state: *mut c_void) -> bindings::irqreturn_t {
        // SAFETY: `request` passed the boxed state of type `H`, which lives until `pci_free_irq`
        // has returned. The kernel does not run a line's handler concurrently with itself, and
        // others have access only while the line is disabled or freed.
        let state = unsafe { &mut *state.cast::<H>() };
        if state.handle() {
            bindings::irqreturn::IRQ_HANDLED
        } else {
            bindings::irqreturn::IRQ_NONE
        }
    }

    /// Calls `f` on the handler's state while the handler is kept from running. May sleep.
    pub(crate) fn with_disabled<R>(&mut self, f: impl FnOnce(&mut H) -> R) -> R {
        // SAFETY: the vector is allocated: the line holds a count of it.
        let irq =
            unsafe { bindings::pci_irq_vector(super::pci::raw(&self.vectors.pdev), self.index) };
        // CAST: the number of a requested line, so not a negative error.
        let irq = irq as u32;
        // SAFETY: `irq` is a requested line; `disable_irq` waits for a running handler.
        unsafe { bindings::disable_irq(irq) };
        // SAFETY: the handler does not run between disable and enable, and `&mut self` keeps
        // other callers away.
        let result = f(unsafe { &mut *self.state });
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
        // SAFETY: `request` requested the line with this cookie; this waits for a running
        // handler.
        unsafe {
            bindings::pci_free_irq(
                super::pci::raw(&self.vectors.pdev),
                self.index,
                self.state.cast(),
            )
        };
        // SAFETY: by the type invariant it came out of a box; no handler has it any more.
        unsafe { KBox::from_raw(self.state) }
    }
}

impl<H: Handler> Drop for Line<H> {
    fn drop(&mut self) {
        drop(self.free_irq());
    }
}
