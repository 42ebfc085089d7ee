// SPDX-License-Identifier: GPL-2.0

//! A request that is borrowed, in a register.

use super::request::{
    Request,
    Types, //
};
use crate::sys::ffi as bindings;
use core::{
    marker::PhantomData,
    ops::Deref,
    ptr::NonNull, //
};

/// A borrowed request, as one pointer: a reference would keep the owner's pointer in memory.
///
/// # Invariants
///
/// `ptr` is that of a [`Request`] that is borrowed as long as `'a`.
pub(crate) struct Borrowed<'a, T: Types> {
    ptr: NonNull<bindings::request>,
    _owner: PhantomData<&'a Request<T>>,
}

impl<T: Types> Clone for Borrowed<'_, T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Types> Copy for Borrowed<'_, T> {}

impl<T: Types> Deref for Borrowed<'_, T> {
    type Target = Request<T>;

    #[inline(always)]
    fn deref(&self) -> &Request<T> {
        // SAFETY: `Request` is transparent: it has the layout of its pointer. By the type invariant
        // that is the pointer of a request which is borrowed, and the reference is shared.
        unsafe { &*(&raw const self.ptr).cast::<Request<T>>() }
    }
}

impl<T: Types> Request<T> {
    /// The request, borrowed.
    #[inline(always)]
    pub(crate) fn borrow(&self) -> Borrowed<'_, T> {
        // INVARIANT: by the lifetime.
        Borrowed {
            ptr: self.as_non_null(),
            _owner: PhantomData,
        }
    }
}
