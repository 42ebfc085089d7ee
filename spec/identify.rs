// SPDX-License-Identifier: GPL-2.0

//! What Identify returns: the structures as the device writes them, and what is left of them
//! after checking.
//!
//! The device is not trusted. Each `decode` takes any 4096 bytes, and either returns values that
//! the rest of the driver can rely on or says what is wrong with them.
//!
//! Base 5.17.2.1 (controller).

mod active;
mod descriptors;
mod namespace;
mod nvm;

pub(crate) use self::{
    active::NamespaceList,
    descriptors::{
        NamespaceDescriptors,
        UniqueIds, //
    },
    namespace::{
        IdentifyNamespace,
        NamespaceHints,
        NamespaceInfo, //
    },
    nvm::{
        IdentifyControllerNvm,
        IdentifyNamespaceNvm,
        LargeHints,
        NvmLimits, //
    }, //
};

use super::text::Text;
use crate::regs::PAGE_SHIFT;
use core::mem::offset_of;
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
    _rab: [u8; 4],
    cmic: u8,
    mdts: u8,
    _cntlid: [u8; 10],
    rtd3e: u32,
    _oaes: [u8; 36],
    crdt: [u16; 3],
    _rsvd134: [u8; 122],
    oacs: u16,
    _acl: [u8; 254],
    sqes: u8,
    cqes: u8,
    _maxcmd: [u8; 6],
    oncs: u16,
    _fuses: [u8; 3],
    vwc: u8,
    _awun: [u8; 10],
    sgls: u32,
    _mnan: [u8; 228],
    subnqn: [u8; 256],
    _ioccsz: [u8; 3072],
}

const _: () = {
    assert!(size_of::<IdentifyController>() == IDENTIFY_SIZE);
    assert!(offset_of!(IdentifyController, sn) == 4);
    assert!(offset_of!(IdentifyController, mn) == 24);
    assert!(offset_of!(IdentifyController, fr) == 64);
    assert!(offset_of!(IdentifyController, cmic) == 76);
    assert!(offset_of!(IdentifyController, mdts) == 77);
    assert!(offset_of!(IdentifyController, rtd3e) == 88);
    assert!(offset_of!(IdentifyController, crdt) == 128);
    assert!(offset_of!(IdentifyController, oacs) == 256);
    assert!(offset_of!(IdentifyController, sqes) == 512);
    assert!(offset_of!(IdentifyController, cqes) == 513);
    assert!(offset_of!(IdentifyController, oncs) == 520);
    assert!(offset_of!(IdentifyController, vwc) == 525);
    assert!(offset_of!(IdentifyController, sgls) == 536);
    assert!(offset_of!(IdentifyController, subnqn) == 768);
};

/// What a subsystem is known by: its NVMe Qualified Name, as it stands in Identify.
pub(crate) type SubsystemName = [u8; 256];

impl IdentifyController {
    /// The name of the subsystem: SUBNQN or, if the controller is older than that, serial and
    /// model number.
    pub(crate) fn subsystem(&self) -> SubsystemName {
        let mut name = self.subnqn;
        if name.iter().all(|byte| *byte == 0) {
            let old = Iterator::chain(self.sn.iter(), &self.mn);
            for (to, from) in name.iter_mut().zip(old) {
                *to = *from;
            }
        }
        name
    }
}

/// Command Retry Delay Times (CRDT1 to CRDT3), in units of 100 ms.
#[derive(Clone, Copy)]
pub(crate) struct RetryDelays(pub(crate) [u16; 3]);

