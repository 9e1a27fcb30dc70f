//! Sealing and showing the values of one event.

use std::ops::Range;
use std::sync::Arc;

use crate::error::CoreError;
use crate::json::pointer::Pattern;

use super::cipher::{DataKey, NONCE_BYTES, Place, Sealed};
use super::{ERASED, OpenedValue, SubjectId, WITHHELD};

/// A value to be sealed.
#[derive(Debug)]
pub struct Field {
    /// Pointer to it.
    pub pointer: String,
    /// Where it stands in the data.
    pub value: Range<usize>,
    /// The key of its subject.
    pub key: Arc<DataKey>,
}

/// What is known of a key.
#[derive(Debug, Clone)]
pub enum Look {
    /// It is here, and may be used.
    Key(Arc<DataKey>),
    /// It was destroyed.
    Erased,
    /// Nobody has asked for it yet.
    Missing,
    /// The key store does not know it.
    Lost,
}

/// Finds keys.
pub trait Keys {
    /// The version of the key of a subject.
    fn look(&self, subject: &SubjectId, version: u32) -> Look;
}

/// What a reader gets to see of sealed values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sight {
    /// All whose key is there.
    Open,
    /// None.
    Withhold,
    /// Those of this subject.
    Only(SubjectId),
}

/// Why values cannot be shown.
#[derive(Debug)]
pub enum ShowError {
    /// Keys that have to be asked for first.
    Missing(Vec<(SubjectId, u32)>),
    /// A value is not what was sealed: EVENT_CORRUPT with the pointer.
    Corrupt(CoreError),
}

/// Data with values sealed, which stand in the order of the text; all around them is as it was.
pub fn seal_data(
    data: &[u8],
    store_id: &[u8; 16],
    event_id: &[u8; 16],
    fields: &[Field],
    nonces: &mut dyn FnMut() -> [u8; NONCE_BYTES],
) -> Result<Vec<u8>, CoreError> {
    let mut sealed = Vec::with_capacity(data.len() + fields.len() * 100);
    let mut done = 0;
    for Field { pointer, value, key } in fields {
        let bug = || CoreError::new("BUG", "values to be sealed do not stand in order");
        let place = Place { store_id, event_id, path: pointer };
        let text = key.seal(&place, data.get(value.clone()).ok_or_else(bug)?, nonces())?;
        sealed.extend_from_slice(data.get(done..value.start).ok_or_else(bug)?);
        sealed.push(b'"');
        sealed.extend_from_slice(text.as_bytes());
        sealed.push(b'"');
        done = value.end;
    }
    sealed.extend_from_slice(&data[done..]);
    Ok(sealed)
}

/// Pointers to the sealed values of an event. Neighbours have mostly the same, which are read once.
#[derive(Debug, Clone, Default)]
pub struct SealedPointers {
    /// `None`: one of them is no pointer.
    patterns: Option<Vec<Pattern>>,
    count: usize,
}

impl SealedPointers {
    /// From their texts.
    pub fn of<'a>(pointers: impl IntoIterator<Item = &'a str>) -> Self {
        let patterns: Vec<_> = pointers.into_iter().map(Pattern::pointer).collect();
        Self {
            count: patterns.len(),
            patterns: patterns.into_iter().collect::<Result<_, _>>().ok(),
        }
    }
}

/// Writes data with the sealed values at pointers shown into `out`; whether one of them is absent.
/// `replacement` tells the JSON text that stands for an erased value, by its pointer; `opened` gets
/// those that were opened.
#[expect(clippy::too_many_arguments, reason = "what comes out is two things")]
pub fn show_data(
    data: &[u8],
    pointers: &SealedPointers,
    (store_id, event_id): (&[u8; 16], &[u8; 16]),
    sight: Sight,
    keys: &dyn Keys,
    replacement: &dyn Fn(&str) -> Option<String>,
    out: &mut Vec<u8>,
    opened: &mut Vec<OpenedValue>,
) -> Result<bool, ShowError> {
    let found = pointers.patterns.as_ref().and_then(|patterns| Pattern::find(patterns, data));
    let found = found.filter(|found| found.len() == pointers.count);
    let Some(found) = found else {
        return Err(ShowError::Corrupt(corrupt("its sealed values are not where they are listed")));
    };
    let (mut done, mut absent) = (0, false);
    let mut missing = Vec::new();
    for value in found {
        let text = &data[value.value.clone()];
        out.extend_from_slice(&data[done..value.value.start]);
        done = value.value.end;
        if sight == Sight::Withhold {
            out.extend_from_slice(WITHHELD.as_bytes());
            absent = true;
            continue;
        }
        let unquoted = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\""));
        let Some(sealed) = unquoted.and_then(Sealed::parse) else {
            return Err(ShowError::Corrupt(corrupt_at(&value.pointer)));
        };
        if matches!(sight, Sight::Only(subject) if subject != sealed.subject) {
            out.extend_from_slice(WITHHELD.as_bytes());
            absent = true;
            continue;
        }
        match keys.look(&sealed.subject, sealed.version) {
            Look::Missing => missing.push((sealed.subject, sealed.version)),
            Look::Lost => return Err(ShowError::Corrupt(lost(&value.pointer))),
            Look::Erased => match replacement(&value.pointer) {
                Some(text) => out.extend_from_slice(text.as_bytes()),
                None => {
                    out.extend_from_slice(ERASED.as_bytes());
                    absent = true;
                }
            },
            Look::Key(key) => {
                let place = Place { store_id, event_id, path: &value.pointer };
                let subject = sealed.subject;
                let text = key.open(&place, sealed);
                let text = text.ok_or_else(|| ShowError::Corrupt(corrupt_at(&value.pointer)))?;
                out.extend_from_slice(&text);
                opened.push(OpenedValue { pointer: value.pointer, subject });
            }
        }
    }
    if !missing.is_empty() {
        return Err(ShowError::Missing(missing));
    }
    out.extend_from_slice(&data[done..]);
    Ok(absent)
}

