//! Schemas: their documents, what they say of values, and how they are compared.

use std::time::{Duration, Instant};

use eventfold_core::limits::VIOLATION_POINTER_BYTES_MAX;
use eventfold_core::schema::compare::Change;
use eventfold_core::schema::{Schema, Violations};

/// Longest time for a handful of calls on a busy machine, also in a slow build: what takes longer
/// has no bound.
const SECONDS_MAX: u64 = 20;
/// Most violations that are listed.
const FIRST_MAX: usize = 100;
/// A document that others may refer to.
const SHARED: (&str, &str) = (
    "urn:shared",
    r##"{"$id": "urn:shared", "type": ["integer", "object"], "$defs": {"a": {"maxLength": 2}},
        "properties": {"a": {"$ref": "#/$defs/a"}, "b": {"$ref": "#"}}}"##,
);
const VALUES: [&str; 10] = [
    "{}",
    r#"{"a":1,"b":{"a":[2.50,"x"],"b":{}},"c":"x"}"#,
    r#"{"a":null,"\u0061b":true,"x/y":"~","":[[[]]]}"#,
    r#"{"a":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!","b":-1e400}"#,
    "[1,1.0,[2],{}]",
    r#""2000-01-01T00:00:00Z""#,
    "4.35",
    "-0",
    "true",
    "null",
];

/// A document compiles or says what is wrong with it, and where; what compiled says the same of the
/// same value, in words that are bounded.
pub fn schema_document(data: &[u8]) {
    let Ok(source) = std::str::from_utf8(data) else { return };
    in_time(|| {
        for formats in [false, true] {
            let Some(schema) = compiled(source, formats) else { continue };
            let digest = schema.digest().expect("it compiled");
            let again = compiled(source, formats).expect("it compiled before");
            assert!(digest.len() == 64 && again.digest().as_deref() == Ok(digest));
            schema.undeclared(&["a", "b", ""]).expect("its references can be followed");
            for value in VALUES {
                assert_eq!(judged(&schema, value.as_bytes()), judged(&again, value.as_bytes()));
            }
            let differences = schema.compare(&again, false).expect("it compiled");
            // What is too deep to be looked into is undecided.
            let refused = differences.iter().find(|one| one.change == Change::Narrower);
            assert!(refused.is_none(), "{refused:?}");
        }
    });
}

/// Two documents and a value, each on a line: a value that fits the first and not the second is
/// never said to be impossible.
pub fn schema_change(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.splitn(3, '\n');
    let [Some(old), Some(new)] = [lines.next(), lines.next()] else { return };
    in_time(|| {
        let (Some(old), Some(new)) = (compiled(old, false), compiled(new, false)) else { return };
        let changes = |events| {
            let differences = new.compare(&old, events).expect("both compiled");
            assert!(differences.windows(2).all(|pair| pair[0].change <= pair[1].change));
            differences.first().map(|first| first.change)
        };
        let (of_any, of_events) = (changes(false), changes(true));
        let may_refuse =
            |change: Option<Change>| change.is_some_and(|one| one <= Change::Undecided);
        for value in VALUES.into_iter().chain(lines.next()) {
            let value = value.as_bytes();
            let [Some(fitted), Some(fits)] = [&old, &new].map(|schema| judged(schema, value))
            else {
                continue;
            };
            // What takes too many steps is refused, whatever the schema says.
            let limited = fits.first.iter().any(|one| one.rule == "limit");
            if fitted.count > 0 || fits.count == 0 || limited {
                continue;
            }
            let is_event = value.trim_ascii_start().starts_with(b"{");
            let told = may_refuse(of_any) && (!is_event || may_refuse(of_events));
            assert!(told, "{of_any:?} {of_events:?}, but {:?}", fits.first);
        }
    });
}

fn compiled(source: &str, formats: bool) -> Option<Schema> {
    let shared = [(SHARED.0.to_owned(), SHARED.1.to_owned())];
    let error = match Schema::compile(source, &shared, formats) {
        Ok(schema) => return Some(schema),
        Err(error) => error,
    };
    let fact = |name| error.facts.iter().find(|(known, _)| *known == name).map(|(_, fact)| fact);
    match error.reason {
        "INVALID_SCHEMA" => {
            let problem = fact("problem").expect("it names the problem");
            assert!(fact("path").is_some(), "{error}");
            assert!(problem != "unknown_reference" || fact("reference").is_some(), "{error}");
        }
        reason => assert_eq!(reason, "SCHEMA_TOO_LARGE", "{error}"),
    }
    None
}

/// What a schema says of a value; `None` if that is no strict JSON.
fn judged(schema: &Schema, value: &[u8]) -> Option<Violations> {
    let found = match schema.violations_of_any(value, FIRST_MAX) {
        Ok(found) => found,
        Err(error) => {
            assert!(matches!(error.reason, "INVALID_JSON" | "JSON_TOO_DEEP"), "{error}");
            return None;
        }
    };
    assert_eq!(found.first.len(), found.count.min(FIRST_MAX));
    for one in &found.first {
        assert!(one.pointer.len() <= VIOLATION_POINTER_BYTES_MAX);
        assert!(one.pointer.is_empty() || one.pointer.starts_with('/'));
        assert!(!one.rule.is_empty() && !one.message.is_empty(), "{one:?}");
    }
    Some(found)
}

fn in_time(work: impl FnOnce()) {
    let began = Instant::now();
    work();
    assert!(began.elapsed() < Duration::from_secs(SECONDS_MAX), "it took {:?}", began.elapsed());
}
