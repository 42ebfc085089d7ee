// SPDX-License-Identifier: GPL-2.0

//! The submission queue entry, and every command that the driver sends.
//!
//! The constructor or the type of a command sets its opcode, so no command lacks one. Commands of
//! the NVM command set are constructors of [`Sqe`], made for the hot path. Admin commands are types
//! ([`AdminCommand`]), and each type names its reply.
//!
//! Base 3.3.3.1 (entry), 7.1 (Flush); NVM 3.2 (Read, Write; in `ranges.rs` Write Zeroes, Dataset
//! Management).

// Identify, queues, shadow doorbells.
mod admin;
// Abort, events, keep alive.
mod control;
// Set Features.
mod features;
// Get Log Page.
mod log_page;
// Optional functions of a controller.
mod function;
// Dataset Management, Write Zeroes.
mod ranges;

pub(crate) use self::{
    admin::{
        AdminCommand,
        CreateIoCq,
        CreateIoSq,
        DeleteIoCq,
        DeleteIoSq,
        DoorbellBufferConfig,
        Identify,
        IdentifyData, //
    },
    control::{
        Abort,
        AsyncEventRequest,
        KeepAlive, //
    },
    features::{
        DisableCoalescing,
        Feature,
        SetAsyncEvents,
        SetAutonomousPower,
        SetHostBehavior,
        SetInterruptCoalescing,
        SetKeepAliveTimer,
        SetNumberOfQueues,
        SetTimestamp,
        SetWriteCache, //
    },
    function::AdminFunction,
    log_page::{
        GetLogPage,
        LogPage, //
    },
    ranges::{
        Range,
        ZeroesControl, //
    },
};

use super::{
    identify::IdentifyController,
    ids::{
        BlockCount,
        CommandId,
        Lba,
        Nsid,
        QueueId, //
    },
    log::SmartLog, //
};

use core::mem::offset_of;
use kernel::prelude::*;

/// The data pointer of a command (DPTR): CDW6 to CDW9.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Zeroable)]
pub(crate) struct DataPtr {
    /// PRP Entry 1: a dword-aligned bus address.
    pub(crate) prp1: u64,
    /// PRP Entry 2: the second page, a PRP list, or 0.
    pub(crate) prp2: u64,
}

/// The data pointer of a command and its kind, PRP or SGL: PSDT of CDW0 (Base 3.3.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Data {
    ptr: DataPtr,
    flags: u8,
}

impl Data {
    /// Physical Region Pages, or no data.
    #[inline(always)]
    pub(crate) const fn prp(ptr: DataPtr) -> Self {
        Self { ptr, flags: 0 }
    }

    /// The first descriptor of a Scatter Gather List.
    #[inline(always)]
    pub(crate) const fn sgl(ptr: DataPtr) -> Self {
        Self { ptr, flags: 1 << 6 }
    }
}

/// Options of Read and Write: CDW12 and CDW13 (NVM 3.2.4, 3.2.6).
#[derive(Clone, Copy, Default)]
pub(crate) struct RwControl {
    cdw12: u32,
    cdw13: u32,
}

impl RwControl {
    /// Access frequency (DSM): a speculative read, as part of a prefetch operation.
    pub(crate) const PREFETCH: u32 = 7;
    /// Force Unit Access, in the upper half of CDW12.
    pub(crate) const FUA: u32 = 1 << 14;
    /// Limited Retry, in the upper half of CDW12.
    pub(crate) const LIMITED_RETRY: u32 = 1 << 15;

    /// `fua`: the command completes once the data is on non-volatile media. `limited_retry`: the
    /// controller makes fewer attempts before it fails the command. `prefetch`: the read is
    /// speculative.
    pub(crate) const fn new(fua: bool, limited_retry: bool, prefetch: bool) -> Self {
        let fua = if fua { Self::FUA } else { 0 };
        let limited_retry = if limited_retry {
            Self::LIMITED_RETRY
        } else {
            0
        };
        Self {
            cdw12: (fua | limited_retry) << 16,
            cdw13: if prefetch { Self::PREFETCH } else { 0 },
        }
    }
}

/// Direction of the data transfer: bits 1:0 of an opcode (Base 2.0, 3.3.3.1). The type and the
/// values are those of Linux's `enum dma_data_direction`, so a conversion costs no instruction.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Direction {
    /// To the controller.
    Write = 1,
    /// To the host.
    Read = 2,
}

