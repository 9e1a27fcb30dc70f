//! What one evaluation may cost.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::limits::EVALUATION_STEPS_MAX;

use super::error::{Eval, EvalError};

/// The cancellation flag is read once in so many steps.
const CANCEL_CHECK_STEPS: u64 = 1_024;
/// Bytes of text that are read or written for one step.
const STEP_BYTES: usize = 32;

/// Steps that are left for the expressions of one event, and a flag that stops them early.
#[derive(Debug)]
pub struct Budget<'a> {
    /// Steps until the next look at the flag and the rest.
    slice: u64,
    /// Steps left after this slice.
    rest: u64,
    cancelled: Option<&'a AtomicBool>,
    /// What else an evaluation is given, and expressions cannot see.
    pseudonym_key: Option<&'a [u8; 32]>,
}

impl Default for Budget<'_> {
    fn default() -> Self {
        Self::new(EVALUATION_STEPS_MAX)
    }
}

impl<'a> Budget<'a> {
    /// A budget of that many steps.
    pub fn new(steps: u64) -> Self {
        let slice = steps.min(CANCEL_CHECK_STEPS);
        Self { slice, rest: steps - slice, cancelled: None, pseudonym_key: None }
    }

    /// The same budget, ended early when the flag becomes true.
    #[must_use]
    pub fn with_cancel(mut self, cancelled: &'a AtomicBool) -> Self {
        self.cancelled = Some(cancelled);
        self
    }

    /// The same budget for expressions that make pseudonyms under a key.
    #[must_use]
    pub fn with_pseudonym_key(mut self, key: Option<&'a [u8; 32]>) -> Self {
        self.pseudonym_key = key;
        self
    }

    /// The key of pseudonyms.
    pub(crate) fn pseudonym_key(&self) -> Option<&'a [u8; 32]> {
        self.pseudonym_key
    }

    /// The steps that are left.
    pub fn steps_left(&self) -> u64 {
        self.slice + self.rest
    }

    /// Fills the budget up again, for the next event.
    pub fn refill(&mut self, steps: u64) {
        self.slice = steps.min(CANCEL_CHECK_STEPS);
        self.rest = steps - self.slice;
    }

    /// Takes one step.
    #[inline]
    pub(crate) fn step(&mut self) -> Eval<()> {
        if self.slice > 0 {
            self.slice -= 1;
            return Ok(());
        }
        self.spend_slow(1)
    }

    /// Takes `steps` steps, before the work that they stand for.
    #[inline]
    pub(crate) fn spend(&mut self, steps: usize) -> Eval<()> {
        let steps = steps as u64;
        if self.slice >= steps {
            self.slice -= steps;
            return Ok(());
        }
        self.spend_slow(steps)
    }

    /// Takes the steps for reading or writing so many bytes of text.
    #[inline]
    pub(crate) fn spend_bytes(&mut self, bytes: usize) -> Eval<()> {
        self.spend(bytes / STEP_BYTES)
    }

    #[cold]
    fn spend_slow(&mut self, steps: u64) -> Eval<()> {
        if self.cancelled.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
            return Err(limit("the evaluation was cancelled"));
        }
        let left = self.steps_left();
        if left < steps {
            self.refill(0);
            return Err(limit("the evaluation took more steps than allowed"));
        }
        self.refill(left - steps);
        Ok(())
    }
}

fn limit(message: &str) -> Box<EvalError> {
    Box::new(EvalError::limit(message, EVALUATION_STEPS_MAX))
}