impl RetryDelays {
    /// The delay that a status names as `which`, 1 to 3; none for anything else.
    pub(crate) fn get(&self, which: u16) -> u16 {
        let index = usize::from(which).wrapping_sub(1);
        self.0.get(index).copied().unwrap_or(0)
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
    /// Largest data transfer of a command in bytes (MDTS); `None` if there is no limit below
    /// 4 GiB.
    pub(crate) max_transfer: Option<u32>,
    /// Whether there is a volatile write cache (VWC), so that flushes matter.
    pub(crate) volatile_write_cache: bool,
    /// Whether it takes Dataset Management (ONCS bit 2).
    pub(crate) dataset_management: bool,
    /// Whether it takes Write Zeroes (ONCS bit 3).
    pub(crate) write_zeroes: bool,
    /// Whether it takes SGLs for I/O commands, of any bytes or of dwords: all data is of dwords.
    pub(crate) sgls: bool,
    /// Whether it takes Doorbell Buffer Config (OACS bit 8).
    pub(crate) doorbell_buffer: bool,
    /// Whether its subsystem may have other controllers (CMIC bit 1).
    pub(crate) multi_controller: bool,
    /// Typical time of a normal shutdown in microseconds (RTD3E); 0 if not reported.
    pub(crate) rtd3e_us: u32,
    /// How long to wait before commands are tried again.
    pub(crate) retry_delays: RetryDelays,
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
        // Controllers that leave the field 0 are driven by Linux, which does not look at it.
        let allows =
            |sizes: u8, size: u8| sizes == 0 || (sizes & 0xf <= size && size <= sizes >> 4);
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
            // In units of the smallest page, which `Capabilities` has found to be 4 KiB.
            max_transfer: match raw.mdts {
                0 => None,
                mdts => 1u32.checked_shl(PAGE_SHIFT + u32::from(mdts)),
            },
            volatile_write_cache: raw.vwc & 1 != 0,
            dataset_management: raw.oncs & (1 << 2) != 0,
            write_zeroes: raw.oncs & (1 << 3) != 0,
            doorbell_buffer: raw.oacs & (1 << 8) != 0,
            sgls: matches!(raw.sgls & 3, 1 | 2),
            multi_controller: raw.cmic & (1 << 1) != 0,
            rtd3e_us: raw.rtd3e,
            retry_delays: RetryDelays(raw.crdt),
        })
    }
}

/// Room for what Identify returns, full of `fill`.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn page(fill: u8) -> Result<KVec<u8>> {
    Ok(KVec::from_elem(fill, IDENTIFY_SIZE, GFP_KERNEL)?)
}

#[kunit_tests(rnvme_identify)]
mod tests {
    use super::*;
    use kernel::str::CString;
    use zerocopy::FromBytes;

    /// A page of `fill` but for `fields`, each an offset and what is there.
    pub(super) fn page(fill: u8, fields: &[(usize, &[u8])]) -> Result<KVec<u8>> {
        let mut page = super::page(fill)?;
        for (offset, bytes) in fields {
            page[*offset..*offset + bytes.len()].copy_from_slice(bytes);
        }
        Ok(page)
    }

    fn controller(page: &[u8]) -> Result<ControllerInfo, IdentifyError> {
        ControllerInfo::decode(IdentifyController::ref_from_bytes(page).unwrap())
    }

    /// SQES and CQES as they have to be.
    const SIZES: (usize, &[u8]) = (512, &[0x66, 0x44]);

    #[test]
    fn subsystems_have_names() -> Result {
        let name = |fields| -> Result<SubsystemName> {
            let page = page(0, fields)?;
            let raw = IdentifyController::ref_from_bytes(&page).map_err(|_| EINVAL)?;
            Ok(raw.subsystem())
        };
        let modern = name(&[(4, b"S1"), (768, b"nqn.x")])?;
        assert!(modern.starts_with(b"nqn.x\0"));
        let old = name(&[(4, b"S1"), (24, b"M1")])?;
        assert!(old.starts_with(b"S1\0") && old[20..].starts_with(b"M1\0"));
        Ok(())
    }

