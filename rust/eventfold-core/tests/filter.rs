//! Goal: a filter lets pass exactly what it demands, and an event that it cannot judge stops it.
//! Method: pages of drawn events against the demands written out; conditions on single events.

mod common;

use common::{Event, columns};
use eventfold_core::filter::{Demands, Filter};
use eventfold_core::rows::{Compact, Page, Rows};
use eventfold_core::wire::EventPage;
use proptest::prelude::*;

const STEPS: u64 = 1_000_000_000;

fn event(position: i64, stream: &str, event_type: &str, data: &str) -> Event {
    let mut event = Event::new(position, event_type, data);
    event.stream = Some(stream.to_owned());
    event.position = position;
    event
}

fn page(events: &[Event]) -> Rows<Vec<u8>> {
    Rows::decode(columns(events)).unwrap()
}

fn positions(encoded: &[u8]) -> Vec<i64> {
    let page = EventPage::decode(encoded).unwrap();
    (0..page.len()).map(|index| page.event(index).unwrap().position()).collect()
}

fn passing(filter: &Filter, events: &[Event]) -> Vec<i64> {
    let selected = filter.select(&page(events), 0, None, STEPS).unwrap();
    assert_eq!(selected.failure, None);
    assert_eq!(selected.next, events.len());
    let found = positions(&selected.encoded);
    assert_eq!(found, selected.positions);
    found
}

