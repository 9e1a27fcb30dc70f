//! What events refer to.

use eventfold_core::envelope::{self, uuid_text};
use pyo3::prelude::*;

/// Events by their ids, and streams by their names; at least one.
#[pyclass(frozen, module = "eventfold._core")]
pub struct References(envelope::References);

impl From<envelope::References> for References {
    fn from(references: envelope::References) -> Self {
        Self(references)
    }
}

impl References {
    /// `None`: there is none.
    pub fn of(references: envelope::References) -> Option<Self> {
        (!references.is_empty()).then_some(Self(references))
    }

    pub fn of_events(ids: Vec<[u8; 16]>) -> Option<Self> {
        let events = ids.into_iter().collect();
        Self::of(envelope::References { events, ..Default::default() })
    }

    pub fn ids(&self) -> Vec<[u8; 16]> {
        self.0.events.iter().copied().collect()
    }
}

#[pymethods]
impl References {
    fn __len__(&self) -> usize {
        self.0.len()
    }

    #[getter]
    pub fn events(&self) -> Vec<String> {
        self.0.events.iter().map(uuid_text).collect()
    }

    #[getter]
    pub fn streams(&self) -> Vec<&str> {
        self.0.streams.iter().map(|name| &**name).collect()
    }
}
