// SPDX-License-Identifier: GPL-2.0

//! Stands in for the driver's requests: complains when one has two owners.

use crate::sys::ffi as bindings;
use loom::cell::UnsafeCell;
use std::{
    marker::PhantomData,
    ptr::NonNull,
    sync::{
        atomic::{
            AtomicBool,
            Ordering::Relaxed, //
        },
        Arc,
    },
};

/// The driver's types; the protocols need none of them.
pub(crate) trait Types: 'static {}

/// The requests of a model, which it keeps until its end.
#[derive(Clone)]
pub(crate) struct Requests(Arc<[bindings::request]>);

impl Requests {
    /// One for each of `tags`; its data is 0.
    pub(crate) fn new(tags: &[u16]) -> Self {
        let requests = tags.iter().map(|&tag| bindings::request {
            tag,
            is_owned: AtomicBool::new(false),
            data: UnsafeCell::new(0),
        });
        Self(requests.collect())
    }

    /// Request `index`, owned and started.
    pub(crate) fn start<T: Types>(&self, index: usize) -> Started<T> {
        Started::own(NonNull::from(&self.0[index]))
    }

    /// Whether the driver, not the hardware, has request `index`.
    pub(crate) fn is_owned(&self, index: usize) -> bool {
        self.0[index].is_owned.load(Relaxed)
    }
}

/// An owned request. A drop keeps the owner, because a request that has ended has no other.
pub(crate) struct Started<T: Types> {
    ptr: NonNull<bindings::request>,
    _operations: PhantomData<T>,
}

// SAFETY: it points to a request of `Requests`, which all threads of a model keep.
unsafe impl<T: Types> Send for Started<T> {}

impl<T: Types> Started<T> {
    fn own(ptr: NonNull<bindings::request>) -> Self {
        let started = Self {
            ptr,
            _operations: PhantomData,
        };
        let before = started.request().is_owned.swap(true, Relaxed);
        assert!(!before, "a request has two owners");
        started
    }

    fn request(&self) -> &bindings::request {
        // SAFETY: as above.
        unsafe { self.ptr.as_ref() }
    }

    /// # Safety
    ///
    /// As the driver's.
    pub(in crate::sys) unsafe fn from_raw(ptr: *mut bindings::request) -> Self {
        Self::own(NonNull::new(ptr).expect("a request is not at address 0"))
    }

    /// The C request. The driver asks for it only to hand it over.
    pub(in crate::sys) fn as_non_null(&self) -> NonNull<bindings::request> {
        let before = self.request().is_owned.swap(false, Relaxed);
        assert!(before, "a request without an owner is handed over");
        self.ptr
    }

    /// The tag of the request.
    pub(crate) fn tag(&self) -> u16 {
        self.request().tag
    }

    /// Its data.
    pub(crate) fn data(&self) -> u32 {
        // SAFETY: the request is owned, so its data is; loom checks it.
        self.request().data.with(|data| unsafe { *data })
    }

    /// Changes its data.
    pub(crate) fn set_data(&mut self, value: u32) {
        // SAFETY: as above.
        self.request()
            .data
            .with_mut(|data| unsafe { *data = value });
    }
}
