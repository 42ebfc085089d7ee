// SPDX-License-Identifier: GPL-2.0

//! The globally unique identifiers of a namespace: EUI64, NGUID and UUID; its I/O command set.
//!
//! Base 5.17.2.3 (Namespace Identification Descriptor list), 4.5 (the identifiers).

use super::IDENTIFY_SIZE;
use kernel::{
    fmt,
    prelude::*, //
};
use zerocopy_derive::{
    Immutable,
    KnownLayout, //
};

/// The Namespace Identification Descriptor list (CNS 03h). Each descriptor is a header of four
/// bytes, with type and length first, and the identifier.
#[repr(C)]
#[derive(FromBytes, Immutable, KnownLayout)]
pub(crate) struct NamespaceDescriptors {
    bytes: [u8; IDENTIFY_SIZE],
}

const _: () = assert!(size_of::<NamespaceDescriptors>() == IDENTIFY_SIZE);

impl NamespaceDescriptors {
    /// Descriptor type (NIDT): EUI64.
    pub(crate) const EUI64: u8 = 1;
    /// Descriptor type: NGUID.
    pub(crate) const NGUID: u8 = 2;
    /// Descriptor type: UUID.
    pub(crate) const UUID: u8 = 3;
    /// Descriptor type: Command Set Identifier (CSI).
    pub(crate) const COMMAND_SET: u8 = 4;

    /// The descriptors in order: type and identifier. A length of 0, or a descriptor that is cut
    /// off, ends the list.
    fn iter(&self) -> impl Iterator<Item = (u8, &[u8])> {
        let mut rest = self.bytes.as_slice();
        core::iter::from_fn(move || {
            let ([kind, len, _, _], after) = rest.split_first_chunk()?;
            let (id, after) = after
                .split_at_checked(usize::from(*len))
                .filter(|_| *len != 0)?;
            rest = after;
            Some((*kind, id))
        })
    }

    /// The I/O command set of the namespace; that of a list without one is the NVM command set.
    pub(crate) fn command_set(&self) -> CommandSet {
        self.iter()
            .find(|(kind, id)| *kind == Self::COMMAND_SET && id.len() == 1)
            .and_then(|(_, id)| id.first())
            .map_or(CommandSet::NVM, |csi| CommandSet(*csi))
    }
}

/// An I/O command set, by its identifier (CSI; Base 3.1.3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommandSet(pub(crate) u8);

impl CommandSet {
    /// The NVM command set, which the driver uses.
    pub(crate) const NVM: Self = Self(0);
}

impl fmt::Display for CommandSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            0 => "NVM",
            1 => "Key Value",
            2 => "Zoned Namespace",
            3 => "Subsystem Local Memory",
            4 => "Computational Programs",
            _ => "unknown",
        };
        write!(f, "{name} (CSI {})", self.0)
    }
}

/// The globally unique identifiers of a namespace; all zeroes: not reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct UniqueIds {
    /// IEEE Extended Unique Identifier.
    pub(crate) eui64: [u8; 8],
    /// Namespace Globally Unique Identifier.
    pub(crate) nguid: [u8; 16],
    /// Universally Unique Identifier (RFC 4122).
    pub(crate) uuid: [u8; 16],
}

/// What the identifiers of a namespace say of whether it is the same as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SameNamespace {
    /// An identifier is the same, or there was none and is none.
    Yes,
    /// The identifiers of one time are not reported at the other: they read as zero.
    Unknown,
    /// An identifier is another.
    No,
}

/// A descriptor has the wrong length for its type. The driver ignores it and those after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WrongLength {
    /// The descriptor's type.
    kind: u8,
    /// The length of the identifier in bytes.
    len: u8,
}

impl fmt::Display for WrongLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "identification descriptor of type {} has {} bytes: ignoring it and those after it",
            self.kind, self.len
        )
    }
}

impl UniqueIds {
    /// Takes the identifiers in `list`. A length of 0, or a descriptor that is cut off, ends the
    /// list.
    ///
    /// # Errors
    ///
    /// [`WrongLength`] names the descriptor that is wrong. The identifiers before it have been
    /// taken.
    pub(crate) fn take(&mut self, list: &NamespaceDescriptors) -> Result<(), WrongLength> {
        for (kind, id) in list.iter() {
            let place: &mut [u8] = match kind {
                NamespaceDescriptors::EUI64 => &mut self.eui64,
                NamespaceDescriptors::NGUID => &mut self.nguid,
                NamespaceDescriptors::UUID => &mut self.uuid,
                _ => &mut [],
            };
            if place.len() == id.len() {
                place.copy_from_slice(id);
            } else if !place.is_empty() {
                // CAST: a descriptor has at most 255 bytes.
                let len = id.len() as u8;
                return Err(WrongLength { kind, len });
            }
        }
        Ok(())
    }

