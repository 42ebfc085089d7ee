// SPDX-License-Identifier: GPL-2.0

//! Config space: a copy of it that a device which was away cannot spoil, what is restored from it,
//! and resets of the function.

use super::function::{
    is_present,
    raw,
    read_word,
    Claim, //
};
use core::{
    ptr::{
        addr_of,
        NonNull, //
    },
    sync::atomic::{
        AtomicBool,
        Ordering::Relaxed, //
    }, //
};
use kernel::{
    bindings,
    error::to_result,
    new_mutex,
    pci,
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        Mutex, //
    },
    time::{
        delay::fsleep,
        Delta, //
    }, //
};

/// The shortest pause after the device was told to leave D3hot, in milliseconds (PCI Power
/// Management 1.2, 5.6.1).
const D3_DELAY_MS: u32 = 10;

/// `PCI_D0`, which is a cast in C.
const D0: bindings::pci_power_t = 0;

/// Config space as it was when the driver claimed the device, or brought the controller up last: with
/// what the user has changed until then.
///
/// The PCI core makes its own copy whenever the machine falls asleep, of ones if the device is away
/// then, and restores it later.
#[pin_data]
pub(crate) struct SavedConfig {
    pdev: ARef<pci::Device>,
    /// LOCK: the copy of config space, while another takes its place; inside: nothing. A reset takes
    /// it.
    #[pin]
    copy: Mutex<ConfigCopy>,
    /// The low half of BAR 0.
    bar0: u32,
    /// The device was away since config space was last restored.
    was_away: AtomicBool,
}

/// A copy of what the PCI core saved last.
struct ConfigCopy(NonNull<bindings::pci_saved_state>);

// SAFETY: the copy belongs to this value, and any thread may free it.
unsafe impl Send for ConfigCopy {}

impl ConfigCopy {
    /// Copies what the PCI core saved last.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    fn new(pdev: &pci::Device) -> Result<Self> {
        // SAFETY: `pdev` is a valid device. The call returns null, or an allocation of its own.
        let copy = unsafe { bindings::pci_store_saved_state(raw(pdev)) };
        NonNull::new(copy).map(Self).ok_or(ENOMEM)
    }
}

impl Drop for ConfigCopy {
    fn drop(&mut self) {
        // SAFETY: `pci_store_saved_state` allocated the copy with `kzalloc`, and only this frees it.
        unsafe { bindings::kfree(self.0.as_ptr().cast()) }
    }
}

impl SavedConfig {
    /// Saves config space as `_claim` has left it: without bus mastering.
    ///
    /// # Errors
    ///
    /// `ENODEV`: the device is gone. `ENOMEM`.
    pub(crate) fn new(pdev: &pci::Device, _claim: &Claim) -> Result<Arc<Self>> {
        save(pdev);
        let header = saved_header(pdev);
        if header[1] == u32::MAX {
            return Err(ENODEV);
        }
        let copy = ConfigCopy::new(pdev)?;
        Arc::pin_init(
            pin_init!(Self {
                pdev: pdev.into(),
                copy <- new_mutex!(copy),
                bar0: header[4],
                was_away: AtomicBool::new(false),
            }),
            GFP_KERNEL,
        )
    }

    /// The controller was brought up: takes another copy, with what the user has changed meanwhile
    /// (ASPM, sizes of requests). The copy of before stays if the device is away, or has lost config
    /// space, or memory is short. The caller's device has neither a sleep nor a reset of its function
    /// under way.
    pub(crate) fn renew(&self) {
        let is_good = || is_present(&self.pdev) && !self.was_away.load(Relaxed) && !self.is_lost();
        if !is_good() {
            return;
        }
        save(&self.pdev);
        clear_saved_master(&self.pdev);
        let header = saved_header(&self.pdev);
        if header[1] != u32::MAX && header[4] == self.bar0 && is_good() {
            if let Ok(copy) = ConfigCopy::new(&self.pdev) {
                *self.copy.lock() = copy;
            }
        }
        forget_saved(&self.pdev);
    }

    /// The device was seen to be away: [`Self::recover`] restores config space once it is back.
    pub(crate) fn note_absence(&self) {
        self.was_away.store(true, Relaxed);
    }

