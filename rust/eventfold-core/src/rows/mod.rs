//! Pages of stored events, as PostgreSQL sends them: one binary array a column.
//!
//! Nothing is copied: a [`Row`] borrows from the buffers of its page. Whatever encodes or folds
//! takes rows, so pages from another source need only make rows.

mod column;
mod tags;

use std::ops::Range;

use crate::envelope::{FLAG_VALIDATED_V1, MICROS_MAX, MICROS_MIN, NO_METADATA};
use crate::error::CoreError;

use column::{Column, Element};
pub use tags::{Tags, TagsIter};

/// Microseconds from 1970, where our times begin, to 2000, where PostgreSQL's do.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// A column of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spec {
    name: &'static str,
    element: Element,
    /// Whether it may be absent or hold NULL.
    optional: bool,
}

/// The columns of a page, in order.
const SPECS: [Spec; 16] = [
    spec("stream_name", Element::Text, true),
    spec("version", Element::Int8, false),
    spec("position", Element::Int8, false),
    spec("event_id", Element::Uuid, false),
    spec("type", Element::Text, false),
    spec("data", Element::Bytes, true),
    spec("metadata", Element::Bytes, true),
    spec("tags", Element::Bytes, true),
    spec("recorded_at", Element::Time, false),
    spec("occurred_at", Element::Time, true),
    spec("writer", Element::Text, false),
    spec("flags", Element::Int4, false),
    spec("copied_from", Element::Uuid, true),
    spec("cancels", Element::Uuid, true),
    spec("trace_context", Element::Text, true),
    spec("deleted", Element::Bool, true),
];

/// The number of columns of a page.
pub const COLUMNS: usize = SPECS.len();

const STREAM: usize = 0;
const VERSION: usize = 1;
const POSITION: usize = 2;
const EVENT_ID: usize = 3;
const TYPE: usize = 4;
const DATA: usize = 5;
const METADATA: usize = 6;
const TAGS: usize = 7;
const RECORDED_AT: usize = 8;
const OCCURRED_AT: usize = 9;
const WRITER: usize = 10;
const FLAGS: usize = 11;
const COPIED_FROM: usize = 12;
const CANCELS: usize = 13;
const TRACE_CONTEXT: usize = 14;
const DELETED: usize = 15;

const fn spec(name: &'static str, element: Element, optional: bool) -> Spec {
    Spec { name, element, optional }
}

/// One stored event.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    /// Name of its stream; `None` in a page of a single stream that leaves it out.
    pub stream: Option<&'a str>,
    /// Its place in the stream.
    pub version: i64,
    /// Its place in the log.
    pub position: i64,
    /// Its id.
    pub event_id: &'a [u8; 16],
    /// Its type.
    pub event_type: &'a str,
    /// Its data; empty once deleted.
    pub data: &'a [u8],
    /// Its metadata; `{}` for none, empty once deleted.
    pub metadata: &'a [u8],
    /// Its tags.
    pub tags: Tags<'a>,
    /// When it was recorded, in microseconds since 1970.
    pub recorded_us: i64,
    /// When it happened, in microseconds since 1970.
    pub occurred_us: i64,
    /// Who appended it.
    pub writer: &'a str,
    /// Sum of the `FLAG_` constants of [`crate::envelope`].
    pub flags: i32,
    /// The event that it is a copy of.
    pub copied_from: Option<&'a [u8; 16]>,
    /// The event that it cancels.
    pub cancels: Option<&'a [u8; 16]>,
    /// `traceparent` of the call that appended it.
    pub trace_context: Option<&'a str>,
    /// Whether its payload was deleted.
    pub deleted: bool,
}

/// A page of rows.
#[derive(Debug)]
pub struct Rows<B> {
    columns: [Option<Column<B>>; COLUMNS],
    len: usize,
}

