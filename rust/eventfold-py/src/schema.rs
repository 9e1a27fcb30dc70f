//! Schemas of events, and the rules that appends are held to.

use std::collections::HashMap;
use std::sync::Arc;

use eventfold_core::json::absent::Shown;
use eventfold_core::json::pointer::Pattern;
use eventfold_core::limits::VIOLATIONS_MAX;
use eventfold_core::privacy::Declared;
use eventfold_core::rules::{self, EventViolation, Mode, SchemaInForce, TypeRules};
use eventfold_core::schema;
use eventfold_core::schema::compare::Difference;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::PyBytes;

use super::batch::Batch;
use super::errors;
use super::fold::Fold;
use super::mapping::Mapping;
use super::privacy::Personal;
use super::projection::{Projection, ProjectionMarks};
use super::transform::Transform;

/// A JSON Schema with all that it refers to.
#[pyclass(frozen, module = "eventfold._core")]
pub struct Schema(Arc<schema::Schema>);

impl Schema {
    pub fn inner(&self) -> &schema::Schema {
        &self.0
    }
}

#[pymethods]
impl Schema {
    #[new]
    fn new(
        py: Python<'_>,
        source: &str,
        resources: Vec<(String, String)>,
        formats: bool,
    ) -> PyResult<Self> {
        let compile = || schema::Schema::compile(source, &resources, formats);
        Ok(Self(Arc::new(errors::run(py, errors::ANY_BYTES, compile)?)))
    }

    #[staticmethod]
    fn stored(
        py: Python<'_>,
        source: &str,
        resources: Vec<(String, String)>,
        formats: bool,
    ) -> PyResult<Self> {
        let stored = || Ok(schema::Schema::stored(source, &resources, formats));
        Ok(Self(Arc::new(errors::run(py, errors::ANY_BYTES, stored)?)))
    }

    #[staticmethod]
    fn missing(
        py: Python<'_>,
        source: &str,
        resources: Vec<(String, String)>,
    ) -> PyResult<Vec<String>> {
        errors::run(py, errors::ANY_BYTES, || schema::Schema::missing(source, &resources))
    }

    #[getter]
    fn id(&self, py: Python<'_>) -> PyResult<Option<&str>> {
        self.0.id().map_err(|error| errors::raise(py, error))
    }

    #[getter]
    fn digest(&self, py: Python<'_>) -> PyResult<&str> {
        self.0.digest().map_err(|error| errors::raise(py, error))
    }

    #[getter]
    fn draft(&self, py: Python<'_>) -> PyResult<i32> {
        self.0.draft().map(|draft| draft as i32).map_err(|error| errors::raise(py, error))
    }

    #[getter]
    fn refers_to(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.0.refers_to().map(<[_]>::to_vec).map_err(|error| errors::raise(py, error))
    }

    fn violations(&self, py: Python<'_>, data: &[u8]) -> PyResult<Vec<Violation>> {
        let find = || self.0.violations(data, VIOLATIONS_MAX);
        Ok(listed(errors::run(py, errors::ANY_BYTES, find)?))
    }

    fn violations_of_any(&self, py: Python<'_>, text: &[u8]) -> PyResult<Vec<Violation>> {
        let find = || self.0.violations_of_any(text, VIOLATIONS_MAX);
        Ok(listed(errors::run(py, errors::ANY_BYTES, find)?))
    }

    #[pyo3(signature = (older, /, *, events = true))]
    fn compare(
        &self,
        py: Python<'_>,
        older: &Bound<'_, Self>,
        events: bool,
    ) -> PyResult<Vec<SchemaDifference>> {
        let older = &older.get().0;
        let differences = errors::run(py, errors::ANY_BYTES, || self.0.compare(older, events))?;
        Ok(differences.into_iter().map(SchemaDifference::from).collect())
    }

    #[pyo3(signature = (batch, mapping, first_max))]
    fn try_batch(
        &self,
        py: Python<'_>,
        batch: &Bound<'_, Batch>,
        mapping: Option<&Bound<'_, Mapping>>,
        first_max: usize,
    ) -> PyResult<SchemaTrial> {
        let rows = &batch.get().rows;
        let mapping = mapping.map(|mapping| mapping.get().shared());
        let trial = errors::run(py, errors::ANY_BYTES, || {
            self.0.try_page(rows, mapping.as_deref(), first_max)
        })?;
        SchemaTrial::new(py, trial)
    }
}

/// A stored event that does not fit: stream, version, position, id, where, and why it could not be
/// read.
type Misfit = (String, i64, i64, String, Vec<Py<Violation>>, Option<Py<PyAny>>);

/// What events said of a schema.
#[pyclass(frozen, get_all, module = "eventfold._core")]
pub struct SchemaTrial {
    events: u64,
    misfits: u64,
    first: Vec<Misfit>,
}

