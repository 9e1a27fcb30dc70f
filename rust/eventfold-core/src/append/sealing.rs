//! Sealing the personal values of an append, after it was held to the rules and before any of it
//! goes to the database.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::Append;
use super::part::StreamAppend;
use super::personal::{PersonalEvent, SealedEvent};
use crate::envelope::{stored_digest, uuid_text};
use crate::error::CoreError;
use crate::privacy::{
    DataKey, Field, NONCE_BYTES, PersonalValue, SubjectId, SubjectName, seal_data,
};

/// The keys of a subject.
#[derive(Debug, Clone)]
pub enum SubjectKeys {
    /// It has some.
    Known {
        /// What values are sealed under now.
        current: Arc<DataKey>,
        /// The first version: what digests are made with, whatever came after it.
        first: Arc<DataKey>,
    },
    /// They were destroyed, and nobody has admitted it again.
    Erased,
    /// Nobody has asked for them yet.
    Missing,
}

/// Finds the keys of subjects by their names.
pub trait Subjects {
    /// Those of one.
    fn of(&self, name: &str) -> SubjectKeys;

    /// Those of the one with an id.
    fn of_id(&self, subject: &SubjectId) -> SubjectKeys;
}

/// What values are sealed with.
pub struct Sealing<'a> {
    /// The store.
    pub store_id: &'a [u8; 16],
    /// Roots of streams; of those that are left out, the stream itself.
    pub roots: &'a HashMap<String, String>,
    /// Where keys are found.
    pub subjects: &'a dyn Subjects,
    /// Random ones, each of which is used once.
    pub nonces: &'a mut dyn FnMut() -> [u8; NONCE_BYTES],
}

impl Append {
    /// Whether it has personal values that are to be sealed.
    pub fn is_personal(&self) -> bool {
        self.parts.iter().any(|part| !part.personal.is_empty())
    }

    /// Streams whose roots are subjects.
    pub fn subject_streams(&self) -> BTreeSet<String> {
        let parts = self.parts.iter().filter(|part| part.wants_root());
        parts.map(|part| part.stream().to_owned()).collect()
    }

    /// Names of the subjects of its personal values.
    pub fn subjects(&self, roots: &HashMap<String, String>) -> BTreeSet<String> {
        let of_part = |part: &StreamAppend| {
            let root = part.root_in(roots).to_owned();
            let values = part.personal.iter().flat_map(|event| &event.values);
            let names = values.filter_map(move |value| match who(value, &root) {
                Who::Named(name) => Some(name),
                Who::Known(_) => None,
            });
            names.collect::<Vec<_>>()
        };
        self.parts.iter().flat_map(of_part).collect()
    }

    /// Ids of the subjects of its personal values that are told so.
    pub fn subject_ids(&self) -> BTreeSet<SubjectId> {
        let values = self.parts.iter().flat_map(|part| &part.personal);
        let values = values.flat_map(|event| &event.values);
        let id = |value: &PersonalValue| match value.subject {
            SubjectName::Known(subject) => Some(subject),
            _ => None,
        };
        values.filter_map(id).collect()
    }

    /// Seals its personal values, instead of what was sealed before; gives names, or ids, of
    /// subjects whose keys are missing: then nothing is sealed. If a subject was erased its events
    /// are refused, and of these nothing goes to the database but their ids.
    pub fn seal(&mut self, sealing: &mut Sealing<'_>) -> Result<Vec<String>, CoreError> {
        let mut keys = BTreeMap::new();
        for name in self.subjects(sealing.roots) {
            let found = sealing.subjects.of(&name);
            keys.insert(Who::Named(name), found);
        }
        for subject in self.subject_ids() {
            keys.insert(Who::Known(subject), sealing.subjects.of_id(&subject));
        }
        let is_missing = |(who, found): (&Who, &SubjectKeys)| {
            matches!(found, SubjectKeys::Missing).then(|| who.text())
        };
        let missing: Vec<String> = keys.iter().filter_map(is_missing).collect();
        if missing.is_empty() {
            self.parts.iter_mut().try_for_each(|part| part.seal(&keys, sealing))?;
        }
        Ok(missing)
    }
}

impl StreamAppend {
    fn wants_root(&self) -> bool {
        let mut values = self.personal.iter().flat_map(|event| &event.values);
        values.any(|value| value.subject == SubjectName::Root)
    }

    fn root_in<'a>(&'a self, roots: &'a HashMap<String, String>) -> &'a str {
        roots.get(self.stream()).map_or(self.stream(), String::as_str)
    }

