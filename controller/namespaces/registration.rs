// SPDX-License-Identifier: GPL-2.0

//! Namespaces in use, told apart by their identifiers.

use super::{
    identify::{
        Common,
        Description, //
    },
    remarks::{
        Remark,
        Remarks, //
    },
    Namespaces, //
};
use crate::{
    nvme::{
        Nsid,
        UniqueIds, //
    },
    policy::{
        RegistryEntry,
        Relation, //
    },
    sys::base::with_registry, //
};
use kernel::prelude::*;

/// A namespace in the registry of namespaces in use, until this is dropped.
pub(super) struct Registration {
    number: u32,
    pub(super) nsid: Nsid,
    /// The identifiers by which the namespace is known: none, if they are not unique.
    pub(super) usable: UniqueIds,
}

impl Drop for Registration {
    fn drop(&mut self) {
        // The registry exists, as this is in it.
        let _ = with_registry(|registry| registry.remove(self.number, self.nsid));
    }
}

impl Namespaces {
    /// Enters namespace `nsid` into the registry.
    ///
    /// # Errors
    ///
    /// `EEXIST` if the namespace has the identifiers of another, with a line in the log; `ENOMEM`.
    pub(super) fn register(
        &self,
        nsid: Nsid,
        namespace: &Description,
        common: &Common,
        remarks: &mut Remarks,
    ) -> Result<Registration> {
        let ids = namespace.likeness.ids;
        let entry = RegistryEntry {
            instance: self.shared.number,
            subsystem: self.shared.subsystem.clone(),
            member: common.info.multi_controller.then_some(common.info.id),
            nsid,
            ids,
        };
        let is_shared = common.info.multi_controller && namespace.info.shared;
        let relation = with_registry(|registry| registry.add(entry, is_shared))??;
        if matches!(relation, Relation::Twin { .. })
            && !remarks.is_new(nsid, Remark::Twin(relation))
        {
            return Err(EEXIST);
        }
        Ok(Registration {
            number: self.shared.number,
            nsid,
            usable: self.usable(nsid, ids, relation, remarks)?,
        })
    }

    /// Which of `ids` a namespace in this relation to others is known by.
    fn usable(
        &self,
        nsid: Nsid,
        ids: UniqueIds,
        relation: Relation,
        remarks: &mut Remarks,
    ) -> Result<UniqueIds> {
        let number = nsid.get();
        match relation {
            Relation::New => Ok(ids),
            Relation::OtherPath { instance } => {
                if remarks.may_log() {
                    dev_warn!(
                        self.parent,
                        "namespace {}: rnvme{} has a disk of it, too: use one of them only\n",
                        number,
                        instance
                    );
                }
                Ok(ids)
            }
            Relation::Twin { id, instance, nsid } => {
                // A file system could write to either of them as if it were the other.
                dev_err!(
                    self.parent,
                    "namespace {}: the {} is that of namespace {} of rnvme{}, too\n",
                    number,
                    id,
                    nsid.get(),
                    instance
                );
                Err(EEXIST)
            }
            Relation::NotUnique { id, instance, nsid } => {
                if remarks.may_log() {
                    dev_warn!(
                        self.parent,
                        "namespace {}: the {} is that of namespace {} of rnvme{}: its identifiers are not used\n",
                        number,
                        id,
                        nsid.get(),
                        instance
                    );
                }
                Ok(UniqueIds::default())
            }
        }
    }
}
