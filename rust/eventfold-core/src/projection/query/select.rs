//! What is answered of a row, as expressions over it; the row is called `u`.

use crate::error::CoreError;
use crate::limits::QUERY_PLACE_BYTES_MAX;

use super::super::ColumnType;
use super::known::{Known, Table};

/// The columns that were asked for, in the order of the document.
pub(super) fn returned<'a>(
    table: &'a Table,
    asked: &[String],
) -> Result<Vec<&'a Known>, CoreError> {
    let known = |name: &String| table.of_document().any(|column| column.name == *name);
    if !asked.iter().all(known) {
        let names: Vec<&str> = table.of_document().map(|column| column.name.as_str()).collect();
        let problem = format!("one is no column; there are {}", names.join(", "));
        return Err(CoreError::new("INVALID_REQUEST", format!("columns: {problem}"))
            .fact("field", "columns")
            .fact("problem", problem));
    }
    let wanted = |column: &&Known| asked.is_empty() || asked.contains(&column.name);
    Ok(table.of_document().filter(wanted).collect())
}

/// JSON text of the columns. PostgreSQL writes numbers exactly, and dates, uuids and jsonb as they
/// are; only times are spelled as states have them.
pub(super) fn json(columns: &[&Known]) -> String {
    let parts: Vec<String> = columns
        .iter()
        .map(|column| match column.kind {
            ColumnType::Timestamptz => format!("{} AS {}", time(&column.sql), column.sql),
            _ => format!("u.{}", column.sql),
        })
        .collect();
    format!("(SELECT row_to_json(r)::text FROM (SELECT {}) r)", parts.join(", "))
}

/// About the bytes of that. Long values are not read for it: of texts the length is known, of
/// others what they take compressed.
pub(super) fn bytes(columns: &[&Known]) -> String {
    const PLAIN_BYTES: usize = 16;
    let plain: usize = columns.iter().map(|column| column.name.len() + PLAIN_BYTES).sum();
    let mut parts = vec![plain.to_string()];
    parts.extend(columns.iter().filter_map(|column| {
        let measure = match column.kind {
            ColumnType::Text => "octet_length",
            ColumnType::Jsonb
            | ColumnType::TextArray
            | ColumnType::Numeric
            | ColumnType::NumericOf { .. } => "pg_column_size",
            _ => return None,
        };
        Some(format!("coalesce({measure}(u.{}), 0)", column.sql))
    }));
    parts.join(" + ")
}

/// The values that a row is ordered by, as texts that are read back exactly; of a long text the
/// beginning, which tells that it is too long.
pub(super) fn place(columns: &[&Known]) -> String {
    let parts: Vec<String> = columns
        .iter()
        .map(|column| match column.kind {
            ColumnType::Timestamptz => time(&column.sql),
            ColumnType::Date => format!("to_char(u.{}, 'YYYY-MM-DD')", column.sql),
            ColumnType::Text => format!("left(u.{}, {})", column.sql, QUERY_PLACE_BYTES_MAX + 1),
            _ => format!("u.{}::text", column.sql),
        })
        .collect();
    format!("ARRAY[{}]", parts.join(", "))
}

/// RFC 3339 in UTC, without zeros at the end.
fn time(sql: &str) -> String {
    format!(
        "rtrim(rtrim(to_char(u.{sql} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US'), '0'), \
         '.') || 'Z'"
    )
}
