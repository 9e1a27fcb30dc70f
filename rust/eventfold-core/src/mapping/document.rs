//! A mapping document: its tree turned into paths, literals and parsed expressions.

use std::sync::Arc;

use crate::fold::document::{Expression, Reader};
use crate::fold::literal::literal_value;
use crate::fold::path::{Path, Segment};
use crate::fold::refusal::{Parsed, Position, Refusal, Source};
use crate::fold::tree::{Kind, Node};
use crate::limits::{JSON_DEPTH_MAX, MAPPING_ENTRIES_MAX};
use crate::names::check_event_type;
use crate::value::Value;

const KEYS: &str = "the keys are `mapping`, `renames`, `defaults`, `computed`";

/// A mapping document. The order of entries has no meaning: they stand in the order of their paths.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) event_type: String,
    pub(super) renames: Vec<Rename>,
    pub(super) defaults: Vec<(Target, Value)>,
    pub(super) computed: Vec<(Target, Expression)>,
}

#[derive(Debug)]
pub(super) struct Rename {
    pub(super) from: Target,
    pub(super) to: Target,
}

/// A place in the data of an event that an entry names.
#[derive(Debug)]
pub(crate) struct Target {
    /// At least one.
    pub(super) keys: Vec<Arc<str>>,
    /// The path in normal form.
    pub(crate) printed: String,
    /// The entry in errors, such as `defaults.country`.
    pub(super) name: String,
    pub(super) at: Position,
    path: Path,
}

/// Reads the tree of a document.
pub(super) fn read(root: &Node, source: &Source<'_>) -> Parsed<Document> {
    let Kind::Map(entries) = &root.kind else {
        let problem = "a mapping document is a mapping with the key `mapping`";
        return Err(Refusal::new(root.at, problem));
    };
    let reader = Sections { reader: Reader { source }, of: "a mapping" };
    let mut event_type = None;
    let mut document = Document::default();
    for (key, value) in entries {
        match key.text().unwrap_or_default() {
            "mapping" => event_type = Some(mapped_type(value)?),
            "renames" => document.renames = reader.renames(value)?,
            "defaults" => document.defaults = reader.defaults(value)?,
            "computed" => document.computed = reader.computed(value, "computed")?,
            other => {
                let problem = format!("a mapping document has no key `{other}`");
                return Err(Refusal::new(key.at, problem).hint(KEYS));
            }
        }
    }
    document.event_type = event_type.ok_or_else(|| {
        Refusal::new(root.at, "the key `mapping`, the event type that is mapped, is missing")
    })?;
    document.check_number(root.at)?;
    document.sort();
    Ok(document)
}

impl Document {
    fn check_number(&self, at: Position) -> Parsed<()> {
        let problem = match self.renames.len() + self.defaults.len() + self.computed.len() {
            0 => "the mapping has no entry, so that it changes nothing".to_owned(),
            1..=MAPPING_ENTRIES_MAX => return Ok(()),
            entries => {
                format!(
                    "the mapping has {entries} entries; at most {MAPPING_ENTRIES_MAX} are allowed"
                )
            }
        };
        Err(Refusal::new(at, problem))
    }

    /// Names of the fields at the top of the data in which an entry puts something.
    pub(super) fn assigned(&self) -> Vec<Arc<str>> {
        let renames = self.renames.iter().map(|rename| &rename.to);
        let defaults = self.defaults.iter().map(|(target, _)| target);
        let computed = self.computed.iter().map(|(target, _)| target);
        let targets = renames.chain(defaults).chain(computed);
        targets.filter_map(|target| target.keys.first().cloned()).collect()
    }

    fn sort(&mut self) {
        self.renames.sort_by(|left, right| left.from.keys.cmp(&right.from.keys));
        sort(&mut self.defaults);
        sort(&mut self.computed);
    }
}

/// Brings entries into the order of their paths.
pub(crate) fn sort<T>(entries: &mut [(Target, T)]) {
    entries.sort_by(|(left, _), (right, _)| left.keys.cmp(&right.keys));
}

impl Target {
    /// Whether it is a place inside of another, or the other itself.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        self.keys.starts_with(&other.keys)
    }
}

fn mapped_type(node: &Node) -> Parsed<String> {
    let name = node.text().unwrap_or_default();
    check_event_type(name).map_err(|error| Refusal::new(node.at, error.message))?;
    Ok(name.to_owned())
}

