// SPDX-License-Identifier: GPL-2.0

//! The requests in flight, by tag and command id.
//!
//! [`InFlight::arm`] takes a started request for the time that it is in flight. [`Reaper::take`]
//! gives it back at most once, and only for the command id that it was armed with. Therefore no
//! completion of the device reaches a request that is not the driver's: neither one that has ended,
//! nor one that was never started, nor the same one twice.

use super::request::{
    Started,
    Types, //
};
use crate::{
    nvme::{
        CommandId,
        CqeEnd, //
    },
    sys::{
        atomic::{
            AtomicU32,
            Ordering,
            OwnedCell, //
        },
        ffi as bindings,
        pci::vec_on, //
    },
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    alloc::NumaNode,
    prelude::*,
    sync::Arc, //
};

/// One tag's entry of [`InFlight`].
struct Slot {
    /// The last command id of the tag. While the request is in flight, the end of a successful
    /// command with this id ([`CqeEnd::success`]), which is not a command id. Thus one comparison
    /// tells that a completion is a success of a command in flight.
    state: AtomicU32,
    /// The request; valid while `state` is armed.
    rq: OwnedCell<NonNull<bindings::request>>,
}

/// The bit that the state of an armed slot has, and a command id does not have.
const ARMED: u32 = CqeEnd::success(CommandId::from_raw(0)).raw();

/// The bit that the state of a slot has that is lent to a request of another queue. Such a state
/// does not have `ARMED`, so it equals no end of a new entry, and [`Reaper::take_success`] never
/// takes the request. [`Reaper::take`] and [`Reaper::take_any`] do, so they may return a request of
/// another queue.
const LENT: u32 = ARMED << 1;

/// The bits of which the state of a slot in use has one.
const IN_USE: u32 = ARMED | LENT;

const _: () = {
    assert!(LENT > 0xffff && IN_USE & 0xffff == 0);
    assert!(ARMED > 0xffff);
    assert!(CqeEnd::success(CommandId::from_raw(0xffff)).raw() == ARMED | 0xffff);
};

/// The requests in flight, by tag: the side that puts them in.
///
/// The two sides need no lock between them. A slot that is not in use belongs to the one
/// `InFlight`, a slot in use to the one [`Reaper`]. `state` tells which, and each side hands a slot
/// over by its last store. Each side is borrowed exclusively, so it does not race with itself.
pub(crate) struct InFlight<T: Types> {
    slots: Handle<T>,
}

/// The requests in flight, by tag: the side that takes them out. Each [`InFlight`] has one, which
/// is borrowed exclusively to take a request.
pub(crate) struct Reaper<T: Types> {
    slots: Handle<T>,
}

/// The slots: their address without the indirection of `keep`.
///
/// # Invariants
///
/// `first` points to `len` slots that `keep` owns.
struct Handle<T: Types> {
    first: NonNull<Slot>,
    len: u16,
    keep: Arc<InFlightSlots<T>>,
}

// SAFETY: `first` is a reference to a part of `keep`, which may be sent and shared.
unsafe impl<T: Types> Send for Handle<T> {}
// SAFETY: as above.
unsafe impl<T: Types> Sync for Handle<T> {}

impl<T: Types> Handle<T> {
    fn new(slots: &Arc<InFlightSlots<T>>, len: u16) -> Self {
        // INVARIANT: `InFlight::new` put `len` slots into the vector, which does not change any
        // more.
        Self {
            first: NonNull::from(slots.slots.as_slice()).cast(),
            len,
            keep: slots.clone(),
        }
    }

    #[inline(always)]
    fn get(&self, tag: u16) -> Option<&Slot> {
        if tag >= self.len {
            return None;
        }
        // SAFETY: by the type invariant there are `len` slots at `first`, and `tag < len`.
        Some(unsafe { self.first.add(usize::from(tag)).as_ref() })
    }
}

struct InFlightSlots<T: Types> {
    slots: KVec<Slot>,
    _types: PhantomData<T>,
}

// SAFETY: no slot is accessed by two owners at once: see the protocol at `InFlight`. The requests
// in the slots are `Send`.
unsafe impl<T: Types> Send for InFlightSlots<T> {}
// SAFETY: as above.
unsafe impl<T: Types> Sync for InFlightSlots<T> {}

