// SPDX-License-Identifier: GPL-2.0

//! Namespaces as disks: Identify, validated, becomes limits, and limits become a `gendisk`.

use crate::{
    admin::AdminQueue,
    io::{
        Geometry,
        Io, //
    },
    limit::RateLimit,
    recovery::Hardware,
    regs,
    spec::{
        command::Identify,
        identify::{
            ControllerInfo,
            NamespaceInfo,
            NamespaceList, //
        },
        ids::Nsid, //
    },
    sys::{
        blk::TagSet,
        disk::{
            Disk,
            Limits, //
        },
        mapping::MAX_SEGMENTS,
    }, //
};
use kernel::{
    device::Device,
    prelude::*,
    sync::Arc, //
};

/// The most namespaces that are looked for: a device may claim four billion.
const MAX_NAMESPACES: usize = 8192;

/// A namespace with its disk, which goes when this is dropped.
pub(crate) struct Namespace {
    _disk: Disk<Io>,
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
    /// Bytes of the largest transfer.
    pub(crate) max_transfer: u32,
}

impl Scanner<'_> {
    /// Makes a disk of every active namespace. One that cannot be used is named in the log and
    /// left out.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EIO` if the list of namespaces cannot be had; `ENODEV` if the controller dies
    /// meanwhile.
    pub(crate) fn scan(&self) -> Result<KVec<Namespace>> {
        let mut disks = KVec::new();
        for nsid in self.active()? {
            // Disks are numbered in the order of their namespaces, without gaps, as Linux does.
            let number = u32::try_from(disks.len())?.saturating_add(1);
            match self.add(nsid, number) {
                Ok(disk) => disks.push(disk, GFP_KERNEL)?,
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
        Ok(disks)
    }

    /// The active namespaces in ascending order (Identify, CNS 02h), page by page.
    fn active(&self) -> Result<KVec<Nsid>> {
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
                        return Ok(found);
                    }
                }
            }
            if found.len() - before < NamespaceList::LEN {
                return Ok(found);
            }
            after = found.last().map_or(0, |nsid| nsid.get());
        }
        dev_warn!(
            self.parent,
            "more than {} namespaces: the rest is left out\n",
            found.len()
        );
        Ok(found)
    }

    fn add(&self, nsid: Nsid, number: u32) -> Result<Namespace> {
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
        let limits = Limits {
            logical_block: block,
            physical_block: block,
            max_transfer: self.max_transfer,
            max_segments: MAX_SEGMENTS,
            boundary: regs::PAGE_SIZE,
            write_cache: self.info.volatile_write_cache,
        };
        let geometry = Arc::pin_init(
            try_pin_init!(Geometry {
                nsid,
                lba_shift: info.lba_shift,
                name: (self.instance, number),
                log <- RateLimit::new(),
            }? Error),
            GFP_KERNEL,
        )?;
        let disk = Disk::add(
            self.set.clone(),
            self.parent,
            fmt!("rnvme{}n{}", self.instance, number),
            geometry,
            &limits,
            info.sectors,
        )?;
        Ok(Namespace { _disk: disk })
    }
}
