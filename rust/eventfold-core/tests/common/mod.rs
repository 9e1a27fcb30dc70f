//! Pages of rows, built the way that PostgreSQL sends them.

#![allow(dead_code, reason = "each test binary uses its part")]

pub mod schemas;

/// Numbers of `pg_type`.
pub const TEXT: i32 = 25;
pub const INT8: i32 = 20;
pub const INT4: i32 = 23;
pub const UUID: i32 = 2950;
pub const BYTEA: i32 = 17;
pub const TIME: i32 = 1184;
pub const BOOL: i32 = 16;

/// Microseconds from 1970 to 2000.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// What `array_send` makes of an array.
pub fn array(oid: i32, elements: &[Option<Vec<u8>>]) -> Vec<u8> {
    let mut out = Vec::new();
    if elements.is_empty() {
        for word in [0, 0, oid] {
            out.extend(word.to_be_bytes());
        }
        return out;
    }
    let has_null = i32::from(elements.iter().any(Option::is_none));
    for word in [1, has_null, oid, elements.len() as i32, 1] {
        out.extend(word.to_be_bytes());
    }
    for element in elements {
        match element {
            None => out.extend((-1i32).to_be_bytes()),
            Some(bytes) => {
                out.extend((bytes.len() as i32).to_be_bytes());
                out.extend(bytes);
            }
        }
    }
    out
}

/// One event, owned.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub stream: Option<String>,
    pub version: i64,
    pub position: i64,
    pub id: [u8; 16],
    pub event_type: String,
    pub data: Option<Vec<u8>>,
    pub metadata: Option<Vec<u8>>,
    pub tags: Vec<String>,
    pub recorded_us: i64,
    pub occurred_us: Option<i64>,
    pub writer: String,
    pub flags: i32,
    pub copied_from: Option<[u8; 16]>,
    pub cancels: Option<[u8; 16]>,
    pub trace_context: Option<String>,
    pub deleted: bool,
    pub sealed_paths: Vec<String>,
    pub root: Option<String>,
}

impl Event {
    /// An event of the stream `account-1` with everything optional left out.
    pub fn new(version: i64, event_type: &str, data: &str) -> Self {
        let mut id = [0; 16];
        id[8..].copy_from_slice(&version.to_be_bytes());
        Self {
            stream: None,
            version,
            position: version + 100,
            id,
            event_type: event_type.to_owned(),
            data: Some(data.as_bytes().to_vec()),
            metadata: None,
            tags: Vec::new(),
            recorded_us: 1_700_000_000_000_000 + version,
            occurred_us: None,
            writer: "anonymous".to_owned(),
            flags: 1,
            copied_from: None,
            cancels: None,
            trace_context: None,
            deleted: false,
            sealed_paths: Vec::new(),
            root: None,
        }
    }
}

/// The seventeen columns of a page, and that of the roots if an event has one.
pub fn columns(events: &[Event]) -> Vec<Option<Vec<u8>>> {
    type Cell<'a> = &'a dyn Fn(&Event) -> Option<Vec<u8>>;
    let text = |text: &String| text.clone().into_bytes();
    let texts = |texts: &[String]| {
        let texts: Vec<_> = texts.iter().map(|one| Some(text(one))).collect();
        (!texts.is_empty()).then(|| array(TEXT, &texts))
    };
    let time = |micros: i64| (micros - EPOCH_MICROS).to_be_bytes().to_vec();
    let cells: [(i32, Cell<'_>); 18] = [
        (TEXT, &|event| event.stream.as_ref().map(text)),
        (INT8, &|event| Some(event.version.to_be_bytes().to_vec())),
        (INT8, &|event| Some(event.position.to_be_bytes().to_vec())),
        (UUID, &|event| Some(event.id.to_vec())),
        (TEXT, &|event| Some(text(&event.event_type))),
        (BYTEA, &|event| event.data.clone()),
        (BYTEA, &|event| event.metadata.clone()),
        (BYTEA, &|event| texts(&event.tags)),
        (TIME, &|event| Some(time(event.recorded_us))),
        (TIME, &|event| event.occurred_us.map(time)),
        (TEXT, &|event| Some(text(&event.writer))),
        (INT4, &|event| Some(event.flags.to_be_bytes().to_vec())),
        (UUID, &|event| event.copied_from.map(|id| id.to_vec())),
        (UUID, &|event| event.cancels.map(|id| id.to_vec())),
        (TEXT, &|event| event.trace_context.as_ref().map(text)),
        (BOOL, &|event| Some(vec![u8::from(event.deleted)])),
        (BYTEA, &|event| texts(&event.sealed_paths)),
        (TEXT, &|event| event.root.as_ref().map(text)),
    ];
    let count = if events.iter().any(|event| event.root.is_some()) { 18 } else { 17 };
    cells[..count]
        .iter()
        .map(|(oid, cell)| {
            let elements: Vec<_> = events.iter().map(cell).collect();
            let absent = events.is_empty() || elements.iter().all(Option::is_none);
            (!absent).then(|| array(*oid, &elements))
        })
        .collect()
}
