// SPDX-License-Identifier: GPL-2.0

//! Registers in BAR 0 of a controller, CAP decoded, and the offsets of the doorbells.
//!
//! The 32-bit registers are types with a location. The 64-bit ones are offsets: the driver accesses
//! them as two 32-bit halves, low half first, which every controller supports (NVMe Base 2.0,
//! 3.1.3).
//!
//! Sections: NVMe Base 2.0, 3.1.3 (properties); NVMe over PCIe 1.0, 3.1.2 (doorbells).

use crate::num::u16_as_usize;
use kernel::{
    bitfield,
    fmt,
    prelude::*,
    register, //
};

/// log2 of [`PAGE_SIZE`].
pub(crate) const PAGE_SHIFT: u32 = 12;
/// Bytes of a controller page. The driver always sets CC.MPS to 0 and splits all data at 4 KiB,
/// whatever page size the CPU uses.
pub(crate) const PAGE_SIZE: usize = 1 << PAGE_SHIFT;

/// Offset of CAP, Controller Capabilities (64 bits): 3.1.3.1.
pub(crate) const CAP: usize = 0x00;
/// Offset of ASQ, the address of the admin submission queue (64 bits): 3.1.3.9.
pub(crate) const ASQ: usize = 0x28;
/// Offset of ACQ, the address of the admin completion queue (64 bits): 3.1.3.10.
pub(crate) const ACQ: usize = 0x30;
/// Offset of the first doorbell.
pub(crate) const DOORBELLS: usize = 0x1000;

register! {
    /// Version: 3.1.3.2.
    pub(crate) VS(u32) @ 0x08 {
        /// Major version.
        31:16 mjr;
        /// Minor version.
        15:8 mnr;
        /// Tertiary version.
        7:0 ter;
    }

    /// Controller Configuration: 3.1.3.5.
    pub(crate) CC(u32) @ 0x14 {
        /// Controller Ready Independent of Media Enable: CSTS.RDY does not wait for the media.
        24:24 crime;
        /// log2 of the bytes of a completion queue entry: 4.
        23:20 iocqes;
        /// log2 of the bytes of a submission queue entry: 6.
        19:16 iosqes;
        /// Shutdown notification: 0 none, 1 normal, 2 abrupt.
        15:14 shn;
        /// Arbitration mechanism: 0 is round robin.
        13:11 ams;
        /// Memory page size: 4 KiB times two to the power of this.
        10:7 mps;
        /// I/O command sets: 0 is the NVM command set, 6 all that the controller has, 7 none.
        6:4 css;
        /// Enable.
        0:0 en;
    }

    /// Controller Status: 3.1.3.6.
    pub(crate) CSTS(u32) @ 0x1c {
        /// Processing is paused.
        5:5 pp;
        /// An NVM subsystem reset has occurred.
        4:4 nssro;
        /// Shutdown status: 0 none, 1 under way, 2 complete.
        3:2 shst;
        /// Controller fatal status.
        1:1 cfs;
        /// Ready.
        0:0 rdy;
    }

    /// Admin Queue Attributes: 3.1.3.8.
    pub(crate) AQA(u32) @ 0x24 {
        /// Entries of the admin completion queue, zero-based.
        27:16 acqs_z;
        /// Entries of the admin submission queue, zero-based.
        11:0 asqs_z;
    }

    /// Controller Ready Timeouts: 3.1.3.20. The driver reads it only if CAP.CRMS bit 0 is set.
    pub(crate) CRTO(u32) @ 0x68 {
        /// Longest wait for ready independent of media, in units of 500 ms.
        31:16 crimt;
        /// Longest wait for ready with media, in units of 500 ms.
        15:0 crwmt;
    }
}

/// CC.SHN, normal shutdown: the controller writes its caches back.
pub(crate) const SHN_NORMAL: u32 = 1;

bitfield! {
    /// The fields of CAP that the driver uses.
    struct Cap(u64) {
        /// Controller Ready Independent of Media Support (CRMS bit 1).
        60:60 crims;
        /// Controller Ready With Media Support (CRMS bit 0): CRTO.CRWMT states how long it takes.
        59:59 crwms;
        /// Controller Memory Buffer Supported: CMBMSC enables the buffer.
        57:57 cmbs;
        /// Minimum memory page size, as CC.MPS.
        51:48 mpsmin;
        /// Command sets supported, one bit each; bit 0 is the NVM command set.
        44:37 css;
        /// Doorbell stride: 4 bytes times two to the power of this.
        35:32 dstrd;
        /// Longest wait for CSTS.RDY to follow CC.EN, in units of 500 ms.
        31:24 to;
        /// Maximum entries of a queue, zero-based.
        15:0 mqes_z;
    }
}

