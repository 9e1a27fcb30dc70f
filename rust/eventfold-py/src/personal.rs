//! What is declared personal, and what is absent of states.

use std::collections::HashMap;

use eventfold_core::error::CoreError;
use eventfold_core::fold::Declared;
use eventfold_core::json::absent::with_absent;
use eventfold_core::json::pointer::Pattern;
use eventfold_core::mapping;
use eventfold_core::privacy::Whose;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::PyBytes;

use super::mapping::Mapping;

/// What is declared by patterns of event types, and of events of any type.
pub fn declared(
    types: &HashMap<String, Vec<PyBackedStr>>,
    everywhere: &[PyBackedStr],
) -> Result<Declared, CoreError> {
    let all = Declared::default().with_all(&patterns(everywhere)?);
    types.iter().try_fold(all, |declared, (event_type, texts)| {
        Ok(declared.with_type(event_type, &patterns(texts)?))
    })
}

pub fn patterns(texts: &[PyBackedStr]) -> Result<Vec<Pattern>, CoreError> {
    let pattern = |text: &PyBackedStr| {
        Pattern::parse(text).map_err(|problem| {
            let message = format!("a pointer to personal values {}", problem.prose());
            CoreError::new("INVALID_REQUEST", message).fact("field", "personal")
        })
    };
    texts.iter().map(pattern).collect()
}

/// Mappings as one.
pub fn mappings(mappings: &[Bound<'_, Mapping>]) -> mapping::Mappings {
    mapping::Mappings::new(mappings.iter().map(|mapping| mapping.get().shared()))
}

const SEVERAL: &[u8] = b"several";

/// Whose values went into something, as Python has it: empty, an id of 16 bytes, or another text.
pub fn whose_bytes(py: Python<'_>, whose: Whose) -> Bound<'_, PyBytes> {
    match whose {
        Whose::Nobody => PyBytes::new(py, b""),
        Whose::One(subject) => PyBytes::new(py, &subject),
        Whose::Several => PyBytes::new(py, SEVERAL),
    }
}

/// The same back.
pub fn whose_of(bytes: &[u8]) -> Whose {
    match bytes {
        [] => Whose::Nobody,
        bytes => bytes.try_into().map_or(Whose::Several, Whose::One),
    }
}

/// A state text with the words of absent values in place of `null`, as a run goes on from it.
#[pyfunction]
pub fn state_with_absent<'py>(
    py: Python<'py>,
    state: &[u8],
    erased: Vec<PyBackedStr>,
    withheld: Vec<PyBackedStr>,
) -> Bound<'py, PyBytes> {
    let erased = erased.iter().map(|path| &**path);
    PyBytes::new(py, &with_absent(state, erased, withheld.iter().map(|path| &**path)))
}
