// SPDX-License-Identifier: GPL-2.0

//! What a controller says of one of its namespaces: identifiers, size, attributes, limits.

use super::{
    remarks::{
        Remark,
        Remarks, //
    },
    Namespaces, //
};
use crate::{
    admin::Page,
    nvme::{
        regs,
        CommandSet,
        ControllerInfo,
        Identify,
        IdentifyData,
        LargeHints,
        NamespaceAttributes,
        NamespaceError,
        NamespaceInfo,
        Nsid,
        NvmLimits,
        Status,
        UniqueIds, //
    },
    policy::{
        DiskLimits,
        Ignored,
        Likeness,
        Quirks,
        Source,
        State, //
    },
    sys::{
        block::Limits,
        dma::MAX_SEGMENTS, //
    },
};
use kernel::prelude::*;

/// Major and minor version of the specification (VS).
type Version = (u16, u8);

/// A time between two checks of the namespaces by resets: what the controller said of a namespace in
/// an earlier one may be of another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Round(u64);

impl Round {
    /// Before the first check.
    pub(super) const FIRST: Self = Self(0);

    /// The round after this one.
    pub(super) fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// What a controller says that matters to all of its namespaces.
pub(super) struct Common {
    /// From when on it says that, and what it says of each namespace.
    pub(super) round: Round,
    /// What the last Identify Controller said.
    pub(super) info: ControllerInfo,
    version: Version,
    /// Limits of commands without data.
    nvm: NvmLimits,
    quirks: Quirks,
}

impl Common {
    /// Whether the controller has a list of active namespaces (CNS 02h).
    pub(super) fn has_active_list(&self) -> bool {
        self.version >= (1, 1) && !has_two_cns(self.version, self.quirks)
    }
}

/// Whether Identify knows CNS 00h and 01h only: a device with the quirk that states an old version.
fn has_two_cns(version: Version, quirks: Quirks) -> bool {
    version < (1, 2) && quirks.has(Quirks::IDENTIFY_CNS)
}

/// Why a namespace gets no disk now, or its disk stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skip {
    /// No namespace is attached under the identifier.
    Inactive,
    /// The controller does not know the identifier.
    Unknown,
    /// The driver cannot use the namespace: the log has a line.
    Unusable,
    /// The namespace is not ready: the same question may get an answer later.
    NotReady,
    /// The question failed.
    Failed(Error),
}

impl From<Error> for Skip {
    fn from(e: Error) -> Self {
        Self::Failed(e)
    }
}

/// A namespace as the controller describes it.
pub(super) struct Description {
    /// By what the namespace is recognised.
    pub(super) likeness: Likeness,
    /// Whether the controller stated all identifiers.
    pub(super) ids_stated: Result,
    /// Identify Namespace, checked.
    pub(super) info: NamespaceInfo,
    /// What does not depend on its command set.
    pub(super) attributes: NamespaceAttributes,
}

impl Namespaces {
    /// Asks the controller, unless the driver leaves it: see [`AdminQueue::ask`].
    ///
    /// # Errors
    ///
    /// `ENODEV` if the driver leaves the controller; what [`AdminQueue::ask`] returns.
    ///
    /// [`AdminQueue::ask`]: crate::admin::AdminQueue::ask
    pub(super) fn ask<D: IdentifyData>(
        &self,
        command: &Identify<D>,
    ) -> Result<Result<Page<D>, Status>> {
        match self.is_over() {
            true => Err(ENODEV),
            false => self.shared.admin.ask(command),
        }
    }

    /// Whether the driver leaves the controller.
    fn is_over(&self) -> bool {
        self.shared.hardware.state() == State::Deleting
    }

    fn version(&self) -> Version {
        let version = self.shared.version();
        // CAST: 16 and 8 bits.
        (version.mjr().get() as u16, version.mnr().get() as u8)
    }

    /// What matters to all namespaces.
    pub(super) fn common(&self) -> Common {
        let round = self.live.round();
        let version = self.version();
        let nvm = if version >= (1, 2) && !self.has_two_cns() {
            // A controller that refuses states no limits.
            match self.ask(&Identify::controller_nvm()) {
                Ok(Ok(page)) => page.get().map(NvmLimits::decode).unwrap_or_default(),
                _ => NvmLimits::default(),
            }
        } else {
            NvmLimits::default()
        };
        Common {
            round,
            info: self.shared.info(),
            version,
            nvm,
            quirks: self.shared.hardware.quirks(),
        }
    }

