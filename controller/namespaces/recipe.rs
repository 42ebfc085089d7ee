// SPDX-License-Identifier: GPL-2.0

//! What a disk is made of, and how it is made and changed.

use super::{
    identify::{
        Common,
        Description, //
    },
    registration::Registration,
    remarks::Remarks,
    Namespace,
    Namespaces, //
};
use crate::{
    io::{
        Blocks,
        Geometry,
        Readiness, //
    },
    num::SECTOR_SHIFT,
    nvme::Nsid,
    policy::{
        Ignored,
        RetryPolicy, //
    },
    sys::{
        base::RateLimit,
        block::{
            Disk,
            Limits,
            RequeueTimer, //
        },
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// What a disk is made of, besides its number and its identifiers. A disk is updated when any of it
/// has changed, whichever data structure says so.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Recipe {
    limits: Limits,
    /// The size in units of 512 bytes.
    sectors: u64,
    lba_shift: u32,
    retries: RetryPolicy,
}

impl Namespaces {
    /// What the data path needs to know of a namespace whose disk is made of `recipe`.
    fn geometry(
        &self,
        registration: &Registration,
        number: u32,
        recipe: &Recipe,
    ) -> Result<Arc<Geometry>> {
        let disk = &recipe.limits.disk;
        Arc::pin_init(
            try_pin_init!(Geometry {
                nsid: registration.nsid,
                blocks: Blocks::new(recipe.lba_shift),
                atomic: disk.atomic,
                many_ranges: disk.discard.ranges > 1,
                deallocating_zeroes: disk.deallocating_zeroes,
                zeroes_by_discard: disk.zeroes_by_discard,
                ids: registration.usable,
                retries: recipe.retries,
                readiness: Readiness::new(self.shared.hardware.ready_ms()),
                requeue_timer <- RequeueTimer::new(),
                name: (self.shared.number, number),
                log <- RateLimit::new(),
            }? Error),
            GFP_KERNEL,
        )
    }

    /// What the disk of `namespace` is made of, and the fields that it leaves out.
    fn recipe(&self, nsid: Nsid, namespace: &Description, common: &Common) -> (Recipe, Ignored) {
        let (limits, ignored) = self.limits(nsid, namespace, common);
        let recipe = Recipe {
            limits,
            sectors: namespace.info.sectors,
            lba_shift: namespace.info.lba_shift,
            retries: self.shared.retries(),
        };
        (recipe, ignored)
    }

    /// Makes the disk of namespace `nsid`.
    pub(super) fn add(
        &self,
        nsid: Nsid,
        number: u32,
        now: &Description,
        common: &Common,
        remarks: &mut Remarks,
    ) -> Result<Namespace> {
        let registration = self.register(nsid, now, common, remarks)?;
        let (recipe, ignored) = self.recipe(nsid, now, common);
        self.tell_ignored(nsid, ignored, remarks);
        let geometry = self.geometry(&registration, number, &recipe)?;
        let membership = self.live.enter(&geometry, now.likeness, common.round)?;
        let reading = membership.begin_reading()?;
        let disk = Disk::add(
            self.set.clone(),
            &self.parent,
            fmt!("rnvme{}n{}", self.shared.number, number),
            geometry,
            &recipe.limits,
            recipe.sectors,
        )?;
        drop(reading);
        Ok(Namespace {
            disk,
            registration,
            number,
            recipe,
            membership,
        })
    }

    /// Updates the disk of `namespace`, which is as `now` says.
    pub(super) fn refresh(
        &self,
        namespace: &mut Namespace,
        now: &Description,
        common: &Common,
        remarks: &mut Remarks,
    ) -> Result {
        let (nsid, number) = (namespace.registration.nsid, namespace.number);
        let (recipe, ignored) = self.recipe(nsid, now, common);
        if recipe == namespace.recipe && !namespace.membership.is_refused() {
            if namespace.membership.take_gave_up() {
                // The table may have been read before the namespace was ready.
                read_partitions(namespace);
            }
            return Ok(());
        }
        let may_lack_partitions = namespace.membership.take_gave_up();
        self.tell_ignored(nsid, ignored, remarks);
        let geometry = self.geometry(&namespace.registration, number, &recipe)?;
        let likeness = namespace.membership.likeness(&now.likeness);
        let membership = self.live.enter(&geometry, likeness, common.round)?;
        namespace
            .disk
            .update(geometry, &recipe.limits, recipe.sectors)?;
        namespace.membership = membership;
        namespace.recipe = recipe;
        if may_lack_partitions {
            read_partitions(namespace);
        }
        if remarks.may_log() {
            dev_info!(
                self.parent,
                "namespace {} has changed: {} blocks of {} bytes{}\n",
                nsid.get(),
                recipe.sectors >> (recipe.lba_shift - SECTOR_SHIFT),
                1u32 << recipe.lba_shift,
                if recipe.limits.read_only {
                    ", write protected"
                } else {
                    ""
                }
            );
        }
        Ok(())
    }

    /// Updates the disk of `namespace`, whose data is gone: its partitions go, and the new partition
    /// table is read. I/O of before fails.
    ///
    /// # Errors
    ///
    /// `EBUSY` if a partition is open; what updating the disk returns.
    pub(super) fn reformat(
        &self,
        namespace: &mut Namespace,
        now: &Description,
        common: &Common,
        remarks: &mut Remarks,
    ) -> Result {
        namespace.membership.refuse();
        namespace.disk.remove_partitions()?;
        self.refresh(namespace, now, common, remarks)?;
        read_partitions(namespace);
        Ok(())
    }

    /// Names the fields that the limits of namespace `nsid` leave out.
    fn tell_ignored(&self, nsid: Nsid, ignored: Ignored, remarks: &mut Remarks) {
        if !ignored.is_empty() && remarks.may_log() {
            dev_warn!(
                self.parent,
                "namespace {}: ignoring {}: inconsistent, or out of range\n",
                nsid.get(),
                ignored
            );
        }
    }
}

/// Reads the partition table of a disk again, unless the driver leaves the controller.
fn read_partitions(namespace: &Namespace) {
    if let Ok(_reading) = namespace.membership.begin_reading() {
        namespace.disk.read_partitions();
    }
}
