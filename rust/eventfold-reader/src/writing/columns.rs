//! Appends as the arguments of their statements, in PostgreSQL's binary forms, written straight
//! into the message.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use eventfold_core::append::{Append, StoredEvent, StreamAppend};
use eventfold_core::value::Timestamp;
use tokio_postgres::types::{IsNull, ToSql, Type};

use crate::arrays::{BYTEA, INT4, INT8, TEXT, UUID, Written, array, bigint, bytes, int};

/// A time as text: the statements cast it, since no driver's calendar ends as PostgreSQL's does.
fn time(micros: Option<i64>, out: &mut BytesMut) -> bool {
    let Some(time) = micros.and_then(Timestamp::from_micros) else { return false };
    bytes(time.to_string().as_bytes(), out)
}

/// One array a column of the events of some parts.
#[derive(Debug, Clone, Copy)]
enum OfEvents {
    Ids,
    Types,
    Data,
    Metadata,
    Tags,
    TagEnds,
    OccurredAt,
    Flags,
    SentDigests,
    StoredDigests,
    SealedPaths,
}

impl OfEvents {
    fn write<'a>(
        self,
        parts: impl Iterator<Item = &'a StreamAppend> + Clone,
        out: &mut BytesMut,
    ) -> Written {
        let events = parts.clone().flat_map(StreamAppend::events);
        let texts = |oid, out: &mut BytesMut, field: fn(StoredEvent<'a>) -> &'a [u8]| {
            array(oid, events.clone().map(field), out, bytes)
        };
        let optional = |oid, out: &mut BytesMut, field: fn(StoredEvent<'a>) -> Option<&'a [u8]>| {
            array(oid, events.clone().map(field), out, |field, out| {
                field.is_some_and(|field| bytes(field, out))
            })
        };
        match self {
            Self::Ids => texts(UUID, out, |event| event.id),
            Self::Types => texts(TEXT, out, |event| event.event_type),
            Self::Data => texts(BYTEA, out, |event| event.data),
            Self::Metadata => texts(BYTEA, out, |event| event.metadata),
            Self::SentDigests => optional(BYTEA, out, |event| event.sent_digest.map(|it| &it[..])),
            Self::SealedPaths => optional(TEXT, out, |event| event.sealed_paths.map(str::as_bytes)),
            Self::StoredDigests => texts(BYTEA, out, |event| event.stored_digest),
            Self::Tags => array(TEXT, parts.flat_map(StreamAppend::tags), out, bytes),
            Self::TagEnds => {
                let ends = parts.scan(0, |before, part| {
                    let first = *before;
                    *before += part.tags().len();
                    Some(part.events().map(move |event| first + event.tags_end))
                });
                array(INT4, ends.flatten(), out, int)
            }
            Self::OccurredAt => array(TEXT, events.map(|event| event.occurred_us), out, time),
            Self::Flags => array(INT4, events.map(|event| event.flags), out, |flags, out| {
                out.put_i32(flags);
                true
            }),
        }
    }
}

/// An argument of the statement for one append.
#[derive(Debug)]
pub(super) struct Alone<'a>(&'a Append, AloneColumn);

#[derive(Debug, Clone, Copy)]
enum AloneColumn {
    Stream,
    Category,
    Expected,
    Events(OfEvents),
    Writer,
    TraceContext,
    CatalogueVersion,
    SealedPaths,
    Root,
}

impl<'a> Alone<'a> {
    /// The arguments, for a plain append.
    pub(super) fn params(append: &'a Append) -> [Self; 18] {
        use AloneColumn::{
            CatalogueVersion, Category, Events, Expected, Root, SealedPaths, Stream, TraceContext,
        };
        [
            Stream,
            Category,
            Expected,
            Events(OfEvents::Ids),
            Events(OfEvents::Types),
            Events(OfEvents::Data),
            Events(OfEvents::Metadata),
            Events(OfEvents::Tags),
            Events(OfEvents::TagEnds),
            Events(OfEvents::OccurredAt),
            Events(OfEvents::Flags),
            Events(OfEvents::SentDigests),
            Events(OfEvents::StoredDigests),
            AloneColumn::Writer,
            TraceContext,
            CatalogueVersion,
            SealedPaths,
            Root,
        ]
        .map(|column| Self(append, column))
    }
}