    fn seal(
        &mut self,
        keys: &BTreeMap<Who, SubjectKeys>,
        sealing: &mut Sealing<'_>,
    ) -> Result<(), CoreError> {
        self.root = self.wants_root().then(|| self.root_in(sealing.roots).to_owned());
        self.erased = None;
        let root = self.root_in(sealing.roots).to_owned();
        let mut personal = std::mem::take(&mut self.personal);
        for event in &mut personal {
            event.sealed = None;
            if event.values.is_empty() {
                continue;
            }
            let key_of = |value: &PersonalValue| match keys.get(&who(value, &root)) {
                Some(SubjectKeys::Known { current, first }) => Ok((current, first)),
                _ => Err(erased(event.index, value)),
            };
            match event.values.iter().map(key_of).collect::<Result<Vec<_>, _>>() {
                Err(error) => _ = self.erased.get_or_insert(error),
                Ok(found) => event.sealed = Some(self.seal_event(event, &found, sealing)?),
            }
        }
        self.personal = personal;
        Ok(())
    }

    fn seal_event(
        &self,
        event: &PersonalEvent,
        keys: &[(&Arc<DataKey>, &Arc<DataKey>)],
        sealing: &mut Sealing<'_>,
    ) -> Result<SealedEvent, CoreError> {
        let (id, data, metadata, plain_digest) = self.to_seal(event.index);
        let fields: Vec<Field> = event
            .values
            .iter()
            .zip(keys)
            .map(|(value, (current, _))| Field {
                pointer: value.pointer.clone(),
                value: value.value.clone(),
                key: Arc::clone(current),
            })
            .collect();
        let data = seal_data(data, sealing.store_id, id, &fields, sealing.nonces)?;
        // Each subject's key in turn: without one of them nobody can compare it with a guess.
        let firsts: BTreeMap<SubjectId, &DataKey> =
            keys.iter().map(|(_, first)| (*first.subject(), first.as_ref())).collect();
        let sent_digest = firsts.values().fold(*plain_digest, |digest, key| key.digest(&digest));
        Ok(SealedEvent {
            stored_digest: stored_digest(&data, metadata),
            data,
            paths: array_text(event.values.iter().map(|value| value.pointer.as_str())),
            sent_digest,
        })
    }
}

/// A subject, as a value tells it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Named(String),
    Known(SubjectId),
}

impl Who {
    fn text(&self) -> String {
        match self {
            Self::Named(name) => name.clone(),
            Self::Known(subject) => uuid_text(subject),
        }
    }
}

fn who(value: &PersonalValue, root: &str) -> Who {
    match &value.subject {
        SubjectName::Root => Who::Named(root.to_owned()),
        SubjectName::Named(name) => Who::Named(name.clone()),
        SubjectName::Known(subject) => Who::Known(*subject),
    }
}

fn erased(index: usize, value: &PersonalValue) -> CoreError {
    let message = format!(
        "event {index} has personal data of somebody who was erased, at `{}`",
        value.pointer
    );
    CoreError::new("SUBJECT_ERASED", message)
        .fact("event_index", index)
        .fact("pointer", &value.pointer)
}

