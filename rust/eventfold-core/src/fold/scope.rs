//! What the expressions of a fold see of one event: `state`, `event`, `meta` and `let` names.

use std::sync::Arc;

use crate::cel::{Env, EvalError, Program, Scope, StaticType, field_of};
use crate::envelope::{FLAG_MAPPED, uuid_text};
use crate::rows::Row;
use crate::value::{Map, Timestamp, TypeValue, Value};

/// Indexes of the variables of a fold; names that come with the event follow, then `let` names.
pub(crate) const STATE: usize = 0;
pub(crate) const EVENT: usize = 1;
pub(crate) const META: usize = 2;
pub(crate) const FIRST_LET: usize = 3;

/// A field of `meta`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetaField {
    Id,
    Stream,
    Category,
    StreamId,
    Root,
    Type,
    Writer,
    Version,
    Position,
    RecordedAt,
    OccurredAt,
    Tags,
    Metadata,
    Mapped,
    CopiedFrom,
}

/// All fields of `meta`, in the order of `meta` as a map.
const META_FIELDS: [(&str, MetaField); 15] = [
    ("id", MetaField::Id),
    ("stream", MetaField::Stream),
    ("category", MetaField::Category),
    ("stream_id", MetaField::StreamId),
    ("root", MetaField::Root),
    ("type", MetaField::Type),
    ("writer", MetaField::Writer),
    ("version", MetaField::Version),
    ("position", MetaField::Position),
    ("recorded_at", MetaField::RecordedAt),
    ("occurred_at", MetaField::OccurredAt),
    ("tags", MetaField::Tags),
    ("metadata", MetaField::Metadata),
    ("mapped", MetaField::Mapped),
    ("copied_from", MetaField::CopiedFrom),
];

/// The environment of a fold without its `let` names. `state` is what the state is called.
pub(crate) fn base_env(state: &str) -> Env {
    let mut env = Env::new().strict_numbers(true);
    env.declare(state);
    env.declare("event");
    let meta = env.declare_typed("meta", StaticType::Known(TypeValue::Map));
    for (name, field) in META_FIELDS {
        let kind = match field {
            MetaField::Version | MetaField::Position => TypeValue::Int,
            MetaField::RecordedAt | MetaField::OccurredAt => TypeValue::Timestamp,
            MetaField::Mapped => TypeValue::Bool,
            MetaField::Metadata => TypeValue::Map,
            MetaField::Tags => {
                let text = StaticType::Known(TypeValue::String);
                env.declare_field_typed(meta, name, StaticType::list(text));
                continue;
            }
            MetaField::CopiedFrom => {
                env.declare_field_typed(meta, name, StaticType::Dyn);
                continue;
            }
            _ => TypeValue::String,
        };
        env.declare_field(meta, name, kind);
    }
    env
}

/// Declares names whose values come with each event, in the places of the first `let`s.
pub(crate) fn declare_given(env: &mut Env, given: &[String]) {
    for name in given {
        env.declare_whole(name, StaticType::Dyn);
    }
}

/// The numbers of the names that programs read, of so many that come with each event.
pub(crate) fn given_used(programs: &[&Program], given: usize) -> Vec<usize> {
    let used =
        |number: &usize| programs.iter().any(|program| program.uses_variable(FIRST_LET + number));
    (0..given).filter(used).collect()
}

/// Where the value of a field slot comes from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    State(Arc<str>),
    /// A place among the fields that are scanned from the data.
    Event(usize),
    Meta(MetaField),
    /// A field that `meta` does not have.
    Absent,
    /// A slot that no expression of the handler reads.
    Unused,
}

/// The field of `meta` of that name.
pub(crate) fn meta_field(name: &str) -> Option<MetaField> {
    META_FIELDS.iter().find(|(known, _)| *known == name).map(|(_, field)| *field)
}

/// The names of a stream, for all events of a run along it.
#[derive(Debug)]
pub(crate) struct StreamNames {
    stream: Arc<str>,
    category: Arc<str>,
    stream_id: Arc<str>,
    root: Arc<str>,
}

impl StreamNames {
    pub(crate) fn new(stream: &str, root: &str) -> Self {
        let (category, stream_id) = split(stream);
        Self {
            stream: stream.into(),
            category: category.into(),
            stream_id: stream_id.into(),
            root: root.into(),
        }
    }

    /// Those of another stream of the same line of periods.
    pub(crate) fn of_next(&self, stream: &str) -> Self {
        Self { root: Arc::clone(&self.root), ..Self::new(stream, "") }
    }

    pub(crate) fn stream(&self) -> &str {
        &self.stream
    }

    /// Whether it is the first stream of its line of periods.
    pub(crate) fn is_first(&self) -> bool {
        self.stream == self.root
    }
}

/// The names of the stream of an event.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Names<'a> {
    /// Made once for all events of the stream.
    Shared(&'a StreamNames),
    /// As the event has them: a value is made where an expression reads one.
    OfEvent { stream: &'a str, root: &'a str },
}

