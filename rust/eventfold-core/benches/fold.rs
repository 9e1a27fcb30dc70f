//! Nanoseconds an event of the data path, on pages as PostgreSQL sends them.
//!
//! `cargo bench --bench fold`, or `cargo bench --bench fold -- PART` for the figures whose name
//! holds PART. Every figure is the median of five runs (CPU time) over 1,000 events in pages of
//! 500, many times over; the account fold has five handlers, and its events their wanted fields
//! first or last.

#[path = "../tests/common/mod.rs"]
mod common;
mod measure;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use common::{Event, columns};
use eventfold_core::envelope::{sent_digest, stored_digest};
use eventfold_core::fold::{Fold, FoldRun};
use eventfold_core::json::check::Checker;
use eventfold_core::projection::{Projecting, Projection};
use eventfold_core::rows::Rows;
use eventfold_core::wire::encode_page;
use measure::{EVENTS, PAGE, ROUNDS, RUNS, measure, wanted};

const ACCOUNT: &str = r#"
fold: account
initial: {balance: 0, open: false, transfers: 0, limits: {}}
handlers:
  AccountOpened: {owner: event.holderId, open: true}
  MoneyDeposited: {balance: state.balance + event.amount}
  MoneyTransferred:
    balance: state.balance - event.amount
    transfers: state.transfers + 1
  LimitSet: {"limits[event.kind]": event.value}
  AccountClosed: {open: false}
"#;

const TRANSFERS: &str = r#"
fold: transfers
initial: {transfers: []}
handlers:
  MoneyTransferred:
    transfers: "state.transfers + [{'id': meta.id, 'to': event.iban}]"
"#;

