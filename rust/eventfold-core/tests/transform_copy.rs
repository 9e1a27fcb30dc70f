//! Transforms on pages of events: what the copies are, what is counted, and what fails.

mod common;

use common::{Event, columns};
use eventfold_core::envelope::{
    FLAG_CLOSES, FLAG_ESCAPED_KEYS, FLAG_MAPPED, FLAG_OPENS, FLAG_REFERS, FLAG_SEALED,
    FLAG_VALIDATED_V1, parse_uuid, sent_digest, stored_digest, uuid_text,
};
use eventfold_core::error::CoreError;
use eventfold_core::limits::{
    APPEND_BYTES_MAX, APPEND_EVENTS_MAX, EVENT_DATA_BYTES_MAX, TRANSFORM_PAGE_BYTES,
    TRANSFORM_PAGE_STEPS,
};
use eventfold_core::rows::Rows;
use eventfold_core::rules::Rules;
use eventfold_core::transform::{Copied, Copies, Count, Job, Transform, copy_id};

const JOB: [u8; 16] = [7; 16];

fn parse(source: &str) -> Transform {
    Transform::parse(source).unwrap_or_else(|error| panic!("{source}\n{error} {:?}", error.facts))
}

/// A transform of the category `a` into `b`, with a default stream.
fn transform(rest: &str) -> Transform {
    let head = "transform: t\nsource: {category: a}\ninto: [b]";
    parse(&format!("{head}\nstream: \"'b-' + meta.stream_id\"\n{rest}"))
}

/// An event of the stream `a-1`.
fn event(version: i64, event_type: &str, data: &str) -> Event {
    Event { stream: Some("a-1".to_owned()), ..Event::new(version, event_type, data) }
}

fn job(rules: &Rules) -> Job<'_> {
    Job { id: &JOB, rules, pseudonym_key: None, seals: true, hides: rules, examples_max: 1 }
}

fn copy_from(transform: &Transform, events: &[Event], first: usize) -> Copies {
    let rows = Rows::decode(columns(events)).unwrap();
    transform.copy(&rows, first, job(&Rules::default())).unwrap()
}

fn copy(transform: &Transform, events: &[Event]) -> Copies {
    copy_from(transform, events, 0)
}

/// The copies of one event of the type T.
fn copies_of(rule: &str, event: Event) -> Vec<Copied> {
    let copies = copy(&transform(&format!("events: {{T: {rule}}}")), &[event]);
    assert_eq!(copies.failed, None, "{rule}");
    copies.events
}

fn data_of(rule: &str, data: &str) -> String {
    let copies = copies_of(rule, event(1, "T", data));
    assert_eq!(copies.len(), 1, "{rule}");
    String::from_utf8(copies[0].data.clone()).unwrap()
}

fn fails_with(transform: &Transform, event: Event) -> CoreError {
    let copies = copy(transform, &[event]);
    let error = copies.failed.unwrap_or_else(|| panic!("{:?}", copies.events));
    assert_eq!((copies.next, copies.events.len(), copies.counts.len()), (0, 0, 0));
    error
}

fn fails(rule: &str, event: Event) -> CoreError {
    let error = fails_with(&transform(&format!("events: {{T: {rule}}}")), event);
    assert_eq!(error.reason, "TRANSFORM_FAILED", "{rule}: {error}");
    error
}

fn fact<'a>(error: &'a CoreError, name: &str) -> &'a str {
    error.facts.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
}

