// SPDX-License-Identifier: GPL-2.0

//! The globally unique identifiers of a namespace: EUI64, NGUID and UUID.
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
        let mut rest = list.bytes.as_slice();
        while let Some(([kind, len, _, _], after)) = rest.split_first_chunk() {
            let (kind, len) = (*kind, *len);
            let Some((id, after)) = after.split_at_checked(len.into()).filter(|_| len != 0) else {
                break;
            };
            let place: &mut [u8] = match kind {
                NamespaceDescriptors::EUI64 => &mut self.eui64,
                NamespaceDescriptors::NGUID => &mut self.nguid,
                NamespaceDescriptors::UUID => &mut self.uuid,
                _ => &mut [],
            };
            if place.len() == id.len() {
                place.copy_from_slice(id);
            } else if !place.is_empty() {
                return Err(WrongLength { kind, len });
            }
            rest = after;
        }
        Ok(())
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
