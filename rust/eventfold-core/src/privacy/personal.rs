//! What is declared of an event type or category: which values are personal, and whose they are.

use std::ops::Range;

use crate::error::CoreError;
use crate::json::pointer::Pattern;
use crate::json::scan::scan_value;
use crate::names::check_stream_name;
use crate::value::Value;

use super::SubjectId;

/// Whose a personal value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectSource {
    /// The root of the stream: the first of its line of periods.
    Root,
    /// What stands at a place of the data, whose `*` mean the same elements as those of the value.
    Named {
        /// Leads to a string or an integer.
        pointer: Pattern,
        /// The subject is `category-` and the value; `None`: the value is the whole name.
        category: Option<Box<str>>,
    },
}

/// Values that are personal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonalField {
    /// Leads to them.
    pub pointer: Pattern,
    /// Whose they are.
    pub subject: SubjectSource,
    /// JSON text that readers get once they are erased; `None`: they are absent.
    pub replacement: Option<Box<str>>,
}

/// All that is declared of one event type or category.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Personal {
    fields: Vec<PersonalField>,
    pointers: Vec<Pattern>,
    /// Why it cannot be told what is personal.
    broken: Option<Box<str>>,
}

/// Name of the subject of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectName {
    /// That of the root of the stream.
    Root,
    /// This one.
    Named(String),
    /// The one with this id, whatever it is called: one of its values is known.
    Known(SubjectId),
}

/// Values of an event of the server that are personal whatever the rules say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarriedPersonal {
    /// Lead to them; no two may meet.
    pub pointers: Vec<Pattern>,
    /// Whose they are.
    pub subject: SubjectId,
}

impl CarriedPersonal {
    /// Adds those of data that were strictly checked.
    pub(crate) fn find(&self, data: &[u8], values: &mut Vec<PersonalValue>) {
        let found = Pattern::find(&self.pointers, data).unwrap_or_default();
        values.extend(found.into_iter().map(|found| PersonalValue {
            pointer: found.pointer,
            value: found.value,
            subject: SubjectName::Known(self.subject),
        }));
    }
}

/// A personal value of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonalValue {
    /// Pointer to it.
    pub pointer: String,
    /// Where it stands in the data.
    pub value: Range<usize>,
    /// Whose it is.
    pub subject: SubjectName,
}

impl Personal {
    /// From fields, no two of which may meet.
    pub fn new(fields: Vec<PersonalField>) -> Self {
        let pointers = fields.iter().map(|field| field.pointer.clone()).collect();
        Self { fields, pointers, broken: None }
    }

    /// What is not understood here: no event can be held to it, so none may be stored.
    pub fn broken(problem: &str) -> Self {
        Self { broken: Some(problem.into()), ..Self::default() }
    }

    /// What is declared.
    pub fn fields(&self) -> &[PersonalField] {
        &self.fields
    }

    /// JSON text that readers get in place of an erased value, by its pointer.
    pub fn replacement(&self, pointer: &str) -> Option<&str> {
        let pointer = Pattern::pointer(pointer).ok()?;
        let field = self.fields.iter().find(|field| field.pointer.meets(&pointer))?;
        field.replacement.as_deref()
    }

    /// Where the personal values of data stand that were strictly checked, in the order of the
    /// text, whose ever they are. Of what is not understood here all is.
    pub(crate) fn places(&self, data: &[u8]) -> Vec<(String, Range<usize>)> {
        let all = Pattern::parse("/*").into_iter().collect::<Vec<_>>();
        let patterns = if self.broken.is_some() { &all } else { &self.pointers };
        let found = Pattern::find(patterns, data).unwrap_or_default();
        found.into_iter().map(|found| (found.pointer, found.value)).collect()
    }

