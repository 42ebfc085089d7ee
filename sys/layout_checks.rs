// SPDX-License-Identifier: GPL-2.0

//! The kernel's own `linux/nvme.h` as the oracle of `nvme.rs` and the files below `nvme/`: the
//! compiler asserts that what both define is equal.

use super::ffi;
use crate::nvme::{
    cmb,
    regs,
    Abort,
    AdminCommand,
    ApstTable,
    AsyncEvent,
    AsyncEventRequest,
    ChangedNamespaces,
    CommandSet,
    Cqe,
    CreateIoCq,
    CreateIoSq,
    DeleteIoCq,
    DeleteIoSq,
    DisableCoalescing,
    ErrorLog,
    Events,
    Feature,
    FirmwareSlots,
    GetLogPage,
    Identify,
    IdentifyController,
    IdentifyControllerNvm,
    IdentifyData,
    IdentifyNamespace,
    IdentifyNamespaceIndependent,
    IdentifyNamespaceNvm,
    KeepAlive,
    LogPage,
    NamespaceDescriptors,
    NamespaceList,
    PowerState,
    Range,
    RangeCount,
    RawPowerState,
    RwControl,
    SetAsyncEvents,
    SetAutonomousPower,
    SetHostBehavior,
    SetInterruptCoalescing,
    SetKeepAliveTimer,
    SetNumberOfQueues,
    SetTimestamp,
    SetWriteCache,
    SmartLog,
    Sqe,
    Status,
    Warnings,
    AQA,
    CC,
    CRTO,
    CSTS,
    VS, //
};
use core::mem::offset_of;
use kernel::io::register::Register;

/// Asserts that the fields of our struct have the offsets of the fields of the same names in the
/// kernel's struct.
macro_rules! same_offsets {
    ($ours:ident => $kernels:ident: $($field:ident),* $(,)?) => {
        const _: () = {
            $(assert!(
                offset_of!($ours, $field) == offset_of!(ffi::$kernels, $field),
                stringify!($field)
            );)*
        };
    };
}

/// Asserts that a number of ours (of any width) equals the kernel's.
macro_rules! same {
    ($($ours:expr => $kernels:ident),* $(,)?) => {
        // CAST: the comparison uses the widest type; all of the numbers are small and not negative.
        const _: () = { $(assert!($ours as u64 == ffi::$kernels as u64, stringify!($kernels));)* };
    };
}

const _: () = {
    assert!(size_of::<Sqe>() == size_of::<ffi::nvme_command>());
    assert!(size_of::<Cqe>() == size_of::<ffi::nvme_completion>());
    assert!(size_of::<IdentifyController>() == size_of::<ffi::nvme_id_ctrl>());
    assert!(size_of::<IdentifyControllerNvm>() == size_of::<ffi::nvme_id_ctrl_nvm>());
    assert!(Range::WORDS * size_of::<u64>() == size_of::<ffi::nvme_dsm_range>());
    assert!(size_of::<IdentifyNamespace>() == size_of::<ffi::nvme_id_ns>());
    assert!(size_of::<IdentifyNamespaceNvm>() == size_of::<ffi::nvme_id_ns_nvm>());
    assert!(size_of::<IdentifyNamespaceIndependent>() == size_of::<ffi::nvme_id_ns_cs_indep>());
    assert!(offset_of!(IdentifyNamespace, nsattr) == offset_of!(ffi::nvme_id_ns, nsattr));
    assert!(SetHostBehavior::DATA.len() == size_of::<ffi::nvme_feat_host_behavior>());
    assert!(offset_of!(IdentifyController, crdt) == offset_of!(ffi::nvme_id_ctrl, crdt1));
    assert!(ApstTable::LEN == size_of::<ffi::nvme_feat_auto_pst>());
    assert!(size_of::<RawPowerState>() == size_of::<ffi::nvme_id_power_state>());
    assert!(size_of::<SmartLog>() == size_of::<ffi::nvme_smart_log>());
    assert!(size_of::<FirmwareSlots>() == size_of::<ffi::nvme_fw_slot_info_log>());
};

