// SPDX-License-Identifier: GPL-2.0

//! What Identify returns: the structures as the device writes them, and what is left of them
//! after checking.
//!
//! The device is not trusted. Each `decode` takes any 4096 bytes, and either returns values that
//! the rest of the driver can rely on or says what is wrong with them.
//!
//! Base 5.17.2.1 (controller), 5.17.2.2 (active namespaces); NVM 4.1.5.1 (namespace).

use super::ids::{
    Nsid,
    Version, //
};
use crate::regs::PAGE_SHIFT;
use core::{
    mem::offset_of,
    slice,
    str, //
};
use kernel::{
    fmt,
    prelude::*, //
};
use zerocopy_derive::{
    Immutable,
    KnownLayout, //
};

/// Bytes of every structure here.
pub(crate) const IDENTIFY_SIZE: usize = 4096;

/// Identify Controller (CNS 01h). Only what the driver looks at has a name.
#[repr(C)]
#[derive(FromBytes, Immutable, KnownLayout)]
pub(crate) struct IdentifyController {
    _vid: [u8; 4],
    sn: [u8; 20],
    mn: [u8; 40],
    fr: [u8; 8],
    _rab: [u8; 5],
    mdts: u8,
    cntlid: u16,
    ver: u32,
    _rtd3r: u32,
    rtd3e: u32,
    _oaes: [u8; 420],
    sqes: u8,
    cqes: u8,
    _maxcmd: u16,
    nn: u32,
    _oncs: [u8; 5],
    vwc: u8,
    _awun: [u8; 3570],
}

const _: () = {
    assert!(size_of::<IdentifyController>() == IDENTIFY_SIZE);
    assert!(offset_of!(IdentifyController, sn) == 4);
    assert!(offset_of!(IdentifyController, mn) == 24);
    assert!(offset_of!(IdentifyController, fr) == 64);
    assert!(offset_of!(IdentifyController, mdts) == 77);
    assert!(offset_of!(IdentifyController, cntlid) == 78);
    assert!(offset_of!(IdentifyController, ver) == 80);
    assert!(offset_of!(IdentifyController, rtd3e) == 88);
    assert!(offset_of!(IdentifyController, sqes) == 512);
    assert!(offset_of!(IdentifyController, cqes) == 513);
    assert!(offset_of!(IdentifyController, nn) == 516);
    assert!(offset_of!(IdentifyController, vwc) == 525);
};

/// An ASCII field of Identify Controller: without the padding, and only printable characters.
#[derive(Clone, Copy)]
pub(crate) struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    fn new(raw: &[u8; N]) -> Self {
        let is_padding = |byte: &u8| matches!(byte, b' ' | 0);
        let start = raw.iter().take_while(|byte| is_padding(byte)).count();
        let end = N - raw.iter().rev().take_while(|byte| is_padding(byte)).count();
        let mut bytes = [0; N];
        let mut len = 0;
        for (to, from) in bytes
            .iter_mut()
            .zip(raw.get(start..end).unwrap_or_default())
        {
            *to = if matches!(from, b' '..=b'~') {
                *from
            } else {
                b'?'
            };
            len += 1;
        }
        Self { bytes, len }
    }

    /// The text: printable ASCII, at most `N` characters.
    pub(crate) fn as_str(&self) -> &str {
        let text = self.bytes.get(..self.len).unwrap_or_default();
        // Never the default: it is ASCII.
        str::from_utf8(text).unwrap_or_default()
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A controller, as Identify describes it.
pub(crate) struct ControllerInfo {
    /// Serial number.
    pub(crate) serial: Text<20>,
    /// Model number.
    pub(crate) model: Text<40>,
    /// Firmware revision.
    pub(crate) firmware: Text<8>,
    /// Controller identifier, unique in the NVM subsystem.
    pub(crate) cntlid: u16,
    /// Version of the specification; 0.0.0 if the controller is older than the field (1.2).
    pub(crate) version: Version,
    /// Largest data transfer of a command in bytes (MDTS); `None` if there is no limit below
    /// 4 GiB.
    pub(crate) max_transfer: Option<u32>,
    /// The largest namespace identifier in use (NN). May be 0.
    pub(crate) namespaces_max: u32,
    /// Whether there is a volatile write cache (VWC), so that flushes matter.
    pub(crate) volatile_write_cache: bool,
    /// Typical time of a normal shutdown in microseconds (RTD3E); 0 if not reported.
    pub(crate) rtd3e_us: u32,
}

/// Why a controller cannot be driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdentifyError {
    /// The queue entries that it takes are not those of the NVM command set.
    EntrySize {
        /// SQES: required and largest size of a submission queue entry, log2 each.
        sqes: u8,
        /// CQES: the same of a completion queue entry.
        cqes: u8,
    },
}

