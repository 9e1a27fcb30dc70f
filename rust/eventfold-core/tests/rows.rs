//! Pages of rows: what is decoded, and that no bytes can do worse than be refused.

mod common;

use common::{Event, array, columns};
use eventfold_core::rows::{Page, Rows};
use eventfold_core::wire::encode_page;
use proptest::prelude::*;

fn page() -> Vec<Event> {
    let mut full = Event::new(2, "Moved", r#"{"a":2}"#);
    full.stream = Some("account-1".to_owned());
    full.metadata = Some(br#"{"m":1}"#.to_vec());
    full.tags = vec!["a".to_owned(), "ü".to_owned()];
    full.occurred_us = Some(-5);
    full.copied_from = Some([7; 16]);
    full.cancels = Some([8; 16]);
    full.trace_context = Some("00-1-2-00".to_owned());
    let mut deleted = Event::new(3, "Gone", "");
    deleted.deleted = true;
    deleted.data = None;
    vec![Event::new(1, "Opened", r#"{"a":1}"#), full, deleted]
}

#[test]
fn rows_have_their_values_and_defaults() {
    let rows = Rows::decode(columns(&page())).unwrap();
    let rows: Vec<_> = rows.iter().map(Result::unwrap).collect();
    let [plain, full, deleted] = rows.as_slice() else { panic!("three rows") };
    assert_eq!((plain.stream, plain.version, plain.position), (None, 1, 101));
    assert_eq!((plain.event_type, plain.data), ("Opened", br#"{"a":1}"#.as_slice()));
    assert_eq!((plain.metadata, plain.occurred_us), (b"{}".as_slice(), plain.recorded_us));
    assert!(plain.tags.is_empty() && plain.cancels.is_none() && !plain.deleted);
    assert_eq!(full.stream, Some("account-1"));
    assert_eq!(full.tags.iter().collect::<Vec<_>>(), ["a", "ü"]);
    assert_eq!((full.tags.len(), full.occurred_us, full.flags), (2, -5, 1));
    assert_eq!((full.copied_from, full.cancels), (Some(&[7; 16]), Some(&[8; 16])));
    assert_eq!(full.trace_context, Some("00-1-2-00"));
    assert!(deleted.deleted);
    assert_eq!((deleted.data, deleted.metadata), (b"".as_slice(), b"".as_slice()));
}

#[test]
fn pages_without_rows() {
    for empty in [vec![None; 17], columns(&[]), vec![Some(array(common::TEXT, &[])); 1]] {
        match Rows::decode(empty.clone()) {
            Ok(rows) => assert!(rows.is_empty()),
            Err(error) => assert!(empty.len() != 17, "{error}"),
        }
    }
}

/// A page of single cells, as a driver that gives row by row has them.
struct Cells(Vec<[Option<Vec<u8>>; 16]>);

impl Page for Cells {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn cell(&self, column: usize, index: usize) -> Option<&[u8]> {
        self.0.get(index)?.get(column)?.as_deref()
    }
}

impl Cells {
    fn of(page: &impl Page) -> Self {
        let row = |row| std::array::from_fn(|column| page.cell(column, row).map(<[u8]>::to_vec));
        Self((0..page.len()).map(row).collect())
    }
}

#[test]
fn pages_of_cells_are_pages_of_arrays() {
    let rows = Rows::decode(columns(&page())).unwrap();
    let cells = Cells::of(&rows);
    for (row, cells) in rows.iter().zip(cells.iter()) {
        assert_eq!(format!("{:?}", row.unwrap()), format!("{:?}", cells.unwrap()));
    }
    assert_eq!(encode_page(&rows, Some("a-1")), encode_page(&cells, Some("a-1")));
    // Nobody has checked the lengths of these cells before.
    for (column, bytes) in [(1, 7), (3, 15), (8, 9), (9, 0), (11, 8), (12, 1), (13, 17), (15, 2)] {
        let mut wrong = Cells::of(&rows);
        wrong.0[1][column] = Some(vec![0; bytes]);
        assert_eq!(wrong.row(1).unwrap_err().reason, "BUG", "column {column}");
    }
}

fn refuse(columns: Vec<Option<Vec<u8>>>, expected: &str) {
    let decoded = Rows::decode(columns);
    let error = match &decoded {
        Ok(rows) => rows.row(0).expect_err("it must be refused"),
        Err(error) => error.clone(),
    };
    assert_eq!(error.reason, "BUG");
    assert!(error.message.contains(expected), "{} lacks {expected}", error.message);
}

#[test]
fn malformed_pages_are_refused() {
    let good = || columns(&page());
    let with = |at: usize, bytes: Option<Vec<u8>>| {
        let mut columns = good();
        columns[at] = bytes;
        columns
    };
    let three = |oid, element: &[u8]| Some(array(oid, &vec![Some(element.to_vec()); 3]));
    refuse(good()[..15].to_vec(), "15 columns");
    refuse(good().into_iter().chain([None, None]).collect(), "more than 18");
    let root = array(common::TEXT, &vec![Some(b"\xff".to_vec()); 3]);
    let rows = Rows::decode(good().into_iter().chain([Some(root)])).unwrap();
    assert!(rows.root(0).unwrap_err().message.contains("root_name is not UTF-8"));
    assert_eq!(Rows::decode(good()).unwrap().root(0), Ok(None));
    refuse(with(1, None), "version is absent");
    refuse(with(4, Some(array(common::TEXT, &[Some(vec![65])]))), "another length");
    refuse(with(1, three(common::TEXT, &[0; 8])), "another type");
    refuse(with(1, three(common::INT8, &[0; 7])), "wrong length");
    refuse(with(4, three(common::TEXT, b"\xff")), "type is not UTF-8");
    refuse(with(4, Some(array(common::TEXT, &[None, None, None]))), "type is NULL");
    refuse(with(1, Some(array(common::INT8, &[None, None, None]))), "version is NULL");
    refuse(with(8, three(common::TIME, &i64::MAX.to_be_bytes())), "out of range");
    refuse(with(9, three(common::TIME, &i64::MIN.to_be_bytes())), "out of range");
    refuse(with(7, three(common::BYTEA, b"x")), "tags");
    let tags = array(common::TEXT, &[Some(b"a".to_vec()), None]);
    refuse(with(7, three(common::BYTEA, &tags)), "tags");
    refuse(with(1, Some(vec![])), "length");
    refuse(with(1, Some([2, 0, 20, 1, 1, 1, 1].map(i32::to_be_bytes).concat())), "header");
    refuse(with(1, Some([1, 0, 20, -1, 1].map(i32::to_be_bytes).concat())), "header");
    // A count that the bytes do not back claims no memory.
    refuse(with(1, Some([1, 0, 20, i32::MAX, 1].map(i32::to_be_bytes).concat())), "length");
    let mut trailing = good();
    trailing[1].as_mut().unwrap().push(0);
    refuse(trailing, "length");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_damage_does_worse_than_an_error(
        column in 0..16usize,
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut columns = columns(&page());
        if let Some(bytes) = &mut columns[column] {
            for (place, byte) in damage {
                let at = place.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
        }
        if let Ok(rows) = Rows::decode(columns) {
            for row in rows.iter().flatten() {
                let _ = row.tags.iter().count();
            }
        }
    }
}
