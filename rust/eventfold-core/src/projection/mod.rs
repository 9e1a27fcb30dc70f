//! Projections: folds whose states are kept as rows of a table, one for each key.
//!
//! [`Projection::parse`] turns the source text of a document into a projection, or says where it
//! is wrong; [`Projecting`] takes events of many streams to changes of rows. What comes out does
//! not depend on how the events are cut into pages and batches.
//!
//! Where the document model leaves room, this is how it is read:
//! - `where` and columns are evaluated after every event that touches a row. A row that `where`
//!   hides has no columns, so that `where` can guard them; its state is kept.
//! - An event whose handler does nothing does not touch its row, and makes none.
//! - A name in `types` that the fold does not handle is refused: it would be a silent skip.

mod cache;
mod changes;
mod column;
mod document;
mod failure;
mod key;
mod normal;
mod projecting;
pub mod query;
mod row;
mod table;
mod value;

use crate::cel::CelError;
use crate::error::CoreError;
use crate::fold::Fold;
use crate::fold::compile::TypeHandler;
use crate::fold::document::Expression;
use crate::fold::refusal::{Parsed, Position, Refusal, Source};
use crate::fold::tree;
use crate::limits::PROJECTION_SOURCE_BYTES_MAX;

use document::{Document, FoldPart};
use key::Key;
use row::RowPrograms;

pub use changes::{ChangedRow, Changes};
pub use column::{ColumnType, NUMERIC_DIGITS_MAX};
pub use projecting::{Keys, Known, Projecting};
pub use table::{Parked, Table};

/// The name of the registered fold that a document reuses; `None`: its fold is its own.
pub fn fold_name(source: &str) -> Result<Option<String>, CoreError> {
    let text = checked(source)?;
    match read(source, &text).map_err(|refusal| error(refusal, &text))?.fold {
        FoldPart::Named(name) => Ok(Some(name)),
        FoldPart::Own(_) => Ok(None),
    }
}

/// A compiled projection.
#[derive(Debug)]
pub struct Projection {
    name: String,
    digest: String,
    categories: Option<Vec<String>>,
    /// As the document says, in byte order.
    said_types: Option<Vec<String>>,
    types: Vec<String>,
    columns: Vec<Column>,
    indexes: Vec<Vec<String>>,
    parks: bool,
    key: Key,
    /// The key as printed.
    key_text: String,
    rows: RowPrograms,
    fold: Fold,
}

/// A column of the table of a projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name: `[a-z][a-z0-9_]*`, not `key`, `version` or `position`.
    pub name: String,
    /// Its type.
    pub kind: ColumnType,
}

/// What the key of a projection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// `meta.root`, the default: all periods of an aggregate are one row.
    Root,
    /// `meta.stream`
    Stream,
    /// Another expression.
    Expression,
}

impl Projection {
    /// Parses and compiles the source text of a document, YAML 1.2 or JSON. `fold_source` is the
    /// document of the registered fold that it names ([`fold_name`]).
    pub fn parse(source: &str, fold_source: Option<&str>) -> Result<Self, CoreError> {
        let text = checked(source)?;
        let mut document = read(source, &text).map_err(|refusal| error(refusal, &text))?;
        // What takes its place is never looked at.
        let nothing = FoldPart::Named(String::new());
        let fold = match std::mem::replace(&mut document.fold, nothing) {
            FoldPart::Own(own) => {
                Fold::of_document(own, &text).map_err(|refusal| error(refusal, &text))?
            }
            FoldPart::Named(name) => registered_fold(&name, fold_source)?,
        };
        Self::compile(document, fold, &text).map_err(|refusal| error(refusal, &text))
    }

    fn compile(document: Document, fold: Fold, text: &Source<'_>) -> Parsed<Self> {
        let types = folded_types(&document, &fold)?;
        let (key, key_text) = Key::compile(document.key.as_ref(), text)?;
        if let (Some(expression), KeyKind::Expression) = (&document.key, key.kind())
            && fold.skip_cancelled()
        {
            let problem = "a fold that skips cancelled events needs the key `meta.root` or \
                           `meta.stream`: an event cancels one of its own stream";
            return Err(Refusal::new(expression.at, problem).path("key"));
        }
        let rows = RowPrograms::compile(&document, text)?;
        let digest = normal::digest(&document, &key_text, &types, &fold.kept_digest());
        let Document { name, source, columns, indexes, parks, .. } = document;
        let column = |column: document::ColumnPart| Column { name: column.name, kind: column.kind };
        let said = |types: Vec<(String, Position)>| {
            let mut names: Vec<String> = types.into_iter().map(|(name, _)| name).collect();
            names.sort_unstable();
            names
        };
        Ok(Self {
            name,
            digest,
            categories: source.categories,
            said_types: source.types.map(said),
            types,
            columns: columns.into_iter().map(column).collect(),
            indexes,
            parks,
            key,
            key_text,
            rows,
            fold,
        })
    }

