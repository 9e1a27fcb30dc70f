//! Pages of stored events, as PostgreSQL sends them.
//!
//! Nothing is copied: a [`Row`] borrows from the buffers of its page. Whatever encodes or folds
//! takes a [`Page`], which gives the binary value of each cell: [`Rows`] is a page of one array a
//! column; a page of PostgreSQL's own rows need only find its cells.

mod column;
mod compact;
mod overlay;
mod packed;
mod tags;

use std::ops::Range;

use crate::envelope::{FLAG_VALIDATED_V1, MICROS_MAX, MICROS_MIN, NO_METADATA, References};
use crate::error::CoreError;
use crate::privacy::{OpenedValue, Whose};
use crate::value::Value;

use column::Element;
pub use compact::Compact;
pub use overlay::Overlay;
pub use packed::Rows;
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
const SPECS: [Spec; 17] = [
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
    spec("sealed_paths", Element::Bytes, true),
];

/// The column of roots, which stands behind these.
const ROOT_SPEC: Spec = spec("root_name", Element::Text, true);

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
const SEALED_PATHS: usize = 16;
/// Behind the columns of an event, in pages that need it: the first stream of its line of periods.
const ROOT: usize = COLUMNS;

/// The columns whose cells have any length.
const VARIABLE: [usize; 8] =
    [STREAM, TYPE, DATA, METADATA, TAGS, WRITER, TRACE_CONTEXT, SEALED_PATHS];

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

/// Stored events in the order of their versions or positions, as cells in PostgreSQL's binary form.
///
/// The columns are, in order: `stream_name`, `version`, `position`, `event_id`, `type`, `data`,
/// `metadata`, `tags` (the binary array of texts as `bytea`), `recorded_at`, `occurred_at`,
/// `writer`, `flags`, `copied_from`, `cancels`, `trace_context`, `deleted`, `sealed_paths` (as
/// `tags`); and behind these, only in pages of projections, `root_name`. Cells that cannot be what
/// their column says give an error (`BUG`), never a panic.
pub trait Page {
    /// The number of rows.
    fn len(&self) -> usize;

    /// The bytes of a cell; `None` for NULL, and where there is no such cell.
    fn cell(&self, column: usize, index: usize) -> Option<&[u8]>;

    /// The bytes of a cell that has that many; `None` if it has another number.
    #[inline]
    fn fixed<const N: usize>(&self, column: usize, index: usize) -> Option<&[u8; N]> {
        self.cell(column, index)?.try_into().ok()
    }

    /// Bytes of all variable parts of the page, roughly; for reserving memory.
    fn payload_bytes(&self) -> usize {
        let bytes = |column, index| self.cell(column, index).map_or(0, <[u8]>::len);
        let row = |index| VARIABLE.iter().map(|column| bytes(*column, index)).sum::<usize>();
        (0..self.len()).map(row).sum()
    }

    /// Whether a row is a copy.
    fn has_copies(&self) -> bool {
        (0..self.len()).any(|index| self.cell(COPIED_FROM, index).is_some())
    }