impl<T: Types> InFlight<T> {
    /// Room for tags 0 to `depth - 1`, on `node`; nothing is in flight.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(depth: u16, node: NumaNode) -> Result<(Self, Reaper<T>)> {
        let mut slots = vec_on(node, depth.into())?;
        for tag in 0..depth {
            slots.push(
                Slot {
                    state: AtomicU32::new(CommandId::new(tag, 0).raw().into()),
                    rq: OwnedCell::new(NonNull::dangling()),
                },
                GFP_KERNEL,
            )?;
        }
        let slots = Arc::new(
            InFlightSlots {
                slots,
                _types: PhantomData,
            },
            GFP_KERNEL,
        )?;
        let reaper = Reaper {
            slots: Handle::new(&slots, depth),
        };
        let slots = Handle::new(&slots, depth);
        Ok((Self { slots }, reaper))
    }

    /// The command id of the request of `tag`, if that is in flight and its slot is not lent.
    pub(crate) fn command_id(&self, tag: u16) -> Option<CommandId> {
        let state = self.slots.get(tag)?.state.load(Ordering::Relaxed);
        // CAST: without `ARMED` it is a command id.
        (state & ARMED != 0).then(|| CommandId::from_raw(state as u16))
    }

    /// Whether a request of `tag` is in flight, of this queue or of another.
    pub(crate) fn is_in_use(&self, tag: u16) -> bool {
        self.slots
            .get(tag)
            .is_some_and(|slot| slot.state.load(Ordering::Acquire) & IN_USE != 0)
    }

    /// Puts `rq` into the slot of its tag, and returns the command id for its command.
    ///
    /// # Errors
    ///
    /// Gives the request back if a request of another queue uses the slot of its tag, or if there
    /// is no such slot, which only a bug of the block layer can cause.
    #[inline(always)]
    pub(crate) fn arm(&mut self, rq: Started<T>) -> Result<CommandId, Started<T>> {
        self.arm_with(rq, ARMED)
    }

    /// As [`Self::arm`], for a request of another queue.
    pub(crate) fn lend(&mut self, rq: Started<T>) -> Result<CommandId, Started<T>> {
        self.arm_with(rq, LENT)
    }

    #[inline(always)]
    fn arm_with(&mut self, rq: Started<T>, how: u32) -> Result<CommandId, Started<T>> {
        let tag = rq.tag();
        let Some(slot) = self.slots.get(tag) else {
            return Err(rq);
        };
        // Pairs with the release store in `release`.
        let last = slot.state.load(Ordering::Acquire);
        if last & IN_USE != 0 {
            return Err(rq);
        }
        // CAST: without `IN_USE` it is a command id.
        let cid = CommandId::from_raw(last as u16).next_generation();
        // SAFETY: the slot is not in use, so it belongs to `self`, which is borrowed exclusively.
        unsafe { slot.rq.set(rq.as_non_null()) };
        // Pairs with the acquire loads of `Reaper`: a load that sees the id is ordered before the
        // loads of the request and of its private data.
        slot.state
            .store(how | u32::from(cid.raw()), Ordering::Release);
        Ok(cid)
    }
}

impl<T: Types> Reaper<T> {
    /// Takes back the request that `end` completes, if `end` is the plain success of a request in
    /// flight. The device may have written any value.
    #[inline(always)]
    pub(crate) fn take_success(&mut self, end: CqeEnd) -> Option<Started<T>> {
        let slot = self.slots.get(end.command_id().tag())?;
        if slot.state.load(Ordering::Acquire) != end.raw() {
            return None;
        }
        Some(Self::release(slot, end.command_id()))
    }

    /// Takes back the request that was armed with command id `cid`, if there is one. It may be a
    /// request of another queue.
    pub(crate) fn take(&mut self, cid: CommandId) -> Option<Started<T>> {
        let slot = self.slots.get(cid.tag())?;
        let state = slot.state.load(Ordering::Acquire);
        // CAST: without `IN_USE` it is a command id.
        if state & IN_USE == 0 || state as u16 != cid.raw() {
            return None;
        }
        Some(Self::release(slot, cid))
    }

    /// Whether fault injection wants the completion with command id `cid` lost: the request stays
    /// in flight then, and times out. A kernel without `CONFIG_FAIL_IO_TIMEOUT` pays nothing for
    /// it.
    #[inline(always)]
    pub(crate) fn is_to_be_lost(&self, cid: CommandId) -> bool {
        #[cfg(CONFIG_FAIL_IO_TIMEOUT)]
        return self.slots.get(cid.tag()).is_some_and(|slot| {
            if slot.state.load(Ordering::Acquire) != CqeEnd::success(cid).raw() {
                return false;
            }
            // SAFETY: the slot is armed, so it belongs to the one reaper, which is borrowed, and
            // its request is live.
            unsafe { should_fake_timeout(slot.rq.get().as_ptr()) }
        });
        #[cfg(not(CONFIG_FAIL_IO_TIMEOUT))]
        {
            let _ = cid;
            false
        }
    }

    /// Takes back any request that is still in flight. The hardware must have been stopped.
    pub(crate) fn take_any(&mut self) -> Option<Started<T>> {
        let slot = self
            .slots
            .keep
            .slots
            .iter()
            .find(|slot| slot.state.load(Ordering::Acquire) & IN_USE != 0)?;
        // CAST: without `IN_USE` it is a command id.
        let cid = CommandId::from_raw(slot.state.load(Ordering::Relaxed) as u16);
        Some(Self::release(slot, cid))
    }

    /// Whether no request is in flight.
    pub(crate) fn is_idle(&self) -> bool {
        self.slots
            .keep
            .slots
            .iter()
            .all(|slot| slot.state.load(Ordering::Acquire) & IN_USE == 0)
    }

    #[inline(always)]
    fn release(slot: &Slot, cid: CommandId) -> Started<T> {
        // SAFETY: the slot is in use and there is one reaper, borrowed exclusively by our caller,
        // so the slot is ours until `state` is cleared.
        let rq = unsafe { slot.rq.get() };
        slot.state.store(cid.raw().into(), Ordering::Release);
        // SAFETY: `arm_with` took the started request from its only owner, and stored it before
        // `state`. The slot was in use and is no longer, so the request leaves it once.
        unsafe { Started::from_raw(rq.as_ptr()) }
    }
}

/// Whether fault injection wants the completion of `rq` lost: `io-timeout-fail` of its disk, and
/// `fail_io_timeout` in debugfs (`blk_should_fake_timeout`).
///
/// # Safety
///
/// `rq` is live.
#[cfg(CONFIG_FAIL_IO_TIMEOUT)]
unsafe fn should_fake_timeout(rq: *mut bindings::request) -> bool {
    // SAFETY: the request is live, and so is its queue. Other code may change the flags at any
    // time.
    unsafe {
        let q = (*rq).q;
        let flags = core::ptr::addr_of!((*q).queue_flags).read_volatile();
        flags & 1 << bindings::QUEUE_FLAG_FAIL_IO != 0 && bindings::__blk_should_fake_timeout(q)
    }
}
