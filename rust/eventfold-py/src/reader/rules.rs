//! The rules that reads go by.

use std::sync::Arc;

use eventfold_core::mapping::Mappings;
use eventfold_core::privacy::{Declared, Sight};
use eventfold_reader as reader;
use pyo3::prelude::*;

use crate::fold::Fold;
use crate::keyring::Keyring;
use crate::mapping::Mapping;
use crate::privacy::Personal;

/// How the events of a store are read, at one version of the catalogue.
#[pyclass(frozen, module = "eventfold._core")]
pub struct ReadRules(reader::ReadRules);

#[pymethods]
impl ReadRules {
    #[new]
    fn new(version: i64, mappings: Vec<PyRef<'_, Mapping>>) -> Self {
        let mappings = Mappings::new(mappings.iter().map(|mapping| mapping.shared()));
        Self(reader::ReadRules::new(version, mappings))
    }

    #[getter]
    fn version(&self) -> i64 {
        self.0.version
    }

    #[getter]
    fn mapping_digest(&self) -> &str {
        &self.0.mapping_digest
    }

    #[getter]
    fn needs_envelope(&self) -> bool {
        self.0.mappings.needs_envelope()
    }

    fn of_fold(slf: &Bound<'_, Self>, fold: &Bound<'_, Fold>) -> PyResult<Py<Self>> {
        let rules = &slf.get().0;
        if rules.mappings.is_empty() {
            return Ok(slf.clone().unbind());
        }
        let mappings = rules.mappings.of_types(fold.get().shared().event_types());
        let of_fold = reader::ReadRules::new(rules.version, mappings);
        let (mappings, mapping_digest) = (of_fold.mappings, of_fold.mapping_digest);
        Py::new(slf.py(), Self(reader::ReadRules { mappings, mapping_digest, ..rules.clone() }))
    }

    #[pyo3(signature = (keyring, personal, /, *, open))]
    fn with_keys(
        &self,
        keyring: &Bound<'_, Keyring>,
        personal: Vec<PyRef<'_, Personal>>,
        open: bool,
    ) -> Self {
        let personal: Vec<_> = personal.iter().map(|one| (one.declared(), one.shared())).collect();
        let of_types = personal.iter().filter_map(|(declared, personal)| match declared {
            Declared::EventType(name) => Some((name.as_str(), personal)),
            Declared::Category(_) => None,
        });
        let showing = reader::Showing {
            keyring: Arc::clone(keyring.get().shared()),
            sight: if open { Sight::Open } else { Sight::Withhold },
            personal: Arc::new(reader::replaced_types(of_types)),
        };
        Self(reader::ReadRules { showing: Some(showing), ..self.0.clone() })
    }

    fn unmapped(&self) -> Self {
        Self(self.0.unmapped())
    }

    fn of_subject(&self, subject: [u8; 16]) -> Self {
        let only = |showing| reader::Showing { sight: Sight::Only(subject), ..showing };
        let showing = self.0.showing.clone().map(only);
        Self(reader::ReadRules { showing, ..self.0.clone() })
    }

    fn that_may_be_newer(&self) -> Self {
        Self(reader::ReadRules { may_be_newer: true, ..self.0.clone() })
    }
}

impl ReadRules {
    pub fn shared(&self) -> reader::ReadRules {
        self.0.clone()
    }
}
