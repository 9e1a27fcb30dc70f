//! What stored events say of privacy rules that are to be put in force.

use crate::envelope::uuid_text;
use crate::error::CoreError;
use crate::json::pointer::{Found, Pattern};
use crate::json::walk::Walker;
use crate::names::split_stream_name;
use crate::rows::{Page, Row};

use super::personal::{Personal, SubjectName};
use super::rules::PrivacyRules;

/// Names in metadata whose values are the server's business, and no personal values.
const RESERVED: [&str; 3] = ["causation_id", "correlation_id", "refs"];
/// Digits of numbers that people have: those of telephones, and those that states give.
const DIGITS_OF_PEOPLE: std::ops::RangeInclusive<usize> = 9..=15;

/// What events said of privacy rules.
#[derive(Debug, Default)]
pub struct Trial {
    /// Events that were tried; deleted ones are left out.
    pub events: u64,
    /// Those in which a personal value stands as plaintext.
    pub plaintext: u64,
    /// Those of these that hold one of a field that was not declared before.
    pub undeclared: u64,
    /// The first of the latter, in their order.
    pub first: Vec<PlaintextEvent>,
    /// Events with tags, which are never sealed.
    pub tagged: u64,
    /// Events with metadata beyond the reserved names, which are never sealed either.
    pub with_metadata: u64,
    /// Events with a personal value of a subject whose name looks personal itself.
    pub personal_names: u64,
    /// Events of which it cannot be told whose a personal value is: as a new one it is refused.
    pub subjectless: u64,
}

/// A stored event with a personal value in plaintext.
#[derive(Debug)]
pub struct PlaintextEvent {
    /// Its stream.
    pub stream: String,
    /// Its version.
    pub version: i64,
    /// Its position.
    pub position: i64,
    /// Its id.
    pub event_id: String,
}

impl PrivacyRules {
    /// Tries a page of events of the type or category with names of streams, and notes the first
    /// `first_max` with plaintext of a field that `before`, the rules in force, do not name.
    pub fn try_page(
        &self,
        page: &impl Page,
        before: Option<&Personal>,
        first_max: usize,
    ) -> Result<Trial, CoreError> {
        let known = |pattern: &Pattern| {
            let fields = before.map(Personal::fields).unwrap_or_default();
            fields.iter().any(|field| field.pointer == *pattern)
        };
        let fields = self.personal().fields().iter();
        let fields: Vec<_> = fields.map(|field| field.pointer.clone()).collect();
        let known: Vec<_> = fields.iter().map(known).collect();
        let mut trial = Trial::default();
        for index in 0..page.len() {
            let row = page.row(index)?;
            if row.deleted {
                continue;
            }
            trial.events += 1;
            trial.tagged += u64::from(row.tags.iter().next().is_some());
            trial.with_metadata += u64::from(has_free_metadata(row.metadata));
            let sealed: Vec<&str> = page.sealed_paths(index)?.iter().collect();
            let Some(fresh) = plaintext(row.data, &sealed, &fields, &known) else { continue };
            trial.plaintext += 1;
            self.note_subjects(&row, &mut trial);
            if !fresh {
                continue;
            }
            trial.undeclared += 1;
            if trial.first.len() < first_max {
                trial.first.push(PlaintextEvent {
                    stream: row.stream.unwrap_or_default().to_owned(),
                    version: row.version,
                    position: row.position,
                    event_id: uuid_text(row.event_id),
                });
            }
        }
        Ok(trial)
    }

    fn note_subjects(&self, row: &Row<'_>, trial: &mut Trial) {
        let Ok(values) = self.personal().find(row.data) else {
            trial.subjectless += 1;
            return;
        };
        let looks = values.iter().any(|value| match &value.subject {
            SubjectName::Root => looks_personal(row.stream.unwrap_or_default()),
            SubjectName::Named(name) => looks_personal(name),
            SubjectName::Known(_) => false,
        });
        trial.personal_names += u64::from(looks);
    }
}

