// SPDX-License-Identifier: GPL-2.0

//! The ranges of a discard, in the memory that a request with data has for its list.

use super::{
    discard,
    request_data::Queued,
    Transfers, //
};
use crate::{
    nvme::{
        DataPtr,
        Range,
        RangeCount, //
    },
    sys::block::{BlkStatus, Request},
};
use core::iter;
use kernel::prelude::*;

impl Transfers {
    /// Says where the `count` ranges of `rq` are, in logical blocks of 2^`lba_shift` bytes: one for
    /// each of its pieces, or one for all of it. [`Self::unmap`] undoes it.
    ///
    /// # Errors
    ///
    /// [`BlkStatus::RESOURCE`] if large lists have run out for now, [`BlkStatus::IOERR`] if there
    /// are not as many pieces or they are not made of blocks.
    pub(crate) fn ranges<T: Queued>(
        &self,
        rq: &mut Request<T>,
        lba_shift: u32,
        count: RangeCount,
    ) -> Result<DataPtr, BlkStatus> {
        let lease = self.lease(count.get() * Range::WORDS)?;
        let list = self.lists.list(rq.tag(), lease.as_ref());
        if let Some(lease) = lease {
            rq.queue_part().mapping.hold(lease);
        }
        let data = list.and_then(|mut list| match count.get() {
            1 => {
                let whole = iter::once((rq.sector(), rq.bytes()));
                discard::store(&mut list, lba_shift, count, whole)
            }
            _ => discard::store(&mut list, lba_shift, count, rq.pieces()),
        });
        data.ok_or_else(|| {
            self.unmap(rq);
            BlkStatus::IOERR
        })
    }
}
