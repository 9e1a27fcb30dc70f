//! A transform document: its tree turned into names, paths and parsed expressions.

use crate::fold::document::{
    Expression, Let, Reader, case_name, document_name, fold_name, handled_type,
};
use crate::fold::lists::{categories, category, names};
use crate::fold::refusal::{Parsed, Position, Refusal, Source as Text};
use crate::fold::tree::{Kind, Node};
use crate::limits::{
    TRANSFORM_CATEGORIES_MAX, TRANSFORM_COPIES_MAX, TRANSFORM_ENTRIES_MAX,
    TRANSFORM_SOURCE_STREAMS_MAX,
};
use crate::mapping::document::{Sections, Target, sort};
use crate::names::{category as category_of, check_event_type, check_stream_name};

use super::Source;

const KEYS: &str = "the keys are `transform`, `source`, `into`, `stream`, `others`, `let`, \
                    `events`, `verify`";
const RULE_KEYS: &str = "the keys are `type`, `stream`, `when`, `data`, `metadata`, `tags`; fields \
                         of the data stand under `data`";
const DROP: &str = "to drop all events of a type, write `drop` in place of the rule";
const SOURCE: &str = "`source` is a mapping with one of the keys `category`, `categories`, \
                      `stream`, `streams` and `log`";
const NO_EXPRESSION: &str = "`type` is a new event type, and no expression";
const RULE: &str = "a rule is `drop`, a mapping, or a list of mappings";

/// A transform document.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) name: String,
    pub(super) source: Source,
    /// In byte order.
    pub(super) into: Vec<String>,
    /// The target stream where a rule names none.
    pub(super) stream: Option<Expression>,
    /// Whether types without a rule are copied.
    pub(super) keeps_others: bool,
    pub(super) lets: Vec<Let>,
    pub(super) types: Vec<TypePart>,
    pub(super) verify: Option<(String, String)>,
}

/// What becomes of one event type.
#[derive(Debug)]
pub(super) struct TypePart {
    pub(super) event_type: String,
    /// Whether the document gives a list, even of one.
    pub(super) listed: bool,
    /// None: its events are dropped.
    pub(super) rules: Vec<RulePart>,
}

/// One copy of an event.
#[derive(Debug)]
pub(super) struct RulePart {
    pub(super) at: Position,
    pub(super) when: Option<Expression>,
    /// The new type.
    pub(super) event_type: Option<String>,
    pub(super) stream: Option<Expression>,
    pub(super) data: Option<ShapePart>,
    pub(super) metadata: Option<ShapePart>,
    pub(super) tags: Option<Expression>,
}

/// What becomes of data or metadata.
#[derive(Debug)]
pub(super) enum ShapePart {
    /// All of it is computed.
    Whole(Expression),
    /// Places are, in the order of their paths.
    Fields(Vec<(Target, Expression)>),
}

impl TypePart {
    /// The name of a rule in errors.
    pub(super) fn rule_name(&self, index: usize) -> String {
        case_name(&self.event_type, self.listed, index)
    }
}

/// Reads the tree of a document.
pub(super) fn read(root: &Node, text: &Text<'_>) -> Parsed<Document> {
    let Kind::Map(entries) = &root.kind else {
        let problem = "a transform document is a mapping with the key `transform`";
        return Err(Refusal::new(root.at, problem));
    };
    let sections = Sections { reader: Reader { source: text }, of: "a transform" };
    let (mut name, mut source, mut into) = (None, None, None);
    let mut document = Document {
        name: String::new(),
        source: Source::Log,
        into: Vec::new(),
        stream: None,
        keeps_others: false,
        lets: Vec::new(),
        types: Vec::new(),
        verify: None,
    };
    for (key, value) in entries {
        let written = key.text().unwrap_or_default();
        let named = |refusal: Box<Refusal>| refusal.path(written);
        match written {
            "transform" => name = Some(document_name(value, "a transform")?),
            "source" => source = Some(read_source(value).map_err(named)?),
            "into" => into = Some(read_into(value).map_err(named)?),
            "stream" => {
                document.stream = Some(sections.reader.expression(value).map_err(named)?);
            }
            "others" => document.keeps_others = keeps(value).map_err(named)?,
            "let" => document.lets = sections.reader.lets(value)?,
            "events" => document.types = types(&sections, value)?,
            "verify" => document.verify = Some(verify(value).map_err(named)?),
            other => {
                let problem = format!("a transform document has no key `{other}`");
                return Err(Refusal::new(key.at, problem).hint(KEYS));
            }
        }
    }
    let missing =
        |key, what: &str| Refusal::new(root.at, format!("the key `{key}`, {what}, is missing"));
    document.name = name.ok_or_else(|| missing("transform", "its name"))?;
    document.source = source.ok_or_else(|| missing("source", "what it reads"))?;
    document.into = into.ok_or_else(|| missing("into", "the categories that it writes to"))?;
    document.check_streams(root.at)?;
    Ok(document)
}

