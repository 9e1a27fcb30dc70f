//! Names: streams, event types and tags.

use crate::error::CoreError;
use crate::limits::{
    CATEGORY_CHARS_MAX, EVENT_TAGS_MAX, EVENT_TYPE_BYTES_MAX, STREAM_NAME_BYTES_MAX, TAG_BYTES_MAX,
};

/// Splits a stream name at its first `-` into category and id. `None` without a `-`, as in names
/// of the system.
pub fn split_stream_name(name: &str) -> Option<(&str, &str)> {
    name.split_once('-')
}

/// The category of a stream: the text before the first `-`; of a name of the system all of it.
pub fn category(name: &str) -> &str {
    split_stream_name(name).map_or(name, |(category, _)| category)
}

/// Checks the name of a stream that a client appends to; returns its category.
///
/// Refused with INVALID_STREAM_NAME, whose `problem` is one of `empty`, `reserved`, `too_long`,
/// `control_character`, `no_hyphen`, `empty_category`, `category_too_long`, `category_character`,
/// `empty_id`, in this order.
pub fn check_stream_name(name: &str) -> Result<&str, CoreError> {
    if name.starts_with('$') {
        return Err(invalid_stream(
            "reserved",
            "stream names that start with `$` are the server's own",
        ));
    }
    check_stream_text(name)?;
    let Some((category, id)) = split_stream_name(name) else {
        let message = "a stream name is `category-id`: it needs a `-`";
        return Err(invalid_stream("no_hyphen", message));
    };
    if category.is_empty() {
        let message = "the category, the text before the first `-`, is empty";
        return Err(invalid_stream("empty_category", message));
    }
    if !category.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        let message = "a category has only the characters A-Z, a-z, 0-9 and `_`";
        return Err(invalid_stream("category_character", message));
    }
    if category.len() > CATEGORY_CHARS_MAX {
        let message = format!(
            "the category has {} characters; at most {CATEGORY_CHARS_MAX} are allowed",
            category.len()
        );
        return Err(invalid_stream("category_too_long", message)
            .fact("limit", CATEGORY_CHARS_MAX)
            .fact("actual", category.len()));
    }
    if id.is_empty() {
        let message = "the id, the text after the first `-`, is empty";
        return Err(invalid_stream("empty_id", message));
    }
    Ok(category)
}

/// Checks the name of a stream that is only read: names of the system are allowed too.
pub fn check_readable_stream_name(name: &str) -> Result<&str, CoreError> {
    if !name.starts_with('$') {
        return check_stream_name(name);
    }
    check_stream_text(name)?;
    Ok(split_stream_name(name).map_or(name, |(category, _)| category))
}

fn check_stream_text(name: &str) -> Result<(), CoreError> {
    if name.is_empty() {
        return Err(invalid_stream("empty", "the stream name is empty"));
    }
    if name.len() > STREAM_NAME_BYTES_MAX {
        let message = format!(
            "the stream name has {} bytes; at most {STREAM_NAME_BYTES_MAX} are allowed",
            name.len()
        );
        return Err(invalid_stream("too_long", message)
            .fact("limit", STREAM_NAME_BYTES_MAX)
            .fact("actual", name.len()));
    }
    if has_control(name) {
        let message = "the stream name holds a control character";
        return Err(invalid_stream("control_character", message));
    }
    Ok(())
}

fn invalid_stream(problem: &'static str, message: impl Into<String>) -> CoreError {
    CoreError::new("INVALID_STREAM_NAME", message).fact("problem", problem)
}

/// Checks an event type that a client appends.
///
/// Refused with INVALID_EVENT_TYPE, whose `problem` is one of `empty`, `reserved`, `too_long`,
/// `control_character`.
pub fn check_event_type(name: &str) -> Result<(), CoreError> {
    let refuse = |problem: &'static str, message: String| {
        Err(CoreError::new("INVALID_EVENT_TYPE", message).fact("problem", problem))
    };
    if name.is_empty() {
        return refuse("empty", "the event type is empty".into());
    }
    if name.starts_with('$') {
        let message = "event types that start with `$` are the server's own";
        return refuse("reserved", message.into());
    }
    if name.len() > EVENT_TYPE_BYTES_MAX {
        let message = format!(
            "the event type has {} bytes; at most {EVENT_TYPE_BYTES_MAX} are allowed",
            name.len()
        );
        return refuse("too_long", message)
            .map_err(|error| error.fact("limit", EVENT_TYPE_BYTES_MAX).fact("actual", name.len()));
    }
    if has_control(name) {
        return refuse("control_character", "the event type holds a control character".into());
    }
    Ok(())
}

/// Checks the tags of one event, and returns them sorted bytewise and without repetitions.
///
/// Refused with INVALID_TAG, whose `problem` is one of `too_many`, `empty`, `too_long`,
/// `control_character`. Repetitions count towards the limit, so that it bounds the work.
pub fn check_tags<S: AsRef<str>>(tags: &[S]) -> Result<Vec<&str>, CoreError> {
    if tags.len() > EVENT_TAGS_MAX {
        let message =
            format!("the event has {} tags; at most {EVENT_TAGS_MAX} are allowed", tags.len());
        return Err(CoreError::new("INVALID_TAG", message)
            .fact("problem", "too_many")
            .fact("limit", EVENT_TAGS_MAX)
            .fact("actual", tags.len()));
    }
    for (index, tag) in tags.iter().enumerate() {
        check_tag(tag.as_ref()).map_err(|error| error.fact("tag_index", index))?;
    }
    let mut sorted: Vec<&str> = tags.iter().map(AsRef::as_ref).collect();
    sorted.sort_unstable();
    sorted.dedup();
    Ok(sorted)
}

fn check_tag(tag: &str) -> Result<(), CoreError> {
    let refuse = |problem: &'static str, message: String| {
        CoreError::new("INVALID_TAG", message).fact("problem", problem)
    };
    if tag.is_empty() {
        return Err(refuse("empty", "a tag is empty".into()));
    }
    if tag.len() > TAG_BYTES_MAX {
        let message = format!("a tag has {} bytes; at most {TAG_BYTES_MAX} are allowed", tag.len());
        return Err(refuse("too_long", message)
            .fact("limit", TAG_BYTES_MAX)
            .fact("actual", tag.len()));
    }
    if has_control(tag) {
        return Err(refuse("control_character", "a tag holds a control character".into()));
    }
    Ok(())
}

/// Whether a text holds a character of the Unicode category Cc.
fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}