impl<B: AsRef<[u8]>> Rows<B> {
    /// Decodes the columns of a page, in the order of the query. An absent optional column is
    /// NULL in every row; if all are absent, the page has no rows.
    pub fn decode(columns: impl IntoIterator<Item = Option<B>>) -> Result<Self, CoreError> {
        let mut decoded: [Option<Column<B>>; COLUMNS] = std::array::from_fn(|_| None);
        let mut len = None;
        let mut count = 0;
        for bytes in columns {
            let Some(spec) = SPECS.get(count) else {
                return Err(bad_page(format!("it has more than {COLUMNS} columns")));
            };
            count += 1;
            let Some(bytes) = bytes else { continue };
            let column = Column::decode(bytes, spec.element)
                .map_err(|error| bad_page(format!("{}: {}", spec.name, error.prose())))?;
            if *len.get_or_insert(column.len()) != column.len() {
                return Err(bad_page(format!("{} has another length", spec.name)));
            }
            decoded[count - 1] = Some(column);
        }
        if count != COLUMNS {
            return Err(bad_page(format!("it has {count} columns, not {COLUMNS}")));
        }
        let len = len.unwrap_or(0);
        for (spec, column) in SPECS.iter().zip(&decoded) {
            if len > 0 && column.is_none() && !spec.optional {
                return Err(bad_page(format!("{} is absent", spec.name)));
            }
        }
        Ok(Self { columns: decoded, len })
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of all variable parts of the page, roughly; for reserving memory.
    pub(crate) fn payload_bytes(&self) -> usize {
        let columns = [STREAM, TYPE, DATA, METADATA, TAGS, WRITER, TRACE_CONTEXT];
        columns.iter().filter_map(|&at| self.columns[at].as_ref()).map(Column::byte_len).sum()
    }

    /// The rows in order.
    pub fn iter(&self) -> impl Iterator<Item = Result<Row<'_>, CoreError>> {
        (0..self.len).map(|index| self.row(index))
    }