fn condition(source: &str) -> Filter {
    Filter::new(Demands { with_system: true, ..Demands::default() }, Some(source)).unwrap()
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

#[test]
fn demands_are_all_met() {
    let mut tagged = event(4, "b-1", "B", "{}");
    tagged.tags = texts(&["x", "y"]);
    let events = [
        event(1, "a-1", "A", "{}"),
        event(2, "a-1-b", "B", "{}"),
        event(3, "$audit", "$Read", "{}"),
        tagged,
        event(5, "ab-1", "A", "{}"),
    ];
    let of = |demands| passing(&Filter::new(demands, None).unwrap(), &events);
    let all = Demands::default;
    assert_eq!(of(all()), [1, 2, 4, 5]);
    assert_eq!(of(Demands { with_system: true, ..all() }), [1, 2, 3, 4, 5]);
    assert_eq!(of(Demands { stream: Some("a-1".to_owned()), ..all() }), [1]);
    assert_eq!(of(Demands { stream: Some("$audit".to_owned()), ..all() }), [3]);
    assert_eq!(of(Demands { categories: texts(&["a"]), ..all() }), [1, 2]);
    assert_eq!(of(Demands { categories: texts(&["a", "ab"]), ..all() }), [1, 2, 5]);
    assert_eq!(of(Demands { categories: texts(&["$audit"]), ..all() }), Vec::<i64>::new());
    assert_eq!(of(Demands { types: texts(&["B"]), ..all() }), [2, 4]);
    assert_eq!(of(Demands { tags: texts(&["y"]), ..all() }), [4]);
    assert_eq!(of(Demands { tags: texts(&["x", "z"]), ..all() }), Vec::<i64>::new());
    let mut copy = event(6, "a-2", "A", "{}");
    copy.copied_from = Some([7; 16]);
    let copied = page(&[copy]);
    assert!(copied.has_copies() && !page(&events).has_copies());
    for with_copies in [true, false] {
        let filter = Filter::new(Demands { with_copies, ..all() }, None).unwrap();
        let selected = filter.select(&copied, 0, None, STEPS).unwrap();
        assert_eq!(selected.positions.is_empty(), !with_copies);
        assert_eq!((selected.next, selected.position), (1, 6));
        assert_eq!(passing(&filter, &events), [1, 2, 4, 5]);
    }
    let both = Demands { types: texts(&["B"]), categories: texts(&["a"]), ..all() };
    assert_eq!(of(both), [2]);
}

#[test]
fn conditions_see_the_event_and_its_envelope() {
    let mut full = event(7, "account-1-x", "Moved", r#"{"n":2,"deep":{"a":[1,2]}}"#);
    full.tags = texts(&["a", "b"]);
    full.metadata = Some(br#"{"correlation_id":"c"}"#.to_vec());
    full.writer = "bank".to_owned();
    for source in [
        "event.n == 2",
        "event.deep.a.size() == 2 && event == {'n': 2, 'deep': {'a': [1, 2]}}",
        "has(event.n) && !has(event.m)",
        "meta.stream == 'account-1-x' && meta.category == 'account' && meta.stream_id == '1-x'",
        "meta.type == 'Moved' && meta.writer == 'bank' && meta.version == 7",
        "meta.position == 7 && 'b' in meta.tags",
        "meta.metadata.correlation_id == 'c'",
        "meta.recorded_at > timestamp('2020-01-01T00:00:00Z')",
        "meta.id.startsWith('00000000') && meta.copied_from == null && !meta.mapped",
    ] {
        assert_eq!(passing(&condition(source), &[full.clone()]), [7], "{source}");
        let not = format!("!({source})");
        assert!(passing(&condition(&not), &[full.clone()]).is_empty(), "{not}");
    }
}

#[test]
fn what_is_no_condition_is_refused() {
    let refused = |source: &str| Filter::new(Demands::default(), Some(source)).unwrap_err();
    for (source, hint) in [
        ("event.n ==", ""),
        ("state.n == 1", "state"),
        ("1 + 1", "true or false"),
        ("meta.root == 'a-1'", "meta.root"),
        ("size(meta) > 1", "meta"),
        ("event.a / event.b > 1", ""),
        ("", "empty"),
    ] {
        let error = refused(source);
        assert_eq!(error.reason, "INVALID_EXPRESSION", "{source}");
        assert!(error.message.contains(hint), "{error}");
        let names: Vec<_> = error.facts.iter().map(|(name, _)| *name).collect();
        assert_eq!(&names[..3], ["line", "column", "problem"], "{source}");
    }
    let placed = refused("event.n == 1 &&\n  nothing > 1");
    assert_eq!(&placed.facts[..2], [("line", "2".to_owned()), ("column", "3".to_owned())]);
    let long = format!("event.n == {}", "1".repeat(5_000));
    assert_eq!(refused(&long).reason, "EXPRESSION_TOO_LONG");
    let deep = format!("{}true{}", "(".repeat(200), ")".repeat(200));
    assert_eq!(refused(&deep).reason, "EXPRESSION_TOO_DEEP");
}

#[test]
fn an_event_that_cannot_be_judged_stops_it() {
    let events = [
        event(11, "a-1", "A", r#"{"n":1}"#),
        event(12, "a-1", "B", r#"{"secret":"x"}"#),
        event(13, "a-1", "A", r#"{"n":1}"#),
    ];
    for source in ["event.n == 1", "event.n + 1", "event.n > 'a'"] {
        let filter = condition(source);
        let selected = filter.select(&page(&events[1..]), 0, None, STEPS).unwrap();
        let failure = selected.failure.unwrap();
        assert_eq!(
            (failure.reason, selected.next, selected.positions.len()),
            ("FILTER_FAILED", 0, 0)
        );
        assert_eq!(failure.facts[0], ("position", "12".to_owned()));
        assert!(!failure.to_string().contains("secret"), "{failure}");
    }
    let selected = condition("event.n == 1").select(&page(&events), 0, None, STEPS).unwrap();
    assert_eq!((positions(&selected.encoded), selected.position), (vec![11], 11));
    // What other demands leave out is not asked about.
    let demands = Demands { types: texts(&["A"]), ..Demands::default() };
    let filter = Filter::new(demands, Some("event.n == 1")).unwrap();
    assert_eq!(passing(&filter, &events), [11, 13]);
    // Bytes that nobody has validated, and are no JSON.
    let mut garbled = event(14, "a-1", "A", "{");
    garbled.flags = 0;
    let selected = condition("event.n == 1").select(&page(&[garbled]), 0, None, STEPS).unwrap();
    assert_eq!(selected.failure.unwrap().reason, "EVENT_CORRUPT");
}

#[test]
fn deleted_events_pass_what_cannot_be_told_without_their_payload() {
    let mut deleted = event(5, "a-1", "A", "");
    deleted.data = None;
    deleted.deleted = true;
    for source in ["event.n == 1", "meta.metadata == {}", "meta.type == 'A'"] {
        assert_eq!(passing(&condition(source), &[deleted.clone()]), [5], "{source}");
    }
    assert!(passing(&condition("meta.type == 'B'"), &[deleted]).is_empty());
}

#[test]
fn work_is_cut_into_slices() {
    let events: Vec<_> = (1..=50).map(|n| event(n, "a-1", "A", r#"{"n":1}"#)).collect();
    let filter = condition("[1, 2, 3, 4, 5].all(x, x > event.n - 1)");
    let (rows, mut next, mut encoded, mut slices) = (page(&events), 0, Vec::new(), 0);
    while next < events.len() {
        let selected = filter.select(&rows, next, None, 100).unwrap();
        assert!(selected.next > next);
        next = selected.next;
        encoded.extend(selected.encoded);
        slices += 1;
    }
    assert!(slices > 5, "{slices}");
    assert_eq!(positions(&encoded), (1..=50).collect::<Vec<_>>());
}

#[test]
fn pages_without_names_are_given_one() {
    let mut nameless = event(3, "", "A", r#"{"n":1}"#);
    nameless.stream = None;
    let demands = Demands { stream: Some("a-1".to_owned()), ..Demands::default() };
    let filter = Filter::new(demands, Some("meta.stream == 'a-1'")).unwrap();
    let rows = page(&[nameless]);
    assert_eq!(filter.select(&rows, 0, Some("a-1"), STEPS).unwrap().positions.len(), 1);
    assert_eq!(filter.select(&rows, 0, Some("a-2"), STEPS).unwrap().positions.len(), 0);
}

proptest! {
    #[test]
    fn copies_of_pages_are_the_pages(
        events in proptest::collection::vec(
            (1i64..1_000, "[a-c]{1,3}-[0-9]", "[A-C]{1,4}", proptest::option::of("[a-z]{0,9}")),
            0..20,
        )
    ) {
        let events: Vec<_> = events
            .into_iter()
            .map(|(position, stream, kind, tag)| {
                let mut one = event(position, &stream, &kind, r#"{"n":1}"#);
                one.tags.extend(tag);
                one
            })
            .collect();
        let rows = page(&events);
        let copy = Compact::of(&rows).unwrap();
        prop_assert_eq!(rows.len(), copy.len());
        for (row, copied) in rows.iter().zip(copy.iter()) {
            prop_assert_eq!(format!("{:?}", row.unwrap()), format!("{:?}", copied.unwrap()));
        }
        prop_assert!(copy.cell(0, copy.len()).is_none() && copy.cell(16, 0).is_none());
    }
}
