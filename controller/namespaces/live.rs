// SPDX-License-Identifier: GPL-2.0

//! Namespaces with disks. A reset checks them again: I/O held across it must not reach a namespace
//! that was replaced or reformatted.

use super::Namespaces;
use crate::{
    io::Geometry,
    nvme::NamespaceInfo,
    sys::base::NoIo, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    }, //
};

/// The namespaces of a controller that have disks.
#[pin_data]
pub(super) struct LiveNamespaces {
    /// LOCK: the list of namespaces that have disks; inside: nothing. A reset takes it, so
    /// allocations do no I/O.
    #[pin]
    list: Mutex<KVec<Arc<Member>>>,
}

/// A namespace as its disk was made from it.
struct Member {
    geometry: Arc<Geometry>,
    info: NamespaceInfo,
}

/// Keeps a namespace in the list until dropped.
pub(super) struct Membership {
    live: Arc<LiveNamespaces>,
    member: Arc<Member>,
}

impl LiveNamespaces {
    /// No namespace yet.
    pub(super) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self { list <- new_mutex!(KVec::new()) }),
            GFP_KERNEL,
        )
    }

    /// Adds the namespace of `info`, whose disk has `geometry`.
    pub(super) fn enter(
        self: &Arc<Self>,
        geometry: &Arc<Geometry>,
        info: NamespaceInfo,
    ) -> Result<Membership> {
        let member = Member {
            geometry: geometry.clone(),
            info,
        };
        let member = Arc::new(member, GFP_KERNEL)?;
        let _noio = NoIo::new();
        self.list.lock().push(member.clone(), GFP_KERNEL)?;
        Ok(Membership {
            live: self.clone(),
            member,
        })
    }

    /// The number of namespaces.
    pub(super) fn count(&self) -> u32 {
        // CAST: there is memory for fewer.
        self.list.lock().len() as u32
    }

    /// All namespaces.
    fn all(&self) -> Result<KVec<Arc<Member>>> {
        let mut all = KVec::new();
        let _noio = NoIo::new();
        for member in self.list.lock().iter() {
            all.push(member.clone(), GFP_KERNEL)?;
        }
        Ok(all)
    }
}

impl Membership {
    /// Whether the disk is what `info` makes of it, and its I/O is not refused (see
    /// [`Namespaces::check`]).
    pub(super) fn is_still(&self, info: &NamespaceInfo) -> bool {
        self.member.info == *info && !self.member.geometry.blocks.are_refused()
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let member = Arc::as_ptr(&self.member);
        let mut list = self.live.list.lock();
        list.retain(|other| Arc::as_ptr(other) != member);
    }
}

impl Namespaces {
    /// Identifies the namespaces with disks again. I/O to a namespace that is another now fails from
    /// here on, until [`Namespaces::scan`] has updated its disk.
    ///
    /// # Errors
    ///
    /// `ENOMEM`. A namespace that the controller says nothing of counts as unchanged.
    pub(in crate::controller) fn check(&self) -> Result {
        for member in self.live.all()? {
            let nsid = member.geometry.nsid;
            match self.namespace_info(nsid) {
                Ok(now) if now.is_alike(&member.info) => {}
                Err(e) if e == ENOMEM => return Err(e),
                Err(e) if e != ENODEV => {}
                Ok(_) | Err(_) => {
                    dev_warn!(
                        self.parent,
                        "namespace {} has changed in the reset: I/O that waited for it fails\n",
                        nsid.get()
                    );
                    member.geometry.blocks.refuse();
                }
            }
        }
        Ok(())
    }
}
