//! Folds from source text to state: the semantics, one by one.

mod common;

use std::sync::Arc;

use common::{Event, columns};
use eventfold_core::error::CoreError;
use eventfold_core::fold::{Fold, FoldResult, FoldRun, Start};
use eventfold_core::rows::Rows;

const ACCOUNT: &str = r#"
fold: account
initial: {balance: 0, open: false, transfers: [], limits: {}}
handlers:
  AccountOpened:
    owner: "event.holderId"
    open: true
  MoneyDeposited:
    balance: "state.balance + event.amount"
  MoneyTransferred:
    balance: "state.balance - event.amount"
    transfers: "state.transfers + [{'id': meta.id, 'to': event.iban}]"
  LimitSet:
    "limits[event.kind]": "event.?value.orValue(0)"
  AccountClosed: delete
"#;

fn parse(source: &str) -> Arc<Fold> {
    Arc::new(Fold::parse(source).unwrap_or_else(|error| panic!("{error} {:?}", error.facts)))
}

fn run(source: &str, events: &[(&str, &str)]) -> Result<FoldResult, CoreError> {
    let events: Vec<_> =
        (1..).zip(events).map(|(version, (name, data))| Event::new(version, name, data)).collect();
    run_events(source, &events)
}

fn run_events(source: &str, events: &[Event]) -> Result<FoldResult, CoreError> {
    let rows = Rows::decode(columns(events)).unwrap();
    let mut run = FoldRun::new(parse(source), "account-7-a", "account-1");
    let fed = run.feed(&rows);
    let finished = run.finish();
    assert_eq!(fed.clone().err(), finished.clone().err(), "an error is final");
    finished
}

fn text(result: &FoldResult) -> &str {
    std::str::from_utf8(&result.state).unwrap()
}

/// The state after events of the type `E` under handlers in one line each.
fn state(initial: &str, handlers: &str, events: &[&str]) -> Result<String, CoreError> {
    let source = format!("fold: f\ninitial: {initial}\nhandlers:\n  E:\n{}", indented(handlers));
    let events: Vec<_> = events.iter().map(|data| ("E", *data)).collect();
    run(&source, &events).map(|result| text(&result).to_owned())
}

fn indented(lines: &str) -> String {
    lines.lines().map(|line| format!("    {}\n", line.trim())).collect()
}

fn ok(initial: &str, handlers: &str, events: &[&str]) -> String {
    state(initial, handlers, events).unwrap()
}

fn failure(initial: &str, handlers: &str, events: &[&str]) -> (&'static str, String) {
    let error = state(initial, handlers, events).unwrap_err();
    let problem = error.facts.iter().find(|(name, _)| *name == "problem");
    (error.reason, problem.map(|(_, value)| value.clone()).unwrap_or_default())
}

