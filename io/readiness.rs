// SPDX-License-Identifier: GPL-2.0

//! Whether a namespace is ready: how long its commands that fail with Namespace Not Ready wait.

use crate::policy::NotReady;
use core::sync::atomic::{
    AtomicBool,
    AtomicU64,
    Ordering::Relaxed, //
};
use kernel::{
    prelude::*,
    time::{
        Instant,
        Monotonic, //
    },
};

/// The wait of a namespace. CPUs may note at the same time that it is not ready: each of them notes
/// nearly the same.
pub(crate) struct Readiness {
    /// The time from which the others count.
    born: Instant<Monotonic>,
    /// [`NotReady::began`] plus 1; 0: the namespace was always ready.
    began: AtomicU64,
    /// [`NotReady::seen`].
    seen: AtomicU64,
    /// The longest wait, in milliseconds.
    limit_ms: u32,
    /// Whether a command failed, because the wait was over.
    gave_up: AtomicBool,
    /// Whether the disk goes: nothing is waited for any more.
    is_over: AtomicBool,
}

/// What to do with a command that failed because the namespace is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pause {
    /// The milliseconds until the next try.
    pub(crate) ms: u32,
    /// Whether the wait begins with this command: the longest wait in milliseconds.
    pub(crate) begins: Option<u32>,
}

impl Readiness {
    /// A namespace that is ready; a wait takes at most `limit_ms` milliseconds.
    pub(crate) fn new(limit_ms: u32) -> Self {
        Self {
            born: Instant::now(),
            began: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            limit_ms,
            gave_up: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        }
    }

    /// A command has failed because the namespace is not ready. `None`: the wait is over.
    pub(super) fn pause(&self) -> Option<Pause> {
        let now = self.now();
        let before = self.began.load(Relaxed).checked_sub(1);
        let before = before.map(|began| NotReady {
            began,
            seen: self.seen.load(Relaxed),
        });
        let state = NotReady::again(before, now);
        self.seen.store(state.seen, Relaxed);
        self.began.store(state.began.wrapping_add(1), Relaxed);
        let pause = state.pause(self.limit_ms);
        let Some(ms) = pause.filter(|_| !self.is_over.load(Relaxed)) else {
            self.gave_up.store(true, Relaxed);
            return None;
        };
        let is_new = before.is_none_or(|before| before.began != state.began);
        Some(Pause {
            ms,
            begins: is_new.then_some(self.limit_ms),
        })
    }

    /// The controller was reset: a namespace that is not ready is waited for as long again.
    pub(crate) fn begin_anew(&self) {
        self.began.store(0, Relaxed);
    }

    /// From now on no command waits.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Relaxed);
    }

    /// Whether a command failed since the last [`Self::take_gave_up`], because the wait was over: what
    /// was read before, the partition table for example, may be missing.
    pub(crate) fn has_given_up(&self) -> bool {
        self.gave_up.load(Relaxed)
    }

    /// Whether [`Self::has_given_up`], which is not so any more. If the namespace is still not ready,
    /// commands that come now fail at once: the driver has waited for it.
    pub(crate) fn take_gave_up(&self) -> bool {
        let gave_up = self.gave_up.swap(false, Relaxed);
        if gave_up {
            self.seen.store(self.now(), Relaxed);
        }
        gave_up
    }

    /// Milliseconds since the namespace got its disk.
    fn now(&self) -> u64 {
        // CAST: the clock does not go back.
        self.born.elapsed().as_millis().max(0) as u64
    }
}

#[kunit_tests(rnvme_readiness)]
mod tests {
    use super::*;

    #[test]
    fn the_first_command_begins_the_wait() {
        let readiness = Readiness::new(60_000);
        let first = readiness.pause();
        assert_eq!(first.and_then(|pause| pause.begins), Some(60_000));
        assert_eq!(readiness.pause().map(|pause| pause.begins), Some(None));
        readiness.begin_anew();
        assert!(readiness
            .pause()
            .is_some_and(|pause| pause.begins.is_some()));
        assert!(!readiness.take_gave_up());
    }

    #[test]
    fn nothing_waits_after_the_end() {
        let readiness = Readiness::new(60_000);
        assert!(readiness.pause().is_some());
        readiness.end();
        assert_eq!(readiness.pause(), None);
        readiness.begin_anew();
        assert_eq!(readiness.pause(), None);
    }

    #[test]
    fn a_wait_that_is_over_is_noted_once() {
        let readiness = Readiness::new(0);
        assert_eq!(readiness.pause(), None);
        assert!(readiness.has_given_up() && readiness.take_gave_up());
        assert!(!readiness.has_given_up() && !readiness.take_gave_up());
    }
}