    /// Whether there is no row.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows in order.
    fn iter(&self) -> impl Iterator<Item = Result<Row<'_>, CoreError>> {
        (0..self.len()).map(|index| self.row(index))
    }

    /// What a name of a projection stands for, told by its number, whose value is an event that the
    /// row at an index refers to; `None` in a page of which that is not known.
    fn resolution(&self, _index: usize, _name: usize) -> Option<Resolution<'_>> {
        None
    }

    /// The personal values of the row at an index that were opened for the reader; empty in a page
    /// of which that is not known.
    #[inline]
    fn opened(&self, _index: usize) -> &[OpenedValue] {
        &[]
    }

    /// Whose personal values the row at an index brings, with what it refers to. Of its own, those
    /// whose pointers are `read` count.
    #[inline]
    fn whose(&self, index: usize, read: &dyn Fn(&str) -> bool) -> Whose {
        Whose::of(self.opened(index).iter().filter(|value| read(&value.pointer)))
    }

    /// The row at an index from 0.
    fn row(&self, index: usize) -> Result<Row<'_>, CoreError> {
        let deleted = deleted(self, index)?;
        let no_metadata: &[u8] = if deleted { b"" } else { NO_METADATA };
        let recorded_us = self.recorded_us(index)?;
        Ok(Row {
            stream: self.stream(index)?,
            version: self.version(index)?,
            position: self.position(index)?,
            event_id: self.event_id(index)?,
            event_type: self.event_type(index)?,
            data: self.cell(DATA, index).unwrap_or_default(),
            metadata: self.cell(METADATA, index).unwrap_or(no_metadata),
            tags: texts(self, TAGS, index)?,
            recorded_us,
            occurred_us: time(self, OCCURRED_AT, index)?.unwrap_or(recorded_us),
            writer: text(self, WRITER, index)?.ok_or_else(|| null(WRITER))?,
            flags: int4(self, FLAGS, index)?,
            copied_from: optional(self, COPIED_FROM, index)?,
            cancels: optional(self, CANCELS, index)?,
            trace_context: text(self, TRACE_CONTEXT, index)?,
            deleted,
        })
    }

    /// Sum of the flags of the row at an index.
    #[inline]
    fn flags(&self, index: usize) -> Result<i32, CoreError> {
        int4(self, FLAGS, index)
    }

    /// Pointers to the sealed values of the row at an index.
    fn sealed_paths(&self, index: usize) -> Result<Tags<'_>, CoreError> {
        texts(self, SEALED_PATHS, index)
    }

    /// The version of the row at an index.
    #[inline]
    fn version(&self, index: usize) -> Result<i64, CoreError> {
        int8(self, VERSION, index)
    }

    /// The position of the row at an index.
    #[inline]
    fn position(&self, index: usize) -> Result<i64, CoreError> {
        int8(self, POSITION, index)
    }

    /// When the row at an index was recorded, in microseconds since 1970.
    fn recorded_us(&self, index: usize) -> Result<i64, CoreError> {
        time(self, RECORDED_AT, index)?.ok_or_else(|| null(RECORDED_AT))
    }

    /// The name of the stream of the row at an index; `None` where the page leaves it out.
    fn stream(&self, index: usize) -> Result<Option<&str>, CoreError> {
        text(self, STREAM, index)
    }

    /// The name of the first stream of the line of periods of the row at an index; `None` where
    /// the page leaves it out: then that is its own stream.
    fn root(&self, index: usize) -> Result<Option<&str>, CoreError> {
        text(self, ROOT, index)
    }

    /// The event id of the row at an index.
    #[inline]
    fn event_id(&self, index: usize) -> Result<&[u8; 16], CoreError> {
        self.fixed(EVENT_ID, index).ok_or_else(|| null(EVENT_ID))
    }

    /// The type of the row at an index.
    fn event_type(&self, index: usize) -> Result<&str, CoreError> {
        text(self, TYPE, index)?.ok_or_else(|| null(TYPE))
    }

    /// The runs of rows of one stream, in order: its name, and the indexes of the rows.
    fn streams(&self) -> Result<Vec<(&str, Range<usize>)>, CoreError> {
        let mut runs: Vec<(&str, Range<usize>)> = Vec::new();
        for index in 0..self.len() {
            let name = text(self, STREAM, index)?.ok_or_else(|| null(STREAM))?;
            match runs.last_mut() {
                Some((known, rows)) if *known == name => rows.end = index + 1,
                _ => runs.push((name, index..index + 1)),
            }
        }
        Ok(runs)
    }
}

/// What an event refers to by a name of a projection.
#[derive(Debug, Clone, Copy)]
pub enum Resolution<'a> {
    /// It names no event, or none that was there before it.
    Nothing,
    /// The event, as expressions see it.
    Event(&'a Value),
    /// An event whose bytes cannot be read.
    Unreadable,
    /// It cannot be told: why.
    Failed(&'a CoreError),
}

impl<P: Page> Page for &P {
    fn len(&self) -> usize {
        (**self).len()
    }

    #[inline]
    fn cell(&self, column: usize, index: usize) -> Option<&[u8]> {
        (**self).cell(column, index)
    }

    #[inline]
    fn fixed<const N: usize>(&self, column: usize, index: usize) -> Option<&[u8; N]> {
        (**self).fixed(column, index)
    }

    fn resolution(&self, index: usize, name: usize) -> Option<Resolution<'_>> {
        (**self).resolution(index, name)
    }

    #[inline]
    fn opened(&self, index: usize) -> &[OpenedValue] {
        (**self).opened(index)
    }

    fn whose(&self, index: usize, read: &dyn Fn(&str) -> bool) -> Whose {
        (**self).whose(index, read)
    }
}

/// The bytes of the type of the row at an index, `None` for NULL; to find its handler without a
/// check of what the handler's own type says.
#[inline]
pub(crate) fn event_type_bytes(page: &(impl Page + ?Sized), index: usize) -> Option<&[u8]> {
    page.cell(TYPE, index)
}

/// Whether the row at an index is an event that cancels another.
#[inline]
pub fn is_cancellation(page: &(impl Page + ?Sized), index: usize) -> bool {
    page.cell(CANCELS, index).is_some()
}

