// SPDX-License-Identifier: GPL-2.0

//! The SMART / Health Information log.
//!
//! Base 5.16.1.3.

use crate::nvme::AsyncEvent;
use core::mem::offset_of;
use kernel::{
    fmt,
    prelude::*, //
};
use zerocopy_derive::{
    Immutable,
    KnownLayout, //
};

/// A count of 128 bits, the low half first.
type Counter128 = [u64; 2];

/// The log (log page 02h). The names of fields that the driver does not use begin with `_`.
#[repr(C)]
#[derive(FromBytes, Immutable, KnownLayout)]
pub(crate) struct SmartLog {
    pub(crate) critical_warning: u8,
    pub(crate) temperature: [u8; 2],
    pub(crate) avail_spare: u8,
    pub(crate) spare_thresh: u8,
    pub(crate) percent_used: u8,
    _endurance: [u8; 26],
    pub(crate) data_units_read: Counter128,
    pub(crate) data_units_written: Counter128,
    _host_reads: [Counter128; 3],
    pub(crate) power_cycles: Counter128,
    pub(crate) power_on_hours: Counter128,
    pub(crate) unsafe_shutdowns: Counter128,
    pub(crate) media_errors: Counter128,
    pub(crate) num_err_log_entries: Counter128,
    _rest: [u8; 320],
}

const _: () = {
    assert!(size_of::<SmartLog>() == 512);
    assert!(offset_of!(SmartLog, data_units_read) == 32);
    assert!(offset_of!(SmartLog, power_cycles) == 112);
    assert!(offset_of!(SmartLog, num_err_log_entries) == 176);
};

/// Critical Warning, one bit for each warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Warnings(u8);

impl Warnings {
    /// Spare below its threshold.
    pub(crate) const SPARE: u8 = 1 << 0;
    /// A temperature beyond its threshold.
    pub(crate) const TEMPERATURE: u8 = 1 << 1;
    /// Reliability degraded by errors of the media or the controller.
    pub(crate) const RELIABILITY: u8 = 1 << 2;
    /// The media are read-only.
    pub(crate) const READ_ONLY: u8 = 1 << 3;
    /// The backup of volatile memory has failed.
    pub(crate) const BACKUP: u8 = 1 << 4;

    const NAMES: [(u8, &'static str); 7] = [
        (Self::SPARE, "spare below its threshold"),
        (Self::TEMPERATURE, "temperature beyond a threshold"),
        (Self::RELIABILITY, "reliability degraded"),
        (Self::READ_ONLY, "media are read-only"),
        (Self::BACKUP, "backup of volatile memory failed"),
        (1 << 5, "persistent memory region is read-only"),
        (3 << 6, "unknown warning"),
    ];

    /// No warning.
    pub(crate) const NONE: Self = Self(0);

    /// The warnings of the field `raw`.
    pub(crate) const fn from_raw(raw: u8) -> Self {
        Self(raw)
    }

    /// The warning that a SMART / Health Status event is about (Base 5.2.1, figure of that type): none
    /// for what the specification does not know.
    pub(crate) fn of_event(event: AsyncEvent) -> Self {
        Self(match event.info() {
            0 => Self::RELIABILITY,
            1 => Self::TEMPERATURE,
            2 => Self::SPARE,
            _ => 0,
        })
    }

    /// The value that [`Self::from_raw`] takes.
    pub(crate) const fn raw(self) -> u8 {
        self.0
    }

    /// These warnings without those of `others`.
    pub(crate) const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// These warnings and those of `others`.
    pub(crate) const fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether there is no warning.
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Warnings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (bits, name) in Self::NAMES {
            if self.0 & bits != 0 {
                write!(f, "{separator}{name}")?;
                separator = ", ";
            }
        }
        if self.is_empty() {
            f.write_str("no warning")?;
        }
        Ok(())
    }
}

/// Health of a controller, from its SMART log. Counters that exceed 64 bits saturate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Health {
    /// Critical warnings.
    pub(crate) warnings: Warnings,
    /// Composite temperature in kelvin; `None` if not reported.
    pub(crate) kelvin: Option<u16>,
    /// Available spare in per cent.
    pub(crate) spare: u8,
    /// Available spare threshold in per cent: a lower spare is a warning.
    pub(crate) spare_threshold: u8,
    /// Percentage of the expected life that is used; may exceed 100.
    pub(crate) used: u8,
    /// Data read by the host, in units of 512,000 bytes.
    pub(crate) units_read: u64,
    /// Data written by the host, in units of 512,000 bytes.
    pub(crate) units_written: u64,
    /// Number of power cycles.
    pub(crate) power_cycles: u64,
    /// Power-on hours.
    pub(crate) power_on_hours: u64,
    /// Number of power losses without a shutdown notification.
    pub(crate) unsafe_shutdowns: u64,
    /// Number of errors where data could not be recovered.
    pub(crate) media_errors: u64,
    /// Number of Error Information log entries over the controller's life.
    pub(crate) error_entries: u64,
}

