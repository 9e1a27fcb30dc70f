//! JSON Schemas of events: compiled once, asked for every event of their type.
//!
//! The crate jsonschema validates. It sees events as places in their text ([`instance`]), so that
//! the strict check of an append builds all that it needs, and no error can hold a value. What one
//! validation may cost is bounded ([`work`]); numbers and patterns are keywords of ours.

mod absent;
mod annotations;
pub mod compare;
mod compile;
mod document;
mod graph;
mod instance;
mod numbers;
mod patterns;
mod trial;
mod violation;
mod words;
mod work;

use crate::error::CoreError;
use crate::json::check::Checker;
use crate::json::pointer::Pattern;
use crate::json::tree::{Place, Tree};
use crate::limits::{SCHEMA_ERRORS_BYTES_MAX, SCHEMA_STEPS_MAX, VIOLATIONS_MAX};
use crate::privacy::PersonalField;
use compile::{Compiled, compile};
use graph::Graph;
use work::{Bounds, Exceeded, bounded};

pub use trial::{Misfit, Trial};
pub use violation::Violation;

/// Where a document is that does not say it.
const NO_ID: &str = "json-schema:///";

const STEPS_EXCEEDED: &str = "takes too many steps to be held to the schema";

/// About what an error takes, in bytes.
const ERROR_BYTES: u64 = 640;

/// The dialect of a schema; the numbers are those of `SchemaDraft` in the proto.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Draft {
    /// draft-07.
    Draft7 = 1,
    /// 2019-09.
    Draft201909 = 2,
    /// 2020-12.
    Draft202012 = 3,
}

impl Draft {
    fn dialect(self) -> jsonschema::Draft {
        match self {
            Self::Draft7 => jsonschema::Draft::Draft7,
            Self::Draft201909 => jsonschema::Draft::Draft201909,
            Self::Draft202012 => jsonschema::Draft::Draft202012,
        }
    }
}

/// The `$id` of a document as others name it.
fn known_as(uri: &str) -> &str {
    uri.strip_prefix(NO_ID).unwrap_or(uri)
}

/// A schema with all that it refers to.
#[derive(Debug)]
pub struct Schema {
    source: String,
    /// `$id` and document.
    resources: Vec<(String, String)>,
    formats: bool,
    compiled: Result<Compiled, CoreError>,
}

/// Where an event does not fit.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Violations {
    /// The first.
    pub first: Vec<Violation>,
    /// All of them.
    pub count: usize,
}

impl Schema {
    /// Compiles a document.
    ///
    /// `resources` are the documents that it may refer to, also through others, by their `$id`;
    /// nothing is fetched. `formats`: whether `format` is checked.
    pub fn compile(
        source: &str,
        resources: &[(String, String)],
        formats: bool,
    ) -> Result<Self, CoreError> {
        let schema = Self::stored(source, resources, formats);
        schema.compiled()?;
        Ok(schema)
    }

    /// The `$id` of all documents that it refers to, also through others, and that are not among
    /// `resources`, in byte order: for a document that does not compile without them.
    pub fn missing(source: &str, resources: &[(String, String)]) -> Result<Vec<String>, CoreError> {
        compile::missing(source, resources)
    }

    /// A document that was put in force. One that does not compile here, such as one that a newer
    /// server took, says so whenever it is asked, and holds up nothing else.
    pub fn stored(source: &str, resources: &[(String, String)], formats: bool) -> Self {
        Self {
            source: source.to_owned(),
            resources: resources.to_vec(),
            formats,
            compiled: compile(source, resources, formats),
        }
    }

    fn compiled(&self) -> Result<&Compiled, CoreError> {
        self.compiled.as_ref().map_err(Clone::clone)
    }

    /// Its `$id` in full, if it has one.
    pub fn id(&self) -> Result<Option<&str>, CoreError> {
        Ok(self.compiled()?.id.as_deref())
    }

    /// SHA-256 of the canonical JSON of the document and of all that it refers to, and of whether
    /// formats are checked; lower-case hexadecimal.
    pub fn digest(&self) -> Result<&str, CoreError> {
        Ok(&self.compiled()?.digest)
    }

    /// Its dialect.
    pub fn draft(&self) -> Result<Draft, CoreError> {
        Ok(self.compiled()?.draft)
    }

    /// `$id` of all resources that it refers to, also through others, in byte order.
    pub fn refers_to(&self) -> Result<&[String], CoreError> {
        Ok(&self.compiled()?.refers_to)
    }

    /// The fields that it declares personal by annotations, also through what it refers to; none:
    /// it has no annotations. INVALID_SCHEMA, if one of them cannot be taken.
    pub fn personal(&self) -> Result<Vec<PersonalField>, CoreError> {
        self.compiled()?.personal.clone()
    }

    /// Where the data of an event does not fit; at most `first_max` are listed. Refused as an
    /// append is with data that are no strict JSON.
    pub fn violations(&self, data: &[u8], first_max: usize) -> Result<Violations, CoreError> {
        self.violations_of(data, true, first_max)
    }