/// A submission queue entry: 64 bytes.
#[derive(Clone, Copy, Zeroable)]
#[repr(C)]
pub(crate) struct Sqe {
    opcode: u8,
    /// Fused operation and whether the data pointer is PRP (00b) or SGL.
    flags: u8,
    cid: u16,
    nsid: u32,
    cdw2: u32,
    cdw3: u32,
    mptr: u64,
    dptr: DataPtr,
    cdw10: u32,
    cdw11: u32,
    cdw12: u32,
    cdw13: u32,
    cdw14: u32,
    cdw15: u32,
}

const _: () = {
    assert!(size_of::<Sqe>() == 64);
    assert!(offset_of!(Sqe, opcode) == 0);
    assert!(offset_of!(Sqe, cid) == 2);
    assert!(offset_of!(Sqe, nsid) == 4);
    assert!(offset_of!(Sqe, mptr) == 16);
    assert!(offset_of!(Sqe, dptr) + offset_of!(DataPtr, prp1) == 24);
    assert!(offset_of!(Sqe, dptr) + offset_of!(DataPtr, prp2) == 32);
    assert!(offset_of!(Sqe, cdw10) == 40);
    assert!(offset_of!(Sqe, cdw15) == 60);
};

/// Two dwords, as they lie in memory, in one word.
#[inline(always)]
fn pair(low: u32, high: u32) -> u64 {
    u64::from(low) | (u64::from(high) << 32)
}

impl Sqe {
    /// Opcode of Flush.
    pub(crate) const OPCODE_FLUSH: u8 = 0x00;
    /// Opcode of Write.
    pub(crate) const OPCODE_WRITE: u8 = Direction::Write as u8;
    /// Opcode of Read.
    pub(crate) const OPCODE_READ: u8 = Direction::Read as u8;

    #[inline(always)]
    const fn new(opcode: u8, nsid: u32) -> Self {
        Self {
            opcode,
            flags: 0,
            cid: 0,
            nsid,
            cdw2: 0,
            cdw3: 0,
            mptr: 0,
            dptr: DataPtr { prp1: 0, prp2: 0 },
            cdw10: 0,
            cdw11: 0,
            cdw12: 0,
            cdw13: 0,
            cdw14: 0,
            cdw15: 0,
        }
    }

    /// Read or Write, as `direction` says, of `blocks` from `lba` on, from or to the memory of
    /// `data`. The opcode is the direction (NVM 3.2.4, 3.2.6).
    #[inline(always)]
    pub(crate) fn transfer(
        direction: Direction,
        nsid: Nsid,
        lba: Lba,
        blocks: BlockCount,
        control: RwControl,
        data: Data,
    ) -> Self {
        // CAST: the two halves of the address.
        Self {
            dptr: data.ptr,
            flags: data.flags,
            cdw10: lba.get() as u32,
            cdw11: (lba.get() >> 32) as u32,
            cdw12: u32::from(blocks.zero_based()) | control.cdw12,
            cdw13: control.cdw13,
            // CAST: 1 or 2.
            ..Self::new(direction as u8, nsid.get())
        }
    }

    /// Flush the volatile write cache of a namespace (Base 7.1).
    #[inline(always)]
    pub(crate) const fn flush(nsid: Nsid) -> Self {
        Self::new(Self::OPCODE_FLUSH, nsid.get())
    }

    /// The same command with its identifier.
    #[inline(always)]
    pub(crate) const fn with_cid(mut self, cid: CommandId) -> Self {
        self.cid = cid.raw();
        self
    }

    /// The command identifier in `first`, the first eight bytes of an entry as the ring stores it.
    pub(crate) const fn cid_of(first: u64) -> CommandId {
        // CAST: bytes 2 and 3.
        CommandId::from_raw((first >> 16) as u16)
    }

    /// The opcode in `first`: see [`Self::cid_of`].
    pub(crate) const fn opcode_of(first: u64) -> u8 {
        // CAST: byte 0.
        first as u8
    }

    /// The same command with its data.
    #[inline(always)]
    pub(crate) const fn with_data(mut self, data: Data) -> Self {
        self.dptr = data.ptr;
        self.flags = data.flags;
        self
    }

