// SPDX-License-Identifier: GPL-2.0

//! Asynchronous events: their configuration and their meaning.
//!
//! Base 5.2.1 (dword 0 of the completion), 5.27.1.8 (configuration), 5.17.2.1 (OAES).

use kernel::{
    fmt,
    prelude::*, //
};

/// Asynchronous Event Configuration: the events that a controller reports. The bits of notices are
/// those of OAES in Identify Controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Events(u32);

impl Events {
    /// All critical warnings that a PCIe controller of NVMe 1.0 or later may have. The bits are
    /// those of Critical Warning in the SMART log; OAES has no bits for them.
    pub(crate) const CRITICAL_WARNINGS: u32 = 0x1f;
    /// Namespace Attribute Notices.
    pub(crate) const NAMESPACES: u32 = 1 << 8;
    /// Firmware Activation Notices.
    pub(crate) const FIRMWARE: u32 = 1 << 9;

    /// The events that the driver enables on a controller that offers `oaes`: all critical
    /// warnings, and the notices that the driver handles.
    pub(crate) const fn wanted(oaes: u32) -> Self {
        Self(Self::CRITICAL_WARNINGS | (oaes & (Self::NAMESPACES | Self::FIRMWARE)))
    }

    /// These events without the critical warnings of `bits`, as the SMART log has them.
    pub(crate) const fn without_warnings(self, bits: u8) -> Self {
        // CAST: u8 to u32 widens; u32::from is no const fn.
        Self(self.0 & !(bits as u32))
    }

    /// The value on the wire.
    pub(crate) const fn raw(self) -> u32 {
        self.0
    }
}

/// An event: dword 0 of the completion. The device may write any value.
///
/// ```text
///   31     24 23      16 15       8 7    3 2     0
///  |         | log page |   info   |      | kind  |
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AsyncEvent(u32);

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventKind {
    /// Persistent internal error: the controller needs a reset.
    PersistentError,
    /// Any other error.
    Error,
    /// SMART / health status: the SMART log has the details.
    Smart,
    /// A notice: something has changed.
    Notice(Notice),
    /// Specific to the command set: reservations, sanitizing.
    Io,
    /// Specific to the vendor.
    Vendor,
    /// A kind of event that the driver does not know.
    Unknown,
}

/// Notices: what has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Namespaces were added, removed or changed.
    NamespaceChanged,
    /// Firmware activation starts: the controller is about to pause command processing (CSTS.PP).
    FirmwareActivationStarting,
    /// The telemetry log has changed.
    TelemetryChanged,
    /// Asymmetric Namespace Access has changed: the state of a path.
    AnaChanged,
    /// The whole NVM subsystem is being shut down.
    SubsystemShutdown,
    /// Any other notice.
    Other,
}

impl AsyncEvent {
    /// Kind: error status.
    pub(crate) const ERROR: u8 = 0;
    /// Kind: SMART / health status.
    pub(crate) const SMART: u8 = 1;
    /// Kind: notice.
    pub(crate) const NOTICE: u8 = 2;
    /// Kind: specific to the I/O command set.
    pub(crate) const IO: u8 = 6;
    /// Kind: specific to the vendor.
    pub(crate) const VENDOR: u8 = 7;
    /// Information of an error: persistent internal error.
    pub(crate) const PERSISTENT_ERROR: u32 = 3;
    /// Information of a notice: namespace attributes changed.
    pub(crate) const NAMESPACE_CHANGED: u32 = 0;
    /// Information of a notice: firmware activation starting.
    pub(crate) const FIRMWARE_STARTING: u32 = 1;
    /// Information of a notice: asymmetric namespace access changed.
    pub(crate) const ANA_CHANGED: u32 = 3;

    /// Dword 0 of the completion of an Asynchronous Event Request.
    pub(crate) const fn from_raw(dw0: u32) -> Self {
        Self(dw0)
    }

    /// The value that [`Self::from_raw`] takes.
    pub(crate) const fn raw(self) -> u32 {
        self.0
    }

    /// The log page that the host reads to clear the event.
    pub(crate) const fn log_page(self) -> u8 {
        // CAST: bits 23:16.
        (self.0 >> 16) as u8
    }

    /// Asynchronous Event Type, 0 to 7.
    pub(crate) const fn number(self) -> u8 {
        // CAST: bits 2:0.
        (self.0 & 7) as u8
    }

    /// Asynchronous Event Information: its meaning depends on the kind.
    pub(crate) const fn info(self) -> u8 {
        // CAST: bits 15:8.
        (self.0 >> 8) as u8
    }

    /// The kind of event, and what a notice is about.
    pub(crate) fn kind(self) -> EventKind {
        let info = u32::from(self.info());
        match self.number() {
            Self::ERROR if info == Self::PERSISTENT_ERROR => EventKind::PersistentError,
            Self::ERROR => EventKind::Error,
            Self::SMART => EventKind::Smart,
            Self::NOTICE => EventKind::Notice(match info {
                Self::NAMESPACE_CHANGED => Notice::NamespaceChanged,
                Self::FIRMWARE_STARTING => Notice::FirmwareActivationStarting,
                2 => Notice::TelemetryChanged,
                Self::ANA_CHANGED => Notice::AnaChanged,
                7 => Notice::SubsystemShutdown,
                _ => Notice::Other,
            }),
            Self::IO => EventKind::Io,
            Self::VENDOR => EventKind::Vendor,
            _ => EventKind::Unknown,
        }
    }