/// The I/O command sets that a controller is enabled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SelectedSets {
    /// The NVM command set. Some controllers state no command set at all, and have this one.
    Nvm,
    /// All that the controller has: the NVM command set alone cannot be selected.
    All,
    /// None: the controller is there for administration.
    None,
}

/// The checked values of CAP.
pub(crate) struct Capabilities {
    /// Maximum entries of an I/O queue, 2 to 65536.
    pub(crate) max_queue_entries: u32,
    /// The longest wait for CSTS.RDY to follow CC.EN, in milliseconds; never 0.
    pub(crate) timeout_ms: u32,
    /// Bytes from one doorbell to the next.
    pub(crate) doorbell_stride: usize,
    /// Whether the controller supports Identify data of I/O command sets (CAP.CSS bit 6).
    pub(crate) command_sets: bool,
    /// The command sets to select in CC.CSS.
    pub(crate) selected_sets: SelectedSets,
    /// Whether the host must enable the controller memory buffer in CMBMSC (CAP.CMBS).
    pub(crate) cmb_control: bool,
    /// Whether CRTO states the time to become ready with media (CAP.CRMS bit 0).
    pub(crate) ready_with_media: bool,
    /// Whether the controller can be ready before its media (CAP.CRMS bit 1); it reports whether a
    /// namespace is ready then.
    pub(crate) ready_independent: bool,
}

/// Why a controller with these capabilities cannot be driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CapError {
    /// The register reads as all ones: the device does not answer.
    Gone,
    /// CAP.MQES allows one entry only: a queue needs two.
    QueueTooSmall {
        /// CAP.MQES, zero-based.
        mqes: u32,
    },
    /// The smallest page of the controller is larger than the driver's.
    PageTooLarge {
        /// The controller's smallest page in bytes.
        min_bytes: u64,
    },
}

impl fmt::Display for CapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("CAP reads as all ones: the device does not answer"),
            Self::QueueTooSmall { mqes } => {
                write!(f, "CAP.MQES is {mqes}: a queue needs two entries at least")
            }
            Self::PageTooLarge { min_bytes } => write!(
                f,
                "CAP.MPSMIN requires pages of {min_bytes} bytes: only {PAGE_SIZE} is supported"
            ),
        }
    }
}

impl Capabilities {
    /// Decodes CAP. `least_entries`: the entries of an I/O queue if CAP.MQES is 0, for a device that
    /// has them all the same.
    pub(crate) fn decode(raw: u64, least_entries: Option<u32>) -> Result<Self, CapError> {
        // Either half has reserved bits, so neither is all ones while the device is there.
        if raw >> 32 == u64::from(u32::MAX) || raw & u64::from(u32::MAX) == u64::from(u32::MAX) {
            return Err(CapError::Gone);
        }
        let cap = Cap::from_raw(raw);
        let mqes = cap.mqes_z().cast::<u32>().get();
        let max_queue_entries = match mqes {
            0 => least_entries.ok_or(CapError::QueueTooSmall { mqes })?,
            _ => mqes + 1,
        };
        if cap.mpsmin() != 0 {
            return Err(CapError::PageTooLarge {
                min_bytes: 1 << (u64::from(PAGE_SHIFT) + cap.mpsmin().get()),
            });
        }
        let css = cap.css().cast::<u32>().get();
        Ok(Self {
            max_queue_entries,
            timeout_ms: cap.to().cast::<u32>().get().max(1) * 500,
            doorbell_stride: 4 << cap.dstrd().get(),
            command_sets: css & (1 << 6) != 0,
            selected_sets: match css {
                css if css & 1 != 0 => SelectedSets::Nvm,
                css if css & (1 << 6) != 0 => SelectedSets::All,
                css if css & (1 << 7) != 0 => SelectedSets::None,
                _ => SelectedSets::Nvm,
            },
            cmb_control: cap.cmbs() != 0,
            ready_with_media: cap.crwms() != 0,
            ready_independent: cap.crims() != 0,
        })
    }

    /// The longest wait for CSTS.RDY to be set, in milliseconds, while CC.CRIME is 0: the larger of
    /// CAP.TO and CRTO.CRWMT, which can state nine hours. Calls `crto` only if the controller has
    /// that register.
    pub(crate) fn ready_ms(&self, crto: impl FnOnce() -> CRTO) -> u32 {
        if !self.ready_with_media {
            return self.timeout_ms;
        }
        let crto = crto();
        // All ones: the device is gone.
        if crto.into_raw() == u32::MAX {
            return self.timeout_ms;
        }
        let stated = crto.crwmt().cast::<u32>().get() * 500;
        self.timeout_ms.max(stated)
    }
}