/// Whether data hold plaintext of a field that is not known; `None`: they hold none at all. `null`
/// says nothing of anybody. What cannot be read may hold anything.
fn plaintext(data: &[u8], sealed: &[&str], fields: &[Pattern], known: &[bool]) -> Option<bool> {
    let Some(found) = Pattern::find(fields, data) else { return Some(true) };
    let is_plain = |found: &Found| {
        data.get(found.value.clone()) != Some(b"null") && !is_sealed(&found.pointer, sealed)
    };
    let mut plain = found.iter().filter(|found| is_plain(found)).peekable();
    plain.peek()?;
    Some(plain.any(|found| !known[found.pattern]))
}

/// Whether a value is sealed, or lies within one that is. One around a sealed value is not: what
/// else it holds is plaintext.
fn is_sealed(pointer: &str, sealed: &[&str]) -> bool {
    sealed.iter().any(|path| {
        pointer.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

fn has_free_metadata(metadata: &[u8]) -> bool {
    let mut walker = Walker::new(metadata);
    if !walker.enter() {
        return false;
    }
    let mut first = true;
    while let Some(Some(key)) = walker.key(first) {
        if !RESERVED.iter().any(|name| key.is(name)) {
            return true;
        }
        first = false;
        if walker.pass().is_none() {
            return false;
        }
    }
    false
}

/// Whether the id of a stream looks like something that tells who somebody is: an address, a name
/// with blanks, a number that people have.
fn looks_personal(stream: &str) -> bool {
    let Some((_, id)) = split_stream_name(stream) else { return false };
    if id.contains('@') || id.contains(char::is_whitespace) {
        return true;
    }
    let number = id.strip_prefix('+').unwrap_or(id);
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    number.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'/'))
        && DIGITS_OF_PEOPLE.contains(&digits)
}

#[cfg(test)]
mod tests {
    use super::{Pattern, has_free_metadata, looks_personal, plaintext};

    #[test]
    fn plaintext_is_what_no_listed_path_covers() {
        let fields = ["/a", "/b/*"].map(|pointer| Pattern::parse(pointer).unwrap());
        let look = |data: &str, sealed: &[&str], known: [bool; 2]| {
            plaintext(data.as_bytes(), sealed, &fields, &known)
        };
        let none = [false, false];
        assert_eq!(look(r#"{"c": 1, "a": null, "b": []}"#, &[], none), None);
        assert_eq!(look(r#"{"a": "$sealed:1:text"}"#, &[], none), Some(true));
        assert_eq!(look(r#"{"a": "$sealed:1:text"}"#, &["/a"], none), None);
        assert_eq!(look(r#"{"a": "s", "b": ["p"]}"#, &["/a"], none), Some(true));
        assert_eq!(look(r#"{"a": "s", "b": ["p"]}"#, &["/a"], [false, true]), Some(false));
        assert_eq!(look(r#"{"a": {"c": "s"}}"#, &["/a/c"], none), Some(true));
        assert_eq!(look(r#"{"a": 1}"#, &["/ab"], none), Some(true));
        assert_eq!(look("{", &[], none), Some(true));
    }

    #[test]
    fn names_that_tell_who_somebody_is() {
        for id in ["a@b.example", "Ada Lovelace", "+49-30-1234567", "123456789", "078/05.1120"] {
            assert!(looks_personal(&format!("User-{id}")), "{id}");
        }
        for id in ["456", "0190a0d8-2b3c-7f00-8000-000000000001", "12345678", "ada", "1-2-3"] {
            assert!(!looks_personal(&format!("User-{id}")), "{id}");
        }
        let uuid_of_digits = "User-11111111-1111-1111-1111-111111111111";
        assert!(!looks_personal(uuid_of_digits));
        assert!(!looks_personal("$audit"));
    }

    #[test]
    fn metadata_beyond_the_reserved_names() {
        let reserved =
            br#"{"refs": [{"to": "A-1"}], "caus\u0061tion_id": "x", "correlation_id":1}"#;
        assert!(!has_free_metadata(reserved));
        assert!(!has_free_metadata(b"{}"));
        assert!(has_free_metadata(br#"{"refs": [], "ip": "x"}"#));
    }
}
