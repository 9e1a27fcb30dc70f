//! What one validation, or one comparison, may cost.
//!
//! The crate that validates has no way to stop. So the instance counts what is asked of it, and
//! unwinds when that is too much; nobody else sees it, since the validation is all that is undone.
//! A comparison counts what it looks at in the same way.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::limits::SCHEMA_STACK_BYTES_MAX;

/// What the work has used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exceeded {
    /// Its steps.
    Steps,
    /// The stack, which an event and a schema that are both deep take, or two deep schemas.
    Stack,
    /// The errors that it may find.
    Errors,
    /// Those of a pattern, which goes back too often.
    Pattern,
}

/// What work may cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) steps: u64,
    pub(super) errors: u64,
    /// Steps that each member of an object costs, and again for each 64 bytes of its name.
    pub(super) member_steps: u64,
    /// Bytes of the patterns that a name is matched with.
    pub(super) pattern_bytes: usize,
}

struct Left {
    steps: Cell<u64>,
    errors: Cell<u64>,
    /// The lowest address that the stack may reach: it grows downwards.
    floor: Cell<usize>,
    /// Steps that each member of an object costs.
    member_steps: Cell<u64>,
    pattern_bytes: Cell<usize>,
}

impl Left {
    /// Puts other bounds, with the lowest address of the stack; gives those that were.
    fn replace(&self, bounds: Bounds, floor: usize) -> (Bounds, usize) {
        let outer = Bounds {
            steps: self.steps.replace(bounds.steps),
            errors: self.errors.replace(bounds.errors),
            member_steps: self.member_steps.replace(bounds.member_steps),
            pattern_bytes: self.pattern_bytes.replace(bounds.pattern_bytes),
        };
        (outer, self.floor.replace(floor))
    }
}

thread_local! {
    static LEFT: Left = const {
        Left {
            steps: Cell::new(u64::MAX),
            errors: Cell::new(u64::MAX),
            floor: Cell::new(0),
            member_steps: Cell::new(0),
            pattern_bytes: Cell::new(0),
        }
    };
}

/// Does work within bounds, and says how many steps it took. These count for the work that it is
/// part of, which goes on.
pub(super) fn bounded<T>(bounds: Bounds, work: impl FnOnce() -> T) -> (Result<T, Exceeded>, u64) {
    let floor = here().saturating_sub(SCHEMA_STACK_BYTES_MAX);
    let outer = LEFT.with(|left| left.replace(bounds, floor));
    // What it leaves half done is dropped with it.
    let done = catch_unwind(AssertUnwindSafe(work));
    let (outer, floor) = outer;
    let taken = bounds.steps - left();
    let rest = Bounds { steps: outer.steps.saturating_sub(taken), ..outer };
    LEFT.with(|left| left.replace(rest, floor));
    let done = done.map_err(|payload| match payload.downcast() {
        Ok(exceeded) => *exceeded,
        Err(panic) => resume_unwind(panic),
    });
    (done, taken)
}

/// Does work of a comparison that may take so many steps; see [`bounded`].
pub(super) fn limited<T>(steps: u64, work: impl FnOnce() -> T) -> Result<T, Exceeded> {
    bounded(Bounds { steps, errors: u64::MAX, member_steps: 1, pattern_bytes: 0 }, work).0
}

/// How many steps are left.
pub(super) fn left() -> u64 {
    LEFT.with(|left| left.steps.get())
}

/// Counts so many steps.
#[inline]
pub(super) fn steps(steps: u64) {
    LEFT.with(|left| {
        match left.steps.get().checked_sub(steps) {
            Some(rest) => left.steps.set(rest),
            None => {
                left.steps.set(0);
                exceed(Exceeded::Steps);
            }
        }
        if here() < left.floor.get() {
            exceed(Exceeded::Stack);
        }
    });
}

/// Counts the steps of reading so many bytes.
#[inline]
pub(super) fn bytes(bytes: usize) {
    steps(1 + bytes as u64 / 64);
}

