// SPDX-License-Identifier: GPL-2.0

//! Namespaces with disks. A reset checks them again: I/O held across it must not reach a namespace
//! that was replaced or reformatted.

use super::{
    identify::{
        Round,
        Skip, //
    },
    remarks::Remarks,
    Namespaces, //
};
use crate::{
    io::Geometry,
    policy::{
        timing,
        Change,
        Likeness,
        LogBudget, //
    },
    sys::base::{
        NoIo,
        RateLimit, //
    },
};
use core::sync::atomic::{
    AtomicBool,
    Ordering::Relaxed, //
};
use kernel::{
    io::poll::read_poll_timeout,
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    }, //
};

/// Admin commands that [`Namespaces::check`] takes for a disk: Identify for the descriptors and for
/// the namespace.
const COMMANDS_OF_A_CHECK: u32 = 2;

/// The most lines of checks in a minute.
const LINES: u32 = 64;

/// The namespaces of a controller that have disks.
#[pin_data]
pub(super) struct LiveNamespaces {
    /// LOCK: the list of namespaces that have disks; inside: nothing. A reset takes it, so
    /// allocations do no I/O.
    #[pin]
    list: Mutex<Members>,
    /// Bounds the lines of checks.
    #[pin]
    lines: RateLimit,
}

struct Members {
    list: KVec<Arc<Member>>,
    /// Goes up when [`Namespaces::check`] begins.
    round: Round,
    /// The namespace whose partition table a scan reads.
    read: Option<Arc<Member>>,
    /// Whether the driver leaves the controller.
    is_over: bool,
}

/// A namespace as its disk was made from it.
struct Member {
    geometry: Arc<Geometry>,
    likeness: Likeness,
    /// Whether its identifiers read as zero now: the log has a line.
    has_lost_ids: AtomicBool,
}

/// While this lives, a scan reads the partition table of a namespace.
pub(super) struct TableRead<'a>(&'a LiveNamespaces);

impl Drop for TableRead<'_> {
    fn drop(&mut self) {
        let read = self.0.list.lock().read.take();
        // Without the lock.
        drop(read);
    }
}

/// Keeps a namespace in the list until dropped.
pub(super) struct Membership {
    live: Arc<LiveNamespaces>,
    member: Arc<Member>,
}

impl LiveNamespaces {
    /// No namespace yet.
    pub(super) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                list <- new_mutex!(Members {
                    list: KVec::new(),
                    round: Round::FIRST,
                    read: None,
                    is_over: false,
                }),
                lines <- RateLimit::of(LogBudget::of_a_minute(LINES)),
            }),
            GFP_KERNEL,
        )
    }

    /// The present round. Taken before the controller is asked about a namespace.
    pub(super) fn round(&self) -> Round {
        self.list.lock().round
    }

    /// Adds the namespace of `likeness`, whose disk has `geometry`, as the controller has described
    /// it since `round`.
    ///
    /// # Errors
    ///
    /// `ENODEV` if a check has begun since then: the namespace may be another now, and the check
    /// does not look at it. The scan that follows each reset describes it anew. `ENOMEM`.
    pub(super) fn enter(
        self: &Arc<Self>,
        geometry: &Arc<Geometry>,
        likeness: Likeness,
        round: Round,
    ) -> Result<Membership> {
        let member = Member {
            geometry: geometry.clone(),
            likeness,
            has_lost_ids: AtomicBool::new(false),
        };
        let member = Arc::new(member, GFP_KERNEL)?;
        let _noio = NoIo::new();
        let mut members = self.list.lock();
        if members.round != round {
            return Err(ENODEV);
        }
        members.list.push(member.clone(), GFP_KERNEL)?;
        drop(members);
        Ok(Membership {
            live: self.clone(),
            member,
        })
    }

    /// The number of namespaces.
    fn count(&self) -> u32 {
        // CAST: there is memory for fewer.
        self.list.lock().list.len() as u32
    }

    /// The namespace whose partition table a scan reads.
    fn read(&self) -> Option<Arc<Member>> {
        self.list.lock().read.clone()
    }

    /// No namespace enters any more that was described before, none is waited for, and no partition
    /// table is read that is not being read.
    fn end(&self) {
        let mut members = self.list.lock();
        members.round = members.round.next();
        members.is_over = true;
        for member in &members.list {
            member.geometry.readiness.end();
        }
    }

    /// Begins a round: returns all namespaces, and no namespace enters any more that was described
    /// before.
    fn begin_round(&self) -> Result<KVec<Arc<Member>>> {
        let mut all = KVec::new();
        let _noio = NoIo::new();
        let mut members = self.list.lock();
        members.round = members.round.next();
        for member in &members.list {
            all.push(member.clone(), GFP_KERNEL)?;
        }
        Ok(all)
    }
}

