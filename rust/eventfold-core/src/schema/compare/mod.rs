//! What a change of a schema means for events that fit the old one.
//!
//! Both schemas are walked through twice: once for what the new one demands that does not follow
//! from the old one, and once the other way round. The first are the differences by which an event
//! that was valid may be refused: one is `narrower` if a value shows it, made from the old schema
//! and judged by both; else it is `undecided`. The second are `wider`.
//!
//! It is sound: if an event fits the old schema and not the new one, there is a difference that is
//! narrower or undecided. It is not complete: there are changes without effect that it calls
//! undecided.

mod annotations;
mod declared;
mod elements;
mod facts;
mod fits;
pub(super) mod keywords;
mod logic;
mod node;
mod patterns;
mod properties;
mod rules;
mod same;
mod sample;
mod scalars;
mod types;
mod walk;
mod words;

use std::collections::HashSet;
use std::rc::Rc;

use referencing::{Draft, Registry, ResourceRef, uri};
use serde_json::Value;

use crate::error::CoreError;
use crate::json::check::Checker;
use crate::json::tree::Tree;
use crate::limits::{SCHEMA_COMPARISON_STEPS_MAX, SCHEMA_DIFFERENCES_MAX, SCHEMA_STEPS_MAX};

use super::NO_ID;
use super::work::{self, Exceeded};

use annotations::Annotations;
use facts::Known;
use node::{Place, Schema};
use types::Types;
use walk::{Finding, Walk};
use words::Words;

/// Most findings for which a value is looked for.
const WITNESSED_MAX: usize = 100;
/// Most steps of looking for one of these values, of all that there are for them.
const WITNESS_STEPS_MAX: u64 = SCHEMA_COMPARISON_STEPS_MAX / 8;

/// What a difference means for events that fit the old schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// Some do not fit the new one.
    Narrower,
    /// It cannot be told from the schemas.
    Undecided,
    /// All fit the new one.
    Wider,
    /// It says nothing of what fits.
    Annotation,
}

impl Change {
    /// The number of `SchemaChange` in the proto.
    pub fn number(self) -> i32 {
        match self {
            Self::Wider => 1,
            Self::Narrower => 2,
            Self::Undecided => 3,
            Self::Annotation => 4,
        }
    }
}

/// A difference between two schemas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// JSON Pointer into events, with `*` for every element or every other property.
    pub pointer: String,
    /// The keyword that differs.
    pub keyword: String,
    /// What it means.
    pub change: Change,
    /// In words, without values of events.
    pub message: String,
}

/// One of the schemas that are compared.
#[derive(Clone, Copy)]
pub struct Version<'a> {
    /// The document, a schema that was checked: references lead somewhere, and not in a circle.
    pub document: &'a Value,
    /// The other documents that it refers to, by their `$id`.
    pub resources: &'a [(String, Value)],
    /// Whether `format` is checked.
    pub formats: bool,
    /// Whether an event fits it.
    pub fits: &'a dyn Fn(&Value) -> bool,
}

/// Lists what differs for values of any type: first what is narrower, then what is undecided, then
/// what is wider, and annotations; each kind by pointers.
pub fn compare(old: &Version<'_>, new: &Version<'_>) -> Vec<Difference> {
    compare_for(Types::ALL, old, new)
}

fn compare_for(types: Types, old: &Version<'_>, new: &Version<'_>) -> Vec<Difference> {
    let registries = registry(old).and_then(|one| Some((one, registry(new)?)));
    let roots =
        registries.as_ref().and_then(|(one, other)| Some((root(old, one)?, root(new, other)?)));
    let Some((old_root, new_root)) = roots else {
        return vec![Difference {
            pointer: String::new(),
            keyword: "$ref".to_owned(),
            change: Change::Undecided,
            message: "the references of the schemas cannot be followed".to_owned(),
        }];
    };
    let mut differences = Vec::new();
    let demanded = findings(Words::New, types, &old_root, &new_root);
    let changed = |finding: &Finding<'_>| (finding.pointer(), finding.keyword);
    let narrowed: HashSet<_> = demanded.iter().map(changed).collect();
    let shown = shown(&demanded, old, new);
    for (index, finding) in demanded.iter().enumerate() {
        let change = if shown.contains(&index) { Change::Narrower } else { Change::Undecided };
        differences.push(difference(finding, change));
    }
    for finding in findings(Words::Old, types, &new_root, &old_root) {
        // Lists can be longer and shorter at once; of others, one side says it all.
        let lists = matches!(finding.keyword, "enum" | "type");
        if lists || !narrowed.contains(&changed(&finding)) {
            differences.push(difference(&finding, Change::Wider));
        }
    }
    let mut annotations = Annotations::new(&mut differences);
    // Those that are not reached are of no account.
    let _ = bounded(|| annotations.compare(&old_root, &new_root, ""));
    differences
        .sort_by(|one, other| (one.change, &one.pointer).cmp(&(other.change, &other.pointer)));
    differences.dedup();
    differences.truncate(SCHEMA_DIFFERENCES_MAX);
    differences
}

fn registry<'a>(version: &Version<'a>) -> Option<Registry<'a>> {
    let draft = Draft::default().detect(version.document);
    let resource = ResourceRef::new(version.document, draft);
    let mut builder = Registry::new().draft(draft);
    for (id, document) in version.resources {
        builder = builder.add(id, document).ok()?;
    }
    builder.add(resource.id().unwrap_or(NO_ID), resource).ok()?.prepare().ok()
}

