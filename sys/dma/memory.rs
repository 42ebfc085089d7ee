// SPDX-License-Identifier: GPL-2.0

//! Memory that the device reads and writes, as lists ([`Words`]) and rings ([`Ring`]), and the
//! addresses that the device can use.

use crate::sys::{
    ffi as bindings,
    pci::{
        CmbMapping, //
        ControllerMemory,
    },
};

use core::{
    sync::atomic::{
        fence,
        Ordering, //
    }, //
};
use kernel::{
    device::{
        Bound,
        Core,
        Device, //
    },
    dma::{
        Coherent,
        Device as _,
        DmaAddress,
        DmaMask, //
    },
    pci,
    prelude::*,
    sync::Arc, //
};

/// Coherent memory as an array of little-endian 64-bit words, shared with the device.
///
/// No reference into it ever exists: each access is one volatile load or store of a checked
/// index, because the device may write at any moment.
///
/// # Invariants
///
/// `base` points to `len` words that `mem` keeps.
pub(crate) struct Words<M = WordsMemory> {
    pub(super) base: *mut u64,
    pub(super) len: usize,
    pub(super) mem: M,
}

/// Words in 24 bytes: [`WordsMemory`], which is needed rarely, is boxed.
pub(crate) type Ring = Words<KBox<WordsMemory>>;

/// The memory of [`Words`].
pub(crate) struct WordsMemory {
    pub(super) address: DmaAddress,
    owner: Owner,
}

/// The owner of the memory.
enum Owner {
    /// The host.
    Host { _memory: Coherent<[u64]> },
    /// The controller: its memory buffer (CMB).
    Controller { _memory: Arc<CmbMapping> },
}

// SAFETY: the memory belongs to no thread and its owners are `Send`.
unsafe impl<M: Send> Send for Words<M> {}
// SAFETY: all access is by volatile loads and stores of aligned words, which do not tear. The code
// above this layer decides which side writes which word; a mistake there yields a wrong word, no
// more.
unsafe impl<M: Send> Sync for Words<M> {}

impl Words {
    /// Allocates `len` zeroed words for `dev`; page-aligned in the device's view.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EINVAL` for a length of 0.
    pub(crate) fn zeroed(dev: &Device<Bound>, len: usize) -> Result<Self> {
        if len == 0 {
            return Err(EINVAL);
        }
        let mem = Coherent::<u64>::zeroed_slice(dev, len, GFP_KERNEL)?;
        // INVARIANT: `zeroed_slice` allocated `len` words.
        Ok(Self {
            base: mem.as_mut_ptr().cast(),
            len,
            mem: WordsMemory {
                address: mem.dma_address(),
                owner: Owner::Host { _memory: mem },
            },
        })
    }

    /// Piece `index` of the controller memory buffer, if it is divided into pieces of `len` words
    /// and has that many. The words keep their contents.
    pub(crate) fn of_controller(
        memory: &ControllerMemory,
        index: usize,
        len: usize,
    ) -> Option<Self> {
        let bytes = len.checked_mul(size_of::<u64>())?;
        let mapping = memory.mapping();
        let (base, address) = mapping.piece(index, bytes)?;
        // INVARIANT: a piece has `len` words, which stay mapped as long as `mapping` lives. On
        // x86-64 `readq` and `writeq` are plain volatile accesses. On other architectures they add
        // ordering, which the barrier of the doorbell provides for all words together.
        Some(Self {
            base,
            len,
            mem: WordsMemory {
                address,
                owner: Owner::Controller {
                    _memory: mapping.clone(),
                },
            },
        })
    }
}

impl Ring {
    /// Makes a ring of `words`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(words: Words) -> Result<Self> {
        // INVARIANT: the same memory; the box owns it.
        Ok(Self {
            base: words.base,
            len: words.len,
            mem: KBox::new(words.mem, GFP_KERNEL)?,
        })
    }

    /// The device's address of the first word.
    pub(crate) fn address(&self) -> DmaAddress {
        self.mem.address
    }

    /// Whether the ring is in the controller memory buffer.
    pub(crate) fn is_in_controller(&self) -> bool {
        matches!(self.mem.owner, Owner::Controller { .. })
    }
}

impl<M> Words<M> {
    /// Zeroes all words.
    pub(crate) fn clear(&self) {
        for index in 0..self.len {
            self.write_block(index, [0]);
        }
    }

    /// Reads word `index`; 0 if there is no such word.
    #[inline(always)]
    pub(crate) fn read(&self, index: usize) -> u64 {
        if index >= self.len {
            return 0;
        }
        // SAFETY: `index < len` words at `base`, which are allocated and aligned.
        u64::from_le(unsafe { self.base.add(index).read_volatile() })
    }

    /// Reads the upper half of word `index`; 0 if there is no such word.
    #[inline(always)]
    pub(crate) fn read_upper(&self, index: usize) -> u32 {
        if index >= self.len {
            return 0;
        }
        // SAFETY: `index < len` words at `base`, which are allocated and aligned. This is the
        // second half of a word, as the device stores it.
        u32::from_le(unsafe { self.base.add(index).cast::<u32>().add(1).read_volatile() })
    }

    /// Writes `N` words from word `index` on, one store each, in ascending order, if all of them
    /// exist.
    #[inline(always)]
    pub(crate) fn write_block<const N: usize>(&self, index: usize, values: [u64; N]) {
        // An index near `usize::MAX` wraps to a small end, below `index`.
        let end = index.wrapping_add(N);
        if end > self.len || end < index {
            return;
        }
        // SAFETY: `index + N <= len`, so the block lies in the allocation.
        let block = unsafe { self.base.add(index) };
        let mut i = 0;
        while i < N {
            // SAFETY: `i < N`, inside the block.
            unsafe { block.add(i).write_volatile(values[i].to_le()) };
            i = i.wrapping_add(1);
        }
    }
}

/// Orders the load of a word that the device wrote last before the loads that follow
/// (`dma_rmb`). On x86-64 loads are not reordered with loads; an acquire fence keeps the compiler
/// from it and costs no instruction.
#[inline(always)]
pub(crate) fn read_barrier() {
    #[cfg(target_arch = "x86_64")]
    fence(Ordering::Acquire);
    #[cfg(not(target_arch = "x86_64"))]
    kernel::sync::barrier::dma_mb(kernel::sync::barrier::Read);
}

/// Sets a DMA mask of 64 bits, and makes bounce buffers keep the offset in a page of `page_size`
/// bytes (`min_align_mask`).
///
/// # Errors
///
/// What `dma_set_mask_and_coherent` returns; `EIO` as a rule.
pub(crate) fn set_up(pdev: &pci::Device<Core<'_>>, page_size: usize, mask: DmaMask) -> Result {
    // SAFETY: the device is being probed, so no other code maps for it at the same time.
    unsafe { pdev.dma_set_mask_and_coherent(mask) }?;
    // SAFETY: as above. The PCI core sets `dma_parms` when it finds the device.
    unsafe {
        (*(*crate::sys::pci::raw_device(pdev.as_ref())).dma_parms).min_align_mask =
            u32::try_from(page_size - 1)?
    };
    Ok(())
}

/// The most bytes that one mapping of the device should have. A larger one does not fit a bounce
/// buffer, or is slow behind an IOMMU.
pub(crate) fn max_mapping(dev: &Device<Bound>) -> usize {
    // SAFETY: the device is valid and has its DMA mask.
    unsafe { bindings::dma_opt_mapping_size(crate::sys::pci::raw_device(dev)) }
}
