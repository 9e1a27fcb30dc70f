//! Goal: folds come to the bytes of the golden cases, in the core alone.
//!
//! Method: run all cases of `tests/golden/folds`, whose format `tests/golden/__init__.py` tells.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use eventfold_core::envelope::{FLAG_ABSENT, parse_uuid, stored_metadata};
use eventfold_core::error::CoreError;
use eventfold_core::fold::{Fold, FoldResult, FoldRun};
use eventfold_core::json::absent::{with_absent, without_absent};
use eventfold_core::rows::{Row, Tags};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

const STATE_BYTES_MAX: usize = 4096;
/// So that a folder that is not there is no success.
const CASES_MIN: usize = 200;

#[test]
fn golden_cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/folds");
    let mut cases = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let file: Value =
            serde_json::from_slice(&fs::read(entry.unwrap().path()).unwrap()).unwrap();
        for case in file["cases"].as_array().unwrap() {
            cases += 1;
            assert_eq!(outcome(case), case["expect"], "{}", case["name"]);
        }
    }
    assert!(cases >= CASES_MIN, "{cases} cases");
}

fn outcome(case: &Value) -> Value {
    match folded(case) {
        Ok((digest, result)) => told(&digest, result),
        Err(error) => {
            let facts = error.facts.iter().map(|(name, value)| ((*name).to_owned(), json!(value)));
            json!({"reason": error.reason, "facts": facts.collect::<Map<_, _>>()})
        }
    }
}

fn told(digest: &str, result: FoldResult) -> Value {
    let mut told = json!({
        "digest": digest,
        "exists": result.exists,
        "version": result.version,
        "position": result.position,
        "events_read": result.events_read,
        "events_folded": result.events_folded,
    });
    let shown = without_absent(&result.state);
    let state = shown.as_ref().map_or(&result.state, |shown| &shown.text);
    if state.len() <= STATE_BYTES_MAX {
        told["state"] = json!(std::str::from_utf8(state).unwrap());
    } else {
        let digest = Sha256::digest(state);
        let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        told["state_sha256"] = json!(digest);
        told["state_bytes"] = json!(state.len());
    }
    if let Some(shown) = shown {
        told["erased_paths"] = json!(shown.erased);
        told["withheld_paths"] = json!(shown.withheld);
    }
    told
}

fn folded(case: &Value) -> Result<(String, FoldResult), CoreError> {
    let fold = Arc::new(Fold::parse(&source(case))?);
    let stream = case["stream"].as_str().unwrap();
    let root = case["root"].as_str().unwrap_or(stream);
    let events = case["events"].as_array().unwrap();
    let cancelled = events.iter().filter_map(|event| event["cancels"].as_str());
    let cancelled = cancelled.map(|id| parse_uuid(id).unwrap()).collect::<Vec<_>>();
    let mut run = FoldRun::new(Arc::clone(&fold), stream, root);
    run = run.with_cancelled_events(cancelled, i64::MAX);
    for event in events {
        feed(&mut run, event)?;
    }
    Ok((fold.digest().to_owned(), run.finish()?))
}

fn source(case: &Value) -> String {
    let Some(parts) = case["fold_parts"].as_array() else {
        return case["fold"].as_str().unwrap().to_owned();
    };
    let part = |part: &Value| {
        part[0].as_str().unwrap().repeat(usize::try_from(part[1].as_u64().unwrap()).unwrap())
    };
    parts.iter().map(part).collect()
}

fn feed(run: &mut FoldRun, event: &Value) -> Result<(), CoreError> {
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    let number = |name: &str| event[name].as_i64().unwrap_or_default();
    let texts = |name: &str| {
        let items = event[name].as_array().map_or(&[][..], Vec::as_slice);
        items.iter().map(|item| item.as_str().unwrap()).collect::<Vec<_>>()
    };
    let id = |name: &str| parse_uuid(text(name));
    let (erased, withheld) = (texts("erased_paths"), texts("withheld_paths"));
    let absent = !erased.is_empty() || !withheld.is_empty();
    let data = with_absent(text("data").as_bytes(), erased, withheld);
    // What a server says of checks that it made is passed by where events come over a network.
    let flags = i32::try_from(number("flags")).unwrap() & !1;
    let deleted = event["deleted"].as_bool().unwrap_or_default();
    let metadata = text("metadata").as_bytes();
    run.feed_row(&Row {
        stream: None,
        version: number("version"),
        position: number("position"),
        event_id: &id("id").unwrap(),
        event_type: text("type"),
        data: &data,
        metadata: if deleted { metadata } else { stored_metadata(metadata) },
        tags: Tags::from_texts(&texts("tags")),
        recorded_us: number("recorded_us"),
        occurred_us: number("occurred_us"),
        writer: text("writer"),
        flags: if absent { flags | FLAG_ABSENT } else { flags },
        copied_from: id("copied_from").as_ref(),
        cancels: id("cancels").as_ref(),
        trace_context: None,
        deleted,
    })
}
