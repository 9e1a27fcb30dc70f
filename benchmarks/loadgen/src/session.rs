//! Append sessions: callers that share a bidirectional call and each wait for their own answer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::stream;
use tokio::sync::{mpsc, oneshot};
use tonic::transport::Channel;

use crate::Fault;
use crate::server::v1;
use v1::event_store_client::EventStoreClient;
use v1::session_answer::Outcome;

/// Appends of one message at the most.
const MESSAGE_APPENDS: usize = 64;

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Outcome>>>>;

/// One call, open until the last caller has dropped it.
#[derive(Clone)]
pub struct Session {
    queue: mpsc::UnboundedSender<v1::SessionAppend>,
    waiting: Waiting,
    next: Arc<AtomicU64>,
}

impl Session {
    /// Opens the call.
    pub async fn open(channel: Channel) -> Result<Self, Fault> {
        let (queue, source) = mpsc::unbounded_channel();
        let messages = stream::unfold(source, |mut source| async {
            let mut appends = Vec::new();
            // What queued up while the message before was on its way goes with the next one.
            let count = source.recv_many(&mut appends, MESSAGE_APPENDS).await;
            (count > 0).then_some((v1::AppendSessionRequest { appends }, source))
        });
        let waiting = Waiting::default();
        let answered = waiting.clone();
        let mut client = EventStoreClient::new(channel);
        // The server answers the call's head with the first answer, so it is not waited for here.
        tokio::spawn(async move {
            if let Err(fault) = dispatch(&mut client, messages, &answered).await {
                eprintln!("the session broke: {fault}");
            }
            // Callers that still wait learn of the end by their dropped senders.
            answered.lock().expect("no caller panics").clear();
        });
        Ok(Self { queue, waiting, next: Arc::default() })
    }

    /// Appends, and waits for the answer; returns the last version.
    pub async fn append(&self, append: v1::AppendRequest) -> Result<i64, Fault> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.waiting.lock().expect("no caller panics").insert(number, sender);
        self.queue.send(v1::SessionAppend { number, append: Some(append), timeout: None })?;
        match answer.await? {
            Outcome::Appended(stored) => Ok(stored.last_version),
            Outcome::Refused(status) => Err(status.message.into()),
        }
    }
}

async fn dispatch(
    client: &mut EventStoreClient<Channel>,
    messages: impl futures_util::Stream<Item = v1::AppendSessionRequest> + Send + 'static,
    waiting: &Waiting,
) -> Result<(), tonic::Status> {
    let mut answers = client.append_session(messages).await?.into_inner();
    while let Some(message) = answers.message().await? {
        let mut waiting = waiting.lock().expect("no caller panics");
        for answer in message.answers {
            if let (Some(caller), Some(outcome)) = (waiting.remove(&answer.number), answer.outcome)
            {
                // A caller that left does not listen.
                let _ = caller.send(outcome);
            }
        }
    }
    Ok(())
}