#[test]
fn what_no_rule_changes_stays_as_it_is() {
    let source = Event {
        metadata: Some(b"{ \"refs\" : {\"streams\":[\"x-1\"]} }".to_vec()),
        tags: vec!["a".to_owned(), "\u{e9}".to_owned()],
        occurred_us: Some(1_600_000_000_000_001),
        ..event(3, "T", "{ \"\\u0061\" : 1.50 , \"b\":[1E2] }")
    };
    let [copied] = &copies_of("{}", source.clone())[..] else { panic!("one copy") };
    let (data, metadata) = (source.data.unwrap(), source.metadata.unwrap());
    assert_eq!((&copied.data, &copied.metadata, &copied.tags), (&data, &metadata, &source.tags));
    assert_eq!((&*copied.stream, copied.category()), ("b-1", "b"));
    assert_eq!((&*copied.event_type, copied.occurred_us), ("T", 1_600_000_000_000_001));
    assert_eq!((copied.copied_from, copied.position, copied.index), (source.id, 103, 0));
    assert_eq!((copied.ordinal, copied.cancels), (0, None));
    assert_eq!(copied.flags, FLAG_VALIDATED_V1 | FLAG_ESCAPED_KEYS | FLAG_REFERS);
    assert_eq!(copied.sent_digest, sent_digest("T", &data, &metadata, &["a", "\u{e9}"]));
    assert_eq!(copied.stored_digest, stored_digest(&data, &metadata));
    assert_eq!(copied.size_bytes, 1 + data.len() + metadata.len() + 3);
    // The time at which it was recorded is that of an event that says none, not of its copy.
    let plain = event(2, "T", "{}");
    assert_eq!(copies_of("{}", plain.clone())[0].occurred_us, plain.recorded_us);
}

#[test]
fn ids_are_made_of_job_event_and_ordinal() {
    let job = parse_uuid("01890000-0000-7000-8000-000000000001").unwrap();
    let source = parse_uuid("01890000-0000-7000-8000-000000000002").unwrap();
    // As Python's uuid.uuid5 has them, of the bytes of the name.
    assert_eq!(uuid_text(&copy_id(&job, &source, 0)), "7a08b804-e40a-504f-b250-d3f933ec7cbe");
    assert_eq!(uuid_text(&copy_id(&job, &source, 258)), "a84527d5-a9fd-565e-89bb-ce164d56e597");
    let copies = copies_of("[{when: \"false\"}, {type: A}, {type: B}]", event(1, "T", "{}"));
    let ids: Vec<_> = copies.iter().map(|copy| (copy.ordinal, copy.id)).collect();
    let source = event(1, "T", "{}").id;
    // The ordinal is the place in the list, whatever conditions say.
    assert_eq!(ids, [1, 2].map(|ordinal| (ordinal, copy_id(&JOB, &source, ordinal))));
}

