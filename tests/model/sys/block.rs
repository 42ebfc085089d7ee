// SPDX-License-Identifier: GPL-2.0

//! The driver's table of what is in flight, and a stand-in for requests.

#[path = "../../../sys/block/in_flight.rs"]
mod in_flight;
mod request;

pub(crate) use self::{
    in_flight::{
        InFlight,
        Reaper, //
    },
    request::{
        Requests,
        Started,
        Types, //
    },
};
