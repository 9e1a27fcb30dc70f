//! Projection documents: what is accepted, what is refused and where, and what the digest covers.

use eventfold_core::error::CoreError;
use eventfold_core::limits::{
    PROJECTION_CATEGORIES_MAX, PROJECTION_COLUMNS_MAX, PROJECTION_INDEX_COLUMNS_MAX,
    PROJECTION_INDEXES_MAX, PROJECTION_SOURCE_BYTES_MAX,
};
use eventfold_core::projection::{Column, ColumnType, KeyKind, Projection, fold_name};

const USERS: &str = r#"# Users that are old enough
projection: adult_users
source: {categories: [User], types: [UserRenamed, UserRegistered]}
initial: {bornOn: null}
handlers:
  UserRegistered: {name: event.name, bornOn: event.bornOn}
  UserRenamed: {name: event.name}
  UserLeft: delete
where: "state.bornOn != null"
columns:
  name: text
  born_on: {type: date, value: "state.bornOn"}
indexes: [[born_on], [name, born_on]]
"#;

const FOLD: &str = "fold: user\nhandlers: {UserRegistered: {name: event.name}}\n";

fn parse(source: &str) -> Projection {
    Projection::parse(source, None)
        .unwrap_or_else(|error| panic!("{source}\n{error} {:?}", error.facts))
}

fn refuse(source: &str) -> CoreError {
    match Projection::parse(source, Some(FOLD)) {
        Ok(_) => panic!("must be refused:\n{source}"),
        Err(error) => error,
    }
}

fn fact<'a>(error: &'a CoreError, name: &str) -> &'a str {
    error.facts.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
}

/// The document with one text in the place of another.
fn with(old: &str, new: &str) -> String {
    assert!(USERS.contains(old), "{old}");
    USERS.replacen(old, new, 1)
}

/// Asserts that the document is refused when it is changed so, where `at` of it begins.
fn refused(old: &str, new: &str, at: &str, path: &str, problem: &str) {
    let source = with(old, new);
    let offset = source.find(at).unwrap_or_else(|| panic!("{at} is not in it"));
    let line = source[..offset].matches('\n').count() + 1;
    let column = offset - source[..offset].rfind('\n').map_or(0, |newline| newline + 1) + 1;
    let error = refuse(&source);
    assert_eq!(error.reason, "INVALID_PROJECTION", "{source}\n{error}");
    let found = (fact(&error, "line"), fact(&error, "column"), fact(&error, "path"));
    assert_eq!(found, (&*line.to_string(), &*column.to_string(), path), "{source}\n{error}");
    assert!(fact(&error, "problem").contains(problem), "{error} lacks `{problem}`");
    assert!(fact(&error, "excerpt").ends_with('^'), "{error:?}");
}

#[test]
fn what_a_document_says() {
    let projection = parse(USERS);
    assert_eq!(projection.name(), "adult_users");
    assert_eq!(projection.categories(), Some(&["User".to_owned()][..]));
    // In the order of the fold, without what the source leaves out.
    assert_eq!(projection.types(), ["UserRegistered", "UserRenamed"]);
    let column = |name: &str, kind| Column { name: name.to_owned(), kind, plaintext: false };
    let columns = [column("name", ColumnType::Text), column("born_on", ColumnType::Date)];
    assert_eq!(projection.columns(), columns);
    assert_eq!(projection.indexes(), [vec!["born_on"], vec!["name", "born_on"]]);
    assert_eq!((projection.key(), projection.parks()), (KeyKind::Root, false));
    assert_eq!(fold_name(USERS), Ok(None));

    let named = "projection: p\nfold: user\nkey: meta.stream\ncolumns: {name: text}\n\
                 on_error: park";
    let projection = Projection::parse(named, Some(FOLD)).unwrap();
    assert_eq!(
        (projection.categories(), projection.types()),
        (None, &["UserRegistered".into()][..])
    );
    assert_eq!((projection.key(), projection.parks()), (KeyKind::Stream, true));
    assert_eq!(fold_name(named), Ok(Some("user".to_owned())));
    let json = r#"{"projection": "p", "handlers": {"A": {}}, "key": "event.a",
                   "columns": {"in": "text", "b2_": {"type": "numeric(12,2)"}}}"#;
    assert_eq!(parse(json).key(), KeyKind::Expression);
    let written = parse(&with("[User]", "[User, A_1]"));
    assert_eq!(written.categories(), Some(&["A_1".to_owned(), "User".to_owned()][..]));
}