    /// The row at an index from 0.
    pub fn row(&self, index: usize) -> Result<Row<'_>, CoreError> {
        let deleted = self.deleted(index);
        let no_metadata: &[u8] = if deleted { b"" } else { NO_METADATA };
        let recorded_us = self.time(RECORDED_AT, index)?.ok_or_else(|| null(RECORDED_AT))?;
        Ok(Row {
            stream: self.text(STREAM, index)?,
            version: self.int8(VERSION, index)?,
            position: self.int8(POSITION, index)?,
            event_id: self.uuid(EVENT_ID, index).ok_or_else(|| null(EVENT_ID))?,
            event_type: self.event_type(index)?,
            data: self.cell(DATA, index).unwrap_or_default(),
            metadata: self.cell(METADATA, index).unwrap_or(no_metadata),
            tags: self.tags(index)?,
            recorded_us,
            occurred_us: self.time(OCCURRED_AT, index)?.unwrap_or(recorded_us),
            writer: self.text(WRITER, index)?.ok_or_else(|| null(WRITER))?,
            flags: self.int4(FLAGS, index)?,
            copied_from: self.uuid(COPIED_FROM, index),
            cancels: self.uuid(CANCELS, index),
            trace_context: self.text(TRACE_CONTEXT, index)?,
            deleted,
        })
    }

    /// The version of the row at an index.
    pub fn version(&self, index: usize) -> Result<i64, CoreError> {
        self.int8(VERSION, index)
    }

    /// The event id of the row at an index.
    pub fn event_id(&self, index: usize) -> Result<&[u8; 16], CoreError> {
        self.uuid(EVENT_ID, index).ok_or_else(|| null(EVENT_ID))
    }

    /// The runs of rows of one stream, in order: its name, and the indexes of the rows.
    pub fn streams(&self) -> Result<Vec<(&str, Range<usize>)>, CoreError> {
        let mut runs: Vec<(&str, Range<usize>)> = Vec::new();
        for index in 0..self.len {
            let name = self.text(STREAM, index)?.ok_or_else(|| null(STREAM))?;
            match runs.last_mut() {
                Some((known, rows)) if *known == name => rows.end = index + 1,
                _ => runs.push((name, index..index + 1)),
            }
        }
        Ok(runs)
    }

    /// What the row at an index needs to be folded by a handler that reads nothing of its
    /// envelope: id, version, position, type, data and marks. The rest is empty. For a row that
    /// was not validated `None`: its metadata must be checked too.
    #[inline]
    pub(crate) fn brief_row<'a>(
        &'a self,
        index: usize,
        event_type: &'a str,
    ) -> Result<Option<Row<'a>>, CoreError> {
        let flags = self.int4(FLAGS, index)?;
        if flags & FLAG_VALIDATED_V1 == 0 {
            return Ok(None);
        }
        Ok(Some(Row {
            stream: None,
            version: self.int8(VERSION, index)?,
            position: self.int8(POSITION, index)?,
            event_id: self.uuid(EVENT_ID, index).ok_or_else(|| null(EVENT_ID))?,
            event_type,
            data: self.cell(DATA, index).unwrap_or_default(),
            metadata: NO_METADATA,
            tags: Tags::none(),
            recorded_us: 0,
            occurred_us: 0,
            writer: "",
            flags,
            copied_from: None,
            cancels: None,
            trace_context: None,
            deleted: self.deleted(index),
        }))
    }

    /// The bytes of the type of the row at an index, `None` for NULL; to find its handler
    /// without a check of what the handler's own type says.
    #[inline]
    pub(crate) fn event_type_bytes(&self, index: usize) -> Option<&[u8]> {
        self.cell(TYPE, index)
    }

    /// The type of the row at an index.
    pub(crate) fn event_type(&self, index: usize) -> Result<&str, CoreError> {
        self.text(TYPE, index)?.ok_or_else(|| null(TYPE))
    }

    fn deleted(&self, index: usize) -> bool {
        self.fixed(DELETED, index).is_some_and(|cell: &[u8; 1]| *cell != [0])
    }

    #[inline]
    fn cell(&self, column: usize, index: usize) -> Option<&[u8]> {
        self.columns[column].as_ref()?.get(index)
    }

    #[inline]
    fn fixed<const N: usize>(&self, column: usize, index: usize) -> Option<&[u8; N]> {
        self.columns[column].as_ref()?.fixed(index)
    }

    fn text(&self, column: usize, index: usize) -> Result<Option<&str>, CoreError> {
        let Some(cell) = self.cell(column, index) else { return Ok(None) };
        std::str::from_utf8(cell)
            .map(Some)
            .map_err(|_| bad_page(format!("{} is not UTF-8", SPECS[column].name)))
    }

    fn int8(&self, column: usize, index: usize) -> Result<i64, CoreError> {
        match self.fixed(column, index) {
            Some(cell) => Ok(i64::from_be_bytes(*cell)),
            None => Err(null(column)),
        }
    }

    fn int4(&self, column: usize, index: usize) -> Result<i32, CoreError> {
        match self.fixed(column, index) {
            Some(cell) => Ok(i32::from_be_bytes(*cell)),
            None => Err(null(column)),
        }
    }

    fn uuid(&self, column: usize, index: usize) -> Option<&[u8; 16]> {
        self.fixed(column, index)
    }

    fn time(&self, column: usize, index: usize) -> Result<Option<i64>, CoreError> {
        if self.cell(column, index).is_none() {
            return Ok(None);
        }
        // The infinities are the ends of the range, and fall out here too.
        self.int8(column, index)?
            .checked_add(EPOCH_MICROS)
            .filter(|micros| (MICROS_MIN..=MICROS_MAX).contains(micros))
            .map(Some)
            .ok_or_else(|| bad_page(format!("{} is out of range", SPECS[column].name)))
    }

    fn tags(&self, index: usize) -> Result<Tags<'_>, CoreError> {
        match self.cell(TAGS, index) {
            None => Ok(Tags::none()),
            Some(cell) => {
                Tags::decode(cell).ok_or_else(|| bad_page("tags: not an array of texts".to_owned()))
            }
        }
    }
}

#[cold]
fn null(column: usize) -> CoreError {
    bad_page(format!("{} is NULL", SPECS[column].name))
}

/// A page that the server's own query cannot have made.
fn bad_page(problem: String) -> CoreError {
    CoreError::new("BUG", format!("a page of rows cannot be decoded: {problem}"))
}
