//! Fold documents, and folds that run.

use std::sync::Arc;

use eventfold_core::envelope::FLAG_VALIDATED_V1;
use eventfold_core::error::CoreError;
use eventfold_core::fold::{Fold, FoldResult, FoldRun, Start};
use eventfold_core::json::check::check_object;
use eventfold_core::json::scan::scan_value;
use eventfold_core::json::write::write_value;
use eventfold_core::rows::{Row, Tags};

use super::choices::Choices;

/// A document compiles or says where it is wrong; the same text has the same digest.
pub fn fold_document(data: &[u8]) {
    let Ok(source) = std::str::from_utf8(data) else { return };
    let fold = match Fold::parse(source) {
        Ok(fold) => fold,
        Err(error) => {
            let fact = |name| error.facts.iter().any(|(known, _)| *known == name);
            assert!(error.reason == "FOLD_TOO_LARGE" || fact("line") && fact("column"), "{error}");
            return;
        }
    };
    assert!(fold.digest().len() == 64 && !fold.name().is_empty());
    let again = Fold::parse(source).expect("it compiled before");
    assert_eq!(again.digest(), fold.digest());
    let initial = scan_value(&fold.initial()).expect("the initial state is JSON");
    let mut text = Vec::new();
    write_value(&initial, &mut text).expect("JSON can be written");
    assert_eq!(text, fold.initial());

    let types: Vec<String> = fold.event_types().to_vec();
    let events: Vec<Event> = (types.iter().map(String::as_str))
        .chain(["Unknown"])
        .map(|event_type| Event { event_type, data: r#"{"a":1,"b":"x","c":[2.50]}"# })
        .collect();
    let fold = Arc::new(fold);
    let run = FoldRun::new(Arc::clone(&fold), "a-1", "a-1");
    assert_eq!(run.finish().expect("no event, no error").state, fold.initial());
    let _ = same_however_fed(&fold, &events, events.len() / 2);
}

struct Event<'a> {
    event_type: &'a str,
    data: &'a str,
}

/// Right-hand sides; `{}` stands for the place that is assigned, `()` for another.
const RIGHTS: [&str; 26] = [
    "{} + event.x",
    "{} + 1",
    "{} - event.x",
    "event.x + {}",
    "{} * event.x",
    "{} + [event.x]",
    "{} + [event.x, (), 1.50]",
    "{} + event.y",
    "{} + [timestamp('2020-01-01T00:00:00Z'), 1u, {1: event.x}]",
    "{} + [[[event.x]]]",
    "{} + (event.x == 1 ? [] : [event.x])",
    "{} + [size({})]",
    "{} + 0.5",
    "{} + string(event.x)",
    "{} + meta.version",
    "()",
    "() + {}",
    "[event.x]",
    "event.x",
    "event.y",
    "event.?x.orValue(0)",
    "optional.of({})",
    "optional.none()",
    "event.?y",
    "{'k': event.x, 'l': {}}",
    "has(event.y) ? {} + event.y : {}",
];

const PLACES: [&[&str]; 8] =
    [&["n"], &["l"], &["m", "l"], &["m", "n"], &["k"], &["s"], &["m", "x", "y"], &["d"]];

const CONDITIONS: [&str; 6] =
    ["event.x == 1", "state.n < 5", "has(event.y)", "size(state.l) > 2", "true", "event.y"];

const TYPES: [&str; 4] = ["A", "B", "C", "D"];

/// How a document names places of the state.
#[derive(Clone, Copy, PartialEq)]
enum Spelling {
    /// `state.m.l`, which the compiler may turn into a change in place.
    Fields,
    /// `state.m['l']`, which is always evaluated.
    Indexes,
}

impl Spelling {
    fn place(self, path: &[&str]) -> String {
        let Some((last, first)) = path.split_last() else { return "state".to_owned() };
        let outer: String = first.iter().map(|name| format!(".{name}")).collect();
        match self {
            Self::Fields => format!("state{outer}.{last}"),
            Self::Indexes => format!("state{outer}['{last}']"),
        }
    }
}

/// The same choices give the same document in either spelling.
fn document(choices: &mut Choices<'_>, spelling: Spelling) -> String {
    let mut source = "fold: f\ninitial: {n: 0, d: 1.10, s: '', l: [], m: {l: [1], n: 2}}\n\
                      let: {double: event.?x.orValue(1)}\nhandlers:\n"
        .to_owned();
    for event_type in &TYPES[..1 + choices.below(3)] {
        source.push_str(&format!("  {event_type}:\n"));
        for _ in 0..1 + choices.below(2) {
            source.push_str("  - ['when']: true\n");
            match choices.below(12) {
                0..3 => source.push_str(&format!("    when: \"{}\"\n", choices.of(&CONDITIONS))),
                3 => {
                    let condition = choices.of(&CONDITIONS);
                    source.push_str(&format!("    when: \"{condition}\"\n    delete: true\n"));
                    continue;
                }
                _ => {}
            }
            let first = choices.below(PLACES.len());
            for number in 0..1 + choices.below(3) {
                let path = PLACES[(first + number) % PLACES.len()];
                let target = match choices.below(8) {
                    0 => "[event.key]".to_owned(),
                    1 if path.len() > 1 => format!("{}[event.key]", path[0]),
                    _ => path.join("."),
                };
                let right = (choices.of(&RIGHTS))
                    .replace("{}", &spelling.place(path))
                    .replace("()", &spelling.place(choices.of(&PLACES)));
                source.push_str(&format!("    \"{target}\": \"{right}\"\n"));
            }
        }
    }
    source.replace("  - ['when']: true\n    ", "  - ").replace("  - ['when']: true\n", "  - {}\n")
}

const DATA: [&str; 12] = [
    r#"{"x":1,"y":[1,2.50],"key":"l"}"#,
    r#"{"x":-7,"key":"n"}"#,
    r#"{"x":9223372036854775807,"y":1,"key":"q"}"#,
    r#"{"x":0.10,"y":[],"key":"n"}"#,
    r#"{"x":1e3,"y":-0.10,"key":"d"}"#,
    r#"{"x":12345678901234567890123456789,"y":true,"key":"d"}"#,
    r#"{"x":"a\"b","y":[],"key":"s"}"#,
    r#"{"x":{"y":[1.10]},"y":["a"],"key":"k"}"#,
    r#"{"x":[7],"y":[[]],"key":"m"}"#,
    r#"{"x":null,"y":[null],"key":"m"}"#,
    r#"{"y":{},"key":"l"}"#,
    r#"{"x":99999999999999999999999999.99,"key":"a\u0001"}"#,
];

/// A random fold on random events: changes in place, pages, and states that are gone on from
/// change nothing.
pub fn fold_run(data: &[u8]) {
    let (shape, events) = data.split_at(data.len().min(48));
    let fields = document(&mut Choices::new(shape), Spelling::Fields);
    let indexes = document(&mut Choices::new(shape), Spelling::Indexes);
    let compile = |source: &str| Fold::parse(source).map(Arc::new);
    let (in_place, plain) = match (compile(&fields), compile(&indexes)) {
        (Ok(in_place), Ok(plain)) => (in_place, plain),
        (Err(one), Err(other)) => return assert_eq!(one.reason, other.reason),
        (one, other) => panic!("{fields}\n{:?}\n{:?}", one.err(), other.err()),
    };
    let mut choices = Choices::new(events);
    let middle = choices.below(16);
    let mut events = Vec::new();
    while !choices.is_empty() && events.len() < 64 {
        events.push(Event { event_type: choices.of(&TYPES), data: choices.of(&DATA) });
    }
    let expected = same_however_fed(&plain, &events, middle);
    let found = same_however_fed(&in_place, &events, middle);
    assert_eq!(found, expected, "{fields}");
}

/// A result, or the reason of an error with its place.
type Outcome = Result<FoldResult, (&'static str, Vec<String>)>;

fn outcome(result: Result<FoldResult, CoreError>) -> Outcome {
    result.map_err(|error| {
        let places = ["handler", "path", "version"];
        let facts = error.facts.iter().filter(|(name, _)| places.contains(name));
        (error.reason, facts.map(|(_, value)| value.clone()).collect())
    })
}

/// Folds events in one run, unchecked rows in one run, and in two runs; all must agree.
fn same_however_fed(fold: &Arc<Fold>, events: &[Event<'_>], middle: usize) -> Outcome {
    let new = || FoldRun::new(Arc::clone(fold), "a-1", "a-1");
    let whole = outcome(feed(new(), 0, events, FLAG_VALIDATED_V1));
    assert_eq!(outcome(feed(new(), 0, events, 0)), whole);

    let (before, after) = events.split_at(middle.min(events.len()));
    if let Ok(half) = feed(new(), 0, before, FLAG_VALIDATED_V1) {
        let start = Start {
            exists: half.exists,
            state: half.state,
            version: half.version,
            position: half.position,
            whose: Default::default(),
        };
        // A state at version 0 would be that of the periods before the stream.
        let run = match half.version {
            0 => new(),
            _ => new().resume(&start).expect("a state can be gone on from"),
        };
        let mut rest = outcome(feed(run, before.len(), after, FLAG_VALIDATED_V1));
        if let Ok(result) = &mut rest {
            result.events_read += half.events_read;
            result.events_folded += half.events_folded;
        }
        assert_eq!(rest, whole);
    }
    if let Ok(result) = &whole {
        let object = [b"{\"s\":", &*result.state, b"}"].concat();
        if result.state.len() < 64 * 1024 && !result.state.starts_with(b"{") {
            // A whole state that is no object is JSON too.
            let _ = scan_value(&object).expect("the state is JSON");
        } else if let Err(refusal) = check_object(&result.state) {
            panic!("the state is not strict JSON: {refusal:?}");
        }
    }
    whole
}

fn feed(
    mut run: FoldRun,
    before: usize,
    events: &[Event<'_>],
    flags: i32,
) -> Result<FoldResult, CoreError> {
    for (number, event) in (1..).zip(events) {
        let version = before as i64 + number;
        let mut event_id = [0; 16];
        event_id[8..].copy_from_slice(&version.to_be_bytes());
        run.feed_row(&Row {
            stream: None,
            version,
            position: version + 5,
            event_id: &event_id,
            event_type: event.event_type,
            data: event.data.as_bytes(),
            metadata: b"{}",
            tags: Tags::from_texts(&["red", "two"]),
            recorded_us: 1_700_000_000_000_000 + version,
            occurred_us: 1_600_000_000_000_000,
            writer: "me",
            flags,
            copied_from: None,
            cancels: None,
            trace_context: None,
            deleted: false,
        })?;
    }
    run.finish()
}