    /// Whether the device, which is there, is not what the driver made it: it lost its config space
    /// because it was without power for a moment, or someone has written to it; or it is not in D0.
    /// Its registers do not answer then.
    pub(crate) fn is_lost(&self) -> bool {
        let command = self.word(bindings::PCI_COMMAND);
        if command == u16::MAX {
            // It is not there.
            return false;
        }
        if self.is_asleep() {
            return true;
        }
        // SAFETY: the device is valid, and the field never changes.
        let is_virtual = unsafe { (*raw(&self.pdev)).is_virtfn() } != 0;
        // These registers of a virtual function read as zero.
        !is_virtual
            && (u32::from(command) & bindings::PCI_COMMAND_MEMORY == 0 || self.bar() != self.bar0)
    }

    /// Makes a device that is there what the driver made it, if it may be another: D0, and config
    /// space, with bus mastering off then. Message interrupts are programmed as they are allocated
    /// now, so no vectors may be allocated or freed during the call.
    pub(crate) fn recover(&self) {
        if !is_present(&self.pdev) {
            return;
        }
        let was_asleep = self.wake();
        if was_asleep || self.was_away.swap(false, Relaxed) || self.is_lost() {
            self.restore();
        }
    }

    /// Restores config space after a reset of the device, with bus mastering off. As for
    /// [`Self::recover`], no vectors may be allocated or freed during the call.
    pub(crate) fn restore(&self) {
        self.load();
        restore_saved(&self.pdev);
    }

    /// The machine is about to sleep: of a device that is away the PCI core must not save ones.
    pub(crate) fn protect(&self) {
        if !is_present(&self.pdev) {
            self.note_absence();
            self.load();
        }
    }

    /// Makes the copy what the PCI core restores next.
    fn load(&self) {
        let copy = self.copy.lock();
        // SAFETY: the device is valid, and the copy was made of it; it stays as long as it is locked. An
        // error says that the PCI core has other capabilities to restore now, which it does not: it adds
        // none after it has found the device.
        unsafe { bindings::pci_load_saved_state(raw(&self.pdev), copy.0.as_ptr()) };
    }

    /// Has the PCI core read the power state, without which it writes no message interrupts, and
    /// brings a device that is in another state to D0. Returns whether the state was another, or the
    /// PCI core believed so.
    ///
    /// TIMEOUT: what the device is granted for the change, 10 ms for most.
    fn wake(&self) -> bool {
        let pdev = raw(&self.pdev);
        // SAFETY: the device is valid; no other thread changes its state while the driver brings it
        // up.
        let (before, delay) = unsafe { ((*pdev).current_state, (*pdev).d3hot_delay) };
        self.read_power_state();
        let Some(offset) = self.power_register().filter(|_| self.is_asleep()) else {
            return before != D0;
        };
        // `pci_set_power_state` takes `pci_bus_sem`, which callers of the driver hold.
        // CAST: an offset in config space.
        // SAFETY: the device is valid.
        unsafe { bindings::pci_write_config_word(pdev, offset as c_int, 0) };
        fsleep(Delta::from_millis(delay.max(D3_DELAY_MS).into()));
        self.read_power_state();
        true
    }

    /// Has the PCI core read the device's power state.
    fn read_power_state(&self) {
        let pdev = raw(&self.pdev);
        // SAFETY: the device is valid and enabled, so the first call only reads its power state and
        // counts, and the second takes that back.
        unsafe {
            if bindings::pci_enable_device_mem(pdev) == 0 {
                bindings::pci_disable_device(pdev);
            }
        }
    }

    /// Whether the device is in another state than D0.
    fn is_asleep(&self) -> bool {
        self.power_register().is_some_and(|offset| {
            let state = self.word(offset);
            state != u16::MAX && u32::from(state) & bindings::PCI_PM_CTRL_STATE_MASK != 0
        })
    }

    /// The offset of PMCSR, if the device has it.
    fn power_register(&self) -> Option<u32> {
        // SAFETY: the device is valid, and the field does not change after it was found.
        let capability = unsafe { (*raw(&self.pdev)).pm_cap };
        (capability != 0).then_some(u32::from(capability) + bindings::PCI_PM_CTRL)
    }

    /// Two bytes of config space; all ones if the device does not answer.
    fn word(&self, offset: u32) -> u16 {
        read_word(&self.pdev, offset)
    }

