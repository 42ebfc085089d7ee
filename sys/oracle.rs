// SPDX-License-Identifier: GPL-2.0

//! The kernel's own `linux/nvme.h` as the oracle of `spec.rs` and `regs.rs`: what both know is
//! asserted to be equal when the module is compiled.

use super::ffi;
use crate::{
    cmb,
    regs,
    spec::{
        command::{
            AdminCommand,
            CreateIoCq,
            CreateIoSq,
            DeleteIoCq,
            DeleteIoSq,
            DisableCoalescing,
            Identify,
            IdentifyData,
            Range,
            RwControl,
            SetHostBehavior,
            SetInterruptCoalescing,
            SetNumberOfQueues,
            Sqe, //
        },
        completion::{
            Cqe,
            Status, //
        },
        identify::{
            IdentifyController,
            IdentifyControllerNvm,
            IdentifyNamespace,
            IdentifyNamespaceNvm,
            NamespaceDescriptors,
            NamespaceList, //
        },
        ids::RangeCount,
    }, //
};

/// Asserts that a number of ours (any width) is the kernel's.
macro_rules! same {
    ($($ours:expr => $kernels:ident),* $(,)?) => {
        // CAST: compared as the widest type; all of them are small and not negative.
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
    assert!(SetHostBehavior::DATA.len() == size_of::<ffi::nvme_feat_host_behavior>());
};

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
    DeleteIoSq::OPCODE => nvme_admin_opcode_nvme_admin_delete_sq,
    CreateIoSq::OPCODE => nvme_admin_opcode_nvme_admin_create_sq,
    DeleteIoCq::OPCODE => nvme_admin_opcode_nvme_admin_delete_cq,
    CreateIoCq::OPCODE => nvme_admin_opcode_nvme_admin_create_cq,
    Identify::<IdentifyController>::OPCODE => nvme_admin_opcode_nvme_admin_identify,
    SetNumberOfQueues::OPCODE => nvme_admin_opcode_nvme_admin_set_features,
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
    cmb::CMBMSC => NVME_REG_CMBMSC,
    cmb::CMBMSC_CRE => NVME_CMBMSC_CRE,
    cmb::CMBMSC_CMSE => NVME_CMBMSC_CMSE,
    regs::ASQ => NVME_REG_ASQ,
    regs::ACQ => NVME_REG_ACQ,
    regs::DOORBELLS => NVME_REG_DBS,
}
