// SPDX-License-Identifier: GPL-2.0

//! The PCI function: registers, interrupts, doorbells, memory.

// The function: claim, bus mastering.
mod function;
// Config space, resets of the function.
mod config;
// `pci::Driver` with the callbacks that it lacks.
mod driver;
// Memory on the NUMA node of a device.
pub(crate) mod numa;
// BAR 0.
mod bar;
// Vectors with affinity, handlers that own their state.
mod irq;
// Which queue's vector interrupts a CPU.
mod affinity;
// Doorbells and their shadows.
mod doorbell;
// The controller memory buffer.
mod controller_memory;

pub(crate) use self::{
    affinity::CpuMap,
    bar::Bar,
    config::{
        status,
        LockedConfig,
        SavedConfig, //
    },
    controller_memory::ControllerMemory,
    doorbell::{
        Doorbell,
        Shadows, //
    },
    driver::{
        Adapter,
        Channel,
        DeviceKey,
        Driver,
        Verdict, //
    },
    function::{
        allow_dma,
        is_disconnected,
        is_frozen,
        is_present,
        memory_bar,
        node,
        stop_dma,
        Binding,
        Claim, //
    },
    irq::{
        has_messages,
        InterruptHandler,
        Line,
        VectorKinds,
        Vectors, //
    },
    numa::{
        box_on,
        vec_on, //
    },
};

pub(in crate::sys) use self::{
    controller_memory::CmbMapping,
    function::{
        raw_device, //
    },
};
