// SPDX-License-Identifier: GPL-2.0

//! The trait of admin commands; Identify, creation and deletion of I/O queues, Doorbell Buffer
//! Config.
//!
//! Base 5.

use super::{
    DataPtr,
    Sqe, //
};
use crate::{
    num::u16_as_u32,
    nvme::{
        identify::{
            IdentifyController,
            IdentifyControllerNvm,
            IdentifyNamespace,
            IdentifyNamespaceIndependent,
            IdentifyNamespaceNvm,
            NamespaceDescriptors,
            NamespaceList, //
        },
        ids::{
            Nsid,
            QueueId, //
        },
    },
};
use core::marker::PhantomData;
use kernel::prelude::*;
use zerocopy::{
    Immutable,
    KnownLayout, //
};

/// An admin command; its type names the reply (Base 5).
pub(crate) trait AdminCommand {
    /// The decoded dword 0 of the completion.
    type Reply;

    /// The opcode.
    const OPCODE: u8;

    /// What log lines show after the opcode's name, because the opcode does not tell it.
    const DETAIL: &'static str = "";

    /// The entry. Its command identifier is 0, and so is its data pointer unless the command sets
    /// its own.
    fn sqe(&self) -> Sqe;

    /// Decodes dword 0 of a successful completion.
    fn reply(&self, dw0: u32) -> Self::Reply;
}

/// A data structure that Identify returns: 4096 bytes (Base 5.17).
pub(crate) trait IdentifyData: FromBytes + Immutable + KnownLayout {
    /// Controller or Namespace Structure: the code of the data structure.
    const CNS: u8;
}

impl IdentifyData for IdentifyNamespace {
    const CNS: u8 = 0x00;
}

impl IdentifyData for IdentifyController {
    const CNS: u8 = 0x01;
}

impl IdentifyData for NamespaceList {
    const CNS: u8 = 0x02;
}

impl IdentifyData for NamespaceDescriptors {
    const CNS: u8 = 0x03;
}

impl IdentifyData for IdentifyNamespaceNvm {
    const CNS: u8 = 0x05;
}

impl IdentifyData for IdentifyControllerNvm {
    const CNS: u8 = 0x06;
}

impl IdentifyData for IdentifyNamespaceIndependent {
    const CNS: u8 = 0x08;
}

/// Identify (Base 5.17), for the data structure `D`. The admin queue adds the data pointer.
pub(crate) struct Identify<D> {
    nsid: u32,
    data: PhantomData<D>,
}

impl<D: IdentifyData> Identify<D> {
    /// CNS as it is in CDW10.
    pub(super) const SELECTOR: u32 = {
        // CAST: u8 to u32 widens; u32::from is no const fn.
        D::CNS as u32
    };

    const fn new(nsid: u32) -> Self {
        Self {
            nsid,
            data: PhantomData,
        }
    }
}

impl Identify<IdentifyController> {
    /// The controller (Base 5.17.2.1).
    pub(crate) const fn controller() -> Self {
        Self::new(0)
    }
}

impl Identify<IdentifyNamespace> {
    /// Namespace `nsid` (NVM 4.1.5.1).
    pub(crate) const fn namespace(nsid: Nsid) -> Self {
        Self::new(nsid.get())
    }
}

impl Identify<NamespaceList> {
    /// The first 1024 active namespaces above `after` (Base 5.17.2.2). The first list needs `after`
    /// 0.
    pub(crate) const fn active_namespaces(after: u32) -> Self {
        Self::new(after)
    }
}

impl Identify<NamespaceDescriptors> {
    /// The identification descriptors of namespace `nsid` (Base 5.17.2.3).
    pub(crate) const fn descriptors(nsid: Nsid) -> Self {
        Self::new(nsid.get())
    }
}

impl Identify<IdentifyControllerNvm> {
    /// The controller's data for the NVM command set (NVM 4.1.5.4), whose identifier (CSI) is 0, so
    /// CDW11 stays 0.
    pub(crate) const fn controller_nvm() -> Self {
        Self::new(0)
    }
}

impl Identify<IdentifyNamespaceNvm> {
    /// The data of namespace `nsid` for the NVM command set (NVM 4.1.5.3), whose identifier (CSI)
    /// is 0.
    pub(crate) const fn namespace_nvm(nsid: Nsid) -> Self {
        Self::new(nsid.get())
    }
}