    /// The personal values of data that were strictly checked, in the order of the text.
    /// SUBJECT_INVALID if it cannot be told whose one is.
    pub fn find(&self, data: &[u8]) -> Result<Vec<PersonalValue>, CoreError> {
        if let Some(problem) = &self.broken {
            let message = format!("this server does not understand what is personal: {problem}");
            return Err(CoreError::new("INVALID_PRIVACY_RULES", message).fact("problem", problem));
        }
        let found = Pattern::find(&self.pointers, data);
        let found = found.ok_or_else(|| CoreError::new("BUG", "data are not JSON"))?;
        let value = |found: crate::json::pointer::Found| {
            let field = &self.fields[found.pattern];
            let subject = field.subject_of(&found.pointer, data)?;
            Ok(PersonalValue { pointer: found.pointer, value: found.value, subject })
        };
        found.into_iter().map(value).collect()
    }
}

impl PersonalField {
    fn subject_of(&self, found: &str, data: &[u8]) -> Result<SubjectName, CoreError> {
        let SubjectSource::Named { pointer, category } = &self.subject else {
            return Ok(SubjectName::Root);
        };
        let pointer = pointer.beside(&self.pointer, found);
        let invalid = |problem: &str| {
            let message = format!("the subject of `{found}`, at `{pointer}`, {problem}");
            CoreError::new("SUBJECT_INVALID", message)
                .fact("pointer", found)
                .fact("subject_pointer", &pointer)
                .fact("problem", problem)
        };
        let places = Pattern::find(std::slice::from_ref(&pointer), data).unwrap_or_default();
        let [place] = places.as_slice() else {
            let problem = if places.is_empty() { "is missing" } else { "is more than one" };
            return Err(invalid(problem));
        };
        let name = match scan_value(&data[place.value.clone()]) {
            Ok(Value::String(text)) => text.to_string(),
            Ok(Value::Int(number)) => number.to_string(),
            _ => return Err(invalid("is no string and no integer")),
        };
        let name = match category {
            Some(category) => format!("{category}-{name}"),
            None => name,
        };
        match check_stream_name(&name) {
            Ok(_) => Ok(SubjectName::Named(name)),
            Err(_) => Err(invalid("gives no `category-id`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Pattern, Personal, PersonalField, SubjectName, SubjectSource};

    fn field(pointer: &str, subject: Option<(&str, Option<&str>)>) -> PersonalField {
        let subject = match subject {
            None => SubjectSource::Root,
            Some((pointer, category)) => SubjectSource::Named {
                pointer: Pattern::parse(pointer).unwrap(),
                category: category.map(Into::into),
            },
        };
        PersonalField { pointer: Pattern::parse(pointer).unwrap(), subject, replacement: None }
    }

    #[test]
    fn every_value_has_its_subject() {
        let personal = Personal::new(vec![
            field("/people/*/email", Some(("/people/*/id", Some("User")))),
            field("/note", None),
            field("/by", Some(("/byWhom", None))),
        ]);
        let data = br#"{"people": [{"id": 7, "email": "a"}, {"email": "b", "id": "8"}],
            "note": "n", "by": 1, "byWhom": "User-9"}"#;
        let found = personal.find(data).unwrap();
        let subjects: Vec<_> = found.iter().map(|one| (&*one.pointer, &one.subject)).collect();
        let named = |name: &str| SubjectName::Named(name.to_owned());
        assert_eq!(
            subjects,
            [
                ("/people/0/email", &named("User-7")),
                ("/people/1/email", &named("User-8")),
                ("/note", &SubjectName::Root),
                ("/by", &named("User-9")),
            ]
        );
    }

    #[test]
    fn a_value_without_a_subject_is_refused() {
        let personal = Personal::new(vec![field("/a", Some(("/id", Some("User"))))]);
        let refused = |data: &str| {
            let error = personal.find(data.as_bytes()).unwrap_err();
            assert_eq!(error.reason, "SUBJECT_INVALID");
            error.facts.into_iter().find(|(name, _)| *name == "problem").unwrap().1
        };
        assert_eq!(refused(r#"{"a": 1}"#), "is missing");
        assert_eq!(refused(r#"{"a": 1, "id": 1.5}"#), "is no string and no integer");
        assert_eq!(refused(r#"{"a": 1, "id": ""}"#), "gives no `category-id`");
        assert_eq!(personal.find(br#"{"id": {}}"#).unwrap(), []);
        let bare = Personal::new(vec![field("/a", Some(("/id", None)))]);
        assert!(bare.find(br#"{"a": 1, "id": "nobody"}"#).is_err());
    }
}