impl fmt::Display for IdentifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EntrySize { sqes, cqes } => write!(
                f,
                "Identify Controller: SQES {sqes:#04x} and CQES {cqes:#04x} do not allow queue \
                 entries of 64 and 16 bytes"
            ),
        }
    }
}

impl ControllerInfo {
    /// Checks what the controller says about itself.
    pub(crate) fn decode(raw: &IdentifyController) -> Result<Self, IdentifyError> {
        // Bits 3:0 are the required size, bits 7:4 the largest.
        let allows = |sizes: u8, size: u8| sizes & 0xf <= size && size <= sizes >> 4;
        if !allows(raw.sqes, 6) || !allows(raw.cqes, 4) {
            return Err(IdentifyError::EntrySize {
                sqes: raw.sqes,
                cqes: raw.cqes,
            });
        }
        Ok(Self {
            serial: Text::new(&raw.sn),
            model: Text::new(&raw.mn),
            firmware: Text::new(&raw.fr),
            cntlid: raw.cntlid,
            version: Version::from_raw(raw.ver),
            // In units of the smallest page, which `Capabilities` has found to be 4 KiB.
            max_transfer: match raw.mdts {
                0 => None,
                mdts => 1u32.checked_shl(PAGE_SHIFT + u32::from(mdts)),
            },
            namespaces_max: raw.nn,
            volatile_write_cache: raw.vwc & 1 != 0,
            rtd3e_us: raw.rtd3e,
        })
    }
}

/// An LBA format.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout)]
struct LbaFormat {
    ms: u16,
    lbads: u8,
    _rp: u8,
}

/// Identify Namespace (CNS 00h). Only what the driver looks at has a name.
#[repr(C)]
#[derive(FromBytes, Immutable, KnownLayout)]
pub(crate) struct IdentifyNamespace {
    nsze: u64,
    _ncap: [u8; 17],
    nlbaf_z: u8,
    flbas: u8,
    _mc: [u8; 55],
    nulbaf: u8,
    _kpiodaag: [u8; 45],
    lbaf: [LbaFormat; 64],
    _vs: [u8; 3712],
}

const _: () = {
    assert!(size_of::<IdentifyNamespace>() == IDENTIFY_SIZE);
    assert!(offset_of!(IdentifyNamespace, nsze) == 0);
    assert!(offset_of!(IdentifyNamespace, nlbaf_z) == 25);
    assert!(offset_of!(IdentifyNamespace, flbas) == 26);
    assert!(offset_of!(IdentifyNamespace, nulbaf) == 82);
    assert!(offset_of!(IdentifyNamespace, lbaf) == 128);
    assert!(offset_of!(LbaFormat, ms) == 0);
    assert!(offset_of!(LbaFormat, lbads) == 2);
    assert!(size_of::<LbaFormat>() == 4);
};

/// A namespace that can be a disk.
pub(crate) struct NamespaceInfo {
    /// Logical blocks, 1 or more (NSZE).
    pub(crate) blocks: u64,
    /// log2 of the bytes of a logical block: 9 to 16.
    pub(crate) lba_shift: u32,
    /// Capacity in units of 512 bytes; in bytes it fits in an `i64`.
    pub(crate) sectors: u64,
}

/// Why a namespace cannot be a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamespaceError {
    /// It has no blocks: nothing is attached under this identifier.
    Inactive,
    /// FLBAS names a format that the namespace does not have.
    BadFormatIndex {
        /// Which one.
        index: u8,
        /// How many there are.
        formats: u16,
    },
    /// Logical blocks are smaller than 512 bytes or larger than 64 KiB.
    UnsupportedLbaSize {
        /// log2 of their bytes.
        shift: u8,
    },
    /// Blocks carry metadata.
    UnsupportedMetadata {
        /// Bytes of it with each block.
        bytes: u16,
    },
    /// The capacity is beyond what Linux can address.
    TooLarge {
        /// Blocks.
        blocks: u64,
        /// log2 of their bytes.
        shift: u8,
    },
}

