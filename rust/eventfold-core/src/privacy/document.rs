//! A privacy document: its tree turned into personal fields.

use crate::fold::literal::literal_value;
use crate::fold::refusal::{Parsed, Position, Refusal};
use crate::fold::tree::{Kind, Node};
use crate::json::pointer::Pattern;
use crate::limits::PERSONAL_FIELDS_MAX;
use crate::names::{check_event_type, check_stream_name};

use super::personal::{PersonalField, SubjectSource};
use super::rules::{Declared, json_text};

const KEYS: &str = "the keys are `privacy` or `category`, and `personal`";
const FIELD_KEYS: &str = "the keys are `subject` and `erased`";
const SUBJECT_KEYS: &str = "the keys are `pointer` and `category`";
/// What a document says of a whole category.
pub(super) const ALL: &str = "all";
/// Every member of the data.
pub(super) const EVERY: &str = "/*";

/// Reads the tree of a document.
pub(super) fn read(root: &Node) -> Parsed<(Declared, Vec<PersonalField>)> {
    let Kind::Map(entries) = &root.kind else {
        let problem = "a privacy document is a mapping with the key `privacy` or `category`";
        return Err(Refusal::new(root.at, problem));
    };
    let (mut declared, mut personal) = (None, None);
    for (key, value) in entries {
        let name = key.text().unwrap_or_default();
        match name {
            "privacy" | "category" if declared.is_some() => {
                let problem = "a document speaks of one event type or of one category";
                return Err(Refusal::new(key.at, problem));
            }
            "privacy" => declared = Some(Declared::EventType(event_type(value)?)),
            "category" => declared = Some(Declared::Category(category(value)?)),
            "personal" => personal = Some(value),
            other => {
                let problem = format!("a privacy document has no key `{other}`");
                return Err(Refusal::new(key.at, problem).hint(KEYS));
            }
        }
    }
    let Some(declared) = declared else {
        let problem = "the key `privacy`, the event type, or `category` is missing";
        return Err(Refusal::new(root.at, problem));
    };
    let Some(personal) = personal else {
        return Err(Refusal::new(root.at, "the key `personal`, what is personal, is missing"));
    };
    let fields = match &declared {
        Declared::EventType(_) => fields(personal)?,
        Declared::Category(_) => whole_category(personal)?,
    };
    Ok((declared, fields))
}

/// Two fields of which a value may be both, or one lie within the other.
pub(crate) fn meeting(fields: &[PersonalField]) -> Option<(usize, usize)> {
    (1..fields.len()).find_map(|later| {
        let earlier = (0..later).find(|one| fields[*one].pointer.meets(&fields[later].pointer))?;
        Some((earlier, later))
    })
}

/// Why a pointer cannot lead to the subject of what another leads to.
pub(crate) fn untold(pointer: &Pattern, subject: &Pattern) -> Option<String> {
    // One of the values that it leads to.
    let found: String = pointer
        .to_string()
        .split('/')
        .skip(1)
        .map(|step| if step == "*" { "/0".to_owned() } else { format!("/{step}") })
        .collect();
    (subject.beside(pointer, &found).stars() > 0).then(|| {
        format!(
            "`{subject}` leads to several subjects of one value: a `*` of it is none of those \
                 of `{pointer}`"
        )
    })
}

fn event_type(node: &Node) -> Parsed<String> {
    let name = node.text().unwrap_or_default();
    check_event_type(name).map_err(|error| Refusal::new(node.at, error.message))?;
    Ok(name.to_owned())
}

fn category(node: &Node) -> Parsed<String> {
    let name = node.text().unwrap_or_default();
    if is_category(name) {
        return Ok(name.to_owned());
    }
    let problem = "a category has 1 to 64 of the characters A-Z, a-z, 0-9 and `_`";
    Err(Refusal::new(node.at, problem))
}

pub(crate) fn is_category(name: &str) -> bool {
    check_stream_name(&format!("{name}-1")).is_ok_and(|found| found == name)
}

