//! Transform documents.

use std::sync::{Mutex, MutexGuard, PoisonError};

use eventfold_core::envelope::{parse_uuid, uuid_text};
use eventfold_core::error::CoreError;
use eventfold_core::privacy::PersonalValue;
use eventfold_core::transform::{self, Copied, Copies, Job, Source, StreamHash};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyBytes, PyTuple};

use super::append::event_columns;
use super::batch::Batch;
use super::errors;
use super::schema::Rules;

/// A compiled transform.
#[pyclass(frozen, module = "eventfold._core")]
pub struct Transform(transform::Transform);

#[pymethods]
impl Transform {
    #[new]
    fn new(py: Python<'_>, source: PyBackedStr) -> PyResult<Self> {
        errors::run(py, source.len(), || transform::Transform::parse(&source)).map(Self)
    }

    #[getter]
    fn name(&self) -> &str {
        self.0.name()
    }

    #[getter]
    fn digest(&self) -> &str {
        self.0.digest()
    }

    #[getter]
    fn categories(&self) -> Option<Vec<String>> {
        match self.0.source() {
            Source::Categories(names) => Some(names.clone()),
            Source::Streams(_) | Source::Log => None,
        }
    }

    #[getter]
    fn streams(&self) -> Option<Vec<String>> {
        match self.0.source() {
            Source::Streams(names) => Some(names.clone()),
            Source::Categories(_) | Source::Log => None,
        }
    }

    #[getter]
    fn into(&self) -> Vec<String> {
        self.0.target_categories().to_vec()
    }

    #[getter]
    fn types(&self) -> Vec<String> {
        self.0.event_types().to_vec()
    }

    #[getter]
    fn keeps_others(&self) -> bool {
        self.0.keeps_others()
    }

    #[getter]
    fn reads_root(&self) -> bool {
        self.0.reads_root()
    }

    #[getter]
    fn verify(&self) -> Option<(&str, &str)> {
        self.0.verify()
    }

    #[pyo3(signature = (
        batch, job, rules, *, first = 0, examples_max = 0, pseudonym_key = None, seals = true,
        hides = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "named ones")]
    fn apply(
        &self,
        py: Python<'_>,
        batch: &Bound<'_, Batch>,
        job: &str,
        rules: &Bound<'_, Rules>,
        first: usize,
        examples_max: usize,
        pseudonym_key: Option<[u8; 32]>,
        seals: bool,
        hides: Option<&Bound<'_, Rules>>,
    ) -> PyResult<Transformed> {
        let rows = &batch.get().rows;
        let rules = rules.get().inner();
        let hides = hides.map_or(rules, |hides| hides.get().inner());
        let id = uuid(job, "job")?;
        let copies = errors::run(py, errors::ANY_BYTES, || {
            let pseudonym_key = pseudonym_key.as_ref();
            let job = Job { id: &id, rules, pseudonym_key, seals, hides, examples_max };
            self.0.copy(rows, first, job)
        })?;
        Ok(Transformed { copies, catalogue_version: rules.version() })
    }

    #[staticmethod]
    #[pyo3(signature = (job, source_id, ordinal = 0))]
    fn copy_id(job: &str, source_id: &str, ordinal: u32) -> PyResult<String> {
        let (job, source_id) = (uuid(job, "job")?, uuid(source_id, "source_id")?);
        Ok(uuid_text(&transform::copy_id(&job, &source_id, ordinal)))
    }
}

impl Transform {
    /// What was compiled.
    pub fn inner(&self) -> &transform::Transform {
        &self.0
    }
}

fn uuid(text: &str, name: &str) -> PyResult<[u8; 16]> {
    parse_uuid(text).ok_or_else(|| PyValueError::new_err(format!("{name} is not a UUID")))
}

/// The copies of a page.
#[pyclass(frozen, module = "eventfold._core")]
pub struct Transformed {
    copies: Copies,
    catalogue_version: i64,
}

#[pymethods]
impl Transformed {
    #[getter]
    fn next(&self) -> usize {
        self.copies.next
    }

    #[getter]
    fn failed(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let error = self.copies.failed.clone()?;
        Some(errors::raise(py, error).into_value(py).into_any())
    }

    #[getter]
    fn events(&self) -> usize {
        self.copies.events.len()
    }

    #[getter]
    fn size_bytes(&self) -> usize {
        self.copies.size_bytes
    }