impl Document {
    /// Refuses a document that copies nothing, or without a stream for what it copies.
    fn check_streams(&self, at: Position) -> Parsed<()> {
        if !self.keeps_others && self.types.iter().all(|part| part.rules.is_empty()) {
            let problem = "the transform drops every event";
            let hint = "`events` says what becomes of each type, and `others: keep` copies the \
                        types that it does not name";
            return Err(Refusal::new(at, problem).hint(hint));
        }
        if self.stream.is_some() {
            return Ok(());
        }
        if self.keeps_others {
            let problem = "`others: keep` copies events to the default stream, and there is none";
            return Err(Refusal::new(at, problem).hint("give the document a `stream`"));
        }
        for part in &self.types {
            let without = part.rules.iter().enumerate().find(|(_, rule)| rule.stream.is_none());
            if let Some((index, rule)) = without {
                let problem = "the rule names no target stream, and there is no default one";
                return Err(Refusal::new(rule.at, problem)
                    .hint("give the rule or the document a `stream`")
                    .handler(&part.rule_name(index)));
            }
        }
        Ok(())
    }
}

fn read_source(node: &Node) -> Parsed<Source> {
    let Kind::Map(entries) = &node.kind else {
        return Err(Refusal::new(node.at, SOURCE).hint("such as `{category: Customer}`"));
    };
    let [(key, value)] = entries.as_slice() else {
        return Err(Refusal::new(node.at, SOURCE));
    };
    match key.text().unwrap_or_default() {
        "category" => Ok(Source::Categories(vec![category(value)?])),
        "categories" => {
            categories(value, "categories", TRANSFORM_CATEGORIES_MAX).map(Source::Categories)
        }
        "stream" => Ok(Source::Streams(vec![stream_name(value)?])),
        "streams" => {
            names(value, "streams", TRANSFORM_SOURCE_STREAMS_MAX, stream_name).map(Source::Streams)
        }
        "log" if value.text() == Some("true") => Ok(Source::Log),
        "log" => Err(Refusal::new(value.at, "`log` can only be true: all categories are read")),
        other => Err(Refusal::new(key.at, format!("`source` has no key `{other}`")).hint(SOURCE)),
    }
}

fn stream_name(node: &Node) -> Parsed<String> {
    let name = node.text().unwrap_or_default();
    check_stream_name(name).map_err(|error| Refusal::new(node.at, error.message))?;
    Ok(name.to_owned())
}

fn read_into(node: &Node) -> Parsed<Vec<String>> {
    match node.text() {
        Some(text) if text.contains('-') => Err(Refusal::new(
            node.at,
            format!(
                "`into` has categories, such as `{}`, and no names of streams",
                category_of(text)
            ),
        )),
        Some(_) => Ok(vec![category(node)?]),
        None => categories(node, "into", TRANSFORM_CATEGORIES_MAX),
    }
}

fn keeps(node: &Node) -> Parsed<bool> {
    match node.text() {
        Some("drop") => Ok(false),
        Some("keep") => Ok(true),
        _ => Err(Refusal::new(node.at, "`others` is `drop` or `keep`")),
    }
}

fn verify(node: &Node) -> Parsed<(String, String)> {
    let problem = "`verify` is `{from: FOLD, to: FOLD}`, names of registered folds";
    let Kind::Map(entries) = &node.kind else { return Err(Refusal::new(node.at, problem)) };
    let fold = |name| entries.iter().find(|(key, _)| key.text() == Some(name));
    match (fold("from"), fold("to"), entries.len()) {
        (Some((_, from)), Some((_, to)), 2) => Ok((fold_name(from)?, fold_name(to)?)),
        _ => Err(Refusal::new(node.at, problem)),
    }
}

fn types(sections: &Sections<'_>, node: &Node) -> Parsed<Vec<TypePart>> {
    let Kind::Map(entries) = &node.kind else {
        return Err(Refusal::new(node.at, "`events` maps event types to rules").path("events"));
    };
    entries.iter().map(|(key, value)| type_part(sections, key, value)).collect()
}