    /// Describes namespace `nsid`.
    pub(super) fn describe(&self, nsid: Nsid, remarks: &mut Remarks) -> Result<Description, Skip> {
        let (likeness, info, ids_stated) = self.recognise(nsid, remarks)?;
        Ok(Description {
            likeness,
            ids_stated,
            info,
            attributes: self.attributes(nsid, &info)?,
        })
    }

    /// What namespace `nsid` is recognised by, with what Identify Namespace says, checked, and
    /// whether the controller stated all identifiers.
    pub(super) fn recognise(
        &self,
        nsid: Nsid,
        remarks: &mut Remarks,
    ) -> Result<(Likeness, NamespaceInfo, Result), Skip> {
        let (mut ids, command_set, ids_stated) = self.descriptors(nsid, remarks)?;
        if command_set != CommandSet::NVM {
            if remarks.is_new(nsid, Remark::CommandSet(command_set)) {
                dev_err!(
                    self.parent,
                    "namespace {} left out: its command set is {}, only NVM is supported\n",
                    nsid.get(),
                    command_set
                );
            }
            return Err(Skip::Unusable);
        }
        let info = self.namespace_info(nsid, remarks)?;
        let version = self.version();
        let eui64 = Some(info.eui64).filter(|_| version >= (1, 1));
        let nguid = Some(info.nguid).filter(|_| version >= (1, 2));
        ids.complete(eui64.unwrap_or_default(), nguid.unwrap_or_default());
        if self.has(Quirks::BOGUS_NID) {
            ids = UniqueIds::default();
        }
        let likeness = Likeness {
            ids,
            lba_shift: info.lba_shift,
            sectors: info.sectors,
        };
        Ok((likeness, info, ids_stated))
    }

    /// The identifiers and the command set of namespace `nsid` by its descriptors, and whether the
    /// controller stated them.
    fn descriptors(
        &self,
        nsid: Nsid,
        remarks: &mut Remarks,
    ) -> Result<(UniqueIds, CommandSet, Result), Skip> {
        let mut ids = UniqueIds::default();
        let is_known = self.version() >= (1, 3) || self.shared.hardware.caps().command_sets;
        if !is_known || self.has(Quirks::NO_NS_DESC_LIST) || self.has_two_cns() {
            return Ok((ids, CommandSet::NVM, Ok(())));
        }
        let page = match self.ask(&Identify::descriptors(nsid)) {
            Ok(Ok(page)) => page,
            Ok(Err(status)) if status.is_not_ready() => return Err(Skip::NotReady),
            Ok(Err(status)) => {
                // Identify Namespace says the same of a namespace that is not there. What the
                // controller does not support has a line.
                if !status.is_invalid_namespace() && !status.is_unsupported() {
                    self.refused(nsid, "its identification descriptors", status, remarks);
                }
                return Ok((ids, CommandSet::NVM, Err(EIO)));
            }
            Err(e) => return Ok((ids, CommandSet::NVM, Err(e))),
        };
        let list = page.get()?;
        if let Err(e) = ids.take(list) {
            if remarks.is_new(nsid, Remark::Descriptor(e)) {
                dev_warn!(self.parent, "namespace {}: {}\n", nsid.get(), e);
            }
        }
        Ok((ids, list.command_set(), Ok(())))
    }

