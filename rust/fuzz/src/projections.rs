//! Projection documents, and what they make of events.

use std::sync::Arc;

use eventfold_core::projection::{ColumnType, Projection, Table, fold_name};
use eventfold_core::rows::{COLUMNS, Page};

/// The registered fold that documents may name.
const FOLD: &str = "fold: user\nhandlers: {A: {a: event.a}, B: delete}";
const DATA: [&str; 5] = [
    r#"{"a":1,"b":"x","c":[2.50],"n":7}"#,
    r#"{"a":"2000-01-01","b":"y","c":["a","\"b\\"],"n":-1.50}"#,
    r#"{"a":null,"b":"x","c":{},"n":1e30}"#,
    r#"{"a":true,"b":"y","r":"00000000-0000-0000-0000-000000000001"}"#,
    r#"{"n":0}"#,
];

/// A document compiles or says where it is wrong; the same text has the same digest, and the same
/// events make the same table, however they are cut.
pub fn projection_document(data: &[u8]) {
    let Ok(source) = std::str::from_utf8(data) else { return };
    let projection = match Projection::parse(source, Some(FOLD)) {
        Ok(projection) => projection,
        Err(error) => {
            let fact = |name| error.facts.iter().any(|(known, _)| *known == name);
            let placed = fact("line") && fact("column");
            // The document of another fold than it names is a mistake of the caller.
            let other = matches!(error.reason, "PROJECTION_TOO_LARGE" | "BUG");
            assert!(placed || other, "{error}");
            return;
        }
    };
    assert!(projection.digest().len() == 64 && !projection.name().is_empty());
    assert!(!projection.types().is_empty() && !projection.columns().is_empty());
    let named = fold_name(source).expect("it compiled before");
    assert!(named.is_none_or(|name| name == "user"));
    let again = Projection::parse(source, Some(FOLD)).expect("it compiled before");
    assert_eq!(again.digest(), projection.digest());
    assert!(projection.compatible_with(&again));
    for column in projection.columns() {
        assert_eq!(ColumnType::parse(&column.kind.to_string()), Some(column.kind));
        assert!(column.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
    }

    let types: Vec<&str> = projection.types().iter().map(String::as_str).collect();
    let events = Events::of(&types);
    let projection = Arc::new(projection);
    let mut whole = Table::new(Arc::clone(&projection));
    whole.feed(&events).expect("the page can be read");
    let mut single = Table::new(projection);
    for index in 0..events.len() {
        single.feed(&events.only(index)).expect("the page can be read");
    }
    assert_eq!((&whole.rows, &whole.parked), (&single.rows, &single.parked));
    assert_eq!((whole.events, &whole.stopped), (single.events, &single.stopped));
}

/// Events as cells in PostgreSQL's binary form.
struct Events(Vec<[Option<Vec<u8>>; COLUMNS + 1]>);

impl Events {
    /// Each type with each data, on two streams in turn.
    fn of(types: &[&str]) -> Self {
        let mut events = Vec::new();
        for data in DATA {
            for event_type in types.iter().take(4) {
                let position = events.len() as i64 + 1;
                let stream = if position % 2 == 0 { "a-1" } else { "b-2" };
                let number = position.to_be_bytes().to_vec();
                let mut id = vec![0; 8];
                id.extend(&number);
                let mut cells = std::array::from_fn(|_| None);
                let texts = [(0, stream), (4, *event_type), (5, data), (10, "me"), (16, "a-1")];
                for (column, text) in texts {
                    cells[column] = Some(text.as_bytes().to_vec());
                }
                (cells[1], cells[2], cells[3]) =
                    (Some(number.clone()), Some(number.clone()), Some(id));
                (cells[8], cells[11]) = (Some(number), Some(1_i32.to_be_bytes().to_vec()));
                events.push(cells);
            }
        }
        Self(events)
    }

    fn only(&self, index: usize) -> Self {
        Self(vec![self.0[index].clone()])
    }
}

impl Page for Events {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn cell(&self, column: usize, index: usize) -> Option<&[u8]> {
        self.0.get(index)?.get(column)?.as_deref()
    }
}
