//! The core as a WebAssembly module: converts and maps errors; batches cross as bytes.
//!
//! `clients/typescript/wasm` is the package around it, and the only one that calls it.

mod errors;
mod fold;

pub use fold::{Fold, FoldRun, Outcome};
