//! An exact decimal number.
/// An exact decimal number.
#[derive(Debug, Clone)]
pub struct Decimal;
