// SPDX-License-Identifier: GPL-2.0

//! Who uses an object of the module's, such as a workqueue, that code reaches without holding it.

use core::sync::atomic::{
    AtomicUsize,
    Ordering, //
};

/// The number of users of an object, its owner included; 0: there is no object, and no user may
/// begin.
pub(super) struct Users(AtomicUsize);

impl Users {
    /// There is no object yet.
    pub(super) const fn none() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// There is an object now: its owner is the first user. Called once.
    pub(super) fn open(&self) {
        self.0.store(1, Ordering::Release);
    }

    /// A user begins; returns whether there is an object.
    pub(super) fn enter(&self) -> bool {
        let more = |users: usize| users.checked_add(1).filter(|_| users != 0);
        self.0
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, more)
            .is_ok()
    }

    /// A user ends, the owner or another; returns whether it was the last, who alone may destroy
    /// the object. After that no user begins.
    pub(super) fn leave(&self) -> bool {
        self.0.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

#[kernel::macros::kunit_tests(rnvme_users)]
mod tests {
    use super::*;

    #[test]
    fn no_user_begins_without_an_object() {
        let users = Users::none();
        assert!(!users.enter());
        users.open();
        assert!(users.enter() && users.enter());
        assert!(!users.leave());
        // The owner goes before a user: the object stays.
        assert!(!users.leave());
        assert!(users.enter() && !users.leave());
        assert!(users.leave());
        assert!(!users.enter());
    }
}
