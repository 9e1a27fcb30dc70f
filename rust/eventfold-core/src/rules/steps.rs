//! What holding an append to the rules may take.

use crate::limits::{APPEND_INLINE_STEPS_MAX, APPEND_STEPS_MAX};

/// Steps that are left for holding events to schemas and mappings.
#[derive(Debug, Clone)]
pub struct Steps {
    pub(super) left: u64,
    pub(super) at_once: bool,
    pub(super) exceeded: bool,
}

impl Steps {
    /// [`APPEND_STEPS_MAX`], for one append. If these are not enough, its events count as ones that
    /// do not fit.
    pub fn whole() -> Self {
        Self::of(APPEND_STEPS_MAX)
    }

    /// [`APPEND_INLINE_STEPS_MAX`], for one append or several: as many as may be taken where others
    /// wait. An append for which these are not enough is not judged.
    pub fn at_once() -> Self {
        Self { at_once: true, ..Self::of(APPEND_INLINE_STEPS_MAX) }
    }

    pub(super) fn of(left: u64) -> Self {
        Self { left, at_once: false, exceeded: false }
    }

    /// Takes so many steps; false: so many are not left.
    pub(super) fn take(&mut self, steps: u64) -> bool {
        match self.left.checked_sub(steps) {
            Some(left) => self.left = left,
            None => self.exceed(),
        }
        !self.exceeded
    }

    /// Notes that those that are left are not enough.
    pub(super) fn exceed(&mut self) {
        self.left = 0;
        self.exceeded = true;
    }

    /// Whether the append goes unjudged, so that nothing about it is worth any more work.
    pub(crate) fn gave_up(&self) -> bool {
        self.at_once && self.exceeded
    }

    /// Begins with the next append.
    pub(crate) fn begin(&mut self) {
        self.exceeded = false;
    }
}
