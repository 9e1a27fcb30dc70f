//! Calls whose answer, or whose request too, comes in many messages.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use h2::SendStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout_at};

use crate::call;
use crate::channel::{Channel, Shared};
use crate::error::{CallError, Code};
use crate::message::{Answer, framed, send};
use crate::reply::Reply;
use crate::runtime::Job;

/// What waits for whoever reads: messages up to this size together, or one.
const READ_AHEAD_BYTES: usize = 2 << 20;

/// A call under way. Dropped or cancelled, it ends.
pub struct Call {
    inbox: Arc<Inbox>,
    outbox: Outbox,
    job: Job,
}

/// Frames to be sent and who is told when they are; `None`: no more will come.
type Outbox = mpsc::UnboundedSender<Option<(Bytes, Reply<()>)>>;
type Outgoing = mpsc::UnboundedReceiver<Option<(Bytes, Reply<()>)>>;

#[derive(Default)]
struct Inbox {
    state: Mutex<State>,
    room: Notify,
}

#[derive(Default)]
struct State {
    messages: VecDeque<Bytes>,
    bytes: usize,
    end: Option<Result<(), CallError>>,
    waiting: Option<Reply<Option<Bytes>>>,
}

impl Channel {
    /// Begins a call of one request and many messages in answer; without a timeout it has no
    /// deadline.
    pub fn stream(&self, path: &str, request: &[u8], timeout: Option<Duration>) -> Call {
        let frame = framed(request, self.shared().settings.message_bytes_max);
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        self.begin(path.to_owned(), deadline, move |mut stream, _| async move {
            let _ = stream.send_data(frame?, true);
            Ok(())
        })
    }

    /// Begins a call without a deadline of many requests and many messages in answer.
    pub fn session(&self, path: &str) -> Call {
        self.begin(path.to_owned(), None, send_all)
    }

    fn begin<F>(
        &self,
        path: String,
        deadline: Option<Instant>,
        sending: impl FnOnce(SendStream<Bytes>, Outgoing) -> F + Send + 'static,
    ) -> Call
    where
        F: Future<Output = Result<(), CallError>> + Send + 'static,
    {
        let shared = Arc::clone(self.shared());
        let inbox = Arc::new(Inbox::default());
        let (outbox, outgoing) = mpsc::unbounded_channel();
        let ending = Ending(Arc::clone(&inbox));
        let task = self.shared().spawn(async move {
            let work = ending.run(&shared, &path, deadline, |stream| sending(stream, outgoing));
            let late = Err(CallError::late());
            let end = match deadline {
                Some(deadline) => timeout_at(deadline, work).await.unwrap_or(late),
                None => work.await,
            };
            ending.0.end(end);
        });
        Call { inbox, outbox, job: Job::new(task.abort_handle()) }
    }
}

impl Call {
    /// Asks for the next message; `None`: the call ended well. Messages that have come are given
    /// before an error. One asks at a time.
    pub fn next(&self, reply: Reply<Option<Bytes>>) {
        let mut state = self.inbox.state();
        let result = match (state.messages.pop_front(), &state.end) {
            (Some(message), _) => {
                state.bytes -= message.len();
                self.inbox.room.notify_one();
                Ok(Some(message))
            }
            (None, Some(end)) => end.clone().map(|()| None),
            (None, None) => {
                let before = state.waiting.replace(reply);
                drop(state);
                return drop(before);
            }
        };
        drop(state);
        reply.give(result);
    }

    /// Sends a message; told when it was handed over, so that whoever waits for it never sends
    /// faster than the server reads.
    pub fn send(&self, message: &[u8], bytes_max: usize, reply: Reply<()>) {
        match framed(message, bytes_max) {
            Err(error) => reply.give(Err(error)),
            // Sent back when the call is over; its reply says so when it is dropped.
            Ok(frame) => drop(self.outbox.send(Some((frame, reply)))),
        }
    }

    /// Says that no more messages will come.
    pub fn done_sending(&self) {
        let _ = self.outbox.send(None);
    }

    /// Ends the call.
    pub fn cancel(&self) {
        self.job.cancel();
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// Sends what is put into the outbox.
async fn send_all(mut stream: SendStream<Bytes>, mut outgoing: Outgoing) -> Result<(), CallError> {
    while let Some(Some((mut frame, reply))) = outgoing.recv().await {
        let sent = send(&mut stream, &mut frame).await;
        reply.give(sent.map_err(|error| CallError::of_h2(&error)));
    }
    let _ = stream.send_data(Bytes::new(), true);
    Ok(())
}

/// The duty to say that a call is over.
struct Ending(Arc<Inbox>);

impl Ending {
    async fn run<F>(
        &self,
        shared: &Arc<Shared>,
        path: &str,
        deadline: Option<Instant>,
        sending: impl FnOnce(SendStream<Bytes>) -> F,
    ) -> Result<(), CallError>
    where
        F: Future<Output = Result<(), CallError>>,
    {
        let (stream, mut answer) = call::begin(shared, path, deadline).await?;
        let sending = sending(stream);
        let receiving = self.receive(&mut answer);
        tokio::pin!(sending, receiving);
        tokio::select! {
            sent = &mut sending => sent?,
            end = &mut receiving => return end,
        }
        receiving.await
    }

    async fn receive(&self, answer: &mut Answer) -> Result<(), CallError> {
        loop {
            self.0.has_room().await;
            match answer.next().await? {
                Some(message) => self.0.put(message),
                None => return Ok(()),
            }
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end(Err(CallError::new(Code::CANCELLED, "the call was given up")));
    }
}

impl Inbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn has_room(&self) {
        while self.state().bytes >= READ_AHEAD_BYTES {
            self.room.notified().await;
        }
    }

    fn put(&self, message: Bytes) {
        let mut state = self.state();
        match state.waiting.take() {
            Some(reply) => {
                drop(state);
                reply.give(Ok(Some(message)));
            }
            None => {
                state.bytes += message.len();
                state.messages.push_back(message);
            }
        }
    }

    /// The first end counts.
    fn end(&self, end: Result<(), CallError>) {
        let mut state = self.state();
        if state.end.is_some() {
            return;
        }
        let waiting = state.waiting.take();
        state.end = Some(end.clone());
        drop(state);
        if let Some(reply) = waiting {
            reply.give(end.map(|()| None));
        }
    }
}
