//! What events reach of a fold, and pages of many streams.

mod common;

use std::sync::Arc;

use common::{Event, columns};
use eventfold_core::fold::{Coverage, Fold, FoldRun};
use eventfold_core::rows::{Page, Rows};

const SOURCE: &str = "
fold: f
initial: {n: 0}
let: {fee: event.?fee.orValue(0)}
handlers:
  Deposited:
    - {when: event.amount > 100, large: true}
    - {when: event.amount <= 100, n: state.n + event.amount - fee}
  Sent: {n: state.n - event.amount, to: event.iban, why: event.?reason}
  Fails: {n: event.nothing, m: meta.metadata.x}
  Whole: {all: event}
  Never: {x: event.x}
  Closed: delete
";

fn feed(fold: &Arc<Fold>, coverage: &Arc<Coverage>, events: &[(&str, &str)]) {
    let event = |(version, (name, data)): (i64, &(&str, &str))| Event::new(version, name, data);
    let events: Vec<Event> = (1..).zip(events).map(event).collect();
    let run = FoldRun::new(Arc::clone(fold), "a-1", "a-1");
    let mut run = run.with_coverage(Arc::clone(coverage)).unwrap();
    let _ = run.feed(&Rows::decode(columns(&events)).unwrap());
}

fn unseen(coverage: &Coverage) -> Vec<String> {
    let line = |(event_type, field): (String, String)| format!("{event_type}.{field}");
    coverage.unseen_fields().into_iter().map(line).collect()
}

#[test]
fn handlers_and_fields_are_covered() {
    let fold = Arc::new(Fold::parse(SOURCE).unwrap());
    let coverage = Arc::new(Coverage::new(&fold));
    assert_eq!(
        coverage.unused_handlers(),
        ["Deposited[0]", "Deposited[1]", "Sent", "Fails", "Whole", "Never", "Closed"]
    );
    assert!(unseen(&coverage).is_empty());

    feed(&fold, &coverage, &[("Deposited", r#"{"amount":5}"#), ("Whole", "{}"), ("Other", "{}")]);
    feed(&fold, &coverage, &[("Sent", r#"{"amount":5,"iban":"x"}"#)]);
    // It fails, and yet the handler was reached.
    feed(&fold, &coverage, &[("Fails", r#"{"other":1}"#)]);
    assert_eq!(coverage.unused_handlers(), ["Deposited[0]", "Never", "Closed"]);
    assert_eq!(unseen(&coverage), ["Deposited.fee", "Sent.reason", "Fails.nothing"]);

    feed(&fold, &coverage, &[("Deposited", r#"{"fee":null,"amount":101}"#), ("Closed", "{}")]);
    feed(&fold, &coverage, &[("Sent", r#"{"amount":1,"iban":"y","reason":"z"}"#)]);
    assert_eq!(coverage.unused_handlers(), ["Never"]);
    assert_eq!(unseen(&coverage), ["Fails.nothing"]);
}

#[test]
fn a_coverage_is_of_one_fold() {
    let fold = Arc::new(Fold::parse(SOURCE).unwrap());
    let other = Arc::new(Coverage::new(&Arc::new(Fold::parse(SOURCE).unwrap())));
    assert!(!other.is_of(&fold));
    let error = FoldRun::new(fold, "a-1", "a-1").with_coverage(other).unwrap_err();
    assert_eq!(error.reason, "BUG");
}

#[test]
fn parts_of_pages_are_folded() {
    let events: Vec<Event> = (1..=5).map(|version| Event::new(version, "E", "{}")).collect();
    let rows = Rows::decode(columns(&events)).unwrap();
    let fold = Fold::parse("fold: f\ninitial: {n: 0}\nhandlers: {E: {n: state.n + 1}}").unwrap();
    let mut run = FoldRun::new(Arc::new(fold), "a-1", "a-1");
    for (part, version) in [(0..2, 2), (2..2, 2), (2..99, 5), (7..9, 5)] {
        run.feed_part(&rows, part).unwrap();
        assert_eq!(run.finish().unwrap().version, version);
    }
    assert_eq!(run.finish().unwrap().state, br#"{"n":5}"#);
}

#[test]
fn pages_tell_their_streams() {
    let event = |stream: &str, version| {
        let mut event = Event::new(version, "E", "{}");
        event.stream = Some(stream.to_owned());
        event
    };
    let events = [event("a-1", 1), event("a-1", 2), event("b-1", 1), event("a-1", 3)];
    let rows = Rows::decode(columns(&events)).unwrap();
    assert_eq!(rows.streams().unwrap(), [("a-1", 0..2), ("b-1", 2..3), ("a-1", 3..4)]);
    assert_eq!((rows.version(3).unwrap(), rows.event_id(3).unwrap()), (3, &events[3].id));
    assert_eq!(rows.version(4).unwrap_err().reason, "BUG");
    let nameless = Rows::decode(columns(&[Event::new(1, "E", "{}")])).unwrap();
    assert_eq!(nameless.streams().unwrap_err().reason, "BUG");
    assert_eq!(Rows::decode(columns(&[])).unwrap().streams().unwrap(), []);
}