impl SchemaTrial {
    fn new(py: Python<'_>, trial: schema::Trial) -> PyResult<Self> {
        let misfit = |found: schema::Misfit| -> PyResult<Misfit> {
            let violations = found.violations.into_iter();
            let violations =
                violations.map(|violation| Py::new(py, Violation::new(violation, None)));
            let error = found.error.map(|error| errors::raise(py, error).into_value(py).into_any());
            let violations = violations.collect::<PyResult<_>>()?;
            Ok((found.stream, found.version, found.position, found.event_id, violations, error))
        };
        Ok(Self {
            events: trial.events,
            misfits: trial.misfits,
            first: trial.first.into_iter().map(misfit).collect::<PyResult<_>>()?,
        })
    }
}

fn listed(violations: schema::Violations) -> Vec<Violation> {
    violations.first.into_iter().map(|violation| Violation::new(violation, None)).collect()
}

/// What differs between two schemas.
#[pyclass(frozen, get_all, module = "eventfold._core")]
#[derive(Clone)]
pub struct SchemaDifference {
    pointer: String,
    keyword: String,
    change: i32,
    message: String,
}

impl From<Difference> for SchemaDifference {
    fn from(difference: Difference) -> Self {
        let Difference { pointer, keyword, change, message } = difference;
        Self { pointer, keyword, change: change.number(), message }
    }
}

/// Where an event does not fit its schema.
#[pyclass(frozen, get_all, module = "eventfold._core")]
#[derive(Clone)]
pub struct Violation {
    event_index: usize,
    event_type: String,
    pointer: String,
    rule: String,
    schema_pointer: String,
    message: String,
    enforced: bool,
}

impl Violation {
    fn new(violation: schema::Violation, event: Option<&EventViolation>) -> Self {
        let schema::Violation { pointer, rule, schema_pointer, message } = violation;
        Self {
            event_index: event.map_or(0, |event| event.event_index),
            event_type: event.map(|event| event.event_type.clone()).unwrap_or_default(),
            pointer,
            rule,
            schema_pointer,
            message,
            enforced: event.is_none_or(|event| event.enforced),
        }
    }

    pub fn of_event(event: &EventViolation) -> Self {
        Self::new(event.violation.clone(), Some(event))
    }
}

/// All rules in force at one version of the catalogue.
#[pyclass(frozen, module = "eventfold._core")]
pub struct Rules(Arc<rules::Rules>);

impl Rules {
    pub fn inner(&self) -> &Arc<rules::Rules> {
        &self.0
    }
}

