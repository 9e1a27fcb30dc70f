//! Sessions of appends: many travel in one call, and one message carries all that wait.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use eventfold_core::wire::{SessionOutcome, session_answers, write_session_append};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use crate::call;
use crate::channel::{Channel, Shared};
use crate::error::{CallError, Code};
use crate::message::{empty_frame, finish_frame, send};
use crate::reply::Reply;
use crate::runtime::Job;

/// What a session holds itself to.
#[derive(Debug, Clone, Copy)]
pub struct SessionLimits {
    /// Most appends without an answer.
    pub appends_max: usize,
    /// Most bytes of them, unless it is one alone.
    pub bytes_max: usize,
    /// A message has one append, or several up to this size.
    pub message_bytes_max: usize,
    /// A session without appends ends after that.
    pub idle: Duration,
}

/// What became of an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A serialised `AppendResponse`.
    Appended(Bytes),
    /// The serialised `SessionAnswer`.
    Refused(Bytes),
    /// Its time is over.
    Late {
        /// False: it is surely not stored.
        is_sent: bool,
    },
}

/// One call that carries many appends. It begins at once, and ends when it breaks, idles, or is
/// dropped.
pub struct AppendSession {
    session: Arc<Session>,
    job: Job,
}

/// An append of a session.
#[derive(Debug)]
pub struct Ticket(Arc<AtomicBool>);