fn root<'r>(version: &Version<'r>, registry: &'r Registry<'r>) -> Option<Schema<'r>> {
    let draft = Draft::default().detect(version.document);
    let resource = ResourceRef::new(version.document, draft);
    let base = uri::from_str(resource.id().unwrap_or(NO_ID)).ok()?;
    let resolver = registry.resolver(base);
    let documents = version.resources.iter().map(|(_, document)| document);
    let dynamic = documents.chain([version.document]).any(is_dynamic);
    Some(Schema::root(version.document, draft, version.formats, dynamic, resolver))
}

/// Whether a document may have references whose target depends on the way that led to them.
fn is_dynamic(document: &Value) -> bool {
    match document {
        Value::Object(map) => {
            let named = ["$recursiveRef", "$dynamicRef"].iter().any(|name| map.contains_key(*name));
            named || map.values().any(is_dynamic)
        }
        Value::Array(list) => list.iter().any(is_dynamic),
        _ => false,
    }
}

/// Work that takes no more steps than a comparison has.
fn bounded<T>(work: impl FnOnce() -> T) -> Result<T, Exceeded> {
    work::limited(SCHEMA_COMPARISON_STEPS_MAX, work)
}

fn findings<'r>(
    words: Words,
    types: Types,
    old: &Schema<'r>,
    new: &Schema<'r>,
) -> Vec<Finding<'r>> {
    let known = Known::with_reserve(SCHEMA_COMPARISON_STEPS_MAX / 4);
    let mut walk = Walk::new(&known, words);
    let walked = bounded(|| {
        walk.compare(&Rc::new(Place::of([old]).only(types)), &Place::of([new]), "");
    });
    let mut findings = walk.findings;
    if walked.is_err() {
        // What was not come to is anywhere. It must be told, whatever else there is.
        findings.truncate(SCHEMA_DIFFERENCES_MAX - 1);
        findings.push(Finding {
            path: Vec::new(),
            place: Rc::new(Place::anything()),
            keyword: "",
            message: words.too_large(),
            probes: Vec::new(),
        });
    }
    findings
}

/// The places of those findings for which a value shows that the new schema refuses what the old
/// one allows.
fn shown(findings: &[Finding<'_>], old: &Version<'_>, new: &Version<'_>) -> HashSet<usize> {
    let known = Known::default();
    let mut shown = HashSet::new();
    // Those that there are no steps for are not shown.
    let _ = bounded(|| {
        for (index, finding) in findings.iter().enumerate().take(WITNESSED_MAX) {
            let is_shown = || {
                let mut values = sample::witnesses(&known, finding);
                values.any(|value| (old.fits)(&value) && !(new.fits)(&value))
            };
            let steps = WITNESS_STEPS_MAX.min(work::left());
            if work::limited(steps, is_shown) == Ok(true) {
                shown.insert(index);
            }
            work::steps(1);
        }
    });
    shown
}

fn difference(finding: &Finding<'_>, change: Change) -> Difference {
    Difference {
        pointer: finding.pointer(),
        keyword: finding.keyword.to_owned(),
        change,
        message: finding.message.clone(),
    }
}

impl super::Schema {
    /// Lists what differs from an older schema, for events or for values of any type.
    pub fn compare(&self, older: &Self, events: bool) -> Result<Vec<Difference>, CoreError> {
        let (old, new) = (Parsed::of(older)?, Parsed::of(self)?);
        // What takes too many steps to tell shows nothing.
        let old_fits = |value: &Value| older.fits(value).unwrap_or(false);
        let new_fits = |value: &Value| self.fits(value).unwrap_or(true);
        let types = if events { Types::OBJECT } else { Types::ALL };
        Ok(compare_for(types, &old.version(&old_fits), &new.version(&new_fits)))
    }

    /// Whether a value fits; `None` if that takes more steps than the work at hand has left.
    fn fits(&self, value: &Value) -> Option<bool> {
        let text = value.to_string();
        work::bytes(text.len());
        let mut tree = Tree::default();
        Checker::default().check_into(text.as_bytes(), false, &mut tree).ok()?;
        let (compiled, left) = (self.compiled().ok()?, work::left());
        let valid = || compiled.validator.is_valid(tree.root(&text));
        match compiled.run(u64::MAX, &mut { left }, valid) {
            Ok(valid) => Some(valid),
            Err(Exceeded::Steps) if left < SCHEMA_STEPS_MAX => None,
            Err(_) => Some(false),
        }
    }
}

/// The documents of a schema.
struct Parsed {
    document: Value,
    resources: Vec<(String, Value)>,
    formats: bool,
}

impl Parsed {
    fn of(schema: &super::Schema) -> Result<Self, CoreError> {
        let parse = |text: &str| {
            let bug = |error| CoreError::new("BUG", format!("a schema is no JSON: {error}"));
            serde_json::from_str(text).map_err(bug)
        };
        let resources = schema.resources.iter();
        let resources = resources.map(|(id, text)| Ok((id.clone(), parse(text)?)));
        Ok(Self {
            document: parse(&schema.source)?,
            resources: resources.collect::<Result<_, CoreError>>()?,
            formats: schema.formats,
        })
    }

    fn version<'a>(&'a self, fits: &'a dyn Fn(&Value) -> bool) -> Version<'a> {
        let Self { document, resources, formats } = self;
        Version { document, resources, formats: *formats, fits }
    }
}
