// SPDX-License-Identifier: GPL-2.0

//! Text that a device writes.
//!
//! Base 1.4.2 (ASCII strings, padded with spaces).

use core::str;
use kernel::{
    fmt,
    prelude::*, //
};

/// An ASCII field without its padding; a `?` stands for each unprintable byte.
#[derive(Clone, Copy)]
pub(crate) struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    /// The text of the field `raw`.
    pub(crate) fn new(raw: &[u8; N]) -> Self {
        let is_padding = |byte: &u8| matches!(byte, b' ' | 0);
        let start = raw.iter().take_while(|byte| is_padding(byte)).count();
        let end = N - raw.iter().rev().take_while(|byte| is_padding(byte)).count();
        let mut bytes = [0; N];
        let mut len = 0;
        for (to, from) in bytes
            .iter_mut()
            .zip(raw.get(start..end).unwrap_or_default())
        {
            *to = if matches!(from, b' '..=b'~') {
                *from
            } else {
                b'?'
            };
            len += 1;
        }
        Self { bytes, len }
    }

    /// Whether the field says nothing: it has padding only.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether `other` is another text, and neither is empty.
    pub(crate) fn is_other(&self, other: &Self) -> bool {
        !self.is_empty() && !other.is_empty() && self.as_str() != other.as_str()
    }

    /// This text, or `other` if it is empty.
    pub(crate) fn or(self, other: Self) -> Self {
        match self.is_empty() {
            true => other,
            false => self,
        }
    }

    /// The text: printable ASCII, at most `N` characters.
    pub(crate) fn as_str(&self) -> &str {
        let text = self.bytes.get(..self.len).unwrap_or_default();
        // Never the default: the bytes are ASCII.
        str::from_utf8(text).unwrap_or_default()
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[kunit_tests(rnvme_text)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_no_text() {
        for (raw, text) in [
            (b"        ", ""),
            (b"\0\0\0\0\0\0\0\0", ""),
            (b" \0a b\0  ", "a b"),
            (b"12345678", "12345678"),
            (b"a\0\nb\x7f\xff~!", "a??b??~!"),
        ] {
            assert_eq!(Text::new(raw).as_str(), text);
        }
    }
}