/// Offset in BAR 0 of the tail doorbell of submission queue `qid`. `stride` is in bytes.
pub(crate) const fn sq_doorbell(qid: u16, stride: usize) -> usize {
    DOORBELLS + 2 * u16_as_usize(qid) * stride
}

/// Offset in BAR 0 of the head doorbell of completion queue `qid`. `stride` is in bytes.
pub(crate) const fn cq_doorbell(qid: u16, stride: usize) -> usize {
    sq_doorbell(qid, stride) + stride
}

/// Number of queue pairs, the admin pair included, that have both doorbells in a BAR of `bar_len`
/// bytes. `stride` is in bytes.
pub(crate) fn queues_that_fit(bar_len: usize, stride: usize) -> usize {
    // The last doorbell needs its own four bytes only, not a whole stride.
    bar_len
        .checked_sub(DOORBELLS + size_of::<u32>())
        .and_then(|room| room.checked_div(stride))
        .map_or(0, |after_first| after_first.saturating_add(1) / 2)
}

#[kunit_tests(rnvme_regs)]
mod tests {
    use super::*;

    /// CAP of a controller like QEMU's: 2048 entries, 7.5 s, NVM command set.
    const PLAIN: u64 = 0x7ff | 1 << 16 | 15 << 24 | 1 << 37 | 4 << 52;

    /// `PLAIN` with other bits from `low` on.
    fn with(low: u32, bits: u32, value: u64) -> u64 {
        PLAIN & !(((1 << bits) - 1) << low) | value << low
    }

    fn decode(raw: u64) -> Result<(u32, u32, usize), CapError> {
        let caps = Capabilities::decode(raw, None)?;
        Ok((
            caps.max_queue_entries,
            caps.timeout_ms,
            caps.doorbell_stride,
        ))
    }

    #[test]
    fn plain_capabilities() {
        assert_eq!(decode(PLAIN), Ok((2048, 7500, 4)));
    }

    #[test]
    fn all_ones_means_gone() {
        assert_eq!(decode(u64::MAX), Err(CapError::Gone));
        assert_eq!(decode(PLAIN | 0xffff_ffff), Err(CapError::Gone));
        assert_eq!(decode(PLAIN | 0xffff_ffff << 32), Err(CapError::Gone));
    }

    #[test]
    fn all_zeroes_are_refused() {
        assert_eq!(decode(0), Err(CapError::QueueTooSmall { mqes: 0 }));
    }

    #[test]
    fn mqes_is_zero_based() {
        assert_eq!(
            decode(with(0, 16, 0)),
            Err(CapError::QueueTooSmall { mqes: 0 })
        );
        assert_eq!(decode(with(0, 16, 1)), Ok((2, 7500, 4)));
        assert_eq!(decode(with(0, 16, 0xffff)), Ok((65536, 7500, 4)));
        let entries = |mqes| {
            let caps = Capabilities::decode(with(0, 16, mqes), Some(64));
            caps.map(|caps| caps.max_queue_entries)
        };
        assert_eq!((entries(0), entries(1)), (Ok(64), Ok(2)));
    }

    #[test]
    fn timeout_is_never_zero() {
        assert_eq!(decode(with(24, 8, 0)), Ok((2048, 500, 4)));
        assert_eq!(decode(with(24, 8, 1)), Ok((2048, 500, 4)));
        assert_eq!(decode(with(24, 8, 0xff)), Ok((2048, 127_500, 4)));
    }

    #[test]
    fn stride_is_a_power_of_two() {
        assert_eq!(decode(with(32, 4, 1)), Ok((2048, 7500, 8)));
        assert_eq!(decode(with(32, 4, 15)), Ok((2048, 7500, 4 << 15)));
    }

    #[test]
    fn larger_pages_are_refused() {
        let error = |min_bytes| Err(CapError::PageTooLarge { min_bytes });
        assert_eq!(decode(with(48, 4, 1)), error(8192));
        assert_eq!(decode(with(48, 4, 15)), error(4096 << 15));
    }

