// SPDX-License-Identifier: GPL-2.0

//! What readers without the lock see of a controller's life.

use super::State;

/// State and pause of a [`super::Lifecycle`], as they were at one moment, and whether its bring-up is
/// quiet.
#[derive(Clone, Copy)]
pub(crate) struct Snapshot(u8);

impl Snapshot {
    /// The snapshot of a controller in `state`, `paused` or not; `quiet`: see
    /// [`Self::is_quiet`].
    pub(super) const fn new(state: State, paused: bool, quiet: bool) -> Self {
        // CAST: the numbers of states are small.
        Self((state as u8) << 2 | (quiet as u8) << 1 | paused as u8)
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
        State::from_raw(self.0 >> 2)
    }

    /// Whether the driver began the last bring-up by itself, as it does again and again: the log has no
    /// line about it.
    pub(crate) fn is_quiet(self) -> bool {
        self.0 & 2 != 0
    }

    /// Whether a bring-up may go on.
    pub(crate) fn is_coming_up(self) -> bool {
        let state = self.state();
        self.0 & 1 == 0 && matches!(state, State::New | State::Resetting | State::Trying)
    }
}