same_offsets! {
    SmartLog => nvme_smart_log:
    critical_warning, temperature, avail_spare, spare_thresh, percent_used, data_units_read,
    data_units_written, power_cycles, power_on_hours, unsafe_shutdowns, media_errors,
    num_err_log_entries,
}

same_offsets! {
    IdentifyController => nvme_id_ctrl:
    vid, ssvid, sn, mn, fr, cmic, mdts, cntlid, cntrltype, ver, rtd3r, rtd3e, oaes, ctratt, oacs,
    acl, aerl, frmw, lpa, elpe, npss, apsta, mtfa, kas, sqes, cqes, nn, oncs, vwc, sgls, subnqn, psd,
}

same_offsets! {
    RawPowerState => nvme_id_power_state: max_power, flags, entry_lat, exit_lat,
}

same_offsets!(IdentifyNamespaceIndependent => nvme_id_ns_cs_indep: nsfeat, nsattr, nstat);

same_offsets!(FirmwareSlots => nvme_fw_slot_info_log: afi, frs);

same! {
    Sqe::OPCODE_FLUSH => nvme_opcode_nvme_cmd_flush,
    Sqe::OPCODE_WRITE => nvme_opcode_nvme_cmd_write,
    Sqe::OPCODE_READ => nvme_opcode_nvme_cmd_read,
    Sqe::OPCODE_WRITE_ZEROES => nvme_opcode_nvme_cmd_write_zeroes,
    Sqe::OPCODE_DATASET_MANAGEMENT => nvme_opcode_nvme_cmd_dsm,
    RwControl::FUA => NVME_RW_FUA,
    RwControl::LIMITED_RETRY => NVME_RW_LR,
    RwControl::PREFETCH => NVME_RW_DSM_FREQ_PREFETCH,
    Sqe::DSM_DEALLOCATE => NVME_DSMGMT_AD,
    Sqe::ZEROES_DEALLOCATE >> 16 => NVME_WZ_DEAC,
    RangeCount::MAX => NVME_DSM_MAX_RANGES,
    NamespaceDescriptors::EUI64 => NVME_NIDT_EUI64,
    NamespaceDescriptors::NGUID => NVME_NIDT_NGUID,
    NamespaceDescriptors::UUID => NVME_NIDT_UUID,
    NamespaceDescriptors::COMMAND_SET => NVME_NIDT_CSI,
    CommandSet::NVM.0 => NVME_CSI_NVM,
    IdentifyNamespaceIndependent::CNS => NVME_ID_CNS_NS_CS_INDEP,
    IdentifyNamespaceIndependent::ROTATIONAL => NVME_NS_ROTATIONAL,
    IdentifyNamespaceIndependent::NO_WRITE_CACHE => NVME_NS_VWC_NOT_PRESENT,
    IdentifyNamespaceIndependent::WRITE_PROTECTED => NVME_NS_ATTR_RO,
    IdentifyNamespaceIndependent::READY => NVME_NSTAT_NRDY,
    DeleteIoSq::OPCODE => nvme_admin_opcode_nvme_admin_delete_sq,
    CreateIoSq::OPCODE => nvme_admin_opcode_nvme_admin_create_sq,
    DeleteIoCq::OPCODE => nvme_admin_opcode_nvme_admin_delete_cq,
    CreateIoCq::OPCODE => nvme_admin_opcode_nvme_admin_create_cq,
    Identify::<IdentifyController>::OPCODE => nvme_admin_opcode_nvme_admin_identify,
    SetNumberOfQueues::OPCODE => nvme_admin_opcode_nvme_admin_set_features,
    PowerState::SMALL_UNITS => NVME_PS_FLAGS_MAX_POWER_SCALE,
    PowerState::NON_OPERATIONAL => NVME_PS_FLAGS_NON_OP_STATE,
    Abort::OPCODE => nvme_admin_opcode_nvme_admin_abort_cmd,
    AsyncEventRequest::OPCODE => nvme_admin_opcode_nvme_admin_async_event,
    KeepAlive::OPCODE => nvme_admin_opcode_nvme_admin_keep_alive,
    GetLogPage::<SmartLog>::OPCODE => nvme_admin_opcode_nvme_admin_get_log_page,
    ErrorLog::LID => NVME_LOG_ERROR,
    SmartLog::LID => NVME_LOG_SMART,
    FirmwareSlots::LID => NVME_LOG_FW_SLOT,
    ChangedNamespaces::LID => NVME_LOG_CHANGED_NS,
    ChangedNamespaces::LEN => NVME_MAX_CHANGED_NAMESPACES,
    Warnings::SPARE => NVME_SMART_CRIT_SPARE,
    Warnings::TEMPERATURE => NVME_SMART_CRIT_TEMPERATURE,
    Warnings::RELIABILITY => NVME_SMART_CRIT_RELIABILITY,
    Warnings::READ_ONLY => NVME_SMART_CRIT_MEDIA,
    Warnings::BACKUP => NVME_SMART_CRIT_VOLATILE_MEMORY,
    AsyncEvent::ERROR => NVME_AER_ERROR,
    AsyncEvent::SMART => NVME_AER_SMART,
    AsyncEvent::NOTICE => NVME_AER_NOTICE,
    AsyncEvent::IO => NVME_AER_CSS,
    AsyncEvent::VENDOR => NVME_AER_VS,
    AsyncEvent::PERSISTENT_ERROR => NVME_AER_ERROR_PERSIST_INT_ERR,
    AsyncEvent::NAMESPACE_CHANGED => NVME_AER_NOTICE_NS_CHANGED,
    AsyncEvent::FIRMWARE_STARTING => NVME_AER_NOTICE_FW_ACT_STARTING,
    AsyncEvent::ANA_CHANGED => NVME_AER_NOTICE_ANA,
    Events::NAMESPACES => NVME_AEN_CFG_NS_ATTR,
    Events::FIRMWARE => NVME_AEN_CFG_FW_ACT,
    SetAsyncEvents::FEATURE => NVME_FEAT_ASYNC_EVENT,
    SetAutonomousPower::FEATURE => NVME_FEAT_AUTO_PST,
    SetWriteCache::FEATURE => NVME_FEAT_VOLATILE_WC,
    SetTimestamp::FEATURE => NVME_FEAT_TIMESTAMP,
    SetKeepAliveTimer::FEATURE => NVME_FEAT_KATO,
    SetInterruptCoalescing::FEATURE => NVME_FEAT_IRQ_COALESCE,
    DisableCoalescing::FEATURE => NVME_FEAT_IRQ_CONFIG,
    SetHostBehavior::FEATURE => NVME_FEAT_HOST_BEHAVIOR,
    SetHostBehavior::RETRY_DELAYS => NVME_ENABLE_ACRE,
    IdentifyController::CNS => NVME_ID_CNS_CTRL,
    IdentifyNamespace::CNS => NVME_ID_CNS_NS,
    NamespaceList::CNS => NVME_ID_CNS_NS_ACTIVE_LIST,
    NamespaceDescriptors::CNS => NVME_ID_CNS_NS_DESC_LIST,
    IdentifyNamespaceNvm::CNS => NVME_ID_CNS_CS_NS,
    IdentifyControllerNvm::CNS => NVME_ID_CNS_CS_CTRL,
    Status::HOST_ABORTED.raw() => NVME_SC_HOST_ABORTED_CMD,
    Status::CRD => NVME_STATUS_CRD,
    Status::DNR => NVME_STATUS_DNR,
    regs::CAP => NVME_REG_CAP,
    VS::OFFSET => NVME_REG_VS,
    CC::OFFSET => NVME_REG_CC,
    CSTS::OFFSET => NVME_REG_CSTS,
    AQA::OFFSET => NVME_REG_AQA,
    CRTO::OFFSET => NVME_REG_CRTO,
    regs::SHN_NORMAL << 14 => NVME_CC_SHN_NORMAL,
    cmb::CMBMSC => NVME_REG_CMBMSC,
    cmb::CMBMSC_CRE => NVME_CMBMSC_CRE,
    cmb::CMBMSC_CMSE => NVME_CMBMSC_CMSE,
    regs::ASQ => NVME_REG_ASQ,
    regs::ACQ => NVME_REG_ACQ,
    regs::DOORBELLS => NVME_REG_DBS,
}
