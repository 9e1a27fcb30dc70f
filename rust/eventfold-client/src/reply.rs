//! How whoever calls is told.

use crate::error::{CallError, Code};

type Tell<T> = Box<dyn FnOnce(Result<T, CallError>) + Send>;

/// The duty to tell somebody what a call came to. One that is dropped untold, because its work
/// panicked or was given up, says so.
///
/// It is told on the channel's thread, which must not be held up.
pub struct Reply<T>(Option<Tell<T>>);

impl<T> Reply<T> {
    /// Whoever is told.
    pub fn new(tell: impl FnOnce(Result<T, CallError>) + Send + 'static) -> Self {
        Self(Some(Box::new(tell)))
    }

    /// Tells it.
    pub fn give(mut self, result: Result<T, CallError>) {
        self.tell(result);
    }

    fn tell(&mut self, result: Result<T, CallError>) {
        if let Some(tell) = self.0.take() {
            tell(result);
        }
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        if self.0.is_some() {
            self.tell(Err(CallError::new(Code::CANCELLED, "the call was given up")));
        }
    }
}
