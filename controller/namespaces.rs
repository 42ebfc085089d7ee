// SPDX-License-Identifier: GPL-2.0

//! The namespaces of a controller as disks: Identify data, checked, becomes limits, and limits become
//! a `gendisk`.

// Namespaces that have disks.
mod live;
// What the controller says of its namespaces.
mod identify;
// Namespaces in use, told apart by their identifiers.
mod registration;

use self::{
    identify::Common,
    live::{
        LiveNamespaces,
        Membership, //
    },
    registration::Registration, //
};
use super::shared::Shared;
use crate::{
    io::{
        Blocks,
        Geometry,
        Io, //
    },
    num::SECTOR_SHIFT,
    nvme::{
        NamespaceInfo,
        Nsid,
        UniqueIds, //
    },
    sys::{
        base::RateLimit,
        block::{
            Disk,
            Limits,
            RequeueTimer,
            TagSet, //
        },
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
};

/// A namespace with its disk, which goes when this is dropped.
struct Namespace {
    disk: Disk<Io>,
    /// Dropped after the disk.
    registration: Registration,
    /// The disk's number.
    number: u32,
    /// The identifiers that the controller states.
    ids: UniqueIds,
    /// What the disk was made from, for the check that a reset makes.
    membership: Membership,
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
    /// LOCK: the list of disks, while disks are added and removed, and so while I/O is waited for;
    /// inside: all other locks but `Bound::controller`. A reset does not take it.
    #[pin]
    disks: Mutex<KVec<Namespace>>,
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
        Arc::pin_init(
            try_pin_init!(Self {
                shared: shared.clone(),
                set: set.clone(),
                parent: parent.into(),
                live: LiveNamespaces::new()?,
                disks <- new_mutex!(KVec::new()),
            }? Error),
            GFP_KERNEL,
        )
    }

    /// The disks' parent in sysfs, to log for.
    pub(super) fn device(&self) -> &Device {
        &self.parent
    }

    /// How many namespaces have disks.
    pub(super) fn count(&self) -> u32 {
        self.live.count()
    }

    /// Removes all disks, whose I/O ends first. `is_gone`: the device is not on the bus any more,
    /// which users of the disks are told.
    pub(super) fn remove(&self, is_gone: bool) {
        let mut disks = take(&mut *self.disks.lock());
        if is_gone {
            for namespace in &mut disks {
                namespace.disk.mark_dead();
            }
        }
    }

    /// Makes the disks what the active namespaces are now: a new namespace gets a disk, a namespace
    /// that is gone loses its disk, all other disks are updated. A namespace that cannot be used is
    /// named in the log and left out.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EIO` if the list of namespaces cannot be read; `ENODEV` if the controller does not
    /// work any more. The disks that were changed until then stay as they are.
    pub(super) fn scan(&self) -> Result {
        let disks = &mut *self.disks.lock();
        let controller = self.describe();
        let (active, is_all) = self.active()?;
        // An inconsistent list says nothing of the namespaces that it lacks.
        disks.retain(|disk| !is_all || active.binary_search(&disk.registration.nsid).is_ok());
        for nsid in active {
            if !self.shared.hardware.is_live() {
                return Err(ENODEV);
            }
            match self.update(nsid, disks, &controller) {
                Ok(()) => {}
                Err(_) if !self.shared.hardware.is_live() => return Err(ENODEV),
                Err(e) => dev_err!(
                    self.parent,
                    "namespace {} left out: error {}\n",
                    nsid.get(),
                    e.to_errno()
                ),
            }
        }
        if disks.is_empty() {
            dev_warn!(self.parent, "no usable namespace\n");
        }
        Ok(())
    }

    /// Makes a disk for namespace `nsid`, or updates its disk.
    fn update(&self, nsid: Nsid, disks: &mut KVec<Namespace>, controller: &Common) -> Result {
        let info = self.namespace_info(nsid).inspect_err(|e| {
            if *e == ENODEV {
                // The namespace is not what the disk was made from any more.
                disks.retain(|disk| disk.registration.nsid != nsid);
            }
        })?;
        let resets = self.shared.hardware.counters.resets.load(Relaxed);
        let (ids, said) = self.unique_ids(nsid, &info, controller.version);
        let index = disks.iter().position(|disk| disk.registration.nsid == nsid);
        if said.is_err() {
            let undisturbed = self.shared.hardware.is_live()
                && resets == self.shared.hardware.counters.resets.load(Relaxed);
            // A controller that refuses to state more identifiers has a line in the log. Its disk
            // is not taken for another because of that.
            let is_other = index
                .and_then(|index| disks.get(index))
                .is_some_and(|disk| disk.ids != ids);
            if is_other || !undisturbed || said == Err(ENOMEM) {
                return said;
            }
        }
        if let Some(index) = index {
            let disk = disks.get_mut(index).ok_or(EINVAL)?;
            if disk.ids == ids {
                return self.refresh(disk, info, controller);
            }
            dev_warn!(
                self.parent,
                "namespace {} was replaced by another\n",
                nsid.get()
            );
            drop(disks.remove(index));
        }
        let disk = self.add(nsid, free_number(disks), info, ids, controller)?;
        Ok(disks.push(disk, GFP_KERNEL)?)
    }

    /// What the data path needs to know of a namespace with `limits`.
    fn geometry(
        &self,
        registration: &Registration,
        number: u32,
        info: &NamespaceInfo,
        limits: &Limits,
    ) -> Result<Arc<Geometry>> {
        let disk = &limits.disk;
        Arc::pin_init(
            try_pin_init!(Geometry {
                nsid: registration.nsid,
                blocks: Blocks::new(info.lba_shift),
                atomic: disk.atomic,
                many_ranges: disk.discard.ranges > 1,
                deallocating_zeroes: disk.deallocating_zeroes,
                ids: registration.usable,
                retries: self.shared.retries(),
                requeue_timer: RequeueTimer::new(),
                name: (self.shared.number, number),
                log <- RateLimit::new(),
            }? Error),
            GFP_KERNEL,
        )
    }

    /// Makes the disk of namespace `nsid`.
    fn add(
        &self,
        nsid: Nsid,
        number: u32,
        info: NamespaceInfo,
        ids: UniqueIds,
        controller: &Common,
    ) -> Result<Namespace> {
        let registration = self.register(nsid, &info, ids)?;
        let limits = self.limits(nsid, &info, controller);
        let geometry = self.geometry(&registration, number, &info, &limits)?;
        let membership = self.live.enter(&geometry, info)?;
        let disk = Disk::add(
            self.set.clone(),
            &self.parent,
            fmt!("rnvme{}n{}", self.shared.number, number),
            geometry,
            &limits,
            info.sectors,
        )?;
        Ok(Namespace {
            disk,
            registration,
            number,
            ids,
            membership,
        })
    }

    /// Updates the disk of `namespace`, of which the controller says `info` now.
    fn refresh(
        &self,
        namespace: &mut Namespace,
        info: NamespaceInfo,
        controller: &Common,
    ) -> Result {
        if namespace.membership.is_still(&info) {
            return Ok(());
        }
        let (nsid, number) = (namespace.registration.nsid, namespace.number);
        let limits = self.limits(nsid, &info, controller);
        let geometry = self.geometry(&namespace.registration, number, &info, &limits)?;
        let membership = self.live.enter(&geometry, info)?;
        namespace.disk.update(geometry, &limits, info.sectors)?;
        namespace.membership = membership;
        dev_info!(
            self.parent,
            "namespace {} has changed: {} blocks of {} bytes\n",
            nsid.get(),
            info.sectors >> (info.lba_shift - SECTOR_SHIFT),
            1u32 << info.lba_shift
        );
        Ok(())
    }
}

/// The lowest number that none of `disks` has. Disks are numbered from 1 on, in the order in which
/// the scan finds them, as in Linux.
fn free_number(disks: &[Namespace]) -> u32 {
    let taken = |number| disks.iter().any(|disk| disk.number == number);
    (1..).find(|number| !taken(*number)).unwrap_or(u32::MAX)
}
