// SPDX-License-Identifier: GPL-2.0

//! The module parameter `quirks`: `VENDOR:DEVICE:NAME,NAME`, entries separated by `-`, ids in
//! hexadecimal digits. `^NAME` takes a quirk away. The form is that of Linux's driver.

use super::Quirks;
use kernel::{
    fmt,
    prelude::*, //
};

/// The user's changes to the quirks of devices: a text of the parameter that is well formed.
#[derive(Clone, Copy)]
pub(crate) struct QuirkOverrides(&'static str);

/// Why a text is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadQuirks<'a> {
    /// Not ASCII, for instance.
    Text,
    /// Not of the form `VENDOR:DEVICE:NAME,NAME`.
    Entry(&'a str),
    /// There is no such quirk.
    Name(&'a str),
}

impl fmt::Display for BadQuirks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("parameter quirks: ")?;
        match self {
            Self::Text => f.write_str("it is no text"),
            Self::Entry(entry) => write!(
                f,
                "'{entry}' is not VENDOR:DEVICE:NAME,^NAME with ids of up to four hexadecimal digits"
            ),
            Self::Name(name) => write!(f, "there is no quirk '{name}'"),
        }
    }
}

/// The change of one entry.
struct QuirkChange {
    ids: (u16, u16),
    on: Quirks,
    off: Quirks,
}

impl QuirkChange {
    fn parse(entry: &str) -> Result<Self, BadQuirks<'_>> {
        let bad = BadQuirks::Entry(entry);
        let mut parts = entry.splitn(3, ':');
        let mut id = || number(parts.next()?);
        let ids = id().zip(id()).ok_or(bad)?;
        let names = parts.next().filter(|names| !names.is_empty()).ok_or(bad)?;
        let mut change = Self {
            ids,
            on: Quirks::NONE,
            off: Quirks::NONE,
        };
        for name in names.split(',') {
            let (set, plain) = match name.strip_prefix('^') {
                Some(plain) => (&mut change.off, plain),
                None => (&mut change.on, name),
            };
            *set = set.and(Quirks::by_name(plain).ok_or(BadQuirks::Name(plain))?);
        }
        Ok(change)
    }
}

/// A number of 16 bits in hexadecimal digits.
fn number(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    // `from_str_radix` takes a sign.
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u16::from_str_radix(digits, 16).ok().filter(|_| is_plain)
}

/// The entries of a text.
fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split('-').filter(move |_| !text.is_empty())
}

impl QuirkOverrides {
    /// No change.
    pub(crate) const NONE: Self = Self("");

    /// The changes that `text` says.
    ///
    /// # Errors
    ///
    /// The first part that is not well formed.
    pub(crate) fn new(text: &'static [u8]) -> Result<Self, BadQuirks<'static>> {
        let text = core::str::from_utf8(text).map_err(|_| BadQuirks::Text)?;
        for entry in entries(text) {
            QuirkChange::parse(entry)?;
        }
        Ok(Self(text))
    }

    /// The quirks of the device with these ids, which are `found` without the user's changes.
    pub(super) fn apply(self, ids: (u16, u16), found: Quirks) -> Quirks {
        let changes = entries(self.0).filter_map(|entry| QuirkChange::parse(entry).ok());
        changes
            .filter(|change| change.ids == ids)
            .fold(found, |quirks, change| {
                quirks.and(change.on).without(change.off)
            })
    }
}

#[kunit_tests(rnvme_quirk_overrides)]
mod tests {
    use super::*;

    const IDS: (u16, u16) = (0x8086, 0x5845);

    fn applied(text: &'static str, found: Quirks) -> Result<Quirks, BadQuirks<'static>> {
        Ok(QuirkOverrides::new(text.as_bytes())?.apply(IDS, found))
    }

    #[test]
    fn entries_change_their_device() {
        let both = Quirks::BOGUS_NID.and(Quirks::NO_APST);
        for (text, found, expected) in [
            ("", both, both),
            ("8086:5845:no_apst", Quirks::NONE, Quirks::NO_APST),
            ("0x8086:0x5845:no_apst", Quirks::NONE, Quirks::NO_APST),
            ("8086:5845:^bogus_nid", both, Quirks::NO_APST),
            (
                "8086:5845:^bogus_nid,no_apst",
                Quirks::BOGUS_NID,
                Quirks::NO_APST,
            ),
            ("8086:5845:^no_apst,no_apst", Quirks::NONE, Quirks::NONE),
            ("8086:5846:no_apst", Quirks::NONE, Quirks::NONE),
            (
                "1:2:no_apst-8086:5845:bogus_nid",
                Quirks::NONE,
                Quirks::BOGUS_NID,
            ),
            ("8086:5845:no_apst-8086:5845:bogus_nid", Quirks::NONE, both),
            (
                "8086:5845:128_bytes_sqes",
                Quirks::NONE,
                Quirks::SQES_128_BYTES,
            ),
        ] {
            assert_eq!(applied(text, found), Ok(expected));
        }
    }

    #[test]
    fn others_are_refused() {
        for text in [
            "nonsense",
            "8086",
            "8086:5845",
            "8086:5845:",
            ":5845:no_apst",
            "8086::no_apst",
            "+8086:5845:no_apst",
            "18086:5845:no_apst",
            "8086:58g5:no_apst",
            "-8086:5845:no_apst",
            "8086:5845:no_apst-",
        ] {
            assert!(matches!(
                applied(text, Quirks::NONE),
                Err(BadQuirks::Entry(_))
            ));
        }
        for (text, name) in [
            ("8086:5845:apst", "apst"),
            ("8086:5845:^", ""),
            ("8086:5845:no_apst,", ""),
            ("8086:5845:no_apst:bogus_nid", "no_apst:bogus_nid"),
            ("8086:5845:^^no_apst", "^no_apst"),
        ] {
            assert_eq!(applied(text, Quirks::NONE), Err(BadQuirks::Name(name)));
        }
        let bad = QuirkOverrides::new(&[0xff]).err();
        assert_eq!(bad, Some(BadQuirks::Text));
    }
}
