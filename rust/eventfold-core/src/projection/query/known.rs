//! What queries may name: the columns of the document, and those that every row has.

use std::cell::RefCell;

use crate::error::CoreError;

use super::super::{Column, ColumnType};

/// A column that queries may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) name: String,
    /// The name as SQL has it, quoted.
    pub(super) sql: String,
    pub(super) kind: ColumnType,
    /// Whether a row may be without a value.
    pub(super) is_nullable: bool,
    /// Whether it is one of the document.
    pub(super) is_of_document: bool,
    /// Whether its values are sealed.
    is_sealed: bool,
}

impl Known {
    fn new(name: &str, kind: ColumnType, is_of_document: bool) -> Self {
        let sql = format!("\"{}\"", name.replace('"', "\"\""));
        let (name, is_nullable) = (name.to_owned(), is_of_document);
        Self { name, sql, kind, is_nullable, is_of_document, is_sealed: false }
    }
}

/// The columns of a table.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Known>,
    /// One that is sealed, and that somebody has asked for.
    sealed: RefCell<Option<String>>,
}

impl Table {
    pub(super) fn new(columns: &[Column], sealed: &[String]) -> Self {
        let own = columns.iter().map(|column| {
            let is_sealed = sealed.contains(&column.name);
            let kind = if is_sealed { ColumnType::Text } else { column.kind };
            Known { is_sealed, ..Known::new(&column.name, kind, true) }
        });
        let all = [
            Known::new("key", ColumnType::Text, false),
            Known::new("version", ColumnType::Bigint, false),
            Known::new("position", ColumnType::Bigint, false),
        ];
        Self { columns: own.chain(all).collect(), sealed: RefCell::new(None) }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Known> {
        let found = self.columns.iter().find(|column| column.name == name);
        if found.is_some_and(|column| column.is_sealed) {
            self.sealed.borrow_mut().get_or_insert_with(|| name.to_owned());
        }
        found
    }

    /// Refuses what asked for a column whose values are sealed.
    pub(super) fn check(&self) -> Result<(), CoreError> {
        let Some(name) = self.sealed.take() else { return Ok(()) };
        let message = format!(
            "the column `{name}` is sealed: rows can be neither filtered nor ordered by it"
        );
        Err(CoreError::new("PERSONAL_COLUMN", message).fact("column", name))
    }

    /// The columns of the document, in its order.
    pub(super) fn of_document(&self) -> impl Iterator<Item = &Known> {
        self.columns.iter().filter(|column| column.is_of_document)
    }

    /// All names, for people.
    pub(super) fn names(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
        names.join(", ")
    }
}
