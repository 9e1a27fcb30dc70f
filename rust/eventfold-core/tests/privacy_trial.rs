//! Goal: rules are put only where it is known what they do not seal.
//!
//! Method: pages of stored events, sealed and not, against rules and those before.

mod common;

use common::{Event, columns};
use eventfold_core::privacy::{PrivacyRules, Trial};
use eventfold_core::rows::Rows;

const RULES: &str = "privacy: T\npersonal: {/email: , /people/*/name: {subject: {pointer: \
                     '/people/*/id', category: User}}}\n";

fn attempt(before: Option<&str>, events: &[Event], first_max: usize) -> Trial {
    let rules = PrivacyRules::parse(RULES).unwrap();
    let before = before.map(|source| PrivacyRules::parse(source).unwrap());
    let rows = Rows::decode(columns(events)).unwrap();
    let before = before.as_ref().map(PrivacyRules::personal);
    rules.try_page(&rows, before, first_max).unwrap()
}

fn stored(version: i64, data: &str) -> Event {
    Event { stream: Some("User-1".to_owned()), ..Event::new(version, "T", data) }
}

#[test]
fn plaintext_is_counted_and_the_first_told() {
    let events = [
        stored(1, r#"{"email":"a"}"#),
        stored(2, r#"{"email":null,"people":[]}"#),
        Event {
            sealed_paths: vec!["/email".to_owned()],
            ..stored(3, r#"{"email":"$sealed:1:x"}"#)
        },
        stored(4, r#"{"email":"$sealed:1:x"}"#),
        stored(5, r#"{"people":[{"id":1},{"id":2,"name":"n"}]}"#),
        Event { data: None, deleted: true, ..stored(6, "{}") },
    ];
    let trial = attempt(None, &events, 2);
    assert_eq!((trial.events, trial.plaintext, trial.undeclared), (5, 3, 3));
    let first: Vec<_> = trial.first.iter().map(|one| (one.version, &*one.stream)).collect();
    assert_eq!(first, [(1, "User-1"), (4, "User-1")]);
    assert_eq!(trial.first[1].position, events[3].position);
    // What was declared before is known.
    let trial = attempt(Some("privacy: T\npersonal: {/email: }"), &events, 10);
    assert_eq!((trial.plaintext, trial.undeclared, trial.first.len()), (3, 1, 1));
    assert_eq!(trial.first[0].version, 5);
}

#[test]
fn what_rules_do_not_protect_is_counted() {
    let events = [
        Event { tags: vec!["t".to_owned()], ..stored(1, "{}") },
        Event { metadata: Some(br#"{"refs":[],"ip":"x"}"#.to_vec()), ..stored(2, "{}") },
        Event { metadata: Some(br#"{"correlation_id":"x"}"#.to_vec()), ..stored(3, "{}") },
        Event { stream: Some("User-a@b.example".to_owned()), ..stored(4, r#"{"email":"a"}"#) },
        stored(5, r#"{"people":[{"id":"a b","name":"n"}]}"#),
        stored(6, r#"{"people":[{"name":"n"}]}"#),
    ];
    let trial = attempt(None, &events, 0);
    assert_eq!((trial.tagged, trial.with_metadata), (1, 1));
    assert_eq!((trial.personal_names, trial.subjectless), (2, 1));
}