/// The text of an array of texts.
fn array_text<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let mut text = "{".to_owned();
    for item in items {
        if text.len() > 1 {
            text.push(',');
        }
        text.push('"');
        text.push_str(&item.replace('\\', "\\\\").replace('"', "\\\""));
        text.push('"');
    }
    text + "}"
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use super::{Sealing, SubjectKeys, Subjects, array_text};
    use crate::append::{Append, NEVER, Origin};
    use crate::json::pointer::Pattern;
    use crate::privacy::{DataKey, Personal, PersonalField, SubjectSource};
    use crate::rules::{Rules, Steps, TypeRules};

    struct Known(HashMap<&'static str, SubjectKeys>);

    impl Subjects for Known {
        fn of(&self, name: &str) -> SubjectKeys {
            self.0.get(name).cloned().unwrap_or(SubjectKeys::Missing)
        }

        fn of_id(&self, _: &[u8; 16]) -> SubjectKeys {
            SubjectKeys::Missing
        }
    }

    fn keys(subject: u8, version: u32) -> SubjectKeys {
        let key = |version| Arc::new(DataKey::new([subject; 16], version, &[subject; 32]).unwrap());
        SubjectKeys::Known { current: key(version), first: key(1) }
    }

    fn rules() -> Rules {
        let named = SubjectSource::Named {
            pointer: Pattern::parse("/by").unwrap(),
            category: Some("User".into()),
        };
        let field = |pointer, subject| PersonalField {
            pointer: Pattern::parse(pointer).unwrap(),
            subject,
            replacement: None,
        };
        let mut of_type = TypeRules::new("T");
        let fields = vec![field("/a", SubjectSource::Root), field("/n", named)];
        of_type.personal = Some(Arc::new(Personal::new(fields)));
        Rules::new(1, vec![of_type], HashMap::new())
    }

    fn append(data: &str) -> Append {
        let event = [b"\x12\x01T\x1a", &[data.len() as u8][..], data.as_bytes()].concat();
        let message =
            [b"\x0a\x03a-1\x12\x02\x1a\x00\x1a", &[event.len() as u8][..], &event].concat();
        let mut ids = || [7; 16];
        let origin = Arc::new(Origin::default());
        Append::of_request(&message, &origin, &rules(), &mut Steps::whole(), &mut ids).unwrap()
    }

    fn seal(append: &mut Append, known: Vec<(&'static str, SubjectKeys)>) -> Vec<String> {
        let roots = HashMap::from([("a-1".to_owned(), "a-0".to_owned())]);
        let mut nonces = || [1; 12];
        let subjects = Known(known.into_iter().collect());
        append
            .seal(&mut Sealing {
                store_id: &[9; 16],
                roots: &roots,
                subjects: &subjects,
                nonces: &mut nonces,
            })
            .unwrap()
    }

    #[test]
    fn nothing_of_a_personal_event_is_sent_before_it_is_sealed() {
        let mut append = append(r#"{"a": 1, "n": "x", "by": 5}"#);
        let stored = append.parts[0].events().next().unwrap();
        assert_eq!((stored.data, stored.sent_digest), (&b"{}"[..], None));
        assert_eq!(append.subject_streams().into_iter().collect::<Vec<_>>(), ["a-1"]);
        assert_eq!(seal(&mut append, vec![("a-0", keys(1, 1))]), ["User-5"]);
        assert!(append.parts[0].events().next().unwrap().sent_digest.is_none());
        assert!(seal(&mut append, vec![("a-0", keys(1, 2)), ("User-5", keys(2, 1))]).is_empty());
        let stored = append.parts[0].events().next().unwrap();
        let data = std::str::from_utf8(stored.data).unwrap();
        assert!(data.starts_with(r#"{"a": "$sealed:1:"#) && data.ends_with(r#"", "by": 5}"#));
        assert_eq!(stored.sealed_paths, Some(r#"{"/a","/n"}"#));
        assert_eq!(append.parts[0].root(), Some("a-0"));
        assert_ne!(stored.flags & crate::envelope::FLAG_SEALED, 0);
        // The digest is that of the first versions, whatever came after these.
        let before = *stored.sent_digest.unwrap();
        seal(&mut append, vec![("a-0", keys(1, 3)), ("User-5", keys(2, 9))]);
        assert_eq!(*append.parts[0].events().next().unwrap().sent_digest.unwrap(), before);
        seal(&mut append, vec![("a-0", keys(4, 3)), ("User-5", keys(2, 9))]);
        assert_ne!(*append.parts[0].events().next().unwrap().sent_digest.unwrap(), before);
    }

    #[test]
    fn an_erased_subject_refuses_the_append_and_ids_alone_go_on() {
        let mut append = append(r#"{"n": "x", "by": 5}"#);
        assert!(seal(&mut append, vec![("User-5", SubjectKeys::Erased)]).is_empty());
        let stored = append.parts[0].events().next().unwrap();
        assert_eq!((stored.data, stored.sent_digest), (&b"{}"[..], None));
        assert_eq!(append.parts[0].demanded(), NEVER);
        assert_eq!(append.refused()[0].error.reason, "SUBJECT_ERASED");
    }

    #[test]
    fn a_value_of_nobody_refuses_the_append() {
        let append = append(r#"{"n": "x"}"#);
        assert_eq!(append.refused()[0].error.reason, "SUBJECT_INVALID");
        assert_eq!(append.parts[0].events().next().unwrap().data, b"{}");
    }

    #[test]
    fn arrays_of_texts_are_quoted() {
        assert_eq!(array_text([r#"/a"b\c"#, "/d"].into_iter()), r#"{"/a\"b\\c","/d"}"#);
    }
}
