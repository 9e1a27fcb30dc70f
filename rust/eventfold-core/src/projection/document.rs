//! A projection document: its tree turned into names, types and parsed expressions.

use crate::cel;
use crate::fold::document::{self as fold_document, Expression, Let, Reader, fold_name};
use crate::fold::lists::{categories, category, list};
use crate::fold::refusal::{Parsed, Position, Refusal, Source};
use crate::fold::tree::{Kind, Node};
use crate::limits::{
    PROJECTION_CATEGORIES_MAX, PROJECTION_COLUMNS_MAX, PROJECTION_INDEX_COLUMNS_MAX,
    PROJECTION_INDEXES_MAX, PROJECTION_RESOLVED_MAX,
};
use crate::names::check_event_type;

use super::column::ColumnType;

/// Longest name of a projection, in characters: others stand around it in names of PostgreSQL,
/// which end at 63.
const NAME_CHARS_MAX: usize = 48;
/// Longest name of a column, in characters.
const COLUMN_CHARS_MAX: usize = 63;
/// Names that rows have for themselves.
const ROW_NAMES: [&str; 3] = ["key", "version", "position"];
/// Names that every table of PostgreSQL has for itself.
const SYSTEM_NAMES: [&str; 6] = ["cmax", "cmin", "ctid", "tableoid", "xmax", "xmin"];
const KEYS: &str = "the keys are `projection`, `source`, `resolve`, `key`, `fold`, `initial`, \
                    `let`, `handlers`, `skip_cancelled`, `where`, `columns`, `indexes`, \
                    `on_error`, `plaintext`";

/// A projection document.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) name: String,
    pub(super) source: Events,
    pub(super) resolve: Vec<Let>,
    pub(super) key: Option<Expression>,
    pub(super) fold: FoldPart,
    pub(super) shown: Option<Expression>,
    pub(super) columns: Vec<ColumnPart>,
    pub(super) indexes: Vec<Vec<String>>,
    pub(super) parks: bool,
    /// Whether personal values may stand in the table as they are.
    pub(super) plaintext: bool,
}

impl Document {
    /// The names of `resolve`.
    pub(super) fn names(&self) -> Vec<String> {
        self.resolve.iter().map(|said| said.name.clone()).collect()
    }
}

/// Which events a projection folds, as far as its document says.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// In byte order; `None`: all.
    pub(super) categories: Option<Vec<String>>,
    /// With their places; `None`: all that the fold handles.
    pub(super) types: Option<Vec<(String, Position)>>,
    /// Whether copies are among them; `None`: it does not say.
    pub(super) copies: Option<bool>,
}

/// Where the fold stands.
#[derive(Debug)]
pub(super) enum FoldPart {
    /// Registered under this name.
    Named(String),
    /// In the document.
    Own(fold_document::Document),
}

/// A column with its expression.
#[derive(Debug)]
pub(super) struct ColumnPart {
    pub(super) name: String,
    pub(super) kind: ColumnType,
    pub(super) value: Expression,
    /// Whether personal values may stand there as they are.
    pub(super) plaintext: bool,
}

/// Reads the tree of a document.
pub(super) fn read(root: &Node, source: &Source<'_>) -> Parsed<Document> {
    let reader = Reader { source };
    let Kind::Map(entries) = &root.kind else {
        let problem = "a projection document is a mapping with the key `projection`";
        return Err(Refusal::new(root.at, problem));
    };
    let (mut name, mut named, mut own, mut columns) = (None, None, None, None);
    let mut fold = fold_document::Document::empty();
    let mut document = Document {
        name: String::new(),
        source: Events::default(),
        resolve: Vec::new(),
        key: None,
        fold: FoldPart::Named(String::new()),
        shown: None,
        columns: Vec::new(),
        indexes: Vec::new(),
        parks: false,
        plaintext: false,
    };
    let mut indexes = None;
    for (key, value) in entries {
        if reader.part(&mut fold, key, value)? {
            own.get_or_insert(key.at);
            continue;
        }
        let written = key.text().unwrap_or_default();
        let named_path = |refusal: Box<Refusal>| refusal.path(written);
        match written {
            "projection" => name = Some(projection_name(value)?),
            "source" => document.source = events(value).map_err(named_path)?,
            "resolve" => {
                let names = reader.named(value, written, PROJECTION_RESOLVED_MAX);
                document.resolve = names.map_err(named_path)?;
            }
            "key" => document.key = Some(reader.expression(value).map_err(named_path)?),
            "fold" => named = Some((fold_name(value)?, key.at)),
            "where" => document.shown = Some(reader.expression(value).map_err(named_path)?),
            "columns" => columns = Some(read_columns(&reader, value)?),
            "indexes" => indexes = Some(value),
            "on_error" => document.parks = parks(value)?,
            "plaintext" => document.plaintext = plaintext(value).map_err(named_path)?,
            other => {
                let problem = format!("a projection document has no key `{other}`");
                return Err(Refusal::new(key.at, problem).hint(KEYS));
            }
        }
    }
    let missing =
        |key, what: &str| Refusal::new(root.at, format!("the key `{key}`, {what}, is missing"));
    document.name = name.ok_or_else(|| missing("projection", "its name"))?;
    document.columns = columns.ok_or_else(|| missing("columns", "what its table holds"))?;
    document.fold = match (named, own) {
        (Some((_, at)), Some(_)) => {
            let problem = "`fold` names a registered fold, so that the document holds none itself";
            return Err(Refusal::new(at, problem));
        }
        (Some((name, _)), None) => FoldPart::Named(name),
        (None, Some(_)) => {
            fold.name.clone_from(&document.name);
            FoldPart::Own(fold)
        }
        (None, None) => {
            return Err(missing("handlers", "or `fold`, the name of a registered fold"));
        }
    };
    if let Some(node) = indexes {
        let named_path = |refusal: Box<Refusal>| refusal.path("indexes");
        document.indexes = read_indexes(node, &document.columns).map_err(named_path)?;
    }
    Ok(document)
}

