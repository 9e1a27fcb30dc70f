//! Privacy rules: what is declared personal.

use std::sync::Arc;

use eventfold_core::privacy::{self, Declared, PrivacyRules, SubjectSource};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;

use super::batch::Batch;
use super::errors;
use super::schema::Schema;

/// What is personal in the events of a type or category.
#[pyclass(frozen, module = "eventfold._core")]
pub struct Personal {
    rules: Arc<PrivacyRules>,
    personal: Arc<privacy::Personal>,
}

/// A field: its pointer, the pointer to its subject and the category of that, and the JSON text
/// that stands for it once it is erased.
type Field = (String, Option<String>, Option<String>, Option<String>);

impl Personal {
    fn of(rules: PrivacyRules) -> Self {
        let personal = Arc::new(rules.personal().clone());
        Self { rules: Arc::new(rules), personal }
    }

    /// Of what it is.
    pub fn declared(&self) -> &Declared {
        self.rules.declared()
    }

    /// What it says.
    pub fn shared(&self) -> Arc<privacy::Personal> {
        Arc::clone(&self.personal)
    }
}

#[pymethods]
impl Personal {
    #[new]
    fn new(py: Python<'_>, source: PyBackedStr) -> PyResult<Self> {
        let rules = errors::run(py, source.len(), || PrivacyRules::parse(&source))?;
        Ok(Self::of(rules))
    }

    #[staticmethod]
    #[pyo3(signature = (source, /, *, event_type = None, category = None))]
    fn stored(
        py: Python<'_>,
        source: PyBackedStr,
        event_type: Option<String>,
        category: Option<String>,
    ) -> PyResult<Self> {
        let declared = match category {
            Some(category) => Declared::Category(category),
            None => Declared::EventType(event_type.unwrap_or_default()),
        };
        let stored = || Ok(PrivacyRules::stored(&source, declared));
        Ok(Self::of(errors::run(py, source.len(), stored)?))
    }

    #[staticmethod]
    #[pyo3(signature = (event_type, schema, /))]
    fn of_schema(
        py: Python<'_>,
        event_type: String,
        schema: &Bound<'_, Schema>,
    ) -> PyResult<Option<Self>> {
        let schema = schema.get().inner();
        let rules =
            errors::run(py, errors::ANY_BYTES, || PrivacyRules::of_schema(event_type, schema))?;
        Ok(rules.map(Self::of))
    }

    #[getter]
    fn event_type(&self) -> Option<&str> {
        match self.rules.declared() {
            Declared::EventType(name) => Some(name),
            Declared::Category(_) => None,
        }
    }

    #[getter]
    fn category(&self) -> Option<&str> {
        match self.rules.declared() {
            Declared::Category(name) => Some(name),
            Declared::EventType(_) => None,
        }
    }

    #[getter]
    fn digest(&self) -> &str {
        self.rules.digest()
    }

    #[getter]
    fn normal_form(&self) -> &str {
        self.rules.normal_form()
    }

    #[getter]
    fn fields(&self) -> Vec<Field> {
        let field = |field: &privacy::PersonalField| {
            let (subject, category) = match &field.subject {
                SubjectSource::Root => (None, None),
                SubjectSource::Named { pointer, category } => {
                    (Some(pointer.to_string()), category.as_deref().map(str::to_owned))
                }
            };
            let replacement = field.replacement.as_deref().map(str::to_owned);
            (field.pointer.to_string(), subject, category, replacement)
        };
        self.personal.fields().iter().map(field).collect()
    }

    #[getter]
    fn names(&self) -> Vec<&str> {
        let fields = self.personal.fields().iter();
        fields.map(|field| field.pointer.first().unwrap_or("*")).collect()
    }

    #[pyo3(signature = (batch, before, first_max, /))]
    fn try_batch(
        &self,
        py: Python<'_>,
        batch: &Bound<'_, Batch>,
        before: Option<&Bound<'_, Self>>,
        first_max: usize,
    ) -> PyResult<PersonalTrial> {
        let rows = &batch.get().rows;
        let before = before.map(|before| before.get().shared());
        let trial = errors::run(py, errors::ANY_BYTES, || {
            self.rules.try_page(rows, before.as_deref(), first_max)
        })?;
        Ok(PersonalTrial::new(trial))
    }
}

/// A stored event with plaintext: stream, version, position, id.
type Plaintext = (String, i64, i64, String);

/// What events said of privacy rules.
#[pyclass(frozen, get_all, module = "eventfold._core")]
pub struct PersonalTrial {
    events: u64,
    plaintext: u64,
    undeclared: u64,
    first: Vec<Plaintext>,
    tagged: u64,
    with_metadata: u64,
    personal_names: u64,
    subjectless: u64,
}

impl PersonalTrial {
    fn new(trial: privacy::Trial) -> Self {
        let first = trial.first.into_iter();
        Self {
            events: trial.events,
            plaintext: trial.plaintext,
            undeclared: trial.undeclared,
            first: first.map(|one| (one.stream, one.version, one.position, one.event_id)).collect(),
            tagged: trial.tagged,
            with_metadata: trial.with_metadata,
            personal_names: trial.personal_names,
            subjectless: trial.subjectless,
        }
    }
}