impl Identify<IdentifyNamespaceIndependent> {
    /// Namespace `nsid` independent of its command set (Base 5.17.2.8).
    pub(crate) const fn namespace_independent(nsid: Nsid) -> Self {
        Self::new(nsid.get())
    }
}

impl<D: IdentifyData> AdminCommand for Identify<D> {
    type Reply = ();
    const OPCODE: u8 = 0x06;

    fn sqe(&self) -> Sqe {
        Sqe {
            cdw10: Self::SELECTOR,
            ..Sqe::new(Self::OPCODE, self.nsid)
        }
    }

    fn reply(&self, _dw0: u32) {}
}

/// CDW10 of the commands that create a queue: its size, zero-based, and its identifier.
const fn queue_dword(id: QueueId, entries: u16) -> u32 {
    (u16_as_u32(entries.saturating_sub(1)) << 16) | u16_as_u32(id.raw())
}

/// Create I/O Completion Queue (Base 5.4), physically contiguous.
pub(crate) struct CreateIoCq {
    /// The queue to create.
    pub(crate) id: QueueId,
    /// Number of entries, 2 or more.
    pub(crate) entries: u16,
    /// Bus address of the ring, page-aligned.
    pub(crate) ring: u64,
    /// The interrupt vector; `None` for a polled queue.
    pub(crate) vector: Option<u16>,
}

impl AdminCommand for CreateIoCq {
    type Reply = ();
    const OPCODE: u8 = 0x05;

    fn sqe(&self) -> Sqe {
        const CONTIGUOUS: u32 = 1 << 0;
        const INTERRUPTS: u32 = 1 << 1;
        Sqe {
            dptr: DataPtr {
                prp1: self.ring,
                prp2: 0,
            },
            cdw10: queue_dword(self.id, self.entries),
            cdw11: CONTIGUOUS
                | self
                    .vector
                    .map_or(0, |vector| INTERRUPTS | (u32::from(vector) << 16)),
            ..Sqe::new(Self::OPCODE, 0)
        }
    }

    fn reply(&self, _dw0: u32) {}
}

/// Create I/O Submission Queue (Base 5.5), physically contiguous, of urgent priority (only weighted
/// arbitration uses priorities).
pub(crate) struct CreateIoSq {
    /// The queue to create.
    pub(crate) id: QueueId,
    /// Number of entries, 2 or more.
    pub(crate) entries: u16,
    /// Bus address of the ring, page-aligned.
    pub(crate) ring: u64,
    /// The completion queue that the submission queue uses. It exists already.
    pub(crate) cq: QueueId,
    /// Whether the priority is medium rather than urgent (QPRIO); arbitration that has no
    /// priorities ignores it.
    pub(crate) medium: bool,
}

impl AdminCommand for CreateIoSq {
    type Reply = ();
    const OPCODE: u8 = 0x01;

    fn sqe(&self) -> Sqe {
        const CONTIGUOUS: u32 = 1 << 0;
        const MEDIUM: u32 = 2 << 1;
        Sqe {
            dptr: DataPtr {
                prp1: self.ring,
                prp2: 0,
            },
            cdw10: queue_dword(self.id, self.entries),
            cdw11: CONTIGUOUS
                | if self.medium { MEDIUM } else { 0 }
                | (u32::from(self.cq.raw()) << 16),
            ..Sqe::new(Self::OPCODE, 0)
        }
    }

    fn reply(&self, _dw0: u32) {}
}

/// Delete I/O Submission Queue (Base 5.7).
pub(crate) struct DeleteIoSq(pub(crate) QueueId);

impl AdminCommand for DeleteIoSq {
    type Reply = ();
    const OPCODE: u8 = 0x00;

    fn sqe(&self) -> Sqe {
        Sqe {
            cdw10: self.0.raw().into(),
            ..Sqe::new(Self::OPCODE, 0)
        }
    }

    fn reply(&self, _dw0: u32) {}
}

/// Delete I/O Completion Queue (Base 5.6), after the submission queues that use it.
pub(crate) struct DeleteIoCq(pub(crate) QueueId);

impl AdminCommand for DeleteIoCq {
    type Reply = ();
    const OPCODE: u8 = 0x04;

    fn sqe(&self) -> Sqe {
        Sqe {
            cdw10: self.0.raw().into(),
            ..Sqe::new(Self::OPCODE, 0)
        }
    }

    fn reply(&self, _dw0: u32) {}
}