    /// The name that the document carries.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the normal form of the document and of its fold, in lower-case hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The categories whose events it folds, in byte order; `None`: all of the log, without the
    /// streams of the system. Whoever reads the log keeps to them.
    pub fn categories(&self) -> Option<&[String]> {
        self.categories.as_deref()
    }

    /// The event types that it folds: those that its fold handles, and its source names.
    pub fn types(&self) -> &[String] {
        &self.types
    }

    /// The columns in the order of the document.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The names of the columns of each index.
    pub fn indexes(&self) -> &[Vec<String>] {
        &self.indexes
    }

    /// Whether a key is set aside when an event of it fails, and the others go on.
    pub fn parks(&self) -> bool {
        self.parks
    }

    /// What its key is.
    pub fn key(&self) -> KeyKind {
        self.key.kind()
    }

    /// Whether it may take the place of another over the same table: source, key, indexes, and
    /// names and types of the columns are the same.
    pub fn compatible_with(&self, other: &Self) -> bool {
        self.categories == other.categories
            && self.said_types == other.said_types
            && self.key_text == other.key_text
            && self.columns == other.columns
            && self.indexes == other.indexes
    }

    /// What an event of a type does, if it is one of those that are folded.
    fn handler(&self, event_type: &[u8]) -> Option<&TypeHandler> {
        let handler = self.fold.handlers.get(event_type)?;
        let said = |types: &Vec<String>| types.iter().any(|name| **name == *handler.event_type);
        self.said_types.as_ref().is_none_or(said).then_some(handler)
    }
}

/// The text of a document that is not too large.
fn checked(source: &str) -> Result<Source<'_>, CoreError> {
    if source.len() > PROJECTION_SOURCE_BYTES_MAX {
        let message = format!(
            "the projection document has {} bytes; at most {PROJECTION_SOURCE_BYTES_MAX} are \
             allowed",
            source.len()
        );
        return Err(CoreError::new("PROJECTION_TOO_LARGE", message)
            .fact("limit", PROJECTION_SOURCE_BYTES_MAX)
            .fact("actual", source.len()));
    }
    Ok(Source::new(source))
}

fn read(source: &str, text: &Source<'_>) -> Parsed<Document> {
    document::read(&tree::parse(source, text)?, text)
}

fn error(refusal: Box<Refusal>, text: &Source<'_>) -> CoreError {
    refusal.of("INVALID_PROJECTION").into_error(text)
}

/// The refusal of an expression of a document.
fn refuse(expression: &Expression, text: &Source<'_>, error: CelError) -> Box<Refusal> {
    let at = text.inside(expression.at, &expression.source, error.offset);
    Refusal::of_expression(at, error)
}

fn registered_fold(name: &str, source: Option<&str>) -> Result<Fold, CoreError> {
    let Some(source) = source else {
        let message = format!("there is no registered fold `{name}`, which the document names");
        return Err(CoreError::new("FOLD_NOT_FOUND", message).fact("fold", name));
    };
    let fold = Fold::parse(source)?;
    if fold.name() != name {
        let message = format!("the document names the fold `{name}`, not `{}`", fold.name());
        return Err(CoreError::new("BUG", message));
    }
    Ok(fold)
}

/// The event types that are folded, in the order of the fold.
fn folded_types(document: &Document, fold: &Fold) -> Parsed<Vec<String>> {
    let handled = fold.event_types();
    let Some(said) = &document.source.types else {
        if handled.is_empty() {
            let at = Position { line: 1, column: 1 };
            return Err(Refusal::new(at, "the fold handles no event type"));
        }
        return Ok(handled.to_vec());
    };
    if let Some((name, at)) = said.iter().find(|(name, _)| !handled.contains(name)) {
        let problem = format!("the fold has no handler for `{name}`");
        return Err(Refusal::new(*at, problem).path("source"));
    }
    if said.is_empty() {
        let at = Position { line: 1, column: 1 };
        return Err(Refusal::new(at, "`types` names no event type").path("source"));
    }
    let is_said = |name: &&String| said.iter().any(|(known, _)| known == *name);
    Ok(handled.iter().filter(is_said).cloned().collect())
}