impl ToSql for Alone<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Written {
        let Self(append, column) = self;
        let part = &append.parts[0];
        match column {
            AloneColumn::Stream => out.put_slice(part.stream().as_bytes()),
            AloneColumn::Category => out.put_slice(part.category().as_bytes()),
            AloneColumn::Expected => out.put_i64(part.demanded()),
            AloneColumn::Events(column) => return column.write(append.parts.iter(), out),
            AloneColumn::Writer => out.put_slice(append.origin.writer.as_bytes()),
            AloneColumn::TraceContext => match &append.origin.trace_context {
                Some(context) => out.put_slice(context.as_bytes()),
                None => return Ok(IsNull::Yes),
            },
            AloneColumn::CatalogueVersion => out.put_i64(append.catalogue_version),
            AloneColumn::SealedPaths if append.is_personal() => {
                return OfEvents::SealedPaths.write(append.parts.iter(), out);
            }
            AloneColumn::SealedPaths => return Ok(IsNull::Yes),
            AloneColumn::Root => match part.root() {
                Some(root) => out.put_slice(root.as_bytes()),
                None => return Ok(IsNull::Yes),
            },
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

/// A batch with the numbers that its statement gives to parts and checks, less 1.
#[derive(Debug)]
pub(super) struct Numbered<'a> {
    batch: &'a [Arc<Append>],
    /// Append and part.
    parts: Vec<(usize, usize)>,
    /// Append and check.
    checks: Vec<(usize, usize)>,
    /// Of each group: how many parts and checks there are up to its end.
    group_ends: Vec<(usize, usize)>,
}

impl<'a> Numbered<'a> {
    pub(super) fn new(batch: &'a [Arc<Append>]) -> Self {
        let mut numbered =
            Self { batch, parts: Vec::new(), checks: Vec::new(), group_ends: Vec::new() };
        for (index, append) in batch.iter().enumerate() {
            numbered.parts.extend((0..append.parts.len()).map(|part| (index, part)));
            numbered.checks.extend((0..append.checks.len()).map(|check| (index, check)));
            // Plain ones are one group.
            if append.is_plain() {
                numbered.group_ends.pop();
            }
            numbered.group_ends.push((numbered.parts.len(), numbered.checks.len()));
        }
        numbered
    }

    pub(super) fn appends(&self) -> usize {
        self.batch.len()
    }

    /// Append, place and part of a number less 1.
    pub(super) fn part(&self, number: usize) -> Option<(usize, usize, &'a StreamAppend)> {
        let (append, place) = *self.parts.get(number)?;
        self.batch[append].parts.get(place).map(|part| (append, place, part))
    }

    /// Append and place of the number of a check, less 1.
    pub(super) fn check(&self, number: usize) -> Option<(usize, usize)> {
        self.checks.get(number).copied()
    }

    /// The arguments of the statement.
    pub(super) fn params(&self) -> [OfBatch<'_>; 25] {
        use BatchColumn::{
            Appends, CatalogueVersions, Categories, CheckEnds, CheckExpected, CheckStreams,
            EventEnds, Events, Expected, GroupEnds, Plain, Roots, SealedPaths, Streams,
            TraceContexts, Writers,
        };
        [
            Plain,
            GroupEnds,
            CheckEnds,
            Streams,
            Expected,
            EventEnds,
            CatalogueVersions,
            Appends,
            Categories,
            Writers,
            TraceContexts,
            Events(OfEvents::Ids),
            Events(OfEvents::Types),
            Events(OfEvents::Data),
            Events(OfEvents::Metadata),
            Events(OfEvents::Tags),
            Events(OfEvents::TagEnds),
            Events(OfEvents::OccurredAt),
            Events(OfEvents::Flags),
            Events(OfEvents::SentDigests),
            Events(OfEvents::StoredDigests),
            CheckStreams,
            CheckExpected,
            SealedPaths,
            Roots,
        ]
        .map(|column| OfBatch(self, column))
    }

