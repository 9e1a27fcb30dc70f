//! The fold by keys does not depend on how the events are cut into pages, batches and runs.

mod common;
#[path = "common/tables.rs"]
mod tables;

use std::sync::Arc;

use common::{Event, columns};
use eventfold_core::fold::{Fold, FoldRun};
use eventfold_core::rows::Rows;
use proptest::prelude::*;
use tables::{log, project};

const KINDS: [&str; 6] = ["Added", "Gone", "Listed", "Index", "Named", "Other"];

fn any_document() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "meta.root",
        "meta.stream",
        "event.k",
        "\"event.k + string(meta.version % 2)\"",
        "meta.type",
        "event.n",
    ]);
    let shown = prop::sample::select(vec![
        "\"true\"",
        "\"size(state.list) < 3\"",
        "\"state.n > 0\"",
        "\"key != 'b'\"",
    ]);
    let columns = prop::sample::select(vec![
        "n: integer",
        "n: {type: integer, value: \"state.n * 1000000000\"}",
        "n: text",
        "list: jsonb",
        "list: 'text[]'",
        "n: {type: numeric, value: \"state.?n\"}",
    ]);
    (key, shown, columns, any::<bool>()).prop_map(|(key, shown, column, parks)| {
        let on_error = if parks { "park" } else { "stop" };
        format!(
            "projection: p\non_error: {on_error}\nkey: {key}\nwhere: {shown}\n\
             initial: {{n: 0, list: []}}\nlet: {{next: state.n + event.n}}\nhandlers:\n  \
             Added: {{n: next}}\n  Gone: [{{when: event.n > 1, delete: true}}]\n  \
             Listed: {{list: \"state.list + [event.k]\"}}\n  \
             Index: {{n: event.n, \"list[1]\": event.n}}\n  \
             Named: {{\"m[event.k]\": meta.position, n: event.n}}\n\
             columns: {{{column}}}\n"
        )
    })
}

fn any_log() -> impl Strategy<Value = Vec<Event>> {
    let data = prop::sample::select(vec![
        r#"{"n":1,"k":"a"}"#,
        r#"{"n":2,"k":"b"}"#,
        r#"{"n":-1.5,"k":"a"}"#,
        r#"{"n":"x","k":"c"}"#,
        r#"{"n":0,"k":"a"}"#,
        r#"{"k":"b"}"#,
    ]);
    let stream = prop::sample::select(vec!["a-1", "a-2", "b-1"]);
    let kind = prop::sample::select(KINDS.to_vec());
    prop::collection::vec((stream, kind, data), 1..40).prop_map(|events| {
        let mut events = log(&events);
        for event in events.iter_mut().filter(|event| event.stream.as_deref() == Some("a-2")) {
            event.root = Some("a-1".to_owned());
        }
        events
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// All in one page and one run, one by one, and cut anywhere: the same table, error and lists.
    #[test]
    fn cuts_do_not_matter(
        document in any_document(),
        events in any_log(),
        cuts in prop::collection::vec(0_usize..40, 0..12),
    ) {
        let whole = project(&document, &events, &[]);
        let mut cuts = cuts;
        cuts.sort_unstable();
        prop_assert_eq!(&project(&document, &events, &cuts), &whole);
        let single: Vec<usize> = (1..events.len()).collect();
        prop_assert_eq!(&project(&document, &events, &single), &whole);
    }

    /// By stream, without deletes, the states are those of folds along the streams.
    #[test]
    fn a_key_of_streams_folds_as_along_the_stream(events in any_log()) {
        let fold = "initial: {n: 0, list: []}\nhandlers:\n  Added: {n: \"event.?n\"}\n  \
            Listed: {list: \"state.list + [event.k]\"}\n  Named: {\"m[event.k]\": meta.position}\n";
        let table = project(
            &format!("projection: p\nkey: meta.stream\n{fold}columns: {{list: jsonb}}\n"),
            &events,
            &[7, 9],
        );
        let fold = Arc::new(Fold::parse(&format!("fold: f\n{fold}")).unwrap());
        for stream in ["a-1", "a-2", "b-1"] {
            let own: Vec<Event> = events
                .iter()
                .filter(|event| event.stream.as_deref() == Some(stream))
                .cloned()
                .collect();
            let mut run = FoldRun::new(Arc::clone(&fold), stream, stream);
            run.feed(&Rows::decode(columns(&own)).unwrap()).unwrap();
            let result = run.finish().unwrap();
            let folded = ["Added", "Listed", "Named"];
            let touched = own.iter().any(|event| folded.contains(&&*event.event_type));
            prop_assert_eq!(table.rows.contains_key(stream), touched);
            if let Some(row) = table.rows.get(stream) {
                prop_assert_eq!(&row.state, &result.state);
            }
        }
    }
}
