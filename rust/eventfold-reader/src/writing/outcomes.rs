//! Rows of the statements that append, as decisions. The columns of both stand in one order; the
//! numbers of append and check stand before them in the answer to a batch.

use eventfold_core::append::{Decision, Outcome, Positions};
use tokio_postgres::Row;

use super::columns::Numbered;
use crate::row::cell;

/// Microseconds from 1970 to 2000, where PostgreSQL's count of time begins.
const EPOCH_US: i64 = 946_684_800_000_000;

const OUTCOME: usize = 0;
const FIRST_VERSION: usize = 1;
const FIRST_POSITION: usize = 2;
const POSITIONS: usize = 3;
const RECORDED_AT: usize = 4;
const ACTUAL_VERSION: usize = 5;
const SUCCESSOR: usize = 6;
const DIFFERS_AT: usize = 7;
const PROBLEM: usize = 8;
const CATALOGUE_VERSION: usize = 9;

/// The decision on a single append.
pub(super) fn of_one(rows: &[Row]) -> Option<Vec<Vec<Decision>>> {
    let [row] = rows else { return None };
    let mut decision = decision(row, 0)?;
    decision.part = Some(0);
    Some(vec![vec![decision]])
}

/// The decisions on each append of a batch.
pub(super) fn of_batch(rows: &[Row], numbered: &Numbered<'_>) -> Option<Vec<Vec<Decision>>> {
    let mut found = vec![Vec::new(); numbered.appends()];
    for row in rows {
        let mut decision = decision(row, 2)?;
        let append = match int(row, 1) {
            None => {
                let (append, place, _) = numbered.part(index(int(row, 0)?)?)?;
                decision.part = Some(place);
                append
            }
            Some(check) => {
                let (append, place) = numbered.check(index(check)?)?;
                decision.check = Some(place);
                append
            }
        };
        found[append].push(decision);
    }
    found.iter().all(|decisions| !decisions.is_empty()).then_some(found)
}

/// The decision in a row, whose columns begin behind `first`.
fn decision(row: &Row, first: usize) -> Option<Decision> {
    let positions = match bigint(row, first + FIRST_POSITION) {
        Some(first) => Positions::From(first),
        None => Positions::Listed(bigints(row, first + POSITIONS).unwrap_or_default()),
    };
    Some(Decision {
        outcome: Outcome::from_name(text(row, first + OUTCOME)?)?,
        part: None,
        check: None,
        first_version: bigint(row, first + FIRST_VERSION).unwrap_or_default(),
        positions,
        recorded_us: bigint(row, first + RECORDED_AT).map_or(0, |time| time + EPOCH_US),
        actual_version: bigint(row, first + ACTUAL_VERSION).unwrap_or_default(),
        successor: text(row, first + SUCCESSOR).map(str::to_owned),
        differs_at: int(row, first + DIFFERS_AT).and_then(index),
        problem: text(row, first + PROBLEM).map(str::to_owned),
        catalogue_version: bigint(row, first + CATALOGUE_VERSION).unwrap_or_default(),
    })
}

/// From 0, of a number from 1.
fn index(number: i32) -> Option<usize> {
    usize::try_from(number).ok()?.checked_sub(1)
}

fn text(row: &Row, column: usize) -> Option<&str> {
    std::str::from_utf8(cell(row, column)?).ok()
}

fn int(row: &Row, column: usize) -> Option<i32> {
    Some(i32::from_be_bytes(cell(row, column)?.try_into().ok()?))
}

fn bigint(row: &Row, column: usize) -> Option<i64> {
    Some(i64::from_be_bytes(cell(row, column)?.try_into().ok()?))
}

/// An array of `bigint` without NULLs: a header of 20 bytes, then each behind its length.
fn bigints(row: &Row, column: usize) -> Option<Vec<i64>> {
    let elements = cell(row, column)?.get(20..)?;
    let element = |bytes: &[u8]| Some(i64::from_be_bytes(bytes.get(4..)?.try_into().ok()?));
    elements.chunks(12).map(element).collect()
}