impl<'a> Names<'a> {
    pub(crate) fn stream(self) -> &'a str {
        match self {
            Self::Shared(names) => &names.stream,
            Self::OfEvent { stream, .. } => stream,
        }
    }

    /// The value of a field of `meta` that is a name; `None` for the others.
    fn value(self, field: MetaField) -> Option<Value> {
        Some(match self {
            Self::Shared(names) => Value::String(Arc::clone(match field {
                MetaField::Stream => &names.stream,
                MetaField::Category => &names.category,
                MetaField::StreamId => &names.stream_id,
                MetaField::Root => &names.root,
                _ => return None,
            })),
            Self::OfEvent { stream, root } => Value::from(match field {
                MetaField::Stream => stream,
                MetaField::Category => split(stream).0,
                MetaField::StreamId => split(stream).1,
                MetaField::Root => root,
                _ => return None,
            }),
        })
    }
}

/// Category and id of a stream; a name of the system has no id of its own.
fn split(stream: &str) -> (&str, &str) {
    crate::names::split_stream_name(stream).unwrap_or((stream, ""))
}

/// What one event gives to expressions.
#[derive(Debug)]
pub(crate) struct EventValues<'a> {
    pub(crate) row: &'a Row<'a>,
    pub(crate) names: Names<'a>,
    pub(crate) event_type: &'a Arc<str>,
    /// The fields of the data that the handler names, by their place.
    pub(crate) fields: Vec<Option<Value>>,
    /// All of the data, if an expression needs it; then `fields` come from it.
    pub(crate) whole: Option<Value>,
    /// The metadata, if an expression needs it.
    pub(crate) metadata: Option<Value>,
    /// The values of the names that come with the event, by their number.
    pub(crate) given: &'a [Option<Value>],
}

impl EventValues<'_> {
    fn meta(&self, field: MetaField) -> Result<Value, EvalError> {
        let time = |micros| {
            Timestamp::from_micros(micros)
                .map(Value::Timestamp)
                .ok_or_else(|| EvalError::failed("a time of the event is out of range"))
        };
        Ok(match field {
            MetaField::Id => Value::string(uuid_text(self.row.event_id)),
            MetaField::Stream | MetaField::Category | MetaField::StreamId | MetaField::Root => {
                self.names.value(field).unwrap_or(Value::Null)
            }
            MetaField::Type => Value::String(Arc::clone(self.event_type)),
            MetaField::Writer => Value::from(self.row.writer),
            MetaField::Version => Value::Int(self.row.version),
            MetaField::Position => Value::Int(self.row.position),
            MetaField::RecordedAt => time(self.row.recorded_us)?,
            MetaField::OccurredAt => time(self.row.occurred_us)?,
            MetaField::Tags => Value::list(self.row.tags.iter().map(Value::from).collect()),
            MetaField::Metadata => self.metadata.clone().unwrap_or_else(|| Value::map(Map::new())),
            MetaField::Mapped => Value::Bool(self.row.flags & FLAG_MAPPED != 0),
            MetaField::CopiedFrom => {
                self.row.copied_from.map_or(Value::Null, |id| Value::string(uuid_text(id)))
            }
        })
    }

    fn whole_meta(&self) -> Result<Value, EvalError> {
        let mut map = Map::with_capacity(META_FIELDS.len());
        for (name, field) in META_FIELDS {
            map.insert(name, self.meta(field)?);
        }
        Ok(Value::map(map))
    }
}

/// The scope of the expressions of one case on one event.
pub(crate) struct EventScope<'a> {
    /// The state from before the event.
    pub(crate) state: &'a Value,
    pub(crate) event: &'a EventValues<'a>,
    pub(crate) sources: &'a [Source],
    /// Values of names that come with the event, and of `let` names, by their index from
    /// [`FIRST_LET`].
    pub(crate) lets: &'a [Option<Value>],
}

impl<'a> EventScope<'a> {
    /// The value of a field of the state or the event, where it stands.
    #[inline]
    pub(crate) fn stored_field(&self, slot: usize) -> Option<&'a Value> {
        match self.sources.get(slot)? {
            Source::State(name) => self.state.as_map()?.get(name),
            Source::Event(place) => self.event.fields.get(*place)?.as_ref(),
            _ => None,
        }
    }
}

impl Scope for EventScope<'_> {
    fn variable(&self, index: usize) -> Result<Value, EvalError> {
        let value = match index {
            STATE => Some(self.state.clone()),
            EVENT => self.event.whole.clone(),
            META => return self.event.whole_meta(),
            index => self.lets.get(index - FIRST_LET).cloned().flatten(),
        };
        value.ok_or_else(|| EvalError::failed("the variable has no value"))
    }

    fn field(&self, slot: usize) -> Result<Option<Value>, EvalError> {
        match self.sources.get(slot) {
            Some(Source::State(name)) => field_of(self.state, name),
            Some(Source::Event(place)) => Ok(self.event.fields.get(*place).cloned().flatten()),
            Some(Source::Meta(field)) => self.event.meta(*field).map(Some),
            Some(Source::Absent) => Ok(None),
            Some(Source::Unused) | None => {
                Err(EvalError::failed("the scope does not know this field"))
            }
        }
    }
}