fn corrupt_at(pointer: &str) -> CoreError {
    corrupt("a sealed value is not what was sealed").fact("pointer", pointer)
}

fn lost(pointer: &str) -> CoreError {
    corrupt("the key of a sealed value is not in the key store").fact("pointer", pointer)
}

fn corrupt(problem: &str) -> CoreError {
    CoreError::new("EVENT_CORRUPT", format!("the event cannot be read: {problem}"))
        .fact("problem", problem)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use super::{
        DataKey, Field, Keys, Look, SealedPointers, ShowError, Sight, SubjectId, seal_data,
        show_data,
    };
    use crate::json::pointer::Pattern;

    #[derive(Default)]
    struct Known(HashMap<(SubjectId, u32), Look>);

    impl Keys for Known {
        fn look(&self, subject: &SubjectId, version: u32) -> Look {
            self.0.get(&(*subject, version)).cloned().unwrap_or(Look::Missing)
        }
    }

    fn key() -> Arc<DataKey> {
        Arc::new(DataKey::new([3; 16], 1, &[4; 32]).unwrap())
    }

    fn knowing(look: Look) -> Known {
        Known(HashMap::from([(([3; 16], 1), look)]))
    }

    const DATA: &str = r#"{ "a" : {"b": [1 , "x"]}, "c": 2 , "d":"$sealed:1:text" }"#;

    fn sealed() -> Vec<u8> {
        let patterns = ["/a/b/*", "/c"].map(|one| Pattern::parse(one).unwrap());
        let found = Pattern::find(&patterns, DATA.as_bytes()).unwrap();
        let fields: Vec<_> = found
            .into_iter()
            .map(|found| Field { pointer: found.pointer, value: found.value, key: key() })
            .collect();
        let mut next = 0;
        let mut nonces = || {
            next += 1;
            [next; 12]
        };
        seal_data(DATA.as_bytes(), &[1; 16], &[2; 16], &fields, &mut nonces).unwrap()
    }

    fn show(data: &[u8], sight: Sight, keys: &Known) -> Result<(String, bool), ShowError> {
        let mut out = Vec::new();
        let replaced = |pointer: &str| (pointer == "/c").then(|| "\"gone\"".to_owned());
        let pointers = ["/a/b/0", "/a/b/1", "/c"];
        let ids = (&[1; 16], &[2; 16]);
        let absent = show_data(
            data,
            &SealedPointers::of(pointers),
            ids,
            sight,
            keys,
            &replaced,
            &mut out,
            &mut Vec::new(),
        )?;
        Ok((String::from_utf8(out).unwrap(), absent))
    }

    #[test]
    fn what_was_sealed_is_opened_byte_for_byte() {
        let sealed = sealed();
        let text = std::str::from_utf8(&sealed).unwrap();
        assert!(text.starts_with(r#"{ "a" : {"b": ["$sealed:1:"#), "{text}");
        assert!(text.ends_with(r#", "d":"$sealed:1:text" }"#), "{text}");
        let (shown, absent) = show(&sealed, Sight::Open, &knowing(Look::Key(key()))).unwrap();
        assert_eq!((shown.as_str(), absent), (DATA, false));
    }

    #[test]
    fn absent_values_have_words_of_their_own() {
        let words = |sight, look| show(&sealed(), sight, &knowing(look)).unwrap();
        let (shown, absent) = words(Sight::Open, Look::Erased);
        assert!(shown.contains(r#"[erased , erased]}, "c": "gone" ,"#) && absent, "{shown}");
        let (shown, absent) = words(Sight::Withhold, Look::Missing);
        assert!(shown.contains(r#"[withheld , withheld]}, "c": withheld ,"#) && absent, "{shown}");
    }

    #[test]
    fn values_of_others_are_withheld_where_those_of_one_subject_are_asked_for() {
        let (shown, absent) = show(&sealed(), Sight::Only([9; 16]), &Known::default()).unwrap();
        assert!(shown.contains(r#"[withheld , withheld]}, "c": withheld ,"#) && absent, "{shown}");
        let (shown, absent) =
            show(&sealed(), Sight::Only([3; 16]), &knowing(Look::Key(key()))).unwrap();
        assert_eq!((shown.as_str(), absent), (DATA, false));
    }

    #[test]
    fn missing_keys_are_asked_for() {
        let error = show(&sealed(), Sight::Open, &Known::default()).unwrap_err();
        assert!(matches!(error, ShowError::Missing(missing) if missing == [([3; 16], 1); 3]));
    }

    #[test]
    fn what_is_not_sealed_as_listed_is_corrupt() {
        let keys = knowing(Look::Key(key()));
        let error = show(DATA.as_bytes(), Sight::Open, &keys).unwrap_err();
        let ShowError::Corrupt(error) = error else { panic!("{error:?}") };
        assert_eq!(error.reason, "EVENT_CORRUPT");
        assert!(error.facts.contains(&("pointer", "/a/b/0".to_owned())));
        assert!(matches!(show(b"{}", Sight::Open, &keys), Err(ShowError::Corrupt(_))));
    }
}