    #[test]
    fn command_sets() -> Result {
        // CAP.CSS, what is selected, whether there is Identify data of command sets.
        for (css, selected, identified) in [
            (0, SelectedSets::Nvm, false),
            (0x01, SelectedSets::Nvm, false),
            (0x40, SelectedSets::All, true),
            (0x41, SelectedSets::Nvm, true),
            (0x80, SelectedSets::None, false),
            (0xc1, SelectedSets::Nvm, true),
        ] {
            let caps = Capabilities::decode(with(37, 8, css), None).map_err(|_| EINVAL)?;
            assert_eq!(caps.selected_sets, selected);
            assert_eq!(caps.command_sets, identified);
        }
        Ok(())
    }

    #[test]
    fn time_to_be_ready() -> Result {
        // CAP.CRMS, CAP.TO, CRTO, milliseconds.
        let cases = [
            (0, 15, 0x0000_0020, 7_500),
            (2, 15, 0x0000_0020, 7_500),
            (1, 15, 0x0000_0020, 16_000),
            (3, 15, 0x0010_0020, 16_000),
            // CRTO.CRWMT below CAP.TO, 0 included: CAP.TO counts.
            (1, 15, 0x0020_000e, 7_500),
            (1, 15, 0, 7_500),
            (1, 0, 0, 500),
            (1, 255, 0x00ff_0100, 128_000),
            (1, 15, 0x0000_0258, 300_000),
            (1, 15, 0x0000_0259, 300_500),
            (1, 15, 0x0000_ffff, 32_767_500),
            // The device is gone.
            (1, 15, u32::MAX, 7_500),
        ];
        for (crms, to, crto, ms) in cases {
            let raw = with(59, 2, crms) & !(0xff << 24) | to << 24;
            let caps = Capabilities::decode(raw, None).map_err(|_| EINVAL)?;
            let mut reads = 0;
            let ready = caps.ready_ms(|| {
                reads += 1;
                CRTO::from_raw(crto)
            });
            assert_eq!(ready, ms);
            assert_eq!(reads, crms & 1);
            assert_eq!(caps.ready_independent, crms & 2 != 0);
        }
        Ok(())
    }

    #[test]
    fn register_bits() {
        let cc = CC::zeroed()
            .with_const_iocqes::<4>()
            .with_const_iosqes::<6>()
            .with_const_shn::<1>()
            .with_const_en::<1>();
        assert_eq!(cc.into_raw(), 0x0046_4001);
        let cc = CC::zeroed().with_const_crime::<1>().with_const_shn::<2>();
        assert_eq!(cc.into_raw(), 0x0100_8000);
        let aqa = AQA::zeroed()
            .with_const_acqs_z::<31>()
            .with_const_asqs_z::<15>();
        assert_eq!(aqa.into_raw(), 0x001f_000f);
        let csts = CSTS::from_raw(0x2b);
        assert!(csts.rdy() == 1 && csts.cfs() == 1 && csts.shst() == 2);
        assert!(csts.nssro() == 0 && csts.pp() == 1);
        let crto = CRTO::from_raw(0x0123_4567);
        assert!(crto.crimt() == 0x123 && crto.crwmt() == 0x4567);
        let vs = VS::from_raw(0x0001_0403);
        assert!(vs.mjr() == 1 && vs.mnr() == 4 && vs.ter() == 3);
    }

    #[test]
    fn doorbell_offsets() {
        // Queue, stride, submission doorbell, completion doorbell.
        let cases = [
            (0, 4, 0x1000, 0x1004),
            (1, 4, 0x1008, 0x100c),
            (1, 8, 0x1010, 0x1018),
            (3, 64, 0x1180, 0x11c0),
            (65535, 4, 0x80ff8, 0x80ffc),
            (65535, 4 << 15, 0x3_fffc_1000, 0x3_fffe_1000),
        ];
        for (qid, stride, sq, cq) in cases {
            assert_eq!(sq_doorbell(qid, stride), sq);
            assert_eq!(cq_doorbell(qid, stride), cq);
        }
    }

    #[test]
    fn doorbells_lie_in_the_bar() {
        // Bytes of the BAR, stride, pairs.
        let cases = [
            (0, 4, 0),
            (0x1000, 4, 0),
            (0x1004, 4, 0),
            (0x1008, 4, 1),
            (0x2000, 4, 512),
            (0x4000, 4, 1536),
            (0x1014, 16, 1),
            (0x1033, 16, 1),
            (0x1034, 16, 2),
            (0x2000, 0x1000, 0),
            (0x2004, 0x1000, 1),
            (0x2000, 0, 0),
        ];
        for (bar, stride, pairs) in cases {
            assert_eq!(queues_that_fit(bar, stride), pairs);
        }
    }
}
