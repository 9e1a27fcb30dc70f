//! Goal: which parts of a state can be personal is known from the fold and what is declared.
//! Method: a table of handlers with the paths that are marked, where `/p` of events is personal;
//! what of states is withheld by that; projections and mappings.

use std::collections::HashMap;
use std::sync::Arc;

use eventfold_core::fold::{Declared, Fold, Marks};
use eventfold_core::json::pointer::Pattern;
use eventfold_core::json::scan::scan_value;
use eventfold_core::json::write::write_value;
use eventfold_core::mapping::{Mapping, Mappings};
use eventfold_core::projection::Projection;

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::parse(text).unwrap()).collect()
}

fn declared(texts: &[&str]) -> Declared {
    Declared::default().with_type("E", &patterns(texts))
}

fn parse(source: &str) -> Fold {
    Fold::parse(source).unwrap_or_else(|error| panic!("{source}\n{error} {:?}", error.facts))
}

fn fold(handlers: &str) -> Fold {
    parse(&format!("fold: f\ninitial: {{l: [], m: {{}}}}\nhandlers: {{E: {handlers}}}"))
}

fn marks(handlers: &str) -> Marks {
    let found = fold(handlers).marks(&declared(&["/p", "/q/*/r"]), &Mappings::default(), &[]);
    found.unwrap_or_else(|error| panic!("{handlers}: {error}"))
}