/// Reads what the row at an index needs to be folded by a handler of `event_type` that reads
/// nothing of its envelope: id, version, position, type, data and marks. The rest of `row` stays.
/// For a row that was not validated `false`: its metadata must be checked too.
#[inline]
pub(crate) fn read_brief<'a>(
    page: &'a (impl Page + ?Sized),
    index: usize,
    event_type: &'a str,
    row: &mut Row<'a>,
) -> Result<bool, CoreError> {
    row.flags = int4(page, FLAGS, index)?;
    if row.flags & FLAG_VALIDATED_V1 == 0 {
        return Ok(false);
    }
    row.version = page.version(index)?;
    row.position = int8(page, POSITION, index)?;
    row.event_id = page.event_id(index)?;
    row.event_type = event_type;
    row.data = page.cell(DATA, index).unwrap_or_default();
    row.deleted = deleted(page, index)?;
    Ok(true)
}

impl Row<'_> {
    /// What it refers to.
    pub fn references(&self) -> References {
        References::marked(self.flags, self.metadata)
    }

    /// A row of nothing, to be read into.
    pub(crate) fn blank() -> Self {
        Self {
            stream: None,
            version: 0,
            position: 0,
            event_id: &[0; 16],
            event_type: "",
            data: b"",
            metadata: NO_METADATA,
            tags: Tags::none(),
            recorded_us: 0,
            occurred_us: 0,
            writer: "",
            flags: 0,
            copied_from: None,
            cancels: None,
            trace_context: None,
            deleted: false,
        }
    }
}

/// The name of a column.
fn name(column: usize) -> &'static str {
    SPECS.get(column).map_or(ROOT_SPEC.name, |spec| spec.name)
}

fn text(
    page: &(impl Page + ?Sized),
    column: usize,
    index: usize,
) -> Result<Option<&str>, CoreError> {
    let Some(cell) = page.cell(column, index) else { return Ok(None) };
    std::str::from_utf8(cell)
        .map(Some)
        .map_err(|_| bad_page(format!("{} is not UTF-8", name(column))))
}

/// A cell of that many bytes, `None` for NULL.
#[inline]
fn optional<const N: usize>(
    page: &(impl Page + ?Sized),
    column: usize,
    index: usize,
) -> Result<Option<&[u8; N]>, CoreError> {
    match page.fixed(column, index) {
        None if page.cell(column, index).is_some() => Err(null(column)),
        cell => Ok(cell),
    }
}

#[inline]
fn deleted(page: &(impl Page + ?Sized), index: usize) -> Result<bool, CoreError> {
    Ok(optional(page, DELETED, index)?.is_some_and(|cell: &[u8; 1]| *cell != [0]))
}

#[inline]
fn int8(page: &(impl Page + ?Sized), column: usize, index: usize) -> Result<i64, CoreError> {
    match page.fixed(column, index) {
        Some(cell) => Ok(i64::from_be_bytes(*cell)),
        None => Err(null(column)),
    }
}

#[inline]
fn int4(page: &(impl Page + ?Sized), column: usize, index: usize) -> Result<i32, CoreError> {
    match page.fixed(column, index) {
        Some(cell) => Ok(i32::from_be_bytes(*cell)),
        None => Err(null(column)),
    }
}

fn time(
    page: &(impl Page + ?Sized),
    column: usize,
    index: usize,
) -> Result<Option<i64>, CoreError> {
    if page.cell(column, index).is_none() {
        return Ok(None);
    }
    // The infinities are the ends of the range, and fall out here too.
    int8(page, column, index)?
        .checked_add(EPOCH_MICROS)
        .filter(|micros| (MICROS_MIN..=MICROS_MAX).contains(micros))
        .map(Some)
        .ok_or_else(|| bad_page(format!("{} is out of range", SPECS[column].name)))
}

fn texts(page: &(impl Page + ?Sized), column: usize, index: usize) -> Result<Tags<'_>, CoreError> {
    let Some(cell) = page.cell(column, index) else { return Ok(Tags::none()) };
    let bad = || bad_page(format!("{}: not an array of texts", name(column)));
    Tags::decode(cell).ok_or_else(bad)
}

#[cold]
fn null(column: usize) -> CoreError {
    bad_page(format!("{} is NULL, or has the wrong length", SPECS[column].name))
}

/// A page that the server's own query cannot have made.
fn bad_page(problem: String) -> CoreError {
    CoreError::new("BUG", format!("a page of rows cannot be decoded: {problem}"))
}
