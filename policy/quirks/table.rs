// SPDX-License-Identifier: GPL-2.0

//! The tables of Linux's driver, as facts: by PCI device, by model and firmware, by machine.
//! Linux lists some devices twice; here a device has the quirks of all of its rows.

use super::Quirks;
use kernel::prelude::*;

/// A text that the firmware has about the machine (SMBIOS).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum MachineField {
    /// The vendor of the system.
    SystemVendor,
    /// The name of the system.
    Product,
    /// The vendor of the board.
    BoardVendor,
    /// The name of the board.
    Board,
}

/// A vendor, its devices, and their quirks.
type DeviceRow = (u16, &'static [u16], Quirks);

const AMAZON: u16 = 0x1d0f;
const APPLE: u16 = 0x106b;
const INTEL: u16 = 0x8086;
const KINGSTON: u16 = 0x2646;
const MAXIO: u16 = 0x1e4b;
const PHISON: u16 = 0x1987;
const SAMSUNG: u16 = 0x144d;
const SANDISK: u16 = 0x15b7;
const SILICON_MOTION: u16 = 0x126f;

/// By PCI vendor and device.
const DEVICES: &[DeviceRow] = &[
    // Intel 750, P3500 to P3700, P3520.
    (
        INTEL,
        &[0x0953, 0x0a53],
        Quirks::STRIPE_SIZE.and(Quirks::DEALLOCATE_ZEROES),
    ),
    (INTEL, &[0x0953], Quirks::DELAY_AFTER_FLR),
    // P4500, P4600.
    (
        INTEL,
        &[0x0a54],
        Quirks::STRIPE_SIZE
            .and(Quirks::DELAY_AFTER_FLR)
            .and(Quirks::IGNORE_DEV_SUBNQN)
            .and(Quirks::BOGUS_NID),
    ),
    (INTEL, &[0x0a55], Quirks::STRIPE_SIZE),
    // 600P, P3100.
    (
        INTEL,
        &[0xf1a5],
        Quirks::NO_DEEPEST_PS
            .and(Quirks::MEDIUM_PRIO_SQ)
            .and(Quirks::NO_TEMP_THRESH_CHANGE)
            .and(Quirks::DISABLE_WRITE_ZEROES),
    ),
    // 760p.
    (INTEL, &[0xf1a6], Quirks::IGNORE_DEV_SUBNQN),
    // QEMU, before it had an id of its own, and with it.
    (
        INTEL,
        &[0x5845],
        Quirks::IDENTIFY_CNS
            .and(Quirks::DISABLE_WRITE_ZEROES)
            .and(Quirks::BOGUS_NID),
    ),
    (0x1b36, &[0x0010], Quirks::BOGUS_NID),
    // O2 Micro in the Steam Deck, Micron 4100AT.
    (0x1217, &[0x8760], Quirks::DMAPOOL_ALIGN_512),
    (0x1344, &[0x6004], Quirks::DMAPOOL_ALIGN_512),
    (
        SILICON_MOTION,
        &[0x1001],
        Quirks::NO_DEEPEST_PS.and(Quirks::IGNORE_DEV_SUBNQN),
    ),
    (
        SILICON_MOTION,
        &[0x2262],
        Quirks::NO_DEEPEST_PS.and(Quirks::BOGUS_NID),
    ),
    (
        SILICON_MOTION,
        &[0x2263],
        Quirks::NO_NS_DESC_LIST.and(Quirks::BOGUS_NID),
    ),
    // Seagate Nytro.
    (
        0x1bb1,
        &[0x0100],
        Quirks::DELAY_BEFORE_CHK_RDY.and(Quirks::NO_NS_DESC_LIST),
    ),
    // HGST, WDC SN200; Memblaze Pblaze4 and Pblaze5.
    (0x1c58, &[0x0003, 0x0023], Quirks::DELAY_BEFORE_CHK_RDY),
    (0x1c5f, &[0x0540], Quirks::DELAY_BEFORE_CHK_RDY),
    (0x1c5f, &[0x0555], Quirks::NO_NS_DESC_LIST),
    // PM1725, PM1725a; PM9B1, MZALQ, SM953.
    (
        SAMSUNG,
        &[0xa821],
        Quirks::DELAY_BEFORE_CHK_RDY.and(Quirks::MQES_ZERO),
    ),
    (
        SAMSUNG,
        &[0xa822],
        Quirks::DELAY_BEFORE_CHK_RDY
            .and(Quirks::MQES_ZERO)
            .and(Quirks::DISABLE_WRITE_ZEROES)
            .and(Quirks::IGNORE_DEV_SUBNQN),
    ),
    (
        SAMSUNG,
        &[0xa80b],
        Quirks::DISABLE_WRITE_ZEROES.and(Quirks::BOGUS_NID),
    ),
    (SAMSUNG, &[0xa809], Quirks::DISABLE_WRITE_ZEROES),
    (SAMSUNG, &[0xa802], Quirks::BOGUS_NID),
    // SN530, SN550, Skyhawk.
    (SANDISK, &[0x5008], Quirks::BROKEN_MSI),
    (
        SANDISK,
        &[0x5009],
        Quirks::BROKEN_MSI.and(Quirks::NO_DEEPEST_PS),
    ),
    (SANDISK, &[0x2001], Quirks::DISABLE_WRITE_ZEROES),
    // E12, E16, E19, E21.
    (PHISON, &[0x5012], Quirks::BOGUS_NID),
    (
        PHISON,
        &[0x5016],
        Quirks::IGNORE_DEV_SUBNQN.and(Quirks::BOGUS_NID),
    ),
    (PHISON, &[0x5019, 0x5021], Quirks::DISABLE_WRITE_ZEROES),
    // Lexar.
    (
        0x1b4b,
        &[0x1092],
        Quirks::NO_NS_DESC_LIST.and(Quirks::IGNORE_DEV_SUBNQN),
    ),
    // ADATA, with its own controllers and with Realtek's.
    (0x1cc1, &[0x33f8, 0x5350], Quirks::BOGUS_NID),
    (
        0x1cc1,
        &[0x8201],
        Quirks::NO_DEEPEST_PS.and(Quirks::IGNORE_DEV_SUBNQN),
    ),
    (
        0x10ec,
        &[0x5762],
        Quirks::IGNORE_DEV_SUBNQN.and(Quirks::BOGUS_NID),
    ),
    (0x10ec, &[0x5763, 0x5765], Quirks::BOGUS_NID),
    // Micron.
    (0x1344, &[0x5407], Quirks::IGNORE_DEV_SUBNQN),
    (0x1344, &[0x6001], Quirks::BOGUS_NID),
    // SK hynix.
    (0x1c5c, &[0x1504, 0x1d59], Quirks::DISABLE_WRITE_ZEROES),
    (0x1c5c, &[0x174a], Quirks::BOGUS_NID),
    // UMIS.
    (0x1cc4, &[0x6302, 0x6303], Quirks::DISABLE_WRITE_ZEROES),
    (KINGSTON, &[0x2262, 0x2263], Quirks::NO_DEEPEST_PS),
    (KINGSTON, &[0x5013], Quirks::NO_SECONDARY_TEMP_THRESH),
    (
        KINGSTON,
        &[0x5016, 0x5018, 0x501a, 0x501b, 0x501e, 0x502f],
        Quirks::DISABLE_WRITE_ZEROES,
    ),
    // Netac.
    (0x1f40, &[0x1202, 0x5236], Quirks::BOGUS_NID),
    (MAXIO, &[0x1001, 0x1002, 0x1202, 0x1602], Quirks::BOGUS_NID),
    // Innogrit: Acer, ADATA.
    (0x1dbe, &[0x5216, 0x5236], Quirks::BOGUS_NID),
    // Zhitai.
    (0x1e49, &[0x0021, 0x0041], Quirks::NO_DEEPEST_PS),
    // Wodposit, Solidigm, Crucial.
    (0x1fa0, &[0x2283], Quirks::NO_SECONDARY_TEMP_THRESH),
    (
        0x025e,
        &[0xf1ac],
        Quirks::NO_DEEPEST_PS.and(Quirks::DELAY_AFTER_FLR),
    ),
    (0xc0a9, &[0x540a], Quirks::BOGUS_NID),
    // Lexar and SPCC with the ids of the same maker.
    (
        0x1d97,
        &[0x2263],
        Quirks::DISABLE_WRITE_ZEROES.and(Quirks::BOGUS_NID),
    ),
    (0x1d97, &[0x1d97], Quirks::BOGUS_NID),
    (
        0x1d97,
        &[0x2269],
        Quirks::BOGUS_NID.and(Quirks::IGNORE_DEV_SUBNQN),
    ),
    (
        AMAZON,
        &[0x0061, 0x0065, 0x8061, 0xcd00, 0xcd01, 0xcd02],
        Quirks::DMA_ADDRESS_BITS_48,
    ),
    // A MacBook of 2015; T2.
    (
        APPLE,
        &[0x2001],
        Quirks::SINGLE_VECTOR.and(Quirks::QDEPTH_ONE),
    ),
    (
        APPLE,
        &[0x2005],
        Quirks::SINGLE_VECTOR
            .and(Quirks::SQES_128_BYTES)
            .and(Quirks::SHARED_TAGS)
            .and(Quirks::SKIP_CID_GEN)
            .and(Quirks::IDENTIFY_CNS),
    ),
];

/// By vendor, model and firmware of Identify Controller; an empty text is any.
const MODELS: &[(u16, &str, &str, Quirks)] = &[
    // Toshiba, Kioxia: they do not come back from any power state of their own choice.
    (0x1179, "THNSF5256GPUK TOSHIBA", "", Quirks::NO_APST),
    (0x1e0f, "KCD6XVUL6T40", "", Quirks::NO_APST),
    // LiteON CL1.
    (0x14a4, "", "22301111", Quirks::SIMPLE_SUSPEND),
    // It has the PCI ids of a drive that needs none of this.
    (
        SAMSUNG,
        "Samsung Portable SSD X5",
        "",
        Quirks::DELAY_BEFORE_CHK_RDY
            .and(Quirks::NO_DEEPEST_PS)
            .and(Quirks::IGNORE_DEV_SUBNQN),
    ),
];

/// A vendor and its devices; a field of the machine, a second one that must also match, and the
/// texts of which either field must be one; the quirks.
struct MachineRow {
    /// No devices: any.
    devices: &'static [(u16, u16)],
    vendor: Option<(MachineField, &'static CStr)>,
    field: MachineField,
    texts: &'static [&'static CStr],
    quirks: Quirks,
}

const MACHINES: &[MachineRow] = &[
    // The drive drops off the bus.
    MachineRow {
        devices: &[(SAMSUNG, 0xa802)],
        vendor: Some((MachineField::SystemVendor, c"Dell Inc.")),
        field: MachineField::Product,
        texts: &[c"XPS 15 9550", c"Precision 5510"],
        quirks: Quirks::NO_DEEPEST_PS,
    },
    MachineRow {
        devices: &[(SAMSUNG, 0xa804)],
        vendor: Some((MachineField::BoardVendor, c"ASUSTeK COMPUTER INC.")),
        field: MachineField::Board,
        texts: &[c"PRIME B350M-A", c"PRIME Z370-A"],
        quirks: Quirks::NO_APST,
    },
    MachineRow {
        devices: &[],
        vendor: None,
        field: MachineField::Board,
        texts: &[c"LXKT-ZXEG-N6"],
        quirks: Quirks::NO_APST,
    },
    // Power while the system sleeps.
    MachineRow {
        devices: &[
            (SAMSUNG, 0xa801),
            (SAMSUNG, 0xa808),
            (SAMSUNG, 0xa809),
            (0x1e0f, 0x0001),
        ],
        vendor: Some((MachineField::BoardVendor, c"LENOVO")),
        field: MachineField::Board,
        texts: &[c"LNVNB161216"],
        quirks: Quirks::SIMPLE_SUSPEND,
    },
    MachineRow {
        devices: &[(KINGSTON, 0x2263), (KINGSTON, 0x500f)],
        vendor: None,
        field: MachineField::Board,
        texts: &[
            c"NS5X_NS7XAU",
            c"NS5x_7xAU",
            c"NS5x_7xPU",
            c"PH4PRX1_PH6PRX1",
        ],
        quirks: Quirks::FORCE_NO_SIMPLE_SUSPEND,
    },
    MachineRow {
        devices: &[(SAMSUNG, 0xa80d)],
        vendor: None,
        field: MachineField::Board,
        texts: &[
            c"DN50Z-140HC-YD",
            c"GMxPXxx",
            c"GXxMRXx",
            c"NS5X_NS7XAU",
            c"PH4PG31",
            c"PH4PRX1_PH6PRX1",
            c"PH6PG01_PH6PG71",
        ],
        quirks: Quirks::FORCE_NO_SIMPLE_SUSPEND,
    },
];

/// The quirks of all rows that match.
fn all(rows: impl Iterator<Item = Quirks>) -> Quirks {
    rows.fold(Quirks::NONE, Quirks::and)
}

/// The quirks of a PCI device.
pub(super) fn of_device(vendor: u16, device: u16) -> Quirks {
    let rows = DEVICES.iter();
    all(rows
        .filter(|(of, devices, _)| *of == vendor && devices.contains(&device))
        .map(|(_, _, quirks)| *quirks))
}

/// The quirks of a controller with this Identify data, without the padding of the texts.
pub(super) fn of_model(vendor: u16, model: &str, firmware: &str) -> Quirks {
    let is = |wanted: &str, text: &str| wanted.is_empty() || wanted == text;
    let rows = MODELS.iter();
    all(rows
        .filter(|(of, wanted, version, _)| {
            *of == vendor && is(wanted, model) && is(version, firmware)
        })
        .map(|(_, _, _, quirks)| *quirks))
}

/// The quirks of a PCI device in a machine.
pub(super) fn of_machine(
    vendor: u16,
    device: u16,
    is: impl Fn(MachineField, &'static CStr) -> bool,
) -> Quirks {
    let rows = MACHINES.iter();
    all(rows
        .filter(|row| {
            (row.devices.is_empty() || row.devices.contains(&(vendor, device)))
                && row.vendor.is_none_or(|(field, text)| is(field, text))
                && row.texts.iter().any(|text| is(row.field, text))
        })
        .map(|row| row.quirks))
}
