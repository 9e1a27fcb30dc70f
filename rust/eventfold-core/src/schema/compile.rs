//! From the text of a schema to what validates.

use std::collections::HashSet;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::{
    Keyword, PatternOptions, ReferencingError, Registry, Retrieve, Uri, ValidationError,
    ValidationOptions, Validator,
};
use referencing::ResourceRef;
use serde_json::Value;

use super::annotations::annotated;
use super::document::{Document, digest, short};
use super::graph::{self, Graph};
use super::instance::Instance;
use super::numbers::{self, Demand};
use super::patterns::{Matches, Patterns};
use super::words::words;
use super::{Draft, NO_ID, known_as};
use crate::error::CoreError;
use crate::limits::{PATTERN_BYTES_MAX, PATTERN_MATCH_BYTES_MAX};
use crate::privacy::PersonalField;

/// What a schema becomes.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) id: Option<String>,
    pub(super) digest: String,
    pub(super) draft: Draft,
    /// In byte order.
    pub(super) refers_to: Vec<String>,
    pub(super) graph: Graph,
    pub(super) validator: Validator<Instance>,
    /// What it declares personal.
    pub(super) personal: Result<Vec<PersonalField>, CoreError>,
}

/// Stands in for documents that nobody has, and notes their URIs: nothing is fetched.
#[derive(Debug, Clone, Default)]
struct Missing(Arc<Mutex<HashSet<String>>>);

impl Missing {
    fn has(&self, uri: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(uri)
    }
}

/// URIs of the documents that a schema refers to, also through others, and that nobody has, in byte
/// order. It may be more than those for which it is refused.
pub(super) fn missing(
    source: &str,
    resources: &[(String, String)],
) -> Result<Vec<String>, CoreError> {
    let documents = Document::read(source, resources)?;
    let root = &documents[0];
    let dialect = root.draft()?.unwrap_or(Draft::Draft202012).dialect();
    let resource = ResourceRef::new(&root.value, dialect);
    let base = resource.id().unwrap_or(NO_ID);
    let missing = Missing::default();
    let others = documents[1..].iter().map(|document| (document.id, &document.value));
    let registry = Registry::new().retriever(missing.clone()).draft(dialect).extend(others);
    // What cannot be prepared is refused when it is compiled.
    let _ = registry.and_then(|builder| builder.add(base, resource)?.prepare().map(drop));
    let found = missing.0.lock().unwrap_or_else(PoisonError::into_inner);
    let mut found: Vec<_> = found.iter().map(|uri| known_as(uri).to_owned()).collect();
    found.sort_unstable();
    Ok(found)
}

impl Retrieve for Missing {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn Error + Send + Sync>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(uri.as_str().to_owned());
        Ok(Value::Bool(true))
    }
}

type Options<'a> = ValidationOptions<'a, Arc<dyn Retrieve>, Instance>;

/// Compiles a schema with the documents that it may refer to, by their `$id`.
pub(super) fn compile(
    source: &str,
    resources: &[(String, String)],
    formats: bool,
) -> Result<Compiled, CoreError> {
    let documents = Document::read(source, resources)?;
    let root = &documents[0];
    let draft = root.draft()?.unwrap_or(Draft::Draft202012);
    for document in &documents {
        check_form(document, document.draft()?.unwrap_or(draft))?;
    }
    let dialect = draft.dialect();
    let missing = Missing::default();
    let resource = ResourceRef::new(&root.value, dialect);
    let shared = Registry::new().retriever(missing.clone()).draft(dialect);
    let others = documents[1..].iter().map(|document| (document.id, &document.value));
    let prepared = |error: ReferencingError| {
        root.invalid("", "unknown_reference", format!("its references cannot be followed: {error}"))
    };
    let shared = shared.extend(others).and_then(|builder| builder.prepare()).map_err(prepared)?;
    let base = resource.id().unwrap_or(NO_ID);
    let registry = shared
        .add(base, resource)
        .and_then(|builder| builder.retriever(missing.clone()).draft(dialect).prepare())
        .map_err(prepared)?;
    let base = jsonschema::uri::from_str(base).map_err(prepared)?;
    let id = resource.id().map(|_| known_as(base.as_str()).to_owned());
    let patterns = Patterns::default();
    let is_missing = |uri: &str| missing.has(uri);
    let resolver = registry.resolver(base);
    let graph = graph::look(&documents, resolver.clone(), dialect, &is_missing, &patterns)?;
    let personal = annotated(&documents, resolver, dialect);
    let validator = options(formats, &patterns)
        .with_draft(dialect)
        .with_registry(&shared)
        .with_retriever(missing.clone())
        .build(&root.value)
        .map_err(|error| refused(root, &error))?;
    let used = || documents.iter().zip(&graph.used).skip(1).filter(|(_, used)| **used);
    let texts: Vec<_> = used().map(|(document, _)| (document.id, document.source)).collect();
    let mut refers_to: Vec<_> = texts.iter().map(|(id, _)| (*id).to_owned()).collect();
    refers_to.sort_unstable();
    let digest = digest(source, &texts, formats);
    Ok(Compiled { id, digest, draft, refers_to, graph, validator, personal })
}

/// Holds a document to the meta-schema of its draft.
fn check_form(document: &Document<'_>, draft: Draft) -> Result<(), CoreError> {
    let schema = &document.value;
    let checked = match draft {
        Draft::Draft7 => jsonschema::draft7::meta::validate(schema),
        Draft::Draft201909 => jsonschema::draft201909::meta::validate(schema),
        Draft::Draft202012 => jsonschema::draft202012::meta::validate(schema),
    };
    checked.map_err(|error| refused(document, &error))
}

fn refused(document: &Document<'_>, error: &ValidationError<'_>) -> CoreError {
    document.invalid(error.instance_path().as_str(), "invalid_keyword", words(error.kind()))
}

fn options<'a>(formats: bool, patterns: &Patterns) -> Options<'a> {
    // Of names, which it compiles itself; those of values are a keyword of ours.
    let linear = PatternOptions::regex()
        .size_limit(PATTERN_BYTES_MAX)
        .dfa_size_limit(PATTERN_MATCH_BYTES_MAX);
    let mut options = jsonschema::options_for::<Instance>()
        .with_pattern_options(linear)
        .should_validate_formats(formats)
        // Annotations in all drafts.
        .without_content_encoding_support("base64")
        .without_content_media_type_support("application/json");
    for keyword in numbers::NAMES {
        options = options.with_keyword(keyword, move |_, value, _| {
            let demand = Demand::new(keyword, value).ok_or_else(|| {
                ValidationError::schema("a number with too many digits to compute with")
            })?;
            Ok(Box::new(demand) as Box<dyn for<'i> Keyword<'i, Instance>>)
        });
    }
    let patterns = patterns.clone();
    options.with_keyword("pattern", move |_, value, _| {
        let source = value.as_str().unwrap_or_default();
        let pattern = patterns.value(source);
        let pattern = pattern.map_err(|_| ValidationError::schema("no pattern"))?;
        let words = format!("must match the pattern `{}`", short(source));
        Ok(Box::new(Matches { pattern, words }) as Box<dyn for<'i> Keyword<'i, Instance>>)
    })
}