/// Whether a text is `[a-z][a-z0-9_]*` of at most that many characters.
fn is_name(text: &str, chars_max: usize) -> bool {
    let rest = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    text.len() <= chars_max
        && text.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
        && text.bytes().all(rest)
}

fn projection_name(node: &Node) -> Parsed<String> {
    match node.text() {
        Some(name) if is_name(name, NAME_CHARS_MAX) => Ok(name.to_owned()),
        _ => Err(Refusal::new(
            node.at,
            format!(
                "the name of a projection has 1 to {NAME_CHARS_MAX} of the characters a-z, 0-9 \
                 and `_`, and begins with a letter"
            ),
        )),
    }
}

fn parks(node: &Node) -> Parsed<bool> {
    match node.text() {
        Some("stop") => Ok(false),
        Some("park") => Ok(true),
        _ => Err(Refusal::new(node.at, "`on_error` is `stop` or `park`").path("on_error")),
    }
}

fn plaintext(node: &Node) -> Parsed<bool> {
    match node.text() {
        Some("accepted") => Ok(true),
        _ => Err(Refusal::new(node.at, "`plaintext` is `accepted`, or left out")),
    }
}

fn events(node: &Node) -> Parsed<Events> {
    let Kind::Map(entries) = &node.kind else {
        let problem = "`source` is a mapping with the keys `categories` (or `category`), `types` \
                       and `copies`";
        return Err(Refusal::new(node.at, problem));
    };
    let mut events = Events::default();
    for (key, value) in entries {
        match key.text().unwrap_or_default() {
            "category" | "categories" if events.categories.is_some() => {
                let problem = "`category` and `categories` cannot stand together";
                return Err(Refusal::new(key.at, problem));
            }
            "category" => events.categories = Some(vec![category(value)?]),
            "categories" => {
                let names = categories(value, "categories", PROJECTION_CATEGORIES_MAX)?;
                events.categories = Some(names);
            }
            "types" => events.types = Some(types(value)?),
            "copies" => events.copies = Some(copies(value)?),
            other => {
                return Err(Refusal::new(key.at, format!("`source` has no key `{other}`"))
                    .hint("the keys are `category`, `categories`, `types`, `copies`"));
            }
        }
    }
    Ok(events)
}

fn copies(node: &Node) -> Parsed<bool> {
    match node.text() {
        Some("include") => Ok(true),
        Some("exclude") => Ok(false),
        _ => Err(Refusal::new(node.at, "`copies` is `include` or `exclude`")),
    }
}

fn types(node: &Node) -> Parsed<Vec<(String, Position)>> {
    let Kind::List(items) = &node.kind else {
        return Err(Refusal::new(node.at, "`types` is a list of event types"));
    };
    let mut types: Vec<(String, Position)> = Vec::with_capacity(items.len());
    for item in items {
        let name = item.text().unwrap_or_default();
        check_event_type(name).map_err(|error| Refusal::new(item.at, error.message))?;
        if types.iter().any(|(known, _)| known == name) {
            return Err(Refusal::new(item.at, format!("`{name}` stands twice")));
        }
        types.push((name.to_owned(), item.at));
    }
    Ok(types)
}