    #[getter]
    fn counts(&self) -> Vec<TransformCount> {
        let count = |(event_type, count): (&String, &transform::Count)| TransformCount {
            event_type: event_type.clone(),
            read: count.read,
            written: count.written,
            renamed: count.renamed,
            split: count.split,
            dropped: count.dropped,
            dropped_cancellations: count.dropped_cancellations,
            deleted: count.deleted,
        };
        self.copies.counts.iter().map(count).collect()
    }

    #[getter]
    fn examples(&self, py: Python<'_>) -> Vec<TransformExample> {
        let example = |example: &transform::Example| TransformExample {
            stream: example.stream.clone(),
            version: example.version,
            position: example.position,
            event_id: uuid_text(&example.event_id),
            event_type: example.event_type.clone(),
            data: PyBytes::new(py, &example.data).unbind(),
            copies: self.copies.events[example.copies.clone()]
                .iter()
                .zip(&example.copied)
                .map(|(copy, shown)| example_copy(py, copy, shown))
                .collect(),
        };
        self.copies.examples.iter().map(example).collect()
    }

    #[getter]
    fn appends(&self, py: Python<'_>) -> PyResult<Vec<CopiedAppend>> {
        let appends = self.copies.appends().into_iter();
        appends.map(|events| CopiedAppend::new(py, &events, self.catalogue_version)).collect()
    }
}

/// A copy of an example: stream, type, id, data, metadata, tags.
type ExampleCopy = (String, String, String, Py<PyBytes>, Py<PyBytes>, Vec<String>);

fn example_copy(py: Python<'_>, copy: &Copied, shown: &[u8]) -> ExampleCopy {
    (
        copy.stream.to_string(),
        copy.event_type.to_string(),
        uuid_text(&copy.id),
        PyBytes::new(py, shown).unbind(),
        PyBytes::new(py, &copy.metadata).unbind(),
        copy.tags.clone(),
    )
}

/// What became of the events of one type.
#[pyclass(frozen, get_all, module = "eventfold._core")]
pub struct TransformCount {
    event_type: String,
    read: u64,
    written: u64,
    renamed: u64,
    split: u64,
    dropped: u64,
    dropped_cancellations: u64,
    deleted: u64,
}

/// What became of one event.
#[pyclass(frozen, get_all, module = "eventfold._core")]
pub struct TransformExample {
    stream: String,
    version: i64,
    position: i64,
    event_id: String,
    event_type: String,
    data: Py<PyBytes>,
    copies: Vec<ExampleCopy>,
}

/// Copies for one stream, as one append.
#[pyclass(frozen, module = "eventfold._core")]
pub struct CopiedAppend {
    #[pyo3(get)]
    stream: String,
    category: String,
    #[pyo3(get)]
    events: usize,
    #[pyo3(get)]
    size_bytes: usize,
    #[pyo3(get)]
    first_position: i64,
    #[pyo3(get)]
    last_position: i64,
    catalogue_version: i64,
    of_events: Vec<Py<PyAny>>,
    cancels: Vec<Option<String>>,
    copied_from: Vec<String>,
    personal: Vec<(usize, Vec<PersonalValue>)>,
}

impl CopiedAppend {
    fn new(py: Python<'_>, events: &[&Copied], catalogue_version: i64) -> PyResult<Self> {
        let first = events.first();
        let ends = events.iter().scan(0, |end, copy| {
            *end += copy.tags.len();
            Some(*end)
        });
        let stored = events.iter().zip(ends).map(|(copy, end)| copy.stored(end));
        let tags = events.iter().flat_map(|copy| &copy.tags).map(String::as_bytes);
        let columns = event_columns(py, stored, tags)?;
        Ok(Self {
            stream: first.map_or_else(String::new, |copy| copy.stream.to_string()),
            category: first.map_or_else(String::new, |copy| copy.category().to_owned()),
            events: events.len(),
            size_bytes: events.iter().map(|copy| copy.size_bytes).sum(),
            first_position: first.map_or(0, |copy| copy.position),
            last_position: events.last().map_or(0, |copy| copy.position),
            catalogue_version,
            of_events: columns.into_iter().map(Bound::unbind).collect(),
            cancels: events.iter().map(|copy| copy.cancels.as_ref().map(uuid_text)).collect(),
            copied_from: events.iter().map(|copy| uuid_text(&copy.copied_from)).collect(),
            personal: events
                .iter()
                .enumerate()
                .filter(|(_, copy)| !copy.personal.is_empty())
                .map(|(index, copy)| (index, copy.personal.clone()))
                .collect(),
        })
    }

    /// Values of the sources that were opened, by the indexes of the copies.
    pub fn personal(&self) -> &[(usize, Vec<PersonalValue>)] {
        &self.personal
    }
}