/// Counts the steps of a member whose key has so many bytes.
#[inline]
pub(super) fn member(key_bytes: usize) {
    let (each, patterns) = LEFT.with(|left| (left.member_steps.get(), left.pattern_bytes.get()));
    steps(each.saturating_mul(1 + key_bytes as u64 / 64));
    if patterns > 0 {
        matching(key_bytes, patterns);
    }
}

/// Counts the steps of matching a text of so many bytes with patterns of so many.
#[inline]
pub(super) fn matching(text_bytes: usize, pattern_bytes: usize) {
    // At worst, each byte of the text has to do with all of a pattern; that is rare.
    steps((text_bytes as u64).saturating_mul(pattern_bytes as u64) / 1024);
}

/// Ends the work for a pattern that goes back too often.
#[cold]
pub(super) fn pattern_failed() -> ! {
    exceed(Exceeded::Pattern)
}

/// Counts an error.
pub(super) fn error() {
    LEFT.with(|left| match left.errors.get().checked_sub(1) {
        Some(rest) => left.errors.set(rest),
        None => exceed(Exceeded::Errors),
    });
}

#[inline]
fn here() -> usize {
    let local = 0_u8;
    std::ptr::from_ref(&local) as usize
}

#[cold]
fn exceed(exceeded: Exceeded) -> ! {
    resume_unwind(Box::new(exceeded))
}

#[cfg(test)]
mod tests {
    use super::{Bounds, Exceeded, bounded, error, left, limited, pattern_failed, steps};
    use crate::limits::SCHEMA_STACK_BYTES_MAX;

    fn within(steps: u64, errors: u64) -> Bounds {
        Bounds { steps, errors, member_steps: 1, pattern_bytes: 0 }
    }

    #[test]
    fn work_ends_when_it_has_used_up_its_steps_or_errors() {
        assert_eq!(bounded(within(9, 0), || steps(9)), (Ok(()), 9));
        assert_eq!(bounded(within(9, 0), || steps(10)), (Err(Exceeded::Steps), 9));
        let errors = |count| bounded(within(9, 2), || (0..count).for_each(|_| error()));
        assert_eq!(errors(2), (Ok(()), 0));
        assert_eq!(errors(3), (Err(Exceeded::Errors), 0));
    }

    #[test]
    fn work_inside_of_work_counts_for_both() {
        let inner = || limited(5, || steps(5));
        assert_eq!(limited(8, || (inner(), left())), Ok((Ok(()), 3)));
        let inner = || limited(5, || steps(6));
        assert_eq!(limited(8, || (inner(), left())), Ok((Err(Exceeded::Steps), 3)));
        let outer = limited(8, || {
            let _ = inner();
            steps(4);
        });
        assert_eq!(outer, Err(Exceeded::Steps));
    }

    #[test]
    fn work_ends_with_a_pattern_that_fails() {
        let work = || {
            steps(3);
            pattern_failed()
        };
        assert_eq!(bounded::<()>(within(9, 0), work), (Err(Exceeded::Pattern), 3));
    }

    #[test]
    fn work_ends_when_the_stack_is_too_deep() {
        fn dig(levels: usize) -> usize {
            let ballast = std::hint::black_box([levels; 128]);
            steps(1);
            if levels == 0 { 0 } else { dig(levels - 1) + ballast[0] - levels + 1 }
        }
        let levels = SCHEMA_STACK_BYTES_MAX / 1_024;
        let run = move |levels| bounded(within(u64::MAX, 0), || dig(levels)).0;
        let thread = std::thread::Builder::new().stack_size(16 * SCHEMA_STACK_BYTES_MAX);
        let dug = thread.spawn(move || (run(levels / 8), run(levels * 2))).unwrap();
        assert_eq!(dug.join().unwrap(), (Ok(levels / 8), Err(Exceeded::Stack)));
    }
}
