//! Exact decimal numbers.

mod decimal;

pub use decimal::Decimal;
