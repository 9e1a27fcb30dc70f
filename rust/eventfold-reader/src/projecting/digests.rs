//! Digests of rows, from the table and from a fold, that are equal if every byte is.

use std::collections::BTreeMap;

use eventfold_core::error::CoreError;
use eventfold_core::projection::ChangedRow;
use sha2::{Digest as _, Sha256};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::Generation;
use super::arguments::{Argument, Column};
use crate::error::ReadError;
use crate::pool::Pool;
use crate::row::cell;

/// SHA-256 of a row.
pub(super) type Digest = [u8; 32];

/// The digest of a row of the sample, which begins behind four columns that are not of the row;
/// `None`: the table has no row of the key.
pub(super) async fn of_table(
    row: &Row,
    key: &str,
    generation: &Generation,
) -> Result<Option<Digest>, ReadError> {
    const FIRST: usize = 4;
    let Some(state) = cell(row, FIRST) else { return Ok(None) };
    let (seals, number) = (generation.seals(), generation.generation_no);
    let mut hash = Sha256::new();
    part(Some(&seals.state(number, key, state).await?.0), &mut hash);
    fixed(row.try_get(FIRST + 1)?, row.try_get(FIRST + 2)?, row.try_get(FIRST + 3)?, &mut hash);
    for column in FIRST + 4..row.len() {
        let place = column - FIRST - 4;
        let text = cell(row, column);
        match text.filter(|_| seals.columns.get(place) == Some(&true)) {
            None => part(text, &mut hash),
            Some(text) => {
                let text = String::from_utf8_lossy(text);
                part(seals.column(number, key, place, &text).await?.as_deref(), &mut hash);
            }
        }
    }
    Ok(Some(hash.finalize().into()))
}

/// The digests of rows that were folded. PostgreSQL spells their columns, as it does those of the
/// table.
pub(super) async fn of_fold(
    pool: &Pool,
    spelled: &str,
    generation: &Generation,
    rows: &[&ChangedRow],
) -> Result<Vec<Digest>, ReadError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let sealed = generation.seals().columns;
    let is_sealed = |place: usize| sealed.get(place) == Some(&true);
    // What is personal does not go to the database: of it the texts themselves are compared.
    let without: Vec<ChangedRow> = rows.iter().map(|row| without(row, is_sealed)).collect();
    let without: Vec<&ChangedRow> = without.iter().collect();
    let said = (0..generation.projection.columns().len()).map(Column::Said);
    let columns = std::iter::once(Column::Key).chain(said);
    let params: Vec<_> = columns.map(|column| Argument::Column(&without, column)).collect();
    let params: Vec<&(dyn ToSql + Sync)> =
        params.iter().map(|param| param as &(dyn ToSql + Sync)).collect();
    let mut lease = pool.lend().await?;
    let found = lease.writing().answers(spelled, &params).await?;
    lease.wrote();
    if found.len() != rows.len() {
        return Err(CoreError::new("BUG", "not all rows were spelled").into());
    }
    let digest = |(row, texts): (&&ChangedRow, &Row)| {
        let mut hash = Sha256::new();
        part(Some(&row.state), &mut hash);
        fixed(row.shown, row.version, row.position, &mut hash);
        for column in 0..texts.len() {
            let own = row.columns.get(column).and_then(Option::as_deref).map(str::as_bytes);
            part(if is_sealed(column) { own } else { cell(texts, column) }, &mut hash);
        }
        hash.finalize().into()
    };
    Ok(rows.iter().zip(&found).map(digest).collect())
}

fn without(row: &ChangedRow, is_sealed: impl Fn(usize) -> bool) -> ChangedRow {
    let mut row = row.clone();
    row.state = Vec::new();
    for (_, text) in row.columns.iter_mut().enumerate().filter(|(place, _)| is_sealed(*place)) {
        *text = None;
    }
    row
}

/// The checksum of rows by their keys, of which some have none; lower-case hexadecimal.
pub(super) fn checksum(rows: &BTreeMap<String, Option<Digest>>) -> String {
    let mut hash = Sha256::new();
    for (key, digest) in rows {
        part(Some(key.as_bytes()), &mut hash);
        part(digest.as_ref().map(<[u8; 32]>::as_slice), &mut hash);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn fixed(shown: bool, version: i64, position: i64, hash: &mut Sha256) {
    hash.update([u8::from(shown)]);
    hash.update(version.to_be_bytes());
    hash.update(position.to_be_bytes());
}

/// A value with its length, so that no two rows run into the same bytes.
fn part(value: Option<&[u8]>, hash: &mut Sha256) {
    let length = value.map_or(u64::MAX, |value| value.len() as u64);
    hash.update(length.to_be_bytes());
    hash.update(value.unwrap_or_default());
}
