//! Errors as the database keeps them.

use eventfold_core::error::CoreError;
use eventfold_core::json::write::write_string;

/// The error as JSON: reason, message, and an object of facts.
pub(super) fn error_json(error: &CoreError) -> String {
    let mut out = b"{\"reason\":".to_vec();
    write_text(error.reason, &mut out);
    out.extend_from_slice(b",\"message\":");
    write_text(&error.message, &mut out);
    out.extend_from_slice(b",\"facts\":{");
    for (index, (name, value)) in error.facts.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(name, &mut out);
        out.push(b':');
        write_text(value, &mut out);
    }
    out.extend_from_slice(b"}}");
    String::from_utf8_lossy(&out).into_owned()
}

/// PostgreSQL's JSON knows no NUL.
fn write_text(text: &str, out: &mut Vec<u8>) {
    if text.contains('\0') {
        write_string(&text.replace('\0', "\u{fffd}"), out);
    } else {
        write_string(text, out);
    }
}

#[cfg(test)]
mod tests {
    use super::{CoreError, error_json};

    #[test]
    fn errors_are_json_that_postgresql_takes() {
        let error =
            CoreError::new("FOLD_FAILED", "say \"no\"").fact("path", "a\0b").fact("version", 3);
        assert_eq!(
            error_json(&error),
            "{\"reason\":\"FOLD_FAILED\",\"message\":\"say \\\"no\\\"\",\
             \"facts\":{\"path\":\"a\u{fffd}b\",\"version\":\"3\"}}"
        );
        assert_eq!(
            error_json(&CoreError::new("BUG", "")),
            r#"{"reason":"BUG","message":"","facts":{}}"#
        );
    }
}
