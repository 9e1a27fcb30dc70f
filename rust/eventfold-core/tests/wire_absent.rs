//! Absent values on the wire: the words never leave, null and pointers do, and whoever folds what
//! came over the wire comes to the same. Read with an independent decoder.

mod common;

use std::sync::Arc;

use common::{Event, columns};
use eventfold_core::envelope::{FLAG_ABSENT, FLAG_ESCAPED_KEYS, FLAG_MAPPED, FLAG_VALIDATED_V1};
use eventfold_core::fold::{Fold, FoldRun};
use eventfold_core::rows::{Page, Rows};
use eventfold_core::wire::{
    EventPage, Lead, encode_hydrated, encode_page, event_size, write_resolved,
};
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct RecordedEvent {
    #[prost(string, tag = "3")]
    event_type: String,
    #[prost(bytes = "vec", tag = "9")]
    data: Vec<u8>,
    #[prost(uint32, tag = "12")]
    flags: u32,
    #[prost(string, repeated, tag = "17")]
    erased_paths: Vec<String>,
    #[prost(string, repeated, tag = "18")]
    withheld_paths: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct ReadResponse {
    #[prost(message, repeated, tag = "1")]
    events: Vec<RecordedEvent>,
}

#[derive(Clone, PartialEq, Message)]
struct ResolvedReference {
    #[prost(message, optional, tag = "3")]
    event: Option<RecordedEvent>,
}

#[derive(Clone, PartialEq, Message)]
struct References {
    #[prost(message, repeated, tag = "2")]
    resolved: Vec<ResolvedReference>,
}

#[derive(Clone, PartialEq, Message)]
struct Hydrated {
    #[prost(bytes = "vec", tag = "2")]
    state: Vec<u8>,
    #[prost(string, repeated, tag = "10")]
    erased_paths: Vec<String>,
    #[prost(string, repeated, tag = "11")]
    withheld_paths: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct HistoricState {
    #[prost(bytes = "vec", tag = "8")]
    state: Vec<u8>,
    #[prost(string, repeated, tag = "9")]
    erased_paths: Vec<String>,
    #[prost(string, repeated, tag = "10")]
    withheld_paths: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct History {
    #[prost(message, repeated, tag = "1")]
    states: Vec<HistoricState>,
}

#[derive(Clone, PartialEq, Message)]
struct StateChange {
    #[prost(string, tag = "1")]
    path: String,
    #[prost(bytes = "vec", tag = "2")]
    before: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    after: Vec<u8>,
    #[prost(string, repeated, tag = "4")]
    before_erased_paths: Vec<String>,
    #[prost(string, repeated, tag = "5")]
    before_withheld_paths: Vec<String>,
    #[prost(string, repeated, tag = "6")]
    after_erased_paths: Vec<String>,
    #[prost(string, repeated, tag = "7")]
    after_withheld_paths: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct ExplainedEvent {
    #[prost(message, repeated, tag = "9")]
    changes: Vec<StateChange>,
}

#[derive(Clone, PartialEq, Message)]
struct Explanation {
    #[prost(message, repeated, tag = "1")]
    events: Vec<ExplainedEvent>,
}

const DATA: &str = r#"{ "name" : erased, "a/b":[1,withheld ,"erased"], "k\u0065y": erased }"#;
const SHOWN: &str = r#"{ "name" : null, "a/b":[1,null ,"erased"], "k\u0065y": null }"#;

fn rows() -> Rows<Vec<u8>> {
    let absent = FLAG_ABSENT | FLAG_VALIDATED_V1 | FLAG_MAPPED | FLAG_ESCAPED_KEYS;
    let event = |version, data, flags| Event { flags, ..Event::new(version, "E", data) };
    let events = [
        event(1, DATA, absent),
        // The words of this one are in texts alone.
        event(2, r#"{"name":"erased","a/b":[1,2,"withheld"],"key":1}"#, absent),
        event(3, r#"{"name":withheld,"a/b":[1,withheld,3],"key":2}"#, absent),
    ];
    Rows::decode(columns(&events)).unwrap()
}

fn run() -> FoldRun {
    let source = "fold: f\nhandlers:\n  E:\n    name: event.name\n    list: \"[event['a/b'], 2]\"
    key: event.key";
    FoldRun::new(Arc::new(Fold::parse(source).unwrap()), "s-1", "s-1")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn events_have_null_and_pointers() {
    let rows = rows();
    let encoded = encode_page(&rows, Some("s-1")).unwrap();
    let events = ReadResponse::decode(encoded.as_slice()).unwrap().events;
    let [first, second, third] = events.as_slice() else { panic!("three events") };
    assert_eq!(text(&first.data), SHOWN);
    assert_eq!(first.erased_paths, ["/name", "/key"]);
    assert_eq!(first.withheld_paths, ["/a~1b/1"]);
    assert_eq!(text(&second.data), r#"{"name":"erased","a/b":[1,2,"withheld"],"key":1}"#);
    assert!(second.erased_paths.is_empty() && second.withheld_paths.is_empty());
    assert_eq!(third.withheld_paths, ["/name", "/a~1b/1"]);
    for event in &events {
        // The flag says what no one outside of the process needs to know.
        let told = FLAG_VALIDATED_V1 | FLAG_MAPPED | FLAG_ESCAPED_KEYS;
        assert_eq!(event.flags, told as u32);
    }
    let mut sizes = 0;
    for row in rows.iter() {
        let size = event_size(&row.unwrap(), "s-1");
        sizes += size + 1 + if size < 128 { 1 } else { 2 };
    }
    assert_eq!(sizes, encoded.len());
}

#[test]
fn events_that_others_refer_to_have_them_too() {
    let rows = rows();
    let mut row = rows.row(0).unwrap();
    row.stream = Some("s-1");
    let mut encoded = Vec::new();
    write_resolved(2, row.event_id, Lead::Event(&row), &mut encoded).unwrap();
    let answer = References::decode(encoded.as_slice()).unwrap();
    let event = answer.resolved[0].event.as_ref().unwrap();
    assert_eq!((text(&event.data), event.erased_paths.len()), (SHOWN, 2));
}

#[test]
fn what_came_over_the_wire_is_folded_to_the_same() {
    let rows = rows();
    let mut here = run();
    here.feed(&rows).unwrap();
    let encoded = encode_page(&rows, Some("s-1")).unwrap();
    let page = EventPage::decode(encoded.as_slice()).unwrap();
    let mut there = run();
    for index in 0..page.len() {
        page.event(index).unwrap().with_row(|row| there.feed_row(row)).unwrap();
    }
    assert_eq!(there.finish().unwrap(), here.finish().unwrap());
}

/// Pointers do not open the way for texts that are no JSON.
#[test]
fn data_are_checked_before_words_stand_in_them() {
    for data in [r#"{"name":null,"key":erased}"#, r#"{"name":null,"name":null}"#, "{"] {
        let id = "00000000-0000-0000-0000-000000000001";
        let mut message = Vec::new();
        let event = RecordedEvent {
            event_type: "E".into(),
            data: data.into(),
            flags: 0,
            erased_paths: vec!["/name".into()],
            withheld_paths: vec![],
        };
        event.encode(&mut message).unwrap();
        for (field, value) in [(1, id), (2, "s-1")] {
            message.extend([field << 3 | 2, value.len() as u8]);
            message.extend(value.as_bytes());
        }
        message.extend([4 << 3, 1, 5 << 3, 1]);
        let page = EventPage::of_event(message.as_slice()).unwrap();
        let mut run = run();
        let fed = page.event(0).unwrap().with_row(|row| run.feed_row(row));
        assert_eq!(fed.unwrap_err().reason, "EVENT_CORRUPT", "{data}");
    }
}

#[test]
fn states_have_null_and_pointers() {
    let rows = rows();
    let mut folded = run();
    folded.feed_part(&rows, 0..1).unwrap();
    let result = folded.finish().unwrap();
    assert_eq!(
        text(&result.state),
        r#"{"name":erased,"list":[[1,withheld,"erased"],2],"key":erased}"#
    );
    let hydrated = Hydrated::decode(encode_hydrated(&result, "d", 0).as_slice()).unwrap();
    let shown = r#"{"name":null,"list":[[1,null,"erased"],2],"key":null}"#;
    assert_eq!(text(&hydrated.state), shown);
    assert_eq!(hydrated.erased_paths, ["/name", "/key"]);
    assert_eq!(hydrated.withheld_paths, ["/list/0/1"]);

    let (history, _) = run().history(&rows, 0, 1).unwrap();
    let states = History::decode(history.as_slice()).unwrap().states;
    assert_eq!(text(&states[0].state), shown);
    assert_eq!(states[0].erased_paths, ["/name", "/key"]);
    assert_eq!(states[0].withheld_paths, ["/list/0/1"]);
    assert_eq!(states[1].erased_paths, Vec::<String>::new());
}

#[test]
fn changes_have_null_and_pointers() {
    let rows = rows();
    let (explained, _) = run().explain(&rows, 0, 1).unwrap();
    let events = Explanation::decode(explained.as_slice()).unwrap().events;
    let change = |event: usize, path: &str| {
        let found = events[event].changes.iter().find(|change| change.path == path);
        found.unwrap_or_else(|| panic!("{path}")).clone()
    };
    let name = change(0, "name");
    assert_eq!((text(&name.before), text(&name.after)), ("", "null"));
    assert_eq!(name.after_erased_paths, [""]);
    let list = change(0, "list");
    assert_eq!(text(&list.after), r#"[[1,null,"erased"],2]"#);
    assert_eq!(list.after_withheld_paths, ["/0/1"]);
    let name = change(1, "name");
    assert_eq!((text(&name.before), text(&name.after)), ("null", r#""erased""#));
    assert_eq!((name.before_erased_paths.len(), name.after_erased_paths.len()), (1, 0));
    let name = change(2, "name");
    assert_eq!(
        (name.before_withheld_paths.len(), name.after_withheld_paths),
        (0, vec![String::new()])
    );
}
