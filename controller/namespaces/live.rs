// SPDX-License-Identifier: GPL-2.0

//! The namespaces that have disks, for whoever brings their controller up again: what waits for that
//! must not go on with one that is something else by then.

use super::Scanner;
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
pub(crate) struct LiveNamespaces {
    /// LOCK: taken by what I/O waits for; nothing is waited for with it held, memory that I/O has to
    /// give included.
    #[pin]
    list: Mutex<KVec<Arc<Member>>>,
}

/// A namespace as its disk takes it.
struct Member {
    geometry: Arc<Geometry>,
    info: NamespaceInfo,
}

/// A namespace that is in the list until this is dropped.
pub(super) struct Membership {
    live: Arc<LiveNamespaces>,
    member: Arc<Member>,
}

impl LiveNamespaces {
    /// None so far.
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self { list <- new_mutex!(KVec::new()) }),
            GFP_KERNEL,
        )
    }

    /// One more, which is `info` and has a disk of `geometry`.
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

    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        // CAST: there is memory for fewer.
        self.list.lock().len() as u32
    }

    /// All of them.
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
    /// Whether its disk is what `info` makes of it, and its I/O does not fail (see
    /// [`Scanner::check`]).
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

impl Scanner<'_> {
    /// Asks again what the namespaces are that have disks. Where one is something else now, its I/O
    /// fails from here on, until [`Scanner::scan`] has made the disk what it is.
    ///
    /// # Errors
    ///
    /// `ENOMEM`. One of which the controller says nothing is taken for what it was.
    pub(crate) fn check(&self) -> Result {
        for member in self.live.all()? {
            let nsid = member.geometry.nsid;
            match self.namespace_info(nsid) {
                Ok(now) if now.is_alike(&member.info) => {}
                Err(e) if e == ENOMEM => return Err(e),
                Err(e) if e != ENODEV => {}
                Ok(_) | Err(_) => {
                    dev_warn!(
                        self.parent,
                        "namespace {} is not what it was: I/O that waited for it fails\n",
                        nsid.get()
                    );
                    member.geometry.blocks.refuse();
                }
            }
        }
        Ok(())
    }
}