#[test]
fn an_account() {
    let events = [
        ("AccountOpened", r#"{"holderId":"u-1"}"#),
        ("MoneyDeposited", r#"{"amount":10.10}"#),
        ("Unknown", r#"{"amount":99}"#),
        ("MoneyTransferred", r#"{"amount":0.30,"iban":"DE1"}"#),
        ("LimitSet", r#"{"kind":"daily","value":5}"#),
        ("LimitSet", r#"{"kind":"we\"ird"}"#),
    ];
    let result = run(ACCOUNT, &events).unwrap();
    assert_eq!(
        text(&result),
        r#"{"balance":9.8,"open":true,"transfers":[{"id":"00000000-0000-0000-0000-000000000004","#
            .to_owned()
            + r#""to":"DE1"}],"limits":{"daily":5,"we\"ird":0},"owner":"u-1"}"#
    );
    assert!(result.exists);
    assert_eq!((result.version, result.position), (6, 106));
    assert_eq!((result.events_read, result.events_folded), (6, 5));
}

#[test]
fn no_event_gives_the_initial_state() {
    let result = run(ACCOUNT, &[]).unwrap();
    assert_eq!(text(&result), r#"{"balance":0,"open":false,"transfers":[],"limits":{}}"#);
    assert!(!result.exists);
    assert_eq!((result.version, result.position, result.events_read), (0, 0, 0));
}

#[test]
fn delete_and_what_comes_after() {
    let opened = ("AccountOpened", r#"{"holderId":"u"}"#);
    let deposited = ("MoneyDeposited", r#"{"amount":5}"#);
    let closed = ("AccountClosed", "{}");
    let deleted = run(ACCOUNT, &[opened, deposited, closed]).unwrap();
    assert_eq!((deleted.exists, text(&deleted), deleted.version), (false, "null", 3));
    // Events without a handler leave it deleted, others start from the initial state.
    let still = run(ACCOUNT, &[opened, closed, ("Unknown", "{}")]).unwrap();
    assert_eq!((still.exists, text(&still), still.version), (false, "null", 3));
    let again = run(ACCOUNT, &[opened, deposited, closed, deposited]).unwrap();
    assert!(again.exists);
    assert!(text(&again).starts_with(r#"{"balance":5,"open":false"#));
    // An aggregate without handled events exists.
    assert!(run(ACCOUNT, &[("Unknown", "{}")]).unwrap().exists);
    let source = "fold: f\nhandlers:\n  E: {when: event.x, delete: true}\n";
    let keeps = run(source, &[("E", r#"{"x":false}"#)]).unwrap();
    assert_eq!((keeps.exists, text(&keeps)), (true, "{}"));
    assert!(!run(source, &[("E", r#"{"x":true}"#)]).unwrap().exists);
}

#[test]
fn right_hand_sides() {
    let handlers = "a: true\nb: null\nc: -1.50\nd: \"'x'\"\ne: event.x\nf: 0x10\ng: 1e3";
    assert_eq!(
        ok("{}", handlers, &[r#"{"x":1.10}"#]),
        r#"{"a":true,"b":null,"c":-1.50,"d":"x","e":1.10,"f":16,"g":1e3}"#
    );
    // All see the state from before the event.
    assert_eq!(ok("{a: 1, b: 2}", "a: state.b\nb: state.a", &["{}"]), r#"{"a":2,"b":1}"#);
    // Values become JSON types.
    let handlers = "a: timestamp('2020-01-02T03:04:05.5Z')\nb: duration('3.5s')\nc: b'hi'\n\
                    d: \"{1: 2u}\"\ne: 0.1";
    assert_eq!(
        ok("{}", handlers, &["{}"]),
        r#"{"a":"2020-01-02T03:04:05.5Z","b":"3.5s","c":"aGk=","d":{"1":2},"e":0.1}"#
    );
    assert_eq!(failure("{}", "a: double('NaN')", &["{}"]).0, "STATE_NOT_JSON");
    assert_eq!(failure("{}", "a: type(1)", &["{}"]).0, "STATE_NOT_JSON");
    assert_eq!(failure("{}", "a: \"[optional.of(1)]\"", &["{}"]).0, "STATE_NOT_JSON");
    assert_eq!(failure("{n: 9223372036854775807}", "n: state.n + 1", &["{}"]).0, "NUMBER_RANGE");
    assert_eq!(failure("{}", "a: event.nothing", &["{}"]).0, "FOLD_FAILED");
}

#[test]
fn paths() {
    assert_eq!(
        ok("{}", "a.b.c: 1\n\"['x y'].z\": 2", &["{}"]),
        r#"{"a":{"b":{"c":1}},"x y":{"z":2}}"#
    );
    assert_eq!(
        ok("{a: {k: {n: 1}}}", "\"a[event.k].n\": 5", &[r#"{"k":"k"}"#]),
        r#"{"a":{"k":{"n":5}}}"#
    );
    assert_eq!(ok("{a: {}}", "\"a[event.k]\": 5", &[r#"{"k":7}"#]), r#"{"a":{"7":5}}"#);
    assert_eq!(
        ok("{a: [1, {b: 2}]}", "\"a[1].b\": 3\n\"a[0]\": 4", &["{}"]),
        r#"{"a":[4,{"b":3}]}"#
    );
    assert_eq!(ok("{a: 1}", ".: \"[state.a]\"", &["{}"]), "[1]");
    assert_eq!(ok("[1, 2]", "\"[event.i]\": 9", &[r#"{"i":1}"#]), "[1,9]");
    assert_eq!(
        ok("{}", "\"a['x]y'][event.m['k]']]\": 1", &[r#"{"m":{"k]":"z"}}"#]),
        r#"{"a":{"x]y":{"z":1}}}"#
    );
    assert_eq!(ok("{}", "\"['when']\": 1\n\"['delete']\": 2", &["{}"]), r#"{"when":1,"delete":2}"#);
    let beyond = "the index lies beyond the list";
    for index in ["2", "-1"] {
        let (reason, problem) = failure("{a: [1, 2]}", &format!("\"a[{index}]\": 1"), &["{}"]);
        assert_eq!((reason, problem.as_str()), ("FOLD_FAILED", beyond));
    }
    assert!(failure("{a: 1}", "a.b: 1", &["{}"]).1.contains("leads through a int"));
    assert!(failure("{a: null}", "a.b: 1", &["{}"]).1.contains("leads through a null_type"));
    assert!(failure("{a: []}", "a.b: 1", &["{}"]).1.contains("key of a list"));
    assert!(failure("{}", "\"a[[1]]\": 1", &["{}"]).1.contains("neither a key nor an index"));
}

#[test]
fn removal() {
    let none = "optional.none()";
    assert_eq!(ok("{a: 1, b: 2, c: 3}", &format!("b: {none}"), &["{}"]), r#"{"a":1,"c":3}"#);
    assert_eq!(ok("{a: 1}", &format!("b: {none}\nc.d: {none}"), &["{}"]), r#"{"a":1}"#);
    assert_eq!(ok("{a: [1, 2, 3]}", &format!("\"a[1]\": {none}"), &["{}"]), r#"{"a":[1,3]}"#);
    assert_eq!(
        ok("{a: 1}", "a: \"optional.of(event.x)\"", &[r#"{"x":{"y":1}}"#]),
        r#"{"a":{"y":1}}"#
    );
    let handlers = "a: event.?x";
    assert_eq!(ok("{a: 1}", handlers, &["{}"]), "{}");
    assert_eq!(ok("{a: 1}", handlers, &[r#"{"x":2}"#]), r#"{"a":2}"#);
    assert!(failure("{}", &format!(".: {none}"), &["{}"]).1.contains("cannot be removed"));
}

#[test]
fn lists_of_handlers_and_let() {
    let source = "
fold: f
initial: {n: 0, big: 0, log: []}
let:
  amount: event.amount
  twice: amount * 2
handlers:
  E:
    - n: state.n + 1
    - when: twice > 10
      let: {limit: state.n + 1}
      big: state.big + limit
    - {when: twice > 10 && amount < 100, log: 'state.log + [twice]'}
  Other:
    n: '-1'
";
    // `Other` names no `let`, so that its events need no amount.
    let events = [("E", r#"{"amount":1}"#), ("E", r#"{"amount":6}"#), ("Other", "{}")];
    assert_eq!(text(&run(source, &events).unwrap()), r#"{"n":-1,"big":2,"log":[12]}"#);
    let error = run(source, &[("E", "{}")]).unwrap_err();
    assert!(error.facts.contains(&("path", "let.amount".to_owned())), "{:?}", error.facts);
    let source = "fold: f\nhandlers:\n  E:\n    - {when: event.x, a: 1}\n";
    let error = run(source, &[("E", r#"{"x":1}"#)]).unwrap_err();
    assert!(error.facts.contains(&("handler", "E[0]".to_owned())), "{:?}", error.facts);
    assert!(error.facts.contains(&("path", "when".to_owned())));
    // Deleting wins over assigning.
    let source = "fold: f\nhandlers:\n  E:\n    - {when: event.x, delete: true}\n    - {a: 1}\n";
    assert!(!run(source, &[("E", r#"{"x":true}"#)]).unwrap().exists);
}

#[test]
fn meta_has_its_fields() {
    let source = "fold: f\nhandlers:\n  E:\n    .: meta\n";
    let mut event = Event::new(1, "E", "{}");
    event.metadata = Some(br#"{"causation_id":"c"}"#.to_vec());
    event.tags = vec!["a".to_owned(), "b".to_owned()];
    event.occurred_us = Some(0);
    event.copied_from = Some([0x11; 16]);
    let result = run_events(source, &[event.clone()]).unwrap();
    assert_eq!(
        text(&result),
        concat!(
            r#"{"id":"00000000-0000-0000-0000-000000000001","stream":"account-7-a","#,
            r#""category":"account","stream_id":"7-a","root":"account-1","type":"E","#,
            r#""writer":"anonymous","version":1,"position":101,"#,
            r#""recorded_at":"2023-11-14T22:13:20.000001Z","occurred_at":"1970-01-01T00:00:00Z","#,
            r#""tags":["a","b"],"metadata":{"causation_id":"c"},"mapped":false,"#,
            r#""copied_from":"11111111-1111-1111-1111-111111111111"}"#
        )
    );
    let fields = "fold: f\nhandlers:\n  E: {a: meta.metadata.causation_id, b: 'size(meta.tags)', \
                  c: meta.copied_from, d: 'meta.version / 2'}\n";
    event.copied_from = None;
    let result = run_events(fields, &[event]).unwrap();
    assert_eq!(text(&result), r#"{"a":"c","b":2,"c":null,"d":0}"#);
}

#[test]
fn whole_variables_and_escaped_keys() {
    assert_eq!(ok("{}", "last: event", &[r#"{"a": [1, 2.50]}"#]), r#"{"last":{"a":[1,2.50]}}"#);
    let mut event = Event::new(1, "E", r#"{"\u0061":1}"#);
    event.flags = 3;
    let source = "fold: f\nhandlers:\n  E: {x: event.a}\n";
    assert_eq!(text(&run_events(source, &[event.clone()]).unwrap()), r#"{"x":1}"#);
    // Rows that nobody validated are checked first.
    event.flags = 0;
    assert_eq!(text(&run_events(source, &[event.clone()]).unwrap()), r#"{"x":1}"#);
    event.data = Some(br#"{"a":1,"a":2}"#.to_vec());
    let error = run_events(source, &[event]).unwrap_err();
    assert_eq!(error.reason, "EVENT_CORRUPT");
    assert!(error.facts.contains(&("problem", "duplicate_key".to_owned())));
}

const COUNTED: &str = "fold: f\ninitial: {n: 0}\nskip_cancelled: SKIP\n\
                       handlers: {E: {n: state.n + 1}, ECancelled: {n: state.n + 10}}";

/// Five events, the fourth of which cancels the second.
fn with_a_cancellation() -> Vec<Event> {
    let mut events: Vec<_> = (1..=5).map(|version| Event::new(version, "E", "{}")).collect();
    events[3] = Event::new(4, "ECancelled", "{}");
    events[3].cancels = Some(events[1].id);
    events
}

fn counting(skip: bool) -> FoldRun {
    FoldRun::new(parse(&COUNTED.replace("SKIP", &skip.to_string())), "a-1", "a-1")
}

#[test]
fn cancelled_events_and_cancellations_are_skipped_on_demand() {
    let events = with_a_cancellation();
    for (skip, expected, folded) in [(true, r#"{"n":3}"#, 3), (false, r#"{"n":14}"#, 5)] {
        let rows = Rows::decode(columns(&events)).unwrap();
        let mut run = counting(skip).with_cancelled_events([events[1].id], i64::MAX);
        run.feed(&rows).unwrap();
        let result = run.finish().unwrap();
        assert_eq!(text(&result), expected);
        assert_eq!((result.version, result.events_read, result.events_folded), (5, 5, folded));
    }
}

#[test]
fn a_stream_of_nothing_but_what_is_cancelled_does_not_exist() {
    let mut events = with_a_cancellation();
    events.drain(4..);
    events.remove(2);
    events.remove(0);
    let rows = Rows::decode(columns(&events)).unwrap();
    let mut run = counting(true).with_cancelled_events([events[0].id], 4);
    run.feed(&rows).unwrap();
    let result = run.finish().unwrap();
    assert_eq!((result.exists, text(&result)), (false, r#"{"n":0}"#));
    assert_eq!((result.version, result.events_read), (4, 2));
}

#[test]
fn a_run_stops_before_a_cancellation_that_it_does_not_know() {
    let events = with_a_cancellation();
    let rows = Rows::decode(columns(&events)).unwrap();
    let mut run = counting(true).with_cancelled_events([], 3);
    assert_eq!(run.feed_within(&rows, 0..5, u64::MAX).unwrap(), 3);
    assert_eq!(run.feed_within(&rows, 3..5, u64::MAX).unwrap(), 3);
    assert_eq!(text(&run.finish().unwrap()), r#"{"n":3}"#);
    let (message, next) = counting(true).with_cancelled_events([], 3).history(&rows, 0, 1).unwrap();
    assert!(!message.is_empty());
    assert_eq!(next, 3);
    // Folds that take it as any other event go on.
    let mut run = counting(false).with_cancelled_events([], 3);
    assert_eq!(run.feed_within(&rows, 0..5, u64::MAX).unwrap(), 5);
}

#[test]
fn a_run_goes_on_from_a_state() {
    let events = |from: i64| -> Vec<_> {
        (from..from + 3)
            .map(|version| Event::new(version, "MoneyDeposited", r#"{"amount":1.5}"#))
            .collect()
    };
    let first = run_events(ACCOUNT, &events(1)).unwrap();
    let start = Start {
        exists: first.exists,
        state: first.state,
        version: first.version,
        position: first.position,
        whose: Default::default(),
    };
    let mut run = FoldRun::new(parse(ACCOUNT), "account-7-a", "account-1").resume(&start).unwrap();
    run.feed(&Rows::decode(columns(&events(4))).unwrap()).unwrap();
    let on = run.finish().unwrap();
    assert_eq!(on.state, run_events(ACCOUNT, &[events(1), events(4)].concat()).unwrap().state);
    assert_eq!((on.version, on.events_read), (6, 3));
    // The same event again is a fault of the caller.
    let rows = Rows::decode(columns(&events(4))).unwrap();
    assert_eq!(run.feed(&rows).unwrap_err().reason, "BUG");
}

#[test]
fn errors_name_everything_but_values() {
    let mut event = Event::new(1, "MoneyDeposited", r#"{"amount":"s3cret"}"#);
    event.version = 9;
    // The stream goes on from another one: it begins with its first event.
    let error = run_events(ACCOUNT, &[Event::new(1, "Noted", "{}"), event]).unwrap_err();
    assert_eq!(error.reason, "FOLD_FAILED");
    let names: Vec<_> = error.facts.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["fold", "handler", "path", "stream", "version", "event_id", "problem"]);
    assert!(error.facts.contains(&("path", "balance".to_owned())));
    assert!(error.facts.contains(&("version", "9".to_owned())));
    assert!(!format!("{error} {:?}", error.facts).contains("s3cret"));
}

#[test]
fn limits_of_evaluation_and_state() {
    let list = format!("{{\"l\":[{}]}}", vec!["1"; 300].join(","));
    let nested = "a: event.l.map(x, event.l.map(y, event.l.map(z, x + y + z)))";
    let (reason, _) = failure("{}", nested, &[&list]);
    assert_eq!(reason, "EVALUATION_LIMIT");
    // Depth: 64 levels are allowed, one more is not.
    let grow = "a: \"[state.a]\"";
    let events = vec!["{}"; 64];
    assert!(state("{a: 1}", grow, &events[..63]).is_ok());
    let limit_of = |handler: &str, events: &[&str]| {
        let error = state("{a: 1}", handler, events).unwrap_err();
        assert_eq!(error.reason, "EVALUATION_LIMIT");
        error.facts.iter().find(|(name, _)| *name == "limit").map(|(_, limit)| limit.clone())
    };
    assert_eq!(limit_of(grow, &events).as_deref(), Some("64"));
    // A value that is too deep by itself, and one that no evaluation may build.
    let wrapped =
        |levels: usize| format!("a: \"{}event.x{}\"", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(limit_of(&wrapped(65), &[r#"{"x":1}"#]).as_deref(), Some("64"));
    let deep = format!(r#"{{"x":{}1{}}}"#, "[".repeat(60), "]".repeat(60));
    assert_eq!(limit_of(&wrapped(30), &[&deep]).as_deref(), Some("80"));
    let steps = "a: event.l.map(x, event.l.map(y, event.l.map(z, x + y + z)))";
    assert_eq!(limit_of(steps, &[&list]).as_deref(), Some("1000000"));
    // Size: doubling ends with the typed error.
    let double = "a: state.a + state.a";
    let events = vec!["{}"; 30];
    let (reason, _) = failure("{a: 'xxxxxxxx'}", double, &events);
    assert!(["STATE_TOO_LARGE", "EVALUATION_LIMIT"].contains(&reason), "{reason}");
    let data = format!(r#"{{"x":"{}"}}"#, "x".repeat(1 << 20));
    let add = "l: \"state.l + [event.x]\"";
    let error = state("{l: []}", add, &[&data, &data, &data]).unwrap_err();
    assert_eq!(error.reason, "STATE_TOO_LARGE");
    assert!(error.facts.contains(&("version", "3".to_owned())));
    // One byte decides.
    let rest = (3 << 20) - r#"{"l":["",""]}"#.len() - (1 << 20);
    for (length, fits) in [(rest, true), (rest + 1, false)] {
        let second = format!(r#"{{"x":"{}"}}"#, "y".repeat(length));
        assert_eq!(state("{l: []}", add, &[&data, &second]).is_ok(), fits);
    }
}