    /// Adds the identifiers of Identify Namespace where the descriptors have none.
    pub(crate) fn complete(&mut self, eui64: [u8; 8], nguid: [u8; 16]) {
        if given(&self.eui64).is_none() {
            self.eui64 = eui64;
        }
        if given(&self.nguid).is_none() {
            self.nguid = nguid;
        }
    }

    /// Whether the namespace with these identifiers now is the one that had those of `before`.
    pub(crate) fn is_same_as(&self, before: &Self) -> SameNamespace {
        let pairs: [(&[u8], &[u8]); 3] = [
            (&self.uuid, &before.uuid),
            (&self.nguid, &before.nguid),
            (&self.eui64, &before.eui64),
        ];
        let (mut is_proven, mut is_missing) = (false, false);
        for (now, before) in pairs {
            match (given(now), given(before)) {
                (Some(now), Some(before)) if now != before => return SameNamespace::No,
                (Some(_), Some(_)) => is_proven = true,
                (None, None) => {}
                _ => is_missing = true,
            }
        }
        if is_missing && !is_proven {
            return SameNamespace::Unknown;
        }
        SameNamespace::Yes
    }

    /// Copies the designator of the namespace, in the sense of SCSI, to the beginning of `to`: the
    /// NGUID, else the EUI64. Returns its length in bytes, 16 or 8; `None` if the namespace has
    /// neither.
    pub(crate) fn designator(&self, to: &mut [u8; 16]) -> Option<usize> {
        let id = given(&self.nguid).or(given(&self.eui64))?;
        to.get_mut(..id.len())?.copy_from_slice(id);
        Some(id.len())
    }

    /// The name of an identifier that two different namespaces have in common; `None` if they have
    /// none.
    pub(crate) fn clash(&self, other: &Self) -> Option<&'static str> {
        let same = |ours: &[u8], theirs: &[u8]| given(ours).is_some_and(|id| id == theirs);
        if same(&self.uuid, &other.uuid) {
            Some("UUID")
        } else if same(&self.nguid, &other.nguid) {
            Some("NGUID")
        } else if same(&self.eui64, &other.eui64) {
            Some("EUI64")
        } else {
            None
        }
    }
}

/// `id`, unless it is all zeroes.
fn given(id: &[u8]) -> Option<&[u8]> {
    id.iter().any(|byte| *byte != 0).then_some(id)
}

#[kunit_tests(rnvme_identify_descriptors)]
mod tests {
    use super::{
        super::tests::page,
        *, //
    };
    use zerocopy::FromBytes;

    fn ids(page: &[u8]) -> (UniqueIds, Result<(), WrongLength>) {
        let mut ids = UniqueIds::default();
        let list = NamespaceDescriptors::ref_from_bytes(page).unwrap();
        let result = ids.take(list);
        (ids, result)
    }

    #[test]
    fn lists() -> Result {
        // All three identifiers, and one of an unknown type among them.
        let fields: &[(usize, &[u8])] = &[
            (0, &[3, 16]),
            (4, &[0x33; 16]),
            (20, &[9, 3]),
            (24, &[0x99; 3]),
            (27, &[1, 8]),
            (31, &[0x11; 8]),
            (39, &[2, 16]),
            (43, &[0x22; 16]),
        ];
        let (found, result) = ids(&page(0, fields)?);
        assert_eq!(result, Ok(()));
        let expected = UniqueIds {
            eui64: [0x11; 8],
            nguid: [0x22; 16],
            uuid: [0x33; 16],
        };
        assert_eq!(found, expected);
        Ok(())
    }

