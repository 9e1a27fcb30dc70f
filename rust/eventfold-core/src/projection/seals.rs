//! Sealing the rows of a projection: what of their states and columns can be personal.
//!
//! A row holds personal values of one subject at most, and all of them are sealed for it one by
//! one, so that what is not personal of a row stays when its subject is erased.

use crate::envelope::uuid5;
use crate::error::CoreError;
use crate::fold::Marks;
use crate::json::scan::scan_value;
use crate::json::write::write_value;
use crate::privacy::{DataKey, Keys, Look, NONCE_BYTES, Place, Sealed, SubjectId, Whose};
use crate::value::{Absence, Map, Value};

use super::{ChangedRow, Column, ColumnType};

/// Before a value of a column that is sealed where it is somebody's: this one is nobody's.
const PLAIN: &str = "$plain:";

/// Where the sealed values of a row stand.
#[derive(Debug, Clone, Copy)]
pub struct RowPlace<'a> {
    /// The store.
    pub store_id: &'a [u8; 16],
    /// Number of the generation; 0: of a trial.
    pub generation_no: i64,
    /// Key of the row.
    pub key: &'a str,
}

/// What a text of a row comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowText {
    /// This, and whose values are in it.
    Open(Vec<u8>, Whose),
    /// The key of its subject was destroyed.
    Erased,
    /// The keys of this subject have to be brought first.
    Missing(SubjectId),
}

impl RowPlace<'_> {
    fn id(&self) -> [u8; 16] {
        let number = self.generation_no.to_be_bytes();
        uuid5(self.store_id, &[b"eventfold projection row 1\n", &number, self.key.as_bytes()])
    }

    /// Seals what is personal of a row. `columns`: which of its columns are sealed. `key`: that of
    /// the subject whose values are in it; `None`: it was destroyed, and they are left out.
    pub fn seal(
        &self,
        row: &mut ChangedRow,
        marks: &Marks,
        columns: &[bool],
        key: Option<&DataKey>,
        nonces: &mut dyn FnMut() -> [u8; NONCE_BYTES],
    ) -> Result<(), CoreError> {
        let (id, whose) = (self.id(), row.whose);
        let mut seal = |path: &str, text: &[u8]| -> Result<Option<String>, CoreError> {
            let place = Place { store_id: self.store_id, event_id: &id, path };
            key.map(|key| key.seal(&place, text, nonces())).transpose()
        };
        if whose != Whose::Nobody && !marks.is_empty() {
            let state = scanned(&row.state)?;
            let sealed = marks.replace(&state, &mut |pointer, value| {
                if value.absence().is_some() {
                    return Ok(value.clone());
                }
                let text = seal(&format!("state{pointer}"), &written(value)?)?;
                Ok(text.map_or(Value::Absent(Absence::Erased), Value::string))
            })?;
            row.state = written(&sealed)?;
        }
        for (place, text) in row.columns.iter_mut().enumerate() {
            if let Some(plain) = text.as_mut().filter(|_| columns.get(place) == Some(&true)) {
                *text = match whose {
                    Whose::Nobody => Some(format!("{PLAIN}{plain}")),
                    _ => seal(&column_path(place), plain.as_bytes())?,
                };
            }
        }
        Ok(())
    }

    /// The state of a row as it is folded on, from how it is stored.
    pub fn open_state(
        &self,
        text: &[u8],
        marks: &Marks,
        keys: &dyn Keys,
    ) -> Result<RowText, CoreError> {
        if marks.is_empty() {
            return Ok(RowText::Open(text.to_vec(), Whose::Nobody));
        }
        let (id, mut whose, mut missing) = (self.id(), Whose::Nobody, None);
        let opened = marks.replace(&scanned(text)?, &mut |pointer, value| {
            let sealed = value.as_str().and_then(|text| Sealed::parse(text.as_bytes()));
            let Some(sealed) = sealed else { return Ok(value.clone()) };
            let subject = sealed.subject;
            match keys.look(&subject, sealed.version) {
                Look::Erased | Look::Lost => Ok(Value::Absent(Absence::Erased)),
                Look::Missing => {
                    missing = Some(subject);
                    Ok(Value::Null)
                }
                Look::Key(key) => {
                    let path = format!("state{pointer}");
                    let place = Place { store_id: self.store_id, event_id: &id, path: &path };
                    // Else it is text of before, which only looks sealed.
                    let Some(text) = key.open(&place, sealed) else { return Ok(value.clone()) };
                    whose = whose.with(Whose::One(subject));
                    scanned(&text)
                }
            }
        })?;
        if let Some(subject) = missing {
            return Ok(RowText::Missing(subject));
        }
        Ok(RowText::Open(written(&opened)?, whose))
    }

    /// The text of a column, told by its place, from how it is stored.
    pub fn open_column(
        &self,
        column: usize,
        text: &str,
        keys: &dyn Keys,
    ) -> Result<RowText, CoreError> {
        if let Some(plain) = text.strip_prefix(PLAIN) {
            return Ok(RowText::Open(plain.as_bytes().to_vec(), Whose::Nobody));
        }
        let corrupt = || CoreError::new("EVENT_CORRUPT", "a sealed column is not what was sealed");
        let sealed = Sealed::parse(text.as_bytes()).ok_or_else(corrupt)?;
        let subject = sealed.subject;
        let key = match keys.look(&subject, sealed.version) {
            Look::Key(key) => key,
            Look::Missing => return Ok(RowText::Missing(subject)),
            Look::Erased | Look::Lost => return Ok(RowText::Erased),
        };
        let (id, path) = (self.id(), column_path(column));
        let place = Place { store_id: self.store_id, event_id: &id, path: &path };
        let text = key.open(&place, sealed).ok_or_else(corrupt)?;
        Ok(RowText::Open(text, Whose::One(subject)))
    }
}

