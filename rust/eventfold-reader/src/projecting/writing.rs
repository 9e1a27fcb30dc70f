//! The one transaction of a step.

use tokio_postgres::types::ToSql;

use super::Generation;
use super::arguments::{Argument, Column, FIXED};
use super::batch::Batch;
use super::stored::error_json;
use crate::connection::Connection;
use crate::error::ReadError;
use crate::failpoint::{Failpoint, reach};
use crate::pool::Pool;

/// Writes a batch, unless lease, position or log are others by now: then nothing, and false.
///
/// After an error nothing is written, or, if the connection broke, nobody knows.
pub(super) async fn write(
    pool: Pool,
    generation: &Generation,
    from: i64,
    rate: f64,
    batch: &Batch,
) -> Result<bool, ReadError> {
    let mut lease = pool.lend().await?;
    let connection = lease.writing();
    let moved = advance(connection, generation, from, rate, batch).await?;
    if moved {
        reach(Failpoint::Fenced);
        write_rows(connection, generation, batch).await?;
        reach(Failpoint::Rows);
        park(connection, generation, batch).await?;
        reach(Failpoint::Parked);
        unpark(connection, generation, batch).await?;
        reach(Failpoint::BeforeCommit);
        connection.end_writing("COMMIT").await?;
        reach(Failpoint::AfterCommit);
    } else {
        connection.end_writing("ROLLBACK").await?;
    }
    lease.wrote();
    Ok(moved)
}

async fn advance(
    connection: &mut Connection,
    generation: &Generation,
    from: i64,
    rate: f64,
    batch: &Batch,
) -> Result<bool, ReadError> {
    let rate = rate.to_string();
    let stopped = batch.stopped.as_ref().map(error_json);
    let lease_ms = generation.bounds.lease.as_millis();
    let (anchors, ids): (Vec<i64>, Vec<[u8; 16]>) = batch.anchors.iter().copied().unzip();
    let params = [
        Argument::Int(generation.generation_no),
        Argument::Int(generation.lease),
        Argument::Int(from),
        Argument::Int(batch.position),
        Argument::Int(i64::try_from(batch.events).unwrap_or(i64::MAX)),
        Argument::Text(Some(&rate)),
        Argument::Text(stopped.as_deref()),
        Argument::Int(i64::try_from(lease_ms).unwrap_or(i64::MAX)),
        Argument::Ints(&anchors),
        Argument::Uuids(&ids),
    ];
    let moved = connection.begin_writing(&generation.statements.advance, &as_dyn(&params)).await?;
    Ok(moved == 1)
}

async fn write_rows(
    connection: &mut Connection,
    generation: &Generation,
    batch: &Batch,
) -> Result<(), ReadError> {
    // In order of their keys, so that new rows fill the pages of the index.
    let sealed = generation.seals().sealed(generation.generation_no, &batch.upserts).await?;
    let rows: Vec<_> = sealed.as_ref().unwrap_or(&batch.upserts).iter().collect();
    if !rows.is_empty() {
        let said = (0..generation.projection.columns().len()).map(Column::Said);
        let columns = FIXED.into_iter().chain(said);
        let params: Vec<_> = columns.map(|column| Argument::Column(&rows, column)).collect();
        connection.execute(&generation.statements.upsert, &as_dyn(&params)).await?;
    }
    let gone: Vec<&str> = batch.deletes.iter().map(String::as_str).collect();
    if !gone.is_empty() {
        let params = [Argument::Texts(&gone)];
        connection.execute(&generation.statements.delete, &as_dyn(&params)).await?;
    }
    Ok(())
}

async fn park(
    connection: &mut Connection,
    generation: &Generation,
    batch: &Batch,
) -> Result<(), ReadError> {
    let generation_no = Argument::Int(generation.generation_no);
    if !batch.parked_keys.is_empty() {
        let keys: Vec<&str> = batch.parked_keys.iter().map(|(key, _)| key.as_str()).collect();
        let errors: Vec<String> =
            batch.parked_keys.iter().map(|(_, error)| error_json(error)).collect();
        let errors: Vec<&str> = errors.iter().map(String::as_str).collect();
        let params = [generation_no, Argument::Texts(&keys), Argument::Texts(&errors)];
        connection.execute(&generation.statements.park_keys, &as_dyn(&params)).await?;
    }
    if !batch.parked_events.is_empty() {
        let (keys, positions): (Vec<&str>, Vec<i64>) =
            batch.parked_events.iter().map(|(key, position)| (key.as_str(), *position)).unzip();
        let params = [generation_no, Argument::Texts(&keys), Argument::Ints(&positions)];
        connection.execute(&generation.statements.park_events, &as_dyn(&params)).await?;
    }
    Ok(())
}

/// Ends what a retry has mended, and notes what failed again.
async fn unpark(
    connection: &mut Connection,
    generation: &Generation,
    batch: &Batch,
) -> Result<(), ReadError> {
    let generation_no = Argument::Int(generation.generation_no);
    if !batch.mended.is_empty() {
        let keys: Vec<&str> = batch.mended.iter().map(String::as_str).collect();
        let params = [generation_no, Argument::Texts(&keys)];
        connection.execute(&generation.statements.unpark_keys, &as_dyn(&params)).await?;
        reach(Failpoint::Unparked);
    }
    if !batch.failed_again.is_empty() {
        let keys: Vec<&str> = batch.failed_again.iter().map(|(key, _)| key.as_str()).collect();
        let errors: Vec<String> =
            batch.failed_again.iter().map(|(_, error)| error_json(error)).collect();
        let errors: Vec<&str> = errors.iter().map(String::as_str).collect();
        let params = [generation_no, Argument::Texts(&keys), Argument::Texts(&errors)];
        connection.execute(&generation.statements.park_again, &as_dyn(&params)).await?;
    }
    Ok(())
}

/// Prolongs the lease while nothing is written; false if somebody else has it.
pub(super) async fn hold(
    pool: &Pool,
    generation: &Generation,
    statement: &str,
) -> Result<bool, ReadError> {
    let lease_ms = generation.bounds.lease.as_millis();
    let params = [
        Argument::Int(generation.generation_no),
        Argument::Int(generation.lease),
        Argument::Int(i64::try_from(lease_ms).unwrap_or(i64::MAX)),
    ];
    let mut lease = pool.lend().await?;
    let connection = lease.writing();
    let held = connection.begin_writing(statement, &as_dyn(&params)).await?;
    connection.end_writing("COMMIT").await?;
    lease.wrote();
    Ok(held == 1)
}

fn as_dyn<'a>(params: &'a [Argument<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    params.iter().map(|param| param as &(dyn ToSql + Sync)).collect()
}
