// SPDX-License-Identifier: GPL-2.0

//! The driver's arithmetic, as far as its protocols need it.

#[path = "../../nvme/completion.rs"]
mod completion;
#[path = "../../nvme/ids.rs"]
mod ids;
#[path = "../../nvme/ring.rs"]
mod ring;
#[path = "../../nvme/status.rs"]
mod status;

pub(crate) use self::{
    completion::{
        CqeEnd,
        Phase, //
    },
    ids::CommandId,
    ring::{
        needs_event,
        Tail, //
    },
};