    /// The low half of BAR 0.
    fn bar(&self) -> u32 {
        let mut value = u32::MAX;
        // CAST: an offset in config space.
        let offset = bindings::PCI_BASE_ADDRESS_0 as c_int;
        // SAFETY: the device is valid, and the value is a local variable, which all ones stay in if
        // the call fails.
        unsafe { bindings::pci_read_config_dword(raw(&self.pdev), offset, &mut value) };
        value
    }
}

/// The register PCI_STATUS; all ones if the device does not answer.
pub(crate) fn status(pdev: &pci::Device) -> u16 {
    read_word(pdev, bindings::PCI_STATUS)
}

/// Saves config space for [`restore_saved`].
fn save(pdev: &pci::Device) {
    // SAFETY: `pdev` is a valid device. The PCI core leaves out a capability for which it allocated
    // no buffer when it found the device, with a line in the log.
    unsafe { bindings::pci_save_state(raw(pdev)) };
}

/// Restores what the PCI core saved last.
fn restore_saved(pdev: &pci::Device) {
    // SAFETY: `pdev` is a valid device, and its state was saved: `SavedConfig::new` did so first.
    unsafe { bindings::pci_restore_state(raw(pdev)) }
}

/// Takes bus mastering from what was saved last.
fn clear_saved_master(pdev: &pci::Device) {
    // SAFETY: `pdev` is a valid device. The caller has just saved its config space, which no other
    // thread does at the same time.
    unsafe { (*raw(pdev)).saved_config_space[1] &= !bindings::PCI_COMMAND_MASTER };
}

/// Has the PCI core forget what was saved last: before a sleep it saves anew.
fn forget_saved(pdev: &pci::Device) {
    // SAFETY: `pdev` is a valid device; without a copy the call only forgets.
    unsafe { bindings::pci_load_saved_state(raw(pdev), core::ptr::null_mut()) };
}

/// The head of config space as it was saved last.
fn saved_header(pdev: &pci::Device) -> [u32; 16] {
    // SAFETY: `pdev` is a valid device, and the caller has just saved its config space.
    unsafe { addr_of!((*raw(pdev)).saved_config_space).read() }
}

/// The config space of a device, saved, and locked against user space and other resets, so that the
/// driver can reset the function. The drop restores and unlocks it.
///
/// As for [`SavedConfig::recover`], no vectors may be allocated, freed or masked while a value is
/// made or dropped.
///
/// # Invariants
///
/// Config space is locked and saved.
pub(crate) struct LockedConfig<'a>(&'a pci::Device);

impl<'a> LockedConfig<'a> {
    /// Locks and saves the config space of the device of `config`.
    ///
    /// # Errors
    ///
    /// `ENODEV`: the device is gone. `ENOTTY`: its function cannot be reset. `EBUSY`: its config
    /// space is locked already, for instance by another reset.
    pub(crate) fn new(config: &'a SavedConfig) -> Result<Self> {
        let raw = raw(&config.pdev);
        // SAFETY: the device is valid; the call only probes whether the device has a function level
        // reset.
        to_result(unsafe { bindings::pcie_reset_flr(raw, true) })?;
        if !is_present(&config.pdev) {
            return Err(ENODEV);
        }
        // The lock is not waited for: its holder may wait for this driver (`reset_prepare`).
        // SAFETY: the device is valid.
        if !unsafe { bindings::pci_cfg_access_trylock(raw) } {
            return Err(EBUSY);
        }
        if !config.is_lost() {
            save(&config.pdev);
        }
        // What was lost, or read as ones, is restored from the good copy.
        if config.is_lost() || saved_header(&config.pdev)[1] == u32::MAX {
            config.load();
        }
        // INVARIANT: config space was just locked and saved.
        Ok(Self(&config.pdev))
    }

    /// Resets the function, whatever state it is in.
    ///
    /// TIMEOUT: the PCI core waits for pending transactions for 0.7 s, for the reset for 0.1 s, and
    /// for a device that does not come back for 60 s.
    ///
    /// # Errors
    ///
    /// `ENOTTY`: the function does not come back.
    pub(crate) fn reset_function(&self) -> Result {
        // SAFETY: the device is valid; by the type invariant its config space is locked.
        to_result(unsafe { bindings::pcie_reset_flr(raw(self.0), false) })
    }
}

impl Drop for LockedConfig<'_> {
    fn drop(&mut self) {
        restore_saved(self.0);
        // SAFETY: by the type invariant `self` locked config space; this unlocks it once.
        unsafe { bindings::pci_cfg_access_unlock(raw(self.0)) };
    }
}
