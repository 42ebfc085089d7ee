// SPDX-License-Identifier: GPL-2.0

//! Which namespaces there are.

use super::{
    identify::Common,
    remarks::{
        Remark,
        Remarks, //
    },
    Namespaces, //
};
use crate::nvme::{
    Identify,
    NamespaceList,
    Nsid,
    Status, //
};
use kernel::prelude::*;

/// The most namespaces that a scan looks at: a device may claim four billion.
const MAX_NAMESPACES: usize = 8192;
/// The most namespaces that a scan tries one by one, where the controller has no list.
const MAX_UNLISTED: u32 = 1024;

/// The namespaces to look at, in ascending order.
pub(super) struct Active {
    pub(super) nsids: KVec<Nsid>,
    /// Whether there are no others.
    pub(super) is_complete: bool,
    /// Whether the controller says that each of them is active. Else the identifiers may have no
    /// namespace.
    pub(super) is_listed: bool,
}

impl Namespaces {
    /// The namespaces to look at: the active ones that the controller lists (Identify, CNS 02h). A
    /// controller without that list (NVMe 1.0), or one that refuses it, is asked for each namespace
    /// from 1 to NN.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EIO` if the controller does not answer, or refuses to for now.
    pub(super) fn active(&self, common: &Common, remarks: &mut Remarks) -> Result<Active> {
        if common.has_active_list() {
            if let Some(active) = self.listed(remarks)? {
                return Ok(active);
            }
        }
        let last = common.info.namespaces.min(MAX_UNLISTED);
        if last < common.info.namespaces && remarks.is_new(None, Remark::Unlisted(last)) {
            dev_warn!(
                self.parent,
                "no list of active namespaces: looking at namespaces 1 to {}, those up to {} are left out\n",
                last,
                common.info.namespaces
            );
        }
        let mut nsids = KVec::new();
        for nsid in (1..=last).filter_map(Nsid::new) {
            nsids.push(nsid, GFP_KERNEL)?;
        }
        Ok(Active {
            nsids,
            is_complete: last == common.info.namespaces,
            is_listed: false,
        })
    }

    /// The list, page by page; `None` if the controller has none.
    fn listed(&self, remarks: &mut Remarks) -> Result<Option<Active>> {
        let mut nsids = KVec::new();
        let mut is_complete = false;
        let mut after = 0;
        while nsids.len() < MAX_NAMESPACES {
            let page = match self.ask(&Identify::active_namespaces(after))? {
                Ok(page) => page,
                Err(status) if is_without_list(status) && nsids.is_empty() => return Ok(None),
                Err(status) => {
                    if remarks.is_new(None, Remark::ListRefused(status)) {
                        dev_err!(
                            self.parent,
                            "the list of active namespaces cannot be read: {}\n",
                            status
                        );
                    }
                    return Err(EIO);
                }
            };
            let before = nsids.len();
            for nsid in page.get()?.iter(after) {
                match nsid {
                    Ok(nsid) => nsids.push(nsid, GFP_KERNEL)?,
                    Err(e) => {
                        if remarks.is_new(None, Remark::List(e)) {
                            dev_err!(self.parent, "{}: the namespaces after it are left out\n", e);
                        }
                        return Ok(Some(Active {
                            nsids,
                            is_complete,
                            is_listed: true,
                        }));
                    }
                }
            }
            is_complete = nsids.len() - before < NamespaceList::LEN;
            if is_complete {
                break;
            }
            after = nsids.last().map_or(0, |nsid| nsid.get());
        }
        if !is_complete && remarks.is_new(None, Remark::TooMany(nsids.len())) {
            dev_warn!(
                self.parent,
                "more than {} namespaces: the rest is left out\n",
                nsids.len()
            );
        }
        Ok(Some(Active {
            nsids,
            is_complete,
            is_listed: true,
        }))
    }
}

/// Whether a controller that refuses the list with `status` has none: it says that it will refuse
/// the same again, or that it does not know the structure, which many say without Do Not Retry.
fn is_without_list(status: Status) -> bool {
    status.do_not_retry() || status.is_unsupported()
}
