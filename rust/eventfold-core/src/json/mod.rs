//! JSON texts: the strict check before they are stored, values from them, and back.

pub mod absent;
pub mod check;
mod cursor;
mod escapes;
mod marks;
pub mod pointer;
pub mod scan;
pub(crate) mod tree;
pub(crate) mod walk;
pub mod write;
