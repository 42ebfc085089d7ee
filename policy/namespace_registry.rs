// SPDX-License-Identifier: GPL-2.0

//! The namespaces in use on all controllers, so that the driver detects duplicate identifiers.
//!
//! Links in /dev/disk/by-id, multipathing and RAID take two disks with the same identifier for the
//! same data. The rules are Linux's. Base 2.0, 4.5 and 5.17.2.1 (CMIC, SUBNQN).

use crate::nvme::{
    Nsid,
    UniqueIds, //
};
use core::ops::Deref;
use kernel::prelude::*;

/// A namespace, as one controller shows it. `S` refers to the name of a subsystem.
pub(crate) struct RegistryEntry<S> {
    /// The controller's number.
    pub(crate) instance: u32,
    /// The subsystem of the controller.
    pub(crate) subsystem: S,
    /// The controller's identifier in the subsystem (CNTLID), if this may have others (CMIC).
    pub(crate) member: Option<u16>,
    /// The namespace in the subsystem.
    pub(crate) nsid: Nsid,
    /// The globally unique identifiers of the namespace.
    pub(crate) ids: UniqueIds,
}

/// How a new namespace relates to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    /// No other namespace is related.
    New,
    /// Controller `instance` shows the same namespace, too: another path to the same data.
    OtherPath {
        /// The other controller's number.
        instance: u32,
    },
    /// Another namespace of the subsystem has the same identifier; or a namespace of another
    /// subsystem has it, and the new namespace may be shared. To use both namespaces could destroy
    /// data.
    Twin {
        /// The name of the identifier.
        id: &'static str,
        /// The other controller's number.
        instance: u32,
        /// The other namespace.
        nsid: Nsid,
    },
    /// A namespace of another subsystem has the same identifier, and the new namespace is not
    /// shared. The identifiers of the new namespace are useless.
    NotUnique {
        /// The name of the identifier.
        id: &'static str,
        /// The other controller's number.
        instance: u32,
        /// The other namespace.
        nsid: Nsid,
    },
}

/// All namespaces in use.
pub(crate) struct Registry<S> {
    entries: KVec<RegistryEntry<S>>,
}

impl<S> Registry<S> {
    /// An empty registry.
    pub(crate) const fn new() -> Self {
        Self {
            entries: KVec::new(),
        }
    }
}

impl<S: Deref<Target: PartialEq>> RegistryEntry<S> {
    /// Whether both are of one subsystem: two controllers say so only if it may have several, and have
    /// identifiers of their own.
    fn is_beside(&self, other: &Self) -> bool {
        let are_members = match (self.member, other.member) {
            (Some(one), Some(another)) => one != another,
            _ => false,
        };
        self.instance == other.instance || are_members && *self.subsystem == *other.subsystem
    }
}

impl<S: Deref<Target: PartialEq>> Registry<S> {
    /// Relates `new` to the namespaces in use, and adds it. A twin is not added. A namespace whose
    /// identifiers are not unique is added without them. `is_shared`: other controllers may show the
    /// namespace, too (CMIC and NMIC).
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn add(&mut self, mut new: RegistryEntry<S>, is_shared: bool) -> Result<Relation> {
        let relation = self.judge(&new, is_shared);
        if let Relation::Twin { .. } = relation {
            return Ok(relation);
        }
        if let Relation::NotUnique { .. } = relation {
            new.ids = UniqueIds::default();
        }
        self.entries.push(new, GFP_KERNEL)?;
        Ok(relation)
    }

    /// Removes namespace `nsid` of controller `instance`.
    pub(crate) fn remove(&mut self, instance: u32, nsid: Nsid) {
        self.entries
            .retain(|entry| entry.instance != instance || entry.nsid != nsid);
        if self.entries.is_empty() {
            // Frees the memory: the registry is part of a static, which is not dropped on module
            // unload.
            self.entries = KVec::new();
        }
    }

