//! JSON texts: the strict check before they are stored, values from them, and back.

pub mod check;
mod cursor;
pub mod scan;
pub mod write;
