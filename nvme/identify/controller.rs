// SPDX-License-Identifier: GPL-2.0

//! Identify Controller.
//!
//! Base 5.17.2.1.

use super::{
    power::{
        PowerStates,
        RawPowerState, //
    },
    IDENTIFY_SIZE, //
};
use crate::nvme::{
    event::Events,
    regs::PAGE_SHIFT,
    text::Text, //
};
use kernel::{
    fmt,
    prelude::*, //
};
use zerocopy_derive::{
    Immutable,
    KnownLayout, //
};

/// Identify Controller (CNS 01h). The names of fields that the driver does not use begin with `_`.
#[repr(C)]
#[derive(FromBytes, Immutable, KnownLayout)]
pub(crate) struct IdentifyController {
    pub(crate) vid: u16,
    pub(crate) ssvid: u16,
    pub(crate) sn: [u8; 20],
    pub(crate) mn: [u8; 40],
    pub(crate) fr: [u8; 8],
    _rab: [u8; 4],
    pub(crate) cmic: u8,
    pub(crate) mdts: u8,
    pub(crate) cntlid: u16,
    pub(crate) ver: u32,
    pub(crate) rtd3r: u32,
    pub(crate) rtd3e: u32,
    pub(crate) oaes: u32,
    pub(crate) ctratt: u32,
    _rsvd100: [u8; 11],
    pub(crate) cntrltype: u8,
    _fguid: [u8; 16],
    pub(crate) crdt: [u16; 3],
    _rsvd134: [u8; 122],
    pub(crate) oacs: u16,
    pub(crate) acl: u8,
    pub(crate) aerl: u8,
    pub(crate) frmw: u8,
    pub(crate) lpa: u8,
    pub(crate) elpe: u8,
    pub(crate) npss: u8,
    _avscc: u8,
    pub(crate) apsta: u8,
    _wctemp: [u8; 4],
    pub(crate) mtfa: u16,
    _hmpre: [u8; 48],
    pub(crate) kas: u16,
    _hctma: [u8; 190],
    pub(crate) sqes: u8,
    pub(crate) cqes: u8,
    _maxcmd: [u8; 2],
    pub(crate) nn: u32,
    pub(crate) oncs: u16,
    _fuses: [u8; 3],
    pub(crate) vwc: u8,
    _awun: [u8; 10],
    pub(crate) sgls: u32,
    _mnan: [u8; 228],
    pub(crate) subnqn: [u8; 256],
    _ioccsz: [u8; 1024],
    pub(crate) psd: [RawPowerState; 32],
    _vs: [u8; 1024],
}

const _: () = assert!(size_of::<IdentifyController>() == IDENTIFY_SIZE);

/// NVMe Qualified Name of a subsystem, as Identify has it.
type SubsystemName = [u8; 256];

/// An NVMe Qualified Name has fewer bytes than this.
const NAME_END: usize = 223;

/// What tells a subsystem from others. SUBNQN alone does not: some vendors give all drives the same.
#[derive(PartialEq, Eq)]
pub(crate) struct Subsystem {
    /// The name.
    pub(crate) name: SubsystemName,
    serial: [u8; 20],
    model: [u8; 40],
}

impl IdentifyController {
    /// The subsystem; for `ignore` see [`Self::subsystem_name`].
    pub(crate) fn subsystem(&self, ignore: bool) -> Subsystem {
        Subsystem {
            name: self.subsystem_name(ignore),
            serial: self.sn,
            model: self.mn,
        }
    }

    /// The name of the subsystem: SUBNQN or, if that is no name or `ignore` says that it is not
    /// unique, a name made of vendors, serial number and model number (Base 4.5), in the form of
    /// Linux's driver.
    fn subsystem_name(&self, ignore: bool) -> SubsystemName {
        let end = self.subnqn.iter().position(|byte| *byte == 0);
        if !ignore && end.is_some_and(|end| (1..NAME_END).contains(&end)) {
            return self.subnqn;
        }
        let digits: [u8; 8] = core::array::from_fn(|place| {
            let vendor = if place < 4 { self.vid } else { self.ssvid };
            let digit = usize::from(vendor) >> (12 - 4 * (place % 4)) & 0xf;
            b"0123456789abcdef".get(digit).copied().unwrap_or_default()
        });
        let parts: [&[u8]; 4] = [b"nqn.2014.08.org.nvmexpress:", &digits, &self.sn, &self.mn];
        let mut name = [0; 256];
        for (to, from) in name.iter_mut().zip(parts.into_iter().flatten()) {
            *to = *from;
        }
        name
    }

    /// The power states.
    pub(crate) fn power_states(&self) -> PowerStates {
        PowerStates::decode(&self.psd, self.npss, self.apsta)
    }
}

/// Command Retry Delay Times (CRDT1 to CRDT3), in units of 100 ms.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct RetryDelays(pub(crate) [u16; 3]);

