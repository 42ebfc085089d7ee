// SPDX-License-Identifier: GPL-2.0

//! Namespaces as disks: Identify, validated, becomes limits, and limits become a `gendisk`.

// Namespaces that have disks.
mod live;

pub(crate) use self::live::LiveNamespaces;

use self::live::Membership;
use super::hardware::Hardware;
use crate::{
    admin::AdminQueue,
    io::{
        Blocks,
        Geometry,
        Io, //
    },
    nvme::{
        regs,
        ControllerInfo,
        Identify,
        LargeHints,
        NamespaceInfo,
        NamespaceList,
        Nsid,
        NvmLimits,
        SubsystemName,
        UniqueIds,
        VS, //
    },
    policy::{
        DiskLimits,
        RegistryEntry,
        Relation,
        RetryPolicy,
        Source, //
    },
    sys::{
        base::{
            with_registry,
            RateLimit, //
        },
        block::{
            Disk,
            Limits,
            RequeueTimer, //
            TagSet,
        },
        dma::MAX_SEGMENTS, //
    },
};

use core::sync::atomic::Ordering::Relaxed;
use kernel::{
    device::Device,
    io::Io as _,
    prelude::*,
    sync::Arc, //
};

/// The most namespaces that are looked for: a device may claim four billion.
const MAX_NAMESPACES: usize = 8192;

/// A namespace with its disk, which goes when this is dropped.
pub(crate) struct Namespace {
    disk: Disk<Io>,
    /// After the disk.
    registered: Registered,
    /// The disk's number.
    number: u32,
    /// What it was known by, as the controller said it.
    ids: UniqueIds,
    /// What the disk was made from, for whoever brings the controller up again as well.
    membership: Membership,
}

impl Namespace {
    /// The device is not there any more: who uses the disk is told. To be dropped next.
    pub(crate) fn mark_dead(&mut self) {
        self.disk.mark_dead();
    }
}

/// A namespace in the list of those that are in use.
struct Registered {
    instance: u32,
    nsid: Nsid,
    /// By what it can be known: nothing, if that is not unique.
    usable: UniqueIds,
}

impl Drop for Registered {
    fn drop(&mut self) {
        // There is a list, as this is in it.
        let _ = with_registry(|registry| registry.remove(self.instance, self.nsid));
    }
}

/// What the controller says that matters to its namespaces.
struct Common {
    /// Major and minor version of the specification that it follows (VS).
    version: (u16, u8),
    /// Limits of commands without data.
    nvm: NvmLimits,
}

/// What all disks of a controller have in common.
pub(crate) struct Scanner<'a> {
    /// Whether there is still somebody to ask.
    pub(crate) hardware: &'a Hardware,
    /// To ask the controller.
    pub(crate) admin: &'a AdminQueue,
    /// Of the I/O queues.
    pub(crate) set: &'a Arc<TagSet<Io>>,
    /// The disks' parent in sysfs.
    pub(crate) parent: &'a Device,
    /// The controller's number.
    pub(crate) instance: u32,
    /// What Identify said of the controller.
    pub(crate) info: &'a ControllerInfo,
    /// The subsystem that the controller belongs to.
    pub(crate) subsystem: &'a Arc<SubsystemName>,
    /// Bytes of the largest transfer.
    pub(crate) max_transfer: u32,
    /// What to do about commands that fail.
    pub(crate) retries: RetryPolicy,
    /// The namespaces that have disks.
    pub(crate) live: &'a Arc<LiveNamespaces>,
}

