// SPDX-License-Identifier: GPL-2.0

//! What the NVMe specification says about registers, commands, completions and data structures.
//!
//! Facts only: no device, no memory, no policy. Names are the specification's. Sections are those
//! of NVMe Base 2.0 ("Base"), the NVM Command Set 1.0 ("NVM") and, where they differ, NVMe 1.4.
//!
//! Two conventions hold for the whole layer. Multi-byte fields are little-endian, and so is the CPU
//! (asserted below), so no field needs a conversion. The names of zero-based counts end in `_z`.

// Identifiers and counts: CID, QID, NSID, LBA.
mod ids;
// Space-padded ASCII.
mod text;
// Registers of BAR 0.
pub(crate) mod regs;
// Where the controller memory buffer is.
pub(crate) mod cmb;
// Asynchronous events.
mod event;
// Status codes: name and class.
mod status;
// The completion queue entry.
mod completion;
// Indices and phase tag of a ring.
mod ring;
// Identify data structures.
pub(crate) mod identify;
// Log pages.
mod log;
// The submission queue entry and every command.
mod command;

pub(crate) use self::{
    cmb::{
        CmbLayout,
        CMBLOC,
        CMBSTS,
        CMBSZ, //
    },
    command::{
        opcode_name,
        Abort,
        AdminCommand,
        AdminFunction,
        AsyncEventRequest,
        CreateIoCq,
        CreateIoSq,
        Data,
        DataPtr,
        DeleteIoCq,
        DeleteIoSq,
        Direction,
        DisableCoalescing,
        DoorbellBufferConfig,
        Feature,
        GetLogPage,
        Identify,
        IdentifyData,
        KeepAlive,
        LogPage,
        Range,
        RwControl,
        SetAsyncEvents,
        SetAutonomousPower,
        SetHostBehavior,
        SetInterruptCoalescing,
        SetKeepAliveTimer,
        SetNumberOfQueues,
        SetTimestamp,
        SetWriteCache,
        Sqe,
        ZeroesControl, //
    },
    completion::{
        Cqe,
        CqeEnd,
        Status, //
    },
    event::{
        AsyncEvent,
        EventKind,
        Events,
        Notice, //
    },
    identify::{
        ApstTable,
        CommandSet,
        ControllerInfo,
        IdentifyController,
        IdentifyControllerNvm,
        IdentifyNamespace,
        IdentifyNamespaceIndependent,
        IdentifyNamespaceNvm,
        LargeHints,
        NamespaceAttributes,
        NamespaceDescriptors,
        NamespaceError,
        NamespaceHints,
        NamespaceInfo,
        NamespaceList,
        NotAscending,
        NvmLimits,
        PowerState,
        PowerStates,
        RawPowerState,
        RetryDelays,
        SameNamespace,
        Subsystem,
        UniqueIds,
        WrongLength, //
    },
    ids::{
        BlockCount,
        CommandId,
        Lba,
        Nsid,
        QueueId,
        RangeCount, //
    },
    log::{
        ChangedNamespaces,
        ErrorLog,
        FirmwareSlots,
        Health,
        SmartLog,
        Warnings, //
    },
    regs::{
        CapError,
        Capabilities,
        SelectedSets,
        AQA,
        CC,
        CRTO,
        CSTS,
        PAGE_SHIFT,
        PAGE_SIZE,
        SHN_NORMAL,
        VS, //
    },
    ring::{
        needs_event,
        Head,
        Tail, //
    },
    status::Outcome,
    text::Text, //
};

const _: () = assert!(
    cfg!(target_endian = "little"),
    "rnvme needs a little-endian CPU: wire types are used without conversion"
);
