//! Privacy documents, and sealing and showing what they declare.

use std::sync::Arc;

use eventfold_core::json::check::check_object;
use eventfold_core::json::pointer::Pattern;
use eventfold_core::limits::PERSONAL_FIELDS_MAX;
use eventfold_core::privacy::{
    DataKey, ERASED, Field, KEY_BYTES, Keys, Look, NONCE_BYTES, Personal, PersonalValue,
    PrivacyRules, SealedPointers, ShowError, Sight, SubjectId, WITHHELD, seal_data, show_data,
};

use super::choices::Choices;

const STORE: [u8; 16] = [1; 16];
const EVENT: [u8; 16] = [2; 16];
const OTHER_EVENT: [u8; 16] = [3; 16];
const SUBJECT: SubjectId = [4; 16];
const POINTERS: [&str; 8] = ["/a", "/b", "/a/*", "/*/c", "/b/0", "/a~1b", "/*", "/*/*/d"];
const EVENTS: [&str; 4] = [
    r#"{"a":"x","b":{"c":[2.50], "d":{}},"userId":7}"#,
    r#"{ "list" : [{"email":"\u0061","id":"8"},{"email":null}] }"#,
    r#"{"a~1b":1,"a/b":-1.50,"":[],"userId":"User-1"}"#,
    "{ }",
];

/// A document says what is personal or where it is wrong; its normal form is a document that says
/// the same, and what it finds in events can be sealed.
pub fn privacy_document(data: &[u8]) {
    let Ok(source) = std::str::from_utf8(data) else { return };
    let rules = match PrivacyRules::parse(source) {
        Ok(rules) => rules,
        Err(error) => {
            let known = ["INVALID_PRIVACY_RULES", "PRIVACY_RULES_TOO_LARGE"];
            assert!(known.contains(&error.reason), "{error}");
            return;
        }
    };
    let fields = rules.personal().fields();
    assert!((1..=PERSONAL_FIELDS_MAX).contains(&fields.len()));
    let meet = |at: usize| fields[..at].iter().any(|one| one.pointer.meets(&fields[at].pointer));
    assert!(!(0..fields.len()).any(meet), "no value may be two fields");
    let again = PrivacyRules::parse(rules.normal_form()).expect("a normal form is a document");
    assert_eq!(again.declared(), rules.declared());
    assert_eq!(again.personal(), rules.personal());
    assert_eq!((again.normal_form(), again.digest()), (rules.normal_form(), rules.digest()));
    for event in EVENTS {
        found_and_sealed(rules.personal(), event.as_bytes());
    }
}

fn found_and_sealed(personal: &Personal, data: &[u8]) {
    match personal.find(data) {
        Ok(found) => seal_and_show(data, found.into_iter().map(field).collect()),
        Err(error) => assert_eq!(error.reason, "SUBJECT_INVALID", "{error}"),
    }
}

/// Sealing and showing give the same bytes again. Whatever is said to be sealed, showing ends
/// without a panic, and opens only what was sealed for this event.
pub fn sealed_data(data: &[u8]) {
    let mut choices = Choices::new(data);
    let patterns: Vec<_> = (0..=choices.below(3)).map(|_| choices.of(&POINTERS)).collect();
    let data = choices.take(usize::MAX);
    let _ = show(data, &patterns, &EVENT, Sight::Open, &Knows(Look::Key(key())));
    let _ = show(data, &patterns, &EVENT, Sight::Withhold, &Knows(Look::Missing));
    let patterns: Vec<_> =
        patterns.iter().map(|one| Pattern::parse(one).expect("it is a pattern")).collect();
    // What rules declare never meets; the first of two that do counts.
    let alone = |at: &usize| !patterns[..*at].iter().any(|one| one.meets(&patterns[*at]));
    let patterns: Vec<_> =
        (0..patterns.len()).filter(alone).map(|at| patterns[at].clone()).collect();
    if check_object(data).is_err() {
        return;
    }
    let found = Pattern::find(&patterns, data).expect("the data are JSON");
    let fields =
        found.into_iter().map(|one| Field { pointer: one.pointer, value: one.value, key: key() });
    seal_and_show(data, fields.collect());
}

fn field(value: PersonalValue) -> Field {
    Field { pointer: value.pointer, value: value.value, key: key() }
}

fn seal_and_show(data: &[u8], fields: Vec<Field>) {
    let mut number = 0_u64;
    let mut nonces = || {
        number += 1;
        let mut nonce = [0; NONCE_BYTES];
        nonce[..8].copy_from_slice(&number.to_be_bytes());
        nonce
    };
    let sealed = seal_data(data, &STORE, &EVENT, &fields, &mut nonces).expect("they are in order");
    check_object(&sealed).expect("sealed data are JSON");
    let pointers: Vec<&str> = fields.iter().map(|field| &*field.pointer).collect();
    let known = Knows(Look::Key(key()));
    let shown = |sight, keys: &Knows| show(&sealed, &pointers, &EVENT, sight, keys);
    let (opened, absent) = shown(Sight::Open, &known).expect("it was sealed here");
    assert!(opened == data && !absent);
    // Nothing depends on the values once they are withheld or erased.
    for (sight, look, word) in
        [(Sight::Withhold, Look::Key(key()), WITHHELD), (Sight::Open, Look::Erased, ERASED)]
    {
        let (text, absent) = shown(sight, &Knows(look)).expect("no key is needed");
        assert_eq!((text, absent), (with(data, &fields, word), !fields.is_empty()));
    }
    if !fields.is_empty() {
        let elsewhere = show(&sealed, &pointers, &OTHER_EVENT, Sight::Open, &known);
        assert!(matches!(elsewhere, Err(ShowError::Corrupt(_))));
        let missing = shown(Sight::Open, &Knows(Look::Missing));
        let Err(ShowError::Missing(wanted)) = missing else { panic!("its key is not there") };
        assert_eq!(wanted, vec![(SUBJECT, 1); fields.len()]);
    }
}

/// The data with a word in place of the fields.
fn with(data: &[u8], fields: &[Field], word: &str) -> Vec<u8> {
    let (mut out, mut done) = (Vec::new(), 0);
    for field in fields {
        out.extend_from_slice(&data[done..field.value.start]);
        out.extend_from_slice(word.as_bytes());
        done = field.value.end;
    }
    out.extend_from_slice(&data[done..]);
    out
}

fn show(
    data: &[u8],
    pointers: &[&str],
    event_id: &[u8; 16],
    sight: Sight,
    keys: &Knows,
) -> Result<(Vec<u8>, bool), ShowError> {
    let mut out = Vec::new();
    let absent = show_data(
        data,
        &SealedPointers::of(pointers.iter().copied()),
        (&STORE, event_id),
        sight,
        keys,
        &|_| None,
        &mut out,
        &mut Vec::new(),
    )?;
    Ok((out, absent))
}

fn key() -> Arc<DataKey> {
    Arc::new(DataKey::new(SUBJECT, 1, &[5; KEY_BYTES]).expect("it is as long as a key"))
}

/// Knows the same of every key.
struct Knows(Look);

impl Keys for Knows {
    fn look(&self, _: &SubjectId, _: u32) -> Look {
        self.0.clone()
    }
}