impl Scanner<'_> {
    /// Makes `disks` what the active namespaces are now: new ones get a disk, those that are gone
    /// lose theirs, the others follow. One that cannot be used is named in the log and left out.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EIO` if the list of namespaces cannot be had; `ENODEV` if the controller does not
    /// work any more. What was done until then stays.
    pub(crate) fn scan(&self, disks: &mut KVec<Namespace>) -> Result {
        let controller = self.describe();
        let (active, is_all) = self.active()?;
        // What a list that makes no sense leaves out is not gone for that.
        disks.retain(|disk| !is_all || active.binary_search(&disk.registered.nsid).is_ok());
        for nsid in active {
            if !self.hardware.is_live() {
                return Err(ENODEV);
            }
            match self.update(nsid, disks, &controller) {
                Ok(()) => {}
                Err(_) if !self.hardware.is_live() => return Err(ENODEV),
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

    /// Makes a disk of namespace `nsid`, or has the one there is follow it.
    fn update(&self, nsid: Nsid, disks: &mut KVec<Namespace>, controller: &Common) -> Result {
        let info = self.namespace_info(nsid).inspect_err(|e| {
            if *e == ENODEV {
                // Whatever it is now, it is not what the disk was made from.
                disks.retain(|disk| disk.registered.nsid != nsid);
            }
        })?;
        let resets = self.hardware.counters.resets.load(Relaxed);
        let (ids, said) = self.unique_ids(nsid, &info, controller.version);
        let index = disks.iter().position(|disk| disk.registered.nsid == nsid);
        if said.is_err() {
            let undisturbed =
                self.hardware.is_live() && resets == self.hardware.counters.resets.load(Relaxed);
            // One that refuses to say has no more to be known by, and the log has a line; but no disk
            // is taken for another one because of that.
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
            dev_warn!(self.parent, "namespace {} is another one now\n", nsid.get());
            drop(disks.remove(index));
        }
        let disk = self.add(nsid, free_number(disks), info, ids, controller)?;
        Ok(disks.push(disk, GFP_KERNEL)?)
    }

    /// The active namespaces in ascending order (Identify, CNS 02h), page by page; and whether these
    /// are all.
    fn active(&self) -> Result<(KVec<Nsid>, bool)> {
        let mut found = KVec::new();
        let mut after = 0;
        while found.len() < MAX_NAMESPACES {
            let page = self.admin.identify(&Identify::active_namespaces(after))?;
            let before = found.len();
            for nsid in page.get()?.iter(after) {
                match nsid {
                    Ok(nsid) => found.push(nsid, GFP_KERNEL)?,
                    Err(e) => {
                        dev_err!(self.parent, "{}: the namespaces after it are left out\n", e);
                        return Ok((found, false));
                    }
                }
            }
            if found.len() - before < NamespaceList::LEN {
                return Ok((found, true));
            }
            after = found.last().map_or(0, |nsid| nsid.get());
        }
        dev_warn!(
            self.parent,
            "more than {} namespaces: the rest is left out\n",
            found.len()
        );
        Ok((found, false))
    }

    /// What is the same for all namespaces.
    fn describe(&self) -> Common {
        let hardware = self.hardware;
        let version = hardware.bar().read(VS);
        // CAST: 16 and 8 bits.
        let version = (version.mjr().get() as u16, version.mnr().get() as u8);
        let nvm = if hardware.caps().command_sets || version >= (2, 0) {
            // A controller that refuses has none; the log has a line.
            self.admin
                .identify(&Identify::controller_nvm())
                .and_then(|page| Ok(NvmLimits::decode(page.get()?)))
                .unwrap_or_default()
        } else {
            NvmLimits::default()
        };
        Common { version, nvm }
    }

    /// The hints of a namespace that need more than 16 bits, if it has any.
    fn large_hints(&self, nsid: Nsid, info: &NamespaceInfo, is_2_1: bool) -> LargeHints {
        if !info.hints.has_large(is_2_1) {
            return LargeHints::default();
        }
        // A controller that refuses has none; the log has a line.
        self.admin
            .identify(&Identify::namespace_nvm(nsid))
            .and_then(|page| Ok(LargeHints::decode(page.get()?)))
            .unwrap_or_default()
    }

    /// What identifies the namespace wherever it is, as far as the controller says; and whether it
    /// said all.
    fn unique_ids(
        &self,
        nsid: Nsid,
        info: &NamespaceInfo,
        version: (u16, u8),
    ) -> (UniqueIds, Result) {
        let mut ids = UniqueIds::default();
        if version >= (1, 1) {
            ids.eui64 = info.eui64;
        }
        if version >= (1, 2) {
            ids.nguid = info.nguid;
        }
        if version >= (1, 3) {
            let page = match self.admin.identify(&Identify::descriptors(nsid)) {
                Ok(page) => page,
                Err(e) => return (ids, Err(e)),
            };
            if let Ok(Err(e)) = page.get().map(|list| ids.take(list)) {
                dev_warn!(self.parent, "namespace {}: {}\n", nsid.get(), e);
            }
        }
        (ids, Ok(()))
    }

    /// Enters the namespace into the list of those in use.
    ///
    /// # Errors
    ///
    /// `EEXIST` if it cannot be told from another one.
    fn register(&self, nsid: Nsid, info: &NamespaceInfo, ids: UniqueIds) -> Result<Registered> {
        let entry = RegistryEntry {
            instance: self.instance,
            subsystem: self.subsystem.clone(),
            nsid,
            ids,
            shared: self.info.multi_controller && info.shared,
        };
        let relation = with_registry(|registry| registry.add(entry))??;
        let membership = |usable| {
            Ok(Registered {
                instance: self.instance,
                nsid,
                usable,
            })
        };
        match relation {
            Relation::New => membership(ids),
            Relation::OtherPath { instance } => {
                dev_warn!(
                    self.parent,
                    "namespace {}: rnvme{} has a disk of it, too: use one of them only\n",
                    nsid.get(),
                    instance
                );
                membership(ids)
            }
            Relation::Twin {
                id,
                instance,
                nsid: other,
            } => {
                // To use both would be to take one for the other.
                dev_err!(
                    self.parent,
                    "namespace {}: the {} is that of namespace {} of rnvme{}, too\n",
                    nsid.get(),
                    id,
                    other.get(),
                    instance
                );
                Err(EEXIST)
            }
            Relation::NotUnique {
                id,
                instance,
                nsid: other,
            } => {
                dev_warn!(
                    self.parent,
                    "namespace {}: the {} is that of namespace {} of rnvme{}: its identifiers are not used\n",
                    nsid.get(),
                    id,
                    other.get(),
                    instance
                );
                membership(UniqueIds::default())
            }
        }
    }

    /// What the controller says of namespace `nsid`, checked.
    fn namespace_info(&self, nsid: Nsid) -> Result<NamespaceInfo> {
        let page = self.admin.identify(&Identify::namespace(nsid))?;
        let info = NamespaceInfo::decode(page.get()?).map_err(|e| {
            dev_err!(self.parent, "namespace {}: {}\n", nsid.get(), e);
            ENODEV
        })?;
        let block = 1u32.checked_shl(info.lba_shift).ok_or(EINVAL)?;
        if block > self.max_transfer {
            dev_err!(
                self.parent,
                "namespace {}: a block of {} bytes is more than a transfer of {}\n",
                nsid.get(),
                block,
                self.max_transfer
            );
            return Err(ENODEV);
        }
        Ok(info)
    }

    /// The limits of a namespace. What it says in vain is named in the log.
    fn limits(&self, nsid: Nsid, info: &NamespaceInfo, controller: &Common) -> Limits {
        let is_2_1 = controller.version >= (2, 1);
        let (disk, ignored) = DiskLimits::new(&Source {
            controller: self.info,
            nvm: &controller.nvm,
            namespace: info,
            large: self.large_hints(nsid, info, is_2_1),
            max_transfer: self.max_transfer,
            is_2_1,
        });
        if !ignored.is_empty() {
            dev_warn!(
                self.parent,
                "namespace {}: what it says in {} is not believed\n",
                nsid.get(),
                ignored
            );
        }
        Limits {
            disk,
            max_transfer: self.max_transfer,
            max_segments: MAX_SEGMENTS,
            // SGLs take segments that begin and end anywhere.
            boundary: if self.info.sgls { 1 } else { regs::PAGE_SIZE },
            write_cache: self.info.volatile_write_cache,
        }
    }

    /// What the data path is to know of a namespace with these `limits`.
    fn geometry(
        &self,
        registered: &Registered,
        number: u32,
        info: &NamespaceInfo,
        limits: &Limits,
    ) -> Result<Arc<Geometry>> {
        let disk = &limits.disk;
        Arc::pin_init(
            try_pin_init!(Geometry {
                nsid: registered.nsid,
                blocks: Blocks::new(info.lba_shift),
                atomic: disk.atomic,
                many_ranges: disk.discard.ranges > 1,
                deallocating_zeroes: disk.deallocating_zeroes,
                ids: registered.usable,
                retries: self.retries,
                requeue_timer: RequeueTimer::new(),
                name: (self.instance, number),
                log <- RateLimit::new(),
            }? Error),
            GFP_KERNEL,
        )
    }

    fn add(
        &self,
        nsid: Nsid,
        number: u32,
        info: NamespaceInfo,
        ids: UniqueIds,
        controller: &Common,
    ) -> Result<Namespace> {
        let registered = self.register(nsid, &info, ids)?;
        let limits = self.limits(nsid, &info, controller);
        let geometry = self.geometry(&registered, number, &info, &limits)?;
        let membership = self.live.enter(&geometry, info)?;
        let disk = Disk::add(
            self.set.clone(),
            self.parent,
            fmt!("rnvme{}n{}", self.instance, number),
            geometry,
            &limits,
            info.sectors,
        )?;
        Ok(Namespace {
            disk,
            registered,
            number,
            ids,
            membership,
        })
    }

    /// Has the disk of a namespace follow what is said of it now.
    fn refresh(
        &self,
        namespace: &mut Namespace,
        info: NamespaceInfo,
        controller: &Common,
    ) -> Result {
        if namespace.membership.is_still(&info) {
            return Ok(());
        }
        let (nsid, number) = (namespace.registered.nsid, namespace.number);
        let limits = self.limits(nsid, &info, controller);
        let geometry = self.geometry(&namespace.registered, number, &info, &limits)?;
        let membership = self.live.enter(&geometry, info)?;
        namespace.disk.update(geometry, &limits, info.sectors)?;
        namespace.membership = membership;
        dev_info!(
            self.parent,
            "namespace {} has changed: {} blocks of {} bytes\n",
            nsid.get(),
            info.sectors >> (info.lba_shift - 9),
            1u32 << info.lba_shift
        );
        Ok(())
    }
}

/// The lowest number that none of `disks` has. Disks are numbered from 1 on in the order in which
/// they are found, as Linux does.
fn free_number(disks: &[Namespace]) -> u32 {
    let taken = |number| disks.iter().any(|disk| disk.number == number);
    (1..).find(|number| !taken(*number)).unwrap_or(u32::MAX)
}