#[test]
fn types_of_columns() {
    for (name, sql) in [
        ("text", "text COLLATE \"C\""),
        ("boolean", "boolean"),
        ("integer", "integer"),
        ("bigint", "bigint"),
        ("numeric", "numeric"),
        ("numeric(1,0)", "numeric(1,0)"),
        ("numeric(1000, 1000)", "numeric(1000,1000)"),
        ("double precision", "double precision"),
        ("date", "date"),
        ("timestamptz", "timestamptz"),
        ("uuid", "uuid"),
        ("jsonb", "jsonb"),
        ("text[]", "text[] COLLATE \"C\""),
    ] {
        let kind = ColumnType::parse(name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(kind.sql(), sql);
        assert_eq!(ColumnType::parse(&kind.to_string()), Some(kind));
    }
    for bad in [
        "",
        "Text",
        "int",
        "varchar(3)",
        "numeric(0,0)",
        "numeric(1001,0)",
        "numeric(2,3)",
        "numeric(2,-1)",
        "numeric(+2,1)",
        "numeric(2)",
        "numeric(2,1",
        "text[][]",
        "text; DROP TABLE x",
        "timestamp",
    ] {
        assert_eq!(ColumnType::parse(bad), None, "{bad}");
    }
}

#[test]
fn refusals_name_their_place() {
    refused("adult_users", "Adult", "Adult", "", "1 to 48");
    refused("adult_users", &"a".repeat(49), &"a".repeat(49), "", "1 to 48");
    refused("adult_users", "'a\"b'", "'a\"b'", "", "begins with a letter");
    refused("on: adult_users", "on_: x", "projection_", "", "no key `projection_`");
    refused("projection: adult_users\n", "", "source", "", "`projection`, its name, is missing");
    refused("[User]", "[]", "[]", "source", "list of 1 to 100");
    refused("[User]", "[User-1]", "User-1", "source", "a category has 1 to 64");
    refused("[User]", "[$audit]", "$audit", "source", "a category has 1 to 64");
    refused("[User]", "[A, A]", "A]", "source", "stands twice");
    refused("{categories", "{category: A, categories", "categories", "source", "together");
    refused("types:", "copies: some, types:", "some", "source", "`include` or `exclude`");
    refused("types:", "kinds:", "kinds", "source", "no key `kinds`");
    refused("UserRenamed,", "UserRenamd,", "UserRenamd,", "source", "no handler for `UserRenamd`");
    refused(
        "UserRenamed, User",
        "UserRenamed, UserRenamed, User",
        "UserRenamed, UserRegistered",
        "source",
        "stands twice",
    );
    refused("where: \"state.b", "where: \"event.b", "event.bornOn !=", "where", "event");
    refused("state.bornOn != null", "size(state)", "\"size(state)\"", "where", "true or false");
    refused("state.bornOn != null", "state.bornOn !=", "\"\ncol", "where", "");
    refused("name: text", "name: string", "string", "columns.name", "no such type");
    refused("name: text", "name: [text]", "[text]", "columns.name", "a column is a type");
    refused("name: text", "name: {value: a}", "{value: a}", "columns.name", "a column is a type");
    refused("name: text", "name: {kind: a}", "kind: a", "columns.name", "no key `kind`");
    refused("name: text", "Name: text", "Name: text", "columns.Name", "begins with a letter");
    refused("name: text", "key: text", "key: text", "columns.key", "is not `key`");
    for name in ["xmin", "xmax", "cmin", "cmax", "ctid", "tableoid"] {
        let path = format!("columns.{name}");
        refused("name: text", &format!("{name}: text"), &format!("{name}: text"), &path, "every");
    }
    let long = "n".repeat(64);
    let path = format!("columns.{long}");
    refused("name: text", &format!("{long}: text"), &long, &path, "1 to 63");
    refused("\"state.bornOn\"", "\"1 + 2\"", "\"1 + 2\"", "columns.born_on", "int does not fit");
    refused("\"state.bornOn\"", "\"now\"", "now", "columns.born_on", "now");
    refused("\"state.bornOn\"", "\"state.a / 2\"", "state.a / 2", "columns.born_on", "");
    refused("[[born_on]", "[[born]", "born]", "indexes", "no column `born`");
    refused("[[born_on]", "[[name, born_on]", "[name, born_on]]", "indexes", "already");
    refused("[[born_on]", "[[name, name]", "name]", "indexes", "stands twice");
    refused("[[born_on]", "[born_on", "born_on, [", "indexes", "list of 1 to 8");
    refused("name: text", "name: jsonb", "name, born_on]]", "indexes", "no order");
    refused("where", "on_error: skip\nwhere", "skip", "on_error", "`stop` or `park`");
    refused("where", "fold: user\nwhere", "fold: user", "", "holds none itself");
    refused("where", "key: \"[event.a]\"\nwhere", "\"[event.a]\"", "key", "a key is");
    refused("where", "key: \"event.\"\nwhere", "\"\nwhere", "key", "");
    refused("where", "key: \"state.a\"\nwhere", "state.a", "key", "state");
    refused(
        "where",
        "key: \"meta.stream_id\"\nskip_cancelled: true\nwhere",
        "\"meta.stream_id",
        "key",
        "cancels one of its own stream",
    );
    refused("columns:\n  name: text", "column: 1\ncolumns:\n  name: text", "column:", "", "no key");
    refused("columns:", "columns: {}\nx:", "{}", "columns", "1 to 100");
}

#[test]
fn what_is_missing() {
    for (source, problem) in [
        ("projection: p\nhandlers: {A: {}}", "`columns`"),
        ("projection: p\ncolumns: {a: text}", "`handlers`"),
        ("projection: p\ninitial: {}\ncolumns: {a: text}", "handles no event type"),
        ("projection: p\nsource: {types: []}\nhandlers: {A: {}}\ncolumns: {a: text}", "no event"),
        ("- a", "a projection document is a mapping"),
        ("", "empty"),
        ("projection: p\nprojection: p", "stands twice"),
    ] {
        let error = refuse(source);
        assert_eq!(error.reason, "INVALID_PROJECTION");
        assert!(error.message.contains(problem), "{error}");
    }
    for (lines, reason) in [
        ("handlers: {A: {'[': '1'}}", "INVALID_PROJECTION"),
        ("handlers: {A: {a: '1 +'}}", "INVALID_PROJECTION"),
    ] {
        let error = refuse(&format!("projection: p\n{lines}\ncolumns: {{a: text}}"));
        assert_eq!((error.reason, fact(&error, "handler")), (reason, "A"));
    }
    let long = format!("'{}'", "1".repeat(5_000));
    let error = refuse(&with("where: \"state.bornOn != null\"", &format!("where: {long}")));
    assert_eq!((error.reason, fact(&error, "path")), ("EXPRESSION_TOO_LONG", "where"));
}

#[test]
fn registered_folds() {
    let source = "projection: p\nfold: user\ncolumns: {name: text}\n";
    let missing = Projection::parse(source, None).unwrap_err();
    assert_eq!((missing.reason, fact(&missing, "fold")), ("FOLD_NOT_FOUND", "user"));
    let bad = Projection::parse(source, Some("fold: user\nhandlers: {A: {a: '1 +'}}"));
    assert_eq!(bad.unwrap_err().reason, "INVALID_FOLD");
    let other = Projection::parse(source, Some("fold: b\nhandlers: {A: {}}"));
    assert_eq!(other.unwrap_err().reason, "BUG");
    // A document that has its own does not look at another.
    assert!(Projection::parse(USERS, Some("")).is_ok());
}

#[test]
fn limits() {
    let columns = |count: usize| {
        let lines: String = (0..count).map(|index| format!("  c{index}: text\n")).collect();
        with("  name: text\n", &format!("  name: text\n{lines}"))
    };
    parse(&columns(PROJECTION_COLUMNS_MAX - 2));
    assert_eq!(refuse(&columns(PROJECTION_COLUMNS_MAX - 1)).reason, "INVALID_PROJECTION");

    let names = |count: usize| {
        let names: Vec<String> = (0..count).map(|index| format!("C{index}")).collect();
        with("[User]", &format!("[{}]", names.join(", ")))
    };
    parse(&names(PROJECTION_CATEGORIES_MAX));
    refuse(&names(PROJECTION_CATEGORIES_MAX + 1));

    let index = |count: usize| {
        let names: Vec<String> = (0..count).map(|index| format!("c{index}")).collect();
        columns(90).replace("[[born_on]", &format!("[[{}]", names.join(", ")))
    };
    parse(&index(PROJECTION_INDEX_COLUMNS_MAX));
    refuse(&index(PROJECTION_INDEX_COLUMNS_MAX + 1));
    let indexes = |count: usize| {
        let names: Vec<String> = (0..count).map(|index| format!("[c{index}]")).collect();
        columns(90).replace("[[born_on], [name, born_on]]", &format!("[{}]", names.join(", ")))
    };
    parse(&indexes(PROJECTION_INDEXES_MAX));
    refuse(&indexes(PROJECTION_INDEXES_MAX + 1));

    let long = |bytes: usize| format!("{USERS}#{}", "x".repeat(bytes - USERS.len() - 1));
    parse(&long(PROJECTION_SOURCE_BYTES_MAX));
    let error = refuse(&long(PROJECTION_SOURCE_BYTES_MAX + 1));
    assert_eq!(error.reason, "PROJECTION_TOO_LARGE");
    assert_eq!((fact(&error, "limit"), fact(&error, "actual")), ("65536", "65537"));
    assert_eq!(fold_name(&long(PROJECTION_SOURCE_BYTES_MAX + 1)).unwrap_err(), error);
}

#[test]
fn the_digest_covers_what_rows_depend_on() {
    let digest = parse(USERS).digest().to_owned();
    for (old, new) in [
        ("adult_users", "others"),
        ("# Users", "# People"),
        ("where:", "on_error: park\nwhere:"),
        ("where:", "key: meta . root\nwhere:"),
        ("[User]", "['User']"),
        ("categories: [User]", "category: User"),
        ("[UserRenamed, UserRegistered]", "[UserRegistered, UserRenamed]"),
        ("name: text", "name: {type: text}"),
        ("name: text", "name: {value: 'state.?name.orValue( null )', type: text}"),
        ("\"state.bornOn != null\"", "state.bornOn!=null"),
    ] {
        assert_eq!(parse(&with(old, new)).digest(), digest, "{old} to {new}");
    }
    let mut digests = vec![digest];
    for (old, new) in [
        ("where:", "key: meta.stream\nwhere:"),
        ("where:", "skip_cancelled: true\nwhere:"),
        ("[User]", "[User, Other]"),
        ("[User]", "[Users]"),
        ("[User]", "[User], copies: include"),
        ("[User]", "[User], copies: exclude"),
        ("[UserRenamed, UserRegistered]", "[UserRegistered]"),
        ("name: text", "nick: text"),
        ("name: text", "name: {type: text, value: state.name}"),
        ("type: date", "type: timestamptz"),
        ("!= null", "== null"),
        ("indexes: [[born_on], ", "indexes: ["),
        ("{bornOn: null}", "{bornOn: null, z: 1}"),
        ("{bornOn: null}", "{z: 1, bornOn: null}"),
        ("UserRenamed: {name: event.name}", "UserRenamed: {name: event.to}"),
    ] {
        let source = with(old, new)
            .replace("[name, born_on]", "[born_on]")
            .replace("[[born_on], [born_on]]", "[[born_on]]");
        let digest = parse(&source).digest().to_owned();
        assert!(!digests.contains(&digest), "{old} to {new}");
        digests.push(digest);
    }
}

#[test]
fn copies_are_folded_unless_the_source_is_the_log() {
    let categories = "categories: [User], ";
    for (old, new, said, with_copies) in [
        ("source", "source", None, true),
        (categories, "", None, false),
        (categories, "copies: include, ", Some(true), true),
        (categories, "copies: exclude, ", Some(false), false),
        ("[User]", "[User], copies: exclude", Some(false), false),
    ] {
        let projection = parse(&with(old, new));
        assert_eq!((projection.said_copies(), projection.with_copies()), (said, with_copies));
    }
}

#[test]
fn documents_that_may_take_each_others_place() {
    let users = parse(USERS);
    for (old, new) in [
        ("adult_users", "others"),
        ("state.bornOn != null", "true"),
        ("\"state.bornOn\"", "\"state.?bornOn\""),
        ("UserRenamed: {name: event.name}", "UserRenamed: {name: 'event.?name'}"),
        ("where:", "on_error: park\nwhere:"),
        ("[UserRenamed, UserRegistered]", "[UserRegistered, UserRenamed]"),
        // As it is without a word of them.
        ("[User]", "[User], copies: include"),
    ] {
        assert!(users.compatible_with(&parse(&with(old, new))), "{old} to {new}");
    }
    for (old, new) in [
        ("[User]", "[User, Other]"),
        ("[User]", "[User], copies: exclude"),
        (", types: [UserRenamed, UserRegistered]", ""),
        ("where:", "key: meta.stream\nwhere:"),
        ("type: date", "type: text"),
        ("indexes: [[born_on], ", "indexes: ["),
        ("where:", "key: meta.id\nwhere:"),
    ] {
        assert!(!users.compatible_with(&parse(&with(old, new))), "{old} to {new}");
    }
}
