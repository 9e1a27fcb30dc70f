//! Requests to append, whatever bytes they are.

use std::sync::Arc;

use eventfold_core::append::{
    Append, Decision, Origin, Outcome, Positions, SessionMessage, append_response,
};
use eventfold_core::rules::{Rules, Steps};

/// The same bytes as each of the requests.
pub fn append_request(data: &[u8]) {
    let origin = Arc::new(Origin { writer: "fuzz".to_owned(), ..Origin::default() });
    let rules = Rules::default();
    let mut made = 0_u128;
    let mut ids = || {
        made += 1;
        made.to_be_bytes()
    };
    for check in [Append::of_request, Append::of_many, Append::of_check] {
        match check(data, &origin, &rules, &mut Steps::whole(), &mut ids) {
            Ok(append) => passed(&append),
            Err(error) => assert!(!error.reason.is_empty()),
        }
    }
    let Ok(mut message) = SessionMessage::decode(data) else { return };
    let mut taken = 0;
    while let Some(bytes) = message.next_bytes() {
        let one =
            message.take(&origin, &rules, &mut Steps::whole(), &mut ids).expect("there is one");
        assert_eq!(one.size_bytes, bytes);
        taken += bytes;
        if let Ok(append) = &one.append {
            assert!(append.is_plain());
            assert!(one.timeout_s.is_none_or(|seconds| seconds > 0.0));
            passed(append);
        }
    }
    assert!(taken <= data.len());
}

/// What passed can be stored and answered.
fn passed(append: &Append) {
    assert!(append.events() > 0);
    for part in &append.parts {
        assert!(part.stream().starts_with(part.category()));
        let tags: Vec<_> = part.tags().collect();
        let mut first = 0;
        for event in part.events() {
            let own = &tags[first..event.tags_end];
            assert!(own.is_sorted_by(|a, b| a < b));
            assert!(std::str::from_utf8(event.event_type).is_ok());
            assert!(!event.data.is_empty() && !event.metadata.is_empty());
            first = event.tags_end;
        }
        assert_eq!(first, tags.len());
        let decision = Decision {
            outcome: Outcome::Append,
            part: Some(0),
            check: None,
            first_version: 1,
            positions: Positions::From(1),
            recorded_us: 0,
            actual_version: 0,
            successor: None,
            differs_at: None,
            problem: None,
            catalogue_version: 1,
        };
        append_response(part, &decision, &mut Vec::new());
    }
}
