//! Folds over events of which values are absent: states hold the absence, and nothing fails.

mod common;

use std::sync::Arc;

use common::{Event, columns};
use eventfold_core::envelope::{FLAG_ABSENT, FLAG_VALIDATED_V1};
use eventfold_core::fold::{Fold, FoldResult, FoldRun, Start};
use eventfold_core::rows::Rows;

const USER: &str = r#"
fold: user
initial: {name: null, emails: [], by_email: {}, profile: {plan: free}, count: 0, adult: false}
let: {full: "event.first + ' ' + event.last"}
handlers:
  Registered:
    - when: event.age >= 18
      adult: true
    - name: full
      profile: event.profile
      count: state.count + 1
  EmailAdded:
    emails: state.emails + [event.email]
    "by_email[event.email]": "{'at': meta.version}"
    length: size(event.email)
    shout: event.email.upperAscii()
  PlanChosen:
    profile.plan: event.plan
    "profile['codes'][0]": event.plan
    seen: has(state.profile.plan) && erased(state.profile)
  Moved: {".": event.all}
  Renamed: {name: event.name}
"#;

const LIFE: [(&str, &str); 4] = [
    ("Registered", r#"{"first":erased,"last":"B","age":erased,"profile":erased}"#),
    ("EmailAdded", r#"{"email":erased}"#),
    ("EmailAdded", r#"{"email":"a@b"}"#),
    ("PlanChosen", r#"{"plan":"pro"}"#),
];

fn rows(events: &[(&str, &str)], flags: i32, first: i64) -> Rows<impl AsRef<[u8]>> {
    let event = |(version, (name, data)): (i64, &(&str, &str))| Event {
        flags,
        ..Event::new(version, name, data)
    };
    let events: Vec<_> = (first..).zip(events).map(event).collect();
    Rows::decode(columns(&events)).unwrap()
}

fn run() -> FoldRun {
    FoldRun::new(Arc::new(Fold::parse(USER).unwrap()), "user-1", "user-1")
}

fn fold(events: &[(&str, &str)], flags: i32) -> FoldResult {
    let mut run = run();
    run.feed(&rows(events, flags, 1)).unwrap();
    run.finish().unwrap()
}

const FLAGS: i32 = FLAG_ABSENT | FLAG_VALIDATED_V1;

fn text(result: FoldResult) -> String {
    String::from_utf8(result.state).unwrap()
}

/// A condition does not hold, a path with an absent key is passed over, and what is absent as a
/// whole stays so when something is put into it.
#[test]
fn states_hold_what_is_absent() {
    let expected = concat!(
        r#"{"name":erased,"emails":[erased,"a@b"],"by_email":{"a@b":{"at":3}},"profile":erased,"#,
        r#""count":1,"adult":false,"length":3,"shout":"A@B","seen":true}"#
    );
    assert_eq!(text(fold(&LIFE, FLAGS)), expected);
}

/// Events that no one has checked are folded as well: only this process sets the flag.
#[test]
fn the_flag_stands_for_a_check() {
    assert_eq!(text(fold(&LIFE, FLAG_ABSENT)), text(fold(&LIFE, FLAGS)));
    let mut run = run();
    let error = run.feed(&rows(&LIFE, 0, 1)).unwrap_err();
    assert_eq!(error.reason, "EVENT_CORRUPT");
}

/// A state text holds the words, and a run goes on from it as if it had folded all.
#[test]
fn runs_go_on_from_texts_with_words() {
    let whole = fold(&LIFE, FLAGS);
    for cut in 1..LIFE.len() {
        let before = fold(&LIFE[..cut], FLAGS);
        let (exists, version, position) = (true, before.version, before.position);
        let start =
            Start { exists, state: before.state, version, position, whose: Default::default() };
        let mut run = run().resume(&start).unwrap();
        run.feed(&rows(&LIFE[cut..], FLAGS, cut as i64 + 1)).unwrap();
        assert_eq!(text(run.finish().unwrap()), text(whole.clone()), "cut {cut}");
    }
}

#[test]
fn a_whole_state_may_be_absent() {
    let events = [("Moved", r#"{"all":withheld}"#), ("Renamed", r#"{"name":"x"}"#)];
    let result = fold(&events, FLAGS);
    assert!(result.exists);
    assert_eq!(text(result), "withheld");
}
