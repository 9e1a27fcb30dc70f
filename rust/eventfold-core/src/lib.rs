//! Everything eventfold does to one event: JSON, CEL, folds, envelopes, wire encoding.
//!
//! Pure functions over bytes: no I/O, no clock, no Python.

pub mod append;
mod by_type;
mod bytes;
pub mod cel;
pub mod envelope;
pub mod error;
pub mod filter;
pub mod fold;
pub mod json;
pub mod limits;
pub mod mapping;
pub mod names;
pub mod number;
pub mod privacy;
pub mod projection;
pub mod rows;
pub mod rules;
pub mod schema;
pub mod transform;
pub mod value;
pub mod wire;