fn whole_category(node: &Node) -> Parsed<Vec<PersonalField>> {
    if node.text() != Some(ALL) {
        let problem = "of a category all values are personal, or none";
        return Err(Refusal::new(node.at, problem).hint("say `personal: all`").path("personal"));
    }
    let pointer = pattern(EVERY, node.at)?;
    Ok(vec![PersonalField { pointer, subject: SubjectSource::Root, replacement: None }])
}

fn fields(node: &Node) -> Parsed<Vec<PersonalField>> {
    let Kind::Map(entries) = &node.kind else {
        let problem = "`personal` maps pointers to what is said of their values";
        return Err(Refusal::new(node.at, problem).path("personal"));
    };
    if entries.is_empty() {
        let problem = "no field is personal, so that there is nothing to be said";
        return Err(Refusal::new(node.at, problem).path("personal"));
    }
    if entries.len() > PERSONAL_FIELDS_MAX {
        let problem = format!(
            "{} fields are personal; at most {PERSONAL_FIELDS_MAX} are allowed",
            entries.len()
        );
        let refusal = Refusal::new(node.at, problem).path("personal");
        let reason = "INVALID_PRIVACY_RULES";
        return Err(refusal.limit(reason, PERSONAL_FIELDS_MAX, Some(entries.len())));
    }
    let read = |(key, value): &(Node, Node)| {
        let name = key.text().unwrap_or_default();
        field(key, value).map_err(|refusal| refusal.path(name))
    };
    let fields = entries.iter().map(read).collect::<Parsed<Vec<_>>>()?;
    if let Some((earlier, later)) = meeting(&fields) {
        let [one, other] = [earlier, later].map(|index| fields[index].pointer.to_string());
        let problem = format!("`{one}` and `{other}` lead to the same values, or into each other");
        return Err(Refusal::new(entries[later].0.at, problem).path(&other));
    }
    Ok(fields)
}

fn field(key: &Node, value: &Node) -> Parsed<PersonalField> {
    let pointer = pattern(key.text().unwrap_or_default(), key.at)?;
    let mut field = PersonalField { pointer, subject: SubjectSource::Root, replacement: None };
    let entries = match &value.kind {
        Kind::Map(entries) => entries.as_slice(),
        Kind::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null") => &[],
        _ => {
            let problem = "what is said of a personal field is a mapping, or nothing";
            return Err(Refusal::new(value.at, problem).hint(FIELD_KEYS));
        }
    };
    for (key, value) in entries {
        match key.text().unwrap_or_default() {
            "subject" => field.subject = subject(&field.pointer, value)?,
            "erased" => field.replacement = Some(json_text(&literal_value(value)?).into()),
            other => {
                let problem = format!("a personal field has no key `{other}`");
                return Err(Refusal::new(key.at, problem).hint(FIELD_KEYS));
            }
        }
    }
    Ok(field)
}

fn subject(of: &Pattern, node: &Node) -> Parsed<SubjectSource> {
    let (mut text, mut named) = (None, None);
    match &node.kind {
        Kind::Scalar { .. } => text = Some(node),
        Kind::Map(entries) => {
            for (key, value) in entries {
                match key.text().unwrap_or_default() {
                    "pointer" => text = Some(value),
                    "category" => named = Some(category(value)?.into()),
                    other => {
                        let problem = format!("a subject has no key `{other}`");
                        return Err(Refusal::new(key.at, problem).hint(SUBJECT_KEYS));
                    }
                }
            }
        }
        Kind::List(_) => {}
    }
    let Some(text) = text else {
        let problem = "the pointer to the subject is missing";
        return Err(Refusal::new(node.at, problem).hint(SUBJECT_KEYS));
    };
    let pointer = pattern(text.text().unwrap_or_default(), text.at)?;
    if let Some(problem) = untold(of, &pointer) {
        return Err(Refusal::new(text.at, problem));
    }
    Ok(SubjectSource::Named { pointer, category: named })
}

fn pattern(text: &str, at: Position) -> Parsed<Pattern> {
    Pattern::parse(text).map_err(|problem| {
        Refusal::new(at, format!("`{text}` is no pointer to a value: it {}", problem.prose()))
    })
}