    /// As `violations`, of data in which `null` stands for values that are absent: these fit.
    pub fn violations_beside(
        &self,
        data: &[u8],
        absent: &[String],
        first_max: usize,
    ) -> Result<Violations, CoreError> {
        if absent.is_empty() {
            return self.violations(data, first_max);
        }
        let absent: Vec<_> =
            absent.iter().filter_map(|pointer| Pattern::pointer(pointer).ok()).collect();
        let found = self.violations(data, VIOLATIONS_MAX)?;
        Ok(absent::that_count(found, &absent, first_max))
    }

    /// As `violations`, of any JSON value.
    pub fn violations_of_any(
        &self,
        text: &[u8],
        first_max: usize,
    ) -> Result<Violations, CoreError> {
        self.violations_of(text, false, first_max)
    }

    fn violations_of(
        &self,
        text: &[u8],
        object: bool,
        first_max: usize,
    ) -> Result<Violations, CoreError> {
        let mut tree = Tree::default();
        Checker::default()
            .check_into(text, object, &mut tree)
            .map_err(|refusal| refusal.into_error("data"))?;
        let found = self.look(tree.root(text_of(text)), first_max, &mut { u64::MAX })?;
        Ok(found.unwrap_or_default())
    }

    /// Where a value does not fit. What this takes is taken from the steps that are left; `None`,
    /// if they are not enough.
    pub(crate) fn look(
        &self,
        place: Place<'_>,
        first_max: usize,
        steps_left: &mut u64,
    ) -> Result<Option<Violations>, CoreError> {
        let compiled = self.compiled()?;
        Ok(match compiled.look(place, first_max, steps_left) {
            Ok(found) => Some(found),
            Err(Exceeded::Steps) if *steps_left == 0 => None,
            Err(exceeded) => Some(Violations::exceeded(exceeded)),
        })
    }
}

impl Compiled {
    fn look(
        &self,
        place: Place<'_>,
        first_max: usize,
        steps_left: &mut u64,
    ) -> Result<Violations, Exceeded> {
        let Self { id, graph, validator, .. } = self;
        if self.run(u64::MAX, steps_left, || validator.is_valid(place))? {
            return Ok(Violations::default());
        }
        let found = self.run(errors_max(graph.copied_bytes), steps_left, || {
            let mut found = Violations::default();
            for error in validator.iter_errors(place) {
                found.add(Violation::of(&error, id.as_deref()), first_max);
            }
            found
        });
        match found {
            Err(Exceeded::Errors) => self.run(u64::MAX, steps_left, || {
                let mut found = Violations::default();
                if let Err(error) = validator.validate(place) {
                    found.add(Violation::of(&error, id.as_deref()).take(1), first_max);
                }
                found
            }),
            found => found,
        }
    }

    /// Does work on one event that may find so many errors.
    fn run<T>(
        &self,
        errors: u64,
        steps_left: &mut u64,
        work: impl FnOnce() -> T,
    ) -> Result<T, Exceeded> {
        let Graph { name_patterns, name_pattern_bytes, .. } = self.graph;
        let bounds = Bounds {
            steps: SCHEMA_STEPS_MAX.min(*steps_left),
            errors,
            member_steps: 1 + name_patterns as u64,
            pattern_bytes: name_pattern_bytes,
        };
        let (done, taken) = bounded(bounds, work);
        *steps_left -= taken;
        done
    }
}

impl Violations {
    fn add(&mut self, found: impl Iterator<Item = Violation>, first_max: usize) {
        for violation in found {
            self.count += 1;
            if self.first.len() < first_max {
                self.first.push(violation);
            }
        }
    }

    /// What cannot be told within the bounds does not fit.
    fn exceeded(exceeded: Exceeded) -> Self {
        let message = match exceeded {
            Exceeded::Steps | Exceeded::Errors => STEPS_EXCEEDED,
            Exceeded::Pattern => {
                "has a text with which a pattern of the schema takes too many steps"
            }
            Exceeded::Stack => "nests too deep to be held to the schema",
        };
        Self::whole("limit", message.to_owned())
    }

    /// What is found of an event as a whole.
    pub(crate) fn whole(rule: &str, message: String) -> Self {
        let violation = Violation {
            pointer: String::new(),
            rule: rule.to_owned(),
            schema_pointer: String::new(),
            message,
        };
        Self { first: vec![violation], count: 1 }
    }
}

/// How many errors may be found, each of which may copy so many bytes of the schema.
fn errors_max(copied_bytes: usize) -> u64 {
    SCHEMA_ERRORS_BYTES_MAX / (ERROR_BYTES + copied_bytes as u64)
}

/// The text that passed the strict check.
pub(crate) fn text_of(text: &[u8]) -> &str {
    simdutf8::basic::from_utf8(text).unwrap_or_default()
}