/// Events of about that many bytes of data.
fn events(bytes: usize, wanted_first: bool, decimals: bool) -> Vec<Event> {
    let filler = |length: usize| {
        format!(r#""note":"{}","currency":"EUR","channel":"web""#, "x".repeat(length))
    };
    (0..EVENTS)
        .map(|index| {
            let cents = if decimals { format!(".{:02}", index % 100) } else { String::new() };
            let (name, wanted) = match index % 20 {
                0 => ("AccountOpened", r#""holderId":"u-123456""#.to_owned()),
                1 => ("LimitSet", format!(r#""kind":"k{}","value":{index}"#, index % 7)),
                2..=8 => (
                    "MoneyTransferred",
                    format!(r#""amount":{index}{cents},"iban":"DE0212030000000020205{index}""#),
                ),
                _ => ("MoneyDeposited", format!(r#""amount":{index}{cents}"#)),
            };
            let rest = filler(bytes.saturating_sub(wanted.len() + 48));
            let data = match wanted_first {
                true => format!("{{{wanted},{rest}}}"),
                false => format!("{{{rest},{wanted}}}"),
            };
            Event::new(index as i64 + 1, name, &data)
        })
        .collect()
}

fn pages(events: &[Event]) -> Vec<Vec<Option<Vec<u8>>>> {
    events.chunks(PAGE).map(columns).collect()
}

fn fold(name: &str, source: &str, events: &[Event]) {
    let fold = Arc::new(Fold::parse(source).expect("the fold compiles"));
    let decoded: Vec<_> = pages(events)
        .into_iter()
        .map(|page| Rows::decode(page).expect("the page decodes"))
        .collect();
    measure(name, || {
        let mut run = FoldRun::new(Arc::clone(&fold), "account-1", "account-1");
        for rows in &decoded {
            run.feed(rows).expect("the events fold");
        }
        black_box(run.finish().expect("the state is JSON"));
    });
}

const BALANCES: &str = r#"
projection: balances
initial: {balance: 0, open: false, transfers: 0, limits: {}}
handlers:
  AccountOpened: {owner: event.holderId, open: true}
  MoneyDeposited: {balance: state.balance + event.amount}
  MoneyTransferred:
    balance: state.balance - event.amount
    transfers: state.transfers + 1
  LimitSet: {"limits[event.kind]": event.value}
  AccountClosed: {open: false}
where: state.balance != 0
columns:
  balance: numeric
  transfers: bigint
  owner: text
"#;

/// All events into one table, from an empty one; every page is a batch of its own. `streams` is the
/// number of streams that they are spread over.
fn project(name: &str, source: &str, events: &[Event], streams: usize) {
    let projection = Arc::new(Projection::parse(source, None).expect("the projection compiles"));
    let mut events = events.to_vec();
    for (index, event) in events.iter_mut().enumerate() {
        event.stream = Some(format!("account-{:06}", index % streams));
        event.root = event.stream.clone();
        event.position = index as i64 + 1;
    }
    let decoded: Vec<_> = pages(&events)
        .into_iter()
        .map(|page| Rows::decode(page).expect("the page decodes"))
        .collect();
    measure(name, || {
        let mut projecting = Projecting::new(Arc::clone(&projection)).of_empty_table();
        for rows in &decoded {
            let keys = projecting.keys(rows, 0).expect("the keys are texts");
            let changes = projecting.fold(rows, &keys).expect("the page can be read");
            assert!(changes.next == PAGE && changes.stopped.is_none());
            black_box(changes);
            projecting.committed();
        }
    });
}

/// The same work on one thread and then on two at once: wall time, so neighbours do count.
fn two_threads(name: &str, source: &str, events: &[Event]) {
    if !wanted(name) {
        return;
    }
    let fold = Arc::new(Fold::parse(source).expect("the fold compiles"));
    let rows: Vec<_> = pages(events)
        .into_iter()
        .map(|page| Rows::decode(page).expect("the page decodes"))
        .collect();
    let work = || {
        for _ in 0..ROUNDS {
            let mut run = FoldRun::new(Arc::clone(&fold), "account-1", "account-1");
            rows.iter().for_each(|rows| run.feed(rows).expect("the events fold"));
            black_box(run.finish().expect("the state is JSON"));
        }
    };
    let timed = |threads: usize| {
        let start = Instant::now();
        std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
        start.elapsed().as_secs_f64() / threads as f64
    };
    timed(2);
    let mut ratios: Vec<f64> = (0..RUNS).map(|_| timed(1) / timed(2)).collect();
    ratios.sort_by(f64::total_cmp);
    println!(
        "{name:<44} {:>8.2} times one thread ({:.2} to {:.2})",
        ratios[RUNS / 2],
        ratios[0],
        ratios[RUNS - 1]
    );
}

fn main() {
    for bytes in [200, 1_000] {
        let first = events(bytes, true, false);
        let last = events(bytes, false, false);
        let name = |what: &str| format!("{what}, {bytes} B");
        fold(&name("fold account, wanted fields first"), ACCOUNT, &first);
        fold(&name("fold account, wanted fields last"), ACCOUNT, &last);
        fold(&name("fold account, decimals"), ACCOUNT, &events(bytes, true, true));
        fold(&name("fold a growing list"), TRANSFERS, &first);
        two_threads(&name("fold account on two threads"), ACCOUNT, &first);
        project(&name("project, 20 events a row"), BALANCES, &first, 50);
        project(&name("project, every event a row"), BALANCES, &first, EVENTS);
        let by_type = format!("{BALANCES}key: meta.type + meta.stream_id\n");
        project(&name("project, key of an expression"), &by_type, &first, 50);
        let mut unknown = last.clone();
        unknown.iter_mut().for_each(|event| event.flags = 0);
        fold(&name("fold account, rows not validated"), ACCOUNT, &unknown);

        let pages = pages(&last);
        measure(&name("decode pages"), || {
            for page in &pages {
                let page = page.iter().map(Option::as_deref);
                black_box(Rows::decode(page).expect("the page decodes"));
            }
        });
        let decoded: Vec<_> = pages
            .iter()
            .map(|page| Rows::decode(page.iter().map(Option::as_deref)).expect("decodes"))
            .collect();
        measure(&name("encode pages"), || {
            for rows in &decoded {
                black_box(encode_page(rows, Some("account-1")).expect("the page encodes"));
            }
        });
        let mut checker = Checker::default();
        measure(&name("check JSON"), || {
            for event in &last {
                black_box(checker.check(event.data.as_ref().expect("data")).is_ok());
            }
        });
        measure(&name("both digests"), || {
            for event in &last {
                let data = event.data.as_ref().expect("data");
                black_box(sent_digest(&event.event_type, data, b"{}", &[]));
                black_box(stored_digest(data, b"{}"));
            }
        });
    }
}