    fn write(&self, column: BatchColumn, out: &mut BytesMut) -> Written {
        let appends = self.batch.iter();
        let parts = appends.clone().flat_map(|one| &one.parts);
        let checks = appends.clone().flat_map(|one| &one.checks);
        // Of each part, and as often as it has events.
        let owners = appends.clone().flat_map(|one| one.parts.iter().map(move |part| (one, part)));
        let by_event = owners.clone().enumerate().flat_map(|(number, (one, part))| {
            std::iter::repeat_n((number + 1, one, part), part.events().len())
        });
        match column {
            BatchColumn::Plain => {
                let plain = self.batch.first().is_some_and(|one| one.is_plain());
                out.put_u8(u8::from(plain));
                Ok(IsNull::No)
            }
            BatchColumn::GroupEnds => {
                array(INT4, self.group_ends.iter().map(|(parts, _)| *parts), out, int)
            }
            BatchColumn::CheckEnds => {
                array(INT4, self.group_ends.iter().map(|(_, checks)| *checks), out, int)
            }
            BatchColumn::Streams => {
                array(TEXT, parts.map(|part| part.stream().as_bytes()), out, bytes)
            }
            BatchColumn::Expected => array(INT8, parts.map(StreamAppend::demanded), out, bigint),
            BatchColumn::EventEnds => {
                let ends = parts.scan(0, |end, part| {
                    *end += part.events().len();
                    Some(*end)
                });
                array(INT4, ends, out, int)
            }
            BatchColumn::CatalogueVersions => {
                array(INT8, owners.map(|(one, _)| one.catalogue_version), out, bigint)
            }
            BatchColumn::Appends => array(INT4, by_event.map(|(number, ..)| number), out, int),
            BatchColumn::Categories => {
                array(TEXT, by_event.map(|(.., part)| part.category().as_bytes()), out, bytes)
            }
            BatchColumn::Writers => {
                let writers = by_event.map(|(_, one, _)| one.origin.writer.as_bytes());
                array(TEXT, writers, out, bytes)
            }
            BatchColumn::TraceContexts => {
                let contexts = by_event.map(|(_, one, _)| &one.origin.trace_context);
                array(TEXT, contexts, out, |context, out| {
                    context.as_ref().is_some_and(|context| bytes(context.as_bytes(), out))
                })
            }
            BatchColumn::Events(column) => column.write(parts, out),
            BatchColumn::CheckStreams => {
                array(TEXT, checks.map(|check| check.stream.as_bytes()), out, bytes)
            }
            BatchColumn::CheckExpected => {
                array(INT8, checks.map(|check| check.expected), out, bigint)
            }
            // Most batches have none.
            BatchColumn::SealedPaths | BatchColumn::Roots
                if !appends.clone().any(|one| one.is_personal()) =>
            {
                Ok(IsNull::Yes)
            }
            BatchColumn::SealedPaths => OfEvents::SealedPaths.write(parts, out),
            BatchColumn::Roots => array(TEXT, parts.map(StreamAppend::root), out, |root, out| {
                root.is_some_and(|root| bytes(root.as_bytes(), out))
            }),
        }
    }
}

/// An argument of the statement for a batch.
#[derive(Debug)]
pub(super) struct OfBatch<'a>(&'a Numbered<'a>, BatchColumn);

#[derive(Debug, Clone, Copy)]
enum BatchColumn {
    Plain,
    GroupEnds,
    CheckEnds,
    Streams,
    Expected,
    EventEnds,
    CatalogueVersions,
    Appends,
    Categories,
    Writers,
    TraceContexts,
    Events(OfEvents),
    CheckStreams,
    CheckExpected,
    SealedPaths,
    Roots,
}

impl ToSql for OfBatch<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Written {
        self.0.write(self.1, out)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}
