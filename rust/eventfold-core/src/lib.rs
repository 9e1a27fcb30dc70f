//! Everything eventfold does to one event: JSON, CEL, folds, envelopes, wire encoding.
//!
//! Pure functions over bytes: no I/O, no clock, no Python.

pub mod cel;
pub mod error;
pub mod json;
pub mod limits;
pub mod number;
pub mod value;