    /// Identify Namespace for `nsid`, checked.
    fn namespace_info(&self, nsid: Nsid, remarks: &mut Remarks) -> Result<NamespaceInfo, Skip> {
        let page = match self.ask(&Identify::namespace(nsid))? {
            Ok(page) => page,
            Err(status) if status.is_not_ready() => return Err(Skip::NotReady),
            Err(status) if status.is_invalid_namespace() => return Err(Skip::Unknown),
            Err(status) => {
                self.refused(nsid, "Identify Namespace", status, remarks);
                return Err(Skip::Failed(EIO));
            }
        };
        let info = NamespaceInfo::decode(page.get()?).map_err(|e| {
            if e == NamespaceError::Inactive {
                return Skip::Inactive;
            }
            if remarks.is_new(nsid, Remark::Unusable(e)) {
                dev_err!(self.parent, "namespace {} left out: {}\n", nsid.get(), e);
            }
            Skip::Unusable
        })?;
        let block = 1u32.checked_shl(info.lba_shift).ok_or(EINVAL)?;
        if block > self.shared.max_transfer() {
            if remarks.is_new(nsid, Remark::LargeBlock(block)) {
                dev_err!(
                    self.parent,
                    "namespace {} left out: a block of {} bytes is more than a transfer of {}\n",
                    nsid.get(),
                    block,
                    self.shared.max_transfer()
                );
            }
            return Err(Skip::Unusable);
        }
        Ok(info)
    }

    /// What does not depend on the command set of namespace `nsid`: CNS 08h, where the controller has
    /// it.
    fn attributes(&self, nsid: Nsid, info: &NamespaceInfo) -> Result<NamespaceAttributes, Skip> {
        let mut attributes = NamespaceAttributes::UNREPORTED;
        let is_known = self.version() >= (2, 0) || self.shared.hardware.caps().ready_independent;
        if is_known && !self.has_two_cns() {
            match self.ask(&Identify::namespace_independent(nsid))? {
                Ok(page) => attributes = NamespaceAttributes::decode(page.get()?),
                Err(status) if status.is_not_ready() => return Err(Skip::NotReady),
                // The structure is optional: a controller without it has a line.
                Err(_) => {}
            }
        }
        attributes.write_protected |= info.write_protected;
        Ok(attributes)
    }

    /// Logs that the controller refused to say `what` of namespace `nsid`.
    fn refused(&self, nsid: Nsid, what: &'static str, status: Status, remarks: &mut Remarks) {
        if remarks.is_new(nsid, Remark::Refused(what, status)) {
            dev_err!(
                self.parent,
                "namespace {}: {} cannot be read: {}\n",
                nsid.get(),
                what,
                status
            );
        }
    }

    /// Whether Identify knows CNS 00h and 01h only.
    fn has_two_cns(&self) -> bool {
        has_two_cns(self.version(), self.shared.hardware.quirks())
    }

    /// Whether the device has `quirk`.
    fn has(&self, quirk: Quirks) -> bool {
        self.shared.hardware.quirks().has(quirk)
    }

    /// The hints of a namespace that need more than 16 bits, if it has any.
    fn large_hints(&self, nsid: Nsid, info: &NamespaceInfo, is_2_1: bool) -> LargeHints {
        if !info.hints.has_large(is_2_1) || self.has_two_cns() || self.is_over() {
            return LargeHints::default();
        }
        // A controller that refuses states no hints; the log has a line.
        self.shared
            .admin
            .identify(&Identify::namespace_nvm(nsid))
            .and_then(|page| Ok(LargeHints::decode(page.get()?)))
            .unwrap_or_default()
    }

    /// The limits of a namespace, and the fields that contradict others, which they leave out.
    pub(super) fn limits(
        &self,
        nsid: Nsid,
        namespace: &Description,
        common: &Common,
    ) -> (Limits, Ignored) {
        let is_2_1 = common.version >= (2, 1);
        let (info, attributes) = (&namespace.info, &namespace.attributes);
        let (disk, ignored) = DiskLimits::new(&Source {
            controller: &common.info,
            nvm: &common.nvm,
            namespace: info,
            large: self.large_hints(nsid, info, is_2_1),
            max_transfer: self.shared.max_transfer(),
            is_2_1,
            quirks: common.quirks,
        });
        let limits = Limits {
            disk,
            max_transfer: self.shared.max_transfer(),
            max_segments: MAX_SEGMENTS,
            // SGLs take segments that begin and end anywhere.
            boundary: if common.info.sgls { 1 } else { regs::PAGE_SIZE },
            write_cache: common.info.volatile_write_cache && !attributes.no_write_cache,
            rotational: attributes.rotational,
            read_only: attributes.write_protected,
        };
        (limits, ignored)
    }
}
