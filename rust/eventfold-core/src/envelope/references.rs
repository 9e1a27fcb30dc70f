//! References: the events and the streams that the metadata of an event names.

use std::sync::{Arc, LazyLock};

use indexmap::IndexSet;
use memchr::memmem::Finder;

use super::{FLAG_REFERS, parse_uuid};
use crate::error::CoreError;
use crate::json::scan::scan_fields;
use crate::limits::EVENT_REFERENCES_MAX;
use crate::names::check_readable_stream_name;
use crate::value::Value;

/// The member of the metadata, and its own two.
const MEMBER: &str = "refs";
const EVENTS: &str = "events";
const STREAMS: &str = "streams";

/// What an event refers to, or several of them; in the order in which they name it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// Ids of events.
    pub events: IndexSet<[u8; 16]>,
    /// Names of streams.
    pub streams: IndexSet<Arc<str>>,
}

impl References {
    /// Finds them in metadata that passed the strict check; nothing without a member `refs`.
    /// `escaped_keys`: whether a key may be spelled with an escape.
    ///
    /// Refused with INVALID_REFERENCES, whose `problem` is one of `shape`, `too_many`, `event_id`,
    /// `stream_name`, `twice`, in this order. What the store has marked was checked like this.
    pub fn of(metadata: &[u8], escaped_keys: bool) -> Result<Self, CoreError> {
        match member(metadata, escaped_keys) {
            Some(value) => Self::check(&value),
            None => Ok(Self::default()),
        }
    }

    /// Those of an event of the store, by its marks; nothing if it has not the mark of references.
    pub fn marked(flags: i32, metadata: &[u8]) -> Self {
        if flags & FLAG_REFERS == 0 {
            return Self::default();
        }
        // A mark that somebody else has made is worth nothing. Deleted metadata are empty.
        Self::of(metadata, true).unwrap_or_default()
    }

    /// Adds what another event refers to.
    pub fn extend(&mut self, other: Self) {
        self.events.extend(other.events);
        self.streams.extend(other.streams);
    }

    /// The number of all.
    pub fn len(&self) -> usize {
        self.events.len() + self.streams.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn check(value: &Value) -> Result<Self, CoreError> {
        let (events, streams) = lists(value).ok_or_else(|| {
            let message = "`refs` is an object with lists of texts, `events` and `streams`";
            refusal("shape", message)
        })?;
        let count = events.len() + streams.len();
        if count > EVENT_REFERENCES_MAX {
            let message = format!(
                "the event has {count} references; at most {EVENT_REFERENCES_MAX} are allowed"
            );
            return Err(refusal("too_many", message).fact("limit", EVENT_REFERENCES_MAX));
        }
        let ids = events.iter().map(|id| parse_uuid(id)).collect::<Option<IndexSet<_>>>();
        let ids = ids.ok_or_else(|| {
            let message = "an event in `refs` is not a UUID of 32 hexadecimal digits with hyphens";
            refusal("event_id", message)
        })?;
        if streams.iter().any(|name| check_readable_stream_name(name).is_err()) {
            return Err(refusal("stream_name", "a stream in `refs` is not the name of a stream"));
        }
        let found = Self { events: ids, streams: streams.into_iter().collect() };
        if found.len() < count {
            return Err(refusal("twice", "`refs` names an event or a stream twice"));
        }
        Ok(found)
    }
}

/// The value of `refs`. Metadata without it costs no more than the search for its bytes.
fn member(metadata: &[u8], escaped_keys: bool) -> Option<Value> {
    static KEY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"refs\""));
    if !escaped_keys && KEY.find(metadata).is_none() {
        return None;
    }
    let mut found = [None];
    match scan_fields(metadata, &[MEMBER], escaped_keys, &mut found) {
        Ok(()) => found.into_iter().flatten().next(),
        // Other members are passed over; so it is `refs` that holds a number beyond all bounds.
        Err(_) => Some(Value::Null),
    }
}

type Texts = Vec<Arc<str>>;

/// The texts of both lists; `None` if that is not what `refs` holds.
fn lists(value: &Value) -> Option<(Texts, Texts)> {
    let Value::Map(map) = value else { return None };
    let (mut events, mut streams) = (Texts::new(), Texts::new());
    for (key, value) in map.iter() {
        let list = match key.as_str()? {
            EVENTS => &mut events,
            STREAMS => &mut streams,
            // A slip of the pen must not lose references.
            _ => return None,
        };
        let Value::List(items) = value else { return None };
        for item in items.iter() {
            let Value::String(text) = item else { return None };
            list.push(Arc::clone(text));
        }
    }
    Some((events, streams))
}

fn refusal(problem: &'static str, message: impl Into<String>) -> CoreError {
    CoreError::new("INVALID_REFERENCES", message).fact("problem", problem)
}
