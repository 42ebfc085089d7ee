// SPDX-License-Identifier: GPL-2.0

//! The namespaces of a controller as disks: Identify data, checked, becomes limits, and limits become
//! a `gendisk`.

// What the log has of namespaces.
mod remarks;
// What the controller says of a namespace.
mod identify;
// Which namespaces there are.
mod active;
// Namespaces that have disks.
mod live;
// Namespaces in use, told apart by their identifiers.
mod registration;
// Namespaces that are not ready.
mod waits;
// What a disk is made of, and how it is made and changed.
mod recipe;

use self::{
    identify::{
        Common,
        Skip, //
    },
    live::{
        LiveNamespaces,
        Membership, //
    },
    recipe::Recipe,
    registration::Registration,
    remarks::{
        Remark,
        Remarks, //
    },
    waits::Waits, //
};
use super::shared::Shared;
use crate::{
    io::Io,
    nvme::Nsid,
    policy::Change,
    sys::block::{
        Disk,
        TagSet, //
    },
};
use core::{
    mem::take,
    sync::atomic::Ordering::Relaxed, //
};
use kernel::{
    device::Device,
    new_mutex,
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        Mutex, //
    },
    time::{
        Instant,
        Monotonic, //
    },
};

/// A namespace with its disk, which goes when this is dropped.
struct Namespace {
    disk: Disk<Io>,
    /// Dropped after the disk.
    registration: Registration,
    /// The disk's number.
    number: u32,
    /// What the disk was made of.
    recipe: Recipe,
    /// What the namespace is recognised by, for the check that a reset makes.
    membership: Membership,
}

/// The disks of a controller.
struct Disks {
    list: KVec<Namespace>,
    /// The namespaces that are not ready.
    waits: Waits,
    /// What the log has.
    remarks: Remarks,
}

/// The namespaces of a controller and their disks.
#[pin_data]
pub(super) struct Namespaces {
    shared: Arc<Shared>,
    /// The I/O queues.
    set: Arc<TagSet<Io>>,
    /// The disks' parent in sysfs.
    parent: ARef<Device>,
    /// The namespaces that have disks, for resets.
    live: Arc<LiveNamespaces>,
    /// The time from which `Disks::waits` counts.
    born: Instant<Monotonic>,
    /// LOCK: the list of disks, while disks are added and removed, and so while I/O is waited for;
    /// inside: all other locks but `Bound::controller`. A reset does not take it.
    #[pin]
    disks: Mutex<Disks>,
}

