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
pub(crate) struct Known {
    /// LOCK: the list of namespaces that have disks; inside: nothing. A reset takes it, so
    /// allocations do no I/O.
    #[pin]
    list: Mutex<KVec<Arc<Entry>>>,
}

/// A namespace as its disk takes it.
struct Entry {
    geometry: Arc<Geometry>,
    info: NamespaceInfo,
}

/// A namespace that is in the list until this is dropped.
pub(super) struct Entered {
    known: Arc<Known>,
    entry: Arc<Entry>,
}

impl Known {
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
    ) -> Result<Entered> {
        let entry = Entry {
            geometry: geometry.clone(),
            info,
        };
        let entry = Arc::new(entry, GFP_KERNEL)?;
        let _noio = NoIo::new();
        self.list.lock().push(entry.clone(), GFP_KERNEL)?;
        Ok(Entered {
            known: self.clone(),
            entry,
        })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        // CAST: there is memory for fewer.
        self.list.lock().len() as u32
    }

    /// All of them.
    fn all(&self) -> Result<KVec<Arc<Entry>>> {
        let mut all = KVec::new();
        let _noio = NoIo::new();
        for entry in self.list.lock().iter() {
            all.push(entry.clone(), GFP_KERNEL)?;
        }
        Ok(all)
    }
}

impl Entered {
    /// Whether its disk is what `info` makes of it, and its I/O does not fail (see
    /// [`Scanner::check`]).
    pub(super) fn is_still(&self, info: &NamespaceInfo) -> bool {
        self.entry.info == *info && !self.entry.geometry.blocks.are_refused()
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let entry = Arc::as_ptr(&self.entry);
        let mut list = self.known.list.lock();
        list.retain(|other| Arc::as_ptr(other) != entry);
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
        for entry in self.known.all()? {
            let nsid = entry.geometry.nsid;
            match self.namespace_info(nsid) {
                Ok(now) if now.is_alike(&entry.info) => {}
                Err(e) if e == ENOMEM => return Err(e),
                Err(e) if e != ENODEV => {}
                Ok(_) | Err(_) => {
                    dev_warn!(
                        self.parent,
                        "namespace {} is not what it was: I/O that waited for it fails\n",
                        nsid.get()
                    );
                    entry.geometry.blocks.refuse();
                }
            }
        }
        Ok(())
    }
}