impl fmt::Display for NamespaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inactive => f.write_str("inactive: it has no logical blocks"),
            Self::BadFormatIndex { index, formats } => write!(
                f,
                "formatted with LBA format {index}, but there are only {formats} formats"
            ),
            Self::UnsupportedLbaSize { shift } => {
                write!(f, "logical blocks of 2^{shift} bytes are not supported")
            }
            Self::UnsupportedMetadata { bytes } => {
                write!(f, "{bytes} bytes of metadata a block are not supported")
            }
            Self::TooLarge { blocks, shift } => {
                write!(f, "{blocks} logical blocks of 2^{shift} bytes are too many")
            }
        }
    }
}

impl NamespaceInfo {
    /// Checks what the controller says about a namespace.
    pub(crate) fn decode(raw: &IdentifyNamespace) -> Result<Self, NamespaceError> {
        if raw.nsze == 0 {
            return Err(NamespaceError::Inactive);
        }
        let formats = u16::from(raw.nlbaf_z) + u16::from(raw.nulbaf) + 1;
        // The upper bits of the index count only where there are formats for them to name.
        let index = match raw.flbas {
            flbas if formats > 16 => (flbas & 0xf) | ((flbas & 0x60) >> 1),
            flbas => flbas & 0xf,
        };
        let format = raw
            .lbaf
            .get(usize::from(index))
            .filter(|_| u16::from(index) < formats)
            .ok_or(NamespaceError::BadFormatIndex { index, formats })?;
        let shift = format.lbads;
        if !(9..=16).contains(&shift) {
            return Err(NamespaceError::UnsupportedLbaSize { shift });
        }
        if format.ms != 0 {
            return Err(NamespaceError::UnsupportedMetadata { bytes: format.ms });
        }
        let blocks = raw.nsze;
        // `loff_t` counts bytes: 63 bits.
        if blocks > (u64::MAX >> 1) >> shift {
            return Err(NamespaceError::TooLarge { blocks, shift });
        }
        let lba_shift = u32::from(shift);
        Ok(Self {
            blocks,
            lba_shift,
            sectors: blocks << (lba_shift - 9),
        })
    }
}

/// A page of the active namespace list (CNS 02h): ascending identifiers, then zeroes.
#[repr(C)]
#[derive(FromBytes, Immutable, KnownLayout)]
pub(crate) struct NamespaceList {
    nsids: [u32; Self::LEN],
}

const _: () = assert!(size_of::<NamespaceList>() == IDENTIFY_SIZE);

impl NamespaceList {
    /// Identifiers of a full page, after which another follows.
    pub(crate) const LEN: usize = 1024;

    /// The identifiers of a page that was asked for those above `after`.
    ///
    /// After an error there are no more: so a list ends, and so do the pages, whatever the device
    /// says.
    pub(crate) fn iter(&self, after: u32) -> ActiveNamespaces<'_> {
        ActiveNamespaces {
            rest: self.nsids.iter(),
            last: after,
        }
    }
}

/// The identifiers of a [`NamespaceList`].
pub(crate) struct ActiveNamespaces<'a> {
    rest: slice::Iter<'a, u32>,
    last: u32,
}

/// The list is not what the specification says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAscending {
    /// The identifier before, or the one that the list was asked to begin after.
    previous: u32,
    /// The one that is not above it, or is no namespace's.
    next: u32,
}

impl fmt::Display for NotAscending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "active namespace list: identifier {:#x} cannot follow {:#x}",
            self.next, self.previous
        )
    }
}

impl Iterator for ActiveNamespaces<'_> {
    type Item = Result<Nsid, NotAscending>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = *self.rest.next()?;
        if next == 0 {
            self.rest = [].iter();
            return None;
        }
        let previous = self.last;
        let valid = Nsid::new(next).filter(|_| next > previous);
        if valid.is_none() {
            self.rest = [].iter();
        }
        self.last = next;
        Some(valid.ok_or(NotAscending { previous, next }))
    }
}
