//! Projections: folds whose states are kept as rows of a table, one for each key.
//!
//! [`Projection::parse`] turns the source text of a document into a projection, or says where it
//! is wrong; [`Projecting`] takes events of many streams to changes of rows. What comes out does
//! not depend on how the events are cut into pages and batches.

mod column;
mod projecting;

use crate::error::CoreError;

pub use column::{ColumnType, NUMERIC_DIGITS_MAX};
pub use projecting::{ChangedRow, Changes, Keys, Known, Projecting};

/// The name of the registered fold that a document reuses; `None`: its fold is its own.
pub fn fold_name(source: &str) -> Result<Option<String>, CoreError> {
    let _ = source;
    Err(CoreError::new("BUG", "not there yet"))
}

/// A compiled projection.
#[derive(Debug)]
pub struct Projection {
    name: String,
    digest: String,
    categories: Option<Vec<String>>,
    types: Vec<String>,
    columns: Vec<Column>,
    indexes: Vec<Vec<String>>,
    parks: bool,
    key: KeyKind,
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
        let _ = (source, fold_source);
        Err(CoreError::new("BUG", "not there yet"))
    }

    /// The name that the document carries.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the normal form of the document and of its fold, in lower-case hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The categories whose events it folds; `None`: all of the log.
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
        self.key
    }

    /// Whether it may take the place of another over the same table: source, key, columns and
    /// indexes are the same.
    pub fn compatible_with(&self, other: &Self) -> bool {
        let _ = other;
        false
    }
}