#[test]
fn rules_rename_split_and_move() {
    let transform = transform(
        "let: {k: event.kind, unused: event.none}\nevents:\n  Gone: drop\n  Old: {type: New}\n  \
         Both:\n  - {type: One, when: \"event.n > 0\", data: {'.': \"{'n': event.n}\"}}\n  \
         - {stream: \"'b-' + k\", data: {kind: optional.none()}}",
    );
    let copies = copy(
        &transform,
        &[
            event(1, "Gone", "{}"),
            event(2, "Old", "{}"),
            event(3, "Both", r#"{"kind":"x", "n":1}"#),
            event(4, "Both", r#"{"kind":"y", "n":0}"#),
            event(5, "Other", "{}"),
        ],
    );
    let told = |copy: &Copied| {
        let data = String::from_utf8(copy.data.clone()).unwrap();
        format!("{} {} {} {data}", copy.position, copy.stream, copy.event_type)
    };
    let expected = [
        "102 b-1 New {}",
        "103 b-1 One {\"n\":1}",
        "103 b-x Both {\"n\":1}",
        "104 b-y Both {\"n\":0}",
    ];
    assert_eq!(copies.events.iter().map(told).collect::<Vec<_>>(), expected);
    assert_eq!((copies.next, &copies.failed), (5, &None));
    let counts: Vec<_> = copies.counts.iter().map(|(name, count)| (&**name, *count)).collect();
    let dropped = Count { read: 1, dropped: 1, ..Count::default() };
    let expected = [
        ("Gone", dropped),
        ("Old", Count { read: 1, written: 1, renamed: 1, ..Count::default() }),
        ("Both", Count { read: 2, written: 3, renamed: 1, split: 1, ..Count::default() }),
        ("Other", dropped),
    ];
    assert_eq!(counts, expected);
    let examples: Vec<_> =
        copies.examples.iter().map(|one| (one.version, one.copies.clone())).collect();
    assert_eq!(examples, [(1, 0..0), (2, 0..1), (3, 1..3), (5, 4..4)]);
    let bytes: usize = copies.events.iter().map(|copy| copy.size_bytes).sum();
    assert_eq!(copies.size_bytes, bytes);
}

#[test]
fn data_is_shaped_as_mappings_do() {
    for (rule, data, expected) in [
        ("{data: {a: event.b}}", r#"{ "b" : 1.50 }"#, r#"{ "b" : 1.50,"a":1.50 }"#),
        ("{data: {b: optional.none()}}", r#"{ "a" : 1 , "b":2 }"#, r#"{ "a" : 1 }"#),
        ("{data: {c.d: \"1\", a: event.?x}}", r#"{"a":1}"#, r#"{"c":{"d":1}}"#),
        ("{data: {a: \"event.b\", b: \"event.a\"}}", r#"{"a":1,"b":2}"#, r#"{"a":2,"b":1}"#),
        ("{data: {a: \"event.a\"}}", "{ \"a\": 1.50}", "{ \"a\": 1.50}"),
        ("{data: \"{'a': event.b, 'c': 1}\"}", r#"{"b":1.50}"#, r#"{"a":1.50,"c":1}"#),
        ("{data: {'.': \"event\"}}", r#"{ "b" : 1.50 }"#, r#"{"b":1.50}"#),
        ("{data: {all: event}}", r#"{"a":{}}"#, r#"{"a":{},"all":{"a":{}}}"#),
        ("{data: {\"['a b']\": \"'q'\"}}", "{}", r#"{"a b":"q"}"#),
    ] {
        assert_eq!(data_of(rule, data), expected, "{rule}");
    }
    // Whatever is written is marked as what it is.
    let flags = |rule: &str| copies_of(rule, event(1, "T", "{}"))[0].flags;
    assert_eq!(flags("{data: {a: \"1\"}}"), FLAG_VALIDATED_V1);
    assert_eq!(flags("{data: {'[\"\\\"\"]': \"1\"}}"), FLAG_VALIDATED_V1 | FLAG_ESCAPED_KEYS);
}

#[test]
fn metadata_and_tags_are_shaped_too() {
    let source = |metadata: &str| Event {
        metadata: Some(metadata.as_bytes().to_vec()),
        tags: vec!["x".to_owned()],
        ..event(1, "T", "{\"t\":\"z\"}")
    };
    let shaped = |rule: &str| {
        let copied = copies_of(rule, source("{ \"a\" : 1 }")).remove(0);
        (String::from_utf8(copied.metadata).unwrap(), copied.tags, copied.flags)
    };
    for (rule, expected) in [
        ("{metadata: {b: meta.metadata.a}}", "{ \"a\" : 1,\"b\":1 }"),
        ("{metadata: \"{'a': meta.type}\"}", "{\"a\":\"T\"}"),
        ("{metadata: \"optional.none()\"}", "{}"),
        ("{metadata: {a: optional.none()}}", "{  }"),
    ] {
        assert_eq!(shaped(rule).0, expected, "{rule}");
    }
    let refers = shaped("{metadata: {refs: \"{'events': [meta.id]}\"}}");
    assert_eq!(refers.2, FLAG_VALIDATED_V1 | FLAG_REFERS);
    let tags = |rule: &str| shaped(rule).1;
    assert_eq!(tags("{}"), ["x"]);
    assert_eq!(tags("{tags: \"meta.tags + [event.t, 'b', 'b']\"}"), ["b", "x", "z"]);
    assert!(tags("{tags: \"[]\"}").is_empty());
    assert!(tags("{tags: \"event[?'none'].optMap(t, [t])\"}").is_empty());
}

#[test]
fn types_that_are_not_named_are_dropped_or_kept() {
    let events = [event(1, "A", "{\"x\":\"1\"}"), event(2, "T", "{}")];
    let kept = copy(&transform("others: keep\nevents: {T: drop}"), &events);
    assert_eq!(kept.events.len(), 1);
    assert_eq!(&*kept.events[0].event_type, "A");
    let dropped = copy(&transform("events: {T: {}}"), &events);
    assert_eq!(&*dropped.events[0].event_type, "T");
    // Their default stream sees the event too.
    let by_let = parse(
        "transform: t\nsource: {category: a}\ninto: b\nothers: keep\nlet: {n: event.x}\n\
         stream: \"'b-' + n\"",
    );
    let copies = copy(&by_let, &events);
    assert_eq!((copies.next, &*copies.events[0].stream), (1, "b-1"));
    assert_eq!(fact(&copies.failed.unwrap(), "path"), "let.n");
}

#[test]
fn what_belongs_to_its_stream_is_copied_under_another_name_only() {
    let closed = |event_type: &str, flag| Event { flags: 1 | flag, ..event(1, event_type, "{}") };
    let keep = transform("others: keep\nevents: {Deactivated: {}, Moved: {type: Moved}}");
    for event in [
        closed("$Closed", FLAG_CLOSES),
        closed("$Opened", FLAG_OPENS),
        closed("$Other", 0),
        closed("Initialized", FLAG_OPENS),
        closed("Deactivated", FLAG_CLOSES),
    ] {
        let copies = copy(&keep, std::slice::from_ref(&event));
        assert_eq!((copies.events.len(), copies.next), (0, 1), "{}", event.event_type);
        assert_eq!(copies.counts[&event.event_type].dropped, 1);
    }
    // The same type, without the mark.
    assert_eq!(copy(&keep, &[closed("Deactivated", 0)]).events.len(), 1);
    let named = transform("events: {$Closed: {type: YearEnded}, T: [{}, {type: U}, {type: T}]}");
    let copies = copy(&named, &[closed("$Closed", FLAG_CLOSES), closed("T", FLAG_OPENS)]);
    let told: Vec<_> =
        copies.events.iter().map(|one| (&*one.event_type, one.ordinal, one.flags)).collect();
    assert_eq!(told, [("YearEnded", 0, 1), ("U", 1, 1), ("T", 2, 1)]);
}

#[test]
fn some_events_are_not_looked_at() {
    let log = parse("transform: t\nsource: {log: true}\ninto: b\nstream: \"'b-1'\"\nothers: keep");
    let of = |stream: &str| Event { stream: Some(stream.to_owned()), ..event(1, "T", "{}") };
    let copies = copy(&log, &[of("$audit"), of("b-7"), of("c-1"), of("bb-1")]);
    let indexes: Vec<_> = copies.events.iter().map(|copy| copy.index).collect();
    assert_eq!((indexes, copies.next, copies.counts["T"].read), (vec![2, 3], 4, 2));

    let deleted = Event { deleted: true, data: None, metadata: None, ..event(1, "T", "{}") };
    let copies = copy(&transform("others: keep"), &[deleted]);
    assert_eq!(copies.counts["T"], Count { read: 1, deleted: 1, ..Count::default() });
}

#[test]
fn cancellations_cancel_the_copy_of_the_same_ordinal() {
    let cancelled = [9; 16];
    let source = || Event { cancels: Some(cancelled), ..event(2, "TCancelled", "{}") };
    let split = transform(
        "events: {T: [{type: A}, {type: B}], TCancelled: [{type: ACancelled}, {type: BCancelled}]}",
    );
    let cancels: Vec<_> =
        copy(&split, &[source()]).events.iter().map(|copy| copy.cancels).collect();
    assert_eq!(cancels, [0, 1].map(|ordinal| Some(copy_id(&JOB, &cancelled, ordinal))));
    let dropped = copy(&transform("events: {T: {}}"), &[source()]);
    let count = Count { read: 1, dropped: 1, dropped_cancellations: 1, ..Count::default() };
    assert_eq!(dropped.counts["TCancelled"], count);
}

#[test]
fn an_event_is_copied_wholly_or_not_at_all() {
    let transform = transform("events: {T: [{type: A}, {type: B, data: {x: \"event.n + 1\"}}]}");
    let events = [
        event(1, "T", r#"{"n":1}"#),
        event(2, "T", r#"{"n":"secret"}"#),
        event(3, "T", r#"{"n":3}"#),
    ];
    let copies = copy(&transform, &events);
    assert_eq!((copies.next, copies.events.len(), copies.counts["T"].read), (1, 2, 1));
    let error = copies.failed.unwrap();
    let id = uuid_text(&events[1].id);
    let expected = [
        ("transform", "t"),
        ("rule", "T[1]"),
        ("path", "data.x"),
        ("stream", "a-1"),
        ("version", "2"),
        ("position", "102"),
        ("event_id", id.as_str()),
    ];
    assert_eq!(
        error.facts[..7].iter().map(|(k, v)| (*k, v.as_str())).collect::<Vec<_>>(),
        expected
    );
    assert_eq!(error.reason, "TRANSFORM_FAILED");
    assert!(!format!("{error}{:?}", error.facts).contains("secret"));
    // Whoever looks for all failures goes on behind it.
    let rest = copy_from(&transform, &events, 2);
    assert_eq!((rest.next, rest.events.len(), rest.failed), (3, 2, None));
    assert_eq!(rest.events[0].index, 2);
}

#[test]
fn failures_say_what_and_where() {
    let source = |data: &str| event(1, "T", data);
    for (rule, data, path, problem) in [
        ("{when: event.a}", r#"{"a":1}"#, "when", "the condition is a int"),
        ("{stream: event.a}", r#"{"a":1}"#, "stream", "the target stream is a int"),
        ("{stream: event.a}", r#"{"a":"b"}"#, "stream", "needs a `-`"),
        ("{stream: event.a}", r#"{"a":"c-1"}"#, "stream", "not in `into`"),
        ("{stream: event.a}", r#"{"a":"$b-1"}"#, "stream", "server's own"),
        ("{stream: event.a}", r#"{"a":"a-1"}"#, "stream", "the one that the event is in"),
        ("{stream: event.b}", r#"{"a":1}"#, "stream", ""),
        ("{data: event.a}", r#"{"a":[]}"#, "data", "data is a list, not a map"),
        ("{data: \"event[?'b']\"}", "{}", "data", "cannot be removed"),
        ("{data: {a.b: \"1\"}}", r#"{"a":1}"#, "data.a.b", "is no object"),
        ("{data: {a: \"[double('NaN')]\"}}", "{}", "data.a", "JSON"),
        ("{metadata: event.a}", r#"{"a":"x"}"#, "metadata", "metadata is a string"),
        ("{metadata: {a: event.b}}", "{}", "metadata.a", ""),
        ("{tags: event.a}", r#"{"a":"x"}"#, "tags", "the tags are a string"),
        ("{tags: event.a}", r#"{"a":[1]}"#, "tags", "a tag is a int"),
    ] {
        let error = fails(rule, source(data));
        assert_eq!(fact(&error, "path"), path, "{rule}: {error}");
        assert!(fact(&error, "problem").contains(problem), "{rule}: {error}");
        assert_eq!((fact(&error, "rule"), fact(&error, "cause")), ("T", ""), "{rule}");
    }
}

#[test]
fn nothing_is_written_into_what_is_read() {
    let of = |source: &str| {
        parse(&format!(
            "transform: t\nsource: {source}\ninto: [a, b]\nothers: keep\nstream: event.s"
        ))
    };
    let to = |stream: &str| event(1, "T", &format!("{{\"s\":\"{stream}\"}}"));
    for (source, stream) in
        [("{category: a}", "a-2"), ("{streams: [a-1, a-2]}", "a-2"), ("{stream: a-1}", "a-1")]
    {
        let error = fails_with(&of(source), to(stream));
        assert_eq!(fact(&error, "path"), "stream", "{source}");
    }
    for (source, stream) in [("{stream: a-1}", "a-2"), ("{category: a}", "b-1")] {
        assert_eq!(copy(&of(source), &[to(stream)]).events.len(), 1, "{source}");
    }
}

#[test]
fn what_an_append_refuses_is_no_copy() {
    let string = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes));
    for (rule, data, path, cause) in [
        ("{tags: \"['']\"}", "{}".to_owned(), "tags", "INVALID_TAG"),
        ("{metadata: {refs: \"1\"}}", "{}".to_owned(), "metadata", "INVALID_REFERENCES"),
        ("{metadata: {m: event.a}}", string(65_536), "metadata", "METADATA_TOO_LARGE"),
        ("{data: {b: \"1\"}}", string(EVENT_DATA_BYTES_MAX - 8), "data", "EVENT_TOO_LARGE"),
        ("{data: {b: \"'\\\\u0000'\"}}", "{}".to_owned(), "data", "INVALID_JSON"),
    ] {
        let error = fails(rule, event(1, "T", &data));
        assert_eq!((fact(&error, "path"), fact(&error, "cause")), (path, cause), "{rule}: {error}");
    }
    let error = fails("{data: {a: \"event.a + event.a\"}}", event(1, "T", &string(600_000)));
    assert_eq!((fact(&error, "path"), fact(&error, "limit")), ("data.a", "1048576"), "{error}");
    let deep = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(data_of("{data: {b.c: event.a}}", &deep(62)).len(), 8 + 124 + 127 + 6);
    let error = fails("{data: {b.c: event.a}}", event(1, "T", &deep(63)));
    assert_eq!((fact(&error, "path"), fact(&error, "limit")), ("data.b.c", "64"), "{error}");
    let loops = "{when: \"[0].all(x, [0,0,0,0,0,0,0,0,0,0].all(a, [0,0,0,0,0,0,0,0,0,0].all(b, \
                 [0,0,0,0,0,0,0,0,0,0].all(c, [0,0,0,0,0,0,0,0,0,0].all(d, \
                 [0,0,0,0,0,0,0,0,0,0].all(e, [0,0,0,0,0,0,0,0,0,0].all(f, f == 0)))))))\"}";
    let error = fails(loops, event(1, "T", "{}"));
    assert_eq!((fact(&error, "path"), fact(&error, "limit")), ("when", "1000000"), "{error}");
}

#[test]
fn events_that_were_not_validated_are_checked_first() {
    let others = |data: &str, metadata: &str| Event {
        flags: 0,
        metadata: Some(metadata.as_bytes().to_vec()),
        ..event(1, "T", data)
    };
    let keep = transform("others: keep");
    assert_eq!(copy(&keep, &[others("{}", "{}")]).events[0].flags, FLAG_VALIDATED_V1);
    for (data, metadata) in [("[]", "{}"), ("{\"a\":1,\"a\":2}", "{}"), ("{}", "{"), ("", "{}")] {
        let error = fails_with(&keep, others(data, metadata));
        assert_eq!(error.reason, "EVENT_CORRUPT", "{data} {metadata}");
    }
}

/// The page says which values were opened; here there is none that does.
#[test]
fn what_is_sealed_still_is_not_copied() {
    let sealed = Event { flags: FLAG_VALIDATED_V1 | FLAG_SEALED, ..event(1, "T", "{}") };
    let rows = Rows::decode(columns(&[sealed])).unwrap();
    let rules = Rules::default();
    let refused = transform("others: keep").copy(&rows, 0, job(&rules)).unwrap_err();
    assert_eq!(refused.reason, "KEYS_UNAVAILABLE");
}

#[test]
fn pages_must_have_what_is_needed() {
    let refused = |transform: &Transform, event: Event| {
        let rows = Rows::decode(columns(&[event])).unwrap();
        let error = transform.copy(&rows, 0, job(&Rules::default())).unwrap_err();
        assert_eq!(error.reason, "BUG");
        error.message
    };
    let keep = transform("others: keep");
    assert!(refused(&keep, Event::new(1, "T", "{}")).contains("names of streams"));
    let mapped = Event { flags: FLAG_MAPPED, ..event(1, "T", "{}") };
    assert!(refused(&keep, mapped).contains("as they are stored"));
    let by_root = transform("events: {T: {stream: \"'b-' + meta.root\"}}");
    assert!(refused(&by_root, event(1, "T", "{}")).contains("roots"));
    let rooted = Event { root: Some("a-0".to_owned()), ..event(1, "T", "{}") };
    assert_eq!(&*copy(&by_root, &[rooted]).events[0].stream, "b-a-0");
}

#[test]
fn appends_fit_their_limits() {
    let by_kind = transform("events: {T: {stream: \"'b-' + event.k\"}}");
    let of = |version, kind: &str| event(version, "T", &format!("{{\"k\":\"{kind}\"}}"));
    let events: Vec<_> =
        (1..=5).map(|version| of(version, if version % 2 == 0 { "x" } else { "y" })).collect();
    let copies = copy(&by_kind, &events);
    let told: Vec<_> = copies
        .appends()
        .iter()
        .map(|events| {
            let versions: Vec<_> = events.iter().map(|copy| copy.position - 100).collect();
            (events[0].stream.to_string(), versions)
        })
        .collect();
    assert_eq!(told, [("b-y".to_owned(), vec![1, 3, 5]), ("b-x".to_owned(), vec![2, 4])]);

    let keep = transform("others: keep");
    let many: Vec<_> = (1..=APPEND_EVENTS_MAX as i64 + 1).map(|n| event(n, "T", "{}")).collect();
    let sizes = |copies: &Copies| copies.appends().iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(sizes(&copy(&keep, &many)), [APPEND_EVENTS_MAX, 1]);
    // Three events that fill an append to the last byte: each has a type and metadata, and the
    // stream has a name.
    let filled = |spare: usize| {
        let large = |version| {
            let bytes = EVENT_DATA_BYTES_MAX - if version == 3 { spare } else { 0 };
            event(version, "T", &format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8)))
        };
        sizes(&copy(&keep, &[large(1), large(2), large(3)]))
    };
    assert_eq!(APPEND_BYTES_MAX, 3 * EVENT_DATA_BYTES_MAX);
    assert_eq!((filled(12), filled(11)), (vec![3], vec![2, 1]));
}

#[test]
fn a_page_is_left_early() {
    let large = |version| {
        event(version, "T", &format!("{{\"a\":\"{}\"}}", "x".repeat(EVENT_DATA_BYTES_MAX - 8)))
    };
    let keep = transform("others: keep");
    let events: Vec<_> = (1..=18).map(large).collect();
    let copies = copy(&keep, &events);
    assert!(copies.size_bytes > TRANSFORM_PAGE_BYTES && copies.next == 16, "{}", copies.next);
    let rest = copy_from(&keep, &events, copies.next);
    assert_eq!((rest.next, rest.events[0].index), (18, 16));

    let slow = transform(
        "events:\n  T: {when: \"[0,0,0,0,0,0,0,0,0,0].all(a, [0,0,0,0,0,0,0,0,0,0].all(b, \
         [0,0,0,0,0,0,0,0,0,0].all(c, [0,0,0,0,0,0,0,0,0,0].all(d, \
         [0,0,0,0,0,0,0,0,0,0].all(e, e == 0)))))\"}",
    );
    let events: Vec<_> = (1..=100).map(|version| event(version, "T", "{}")).collect();
    let copies = copy(&slow, &events);
    assert_eq!(copies.failed, None);
    assert!((20..100).contains(&copies.next), "{} of {TRANSFORM_PAGE_STEPS}", copies.next);
}