/// The columns of a row as somebody sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShownColumns {
    /// JSON object; `null` where a value is absent.
    pub json: Vec<u8>,
    /// Names of those that were erased.
    pub erased: Vec<String>,
    /// Names of those that may not be seen.
    pub withheld: Vec<String>,
    /// Subjects whose keys have to be brought first.
    pub missing: Vec<SubjectId>,
}

impl RowPlace<'_> {
    /// The columns of an answer, a JSON object, with those that are `sealed` opened; `None` for
    /// keys: they are withheld.
    pub fn show(
        &self,
        answer: &[u8],
        columns: &[Column],
        sealed: &[String],
        keys: Option<&dyn Keys>,
    ) -> Result<ShownColumns, CoreError> {
        let Value::Map(answer) = scanned(answer)? else {
            return Err(CoreError::new("BUG", "the columns of a row are no object"));
        };
        let mut found = ShownColumns::default();
        let mut shown = Map::with_capacity(answer.len());
        for (key, value) in answer.iter() {
            let name = key.to_text();
            let place = columns.iter().position(|column| *column.name == *name);
            let place = place.filter(|_| sealed.iter().any(|sealed| **sealed == *name));
            let value = match (place, value.as_str()) {
                (Some(place), Some(text)) => {
                    self.shown(place, &columns[place], text, keys, &mut found)?
                }
                _ => value.clone(),
            };
            shown.insert(key.clone(), value);
        }
        found.json = written(&Value::map(shown))?;
        Ok(found)
    }

    fn shown(
        &self,
        place: usize,
        column: &Column,
        text: &str,
        keys: Option<&dyn Keys>,
        found: &mut ShownColumns,
    ) -> Result<Value, CoreError> {
        let name = || column.name.clone();
        let Some(keys) = keys else {
            found.withheld.push(name());
            return Ok(Value::Null);
        };
        match self.open_column(place, text, keys)? {
            RowText::Open(text, _) => column_value(column.kind, &text),
            RowText::Erased => {
                found.erased.push(name());
                Ok(Value::Null)
            }
            RowText::Missing(subject) => {
                found.missing.push(subject);
                Ok(Value::Null)
            }
        }
    }
}

/// The value in an answer of a column, from the text that would be cast to its type.
fn column_value(kind: ColumnType, text: &[u8]) -> Result<Value, CoreError> {
    match kind {
        ColumnType::Text | ColumnType::Uuid | ColumnType::Date | ColumnType::Timestamptz => {
            let text = std::str::from_utf8(text);
            text.map(Value::from).map_err(|_| CoreError::new("BUG", "a column is no text"))
        }
        ColumnType::TextArray => Ok(Value::list(items(&String::from_utf8_lossy(text)))),
        _ => scanned(text),
    }
}

/// The items of the literal of an array, all of which are quoted.
fn items(literal: &str) -> Vec<Value> {
    let (mut items, mut item, mut is_inside) = (Vec::new(), String::new(), false);
    let mut chars = literal.chars();
    while let Some(next) = chars.next() {
        match next {
            '"' if is_inside => {
                items.push(Value::string(std::mem::take(&mut item)));
                is_inside = false;
            }
            '"' => is_inside = true,
            '\\' if is_inside => item.extend(chars.next()),
            next if is_inside => item.push(next),
            _ => {}
        }
    }
    items
}

fn column_path(column: usize) -> String {
    format!("column/{column}")
}

fn scanned(text: &[u8]) -> Result<Value, CoreError> {
    scan_value(text).map_err(|_| CoreError::new("BUG", "the state of a row is not valid JSON"))
}