    #[test]
    fn strange_lists() -> Result {
        assert_eq!(ids(&page(0, &[])?), (UniqueIds::default(), Ok(())));
        // A type without a length ends the list.
        let (found, result) = ids(&page(0, &[(0, &[3, 0, 0, 0, 3, 16, 0, 0, 7])])?);
        assert_eq!((found, result), (UniqueIds::default(), Ok(())));
        // A wrong length, after a good descriptor.
        let (found, result) = ids(&page(0, &[(0, &[1, 8, 0, 0, 5]), (12, &[2, 8])])?);
        assert_eq!(found.eui64, [5, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(result, Err(WrongLength { kind: 2, len: 8 }));
        // Descriptors of 259 bytes of an unknown type to the end of the page, where one is cut off.
        let (found, result) = ids(&page(0xff, &[])?);
        assert_eq!((found, result), (UniqueIds::default(), Ok(())));
        Ok(())
    }

    const NONE: UniqueIds = UniqueIds {
        eui64: [0; 8],
        nguid: [0; 16],
        uuid: [0; 16],
    };

    #[test]
    fn clashes() {
        let eui64 = UniqueIds {
            eui64: [1; 8],
            ..NONE
        };
        let nguid = UniqueIds {
            nguid: [1; 16],
            ..NONE
        };
        let uuid = UniqueIds {
            uuid: [1; 16],
            ..NONE
        };
        let other = UniqueIds {
            eui64: [2; 8],
            nguid: [2; 16],
            uuid: [2; 16],
        };
        assert_eq!(NONE.clash(&NONE), None);
        assert_eq!(eui64.clash(&nguid), None);
        assert_eq!(nguid.clash(&uuid), None);
        for (ids, name) in [(eui64, "EUI64"), (nguid, "NGUID"), (uuid, "UUID")] {
            assert_eq!(ids.clash(&ids), Some(name));
            assert_eq!(ids.clash(&other), None);
            assert_eq!(ids.clash(&NONE), None);
        }
        let close = UniqueIds {
            uuid: [3; 16],
            ..other
        };
        assert_eq!(close.clash(&other), Some("NGUID"));
    }

    #[test]
    fn descriptors_outweigh_identify_namespace() {
        let mut ids = UniqueIds {
            eui64: [1; 8],
            ..NONE
        };
        ids.complete([7; 8], [8; 16]);
        assert_eq!((ids.eui64, ids.nguid, ids.uuid), ([1; 8], [8; 16], [0; 16]));
        ids.complete([7; 8], [0; 16]);
        assert_eq!((ids.eui64, ids.nguid), ([1; 8], [8; 16]));
    }

    #[test]
    fn the_same_namespace_or_another() {
        // EUI64, NGUID, UUID before; the same now.
        let cases: [([u8; 3], [u8; 3], SameNamespace); 12] = [
            ([0, 0, 0], [0, 0, 0], SameNamespace::Yes),
            ([1, 2, 3], [1, 2, 3], SameNamespace::Yes),
            ([1, 2, 3], [0, 2, 0], SameNamespace::Yes),
            ([1, 0, 0], [1, 2, 3], SameNamespace::Yes),
            ([1, 2, 3], [0, 0, 0], SameNamespace::Unknown),
            ([0, 0, 0], [1, 2, 3], SameNamespace::Unknown),
            ([1, 0, 0], [0, 2, 0], SameNamespace::Unknown),
            ([0, 0, 3], [0, 0, 4], SameNamespace::No),
            ([0, 2, 0], [0, 4, 0], SameNamespace::No),
            ([1, 0, 0], [4, 0, 0], SameNamespace::No),
            // One that differs outweighs one that is the same.
            ([1, 2, 3], [1, 2, 4], SameNamespace::No),
            ([1, 2, 3], [4, 0, 3], SameNamespace::No),
        ];
        for (before, now, same) in cases {
            let [before, now] = [before, now].map(|[eui64, nguid, uuid]| UniqueIds {
                eui64: [eui64; 8],
                nguid: [nguid; 16],
                uuid: [uuid; 16],
            });
            assert_eq!(now.is_same_as(&before), same);
            assert_eq!(before.is_same_as(&now), same);
        }
    }

    #[test]
    fn command_sets() -> Result {
        // The list, the command set.
        let cases: [(&[u8], u8); 7] = [
            (&[], 0),
            (&[4, 1, 0, 0, 0], 0),
            (&[4, 1, 0, 0, 2], 2),
            (&[1, 2, 0, 0, 9, 9, 4, 1, 0, 0, 1], 1),
            // A list without a length, or with a wrong one, does not name it.
            (&[4, 0, 0, 0, 2], 0),
            (&[4, 2, 0, 0, 2, 2], 0),
            (&[3, 16, 4, 1, 0, 2], 0),
        ];
        for (bytes, csi) in cases {
            let page = page(0, &[(0, bytes)])?;
            let list = NamespaceDescriptors::ref_from_bytes(&page).map_err(|_| EINVAL)?;
            assert_eq!(list.command_set(), CommandSet(csi));
        }
        Ok(())
    }

    #[test]
    fn designators() {
        let eui64 = [0, 1, 2, 3, 4, 5, 6, 7];
        let mut nguid = [0; 16];
        nguid[3] = 7;
        nguid[15] = 9;
        // The bytes behind the designator stay.
        let mut to = [0xee; 16];
        assert_eq!(NONE.designator(&mut to), None);
        assert_eq!(to, [0xee; 16]);
        let uuid = UniqueIds {
            uuid: [5; 16],
            ..NONE
        };
        assert_eq!(uuid.designator(&mut to), None);
        let mut ids = UniqueIds { eui64, ..uuid };
        assert_eq!(ids.designator(&mut to), Some(8));
        assert_eq!((&to[..8], &to[8..]), (&eui64[..], &[0xee; 8][..]));
        ids.nguid = nguid;
        assert_eq!(ids.designator(&mut to), Some(16));
        assert_eq!(to, nguid);
    }
}
