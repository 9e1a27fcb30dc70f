//! Privacy rules: which values of an event type or category are personal.
//!
//! They come from a privacy document or from annotations of a schema, and are stored in a normal
//! form, which is a privacy document too.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::error::CoreError;
use crate::fold::normal::{hexadecimal, object, sorted};
use crate::fold::refusal::Source;
use crate::fold::tree;
use crate::json::scan::scan_value;
use crate::json::write::write_value;
use crate::limits::PRIVACY_SOURCE_BYTES_MAX;
use crate::schema::Schema;
use crate::value::{Map, Value};

use super::document::{self, ALL};
use super::personal::{Personal, PersonalField, SubjectSource};

/// Of what something is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Declared {
    /// The events of a type.
    EventType(String),
    /// All events in the streams of a category, which are personal as a whole.
    Category(String),
}

/// Which values of an event type or category are personal.
#[derive(Debug)]
pub struct PrivacyRules {
    declared: Declared,
    personal: Personal,
    normal_form: String,
    digest: String,
}

impl PrivacyRules {
    /// Reads a document, YAML 1.2 or JSON.
    pub fn parse(source: &str) -> Result<Self, CoreError> {
        if source.len() > PRIVACY_SOURCE_BYTES_MAX {
            let message = format!(
                "the privacy document has {} bytes; at most {PRIVACY_SOURCE_BYTES_MAX} are allowed",
                source.len()
            );
            return Err(CoreError::new("PRIVACY_RULES_TOO_LARGE", message)
                .fact("limit", PRIVACY_SOURCE_BYTES_MAX)
                .fact("actual", source.len()));
        }
        Self::read(source)?.readable()
    }

    fn read(source: &str) -> Result<Self, CoreError> {
        let text = Source::new(source);
        let read = tree::parse(source, &text).and_then(|root| document::read(&root));
        match read {
            Ok((declared, fields)) => Ok(Self::new(declared, fields)),
            Err(refusal) => {
                let mut error = refusal.of("INVALID_PRIVACY_RULES").into_error(&text);
                // What other documents call a path is a pointer here.
                for (name, _) in error.facts.iter_mut().filter(|(name, _)| *name == "path") {
                    *name = "pointer";
                }
                Err(error)
            }
        }
    }

    /// The same, if its normal form is read as the same again. YAML has no spelling in JSON for
    /// some characters.
    pub(crate) fn readable(self) -> Result<Self, CoreError> {
        let again = Self::read(&self.normal_form)?;
        if again.normal_form == self.normal_form {
            return Ok(self);
        }
        let problem = "a text has characters that a document cannot hold";
        Err(CoreError::new("INVALID_PRIVACY_RULES", problem).fact("problem", problem))
    }

    /// Rules that were put in force, from their normal form. Those that are not understood here,
    /// such as ones that a newer server took, refuse every event that they are asked of.
    pub fn stored(normal_form: &str, declared: Declared) -> Self {
        Self::read(normal_form).unwrap_or_else(|error| Self {
            declared,
            personal: Personal::broken(&error.message),
            normal_form: normal_form.to_owned(),
            digest: String::new(),
        })
    }

    /// Those that a schema of an event type declares; `None`: it declares none.
    pub fn of_schema(event_type: String, schema: &Schema) -> Result<Option<Self>, CoreError> {
        let fields = schema.personal()?;
        if fields.is_empty() {
            return Ok(None);
        }
        Self::new(Declared::EventType(event_type), fields).readable().map(Some)
    }

    /// From fields, no two of which may meet.
    pub fn new(declared: Declared, mut fields: Vec<PersonalField>) -> Self {
        fields.sort_by_cached_key(|field| field.pointer.to_string());
        let personal = match &declared {
            Declared::EventType(_) => Value::map(fields.iter().map(field_form).collect::<Map>()),
            Declared::Category(_) => Value::string(ALL),
        };
        let digest = hexadecimal(Sha256::new().chain_update(json_text(&sorted(&personal))));
        let (key, name) = match &declared {
            Declared::EventType(name) => ("privacy", name),
            Declared::Category(name) => ("category", name),
        };
        let form = object([(key, Value::string(name.as_str())), ("personal", personal)]);
        let normal_form = json_text(&sorted(&form));
        Self { declared, personal: Personal::new(fields), normal_form, digest }
    }

    /// Of what they are.
    pub fn declared(&self) -> &Declared {
        &self.declared
    }

    /// What they say.
    pub fn personal(&self) -> &Personal {
        &self.personal
    }

    /// The document in canonical JSON.
    pub fn normal_form(&self) -> &str {
        &self.normal_form
    }