fn written(value: &Value) -> Result<Vec<u8>, CoreError> {
    let mut text = Vec::new();
    write_value(value, &mut text).map_err(|error| CoreError::new("BUG", error.message))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Column, ColumnType, RowPlace, RowText, items};
    use crate::cel::marks::Mark;
    use crate::fold::Marks;
    use crate::privacy::{DataKey, Keys, Look, SubjectId, Whose};
    use crate::projection::ChangedRow;

    struct One(Look);

    impl Keys for One {
        fn look(&self, _: &SubjectId, _: u32) -> Look {
            self.0.clone()
        }
    }

    const PLACE: RowPlace<'_> = RowPlace { store_id: &[1; 16], generation_no: 3, key: "a-1" };

    fn marks() -> Marks {
        let mut mark = Mark::default();
        mark.put(&[Some("name".into())], &Mark::whole());
        mark.put(&[Some("tags".into()), None], &Mark::whole());
        Marks::new(mark)
    }

    fn row(whose: Whose) -> ChangedRow {
        ChangedRow {
            key: "a-1".to_owned(),
            state: br#"{"n":1.50,"name":"Ada","tags":["x",2]}"#.to_vec(),
            shown: true,
            version: 1,
            position: 1,
            columns: vec![Some("Ada".to_owned()), Some("1.50".to_owned()), None],
            whose,
        }
    }

    fn columns() -> Vec<Column> {
        let column = |name: &str, kind| Column { name: name.to_owned(), kind, plaintext: false };
        vec![
            column("name", ColumnType::Text),
            column("n", ColumnType::Numeric),
            column("none", ColumnType::Text),
        ]
    }

    fn sealed(whose: Whose, key: Option<&DataKey>) -> ChangedRow {
        let mut row = row(whose);
        let mut next = 0;
        let mut nonces = || {
            next += 1;
            [next; 12]
        };
        PLACE.seal(&mut row, &marks(), &[true, false, true], key, &mut nonces).unwrap();
        row
    }

    #[test]
    fn what_is_personal_of_a_row_is_sealed_part_by_part_and_opened_again() {
        let key = Arc::new(DataKey::new([7; 16], 1, &[9; 32]).unwrap());
        let stored = sealed(Whose::One([7; 16]), Some(&key));
        let text = String::from_utf8(stored.state.clone()).unwrap();
        assert!(text.starts_with(r#"{"n":1.50,"name":"$sealed:1:"#) && !text.contains("Ada"));
        assert!(stored.columns[0].as_ref().unwrap().starts_with("$sealed:1:"));
        assert_eq!(stored.columns[1..], [Some("1.50".to_owned()), None]);
        let here = One(Look::Key(Arc::clone(&key)));
        let opened = PLACE.open_state(&stored.state, &marks(), &here).unwrap();
        let whose = Whose::One([7; 16]);
        assert_eq!(opened, RowText::Open(row(whose).state, whose));
        let gone = PLACE.open_state(&stored.state, &marks(), &One(Look::Erased)).unwrap();
        let state = br#"{"n":1.50,"name":erased,"tags":[erased,erased]}"#.to_vec();
        assert_eq!(gone, RowText::Open(state, Whose::Nobody));
        let missing = PLACE.open_state(&stored.state, &marks(), &One(Look::Missing)).unwrap();
        assert_eq!(missing, RowText::Missing([7; 16]));
    }

    #[test]
    fn columns_are_shown_to_who_may_see_them() {
        let key = Arc::new(DataKey::new([7; 16], 1, &[9; 32]).unwrap());
        let stored = sealed(Whose::One([7; 16]), Some(&key));
        let name = stored.columns[0].as_ref().unwrap();
        let answer = format!(r#"{{"name":"{name}","n":1.50,"none":null}}"#);
        let show = |keys: Option<&dyn Keys>| {
            let sealed = ["name".to_owned(), "none".to_owned()];
            PLACE.show(answer.as_bytes(), &columns(), &sealed, keys).unwrap()
        };
        let text = |found: &super::ShownColumns| String::from_utf8(found.json.clone()).unwrap();
        let open = show(Some(&One(Look::Key(key))));
        assert_eq!(text(&open), r#"{"name":"Ada","n":1.50,"none":null}"#);
        let erased = show(Some(&One(Look::Erased)));
        assert_eq!(
            (text(&erased).as_str(), erased.erased),
            (r#"{"name":null,"n":1.50,"none":null}"#, vec!["name".to_owned()])
        );
        assert_eq!(show(None).withheld, ["name"]);
    }

    #[test]
    fn a_row_of_nobody_is_not_sealed_and_one_of_somebody_erased_is_without() {
        let stored = sealed(Whose::Nobody, None);
        assert_eq!(stored.state, row(Whose::Nobody).state);
        assert_eq!(stored.columns[0].as_deref(), Some("$plain:Ada"));
        let stored = sealed(Whose::One([7; 16]), None);
        assert_eq!(stored.state, br#"{"n":1.50,"name":erased,"tags":[erased,erased]}"#);
        assert_eq!(stored.columns[0], None);
    }

    #[test]
    fn items_of_arrays_are_read_back() {
        let texts: Vec<String> = items(r#"{"a","b\"c\\",""}"#)
            .iter()
            .map(|one| one.as_str().unwrap().to_owned())
            .collect();
        assert_eq!(texts, ["a", "b\"c\\", ""]);
    }
}