fn read_columns(reader: &Reader<'_>, node: &Node) -> Parsed<Vec<ColumnPart>> {
    let entries = match &node.kind {
        Kind::Map(entries) if (1..=PROJECTION_COLUMNS_MAX).contains(&entries.len()) => entries,
        _ => {
            let problem = format!("`columns` maps 1 to {PROJECTION_COLUMNS_MAX} names to columns");
            return Err(Refusal::new(node.at, problem).path("columns"));
        }
    };
    let column = |(key, value): &(Node, Node)| {
        let name = key.text().unwrap_or_default();
        let named = |refusal: Box<Refusal>| refusal.path(&column_path(name));
        read_column(reader, key, name, value).map_err(named)
    };
    entries.iter().map(column).collect()
}

/// The path of a column in errors.
pub(super) fn column_path(name: &str) -> String {
    format!("columns.{name}")
}

fn read_column(reader: &Reader<'_>, key: &Node, name: &str, node: &Node) -> Parsed<ColumnPart> {
    if !is_name(name, COLUMN_CHARS_MAX) || ROW_NAMES.contains(&name) {
        let problem = format!(
            "the name of a column has 1 to {COLUMN_CHARS_MAX} of the characters a-z, 0-9 and `_`, \
             begins with a letter, and is not `key`, `version` or `position`"
        );
        return Err(Refusal::new(key.at, problem));
    }
    if SYSTEM_NAMES.contains(&name) {
        let problem = format!("`{name}` is a column that PostgreSQL gives to every table");
        return Err(Refusal::new(key.at, problem));
    }
    let (mut kind, mut value, mut is_plain) = (None, None, false);
    match &node.kind {
        Kind::Scalar { text, .. } => kind = Some(column_type(text, node.at)?),
        Kind::Map(entries) => {
            for (key, node) in entries {
                match key.text().unwrap_or_default() {
                    "type" => kind = Some(column_type(node.text().unwrap_or_default(), node.at)?),
                    "value" => value = Some(reader.expression(node)?),
                    "plaintext" => is_plain = plaintext(node)?,
                    other => {
                        return Err(Refusal::new(key.at, format!("a column has no key `{other}`"))
                            .hint("the keys are `type`, `value` and `plaintext`"));
                    }
                }
            }
        }
        Kind::List(_) => {}
    }
    let Some(kind) = kind else {
        let problem = "a column is a type, or a mapping with the keys `type` and `value`";
        return Err(Refusal::new(node.at, problem));
    };
    let value = match value {
        Some(value) => value,
        None => own_field(name, node.at)?,
    };
    Ok(ColumnPart { name: name.to_owned(), kind, value, plaintext: is_plain })
}

fn column_type(text: &str, at: Position) -> Parsed<ColumnType> {
    ColumnType::parse(text).ok_or_else(|| {
        Refusal::new(at, "there is no such type of columns")
            .hint(format!("the types are {}", ColumnType::names()))
    })
}

/// The expression of a column that has none: the key of its name in the state, if it is there.
fn own_field(name: &str, at: Position) -> Parsed<Expression> {
    let field = format!("state.?{name}.orValue(null)");
    // A few names are words of the language, and can only be written as an index.
    let source = match cel::parse(&field) {
        Ok(_) => field,
        Err(_) => format!("state[?'{name}'].orValue(null)"),
    };
    let ast = cel::parse(&source).map_err(|error| Refusal::of_text(at, &source, error))?;
    Ok(Expression { ast, source, at })
}

fn read_indexes(node: &Node, columns: &[ColumnPart]) -> Parsed<Vec<Vec<String>>> {
    let mut indexes: Vec<Vec<String>> = Vec::new();
    for node in list(node, "indexes", PROJECTION_INDEXES_MAX)? {
        let mut index: Vec<String> = Vec::new();
        for node in list(node, "an index", PROJECTION_INDEX_COLUMNS_MAX)? {
            let name = node.text().unwrap_or_default();
            let known = columns.iter().find(|column| column.name == name);
            match known {
                None => {
                    return Err(Refusal::new(node.at, format!("there is no column `{name}`")));
                }
                Some(column) if column.kind == ColumnType::Jsonb => {
                    return Err(Refusal::new(node.at, "a column of JSON has no order to index"));
                }
                Some(_) if index.iter().any(|known| known == name) => {
                    return Err(Refusal::new(node.at, format!("`{name}` stands twice")));
                }
                Some(_) => index.push(name.to_owned()),
            }
        }
        if indexes.contains(&index) {
            return Err(Refusal::new(node.at, "there is such an index already"));
        }
        indexes.push(index);
    }
    Ok(indexes)
}
