//! JSON texts: the strict check before they are stored, values from them, and back.

pub mod check;
mod cursor;
mod escapes;
mod marks;
pub mod scan;
pub mod write;