impl RetryDelays {
    /// The delay that Command Retry Delay `which` names (1 to 3), in units of 100 ms; 0 for any
    /// other value.
    pub(crate) fn get(&self, which: u16) -> u16 {
        let index = usize::from(which).wrapping_sub(1);
        self.0.get(index).copied().unwrap_or(0)
    }
}

/// The checked values of Identify Controller.
#[derive(Clone, Copy)]
pub(crate) struct ControllerInfo {
    /// PCI vendor (VID).
    pub(crate) vendor: u16,
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
    /// Whether it supports Dataset Management (ONCS bit 2).
    pub(crate) dataset_management: bool,
    /// Whether it supports Write Zeroes (ONCS bit 3).
    pub(crate) write_zeroes: bool,
    /// Whether it supports SGLs for I/O commands, of byte or of dword granularity (SGLS bits 1:0).
    /// All data of the driver has dword granularity.
    pub(crate) sgls: bool,
    /// Whether it supports Doorbell Buffer Config (OACS bit 8).
    pub(crate) doorbell_buffer: bool,
    /// Whether its subsystem may have other controllers (CMIC bit 1).
    pub(crate) multi_controller: bool,
    /// Typical time of a normal shutdown in microseconds (RTD3E); 0 if not reported.
    pub(crate) rtd3e_us: u32,
    /// Whether it is an administrative controller (CNTRLTYPE), which has no I/O queues.
    pub(crate) is_administrative: bool,
    /// Controller identifier: its number in its subsystem (CNTLID).
    pub(crate) id: u16,
    /// Abort Command Limit: how many Abort commands it takes at a time (ACL), 1 to 256.
    pub(crate) abort_limit: u16,
    /// The events to enable (from OAES).
    pub(crate) events: Events,
    /// Maximum Time for Firmware Activation in milliseconds (MTFA); `None` if not reported.
    pub(crate) activation_ms: Option<u32>,
    /// Granularity of the keep alive timer in milliseconds (KAS); `None` if it has no timer.
    pub(crate) keep_alive_ms: Option<u32>,
    /// Largest valid namespace identifier (NN).
    pub(crate) namespaces: u32,
    /// Whether it supports the Timestamp feature (ONCS bit 6).
    pub(crate) timestamp: bool,
    /// Command Retry Delay Times.
    pub(crate) retry_delays: RetryDelays,
}

/// Why a controller cannot be driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdentifyError {
    /// The controller does not support queue entries of 64 and 16 bytes.
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

/// `units` of 100 ms in milliseconds; `None` for 0, which means "not reported".
fn hundreds(units: u16) -> Option<u32> {
    (units != 0).then_some(u32::from(units) * 100)
}

impl ControllerInfo {
    /// The Keep Alive Timeout to set, in milliseconds: `wanted_ms`, rounded up to the granularity
    /// of the timer. `None` if none is wanted, the controller has no timer, or the result exceeds
    /// 32 bits.
    pub(crate) fn keep_alive(&self, wanted_ms: Option<u32>) -> Option<u32> {
        let (wanted, unit) = (wanted_ms?, self.keep_alive_ms?);
        wanted.checked_next_multiple_of(unit)
    }

    /// Checks and decodes Identify Controller.
    pub(crate) fn decode(raw: &IdentifyController) -> Result<Self, IdentifyError> {
        // Bits 3:0 are the required size, log2. The largest, bits 7:4, is 0 or nonsense in some
        // controllers that take the usual size all the same.
        let allows = |sizes: u8, size: u8| sizes & 0xf <= size;
        if !allows(raw.sqes, 6) || !allows(raw.cqes, 4) {
            return Err(IdentifyError::EntrySize {
                sqes: raw.sqes,
                cqes: raw.cqes,
            });
        }
        Ok(Self {
            vendor: raw.vid,
            serial: Text::new(&raw.sn),
            model: Text::new(&raw.mn),
            firmware: Text::new(&raw.fr),
            // The unit is the smallest page, which `Capabilities` has checked to be 4 KiB.
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
            is_administrative: raw.cntrltype == 3,
            id: raw.cntlid,
            abort_limit: u16::from(raw.acl) + 1,
            events: Events::wanted(raw.oaes),
            activation_ms: hundreds(raw.mtfa),
            keep_alive_ms: hundreds(raw.kas),
            namespaces: raw.nn,
            timestamp: raw.oncs & (1 << 6) != 0,
            retry_delays: RetryDelays(raw.crdt),
        })
    }
}

#[kunit_tests(rnvme_identify_controller)]
mod tests {
    use super::{
        super::tests::page,
        *, //
    };
    use kernel::str::CString;
    use zerocopy::FromBytes;

    fn controller(page: &[u8]) -> Result<ControllerInfo, IdentifyError> {
        ControllerInfo::decode(IdentifyController::ref_from_bytes(page).unwrap())
    }

