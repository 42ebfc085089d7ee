// SPDX-License-Identifier: GPL-2.0

//! What devices need that the specification does not say, and what they get wrong. The flags and
//! their names are those of Linux's driver.

// Which devices have which quirks.
mod table;
// The text of the module parameter.
mod overrides;

pub(crate) use self::{
    overrides::QuirkOverrides,
    table::MachineField, //
};

use kernel::{
    fmt,
    prelude::*, //
};

/// Milliseconds from CC.EN = 0 to the first look at CSTS.RDY, for a controller that needs a delay:
/// Linux's value.
pub(crate) const READY_DELAY_MS: u32 = 2300;

/// Milliseconds from a reset of the PCI function to the first access, for a device that needs a pause:
/// the value of Linux's PCI core.
pub(crate) const FUNCTION_DELAY_MS: u32 = 250;

/// The entries of an I/O queue of a device that states one only: Linux's value.
const LEAST_ENTRIES: u32 = 64;

/// A set of quirks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Quirks(u32);

macro_rules! define_quirks {
    ($($(#[$doc:meta])* $name:ident = $bit:literal, $text:literal;)*) => {
        impl Quirks {
            $($(#[$doc])* pub(crate) const $name: Self = Self(1 << $bit);)*

            /// Each quirk with its name.
            const NAMES: &'static [(Self, &'static str)] = &[$((Self::$name, $text)),*];
        }
    };
}

// The bits are in the order in which sysfs lists the names.
define_quirks! {
    /// I/O must not cross multiples of the largest transfer.
    STRIPE_SIZE = 0, "stripe_size";
    /// Identify knows CNS 00h and 01h only.
    IDENTIFY_CNS = 1, "identify_cns";
    /// Deallocated blocks read as zeroes: Dataset Management serves for Write Zeroes.
    DEALLOCATE_ZEROES = 2, "deallocate_zeroes";
    /// CSTS must not be read for [`READY_DELAY_MS`] after CC.EN = 0.
    DELAY_BEFORE_CHK_RDY = 3, "delay_before_chk_rdy";
    /// Autonomous power state transitions must stay off.
    NO_APST = 4, "no_apst";
    /// The last power state must not be entered.
    NO_DEEPEST_PS = 5, "no_deepest_ps";
    /// One command at a time in each queue.
    QDEPTH_ONE = 6, "qdepth_one";
    /// I/O submission queues need medium priority.
    MEDIUM_PRIO_SQ = 7, "medium_prio_sq";
    /// SUBNQN is not unique.
    IGNORE_DEV_SUBNQN = 8, "ignore_dev_subnqn";
    /// Write Zeroes does not work.
    DISABLE_WRITE_ZEROES = 9, "disable_write_zeroes";
    /// The controller must be shut down when the system sleeps. This driver always does that.
    SIMPLE_SUSPEND = 10, "simple_suspend";
    /// All queues must use the first vector.
    SINGLE_VECTOR = 11, "single_vector";
    /// I/O submission queue entries have 128 bytes: not driven.
    SQES_128_BYTES = 12, "128_bytes_sqes";
    /// Admin queue and I/O queue share their tags: not driven.
    SHARED_TAGS = 13, "shared_tags";
    /// The temperature thresholds must not be changed. This driver never changes them.
    NO_TEMP_THRESH_CHANGE = 14, "no_temp_thresh_change";
    /// Identify does not know CNS 03h, whatever VS says.
    NO_NS_DESC_LIST = 15, "no_ns_desc_list";
    /// DMA addresses have 48 bits.
    DMA_ADDRESS_BITS_48 = 16, "dma_address_bits_48";
    /// Command identifiers must be tags alone: not driven.
    SKIP_CID_GEN = 17, "skip_cid_gen";
    /// The identifiers of namespaces (EUI64, NGUID, UUID) are not unique.
    BOGUS_NID = 18, "bogus_nid";
    /// Only the composite temperature has thresholds. This driver never reads others.
    NO_SECONDARY_TEMP_THRESH = 19, "no_secondary_temp_thresh";
    /// The machine saves more power if the controller is not shut down when the system sleeps.
    /// This driver always shuts it down.
    FORCE_NO_SIMPLE_SUSPEND = 20, "force_no_simple_suspend";
    /// MSI never comes; MSI-X and the pin do.
    BROKEN_MSI = 21, "broken_msi";
    /// A PRP list must begin at a multiple of 512 bytes.
    DMAPOOL_ALIGN_512 = 22, "dmapool_align_512";
    /// The data of admin commands must begin at a page.
    ADMIN_PAGE_ALIGN = 23, "admin_page_align";
    /// I/O queues have [`LEAST_ENTRIES`] though CAP.MQES is 0. Linux's driver knows these devices
    /// without a flag.
    MQES_ZERO = 24, "mqes_zero";
    /// The device needs [`FUNCTION_DELAY_MS`] after a reset of its PCI function: it does not become
    /// ready otherwise. Linux's PCI core knows these devices without a flag.
    DELAY_AFTER_FLR = 25, "delay_after_flr";
}

impl Quirks {
    /// No quirk.
    pub(crate) const NONE: Self = Self(0);

    /// What this driver cannot do.
    const NOT_DRIVEN: Self = Self::SQES_128_BYTES
        .and(Self::SHARED_TAGS)
        .and(Self::SKIP_CID_GEN);

    /// The quirks of PCI device `vendor`:`device` in a machine of which `is_machine` tells whether
    /// a field is this text, with the user's changes.
    pub(crate) fn of_device(
        (vendor, device): (u16, u16),
        is_machine: impl Fn(MachineField, &'static CStr) -> bool,
        overrides: QuirkOverrides,
    ) -> Self {
        let found = table::of_device(vendor, device);
        let found = found.and(table::of_machine(vendor, device, is_machine));
        overrides.apply((vendor, device), found)
    }

    /// These quirks and those that vendor, model and firmware tell: `vendor` as Identify Controller
    /// has it.
    pub(crate) fn with_model(self, vendor: u16, model: &str, firmware: &str) -> Self {
        self.and(table::of_model(vendor, model, firmware))
    }

    /// Both sets.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set without those of `other`.
    const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The value that [`Self::from_raw`] takes.
    pub(crate) const fn into_raw(self) -> u32 {
        self.0
    }

    /// The set of which [`Self::into_raw`] returned `raw`.
    pub(crate) const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    /// Whether all of `other` are in this set.
    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The entries of an I/O queue of a device that states one only (CAP.MQES is 0) and has more.
    pub(crate) const fn least_entries(self) -> Option<u32> {
        match self.has(Self::MQES_ZERO) {
            true => Some(LEAST_ENTRIES),
            false => None,
        }
    }

    /// The quirks that keep this driver from driving the device, if there are any.
    pub(crate) fn not_driven(self) -> Option<Self> {
        let left = Self(self.0 & Self::NOT_DRIVEN.0);
        (left != Self::NONE).then_some(left)
    }

    /// The quirk of this name.
    fn by_name(name: &str) -> Option<Self> {
        let (quirk, _) = Self::NAMES.iter().find(|(_, own)| *own == name)?;
        Some(*quirk)
    }

    /// Writes the names, with `separator` between two; `none` without any.
    pub(crate) fn write(self, f: &mut fmt::Formatter<'_>, separator: &str) -> fmt::Result {
        if self == Self::NONE {
            return f.write_str("none");
        }
        let mut between = "";
        for (quirk, name) in Self::NAMES {
            if self.has(*quirk) {
                f.write_str(between)?;
                f.write_str(name)?;
                between = separator;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Quirks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, ", ")
    }
}

#[kunit_tests(rnvme_quirks)]
mod tests {
    use super::*;
    use kernel::str::CString;

    /// A machine's fields.
    type Machine<'a> = &'a dyn Fn(MachineField, &'static CStr) -> bool;

    /// No field of the machine is any text.
    fn nowhere(_: MachineField, _: &'static CStr) -> bool {
        false
    }

    fn of(vendor: u16, device: u16) -> Quirks {
        Quirks::of_device((vendor, device), nowhere, QuirkOverrides::NONE)
    }

    #[test]
    fn each_quirk_has_its_name() -> Result {
        assert_eq!(Quirks::NAMES.len(), 26);
        for (bit, (quirk, name)) in Quirks::NAMES.iter().enumerate() {
            assert_eq!(quirk.0, 1 << bit);
            assert_eq!(Quirks::by_name(name), Some(*quirk));
        }
        assert_eq!(Quirks::by_name("unknown"), None);
        let two = Quirks::BOGUS_NID.and(Quirks::NO_APST);
        let text = |quirks: Quirks| CString::try_from_fmt(fmt!("{quirks}"));
        assert_eq!(text(two)?.to_bytes(), b"no_apst, bogus_nid");
        assert_eq!(text(Quirks::NONE)?.to_bytes(), b"none");
        Ok(())
    }

    #[test]
    fn devices_have_theirs() {
        let p3600 = Quirks::STRIPE_SIZE
            .and(Quirks::DEALLOCATE_ZEROES)
            .and(Quirks::DELAY_AFTER_FLR);
        for (ids, expected) in [
            ((0x8086, 0x0953), p3600),
            ((0x1b36, 0x0010), Quirks::BOGUS_NID),
            ((0x1b36, 0x0011), Quirks::NONE),
            ((0x1234, 0x5678), Quirks::NONE),
            ((0x1d0f, 0x8061), Quirks::DMA_ADDRESS_BITS_48),
            (
                (0x106b, 0x2001),
                Quirks::SINGLE_VECTOR.and(Quirks::QDEPTH_ONE),
            ),
            ((0x106b, 0x2003), Quirks::NONE),
            (
                (0x1d97, 0x2263),
                Quirks::DISABLE_WRITE_ZEROES.and(Quirks::BOGUS_NID),
            ),
        ] {
            assert_eq!(of(ids.0, ids.1), expected);
        }
    }

    #[test]
    fn what_cannot_be_driven_is_known() {
        let refused = Quirks::SQES_128_BYTES
            .and(Quirks::SHARED_TAGS)
            .and(Quirks::SKIP_CID_GEN);
        assert_eq!(of(0x106b, 0x2005).not_driven(), Some(refused));
        assert_eq!(of(0x106b, 0x2001).not_driven(), None);
    }

    #[test]
    fn models_and_firmware() {
        let x5 = "Samsung Portable SSD X5";
        let of = |vendor, model, firmware| Quirks::NONE.with_model(vendor, model, firmware);
        let expected = Quirks::DELAY_BEFORE_CHK_RDY
            .and(Quirks::NO_DEEPEST_PS)
            .and(Quirks::IGNORE_DEV_SUBNQN);
        assert_eq!(of(0x144d, x5, "1"), expected);
        assert_eq!(of(0x144d, "Samsung Portable SSD X55", "1"), Quirks::NONE);
        assert_eq!(of(0x144e, x5, "1"), Quirks::NONE);
        assert_eq!(of(0x14a4, "any", "22301111"), Quirks::SIMPLE_SUSPEND);
        assert_eq!(of(0x14a4, "any", "22301112"), Quirks::NONE);
        let kept = Quirks::BOGUS_NID.with_model(0x1e0f, "KCD6XVUL6T40", "");
        assert_eq!(kept, Quirks::BOGUS_NID.and(Quirks::NO_APST));
    }

    #[test]
    fn machines() {
        let dell = |field, text: &'static CStr| {
            matches!(
                (field, text.to_bytes()),
                (MachineField::SystemVendor, b"Dell Inc.")
                    | (MachineField::Product, b"XPS 15 9550")
            )
        };
        let asus = |field, text: &'static CStr| {
            matches!(
                (field, text.to_bytes()),
                (MachineField::BoardVendor, b"ASUSTeK COMPUTER INC.")
                    | (MachineField::Board, b"PRIME Z370-A")
            )
        };
        // A board with the name, of another vendor.
        let other = |field, text: &'static CStr| {
            matches!(
                (field, text.to_bytes()),
                (MachineField::Board, b"PRIME Z370-A")
            )
        };
        let lenovo = |field, text: &'static CStr| {
            matches!(
                (field, text.to_bytes()),
                (MachineField::Board, b"LXKT-ZXEG-N6")
            )
        };
        let with =
            |ids, machine: Machine<'_>| Quirks::of_device(ids, machine, QuirkOverrides::NONE);
        let sm951 = Quirks::BOGUS_NID;
        assert_eq!(
            with((0x144d, 0xa802), &dell),
            sm951.and(Quirks::NO_DEEPEST_PS)
        );
        assert_eq!(with((0x144d, 0xa802), &asus), sm951);
        assert_eq!(with((0x144d, 0xa804), &asus), Quirks::NO_APST);
        assert_eq!(with((0x144d, 0xa804), &other), Quirks::NONE);
        assert_eq!(with((0x144d, 0xa804), &nowhere), Quirks::NONE);
        assert_eq!(with((0x1234, 0x5678), &lenovo), Quirks::NO_APST);
    }
}
