//! Ids of events: the clock and the randomness that the core has not.

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use eventfold_core::envelope::{Uuid7Source, uuid_text};
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

/// Randomness is drawn for so many ids at once: a system call takes longer than all the rest.
const DRAWN: usize = 64;

#[derive(Default)]
struct Ids {
    /// The process that they are for: a child would make the same ones as its parent.
    process: u32,
    source: Uuid7Source,
    noise: Vec<[u8; Uuid7Source::NOISE_BYTES]>,
}

static IDS: Mutex<Option<Ids>> = Mutex::new(None);

/// A new UUID of version 7 in canonical form. Those of a process increase strictly.
#[pyfunction]
pub fn uuid7() -> PyResult<String> {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis());
    // Only held with the GIL, so that no fork finds it held.
    let mut ids = IDS.lock().unwrap_or_else(PoisonError::into_inner);
    let ids = ids.get_or_insert_default();
    let process = std::process::id();
    if ids.process != process {
        *ids = Ids { process, ..Ids::default() };
    }
    if ids.noise.is_empty() {
        ids.noise.resize(DRAWN, Default::default());
        getrandom::getrandom(ids.noise.as_flattened_mut())
            .map_err(|error| PyOSError::new_err(error.to_string()))?;
    }
    let noise = ids.noise.pop().unwrap_or_default();
    Ok(uuid_text(&ids.source.next(u64::try_from(millis).unwrap_or(u64::MAX), noise)))
}