    /// SQES and CQES that the driver accepts.
    const SIZES: (usize, &[u8]) = (512, &[0x66, 0x44]);

    #[test]
    fn subsystems_have_names() -> Result {
        fn name(fields: &[(usize, &[u8])], ignore: bool) -> Result<SubsystemName> {
            let page = page(0, fields)?;
            let raw = IdentifyController::ref_from_bytes(&page).map_err(|_| EINVAL)?;
            Ok(raw.subsystem(ignore).name)
        }
        let fields: &[(usize, &[u8])] = &[
            (0, &[0x34, 0x12, 0xef, 0x0d]),
            (4, b"S1                  "),
            (24, b"M1"),
        ];
        let old = b"nqn.2014.08.org.nvmexpress:12340defS1                  M1\0";
        assert!(name(fields, false)?.starts_with(old));
        let modern: &[(usize, &[u8])] = &[(4, b"S1"), (768, b"nqn.x")];
        assert!(name(modern, false)?.starts_with(b"nqn.x\0"));
        let made = b"nqn.2014.08.org.nvmexpress:00000000S1\0";
        assert!(name(modern, true)?.starts_with(made));
        // SUBNQN without an end, too long, empty, of the longest length.
        for (bytes, is_used) in [(256, false), (223, false), (0, false), (222, true)] {
            let mut text = [0; 256];
            text.iter_mut().take(bytes).for_each(|byte| *byte = b'n');
            let name = name(&[(4, b"S1"), (768, &text)], false)?;
            assert_eq!(name.starts_with(made), !is_used);
        }
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
                (516, &[4, 3, 2, 1]),
                (525, &[0x07]),
            ],
        )?;
        let info = controller(&page).map_err(|_| EINVAL)?;
        assert_eq!(info.namespaces, 0x0102_0304);
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
            (0x56, 0x44, true),
            (0x77, 0x44, false),
            (0x66, 0x55, false),
            (0x66, 0x33, true),
            (0x00, 0x00, true),
            (0x00, 0x44, true),
            (0x00, 0x33, true),
            (0x06, 0x04, true),
            (0x07, 0x04, false),
            (0x06, 0x05, false),
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
    fn firmware() -> Result {
        // MTFA, milliseconds.
        for (mtfa, ms) in [
            ([0, 0], None),
            ([1, 0], Some(100)),
            ([0, 1], Some(25_600)),
            ([0xff, 0xff], Some(6_553_500)),
        ] {
            let fields: &[(usize, &[u8])] = &[SIZES, (270, &mtfa)];
            let info = controller(&page(0, fields)?).map_err(|_| EINVAL)?;
            assert_eq!(info.activation_ms, ms);
        }
        Ok(())
    }

    #[test]
    fn keeping_alive() -> Result {
        // KAS, milliseconds.
        for (kas, ms) in [
            ([0, 0], None),
            ([1, 0], Some(100)),
            ([0xff, 0xff], Some(6_553_500)),
        ] {
            let fields: &[(usize, &[u8])] = &[SIZES, (320, &kas)];
            let info = controller(&page(0, fields)?).map_err(|_| EINVAL)?;
            assert_eq!(info.keep_alive_ms, ms);
            assert_eq!(info.keep_alive(None), None);
            let rounded = ms.map(|unit| if unit == 100 { 5000 } else { unit });
            assert_eq!(info.keep_alive(Some(5000)), rounded);
        }
        Ok(())
    }

    #[test]
    fn who_it_is_and_what_it_tells() -> Result {
        let fields: &[(usize, &[u8])] = &[
            SIZES,
            (78, &[2, 1]),
            (92, &[0, 1]),
            (111, &[3]),
            (258, &[255]),
            (520, &[0x40]),
            (768, b"nqn.2014-08.x:y\0"),
        ];
        let page = page(0, fields)?;
        let info = controller(&page).map_err(|_| EINVAL)?;
        assert_eq!((info.id, info.events.raw()), (0x102, 0x11f));
        assert!(info.timestamp && info.is_administrative);
        assert_eq!(info.abort_limit, 256);
        let raw = IdentifyController::ref_from_bytes(&page).map_err(|_| EINVAL)?;
        assert!(raw.subsystem(false).name.starts_with(b"nqn.2014-08.x:y\0"));
        Ok(())
    }

    #[test]
    fn all_zeroes_promise_nothing() -> Result {
        let page = page(0, &[])?;
        let info = controller(&page).map_err(|_| EINVAL)?;
        assert_eq!((info.model.as_str(), info.max_transfer), ("", None));
        assert!(!info.volatile_write_cache);
        assert_eq!((info.rtd3e_us, info.events.raw()), (0, 0x1f));
        assert!(!info.timestamp && !info.is_administrative);
        assert_eq!(info.abort_limit, 1);
        Ok(())
    }
}
