//! Names of streams, types and tags: each rule by example, at its edges.

use eventfold_core::error::CoreError;
use eventfold_core::names::{
    check_event_type, check_readable_stream_name, check_stream_name, check_tags, split_stream_name,
};

fn problem<T: std::fmt::Debug>(result: Result<T, CoreError>) -> (&'static str, String) {
    let error = result.expect_err("it must be refused");
    let problem = error.facts.iter().find(|(name, _)| *name == "problem");
    (error.reason, problem.expect("a problem").1.clone())
}

/// The tags that pass.
fn checked<S: AsRef<str>>(tags: &[S]) -> Result<Vec<&str>, CoreError> {
    check_tags(tags.iter().map(AsRef::as_ref).collect())
}

#[test]
fn stream_names_that_pass() {
    let longest = format!("a-{}", "x".repeat(253));
    let wide = format!("{}-1", "C".repeat(64));
    for (name, category) in [
        ("account-1", "account"),
        ("A_9-b-c--", "A_9"),
        ("u-ü €😀", "u"),
        ("c--", "c"),
        ("c-$x", "c"),
        (longest.as_str(), "a"),
        (wide.as_str(), &wide[..64]),
    ] {
        assert_eq!(check_stream_name(name), Ok(category));
    }
    assert_eq!(split_stream_name("a-b-c"), Some(("a", "b-c")));
    assert_eq!(split_stream_name("$audit"), None);
}

#[test]
fn stream_names_that_do_not() {
    let too_long = format!("a-{}", "x".repeat(254));
    let too_wide = format!("{}-1", "C".repeat(65));
    for (name, expected) in [
        ("", "empty"),
        ("$", "reserved"),
        ("$audit-1", "reserved"),
        (too_long.as_str(), "too_long"),
        ("a-b\n", "control_character"),
        ("a-\u{7f}", "control_character"),
        ("a-\u{85}", "control_character"),
        ("a\0-b", "control_character"),
        ("account", "no_hyphen"),
        ("-1", "empty_category"),
        ("ä-1", "category_character"),
        ("a b-1", "category_character"),
        (too_wide.as_str(), "category_too_long"),
        ("a-", "empty_id"),
    ] {
        let refused = problem(check_stream_name(name));
        assert_eq!(refused, ("INVALID_STREAM_NAME", expected.to_owned()), "{name:?}");
    }
    let error = check_stream_name(&too_long).unwrap_err();
    assert!(error.facts.contains(&("actual", "256".to_owned())));
}

#[test]
fn names_of_the_system_can_be_read() {
    assert_eq!(check_readable_stream_name("$audit"), Ok("$audit"));
    assert_eq!(check_readable_stream_name("$x-1"), Ok("$x"));
    assert_eq!(check_readable_stream_name("a-1"), Ok("a"));
    assert!(check_readable_stream_name("$a\n").is_err());
    assert!(check_readable_stream_name("a").is_err());
}

#[test]
fn event_types() {
    for name in ["A", "MoneyDeposited", "ü 1", &"x".repeat(128)] {
        assert_eq!(check_event_type(name), Ok(()));
    }
    for (name, expected) in [
        ("", "empty"),
        ("$Closed", "reserved"),
        (&*"x".repeat(129), "too_long"),
        ("a\tb", "control_character"),
    ] {
        let refused = problem(check_event_type(name));
        assert_eq!(refused, ("INVALID_EVENT_TYPE", expected.to_owned()), "{name:?}");
    }
}

#[test]
fn tags_are_a_sorted_set() {
    assert_eq!(checked(&["b", "a", "B", "a", "ä"]), Ok(vec!["B", "a", "b", "ä"]));
    assert_eq!(checked::<&str>(&[]), Ok(vec![]));
    assert_eq!(checked(&["x".repeat(128)]).map(|tags| tags.len()), Ok(1));
    let many: Vec<String> = (0..65).map(|number| number.to_string()).collect();
    assert_eq!(checked(&many[..64]).map(|tags| tags.len()), Ok(64));
    for (tags, expected) in [
        (many.as_slice(), "too_many"),
        (&["a".into(), String::new()], "empty"),
        (&["x".repeat(129)], "too_long"),
        (&["a\u{9f}".into()], "control_character"),
    ] {
        assert_eq!(problem(checked(tags)), ("INVALID_TAG", expected.to_owned()));
    }
    let error = checked(&["a", ""]).unwrap_err();
    assert!(error.facts.contains(&("tag_index", "1".to_owned())));
}
