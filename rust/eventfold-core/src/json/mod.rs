//! JSON texts: the strict check before they are stored, and what follows from it.

pub mod check;