/// Doorbell Buffer Config (Base 5.8): until the next controller reset, the host writes the
/// doorbells of I/O queues to memory, and to the registers only where an event index requires it.
pub(crate) struct DoorbellBufferConfig {
    /// Bus address of the page of shadow doorbells.
    pub(crate) doorbells: u64,
    /// Bus address of the page of event indices.
    pub(crate) events: u64,
}

impl AdminCommand for DoorbellBufferConfig {
    type Reply = ();
    const OPCODE: u8 = 0x7c;

    fn sqe(&self) -> Sqe {
        Sqe {
            dptr: DataPtr {
                prp1: self.doorbells,
                prp2: self.events,
            },
            ..Sqe::new(Self::OPCODE, 0)
        }
    }

    fn reply(&self, _dw0: u32) {}
}

#[kunit_tests(rnvme_admin_command)]
mod tests {
    use super::{
        super::tests::is,
        *, //
    };

    const RING: u64 = 0x1_2345_6000;

    #[test]
    fn identify_images() {
        assert!(is(Identify::controller().sqe(), &[(0, &[6]), (40, &[1])]));
        let nsid = Nsid::new(0x102).unwrap();
        assert!(is(
            Identify::namespace(nsid).sqe(),
            &[(0, &[6]), (4, &[2, 1])]
        ));
        assert!(is(
            Identify::active_namespaces(0).sqe(),
            &[(0, &[6]), (40, &[2])]
        ));
        assert!(is(
            Identify::active_namespaces(0x400).sqe(),
            &[(0, &[6]), (5, &[4]), (40, &[2])]
        ));
        assert!(is(
            Identify::descriptors(nsid).sqe(),
            &[(0, &[6]), (4, &[2, 1]), (40, &[3])]
        ));
        assert!(is(
            Identify::controller_nvm().sqe(),
            &[(0, &[6]), (40, &[6])]
        ));
        assert!(is(
            Identify::namespace_nvm(nsid).sqe(),
            &[(0, &[6]), (4, &[2, 1]), (40, &[5])]
        ));
    }

    #[test]
    fn create_io_cq_image() {
        let mut command = CreateIoCq {
            id: QueueId::new(3),
            entries: 1024,
            ring: RING,
            vector: Some(0x0102),
        };
        let ring: (usize, &[u8]) = (24, &[0x00, 0x60, 0x45, 0x23, 0x01]);
        let size: (usize, &[u8]) = (40, &[3, 0, 0xff, 3]);
        assert!(is(
            command.sqe(),
            &[(0, &[5]), ring, size, (44, &[3, 0, 2, 1])]
        ));
        // Vector 0 is valid; a polled queue has no vector.
        command.vector = Some(0);
        assert!(is(command.sqe(), &[(0, &[5]), ring, size, (44, &[3])]));
        command.vector = None;
        assert!(is(command.sqe(), &[(0, &[5]), ring, size, (44, &[1])]));
    }

    #[test]
    fn create_io_sq_image() {
        let command = CreateIoSq {
            id: QueueId::new(0x0405),
            entries: 2,
            ring: RING,
            cq: QueueId::new(0x0607),
            medium: false,
        };
        let fields: &[(usize, &[u8])] = &[
            (0, &[1]),
            (24, &[0x00, 0x60, 0x45, 0x23, 0x01]),
            (40, &[5, 4, 1, 0]),
            (44, &[1, 0, 7, 6]),
        ];
        assert!(is(command.sqe(), fields));
        let medium = CreateIoSq {
            medium: true,
            ..command
        };
        assert_eq!(medium.sqe().cdw11, command.sqe().cdw11 | 4);
    }

    #[test]
    fn delete_queue_images() {
        let id = QueueId::new(0x0102);
        assert!(is(DeleteIoSq(id).sqe(), &[(40, &[2, 1])]));
        assert!(is(DeleteIoCq(id).sqe(), &[(0, &[4]), (40, &[2, 1])]));
    }

    #[test]
    fn doorbell_buffer_config_image() {
        let command = DoorbellBufferConfig {
            doorbells: 0x1_2345_6000,
            events: 0x7000,
        };
        let fields: &[(usize, &[u8])] = &[
            (0, &[0x7c]),
            (24, &[0x00, 0x60, 0x45, 0x23, 0x01]),
            (32, &[0x00, 0x70]),
        ];
        assert!(is(command.sqe(), fields));
    }
}
