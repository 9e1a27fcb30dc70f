//! Functions on strings. Places are counted in characters (Unicode code points) from 0.

use crate::value::{Absence, List, Value};

use super::super::budget::Budget;
use super::super::error::Eval;
use super::super::operators::{check_text, failed};
use super::{Function, no_overload};

const OUTSIDE: &str = "the place lies outside the text";

pub(super) fn call(function: Function, args: &[Value], budget: &mut Budget<'_>) -> Eval<Value> {
    match args {
        [Value::String(text), ..] => {
            budget.spend_bytes(text.len())?;
            string(function, text, args, budget)
        }
        [Value::List(list)] if function == Function::Join => join(list, "", budget),
        [Value::List(list), Value::String(separator)] if function == Function::Join => {
            join(list, separator, budget)
        }
        _ => no_overload(function, args),
    }
}

fn string(function: Function, text: &str, args: &[Value], budget: &mut Budget<'_>) -> Eval<Value> {
    match (function, &args[1..]) {
        (Function::CharAt, [Value::Int(place)]) => char_at(text, *place),
        (Function::IndexOf, [Value::String(part)]) => find(text, part, 0, budget),
        (Function::IndexOf, [Value::String(part), Value::Int(from)]) => {
            find(text, part, *from, budget)
        }
        (Function::LastIndexOf, [Value::String(part)]) => find_last(text, part, None, budget),
        (Function::LastIndexOf, [Value::String(part), Value::Int(from)]) => {
            find_last(text, part, Some(*from), budget)
        }
        (Function::LowerAscii, []) => Ok(Value::string(text.to_ascii_lowercase())),
        (Function::UpperAscii, []) => Ok(Value::string(text.to_ascii_uppercase())),
        (Function::Replace, [Value::String(old), Value::String(new)]) => {
            replace(text, old, new, -1, budget)
        }
        (Function::Replace, [Value::String(old), Value::String(new), Value::Int(limit)]) => {
            replace(text, old, new, *limit, budget)
        }
        (Function::Split, [Value::String(separator)]) => split(text, separator, -1, budget),
        (Function::Split, [Value::String(separator), Value::Int(limit)]) => {
            split(text, separator, *limit, budget)
        }
        (Function::Substring, [Value::Int(from)]) => substring(text, *from, None),
        (Function::Substring, [Value::Int(from), Value::Int(to)]) => {
            substring(text, *from, Some(*to))
        }
        (Function::Trim, []) => Ok(Value::from(text.trim_matches(is_blank))),
        (Function::Reverse, []) => Ok(Value::string(text.chars().rev().collect::<String>())),
        (Function::Quote, []) => quote(text, budget),
        _ => no_overload(function, args),
    }
}

/// White space as CEL's `trim` knows it; `char::is_whitespace` has the same characters.
fn is_blank(character: char) -> bool {
    character.is_whitespace()
}

/// The byte offset of a character's place; the end is a place.
fn byte_offset(text: &str, place: i64) -> Option<usize> {
    let place = usize::try_from(place).ok()?;
    if text.is_ascii() {
        return (place <= text.len()).then_some(place);
    }
    text.char_indices().map(|(offset, _)| offset).chain([text.len()]).nth(place)
}

fn chars(text: &str) -> i64 {
    // Lengths of texts in memory fit.
    text.chars().count() as i64
}

fn char_at(text: &str, place: i64) -> Eval<Value> {
    match byte_offset(text, place) {
        Some(offset) => {
            let character = text[offset..].chars().next();
            Ok(Value::string(character.map(String::from).unwrap_or_default()))
        }
        None => failed(OUTSIDE),
    }
}

/// Takes the steps of a search, which in the worst case compares at every place.
fn spend_search(text: &str, part: &str, budget: &mut Budget<'_>) -> Eval<()> {
    budget.spend_bytes(text.len() + part.len())
}