/// Reads the sections of a document.
pub(crate) struct Sections<'a> {
    pub(crate) reader: Reader<'a>,
    /// What kind of document it is.
    pub(crate) of: &'a str,
}

impl Sections<'_> {
    fn renames(&self, node: &Node) -> Parsed<Vec<Rename>> {
        let mut known: Vec<Rename> = Vec::new();
        for (key, value) in entries(node, "renames", "old paths to new ones")? {
            let name = entry_name("renames", key);
            let named = |refusal: Box<Refusal>| refusal.path(&name);
            let from = self.target(key, &name).map_err(named)?;
            if value.text().is_none() {
                return Err(named(Refusal::new(value.at, "the new path must be a text")));
            }
            let to = self.target(value, &name).map_err(named)?;
            let others = || known.iter().flat_map(|rename| [&rename.from, &rename.to]);
            check_apart(&from, others()).map_err(named)?;
            check_apart(&to, others().chain([&from])).map_err(named)?;
            known.push(Rename { from, to });
        }
        Ok(known)
    }

    fn defaults(&self, node: &Node) -> Parsed<Vec<(Target, Value)>> {
        let read = |value: &Node, target: &Target| {
            let literal = literal_value(value)?;
            if target.keys.len() + literal.depth() > JSON_DEPTH_MAX {
                let problem = format!("the event would nest deeper than {JSON_DEPTH_MAX} levels");
                return Err(Refusal::new(value.at, problem));
            }
            Ok(literal)
        };
        self.section(node, "defaults", "paths to literals", read)
    }

    /// Entries of a section by that name that compute a place.
    pub(crate) fn computed(&self, node: &Node, section: &str) -> Parsed<Vec<(Target, Expression)>> {
        let read = |value: &Node, _: &Target| self.reader.expression(value);
        self.section(node, section, "paths to expressions", read)
    }

    /// Entries that give a place something.
    fn section<T>(
        &self,
        node: &Node,
        section: &str,
        what: &str,
        read: impl Fn(&Node, &Target) -> Parsed<T>,
    ) -> Parsed<Vec<(Target, T)>> {
        let mut known: Vec<(Target, T)> = Vec::new();
        for (key, value) in entries(node, section, what)? {
            let name = entry_name(section, key);
            let named = |refusal: Box<Refusal>| refusal.path(&name);
            let target = self.target(key, &name).map_err(named)?;
            check_apart(&target, known.iter().map(|(target, _)| target)).map_err(named)?;
            let given = read(value, &target).map_err(named)?;
            known.push((target, given));
        }
        Ok(known)
    }

    fn target(&self, node: &Node, name: &str) -> Parsed<Target> {
        let path = self.reader.path(node, node.text().unwrap_or_default())?;
        if path.segments.is_empty() || path.segments.len() > JSON_DEPTH_MAX {
            let problem = format!("the path of {} has 1 to {JSON_DEPTH_MAX} keys", self.of);
            return Err(Refusal::new(node.at, problem));
        }
        let key = |segment: &Segment| match segment {
            Segment::Key(key) => Some(Arc::clone(key)),
            Segment::Index(_) | Segment::Computed(_) => None,
        };
        let Some(keys) = path.segments.iter().map(key).collect() else {
            let problem =
                format!("the path of {} has keys only: `name` and `['any key']`", self.of);
            return Err(Refusal::new(node.at, problem));
        };
        Ok(Target { keys, printed: path.print(), name: name.to_owned(), at: node.at, path })
    }
}

fn entries<'a>(node: &'a Node, section: &str, what: &str) -> Parsed<&'a [(Node, Node)]> {
    match &node.kind {
        Kind::Map(entries) => Ok(entries),
        _ => Err(Refusal::new(node.at, format!("`{section}` maps {what}")).path(section)),
    }
}

/// An entry in errors.
fn entry_name(section: &str, key: &Node) -> String {
    let path = key.text().unwrap_or_default();
    let dot = if path.starts_with('[') { "" } else { "." };
    format!("{section}{dot}{path}")
}

fn check_apart<'a>(target: &Target, mut others: impl Iterator<Item = &'a Target>) -> Parsed<()> {
    match others.find(|other| other.path.overlaps(&target.path)) {
        None => Ok(()),
        Some(other) => {
            let problem = format!(
                "`{}` and `{}` name the same place, or one inside of the other",
                other.printed, target.printed
            );
            Err(Refusal::new(target.at, problem))
        }
    }
}
