//! Messages on a stream of HTTP/2: five bytes, then the message.

use std::future::poll_fn;

use bytes::{Buf, Bytes, BytesMut};
use h2::client::ResponseFuture;
use h2::{RecvStream, SendStream};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};

use crate::channel::Life;
use crate::error::{CallError, Code};

const PREFIX: usize = 5;

/// A message with what goes before it.
pub(crate) fn framed(message: &[u8], bytes_max: usize) -> Result<Bytes, CallError> {
    let mut frame = Vec::with_capacity(PREFIX + message.len());
    frame.resize(PREFIX, 0);
    frame.extend_from_slice(message);
    finish_frame(frame, bytes_max)
}

/// Fills in what goes before a message for which the room was left.
pub(crate) fn finish_frame(mut frame: Vec<u8>, bytes_max: usize) -> Result<Bytes, CallError> {
    let length = frame.len() - PREFIX;
    if length > bytes_max {
        let problem = format!("a message of {length} bytes; {bytes_max} are the most");
        return Err(CallError::new(Code::RESOURCE_EXHAUSTED, problem));
    }
    // Not compressed.
    frame[0] = 0;
    // Held to the limit above, which is far below.
    frame[1..PREFIX].copy_from_slice(&(length as u32).to_be_bytes());
    Ok(frame.into())
}

/// Room for what goes before a message.
pub(crate) fn empty_frame() -> Vec<u8> {
    vec![0; PREFIX]
}

/// Hands a frame over as the peer takes it. What is left stays in `frame` when it is given up, and
/// it may be called again.
pub(crate) async fn send(
    stream: &mut SendStream<Bytes>,
    frame: &mut Bytes,
) -> Result<(), h2::Error> {
    while frame.has_remaining() {
        stream.reserve_capacity(frame.len());
        let room = match stream.capacity() {
            0 => poll_fn(|context| stream.poll_capacity(context)).await.transpose()?,
            room => Some(room),
        };
        let Some(room) = room else {
            // The peer takes nothing more; its answer says why.
            frame.clear();
            return Ok(());
        };
        stream.send_data(frame.split_to(room.min(frame.len())), false)?;
    }
    Ok(())
}

/// The messages of an answer.
pub(crate) struct Answer {
    head: Option<ResponseFuture>,
    body: Option<RecvStream>,
    /// What has come of messages that were not taken yet.
    pending: BytesMut,
    bytes_max: usize,
    life: Life,
}

impl Answer {
    pub(crate) fn new(head: ResponseFuture, bytes_max: usize, life: Life) -> Self {
        Self { head: Some(head), body: None, pending: BytesMut::new(), bytes_max, life }
    }

    /// The next message; `None` when the call ended well. It may be given up and called again.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, CallError> {
        if let Some(head) = &mut self.head {
            let (parts, body) = head.await.map_err(|error| self.life.error(&error))?.into_parts();
            self.head = None;
            self.life.sign();
            if !check_head(parts.status, &parts.headers, body.is_end_stream())? {
                return Ok(None);
            }
            self.body = Some(body);
        }
        let Some(body) = &mut self.body else { return Ok(None) };
        loop {
            if let Some(message) = take(&mut self.pending, self.bytes_max)? {
                return Ok(Some(message));
            }
            match body.data().await {
                Some(Ok(chunk)) => {
                    self.life.sign();
                    // What is read may come again; whoever does not read stops the peer.
                    let _ = body.flow_control().release_capacity(chunk.len());
                    self.pending.extend_from_slice(&chunk);
                }
                Some(Err(error)) => return Err(self.life.error(&error)),
                None => break,
            }
        }
        let trailers = body.trailers().await.map_err(|error| self.life.error(&error))?;
        let status = trailers.and_then(|trailers| CallError::of_trailers(&trailers));
        let unsaid = || CallError::new(Code::INTERNAL, "the answer ended without a status");
        status.ok_or_else(unsaid)??;
        if !self.pending.is_empty() {
            return Err(CallError::new(Code::INTERNAL, "the answer ended within a message"));
        }
        self.body = None;
        Ok(None)
    }
}

/// Whether an answer of gRPC follows; one that is its status alone is over.
fn check_head(status: StatusCode, headers: &HeaderMap, is_all: bool) -> Result<bool, CallError> {
    if is_all && let Some(status) = CallError::of_trailers(headers) {
        return status.map(|()| false);
    }
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if status != StatusCode::OK || !kind.is_some_and(|kind| kind.starts_with("application/grpc")) {
        return Err(CallError::of_http(status, kind));
    }
    Ok(true)
}

/// The first message, if all of it has come.
fn take(pending: &mut BytesMut, bytes_max: usize) -> Result<Option<Bytes>, CallError> {
    let Some([compressed, length @ ..]) = pending.first_chunk::<PREFIX>() else {
        return Ok(None);
    };
    if *compressed != 0 {
        let problem = "the answer is compressed, which was not asked for";
        return Err(CallError::new(Code::INTERNAL, problem));
    }
    let length = u32::from_be_bytes(*length) as usize;
    if length > bytes_max {
        let problem = format!("a message of {length} bytes came; {bytes_max} are the most");
        return Err(CallError::new(Code::RESOURCE_EXHAUSTED, problem));
    }
    if pending.len() < PREFIX + length {
        pending.reserve(PREFIX + length - pending.len());
        return Ok(None);
    }
    pending.advance(PREFIX);
    Ok(Some(pending.split_to(length).freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_in_any_pieces() {
        let frames =
            [framed(b"one", 9).unwrap(), framed(b"", 9).unwrap(), framed(b"2", 9).unwrap()];
        let all = frames.concat();
        for step in 1..all.len() {
            let mut pending = BytesMut::new();
            let mut found = Vec::new();
            for piece in all.chunks(step) {
                pending.extend_from_slice(piece);
                while let Some(message) = take(&mut pending, 9).unwrap() {
                    found.push(message);
                }
            }
            assert_eq!(found, [&b"one"[..], b"", b"2"]);
            assert!(pending.is_empty());
        }
    }

    #[test]
    fn long_and_compressed_messages_are_refused() {
        assert_eq!(framed(b"1234", 3).unwrap_err().code, Code::RESOURCE_EXHAUSTED);
        let mut long = BytesMut::from(&framed(b"1234", 4).unwrap()[..]);
        assert_eq!(take(&mut long, 3).unwrap_err().code, Code::RESOURCE_EXHAUSTED);
        let mut compressed = BytesMut::from(&[1, 0, 0, 0, 0][..]);
        assert_eq!(take(&mut compressed, 9).unwrap_err().code, Code::INTERNAL);
    }
}
