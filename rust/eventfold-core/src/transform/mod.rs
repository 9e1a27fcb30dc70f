//! Transforms: documents that say how stored events are copied into other streams.
//!
//! [`Transform::parse`] turns the source text of a document into a transform, or says where it is
//! wrong; [`Transform::copy`] gives the copies of the events of a page, ready to be appended.
//! Events are read as they are stored, and what a rule does not change stays byte for byte.

mod compile;
mod copy;
mod document;
mod event;
mod failure;
mod hashes;
mod normal;
mod page;
pub(crate) mod personal;

use crate::error::CoreError;
use crate::fold::refusal::{Parsed, Source as Text};
use crate::fold::tree as document_tree;
use crate::limits::TRANSFORM_SOURCE_BYTES_MAX;
use crate::names::{category, check_stream_name};

use compile::Rules;

pub use copy::{Copied, copy_id};
pub use hashes::{StreamHash, StreamHashes};
pub use page::{Copies, Count, Example, Job};

/// What a transform reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// All streams of these categories, in byte order.
    Categories(Vec<String>),
    /// These streams, in byte order.
    Streams(Vec<String>),
    /// All streams but those of the system, and of the categories that it writes to.
    Log,
}

/// Where copies may go.
#[derive(Debug)]
struct Targets {
    source: Source,
    /// In byte order.
    into: Vec<String>,
}

impl Targets {
    /// Checks the name of a target stream; an error says what is wrong, and not the name.
    fn check(&self, stream: &str) -> Result<(), String> {
        let category = check_stream_name(stream).map_err(|error| error.message)?;
        if !self.is_target(category) {
            return Err("the category of the target stream is not in `into`".to_owned());
        }
        let read = match &self.source {
            Source::Categories(known) => known.iter().any(|one| one == category),
            Source::Streams(known) => known.iter().any(|one| one == stream),
            // What is written is left out of what is read.
            Source::Log => false,
        };
        if read {
            return Err("the target stream is one that the transform reads".to_owned());
        }
        Ok(())
    }

    fn is_target(&self, category: &str) -> bool {
        self.into.iter().any(|known| known == category)
    }

    /// Whether events of a stream are copied: not the server's own, and where all are read not
    /// those that the transform itself may have written.
    fn reads(&self, stream: &str) -> bool {
        !stream.starts_with('$')
            && (self.source != Source::Log || !self.is_target(category(stream)))
    }
}

/// How events are copied.
#[derive(Debug)]
pub struct Transform {
    name: String,
    digest: String,
    targets: Targets,
    verify: Option<(String, String)>,
    event_types: Vec<String>,
    rules: Rules,
    reads_root: bool,
}

impl Transform {
    /// Parses and compiles the source text of a document, YAML 1.2 or JSON.
    pub fn parse(source: &str) -> Result<Self, CoreError> {
        if source.len() > TRANSFORM_SOURCE_BYTES_MAX {
            let message = format!(
                "the transform document has {} bytes; at most {TRANSFORM_SOURCE_BYTES_MAX} are \
                 allowed",
                source.len()
            );
            return Err(CoreError::new("TRANSFORM_TOO_LARGE", message)
                .fact("limit", TRANSFORM_SOURCE_BYTES_MAX)
                .fact("actual", source.len()));
        }
        let text = Text::new(source);
        Self::compile(source, &text)
            .map_err(|refusal| refusal.of("INVALID_TRANSFORM").into_error(&text))
    }

    fn compile(source: &str, text: &Text<'_>) -> Parsed<Self> {
        let mut document = document::read(&document_tree::parse(source, text)?, text)?;
        let digest = normal::digest(&document);
        let name = std::mem::take(&mut document.name);
        let targets = Targets { source: document.source.clone(), into: document.into.clone() };
        let verify = document.verify.take();
        let event_types = document.types.iter().map(|part| part.event_type.clone()).collect();
        let rules = compile::compile(document, &targets, text)?;
        let reads_root = rules.types.iter().chain(&rules.others).any(|one| one.reads_root());
        Ok(Self { name, digest, targets, verify, event_types, rules, reads_root })
    }

    /// The name that the document carries.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the normal form, in lower-case hexadecimal. Transforms of one digest make the
    /// same copies.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What it reads.
    pub fn source(&self) -> &Source {
        &self.targets.source
    }

    /// The categories that it reads; `None`: any.
    pub fn source_categories(&self) -> Option<Vec<String>> {
        match &self.targets.source {
            Source::Categories(names) => Some(names.clone()),
            Source::Streams(names) => {
                Some(names.iter().map(|name| category(name).to_owned()).collect())
            }
            Source::Log => None,
        }
    }

    /// The categories that it writes to, in byte order.
    pub fn target_categories(&self) -> &[String] {
        &self.targets.into
    }

    /// The folds whose states are compared where one stream is copied to one: of the source, and
    /// of the target.
    pub fn verify(&self) -> Option<(&str, &str)> {
        self.verify.as_ref().map(|(from, to)| (&**from, &**to))
    }

    /// The event types that the document names, in its order.
    pub fn event_types(&self) -> &[String] {
        &self.event_types
    }

    /// Whether types that the document does not name are copied too.
    pub fn keeps_others(&self) -> bool {
        self.rules.others.is_some()
    }

    /// Whether an expression reads `meta.root`, so that pages must have the roots.
    pub fn reads_root(&self) -> bool {
        self.reads_root
    }
}
