//! Goal: mappings as a whole have one digest for one way of reading, and what they make stands over
//! the rows of a page.

use std::sync::Arc;

use eventfold_core::mapping::{Mapping, Mappings};
use eventfold_core::rows::Overlay;

/// Columns of a page: type, data and flags.
const TYPE: usize = 4;
const DATA: usize = 5;
const FLAGS: usize = 11;

fn mapping(event_type: &str, rest: &str) -> Arc<Mapping> {
    Arc::new(Mapping::parse(&format!("mapping: {event_type}\n{rest}")).expect("it compiles"))
}

fn types(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn one_digest_is_one_way_of_reading() {
    let (a, b) = (mapping("A", "defaults: {x: 1}"), mapping("B", "defaults: {x: 1}"));
    let digest = |mappings: &[&Arc<Mapping>]| {
        Mappings::new(mappings.iter().map(|mapping| Arc::clone(mapping))).digest()
    };
    assert_eq!(digest(&[]), "");
    assert_eq!(digest(&[&a]).len(), 64);
    // The order in which they come says nothing; types and what is done do.
    assert_eq!(digest(&[&a, &b]), digest(&[&b, &a]));
    let others = [digest(&[&a]), digest(&[&b]), digest(&[&a, &b])];
    assert!(others[0] != others[1] && others[0] != others[2] && others[1] != others[2]);
    assert_ne!(digest(&[&a]), digest(&[&mapping("A", "defaults: {x: 2}")]));
    assert_eq!(digest(&[&a]), digest(&[&mapping("A", "# a remark\ndefaults: {'x': 1}")]));
}

#[test]
fn a_fold_has_the_mappings_of_its_types() {
    let all = Mappings::new([mapping("A", "defaults: {x: 1}"), mapping("B", "renames: {x: y}")]);
    let chosen = all.of_types(&types(&["C", "B"]));
    assert_eq!(chosen.digest(), Mappings::new([mapping("B", "renames: {x: y}")]).digest());
    assert!(chosen.get(b"A").is_none() && chosen.get(b"B").is_some());
    assert!(all.of_types(&types(&["C"])).is_empty());
    assert_eq!(all.of_types(&types(&["B", "A"])).digest(), all.digest());
}

#[test]
fn the_envelope_is_needed_by_what_reads_it() {
    let needs = |rest| Mappings::new([mapping("A", rest)]).needs_envelope();
    assert!(!needs("renames: {a: b}\ndefaults: {c: 1}"));
    assert!(!needs("computed: {a: event.b}"));
    assert!(needs("computed: {a: meta.writer}"));
    assert!(needs("computed: {a: \"meta.metadata.b\"}"));
    assert!(!Mappings::default().needs_envelope());
}

#[test]
fn an_overlay_stands_over_data_and_flags_of_some_rows() {
    let mut overlay = Overlay::default();
    assert!(overlay.is_empty() && overlay.cell(DATA, 0).is_none());
    overlay.put(2, b"{}".to_vec(), 33);
    overlay.put(0, b"[]".to_vec(), 32);
    assert_eq!(overlay.cell(DATA, 0), Some(&b"[]"[..]));
    assert_eq!(overlay.cell(DATA, 2), Some(&b"{}"[..]));
    assert_eq!(overlay.cell(FLAGS, 2), Some(&[0, 0, 0, 33][..]));
    for (column, index) in [(DATA, 1), (FLAGS, 1), (TYPE, 0), (DATA, 3)] {
        assert_eq!(overlay.cell(column, index), None);
    }
    overlay.truncate(2);
    assert_eq!(overlay.cell(DATA, 2), None);
    assert_eq!(overlay.cell(DATA, 0), Some(&b"[]"[..]));
}