impl Member {
    /// What the namespace that is `now` under its identifier is to the disk.
    fn change(&self, now: &Likeness, namespaces: &Namespaces) -> Change {
        let change = now.change(&self.likeness);
        let has_lost_ids = change == Change::IdsUnknown;
        if has_lost_ids && !self.has_lost_ids.swap(has_lost_ids, Relaxed) {
            if let Some(missed) = namespaces.live.lines.admit() {
                dev_warn!(
                    namespaces.device(),
                    "namespace {} does not report the identifiers that it had: all else is the same, the disk stays{}\n",
                    self.geometry.nsid.get(),
                    missed
                );
            }
        }
        self.has_lost_ids.store(has_lost_ids, Relaxed);
        change
    }
}

impl Membership {
    /// What the namespace that is `now` under its identifier is to the disk.
    pub(super) fn change(&self, now: &Likeness, namespaces: &Namespaces) -> Change {
        match self.member.change(now, namespaces) {
            // A reset has found other blocks, and I/O is refused: the data is gone.
            Change::None | Change::IdsUnknown if self.is_refused() => Change::Formatted,
            change => change,
        }
    }

    /// Notes that a scan reads the partition table until the result is dropped.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the driver leaves the controller: no table is read then.
    pub(super) fn begin_reading(&self) -> Result<TableRead<'_>> {
        let mut members = self.live.list.lock();
        if members.is_over {
            return Err(ENODEV);
        }
        members.read = Some(self.member.clone());
        Ok(TableRead(&self.live))
    }

    /// What the disk was made from, with the size of `now`.
    pub(super) fn likeness(&self, now: &Likeness) -> Likeness {
        Likeness {
            ids: self.member.likeness.ids,
            ..*now
        }
    }

    /// Whether I/O to the namespace fails.
    pub(super) fn is_refused(&self) -> bool {
        self.member.geometry.blocks.are_refused()
    }

    /// I/O to the namespace fails from here on.
    pub(super) fn refuse(&self) {
        self.member.geometry.blocks.refuse();
    }

    /// Whether I/O failed because the namespace was not ready for too long.
    pub(super) fn has_given_up(&self) -> bool {
        self.member.geometry.readiness.has_given_up()
    }

    /// The same, since the last call. I/O that comes now is not waited for again.
    pub(super) fn take_gave_up(&self) -> bool {
        self.member.geometry.readiness.take_gave_up()
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let member = Arc::as_ptr(&self.member);
        let mut members = self.live.list.lock();
        members.list.retain(|other| Arc::as_ptr(other) != member);
    }
}

impl Namespaces {
    /// Whether no namespace has a disk.
    pub(in crate::controller) fn is_empty(&self) -> bool {
        self.live.count() == 0
    }

    /// How many admin commands [`Self::check`] takes at most.
    pub(in crate::controller) fn commands_of_a_check(&self) -> u32 {
        self.live.count().saturating_mul(COMMANDS_OF_A_CHECK)
    }

    /// The driver leaves the controller: no request waits before it is tried again, whether its
    /// namespace is not ready or its status names a delay. A scan that reads a partition table may
    /// end within [`timing::DRAIN_MS`]. After that I/O to the namespace fails: reads that take
    /// nearly `io_timeout` each, 60 of them one after the other, would hold up the end for half an
    /// hour.
    pub(in crate::controller) fn end_waits(&self) {
        self.live.end();
        self.set.hurry();
        let (interval, longest) = (timing::POLL_INTERVAL, timing::millis(timing::DRAIN_MS));
        let look = || Ok(self.live.read());
        if read_poll_timeout(look, Option::is_none, interval, longest).is_ok() {
            return;
        }
        if let Some(member) = self.live.read() {
            dev_err!(
                self.parent,
                "namespace {}: the partition table is not read within {} ms, and the driver leaves: I/O fails\n",
                member.geometry.nsid.get(),
                timing::DRAIN_MS
            );
            member.geometry.blocks.refuse();
        }
    }

    /// Identifies the namespaces with disks again. I/O to a namespace that is another now fails from
    /// here on, until [`Namespaces::scan`] has updated its disk.
    ///
    /// # Errors
    ///
    /// `ENOMEM`. A namespace that the controller says nothing of counts as unchanged.
    pub(in crate::controller) fn check(&self) -> Result {
        for member in self.live.begin_round()? {
            member.geometry.readiness.begin_anew();
            let change = match self.recognise(member.geometry.nsid, &mut Remarks::mute()) {
                Ok((now, ..)) => member.change(&now, self),
                Err(Skip::Failed(e)) if e == ENOMEM => return Err(e),
                Err(Skip::Failed(_) | Skip::NotReady | Skip::Unknown) => Change::None,
                Err(Skip::Inactive | Skip::Unusable) => Change::Replaced,
            };
            if matches!(change, Change::Formatted | Change::Replaced) {
                if let Some(missed) = self.live.lines.admit() {
                    dev_warn!(
                        self.parent,
                        "namespace {} has changed in the reset: I/O that waited for it fails{}\n",
                        member.geometry.nsid.get(),
                        missed
                    );
                }
                member.geometry.blocks.refuse();
            }
        }
        Ok(())
    }
}