    #[test]
    fn controller_fields() -> Result {
        let page = page(
            0,
            &[
                SIZES,
                (4, b"  S/N 1             "),
                (24, b"Model\0name\xff\n"),
                (64, b"fw 1.2  "),
                (76, &[0x02, 5]),
                (88, &[0x40, 0x42, 0x0f, 0x00]),
                (128, &[1, 2, 3, 4, 5, 6]),
                (525, &[0x07]),
            ],
        )?;
        let info = controller(&page).map_err(|_| EINVAL)?;
        assert_eq!(info.serial.as_str(), "S/N 1");
        assert_eq!(info.model.as_str(), "Model?name??");
        assert_eq!(info.firmware.as_str(), "fw 1.2");
        assert_eq!(info.max_transfer, Some(128 << 10));
        assert_eq!(info.rtd3e_us, 1_000_000);
        let delays = [0, 1, 2, 3, 4, u16::MAX].map(|which| info.retry_delays.get(which));
        assert_eq!(delays, [0, 0x201, 0x403, 0x605, 0, 0]);
        assert!(info.volatile_write_cache && info.multi_controller);
        Ok(())
    }

    #[test]
    fn least_controller() -> Result {
        let info = controller(&page(0, &[SIZES])?).map_err(|_| EINVAL)?;
        assert_eq!(info.model.as_str(), "");
        assert_eq!(info.max_transfer, None);
        assert!(!info.volatile_write_cache);
        Ok(())
    }

    #[test]
    fn largest_transfer() -> Result {
        let cases = [
            (0, None),
            (1, Some(8 << 10)),
            (11, Some(8 << 20)),
            (19, Some(1 << 31)),
            (20, None),
            (31, None),
            (255, None),
        ];
        for (mdts, bytes) in cases {
            let info = controller(&page(0, &[SIZES, (77, &[mdts])])?).map_err(|_| EINVAL)?;
            assert_eq!(info.max_transfer, bytes);
        }
        Ok(())
    }

    #[test]
    fn entry_sizes() -> Result {
        let cases = [
            (0x66, 0x44, true),
            (0xf0, 0xf0, true),
            (0x76, 0x54, true),
            (0x56, 0x44, false),
            (0x77, 0x44, false),
            (0x66, 0x55, false),
            (0x66, 0x33, false),
            (0x00, 0x00, true),
            (0x00, 0x44, true),
            (0x00, 0x33, false),
            (0xff, 0xff, false),
        ];
        for (sqes, cqes, good) in cases {
            let info = controller(&page(0, &[(512, &[sqes, cqes])])?);
            let error = IdentifyError::EntrySize { sqes, cqes };
            assert_eq!(info.err(), (!good).then_some(error));
        }
        Ok(())
    }

    #[test]
    fn optional_commands() -> Result {
        // ONCS, Dataset Management, Write Zeroes.
        let cases = [
            (0x00, false, false),
            (0x04, true, false),
            (0x08, false, true),
            (0xf3, false, false),
            (0xff, true, true),
        ];
        for (oncs, dataset_management, write_zeroes) in cases {
            let info = controller(&page(0, &[SIZES, (520, &[oncs])])?).map_err(|_| EINVAL)?;
            assert_eq!(info.dataset_management, dataset_management);
            assert_eq!(info.write_zeroes, write_zeroes);
        }
        Ok(())
    }

    #[test]
    fn text_of_any_bytes_is_printable() -> Result {
        let page = page(0xff, &[SIZES, (4, b" \0 "), (64, b" \0  \0   ")])?;
        let info = controller(&page).map_err(|_| EINVAL)?;
        assert_eq!(info.serial.as_str(), "?????????????????");
        assert_eq!(info.model.as_str().len(), 40);
        assert_eq!(info.firmware.as_str(), "");
        let text = CString::try_from_fmt(fmt!("[{}]", info.serial))?;
        assert_eq!(text.to_bytes(), b"[?????????????????]");
        Ok(())
    }

    #[test]
    fn all_ones_are_no_controller() -> Result {
        let error = IdentifyError::EntrySize {
            sqes: 0xff,
            cqes: 0xff,
        };
        assert_eq!(controller(&page(0xff, &[])?).err(), Some(error));
        Ok(())
    }

    #[test]
    fn all_zeroes_promise_nothing() -> Result {
        let info = controller(&page(0, &[])?).map_err(|_| EINVAL)?;
        assert_eq!(info.model.as_str(), "");
        assert_eq!(info.max_transfer, None);
        assert!(!info.volatile_write_cache);
        assert_eq!(info.rtd3e_us, 0);
        Ok(())
    }
}