    fn judge(&self, new: &RegistryEntry<S>, is_shared: bool) -> Relation {
        let mut relation = Relation::New;
        for old in &self.entries {
            let same_subsystem = old.is_beside(new);
            if same_subsystem && old.nsid == new.nsid && old.instance != new.instance {
                relation = Relation::OtherPath {
                    instance: old.instance,
                };
                continue;
            }
            let Some(id) = new.ids.clash(&old.ids) else {
                continue;
            };
            let (instance, nsid) = (old.instance, old.nsid);
            if same_subsystem || is_shared {
                return Relation::Twin { id, instance, nsid };
            }
            relation = Relation::NotUnique { id, instance, nsid };
        }
        relation
    }
}

#[kunit_tests(rnvme_namespace_registry)]
mod tests {
    use super::*;

    /// Controller `instance` of subsystem `name`, the only one of it from 10 on, shows namespace `nsid` with an EUI64 that ends
    /// with `eui`.
    fn entry(
        name: &'static str,
        instance: u32,
        nsid: u32,
        eui: u8,
    ) -> Result<RegistryEntry<&'static str>> {
        let mut ids = UniqueIds::default();
        ids.eui64[7] = eui;
        Ok(RegistryEntry {
            instance,
            subsystem: name,
            member: (instance < 10).then_some(instance as u16),
            nsid: Nsid::new(nsid).ok_or(EINVAL)?,
            ids,
        })
    }

    fn twin(instance: u32, nsid: u32) -> Option<Relation> {
        Nsid::new(nsid).map(|nsid| Relation::Twin {
            id: "EUI64",
            instance,
            nsid,
        })
    }

    fn not_unique(instance: u32, nsid: u32) -> Option<Relation> {
        Nsid::new(nsid).map(|nsid| Relation::NotUnique {
            id: "EUI64",
            instance,
            nsid,
        })
    }

    #[test]
    fn namespaces_are_told_apart() {
        let mut registry = Registry::new();
        let other_path = |instance| Some(Relation::OtherPath { instance });
        // Subsystem, controller, namespace, last byte of the EUI64, whether shared: the relation.
        for (name, instance, nsid, eui, shared, expected) in [
            ("a", 0, 1, 1, false, Some(Relation::New)),
            ("a", 0, 2, 2, false, Some(Relation::New)),
            // Namespaces without identifiers have none in common.
            ("a", 0, 3, 0, false, Some(Relation::New)),
            ("a", 0, 4, 0, false, Some(Relation::New)),
            // The same identifier in the same subsystem.
            ("a", 0, 5, 2, false, twin(0, 2)),
            // Another controller of the subsystem.
            ("a", 1, 2, 2, true, other_path(0)),
            ("a", 1, 6, 1, true, twin(0, 1)),
            // Another subsystem: identifiers that are not unique are not kept.
            ("b", 2, 1, 1, false, not_unique(0, 1)),
            ("b", 2, 2, 1, true, twin(0, 1)),
            ("b", 2, 3, 3, true, Some(Relation::New)),
            // A subsystem of this name that has one controller only.
            ("a", 10, 1, 9, false, Some(Relation::New)),
            ("a", 10, 2, 2, false, not_unique(1, 2)),
        ] {
            let entry = entry(name, instance, nsid, eui);
            let relation = entry.and_then(|e| registry.add(e, shared));
            assert_eq!(relation.ok(), expected);
        }
        assert_eq!(registry.entries.len(), 9);
    }

    #[test]
    fn what_is_removed_is_forgotten() {
        let mut registry = Registry::new();
        for (name, instance, nsid, eui) in [("a", 0, 1, 1), ("a", 0, 2, 2), ("b", 1, 1, 3)] {
            let entry = entry(name, instance, nsid, eui);
            let added = entry.and_then(|e| registry.add(e, false));
            assert!(added.is_ok());
        }
        let remove = |registry: &mut Registry<&'static str>, instance, nsid| {
            if let Some(nsid) = Nsid::new(nsid) {
                registry.remove(instance, nsid);
            }
        };
        remove(&mut registry, 0, 1);
        remove(&mut registry, 7, 2);
        assert_eq!(registry.entries.len(), 2);
        let again = entry("c", 2, 1, 1).and_then(|e| registry.add(e, false));
        assert_eq!(again.ok(), Some(Relation::New));
        for (instance, nsid) in [(0, 2), (1, 1), (2, 1)] {
            remove(&mut registry, instance, nsid);
        }
        assert_eq!(registry.entries.capacity(), 0);
    }
}
