//! Mappings: documents that say how the stored events of a type are read.
//!
//! [`Mapping::parse`] turns the source text of a document into a mapping, or says where it is
//! wrong; [`Mapping::apply`] gives the data of one event as it is read. First come renames, then
//! defaults, then what is computed, which sees both; entries of one kind do not see each other.
//! What an entry does not change stays byte for byte.

mod apply;
pub(crate) mod changes;
mod chosen;
pub(crate) mod compile;
pub(crate) mod document;
pub(crate) mod failure;
mod marks;
mod normal;
mod splice;
mod tree;
mod trial;

use std::sync::Arc;

use crate::by_type::{ByType, Typed};
use crate::error::CoreError;
use crate::fold::refusal::{Parsed, Source};
use crate::fold::tree as document_tree;
use crate::limits::MAPPING_SOURCE_BYTES_MAX;
use crate::rows::Row;

use compile::{Computed, Pass};

pub use apply::Mapper;
pub use trial::{Misfit, Trial};

/// How events of one type are read.
#[derive(Debug)]
pub struct Mapping {
    event_type: Arc<str>,
    digest: String,
    /// Names of the top-level fields that it assigns.
    assigned: Vec<Arc<str>>,
    passes: Vec<Pass>,
    computed: Computed,
    /// Why it maps nothing.
    broken: Option<String>,
}

impl Mapping {
    /// Parses and compiles the source text of a document, YAML 1.2 or JSON.
    pub fn parse(source: &str) -> Result<Self, CoreError> {
        if source.len() > MAPPING_SOURCE_BYTES_MAX {
            let message = format!(
                "the mapping document has {} bytes; at most {MAPPING_SOURCE_BYTES_MAX} are allowed",
                source.len()
            );
            return Err(CoreError::new("MAPPING_TOO_LARGE", message)
                .fact("limit", MAPPING_SOURCE_BYTES_MAX)
                .fact("actual", source.len()));
        }
        let text = Source::new(source);
        Self::compile(source, &text)
            .map_err(|refusal| refusal.of("INVALID_MAPPING").into_error(&text))
    }

    fn compile(source: &str, text: &Source<'_>) -> Parsed<Self> {
        let document = document::read(&document_tree::parse(source, text)?, text)?;
        let event_type = document.event_type.as_str().into();
        let digest = normal::digest(&document);
        let assigned = document.assigned();
        let (passes, computed) = compile::compile(document, text)?;
        Ok(Self { event_type, digest, assigned, passes, computed, broken: None })
    }

    /// A mapping that was put in force, by its digest then. One that does not compile here, such as
    /// one that a newer server took, fails on all events of its type, and leaves others alone.
    pub fn stored(event_type: &str, digest: &str, source: &str) -> Self {
        Self::parse(source).unwrap_or_else(|error| Self {
            event_type: event_type.into(),
            digest: digest.to_owned(),
            assigned: Vec::new(),
            passes: Vec::new(),
            computed: Computed::default(),
            broken: Some(format!("this server does not understand the mapping: {error}")),
        })
    }

    /// The event type whose events it maps.
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// Names of the fields at the top of the data in which it puts something.
    pub fn assigned(&self) -> &[Arc<str>] {
        &self.assigned
    }

    /// SHA-256 of the normal form, in lower-case hexadecimal. The event type is not in it. Mappings
    /// of one digest give the same bytes.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

impl Typed for Arc<Mapping> {
    fn event_type(&self) -> &Arc<str> {
        &self.event_type
    }
}

/// The mappings in force, at most one for an event type.
#[derive(Debug, Default)]
pub struct Mappings(ByType<Arc<Mapping>>);

impl Mappings {
    /// Takes mappings, each of another event type.
    pub fn new(mappings: impl IntoIterator<Item = Arc<Mapping>>) -> Self {
        Self(ByType::new(mappings.into_iter().collect()))
    }

    /// Whether there is none, so that all events are read as they are stored.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// All of them, in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Mapping>> {
        self.0.iter()
    }

    /// The mapping of an event type; what is not UTF-8 has none.
    #[inline]
    pub fn get(&self, event_type: &[u8]) -> Option<&Arc<Mapping>> {
        self.0.get(event_type)
    }

    /// As [`Mapping::apply`] of the type of the event; `None` too, if there is none.
    pub fn apply(
        &self,
        row: &Row<'_>,
        stream: &str,
        mapper: &mut Mapper,
        out: &mut Vec<u8>,
    ) -> Result<Option<i32>, CoreError> {
        match self.get(row.event_type.as_bytes()) {
            Some(mapping) => mapping.apply(row, stream, mapper, out),
            None => Ok(None),
        }
    }
}