impl Namespaces {
    /// No namespace yet.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new(
        shared: &Arc<Shared>,
        set: &Arc<TagSet<Io>>,
        parent: &Device,
    ) -> Result<Arc<Self>> {
        let disks = Disks {
            list: KVec::new(),
            waits: Waits::new(shared.hardware.ready_ms()),
            remarks: Remarks::new(),
        };
        Arc::pin_init(
            try_pin_init!(Self {
                shared: shared.clone(),
                set: set.clone(),
                parent: parent.into(),
                live: LiveNamespaces::new()?,
                born: Instant::now(),
                disks <- new_mutex!(disks),
            }? Error),
            GFP_KERNEL,
        )
    }

    /// The disks' parent in sysfs, to log for.
    pub(super) fn device(&self) -> &Device {
        &self.parent
    }

    /// Removes all disks, whose I/O ends first. `is_gone`: the device is not on the bus any more,
    /// which users of the disks are told.
    pub(super) fn remove(&self, is_gone: bool) {
        let mut disks = take(&mut self.disks.lock().list);
        if is_gone {
            for namespace in &mut disks {
                namespace.disk.mark_dead();
            }
        }
    }

    /// Makes the disks what the active namespaces are now: a new namespace gets a disk, a namespace
    /// that is gone loses its disk, all other disks are updated. A namespace that cannot be used is
    /// named in the log and left out. Returns after how many milliseconds to scan again, if a
    /// namespace is not ready.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EIO` if the list of namespaces cannot be read; `ENODEV` if the controller does not
    /// work any more, or was reset meanwhile: a scan follows a reset. The disks that were changed
    /// until then stay as they are.
    pub(super) fn scan(&self) -> Result<Option<u32>> {
        let disks = &mut *self.disks.lock();
        let result = self.look_at_all(disks);
        if let Err(e) = result {
            // A controller that is being reset, or was reset meanwhile, is scanned again afterwards.
            let is_worth = self.shared.hardware.is_live() && e != ENODEV;
            if is_worth && disks.remarks.is_new(None, Remark::Failed(e)) {
                dev_err!(
                    self.parent,
                    "namespace scan failed: error {}\n",
                    e.to_errno()
                );
            }
        }
        if let Some(missed) = disks.remarks.left_out() {
            dev_warn!(
                self.parent,
                "{} lines about namespaces were left out of the log\n",
                missed
            );
        }
        result
    }

    /// The work of [`Self::scan`].
    fn look_at_all(&self, disks: &mut Disks) -> Result<Option<u32>> {
        let (hardware, common) = (&self.shared.hardware, self.common());
        disks.remarks.begin();
        let resets = hardware.counters.resets.load(Relaxed);
        disks.waits.begin(resets, hardware.ready_ms());
        let active = self.active(&common, &mut disks.remarks)?;
        // An inconsistent list says nothing of the namespaces that it lacks.
        remove_disks(&mut disks.list, |nsid| {
            active.is_complete && active.nsids.binary_search(&nsid).is_err()
        });
        let (mut is_whole, mut inactive) = (true, None);
        for nsid in active.nsids {
            if !hardware.is_live() {
                return Err(ENODEV);
            }
            let Err(skip) = self.update(nsid, disks, &common) else {
                self.note_late(nsid, disks)?;
                continue;
            };
            // Either is a reason for any failure.
            if !hardware.is_live() || common.round != self.live.round() {
                return Err(ENODEV);
            }
            is_whole &= !matches!(skip, Skip::NotReady | Skip::Failed(_));
            if matches!(skip, Skip::Inactive | Skip::Unknown) {
                let (first, count) = inactive.unwrap_or((nsid, 0u32));
                inactive = Some((first, count.saturating_add(1)));
            }
            self.skip(nsid, skip, disks, active.is_listed)?;
        }
        if let Some((first, count)) = inactive.filter(|_| active.is_listed) {
            if disks.remarks.is_new(None, Remark::Inactive(count, first)) {
                dev_err!(
                    self.parent,
                    "{} namespaces left out: in the list of active namespaces, but inactive; the first is {}\n",
                    count,
                    first.get()
                );
            }
        }
        if is_whole {
            self.shared.cache_is_known(&common.info);
        }
        disks.waits.end();
        let has_none = disks.list.is_empty() && !disks.waits.is_patient_with_any();
        if has_none && disks.remarks.is_new(None, Remark::None) {
            dev_warn!(self.parent, "no usable namespace\n");
        }
        disks.remarks.end();
        Ok(disks.waits.until_scan())
    }

    /// Milliseconds since [`Self::born`].
    fn now(&self) -> u64 {
        // CAST: the clock does not go back.
        self.born.elapsed().as_millis().max(0) as u64
    }

    /// Notes that I/O to namespace `nsid` has waited in vain, if it has: the partition table may not
    /// have been read.
    fn note_late(&self, nsid: Nsid, disks: &mut Disks) -> Result {
        let is_it = |disk: &&Namespace| disk.registration.nsid == nsid;
        let disk = disks.list.iter().find(is_it);
        match disk.is_some_and(|disk| disk.membership.has_given_up()) {
            true => disks.waits.note_late(nsid, self.now()),
            false => Ok(()),
        }
    }

    /// Namespace `nsid` was not looked at to the end: drops its disk if the namespace is not there or
    /// cannot be used, and logs what is left out and has no line yet. `is_listed`: the controller
    /// says that the namespace is active.
    fn skip(&self, nsid: Nsid, skip: Skip, disks: &mut Disks, is_listed: bool) -> Result {
        let is_gone = match skip {
            Skip::Inactive | Skip::Unusable => true,
            Skip::Unknown => !is_listed,
            Skip::NotReady | Skip::Failed(_) => false,
        };
        if is_gone {
            remove_disks(&mut disks.list, |other| other == nsid);
        }
        let is_patient = disks.waits.is_patient(nsid, self.now());
        match skip {
            Skip::NotReady => {
                disks.waits.note(nsid, self.now())?;
                if !is_patient && disks.remarks.is_new(nsid, Remark::NotReady) {
                    dev_err!(
                        self.parent,
                        "namespace {} left out: not ready: it is looked at again, at first after 5 s\n",
                        nsid.get()
                    );
                }
            }
            Skip::Failed(e) if disks.remarks.is_new(nsid, Remark::LeftOut(e)) => {
                dev_err!(
                    self.parent,
                    "namespace {} left out: error {}\n",
                    nsid.get(),
                    e.to_errno()
                );
            }
            _ => {}
        }
        Ok(())
    }

    /// Makes a disk for namespace `nsid`, or updates its disk. A namespace that says that it is not
    /// ready is left for later, while the driver waits for it.
    fn update(&self, nsid: Nsid, disks: &mut Disks, common: &Common) -> Result<(), Skip> {
        let now = self.describe(nsid, &mut disks.remarks)?;
        if !now.attributes.ready {
            if disks.waits.is_patient(nsid, self.now()) {
                return Err(Skip::NotReady);
            }
            disks.waits.note(nsid, self.now())?;
        }
        let is_it = |disk: &Namespace| disk.registration.nsid == nsid;
        let index = disks.list.iter().position(is_it);
        let disk = index.and_then(|index| disks.list.get_mut(index));
        let change = disk
            .as_ref()
            .map(|disk| disk.membership.change(&now.likeness, self));
        if now.ids_stated.is_err() {
            let undisturbed = self.shared.hardware.is_live() && common.round == self.live.round();
            // A controller that refuses to state more identifiers has a line in the log. Its disk
            // is not taken for another because of that.
            let is_other = change == Some(Change::Replaced);
            if is_other || !undisturbed || now.ids_stated == Err(ENOMEM) {
                return now.ids_stated.map_err(Skip::Failed);
            }
        }
        let mut number = None;
        if let (Some(disk), Some(change)) = (disk, change) {
            match change {
                Change::None | Change::IdsUnknown => {
                    return Ok(self.refresh(disk, &now, common, &mut disks.remarks)?)
                }
                Change::Formatted => match self.reformat(disk, &now, common, &mut disks.remarks) {
                    // A file system on a partition hears of it when the disk goes.
                    Err(e) if e == EBUSY => number = Some(disk.number),
                    result => return Ok(result?),
                },
                Change::Replaced => {}
            }
        }
        if index.is_some() {
            if disks.remarks.may_log() {
                dev_warn!(
                    self.parent,
                    "namespace {} was {}: its disk is made anew\n",
                    nsid.get(),
                    match number {
                        Some(_) => "formatted while partitions are open",
                        None => "replaced by another",
                    }
                );
            }
            remove_disks(&mut disks.list, |other| other == nsid);
        }
        let number = number.unwrap_or_else(|| free_number(&disks.list));
        let disk = self.add(nsid, number, &now, common, &mut disks.remarks)?;
        Ok(disks.list.push(disk, GFP_KERNEL).map_err(Error::from)?)
    }
}

/// Removes the disks of the namespaces that `is_gone` names. Data in the page cache is not written:
/// another namespace may be in the place of theirs.
fn remove_disks(disks: &mut KVec<Namespace>, is_gone: impl Fn(Nsid) -> bool) {
    disks.retain(|disk| {
        let is_gone = is_gone(disk.registration.nsid);
        if is_gone {
            disk.membership.refuse();
        }
        !is_gone
    });
}

/// The lowest number that none of `disks` has. Disks are numbered from 1 on, in the order in which
/// the scan finds them, as in Linux.
fn free_number(disks: &[Namespace]) -> u32 {
    let taken = |number| disks.iter().any(|disk| disk.number == number);
    (1..).find(|number| !taken(*number)).unwrap_or(u32::MAX)
}