    /// SHA-256 of what is personal in canonical JSON, lower-case hexadecimal. The event type is not
    /// in it.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

fn field_form(field: &PersonalField) -> (Arc<str>, Value) {
    let mut form = Map::default();
    if let SubjectSource::Named { pointer, category } = &field.subject {
        let pointer = Value::string(pointer.to_string());
        let subject = match category {
            None => pointer,
            Some(category) => {
                object([("pointer", pointer), ("category", Value::string(&**category))])
            }
        };
        form.insert("subject", subject);
    }
    if let Some(text) = &field.replacement {
        // It was a JSON value before it was a text.
        form.insert("erased", scan_value(text.as_bytes()).unwrap_or(Value::Null));
    }
    (field.pointer.to_string().into(), Value::map(form))
}

/// The JSON text of a literal.
pub(super) fn json_text(value: &Value) -> String {
    let mut text = Vec::new();
    // Literals are JSON values, so writing cannot fail.
    let _ = write_value(value, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{Declared, PrivacyRules};

    fn facts(source: &str) -> Vec<(&'static str, String)> {
        let error = PrivacyRules::parse(source).unwrap_err();
        assert_eq!(error.reason, "INVALID_PRIVACY_RULES", "{source}");
        error.facts
    }

    fn fact(source: &str, name: &str) -> String {
        let found = facts(source).into_iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value).unwrap_or_default()
    }

    #[test]
    fn a_document_has_one_normal_form() {
        let rules = PrivacyRules::parse(
            "privacy: UserRegistered\npersonal:\n  /name:\n  /people/*/email: {subject: {pointer: \
             '/people/*/id', category: User}, erased: {kept: [1.50, null]}}\n  /by: {subject: \
             /byWhom, erased: null}\n",
        )
        .unwrap();
        let form = concat!(
            r#"{"personal":{"/by":{"erased":null,"subject":"/byWhom"},"/name":{},"#,
            r#""/people/*/email":{"erased":{"kept":[1.50,null]},"subject":"#,
            r#"{"category":"User","pointer":"/people/*/id"}}},"privacy":"UserRegistered"}"#
        );
        assert_eq!(rules.normal_form(), form);
        assert_eq!(rules.declared(), &Declared::EventType("UserRegistered".to_owned()));
        let again = PrivacyRules::parse(form).unwrap();
        assert_eq!(again.normal_form(), form);
        assert_eq!(again.personal(), rules.personal());
        assert_eq!(again.digest(), rules.digest());
        assert_eq!(
            rules.personal().replacement("/people/7/email"),
            Some(r#"{"kept":[1.50,null]}"#)
        );
    }

    #[test]
    fn a_category_is_one_line() {
        let rules = PrivacyRules::parse("{category: UserPrivate, personal: all}").unwrap();
        assert_eq!(rules.normal_form(), r#"{"category":"UserPrivate","personal":"all"}"#);
        let found = rules.personal().find(br#"{"a": 1, "b": {"c": 2}}"#).unwrap();
        let pointers: Vec<_> = found.iter().map(|value| value.pointer.as_str()).collect();
        assert_eq!(pointers, ["/a", "/b"]);
        let wrong = "{category: UserPrivate, personal: {/a: }}";
        assert_eq!(fact(wrong, "problem"), "of a category all values are personal, or none");
        assert_eq!(fact("{category: 'User-1', personal: all}", "line"), "1");
    }

    #[test]
    fn what_cannot_be_told_is_refused_with_its_place() {
        let of = |personal: &str| format!("privacy: T\npersonal: {personal}\n");
        let refused = |personal: &str| {
            let source = of(personal);
            assert_eq!(fact(&source, "line"), "2", "{personal}");
            (fact(&source, "pointer"), fact(&source, "problem"))
        };
        for pointer in ["name", "''", "/a~2"] {
            let (place, problem) = refused(&format!("{{{pointer}: }}"));
            assert_eq!(place, pointer.trim_matches('\''));
            assert!(problem.contains("is no pointer to a value"), "{problem}");
        }
        for pair in ["/a: , /a/b: ", "/a/*: , /a/b/c: ", "/*: , /b: "] {
            let (_, problem) = refused(&format!("{{{pair}}}"));
            assert!(problem.contains("into each other"), "{problem}");
        }
        let (place, problem) = refused("{/a/*/b: {subject: {pointer: '/c/*/d', category: U}}}");
        assert_eq!(place, "/a/*/b");
        assert!(problem.contains("several subjects"), "{problem}");
        assert_eq!(refused("{/a: {sujet: /b}}").1, "a personal field has no key `sujet`");
        assert_eq!(
            refused("{/a: {subject: {category: U}}}").1,
            "the pointer to the subject is missing"
        );
        assert_eq!(refused("{/a: {subject: {pointer: /b, category: 'U-'}}}").0, "/a");
        assert_eq!(refused("{}").0, "personal");
        assert_eq!(refused("[/a]").0, "personal");
        for document in [
            "privacy: T",
            "personal: {/a: }",
            "privacy: T\ncategory: U\npersonal: all",
            "privacy: T\npersonal: {/a: }\nmore: 1",
            "[]",
        ] {
            assert!(PrivacyRules::parse(document).is_err(), "{document}");
        }
    }

    #[test]
    fn as_many_fields_as_the_limit_allows() {
        let of = |count: usize| {
            let fields: Vec<_> = (0..count).map(|n| format!("/f{n}: ")).collect();
            format!("{{privacy: T, personal: {{{}}}}}", fields.join(", "))
        };
        let most = crate::limits::PERSONAL_FIELDS_MAX;
        assert_eq!(PrivacyRules::parse(&of(most)).unwrap().personal().fields().len(), most);
        assert_eq!(fact(&of(most + 1), "actual"), (most + 1).to_string());
    }

    #[test]
    fn rules_that_are_not_understood_refuse_events() {
        let broken = r#"{"privacy":"T","personal":{"/a":{"cipher":2}}}"#;
        let rules = PrivacyRules::stored(broken, Declared::EventType("T".to_owned()));
        let error = rules.personal().find(br#"{"b": 1}"#).unwrap_err();
        assert_eq!(error.reason, "INVALID_PRIVACY_RULES");
    }
}