    /// The entry as the ring stores it: eight words, which the compiler can keep in registers.
    #[inline(always)]
    pub(crate) fn words(&self) -> [u64; 8] {
        let cdw0 =
            u32::from(self.opcode) | (u32::from(self.flags) << 8) | (u32::from(self.cid) << 16);
        [
            pair(cdw0, self.nsid),
            pair(self.cdw2, self.cdw3),
            self.mptr,
            self.dptr.prp1,
            self.dptr.prp2,
            pair(self.cdw10, self.cdw11),
            pair(self.cdw12, self.cdw13),
            pair(self.cdw14, self.cdw15),
        ]
    }
}

/// The name of `opcode` in the command set of queue `queue`, for log lines.
pub(crate) fn opcode_name(queue: QueueId, opcode: u8) -> &'static str {
    if queue == QueueId::ADMIN {
        return match opcode {
            DeleteIoSq::OPCODE => "Delete I/O Submission Queue",
            CreateIoSq::OPCODE => "Create I/O Submission Queue",
            GetLogPage::<SmartLog>::OPCODE => "Get Log Page",
            DeleteIoCq::OPCODE => "Delete I/O Completion Queue",
            CreateIoCq::OPCODE => "Create I/O Completion Queue",
            DoorbellBufferConfig::OPCODE => "Doorbell Buffer Config",
            Identify::<IdentifyController>::OPCODE => "Identify",
            Abort::OPCODE => "Abort",
            SetNumberOfQueues::OPCODE => "Set Features",
            AsyncEventRequest::OPCODE => "Asynchronous Event Request",
            KeepAlive::OPCODE => "Keep Alive",
            _ => "unknown admin command",
        };
    }
    match opcode {
        Sqe::OPCODE_FLUSH => "Flush",
        Sqe::OPCODE_WRITE => "Write",
        Sqe::OPCODE_READ => "Read",
        Sqe::OPCODE_WRITE_ZEROES => "Write Zeroes",
        Sqe::OPCODE_DATASET_MANAGEMENT => "Dataset Management",
        _ => "unknown I/O command",
    }
}

#[kunit_tests(rnvme_command)]
mod tests {
    use super::*;

    /// Whether the bytes of `sqe` are zero but for `fields`, each an offset and its bytes.
    pub(super) fn is(sqe: Sqe, fields: &[(usize, &[u8])]) -> bool {
        let mut image = [0u8; 64];
        for (offset, bytes) in fields {
            image[*offset..*offset + bytes.len()].copy_from_slice(bytes);
        }
        let words = sqe.words();
        (0..8).all(|i| words[i].to_le_bytes() == image[8 * i..8 * i + 8])
    }

    fn nsid(raw: u32) -> Nsid {
        Nsid::new(raw).unwrap()
    }

    fn blocks(count: u32) -> BlockCount {
        BlockCount::new(count).unwrap()
    }

    const DATA: Data = Data::prp(DataPtr {
        prp1: 0x1122_3344_5566_7000,
        prp2: 0x8899_aabb_ccdd_e000,
    });

    #[test]
    fn read_image() {
        let lba = Lba::new(0x0102_0304_0506_0708);
        let sqe = Sqe::transfer(
            Direction::Read,
            nsid(7),
            lba,
            blocks(8),
            RwControl::default(),
            DATA,
        );
        let fields: &[(usize, &[u8])] = &[
            (0, &[0x02]),
            (4, &[7]),
            (24, &[0x00, 0x70, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]),
            (32, &[0x00, 0xe0, 0xdd, 0xcc, 0xbb, 0xaa, 0x99, 0x88]),
            (40, &[8, 7, 6, 5, 4, 3, 2, 1]),
            (48, &[7, 0, 0, 0]),
        ];
        assert!(is(sqe, fields));
    }

    #[test]
    fn sgl_image() {
        let data = Data::sgl(DataPtr {
            prp1: 0x1000,
            prp2: 0x3000_0000_0000_0020,
        });
        let sqe = Sqe::transfer(
            Direction::Read,
            nsid(1),
            Lba::new(0),
            blocks(1),
            RwControl::default(),
            data,
        );
        let fields: &[(usize, &[u8])] = &[
            (0, &[0x02, 0x40]),
            (4, &[1]),
            (25, &[0x10]),
            (32, &[0x20]),
            (39, &[0x30]),
        ];
        assert!(is(sqe, fields));
    }