#[pymethods]
impl CopiedAppend {
    #[getter]
    fn is_personal(&self) -> bool {
        !self.personal.is_empty()
    }

    fn source_id(&self, index: usize) -> Option<&str> {
        self.copied_from.get(index).map(String::as_str)
    }

    fn carries(&self, index: usize, pointer: &str) -> bool {
        let mut events = self.personal.iter().filter(|(known, _)| *known == index);
        events.any(|(_, values)| values.iter().any(|value| value.pointer == pointer))
    }

    #[pyo3(signature = (expected, writer, trace_context = None))]
    fn columns<'py>(
        &self,
        py: Python<'py>,
        expected: i64,
        writer: &str,
        trace_context: Option<&str>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let mut columns = vec![
            self.stream.as_str().into_bound_py_any(py)?,
            self.category.as_str().into_bound_py_any(py)?,
            expected.into_bound_py_any(py)?,
        ];
        columns.extend(self.of_events.iter().map(|column| column.bind(py).clone()));
        columns.extend([
            writer.into_bound_py_any(py)?,
            trace_context.into_bound_py_any(py)?,
            self.catalogue_version.into_bound_py_any(py)?,
            self.cancels.clone().into_bound_py_any(py)?,
            self.copied_from.clone().into_bound_py_any(py)?,
        ]);
        PyTuple::new(py, columns)
    }
}

/// Streams that differ: how many, and of the first the name and the number of copies on each side.
type Differences = (usize, Vec<(String, u64, u64)>);

/// A stream with the number of its copies and their hash.
type Hashed<'py> = (String, u64, Bound<'py, PyBytes>);

/// Hashes of streams of copies.
#[pyclass(frozen, module = "eventfold._core")]
pub struct StreamHashes {
    /// Locked only inside of work that may run without the GIL, so that nobody waits for both.
    hashes: Mutex<transform::StreamHashes>,
}

impl StreamHashes {
    fn lock(&self) -> MutexGuard<'_, transform::StreamHashes> {
        self.hashes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get<T: Send>(
        &self,
        py: Python<'_>,
        get: impl FnOnce(&transform::StreamHashes) -> T + Send,
    ) -> PyResult<T> {
        errors::run(py, errors::ANY_BYTES, || Ok(get(&self.lock())))
    }
}

#[pymethods]
impl StreamHashes {
    #[new]
    #[pyo3(signature = (streams = vec![], *, key = None),
        text_signature = "(streams=(), *, key=None)")]
    fn new(streams: Vec<(String, u64, [u8; 32])>, key: Option<[u8; 32]>) -> Self {
        let streams = streams.into_iter();
        let hash = |(name, events, hash)| (name, StreamHash { events, hash });
        let hashes = transform::StreamHashes::of(streams.map(hash)).keyed(key);
        Self { hashes: Mutex::new(hashes) }
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.get(py, transform::StreamHashes::len)
    }

    #[getter]
    fn events(&self, py: Python<'_>) -> PyResult<u64> {
        self.get(py, transform::StreamHashes::events)
    }

    fn add_copies(&self, py: Python<'_>, copies: &Bound<'_, Transformed>) -> PyResult<()> {
        let events = &copies.get().copies.events;
        errors::run(py, errors::ANY_BYTES, || {
            self.lock().add_copies(events);
            Ok(())
        })
    }

    fn add_batch(&self, py: Python<'_>, batch: &Bound<'_, Batch>) -> PyResult<()> {
        let rows = &batch.get().rows;
        errors::run(py, errors::ANY_BYTES, || self.lock().add_page(rows))
    }

    #[getter]
    fn streams<'py>(&self, py: Python<'py>) -> PyResult<Vec<Hashed<'py>>> {
        let all = self.get(py, |hashes| {
            hashes.iter().map(|(name, hash)| (name.to_owned(), *hash)).collect::<Vec<_>>()
        })?;
        let hashed =
            |(name, hash): (String, StreamHash)| (name, hash.events, PyBytes::new(py, &hash.hash));
        Ok(all.into_iter().map(hashed).collect())
    }

    fn differences(
        &self,
        py: Python<'_>,
        other: &Bound<'_, Self>,
        first_max: usize,
    ) -> PyResult<Differences> {
        let other = other.get();
        let (count, first) = errors::run(py, errors::ANY_BYTES, || {
            // One after the other, so that nobody holds one and waits for the other.
            let theirs = other.lock().clone();
            Ok::<_, CoreError>(self.lock().differences(&theirs, first_max))
        })?;
        let first = first.into_iter().map(|(name, left, right)| (name, left.events, right.events));
        Ok((count, first.collect()))
    }
}