#[test]
fn marks_follow_values() {
    for (handlers, expected) in [
        (r#"{a: event.x}"#, ""),
        (r#"{a: event.p}"#, "/a"),
        (r#"{a: event.p + 's'}"#, "/a"),
        (r#"{a: "-event.p"}"#, "/a"),
        (r#"{a: event.p.lowerAscii().split(' ')}"#, "/a"),
        (r#"{a: "'%s'.format([event.p])"}"#, "/a"),
        (r#"{a: event.p.part}"#, "/a"),
        (r#"{a: event.q}"#, "/a/*/r"),
        (r#"{a: event.q.k}"#, "/a/r"),
        (r#"{a: event.q.k.s}"#, ""),
        (r#"{a: "event.q.map(i, i.r)"}"#, "/a/*"),
        (r#"{a: "event.q.map(i, i.s)"}"#, ""),
        (r#"{a: "event.q.filter(i, i.r == 'x')"}"#, "/a/*/r"),
        (r#"{a: "event.q.transformMap(k, v, v.r)"}"#, "/a/*"),
        (r#"{a: "event.q.sortBy(i, i.r).first()"}"#, "/a/r"),
        (r#"{a: event}"#, "/a/p /a/q/*/r"),
        (r#"{".": event}"#, "/p /q/*/r"),
        (r#"{".": event.p}"#, "/"),
        (r#"{l: "state.l + [{'id': meta.id, 'to': event.p}]"}"#, "/l/*/to"),
        (r#"{l: "state.l + [event.p]"}"#, "/l/*"),
        (r#"{"l[0]": event.p}"#, "/l/*"),
        (r#"{"m[meta.id]": event.p}"#, "/m/*"),
        (r#"{"m['a/b']": event.p}"#, "/m/a~1b"),
        (r#"{a: "{event.p: 1}"}"#, "/a"),
        (r#"{a: "{'k': event.p, meta.id: 2}"}"#, "/a/k"),
        (r#"{a: "state.m[event.p]"}"#, "/a"),
        (r#"{a: "event.x ? event.p : 's'"}"#, "/a"),
        (r#"{a: "event.?p.orValue('s')"}"#, "/a"),
        (r#"{a: "event.?p.optMap(o, [o])"}"#, "/a/*"),
        (r#"{a: "cel.bind(c, event.p, {'k': c})"}"#, "/a/k"),
        (r#"{let: {n: event.p}, a: n}"#, "/a"),
        (r#"{a: dyn(event.p)}"#, "/a"),
    ] {
        let expected: Vec<&str> = match expected {
            "/" => vec![""],
            expected => expected.split_whitespace().collect(),
        };
        assert_eq!(marks(handlers).pointers(), expected, "{handlers}");
    }
}

/// What is decided by a personal value, and how much there is of it, is not marked.
#[test]
fn marks_do_not_follow_conditions_truth_and_sizes() {
    for handlers in [
        r#"[{when: event.p == 'x', a: "1"}]"#,
        r#"{a: "event.p ? 1 : 2"}"#,
        r#"{a: event.p == 'x'}"#,
        r#"{a: "!event.p && event.p < 'x'"}"#,
        r#"{a: "event.p in ['x']"}"#,
        r#"{a: event.p.matches('x')}"#,
        r#"{a: event.p.startsWith('x')}"#,
        r#"{a: "bool(event.p)"}"#,
        r#"{a: "size(event.p)"}"#,
        r#"{a: "event.p.exists(i, i == 'x')"}"#,
        r#"{a: has(event.p.x)}"#,
        r#"{a: erased(event.p)}"#,
        r#"{a: "type(event.p) == string"}"#,
        r#"{a: "event.p.map(i, 1)"}"#,
    ] {
        let marks = marks(handlers);
        assert!(marks.is_empty(), "{handlers}: {:?}", marks.pointers());
    }
}

/// Through the state: what one event puts there, others carry on.
#[test]
fn marks_go_through_the_state_to_the_end() {
    let source = "fold: f\nhandlers:\n  E: {a: event.p}\n  B: {b: state.a}\n  C: {c: state.b + 's'}
  D: {d: \"{'k': state.d}\", e: \"{'k': state.a}\", f: \"state.f.k\"}";
    let found = parse(source).marks(&declared(&["/p"]), &Mappings::default(), &[]).unwrap();
    assert_eq!(found.pointers(), ["/a", "/b", "/c", "/e/k"]);
    // Something that grows without end is marked as a whole, at some depth.
    let source = "fold: f\nhandlers:\n  E: {a: \"{'k': state.a, 'p': event.p, 'j': [state.a]}\"}";
    let found = parse(source).marks(&declared(&["/p"]), &Mappings::default(), &[]).unwrap();
    assert!(!found.is_empty());
    assert!(found.pointers().iter().any(|pointer| pointer.is_empty() || pointer == "/a"));
}

/// A stream may start from the state of another fold.
#[test]
fn what_is_carried_counts() {
    let old = marks("{old: event.p}");
    let carried =
        fold("{new: state.old}").marks(&Declared::default(), &Mappings::default(), &[&old]);
    assert_eq!(carried.unwrap().pointers(), ["/new", "/old"]);
}

#[test]
fn personal_keys_are_refused() {
    for path in ["m[event.p]", "m[event.p + 'x'].k", "m[state.a]", "m[n]"] {
        let handlers = format!(r#"{{let: {{n: event.p}}, a: n, "{path}": "1"}}"#);
        let found = fold(&handlers).marks(&declared(&["/p"]), &Mappings::default(), &[]);
        let error = found.unwrap_err();
        assert_eq!(error.reason, "PERSONAL_KEY", "{path}");
        let facts = [("fold", "f"), ("handler", "E"), ("path", path)];
        assert_eq!(error.facts, facts.map(|(name, value)| (name, value.to_owned())));
    }
    marks(r#"{"m[event.x]": event.p, "m[string(size(event.p))]": "1"}"#);
}

#[test]
fn marked_parts_are_withheld() {
    let withheld = |handlers: &str, state: &str| {
        let mut text = Vec::new();
        let value = marks(handlers).withhold(&scan_value(state.as_bytes()).unwrap());
        write_value(&value, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    };
    let state = r#"{"a":"x","b":{"k":[1,{"r":2}]},"c":erased,"l":[[1],{"k":3}]}"#;
    for (handlers, expected) in [
        ("{z: event.x}", state),
        ("{a: event.p}", r#"{"a":withheld,"b":{"k":[1,{"r":2}]},"c":erased,"l":[[1],{"k":3}]}"#),
        ("{c: event.p}", state),
        (
            "{b.k: event.q}",
            r#"{"a":"x","b":{"k":[1,{"r":withheld}]},"c":erased,"l":[[1],{"k":3}]}"#,
        ),
        (
            "{\"l[0].k\": event.p}",
            r#"{"a":"x","b":{"k":[1,{"r":2}]},"c":erased,"l":[[1],{"k":withheld}]}"#,
        ),
        ("{\".\": event.p}", "withheld"),
    ] {
        assert_eq!(withheld(handlers, state), expected, "{handlers}");
    }
}

/// Marks go where mappings take values.
#[test]
fn marks_pass_through_mappings() {
    let source = "mapping: E\nrenames: {p: person.name, q.k: moved}\ncomputed:
  initials: event.person.name.substring(0, 1)\n  long: size(event.person.name) > 9
  q: \"'gone'\"";
    let mapping = Mappings::new([Arc::new(Mapping::parse(source).unwrap())]);
    let fold =
        fold("{n: event.person, m: event.moved, i: event.initials, l: event.long, q: event.q}");
    let found = fold.marks(&declared(&["/p", "/q/*/r"]), &mapping, &[]).unwrap();
    // What a mapping computes anew was read as it is stored before there was a mapping.
    assert_eq!(found.pointers(), ["/i", "/m/r", "/n/name", "/q/*/r"]);
    // A state may have come from events as another mapping gave them.
    let before = HashMap::from([("E".into(), vec![Arc::new(Mapping::parse(source).unwrap())])]);
    let declared = declared(&["/p", "/q/*/r"]).read_before(&Arc::new(before));
    let found = fold.marks(&declared, &Mappings::default(), &[]).unwrap();
    assert_eq!(found.pointers(), ["/i", "/m/r", "/n/name", "/q/*/r"]);
}

/// Types that nothing is declared of have what a category declares of all.
#[test]
fn categories_declare_for_all_types() {
    let all = Declared::default().with_all(&patterns(&["/*"]));
    let found = fold("{a: event.x}").marks(&all, &Mappings::default(), &[]).unwrap();
    assert_eq!(found.pointers(), ["/a"]);
    assert!(
        fold("{a: event.x}").marks(&declared(&[]), &Mappings::default(), &[]).unwrap().is_empty()
    );
}

#[test]
fn columns_and_keys_of_projections_are_marked() {
    let source = r#"
projection: p
source: {categories: [c]}
key: event.by + 'x'
resolve: {order: event.order}
initial: {n: 0}
handlers:
    E: {name: event.p, n: state.n + 1, city: order.data.p, kind: order.type}
where: state.name != 'x'
columns:
  name: {type: text, value: state.name}
  n: {type: bigint, value: state.n}
  known: {type: boolean, value: state.name != ''}
  city: {type: text, value: state.city}
  kind: {type: text, value: state.kind}
  all: {type: jsonb, value: state}
  row: {type: text, value: key}
"#;
    let projection = Projection::parse(source, None);
    let projection = projection.unwrap_or_else(|error| panic!("{error} {:?}", error.facts));
    let named = |texts: &[&str]| {
        let declared = declared(texts);
        let found = projection.marks(&declared, Some(&declared), &Mappings::default()).unwrap();
        let columns = projection.columns().iter().zip(&found.columns);
        let names = columns.filter(|(_, marked)| **marked).map(|(column, _)| column.name.clone());
        (found.key, found.state.pointers(), names.collect::<Vec<_>>(), found.is_empty())
    };
    let (key, state, columns, _) = named(&["/p"]);
    assert_eq!(
        (key, state, columns.join(" ")),
        (false, vec!["/city".into(), "/name".into()], "name city all".into())
    );
    let (key, state, columns, _) = named(&["/by"]);
    assert_eq!((key, state, columns.join(" ")), (true, Vec::<String>::new(), "row".into()));
    assert!(named(&["/other"]).3);
}