impl Health {
    /// Decodes the log: any bytes are valid.
    pub(crate) fn decode(raw: &SmartLog) -> Self {
        let count = |[low, high]: Counter128| if high == 0 { low } else { u64::MAX };
        let kelvin = u16::from_le_bytes(raw.temperature);
        Self {
            warnings: Warnings::from_raw(raw.critical_warning),
            kelvin: (kelvin != 0).then_some(kelvin),
            spare: raw.avail_spare,
            spare_threshold: raw.spare_thresh,
            used: raw.percent_used,
            units_read: count(raw.data_units_read),
            units_written: count(raw.data_units_written),
            power_cycles: count(raw.power_cycles),
            power_on_hours: count(raw.power_on_hours),
            unsafe_shutdowns: count(raw.unsafe_shutdowns),
            media_errors: count(raw.media_errors),
            error_entries: count(raw.num_err_log_entries),
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.warnings, f)?;
        if let Some(kelvin) = self.kelvin {
            write!(f, ", {kelvin} K")?;
        }
        write!(
            f,
            ", spare {} % (threshold {} %), used {} %, media errors {}, unsafe shutdowns {}",
            self.spare, self.spare_threshold, self.used, self.media_errors, self.unsafe_shutdowns
        )
    }
}

#[kunit_tests(rnvme_log_smart)]
mod tests {
    use super::*;
    use kernel::str::CString;
    use zerocopy::FromBytes;

    /// A log of `fill` but for `fields`, each an offset and its bytes.
    fn health(fill: u8, fields: &[(usize, &[u8])]) -> Result<Health> {
        let mut page = KVec::from_elem(fill, 512, GFP_KERNEL)?;
        for (offset, bytes) in fields {
            page[*offset..*offset + bytes.len()].copy_from_slice(bytes);
        }
        let raw = SmartLog::ref_from_bytes(&page).map_err(|_| EINVAL)?;
        Ok(Health::decode(raw))
    }

    #[test]
    fn fields_of_the_log() -> Result {
        let health = health(
            0,
            &[
                (0, &[0x04, 0x43, 0x01, 99, 10, 3]),
                (32, &[1]),
                (48, &[2]),
                (112, &[3]),
                (128, &[4]),
                (144, &[5]),
                (160, &[6, 1]),
                (176, &[7]),
            ],
        )?;
        let expected = Health {
            warnings: Warnings(Warnings::RELIABILITY),
            kelvin: Some(323),
            spare: 99,
            spare_threshold: 10,
            used: 3,
            units_read: 1,
            units_written: 2,
            power_cycles: 3,
            power_on_hours: 4,
            unsafe_shutdowns: 5,
            media_errors: 0x106,
            error_entries: 7,
        };
        assert_eq!(health, expected);
        let text = CString::try_from_fmt(fmt!("{health}"))?;
        let words = b"reliability degraded, 323 K, spare 99 % (threshold 10 %), used 3 %, \
                      media errors 262, unsafe shutdowns 5";
        assert_eq!(text.to_bytes(), words);
        Ok(())
    }

    #[test]
    fn large_counts_are_cut() -> Result {
        for (low, high, count) in [(0xff, 0, 0xff), (0, 1, u64::MAX), (0xff, 0x80, u64::MAX)] {
            let health = health(0, &[(144, &[low]), (159, &[high])])?;
            assert_eq!(health.unsafe_shutdowns, count);
        }
        Ok(())
    }

    #[test]
    fn warnings_in_words() -> Result {
        let cases: [(u8, &[u8]); 8] = [
            (0x00, b"no warning"),
            (0x01, b"spare below its threshold"),
            (
                0x03,
                b"spare below its threshold, temperature beyond a threshold",
            ),
            (0x08, b"media are read-only"),
            (0x10, b"backup of volatile memory failed"),
            (0x20, b"persistent memory region is read-only"),
            (0x40, b"unknown warning"),
            (0xc4, b"reliability degraded, unknown warning"),
        ];
        for (raw, words) in cases {
            let text = CString::try_from_fmt(fmt!("{}", Warnings(raw)))?;
            assert_eq!(text.to_bytes(), words);
            assert_eq!(Warnings(raw).is_empty(), raw == 0);
        }
        Ok(())
    }

    #[test]
    fn any_bytes_are_a_log() -> Result {
        let nothing = health(0, &[])?;
        assert!(nothing.warnings.is_empty() && nothing.kelvin.is_none());
        let all = health(0xff, &[])?;
        assert_eq!((all.warnings.0, all.kelvin), (0xff, Some(u16::MAX)));
        assert_eq!((all.used, all.media_errors), (255, u64::MAX));
        Ok(())
    }
}
