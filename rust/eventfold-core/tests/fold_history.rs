//! States in time: histories and explanations, read back with an independent decoder.

mod common;

use std::sync::Arc;

use common::{Event, columns};
use eventfold_core::envelope::uuid_text;
use eventfold_core::error::CoreError;
use eventfold_core::fold::{Fold, FoldRun};
use eventfold_core::rows::{Page, Rows};
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
struct HistoricState {
    #[prost(int64, tag = "1")]
    version: i64,
    #[prost(int64, tag = "2")]
    position: i64,
    #[prost(string, tag = "3")]
    event_id: String,
    #[prost(string, tag = "4")]
    event_type: String,
    #[prost(message, tag = "5")]
    recorded_at: Option<Timestamp>,
    #[prost(message, tag = "6")]
    occurred_at: Option<Timestamp>,
    #[prost(bool, tag = "7")]
    exists: bool,
    #[prost(bytes = "vec", tag = "8")]
    state: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct HydrateHistoryResponse {
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
}

#[derive(Clone, PartialEq, Message)]
struct ExplainedEvent {
    #[prost(int64, tag = "1")]
    version: i64,
    #[prost(int64, tag = "2")]
    position: i64,
    #[prost(string, tag = "3")]
    event_id: String,
    #[prost(string, tag = "4")]
    event_type: String,
    #[prost(message, tag = "5")]
    recorded_at: Option<Timestamp>,
    #[prost(message, tag = "6")]
    occurred_at: Option<Timestamp>,
    #[prost(bool, tag = "7")]
    handled: bool,
    #[prost(bool, tag = "8")]
    exists: bool,
    #[prost(message, repeated, tag = "9")]
    changes: Vec<StateChange>,
    #[prost(int64, tag = "10")]
    changes_left_out: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ExplainResponse {
    #[prost(message, repeated, tag = "1")]
    events: Vec<ExplainedEvent>,
}

const MIB: usize = 1024 * 1024;

const ACCOUNT: &str = "
fold: account
initial: {balance: 0, transfers: [], limits: {}}
handlers:
  Opened: {owner: event.holder, balance: event.?first.orValue(0)}
  Deposited: {balance: state.balance + event.amount}
  Sent:
    balance: state.balance - event.amount
    transfers: \"state.transfers + [{'to': event.to, 'amount': event.amount}]\"
  Corrected: {'transfers[event.index].to': event.to}
  Limited: {'limits[event.kind]': event.?value}
  Text: {text: event.text}
  Many: {many: 'event.items.map(item, [item])'}
  Fails: {balance: event.nothing}
  Closed: delete
";

fn run() -> FoldRun {
    FoldRun::new(Arc::new(Fold::parse(ACCOUNT).unwrap()), "account-1", "account-1")
}

fn account() -> Vec<Event> {
    let events = [
        ("Opened", r#"{"holder":"Ada"}"#),
        ("Deposited", r#"{"amount":1.10}"#),
        ("Unknown", "{}"),
        ("Sent", r#"{"amount":0.10,"to":"B"}"#),
        ("Sent", r#"{"amount":0.5,"to":"C"}"#),
        ("Corrected", r#"{"index":1,"to":"D"}"#),
        ("Limited", r#"{"kind":"eur","value":5}"#),
        ("Limited", r#"{"kind":"per 'day'","value":{"max":1}}"#),
        ("Limited", r#"{"kind":"eur"}"#),
        ("Closed", "{}"),
        ("Unknown", "{}"),
        ("Opened", r#"{"holder":"Bo","first":7}"#),
    ];
    (1..).zip(events).map(|(version, (name, data))| Event::new(version, name, data)).collect()
}

fn texts(length: usize, count: i64) -> Vec<Event> {
    let event = |version| {
        let text = char::from(b'a' + (version % 26) as u8).to_string().repeat(length);
        Event::new(version, "Text", &format!(r#"{{"text":"{text}"}}"#))
    };
    (1..=count).map(event).collect()
}

fn page(events: &[Event]) -> Rows<Vec<u8>> {
    Rows::decode(columns(events)).unwrap()
}

type Encoded = Result<(Vec<u8>, usize), CoreError>;

/// All messages about a page; each is checked for its size.
fn messages(rows: &Rows<Vec<u8>>, mut next: impl FnMut(usize) -> Encoded) -> Vec<Vec<u8>> {
    let (mut all, mut index) = (Vec::new(), 0);
    while index < rows.len() {
        let (bytes, end) = next(index).unwrap();
        assert!(end > index || !bytes.is_empty());
        assert!(bytes.len() < 4 * MIB, "{}", bytes.len());
        all.push(bytes);
        index = end;
    }
    all
}

fn history(run: &mut FoldRun, rows: &Rows<Vec<u8>>, from: i64) -> Vec<Vec<HistoricState>> {
    let messages = messages(rows, |index| run.history(rows, index, from));
    let decode = |bytes: &Vec<u8>| HydrateHistoryResponse::decode(bytes.as_slice()).unwrap().states;
    messages.iter().map(decode).collect()
}

fn explain(run: &mut FoldRun, rows: &Rows<Vec<u8>>, from: i64) -> Vec<ExplainedEvent> {
    let messages = messages(rows, |index| run.explain(rows, index, from));
    let decode = |bytes: &Vec<u8>| ExplainResponse::decode(bytes.as_slice()).unwrap().events;
    messages.iter().flat_map(decode).collect()
}

/// The changes of an event as `path: before -> after`.
fn changes(event: &ExplainedEvent) -> Vec<String> {
    let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).unwrap();
    let line = |change: &StateChange| {
        format!("{}: {} -> {}", change.path, text(&change.before), text(&change.after))
    };
    event.changes.iter().map(line).collect()
}

#[test]
fn a_history_has_every_state() {
    let mut events = account();
    events[1].occurred_us = Some(-1_500_000);
    let messages = history(&mut run(), &page(&events), 1);
    assert_eq!(messages.len(), 1);
    let mut folded = run();
    let mut expected = Vec::new();
    for event in &events {
        folded.feed(&page(std::slice::from_ref(event))).unwrap();
        let result = folded.finish().unwrap();
        let time = |micros: i64| Timestamp {
            seconds: micros.div_euclid(1_000_000),
            nanos: micros.rem_euclid(1_000_000) as i32 * 1_000,
        };
        expected.push(HistoricState {
            version: result.version,
            position: result.position,
            event_id: uuid_text(&event.id),
            event_type: event.event_type.clone(),
            recorded_at: Some(time(event.recorded_us)),
            occurred_at: Some(time(event.occurred_us.unwrap_or(event.recorded_us))),
            exists: result.exists,
            state: result.state,
        });
    }
    assert_eq!(messages[0], expected);
    assert_eq!(expected[9].state, b"null");
    assert_eq!(history(&mut run(), &page(&events), 7).concat(), expected[6..]);
    assert_eq!(history(&mut run(), &page(&events), 99).concat(), []);
}

#[test]
fn messages_end_at_a_mebibyte_or_after_one_state() {
    let events = texts(400_000, 7);
    let sizes: Vec<usize> =
        history(&mut run(), &page(&events), 3).iter().map(|states| states.len()).collect();
    assert_eq!(sizes, [2, 2, 1]);
    for pages in [vec![0..7, 7..7], vec![0..1, 1..4, 4..7]] {
        let mut run = run();
        let mut versions = Vec::new();
        for part in pages {
            let states = history(&mut run, &page(&events[part]), 1).concat();
            versions.extend(states.iter().map(|state| state.version));
        }
        assert_eq!(versions, [1, 2, 3, 4, 5, 6, 7]);
    }
    let large = texts(2 * MIB, 3);
    let sizes: Vec<usize> =
        history(&mut run(), &page(&large), 1).iter().map(|states| states.len()).collect();
    assert_eq!(sizes, [1, 1, 1]);
    let explained = explain(&mut run(), &page(&texts(500_000, 9)), 1);
    let versions: Vec<i64> = explained.iter().map(|event| event.version).collect();
    assert_eq!(versions, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn what_came_before_an_error_is_not_lost() {
    let mut events = texts(10, 3);
    events[2] = Event::new(3, "Fails", "{}");
    let rows = page(&events);
    let mut failing = run();
    let (bytes, next) = failing.history(&rows, 0, 1).unwrap();
    let states = HydrateHistoryResponse::decode(bytes.as_slice()).unwrap().states;
    assert_eq!((states.len(), next), (2, 2));
    let error = failing.history(&rows, next, 1).unwrap_err();
    assert_eq!(error.reason, "FOLD_FAILED");
    assert_eq!(failing.explain(&rows, next, 1).unwrap_err(), error);
    assert_eq!(failing.finish().unwrap_err(), error);
    // Nothing was encoded before it: the error comes at once.
    assert_eq!(run().explain(&rows, 0, 3).unwrap_err(), error);
}

#[test]
fn rows_are_not_folded_twice() {
    let rows = page(&texts(600_000, 2));
    let mut run = run();
    let (_, next) = run.history(&rows, 0, 1).unwrap();
    assert_eq!(next, 1);
    // The row at 1 is folded and waits to be sent: it cannot be fed as well.
    assert_eq!(run.feed_part(&rows, 1..2).unwrap_err().reason, "BUG");
}

#[test]
fn an_explanation_names_the_paths_that_differ() {
    let explained = explain(&mut run(), &page(&account()), 1);
    let found: Vec<Vec<String>> = explained.iter().map(changes).collect();
    let whole = r#"{"balance":0.5,"transfers":[{"to":"B","amount":0.10},{"to":"D","amount":0.5}],"#
        .to_owned()
        + r#""limits":{"per 'day'":{"max":1}},"owner":"Ada"}"#;
    let expected: [&[&str]; 12] = [
        &[r#"owner:  -> "Ada""#],
        &["balance: 0 -> 1.1"],
        &[],
        &["balance: 1.1 -> 1", r#"transfers[0]:  -> {"to":"B","amount":0.10}"#],
        &["balance: 1 -> 0.5", r#"transfers[1]:  -> {"to":"C","amount":0.5}"#],
        &[r#"transfers[1].to: "C" -> "D""#],
        &["limits.eur:  -> 5"],
        &[r#"limits['per \'day\'']:  -> {"max":1}"#],
        &["limits.eur: 5 -> "],
        &[&format!(".: {whole} -> null")],
        &[],
        &[r#".: null -> {"balance":7,"transfers":[],"limits":{},"owner":"Bo"}"#],
    ];
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected);
    }
    let marks: Vec<(bool, bool)> =
        explained.iter().map(|event| (event.handled, event.exists)).collect();
    assert_eq!(marks[..3], [(true, true), (true, true), (false, true)]);
    assert_eq!(marks[9..], [(true, false), (false, false), (true, true)]);
    let fifth = &explained[4];
    assert_eq!((fifth.version, fifth.position, &*fifth.event_type), (5, 105, "Sent"));
    assert_eq!(explain(&mut run(), &page(&account()), 5), explained[4..]);
}

#[test]
fn changes_without_room_are_counted() {
    let items = |count: usize, shift: usize| {
        let items: Vec<String> = (0..count).map(|item| (item + shift).to_string()).collect();
        format!(r#"{{"items":[{}]}}"#, items.join(","))
    };
    let events = [Event::new(1, "Many", &items(1_500, 0)), Event::new(2, "Many", &items(1_600, 1))];
    let explained = explain(&mut run(), &page(&events), 1);
    assert_eq!((explained[0].changes.len(), explained[0].changes_left_out), (1, 0));
    assert_eq!((explained[1].changes.len(), explained[1].changes_left_out), (1_000, 600));
    assert_eq!(changes(&explained[1])[999], "many[999][0]: 999 -> 1000");

    // From one text of 2 MiB to another does not fit one message; the other change does.
    let mut events = texts(2 * MIB, 2);
    events.push(Event::new(3, "Deposited", r#"{"amount":1}"#));
    let explained = explain(&mut run(), &page(&events), 1);
    assert_eq!((explained[0].changes.len(), explained[0].changes_left_out), (1, 0));
    assert_eq!((explained[1].changes.len(), explained[1].changes_left_out), (0, 1));
    assert_eq!(changes(&explained[2]), ["balance: 0 -> 1"]);
}

#[test]
fn calls_end_though_nothing_changes() {
    // Every event sets the same large value anew, so that nothing is shared.
    let source = "
fold: f
handlers:
  Fill: {many: event.items}
  Same: {many: 'state.many.map(item, item)'}
";
    let fold = Arc::new(Fold::parse(source).unwrap());
    let items = vec!["1"; 100_000].join(",");
    let mut events = vec![Event::new(1, "Fill", &format!(r#"{{"items":[{items}]}}"#))];
    events.extend((2..30).map(|version| Event::new(version, "Same", "{}")));
    let rows = page(&events);
    let mut run = FoldRun::new(fold, "a-1", "a-1");
    let messages = messages(&rows, |index| run.explain(&rows, index, 1));
    assert!(messages.len() > 1, "{}", messages.len());
    assert_eq!(run.finish().unwrap().version, 29);
}