impl Ticket {
    /// Nobody waits for it any more: it is not sent if it was not yet.
    pub fn leave(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Session {
    limits: SessionLimits,
    outbox: Mutex<Outbox>,
    /// Something waits that did not.
    changed: Notify,
    /// A deadline is before all others.
    earlier: Notify,
}

#[derive(Default)]
struct Outbox {
    is_over: bool,
    waiting: VecDeque<Append>,
    sent: HashMap<u64, Append>,
    sent_bytes: usize,
    number: u64,
    /// No deadline is before that.
    earliest: Option<Instant>,
}

struct Append {
    request: Bytes,
    deadline: Instant,
    is_left: Arc<AtomicBool>,
    /// None: told already.
    reply: Option<Reply<Outcome>>,
}

impl Append {
    fn tell(self, result: Result<Outcome, CallError>) {
        if let Some(reply) = self.reply {
            reply.give(result);
        }
    }
}

impl Outbox {
    /// Takes the replies to those whose time is over, and whether they were sent.
    fn take_late(&mut self, now: Instant, late: &mut Vec<(Reply<Outcome>, bool)>) {
        self.waiting.retain_mut(|append| {
            let is_late = append.deadline <= now;
            late.extend(append.reply.take_if(|_| is_late).map(|reply| (reply, false)));
            !is_late
        });
        for append in self.sent.values_mut() {
            let is_late = append.deadline <= now;
            late.extend(append.reply.take_if(|_| is_late).map(|reply| (reply, true)));
        }
        let told = |append: &&Append| append.reply.is_some();
        let open = self.waiting.iter().chain(self.sent.values()).filter(told);
        self.earliest = open.map(|append| append.deadline).min();
    }
}

impl Channel {
    /// Begins a session of appends.
    pub fn append_session(&self, path: &str, limits: SessionLimits) -> AppendSession {
        let session = Arc::new(Session {
            limits,
            outbox: Mutex::default(),
            changed: Notify::new(),
            earlier: Notify::new(),
        });
        let running = Running(Arc::clone(&session));
        let (shared, path) = (Arc::clone(self.shared()), path.to_owned());
        let task = self.shared().spawn(async move {
            let failure = running.run(&shared, &path).await.err();
            let ended = || CallError::unavailable("the session of appends broke");
            running.0.fail(&failure.unwrap_or_else(ended));
        });
        AppendSession { session, job: Job::new(task.abort_handle()) }
    }
}

impl AppendSession {
    /// Adds an append to the next message, which goes when [`AppendSession::flush`] is called, or
    /// with others before; `None`: the session is over, and takes none.
    pub fn put(
        &self,
        request: Bytes,
        timeout: Duration,
        reply: impl FnOnce() -> Reply<Outcome>,
    ) -> Option<Ticket> {
        let mut outbox = self.session.outbox();
        if outbox.is_over {
            return None;
        }
        let is_left = Arc::new(AtomicBool::new(false));
        let ticket = Ticket(Arc::clone(&is_left));
        let deadline = Instant::now() + timeout;
        let is_earlier = outbox.earliest.is_none_or(|earliest| deadline < earliest);
        if is_earlier {
            outbox.earliest = Some(deadline);
        }
        outbox.waiting.push_back(Append { request, deadline, is_left, reply: Some(reply()) });
        drop(outbox);
        if is_earlier {
            self.session.earlier.notify_one();
        }
        Some(ticket)
    }

    /// Sends what was put. One who puts several calls it once, so that they share a message.
    pub fn flush(&self) {
        self.session.changed.notify_one();
    }

    /// Appends without an answer.
    pub fn len(&self) -> usize {
        let outbox = self.session.outbox();
        outbox.waiting.len() + outbox.sent.len()
    }

    /// Whether no append is without an answer.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends that were sent and are without an answer.
    pub fn sent(&self) -> usize {
        self.session.outbox().sent.len()
    }

    /// Whether it takes no more appends.
    pub fn is_over(&self) -> bool {
        self.session.outbox().is_over
    }
}

impl Session {
    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session is over: so says whoever is without an answer.
    fn fail(&self, failure: &CallError) {
        let left = {
            let mut outbox = self.outbox();
            outbox.is_over = true;
            let sent = std::mem::take(&mut outbox.sent);
            sent.into_values().chain(std::mem::take(&mut outbox.waiting)).collect::<Vec<_>>()
        };
        for append in left {
            append.tell(Err(failure.clone()));
        }
    }

    /// All that waits and finds room; `None`: nothing does.
    fn next_frame(&self) -> Option<Vec<u8>> {
        let mut frame = empty_frame();
        let mut size = 0;
        let now = Instant::now();
        let mut outbox = self.outbox();
        while let Some(append) = outbox.waiting.pop_front() {
            if append.is_left.load(Ordering::Relaxed) {
                continue;
            }
            let bytes = append.request.len();
            size += bytes;
            if size > self.limits.message_bytes_max.max(bytes) || !self.has_room(&outbox, bytes) {
                outbox.waiting.push_front(append);
                break;
            }
            outbox.number += 1;
            let number = outbox.number;
            let timeout = append.deadline.saturating_duration_since(now);
            let timeout = timeout.max(Duration::from_nanos(1));
            write_session_append(number, &append.request, timeout, &mut frame);
            outbox.sent_bytes += bytes;
            outbox.sent.insert(number, append);
        }
        (frame.len() > empty_frame().len()).then_some(frame)
    }

    fn has_room(&self, outbox: &Outbox, bytes: usize) -> bool {
        outbox.sent.is_empty()
            || (outbox.sent_bytes + bytes <= self.limits.bytes_max
                && outbox.sent.len() < self.limits.appends_max)
    }

    /// Takes no more appends if there is none.
    fn end_if_idle(&self) -> bool {
        let mut outbox = self.outbox();
        outbox.is_over = outbox.waiting.is_empty() && outbox.sent.is_empty();
        outbox.is_over
    }

    /// Hands each answer to who waits for it.
    fn answer(&self, message: &Bytes) -> Result<(), CallError> {
        let answers = session_answers(message)
            .map_err(|error| CallError::new(Code::INTERNAL, error.to_string()))?;
        for answer in answers {
            let append = {
                let mut outbox = self.outbox();
                let append = outbox.sent.remove(&answer.number);
                outbox.sent_bytes -= append.as_ref().map_or(0, |append| append.request.len());
                append
            };
            let Some(append) = append else { continue };
            append.tell(match answer.outcome {
                SessionOutcome::Appended(range) => Ok(Outcome::Appended(message.slice(range))),
                SessionOutcome::Refused(range) => Ok(Outcome::Refused(message.slice(range))),
                SessionOutcome::Empty => {
                    Err(CallError::new(Code::INTERNAL, "the answer to an append is empty"))
                }
            });
        }
        Ok(())
    }

    /// Tells those whose time is over, and when the next one's is; `None`: nobody waits.
    ///
    /// An append that was sent keeps its room until its answer comes, as it does on the server.
    fn late(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut late = Vec::new();
        let mut outbox = self.outbox();
        if outbox.earliest.is_none_or(|earliest| earliest <= now) {
            outbox.take_late(now, &mut late);
        }
        let earliest = outbox.earliest;
        drop(outbox);
        for (reply, is_sent) in late {
            reply.give(Ok(Outcome::Late { is_sent }));
        }
        earliest
    }
}

/// The duty to tell everybody when the session is over.
struct Running(Arc<Session>);

impl Running {
    async fn run(&self, shared: &Arc<Shared>, path: &str) -> Result<(), CallError> {
        tokio::select! {
            end = self.exchange(shared, path) => end,
            never = self.watch() => match never {},
        }
    }

    /// Keeps the deadlines, also while there is no connection yet.
    async fn watch(&self) -> Infallible {
        loop {
            match self.0.late() {
                None => self.0.earlier.notified().await,
                Some(earliest) => tokio::select! {
                    () = sleep_until(earliest) => {}
                    () = self.0.earlier.notified() => {}
                },
            }
        }
    }

    async fn exchange(&self, shared: &Arc<Shared>, path: &str) -> Result<(), CallError> {
        let session = &self.0;
        let (mut stream, mut answer) = call::begin(shared, path, None).await?;
        let mut frame = Bytes::new();
        loop {
            // What is put while a message is on its way goes into the next one.
            if frame.is_empty()
                && let Some(next) = session.next_frame()
            {
                frame = finish_frame(next, shared.settings.message_bytes_max)?;
            }
            let is_sending = !frame.is_empty();
            tokio::select! {
                biased;
                message = answer.next() => match message? {
                    Some(message) => session.answer(&message)?,
                    None => return Ok(()),
                },
                sent = send(&mut stream, &mut frame), if is_sending => {
                    sent.map_err(|error| CallError::of_h2(&error))?;
                }
                () = session.changed.notified(), if !is_sending => {}
                () = sleep(session.limits.idle), if !is_sending => {
                    if session.end_if_idle() {
                        break;
                    }
                }
            }
        }
        let _ = stream.send_data(Bytes::new(), true);
        while answer.next().await?.is_some() {}
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fail(&CallError::closed());
    }
}

impl Drop for AppendSession {
    fn drop(&mut self) {
        self.job.cancel();
    }
}
