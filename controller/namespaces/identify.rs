// SPDX-License-Identifier: GPL-2.0

//! What a controller says of its namespaces: which there are, their identifiers, their limits.

use super::Namespaces;
use crate::{
    nvme::{
        regs,
        Identify,
        LargeHints,
        NamespaceInfo,
        NamespaceList,
        Nsid,
        NvmLimits,
        UniqueIds, //
    },
    policy::{
        DiskLimits,
        Source, //
    },
    sys::{
        block::Limits,
        dma::MAX_SEGMENTS, //
    },
};
use kernel::prelude::*;

/// The most namespaces that a scan looks at: a device may claim four billion.
const MAX_NAMESPACES: usize = 8192;

/// What a controller says that matters to all of its namespaces.
pub(super) struct Common {
    /// Major and minor version of the specification (VS).
    pub(super) version: (u16, u8),
    /// Limits of commands without data.
    nvm: NvmLimits,
}

impl Namespaces {
    /// The active namespaces in ascending order (Identify, CNS 02h), page by page, and whether the list
    /// is complete.
    pub(super) fn active(&self) -> Result<(KVec<Nsid>, bool)> {
        let mut found = KVec::new();
        let mut after = 0;
        while found.len() < MAX_NAMESPACES {
            let page = self
                .shared
                .admin
                .identify(&Identify::active_namespaces(after))?;
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

    /// What matters to all namespaces.
    pub(super) fn describe(&self) -> Common {
        let version = self.shared.version();
        // CAST: 16 and 8 bits.
        let version = (version.mjr().get() as u16, version.mnr().get() as u8);
        let nvm = if self.shared.hardware.caps().command_sets || version >= (2, 0) {
            // A controller that refuses states no limits; the log has a line.
            self.shared
                .admin
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
        // A controller that refuses states no hints; the log has a line.
        self.shared
            .admin
            .identify(&Identify::namespace_nvm(nsid))
            .and_then(|page| Ok(LargeHints::decode(page.get()?)))
            .unwrap_or_default()
    }

    /// The globally unique identifiers of namespace `nsid` that the controller states, and whether it
    /// stated all.
    pub(super) fn unique_ids(
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
            let page = match self.shared.admin.identify(&Identify::descriptors(nsid)) {
                Ok(page) => page,
                Err(e) => return (ids, Err(e)),
            };
            if let Ok(Err(e)) = page.get().map(|list| ids.take(list)) {
                dev_warn!(self.parent, "namespace {}: {}\n", nsid.get(), e);
            }
        }
        (ids, Ok(()))
    }

    /// Identify namespace for `nsid`, checked.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the namespace cannot be used, with a line in the log; what executing the command
    /// returns.
    pub(super) fn namespace_info(&self, nsid: Nsid) -> Result<NamespaceInfo> {
        let page = self.shared.admin.identify(&Identify::namespace(nsid))?;
        let info = NamespaceInfo::decode(page.get()?).map_err(|e| {
            dev_err!(self.parent, "namespace {}: {}\n", nsid.get(), e);
            ENODEV
        })?;
        let block = 1u32.checked_shl(info.lba_shift).ok_or(EINVAL)?;
        if block > self.shared.max_transfer {
            dev_err!(
                self.parent,
                "namespace {}: a block of {} bytes is more than a transfer of {}\n",
                nsid.get(),
                block,
                self.shared.max_transfer
            );
            return Err(ENODEV);
        }
        Ok(info)
    }

    /// The limits of a namespace. Fields that contradict others are named in the log and ignored.
    pub(super) fn limits(&self, nsid: Nsid, info: &NamespaceInfo, controller: &Common) -> Limits {
        let is_2_1 = controller.version >= (2, 1);
        let now = self.shared.info();
        let (disk, ignored) = DiskLimits::new(&Source {
            controller: &now,
            nvm: &controller.nvm,
            namespace: info,
            large: self.large_hints(nsid, info, is_2_1),
            max_transfer: self.shared.max_transfer,
            is_2_1,
        });
        if !ignored.is_empty() {
            dev_warn!(
                self.parent,
                "namespace {}: ignoring inconsistent {}\n",
                nsid.get(),
                ignored
            );
        }
        Limits {
            disk,
            max_transfer: self.shared.max_transfer,
            max_segments: MAX_SEGMENTS,
            // SGLs take segments that begin and end anywhere.
            boundary: if now.sgls { 1 } else { regs::PAGE_SIZE },
            write_cache: now.volatile_write_cache,
        }
    }
}
