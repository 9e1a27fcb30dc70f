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

mod anew;
mod cache;
mod changes;
mod column;
mod document;
mod event;
mod failure;
mod key;
mod keys;
mod marks;
mod normal;
mod projecting;
pub mod query;
mod resolve;
mod resolved;
mod row;
#[cfg(feature = "sealing")]
mod seals;
mod table;
mod value;

use crate::cel::CelError;
use crate::error::CoreError;
use crate::fold::Fold;
use crate::fold::compile::TypeHandler;
use crate::fold::document::{Expression, Let};
use crate::fold::refusal::{Parsed, Position, Refusal, Source};
use crate::fold::tree;
use crate::limits::PROJECTION_SOURCE_BYTES_MAX;

use document::{Document, FoldPart};
use key::Key;
use resolve::Resolves;
use row::RowPrograms;

pub use changes::{ChangedRow, Changes};
pub use column::{ColumnType, NUMERIC_DIGITS_MAX};
pub use keys::{Keys, Known};
pub use marks::ProjectionMarks;
pub use projecting::Projecting;
pub use resolved::{References, Resolved};
#[cfg(feature = "sealing")]
pub use seals::{RowPlace, RowText, ShownColumns};
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
    /// As the document says.
    said_copies: Option<bool>,
    /// As the document says, in byte order.
    said_types: Option<Vec<String>>,
    types: Vec<String>,
    columns: Vec<Column>,
    indexes: Vec<Vec<String>>,
    parks: bool,
    plaintext: bool,
    /// `None`: events refer to nothing.
    resolves: Option<Resolves>,
    key: Key,
    /// The key as printed.
    key_text: String,
    /// The names of `resolve` that it reads, with their expressions as printed.
    key_names: Vec<(String, String)>,
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
    /// Whether its values may stand there as they are, even if they are personal.
    pub plaintext: bool,
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
        let (fold, hint) = match std::mem::replace(&mut document.fold, nothing) {
            FoldPart::Own(own) => {
                let fold = Fold::of_document(own, &document.names(), &text);
                (fold.map_err(|refusal| error(refusal, &text))?, READ_BY_OWN)
            }
            FoldPart::Named(name) => (registered_fold(&name, fold_source)?, READ_BY_KEY),
        };
        Self::compile(document, fold, hint, &text).map_err(|refusal| error(refusal, &text))
    }

    fn compile(document: Document, fold: Fold, hint: &str, text: &Source<'_>) -> Parsed<Self> {
        let types = folded_types(&document, &fold)?;
        let resolves = Resolves::compile(&document.resolve, text)?;
        let (key, key_text) = Key::compile(document.key.as_ref(), &document.names(), text)?;
        check_used(&document, &fold, &key, hint)?;
        if let (Some(expression), KeyKind::Expression) = (&document.key, key.kind())
            && fold.skip_cancelled()
        {
            let problem = "a fold that skips cancelled events needs the key `meta.root` or \
                           `meta.stream`: an event cancels one of its own stream";
            return Err(Refusal::new(expression.at, problem).path("key"));
        }
        let rows = RowPrograms::compile(&document, text)?;
        let digest = normal::digest(&document, &key_text, &types, &fold.state_digest());
        let named = |number: &usize| {
            let Let { name, expression } = document.resolve.get(*number)?;
            Some((name.clone(), expression.ast.print()))
        };
        let mut key_names: Vec<(String, String)> = key.given().iter().filter_map(named).collect();
        key_names.sort_unstable();
        let Document { name, source, columns, indexes, parks, plaintext, .. } = document;
        let column = |column: document::ColumnPart| {
            let document::ColumnPart { name, kind, plaintext, .. } = column;
            Column { name, kind, plaintext }
        };
        let said = |types: Vec<(String, Position)>| {
            let mut names: Vec<String> = types.into_iter().map(|(name, _)| name).collect();
            names.sort_unstable();
            names
        };
        Ok(Self {
            name,
            digest,
            categories: source.categories,
            said_copies: source.copies,
            said_types: source.types.map(said),
            types,
            columns: columns.into_iter().map(column).collect(),
            indexes,
            parks,
            plaintext,
            resolves,
            key,
            key_text,
            key_names,
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

    /// Whether copies are among the events that it folds; `None`: the document does not say.
    pub fn said_copies(&self) -> Option<bool> {
        self.said_copies
    }

    /// The same; without a word of the document they are, unless it reads the whole log, which has
    /// the originals too.
    pub fn with_copies(&self) -> bool {
        self.said_copies.unwrap_or(self.categories.is_some())
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

    /// Whether cancelled events are folded as if they had not been.
    pub fn skip_cancelled(&self) -> bool {
        self.fold.skip_cancelled()
    }

    /// What its key is.
    pub fn key(&self) -> KeyKind {
        self.key.kind()
    }

    /// Those of some fields at the top of the data of an event type that its key reads.
    pub fn key_reads<'n>(&self, event_type: &str, names: &[&'n str]) -> Vec<&'n str> {
        let is_folded = self.types.iter().any(|one| one == event_type);
        if is_folded { self.key.reads(names) } else { Vec::new() }
    }

    /// Those of some fields at the top of the data of an event type that its fold reads.
    pub fn fold_reads<'n>(&self, event_type: &str, names: &[&'n str]) -> Vec<&'n str> {
        self.fold.reads(event_type, names)
    }

    /// Whether it may take the place of another over the same table: source, key, indexes, and
    /// names and types of the columns are the same.
    pub fn compatible_with(&self, other: &Self) -> bool {
        self.categories == other.categories
            && self.with_copies() == other.with_copies()
            && self.said_types == other.said_types
            && self.key_text == other.key_text
            && self.key_names == other.key_names
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

/// What can read a name of `resolve`, with a fold in the document and with a registered one.
const READ_BY_OWN: &str = "`key` and handlers can read it; `where` and columns see the state";
const READ_BY_KEY: &str = "a registered fold knows nothing of this document, so that `key` alone \
                           can read it; write the fold into the document";

/// Refuses a name of `resolve` that nothing reads: a slip of the pen, or of a fold that cannot.
fn check_used(document: &Document, fold: &Fold, key: &Key, hint: &str) -> Parsed<()> {
    for (number, Let { name, expression }) in document.resolve.iter().enumerate() {
        let in_fold = fold.handlers.iter().any(|handler| handler.given.contains(&number));
        if in_fold || key.given().contains(&number) {
            continue;
        }
        let refusal = Refusal::new(expression.at, format!("nothing reads `{name}`"));
        return Err(refusal.path(&resolve::path(name)).hint(hint));
    }
    Ok(())
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