fn find(text: &str, part: &str, from: i64, budget: &mut Budget<'_>) -> Eval<Value> {
    spend_search(text, part, budget)?;
    let Some(offset) = byte_offset(text, from) else {
        // Looking from beyond the end finds nothing; from before the begin is a mistake.
        return if from < 0 { failed(OUTSIDE) } else { Ok(Value::Int(-1)) };
    };
    let found = text[offset..].find(part);
    Ok(Value::Int(found.map_or(-1, |found| from + chars(&text[offset..offset + found]))))
}

fn find_last(text: &str, part: &str, from: Option<i64>, budget: &mut Budget<'_>) -> Eval<Value> {
    spend_search(text, part, budget)?;
    let last_start = match from {
        None => text.len(),
        Some(from) => match byte_offset(text, from) {
            Some(offset) => offset,
            None if from < 0 => return failed(OUTSIDE),
            None => return Ok(Value::Int(-1)),
        },
    };
    // A match may begin at the last place, so its text ends later.
    let mut end = last_start.saturating_add(part.len()).min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let found = text[..end].rfind(part);
    Ok(Value::Int(found.map_or(-1, |found| chars(&text[..found]))))
}

fn replace(text: &str, old: &str, new: &str, limit: i64, budget: &mut Budget<'_>) -> Eval<Value> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    budget.spend_bytes(text.len())?;
    let count = if old.is_empty() { text.chars().count() + 1 } else { text.matches(old).count() };
    let count = count.min(limit);
    let kept = text.len() - old.len() * count;
    check_text(kept.saturating_add(new.len().saturating_mul(count)), budget)?;
    budget.spend(count)?;
    Ok(Value::string(text.replacen(old, new, limit)))
}

fn split(text: &str, separator: &str, limit: i64, budget: &mut Budget<'_>) -> Eval<Value> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if limit == 0 {
        return Ok(Value::List(List::default()));
    }
    let mut parts = Vec::new();
    let mut rest = text;
    while parts.len() + 1 < limit {
        // Without a separator every character is a part.
        let cut = if separator.is_empty() {
            rest.chars().next().map(char::len_utf8).filter(|length| *length < rest.len())
        } else {
            rest.find(separator)
        };
        let Some(cut) = cut else {
            break;
        };
        budget.step()?;
        parts.push(Value::from(&rest[..cut]));
        rest = &rest[cut + separator.len()..];
    }
    if !(separator.is_empty() && text.is_empty()) {
        parts.push(Value::from(rest));
    }
    Ok(Value::list(parts))
}

fn substring(text: &str, from: i64, to: Option<i64>) -> Eval<Value> {
    let start = byte_offset(text, from);
    let end = to.map_or(Some(text.len()), |to| byte_offset(text, to));
    match (start, end) {
        (Some(start), Some(end)) if start <= end => Ok(Value::from(&text[start..end])),
        _ => failed(OUTSIDE),
    }
}

fn join(list: &List, separator: &str, budget: &mut Budget<'_>) -> Eval<Value> {
    let mut length = separator.len().saturating_mul(list.len().saturating_sub(1));
    for item in list {
        budget.step()?;
        match item {
            Value::String(text) => length = length.saturating_add(text.len()),
            Value::Absent(absence) => {
                let all = Absence::among(list);
                return Ok(Value::Absent(all.unwrap_or(*absence)));
            }
            other => {
                return failed(format!("`join` takes strings, not {}", other.type_name()));
            }
        }
    }
    check_text(length, budget)?;
    let mut joined = String::with_capacity(length);
    for (index, text) in list.iter().filter_map(Value::as_str).enumerate() {
        if index > 0 {
            joined.push_str(separator);
        }
        joined.push_str(text);
    }
    Ok(Value::string(joined))
}

fn quote(text: &str, budget: &mut Budget<'_>) -> Eval<Value> {
    check_text(text.len().saturating_mul(2) + 2, budget)?;
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            '\\' => quoted.push_str("\\\\"),
            '"' => quoted.push_str("\\\""),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    Ok(Value::string(quoted))
}