    #[test]
    fn write_image() {
        let data = Data::prp(DataPtr {
            prp1: 0x200,
            prp2: 0,
        });
        let control = RwControl::default();
        let sqe = Sqe::transfer(
            Direction::Write,
            nsid(0xffff_fffe),
            Lba::new(1),
            blocks(1),
            control,
            data,
        );
        assert!(is(
            sqe,
            &[
                (0, &[0x01]),
                (4, &[0xfe, 0xff, 0xff, 0xff]),
                (25, &[2]),
                (40, &[1])
            ]
        ));
    }

    #[test]
    fn transfer_flags_and_limits() {
        // Force unit access, limited retry, prefetch, blocks, CDW12 and CDW13.
        let cases: [(bool, bool, bool, u32, [u8; 8]); 7] = [
            (false, false, false, 1, [0; 8]),
            (true, false, false, 1, [0, 0, 0, 0x40, 0, 0, 0, 0]),
            (false, true, false, 2, [1, 0, 0, 0x80, 0, 0, 0, 0]),
            (false, false, true, 3, [2, 0, 0, 0, 7, 0, 0, 0]),
            (false, true, true, 8, [7, 0, 0, 0x80, 7, 0, 0, 0]),
            (true, true, true, 257, [0, 1, 0, 0xc0, 7, 0, 0, 0]),
            (false, false, false, 65536, [0xff, 0xff, 0, 0, 0, 0, 0, 0]),
        ];
        for (fua, limited_retry, prefetch, count, cdw12) in cases {
            let control = RwControl::new(fua, limited_retry, prefetch);
            let (at, count) = (Lba::new(0), blocks(count));
            let write = Sqe::transfer(
                Direction::Write,
                nsid(1),
                at,
                count,
                control,
                Data::default(),
            );
            assert!(is(write, &[(0, &[1]), (4, &[1]), (48, &cdw12)]));
            let read = Sqe::transfer(
                Direction::Read,
                nsid(1),
                at,
                count,
                control,
                Data::default(),
            );
            assert!(is(read, &[(0, &[2]), (4, &[1]), (48, &cdw12)]));
        }
    }

    #[test]
    fn flush_image() {
        assert!(is(Sqe::flush(nsid(0x0a0b)), &[(4, &[0x0b, 0x0a])]));
    }

    #[test]
    fn identifier_and_data_are_added_in_place() {
        let sqe = Sqe::flush(nsid(1))
            .with_data(DATA)
            .with_cid(CommandId::new(0xabc, 5))
            .with_data(Data::prp(DataPtr { prp1: 1, prp2: 2 }));
        let fields: &[(usize, &[u8])] = &[(2, &[0xbc, 0x5a]), (4, &[1]), (24, &[1]), (32, &[2])];
        assert!(is(sqe, fields));
        assert_eq!(Sqe::cid_of(sqe.words()[0]).raw(), 0x5abc);
    }

    #[test]
    fn names_depend_on_the_queue() {
        let io = QueueId::new(1);
        assert_eq!(opcode_name(io, 0), "Flush");
        assert_eq!(opcode_name(io, 1), "Write");
        assert_eq!(opcode_name(io, 2), "Read");
        assert_eq!(opcode_name(io, 8), "Write Zeroes");
        assert_eq!(opcode_name(io, 9), "Dataset Management");
        assert_eq!(opcode_name(io, 6), "unknown I/O command");
        assert_eq!(opcode_name(QueueId::ADMIN, 6), "Identify");
        assert_eq!(opcode_name(QueueId::ADMIN, 9), "Set Features");
        assert_eq!(opcode_name(QueueId::ADMIN, 2), "Get Log Page");
        assert_eq!(opcode_name(QueueId::ADMIN, 8), "Abort");
        assert_eq!(
            opcode_name(QueueId::ADMIN, 0x0c),
            "Asynchronous Event Request"
        );
        assert_eq!(opcode_name(QueueId::ADMIN, 0x18), "Keep Alive");
        assert_eq!(opcode_name(QueueId::ADMIN, 3), "unknown admin command");
    }
}
