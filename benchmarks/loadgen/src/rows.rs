//! The floor of every read: tokio-postgres fetches the rows of a stream, and every field is looked
//! at. No server, no JSON, no objects.

use std::time::{Instant, SystemTime};

use futures_util::{TryStreamExt, pin_mut};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Row, Statement};

use crate::Fault;
use crate::protocol::{Answer, Cell, Done, Request};

const ROWS: &str = "
SELECT e.event_id, e.type, e.version, e.position, e.recorded_at, e.occurred_at, e.writer, e.data,
       e.metadata, e.tags, e.flags
  FROM eventfold.events e
 WHERE e.stream_no = (SELECT stream_no FROM eventfold.streams WHERE name = $1)
 ORDER BY e.version";

/// A connection with the statement prepared.
pub struct Rows {
    client: Client,
    statement: Statement,
}

impl Rows {
    /// Connects to PostgreSQL; a page of a stream is read by its index, as the server reads it.
    pub async fn connect(url: &str) -> Result<Self, Fault> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        client.batch_execute("SET enable_bitmapscan = off").await?;
        let statement = client.prepare(ROWS).await?;
        Ok(Self { client, statement })
    }

    /// Reads the stream again and again.
    pub async fn run(&self, request: &Request) -> Result<Answer, Fault> {
        if request.r#do != "read" {
            return Err(format!("there is no {} of rows", request.r#do).into());
        }
        let cell = Cell::begin(request.seconds);
        let mut done = Done::default();
        loop {
            let start = Instant::now();
            let (events, touched) = self.read(&request.stream).await?;
            std::hint::black_box(touched);
            done.latencies.push(start.elapsed());
            done.result = events;
            if Instant::now() >= cell.deadline {
                return Ok(cell.end(vec![done]));
            }
        }
    }

    async fn read(&self, stream: &str) -> Result<(i64, u64), Fault> {
        let parameters: [&(dyn ToSql + Sync); 1] = [&stream];
        let rows = self.client.query_raw(&self.statement, parameters).await?;
        pin_mut!(rows);
        let (mut events, mut touched) = (0_i64, 0_u64);
        while let Some(row) = rows.try_next().await? {
            events += 1;
            touched = touched.wrapping_add(touch(&row)?);
        }
        if events == 0 {
            return Err(format!("{stream} has no event").into());
        }
        Ok((events, touched))
    }
}

/// Decodes every field, and sums something of each so that none is optimised away.
fn touch(row: &Row) -> Result<u64, Fault> {
    let id: uuid::Uuid = row.try_get(0)?;
    let kind: &str = row.try_get(1)?;
    let (version, position): (i64, i64) = (row.try_get(2)?, row.try_get(3)?);
    let (recorded, occurred): (SystemTime, SystemTime) = (row.try_get(4)?, row.try_get(5)?);
    let writer: &str = row.try_get(6)?;
    let (data, metadata): (&[u8], &[u8]) = (row.try_get(7)?, row.try_get(8)?);
    let tags: Option<Vec<&str>> = row.try_get(9)?;
    let flags: i32 = row.try_get(10)?;
    let lengths = kind.len() + writer.len() + data.len() + metadata.len();
    let micros = |time: SystemTime| {
        time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
    };
    Ok(id.as_u128() as u64
        ^ (version as u64).wrapping_add(position as u64)
        ^ micros(recorded).wrapping_add(micros(occurred))
        ^ (lengths as u64).wrapping_add(tags.map_or(0, |tags| tags.len() as u64))
        ^ flags as u64)
}
