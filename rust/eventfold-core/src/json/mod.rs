//! JSON texts to values and back.

pub mod scan;
pub mod write;
