// SPDX-License-Identifier: GPL-2.0

//! What readers without the lock see of a controller's life.

use super::State;

/// State and pause of a [`super::Lifecycle`], as they were at one moment.
#[derive(Clone, Copy)]
pub(crate) struct Snapshot(u8);

impl Snapshot {
    /// The snapshot of a controller in `state`, `paused` or not.
    pub(super) const fn new(state: State, paused: bool) -> Self {
        // CAST: the numbers of states are small.
        Self((state as u8) << 1 | paused as u8)
    }

    /// The snapshot of number `raw`.
    pub(crate) fn from_raw(raw: u8) -> Self {
        Self(raw)
    }

    /// The number.
    pub(crate) fn into_raw(self) -> u8 {
        self.0
    }

    /// The state.
    pub(crate) fn state(self) -> State {
        State::from_raw(self.0 >> 1)
    }

    /// Whether a bring-up may go on.
    pub(crate) fn is_coming_up(self) -> bool {
        let state = self.state();
        self.0 & 1 == 0 && matches!(state, State::New | State::Resetting | State::Trying)
    }
}
