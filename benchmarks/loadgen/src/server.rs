//! Calls of eventfold's server, at so many in flight.

use std::time::Instant;

use prost::bytes::Bytes;
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};
use uuid::Uuid;

use crate::Fault;
use crate::protocol::{Answer, Cell, Done, Request};
use crate::session::Session;

/// Generated from `proto`; packages refer to each other by this nesting.
#[allow(missing_docs, clippy::all)]
mod generated {
    pub mod google {
        pub mod rpc {
            tonic::include_proto!("google.rpc");
        }
    }
    pub mod eventfold {
        pub mod v1 {
            tonic::include_proto!("eventfold.v1");
        }
    }
}

pub use generated::eventfold::v1;
use v1::event_store_client::EventStoreClient;
use v1::expected_version::Kind;
use v1::folds_client::FoldsClient;

/// Callers share so many connections at the most.
const CONNECTIONS: usize = 4;

/// The store's clients by name of the fold that no state is kept of, as in `data.py`.
const COLD_FOLD: &str = "cold";

/// Connections to one server.
pub struct Server {
    channels: Vec<Channel>,
}

#[derive(Clone, Copy)]
enum Work {
    Append,
    AppendSession,
    Hydrate,
    Read,
}

impl Server {
    /// Connects to a server without TLS.
    pub async fn connect(address: &str) -> Result<Self, Fault> {
        let mut channels = Vec::new();
        for _ in 0..CONNECTIONS {
            let endpoint = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
            channels.push(endpoint.connect().await?);
        }
        Ok(Self { channels })
    }

    /// Runs a cell: every caller repeats the operation until time is up.
    pub async fn run(&self, request: &Request) -> Result<Answer, Fault> {
        let work = match request.r#do.as_str() {
            "append" => Work::Append,
            "append_session" => Work::AppendSession,
            "hydrate" => Work::Hydrate,
            "read" => Work::Read,
            other => return Err(format!("there is no {other} of the load generator").into()),
        };
        let in_flight = request.in_flight.max(1);
        let mut sessions = Vec::new();
        if matches!(work, Work::AppendSession) {
            for channel in self.channels.iter().take(in_flight) {
                sessions.push(Session::open(channel.clone()).await?);
            }
        }
        let cell = Cell::begin(request.seconds);
        let mut callers = JoinSet::new();
        for number in 0..in_flight {
            let caller = Caller {
                channel: self.channels[number % self.channels.len()].clone(),
                session: sessions.get(number % sessions.len().max(1)).cloned(),
                stream: request.stream.clone(),
                batch: request.batch.max(1),
                deadline: cell.deadline,
            };
            callers.spawn(caller.repeat(work));
        }
        let mut done = Vec::new();
        while let Some(one) = callers.join_next().await {
            done.push(one??);
        }
        Ok(cell.end(done))
    }
}

struct Caller {
    channel: Channel,
    // Of an append session; else appends are calls of their own.
    session: Option<Session>,
    stream: String,
    batch: usize,
    deadline: Instant,
}

impl Caller {
    async fn repeat(self, work: Work) -> Result<Done, Fault> {
        match work {
            Work::Append | Work::AppendSession => self.append().await,
            Work::Hydrate => self.hydrate().await,
            Work::Read => self.read().await,
        }
    }

    /// Appends to a stream of the caller's own, each time at the exact version.
    async fn append(self) -> Result<Done, Fault> {
        let mut client = EventStoreClient::new(self.channel);
        let stream = format!("account-{}", Uuid::now_v7());
        let mut done = Done::default();
        let mut version = 0_i64;
        loop {
            let start = Instant::now();
            let events = (0..self.batch as i64).map(|one| event(version + one)).collect();
            let request = append(&stream, version, events);
            version = match &self.session {
                Some(session) => session.append(request).await?,
                None => client.append(request).await?.into_inner().last_version,
            };
            done.latencies.push(start.elapsed());
            done.result = self.batch as i64;
            if Instant::now() >= self.deadline {
                return Ok(done);
            }
        }
    }

    /// Folds the stream from its first event.
    async fn hydrate(self) -> Result<Done, Fault> {
        let mut client = FoldsClient::new(self.channel);
        let fold = v1::FoldRef { kind: Some(v1::fold_ref::Kind::Name(COLD_FOLD.into())) };
        let mut done = Done::default();
        loop {
            let start = Instant::now();
            let request = v1::HydrateRequest {
                stream: self.stream.clone(),
                fold: Some(fold.clone()),
                ..Default::default()
            };
            let answer = client.hydrate(request).await?.into_inner();
            done.latencies.push(start.elapsed());
            let state: serde_json::Value = serde_json::from_slice(&answer.state)?;
            done.result = state["balance"].as_i64().ok_or("the state has no balance")?;
            if Instant::now() >= self.deadline {
                return Ok(done);
            }
        }
    }

    /// Reads the stream; events are decoded from protobuf, their data stay bytes.
    async fn read(self) -> Result<Done, Fault> {
        let mut client = EventStoreClient::new(self.channel);
        let mut done = Done::default();
        loop {
            let start = Instant::now();
            let request = v1::ReadRequest { stream: self.stream.clone(), ..Default::default() };
            let mut pages = client.read(request).await?.into_inner();
            done.result = 0;
            while let Some(page) = pages.message().await? {
                done.result += page.events.len() as i64;
            }
            done.latencies.push(start.elapsed());
            if Instant::now() >= self.deadline {
                return Ok(done);
            }
        }
    }
}

fn append(stream: &str, version: i64, events: Vec<v1::NewEvent>) -> v1::AppendRequest {
    v1::AppendRequest {
        stream: stream.into(),
        expected_version: Some(v1::ExpectedVersion { kind: Some(Kind::Exact(version)) }),
        events,
    }
}

/// The same event as `event_data` of `data.py` makes.
fn event(number: i64) -> v1::NewEvent {
    let data = format!(
        concat!(
            r#"{{"account":"8f6c1f0e-5d0b-4a57-9e0b-6a6f1f6d2c11","booking":{},"currency":"EUR","#,
            r#""amount":{},"text":"salary of the month, transferred by the employer","#,
            r#""reference":"RF-{:012}"}}"#
        ),
        number,
        10 + number % 7,
        number
    );
    let kind = match number {
        0 => "AccountOpened",
        _ if number % 3 == 0 => "MoneyWithdrawn",
        _ => "MoneyDeposited",
    };
    v1::NewEvent {
        id: Uuid::now_v7().to_string(),
        r#type: kind.into(),
        data: Bytes::from(data),
        ..Default::default()
    }
}