    /// The name of the information; `None` if the specification has none.
    fn name(self) -> Option<&'static str> {
        Some(match (self.number(), self.info()) {
            (Self::ERROR, 0) => "write to an invalid doorbell",
            (Self::ERROR, 1) => "invalid value written to a doorbell",
            (Self::ERROR, 2) => "diagnostic failure",
            (Self::ERROR, 3) => "persistent internal error",
            (Self::ERROR, 4) => "transient internal error",
            (Self::ERROR, 5) => "firmware image could not be loaded",
            (Self::SMART, 0) => "reliability degraded",
            (Self::SMART, 1) => "temperature beyond a threshold",
            (Self::SMART, 2) => "spare below its threshold",
            (Self::NOTICE, 0) => "namespaces changed",
            (Self::NOTICE, 1) => "firmware activation starting",
            (Self::NOTICE, 2) => "telemetry log changed",
            (Self::NOTICE, 3) => "asymmetric namespace access changed",
            (Self::NOTICE, 4) => "predictable latency log changed",
            (Self::NOTICE, 5) => "LBA status information",
            (Self::NOTICE, 6) => "endurance group log changed",
            (Self::NOTICE, 7) => "NVM subsystem is being shut down",
            (Self::NOTICE, 0xef) => "zone descriptors changed",
            (Self::NOTICE, 0xf0) => "discovery log changed",
            (Self::IO, 0) => "reservation log changed",
            (Self::IO, 1) => "sanitize completed",
            (Self::IO, 2) => "sanitize completed, blocks deallocated unexpectedly",
            _ => return None,
        })
    }
}

impl fmt::Display for AsyncEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.number() {
            Self::ERROR => "error",
            Self::SMART => "health",
            Self::NOTICE => "notice",
            Self::IO => "command set",
            Self::VENDOR => "vendor specific",
            _ => "unknown",
        })?;
        match self.name() {
            Some(name) => write!(f, ": {name}")?,
            None => write!(f, ": information {:#x}", self.info())?,
        }
        write!(f, " (log page {:#x})", self.log_page())
    }
}

#[kunit_tests(rnvme_event)]
mod tests {
    use super::*;
    use kernel::str::CString;

    #[test]
    fn what_is_asked_for() {
        // OAES, configuration.
        for (oaes, raw) in [
            (0, 0x1f),
            (0x100, 0x11f),
            (0x200, 0x21f),
            (0x300, 0x31f),
            (0xffff_fcff, 0x1f),
            (u32::MAX, 0x31f),
        ] {
            assert_eq!(Events::wanted(oaes).raw(), raw);
        }
    }

    #[test]
    fn parts_of_an_event() {
        // Reserved bits do not matter.
        let event = AsyncEvent::from_raw(0xff45_23f9);
        assert_eq!((event.log_page(), event.info()), (0x45, 0x23));
        assert_eq!(event.kind(), EventKind::Smart);
        assert_eq!(event.raw(), 0xff45_23f9);
    }

    #[test]
    fn kinds_of_events() {
        let cases = [
            (0x0001_0000, EventKind::Error),
            (0x0001_0200, EventKind::Error),
            (0x0001_0300, EventKind::PersistentError),
            (0x0001_0400, EventKind::Error),
            (0x0001_ff00, EventKind::Error),
            (0x0002_0301, EventKind::Smart),
            (0x0004_0002, EventKind::Notice(Notice::NamespaceChanged)),
            (
                0x0003_0102,
                EventKind::Notice(Notice::FirmwareActivationStarting),
            ),
            (0x0008_0202, EventKind::Notice(Notice::TelemetryChanged)),
            (0x000c_0302, EventKind::Notice(Notice::AnaChanged)),
            (0x0000_0702, EventKind::Notice(Notice::SubsystemShutdown)),
            (0x0070_f002, EventKind::Notice(Notice::Other)),
            (0x0000_0803, EventKind::Unknown),
            (0x0000_0304, EventKind::Unknown),
            (0x0000_0305, EventKind::Unknown),
            (0x0081_0106, EventKind::Io),
            (0x00c0_0307, EventKind::Vendor),
        ];
        for (dw0, kind) in cases {
            assert_eq!(AsyncEvent::from_raw(dw0).kind(), kind);
        }
    }

    #[test]
    fn events_in_words() -> Result {
        let cases: [(u32, &[u8]); 8] = [
            (
                0x0001_0300,
                b"error: persistent internal error (log page 0x1)",
            ),
            (
                0x0002_0201,
                b"health: spare below its threshold (log page 0x2)",
            ),
            (0x0004_0002, b"notice: namespaces changed (log page 0x4)"),
            (0x0004_fe02, b"notice: information 0xfe (log page 0x4)"),
            (0x0000_0003, b"unknown: information 0x0 (log page 0x0)"),
            (
                0x0080_0006,
                b"command set: reservation log changed (log page 0x80)",
            ),
            (
                0x00c1_0207,
                b"vendor specific: information 0x2 (log page 0xc1)",
            ),
            (
                u32::MAX,
                b"vendor specific: information 0xff (log page 0xff)",
            ),
        ];
        for (dw0, words) in cases {
            let text = CString::try_from_fmt(fmt!("{}", AsyncEvent::from_raw(dw0)))?;
            assert_eq!(text.to_bytes(), words);
        }
        Ok(())
    }
}