fn type_part(sections: &Sections<'_>, key: &Node, node: &Node) -> Parsed<TypePart> {
    let event_type = handled_type(key)?;
    let mut part = TypePart { event_type: event_type.to_owned(), listed: false, rules: Vec::new() };
    let named = |refusal: Box<Refusal>| refusal.handler(event_type);
    match &node.kind {
        Kind::Scalar { text, .. } if text == "drop" => {}
        Kind::Scalar { text, .. } => {
            let hint = match text.as_str() {
                "" | "null" | "~" | "keep" => {
                    "`{}` copies the events of a type as they are".to_owned()
                }
                text => format!("to rename events, write `{{type: {text}}}`"),
            };
            return Err(named(Refusal::new(node.at, RULE).hint(hint)));
        }
        Kind::Map(_) => part.rules.push(rule(sections, event_type, node).map_err(named)?),
        Kind::List(items) if (1..=TRANSFORM_COPIES_MAX).contains(&items.len()) => {
            part.listed = true;
            for (index, item) in items.iter().enumerate() {
                let name = part.rule_name(index);
                let read = rule(sections, event_type, item);
                part.rules.push(read.map_err(|refusal: Box<Refusal>| refusal.handler(&name))?);
            }
        }
        Kind::List(_) => {
            let problem = format!("a type has 1 to {TRANSFORM_COPIES_MAX} rules");
            return Err(named(Refusal::new(node.at, problem)));
        }
    }
    Ok(part)
}

fn rule(sections: &Sections<'_>, event_type: &str, node: &Node) -> Parsed<RulePart> {
    let Kind::Map(entries) = &node.kind else {
        let hint = "`drop` stands alone: a rule of a list that is not wanted is left out";
        return Err(Refusal::new(node.at, RULE).hint(hint));
    };
    let mut rule = RulePart {
        at: node.at,
        when: None,
        event_type: None,
        stream: None,
        data: None,
        metadata: None,
        tags: None,
    };
    for (key, value) in entries {
        let written = key.text().unwrap_or_default();
        let named = |refusal: Box<Refusal>| refusal.path(written);
        let expression = || sections.reader.expression(value).map_err(named);
        match written {
            "type" => rule.event_type = Some(new_type(value).map_err(named)?),
            "stream" => rule.stream = Some(expression()?),
            "when" => rule.when = Some(expression()?),
            "data" => rule.data = Some(shape(sections, value, written).map_err(named)?),
            "metadata" => rule.metadata = Some(shape(sections, value, written).map_err(named)?),
            "tags" => rule.tags = Some(expression()?),
            other => {
                let problem = format!("a rule has no key `{other}`");
                let hint = if other == "drop" { DROP } else { RULE_KEYS };
                return Err(Refusal::new(key.at, problem).hint(hint));
            }
        }
    }
    if event_type.starts_with('$') && rule.event_type.is_none() {
        let problem = format!("only the server writes events of the type `{event_type}`");
        return Err(Refusal::new(rule.at, problem).hint("give the rule a `type` to rename them"));
    }
    Ok(rule)
}

fn new_type(node: &Node) -> Parsed<String> {
    let Some(name) = node.text() else {
        return Err(Refusal::new(node.at, NO_EXPRESSION));
    };
    // Whoever takes it for an expression writes quotes within quotes.
    if name.len() > 1
        && ['\'', '"'].iter().any(|quote| name.starts_with(*quote) && name.ends_with(*quote))
    {
        return Err(Refusal::new(node.at, NO_EXPRESSION).hint("leave the inner quotes out"));
    }
    check_event_type(name).map_err(|error| Refusal::new(node.at, error.message))?;
    Ok(name.to_owned())
}

/// Paths with expressions, or all of it: as the path `.`, or as an expression in place of paths.
fn shape(sections: &Sections<'_>, node: &Node, section: &str) -> Parsed<ShapePart> {
    let Kind::Map(entries) = &node.kind else {
        return sections.reader.expression(node).map(ShapePart::Whole);
    };
    let whole = entries.iter().find(|(key, _)| key.text() == Some("."));
    match whole {
        Some((_, value)) if entries.len() == 1 => {
            sections.reader.expression(value).map(ShapePart::Whole)
        }
        Some((key, _)) => {
            let problem = "`.` is all there is, and so the only path";
            Err(Refusal::new(key.at, problem))
        }
        None if entries.len() > TRANSFORM_ENTRIES_MAX => {
            let problem = format!(
                "`{section}` has {} paths; at most {TRANSFORM_ENTRIES_MAX} are allowed",
                entries.len()
            );
            Err(Refusal::new(node.at, problem))
        }
        None => {
            let mut fields = sections.computed(node, section)?;
            sort(&mut fields);
            Ok(ShapePart::Fields(fields))
        }
    }
}