#[pymethods]
impl Rules {
    #[new]
    #[pyo3(signature = (
        version, *, schemas = vec![], type_modes = HashMap::new(),
        category_modes = HashMap::new(), mappings = vec![], enforced_references = vec![],
        personal = vec![],
        past_personal = vec![],
        carried = vec![],
        past_mappings = vec![]
    ))]
    #[expect(clippy::too_many_arguments, reason = "one for each kind of rule")]
    fn new(
        version: i64,
        schemas: Vec<(String, i32, Bound<'_, Schema>)>,
        type_modes: HashMap<String, i32>,
        category_modes: HashMap<String, i32>,
        mappings: Vec<Bound<'_, Mapping>>,
        enforced_references: Vec<String>,
        personal: Vec<Bound<'_, Personal>>,
        past_personal: Vec<Bound<'_, Personal>>,
        carried: Vec<(String, String)>,
        past_mappings: Vec<Bound<'_, Mapping>>,
    ) -> PyResult<Self> {
        let mut types = Types::default();
        for (event_type, revision, schema) in schemas {
            let schema = Arc::clone(&schema.get().0);
            types.of(&event_type).schema = Some(SchemaInForce { revision, schema });
        }
        for (event_type, number) in type_modes {
            types.of(&event_type).mode = Some(mode(number)?);
        }
        for mapping in mappings {
            let mapping = mapping.get().inner();
            types.of(mapping.event_type()).mapping = Some(Arc::clone(mapping));
        }
        for event_type in enforced_references {
            types.of(&event_type).references_enforced = true;
        }
        let mut personal_categories = HashMap::new();
        for personal in personal {
            let personal = personal.get();
            match personal.declared() {
                Declared::EventType(name) => types.of(name).personal = Some(personal.shared()),
                Declared::Category(name) => {
                    personal_categories.insert(name.clone(), personal.shared());
                }
            }
        }
        let category_modes = category_modes
            .into_iter()
            .map(|(category, number)| Ok((category, mode(number)?)))
            .collect::<PyResult<_>>()?;
        let types = types.0.into_values().collect();
        let rules = rules::Rules::new(version, types, category_modes);
        let past = past_personal.iter().map(|past| {
            let past = past.get();
            (past.declared().clone(), past.shared())
        });
        let rules = rules.with_personal_categories(personal_categories);
        let mut patterns: HashMap<String, Vec<Pattern>> = HashMap::new();
        for (category, pointer) in carried {
            let pattern = Pattern::parse(&pointer);
            let pattern = pattern.map_err(|problem| PyValueError::new_err(problem.prose()))?;
            patterns.entry(category).or_default().push(pattern);
        }
        let mappings = past_mappings.iter().map(|mapping| Arc::clone(mapping.get().inner()));
        let rules = rules
            .with_past_personal(past.collect())
            .with_carried(patterns)
            .with_past_mappings(mappings.collect());
        Ok(Self(Arc::new(rules)))
    }

    #[getter]
    fn version(&self) -> i64 {
        self.0.version()
    }

    fn undeclared_fields(
        &self,
        py: Python<'_>,
        fold: &Bound<'_, Fold>,
    ) -> PyResult<Vec<(String, String)>> {
        let fold = fold.get().inner();
        errors::run(py, errors::ANY_BYTES, || self.0.undeclared_fields(fold))
    }

    #[pyo3(signature = (categories = None))]
    fn declares(&self, categories: Option<Vec<String>>) -> bool {
        self.0.declares(categories.as_deref())
    }

    fn read_by(&self, fold: &Bound<'_, Fold>, category: &str) -> Option<(String, String)> {
        let fold = fold.get().inner();
        let found = self.0.read_by(fold, category)?;
        Some((found.0.to_owned(), found.1))
    }

    fn carried_by(
        &self,
        py: Python<'_>,
        transform: &Bound<'_, Transform>,
    ) -> PyResult<Vec<(String, String)>> {
        let transform = transform.get().inner();
        errors::run(py, errors::ANY_BYTES, || Ok(self.0.carried_by(transform)))
    }

    fn uncovered(
        &self,
        category: &str,
        event_type: &str,
        pointers: Vec<String>,
    ) -> PyResult<Vec<String>> {
        let patterns = pointers.iter().map(|pointer| Pattern::parse(pointer));
        let patterns = patterns.collect::<Result<Vec<_>, _>>();
        let patterns = patterns.map_err(|problem| PyValueError::new_err(problem.prose()))?;
        Ok(self.0.uncovered(category, event_type, &patterns))
    }

    fn personal_paths(
        &self,
        py: Python<'_>,
        fold: &Bound<'_, Fold>,
        category: &str,
    ) -> PyResult<Vec<String>> {
        let fold = fold.get().inner();
        errors::run(py, errors::ANY_BYTES, || Ok(self.0.fold_marks(fold, category)?.pointers()))
    }

    fn withhold<'py>(
        &self,
        py: Python<'py>,
        fold: &Bound<'_, Fold>,
        category: &str,
        states: Vec<PublicState>,
    ) -> PyResult<Vec<WithheldState<'py>>> {
        let fold = fold.get().inner();
        let shown = errors::run(py, errors::ANY_BYTES, || {
            let marks = self.0.fold_marks(fold, category)?;
            let withhold = |(state, erased, withheld): &PublicState| {
                let erased = erased.iter().map(|path| &**path);
                marks.withhold_text(state, erased, withheld.iter().map(|path| &**path))
            };
            states.iter().map(withhold).collect::<Result<Vec<_>, _>>()
        })?;
        let given = |Shown { text, erased, withheld }| (PyBytes::new(py, &text), erased, withheld);
        Ok(shown.into_iter().map(given).collect())
    }

    fn projection_marks(
        &self,
        py: Python<'_>,
        projection: &Bound<'_, Projection>,
    ) -> PyResult<ProjectionMarks> {
        let projection = projection.get().inner();
        let marks = errors::run(py, errors::ANY_BYTES, || self.0.projection_marks(projection))?;
        Ok(ProjectionMarks::new(marks, projection))
    }
}

/// A state with `null` in place of absent values, and the pointers to those that were erased and
/// that are withheld.
type PublicState = (PyBackedBytes, Vec<PyBackedStr>, Vec<PyBackedStr>);
type WithheldState<'py> = (Bound<'py, PyBytes>, Vec<String>, Vec<String>);

/// What is said of types, by their name.
#[derive(Default)]
struct Types(HashMap<String, TypeRules>);

impl Types {
    fn of(&mut self, event_type: &str) -> &mut TypeRules {
        self.0.entry(event_type.to_owned()).or_insert_with(|| TypeRules::new(event_type))
    }
}

fn mode(number: i32) -> PyResult<Mode> {
    Mode::from_number(number).ok_or_else(|| PyValueError::new_err("there is no such mode"))
}
