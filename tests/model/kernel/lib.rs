// SPDX-License-Identifier: GPL-2.0

//! Stand-ins for what the driver's protocols use of the kernel crate.

pub use core::fmt;
pub use macros;

/// `kernel::prelude`.
pub mod prelude {
    pub use crate::{
        alloc::{
            KVec,
            GFP_KERNEL, //
        },
        error::Result,
    };
    pub use macros::kunit_tests;
}

/// `kernel::error`.
pub mod error {
    /// The reason of a failure; no allocation fails here.
    #[derive(Debug)]
    pub enum Error {}

    /// A result with the kernel's error.
    pub type Result<T = (), E = Error> = core::result::Result<T, E>;
}

/// `kernel::num`.
pub mod num {
    /// `kernel::num::casts`: conversions that lose nothing on a 64-bit machine.
    pub mod casts {
        /// As `kernel::num::casts::arch`.
        pub mod arch {
            /// As `kernel::num::casts`.
            pub const fn u64_as_usize(value: u64) -> usize {
                value as usize
            }
        }
        /// As `kernel::num::casts`.
        pub const fn u16_as_u32(value: u16) -> u32 {
            value as u32
        }
        /// As `kernel::num::casts`.
        pub const fn u16_as_u64(value: u16) -> u64 {
            value as u64
        }
        /// As `kernel::num::casts`.
        pub const fn u16_as_usize(value: u16) -> usize {
            value as usize
        }
        /// As `kernel::num::casts`.
        pub const fn u32_as_u64(value: u32) -> u64 {
            value as u64
        }
        /// As `kernel::num::casts`.
        pub const fn u32_as_usize(value: u32) -> usize {
            value as usize
        }
        /// As `kernel::num::casts`.
        pub const fn u8_as_u16(value: u8) -> u16 {
            value as u16
        }
        /// As `kernel::num::casts`.
        pub const fn usize_as_u64(value: usize) -> u64 {
            value as u64
        }
        /// As `kernel::num::casts`.
        pub const fn usize_into_u32<const VALUE: usize>() -> u32 {
            VALUE as u32
        }
    }
}

/// `kernel::alloc`.
pub mod alloc {
    use crate::error::Result;

    /// How to allocate.
    #[derive(Clone, Copy)]
    pub struct Flags;

    /// The usual way.
    pub const GFP_KERNEL: Flags = Flags;

    /// Where to allocate.
    #[derive(Clone, Copy)]
    pub struct NumaNode;

    impl NumaNode {
        /// Anywhere.
        pub const NO_NODE: Self = Self;
    }

    /// A vector.
    pub struct KVec<T>(std::vec::Vec<T>);

    impl<T> KVec<T> {
        /// An empty one.
        pub fn with_capacity(capacity: usize) -> Self {
            Self(std::vec::Vec::with_capacity(capacity))
        }

        /// Appends `value`.
        pub fn push(&mut self, value: T, _flags: Flags) -> Result {
            self.0.push(value);
            Ok(())
        }

        /// All elements.
        pub fn as_slice(&self) -> &[T] {
            &self.0
        }
    }

    impl<T> core::ops::Deref for KVec<T> {
        type Target = [T];

        fn deref(&self) -> &[T] {
            &self.0
        }
    }
}

/// `kernel::sync`.
pub mod sync {
    use crate::{
        alloc::Flags,
        error::Result, //
    };

    /// A shared value.
    pub struct Arc<T>(std::sync::Arc<T>);

    impl<T> Arc<T> {
        /// Shares `value`.
        pub fn new(value: T, _flags: Flags) -> Result<Self> {
            Ok(Self(std::sync::Arc::new(value)))
        }
    }

    impl<T> Clone for Arc<T> {
        fn clone(&self) -> Self {
            Self(self.0.clone())
        }
    }

    impl<T> core::ops::Deref for Arc<T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0
        }
    }
}
