//! What queries may name: the columns of the document, and those that every row has.

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
}

impl Known {
    fn new(name: &str, kind: ColumnType, is_of_document: bool) -> Self {
        let sql = format!("\"{}\"", name.replace('"', "\"\""));
        Self { name: name.to_owned(), sql, kind, is_nullable: is_of_document, is_of_document }
    }
}

/// The columns of a table.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Known>,
}

impl Table {
    pub(super) fn new(columns: &[Column]) -> Self {
        let own = columns.iter().map(|column| Known::new(&column.name, column.kind, true));
        let all = [
            Known::new("key", ColumnType::Text, false),
            Known::new("version", ColumnType::Bigint, false),
            Known::new("position", ColumnType::Bigint, false),
        ];
        Self { columns: own.chain(all).collect() }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Known> {
        self.columns.iter().find(|column| column.name == name)
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
