//! Calls: how they begin, and those of one request and one answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::SendStream;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, TE, USER_AGENT};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, Uri};
use tokio::time::{Instant, timeout_at};

use crate::channel::{Channel, Shared};
use crate::error::{CallError, Code};
use crate::message::{Answer, framed};
use crate::reply::Reply;
use crate::runtime::Job;

const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// Attempts on connections that turned out to be closing.
const ATTEMPTS_MAX: usize = 3;

impl Channel {
    /// Makes a call of one request and one answer.
    pub fn unary(&self, path: &str, request: &[u8], timeout: Duration, reply: Reply<Bytes>) -> Job {
        let shared = Arc::clone(self.shared());
        let deadline = Instant::now() + timeout;
        let frame = framed(request, shared.settings.message_bytes_max);
        let path = path.to_owned();
        let task = self.shared().spawn(async move {
            let call = async {
                let frame = frame?;
                let mut attempts = 1;
                loop {
                    match unary(&shared, &path, &frame, deadline).await {
                        Err(error) if error.is_untouched && attempts < ATTEMPTS_MAX => {
                            attempts += 1;
                        }
                        result => return result,
                    }
                }
            };
            reply.give(timeout_at(deadline, call).await.unwrap_or_else(|_| Err(CallError::late())));
        });
        Job::new(task.abort_handle())
    }
}

async fn unary(
    shared: &Arc<Shared>,
    path: &str,
    frame: &Bytes,
    deadline: Instant,
) -> Result<Bytes, CallError> {
    let (mut stream, mut answer) = begin(shared, path, Some(deadline)).await?;
    // The whole request is there; the peer's window decides when it goes.
    if let Err(error) = stream.send_data(frame.clone(), true) {
        // Reset already: the answer says why.
        drop(error);
    }
    let message = answer.next().await?;
    let surplus = if message.is_some() { answer.next().await? } else { None };
    match (message, surplus) {
        (Some(message), None) => Ok(message),
        (None, _) => Err(CallError::new(Code::INTERNAL, "the answer is empty")),
        _ => Err(CallError::new(Code::INTERNAL, "the answer has more than one message")),
    }
}

/// Begins a call: the way to send, and what comes back.
pub(crate) async fn begin(
    shared: &Arc<Shared>,
    path: &str,
    deadline: Option<Instant>,
) -> Result<(SendStream<Bytes>, Answer), CallError> {
    let mut attempts = 1;
    loop {
        let (mut sender, life) = shared.sender().await?;
        match sender.send_request(request(shared, path, deadline)?, false) {
            Ok((head, stream)) => {
                return Ok((stream, Answer::new(head, shared.settings.message_bytes_max, life)));
            }
            // Nothing was sent: the connection is closing, and there will be another.
            Err(error) => {
                life.gone();
                if attempts == ATTEMPTS_MAX {
                    return Err(life.error(&error));
                }
                attempts += 1;
            }
        }
    }
}

fn request(
    shared: &Shared,
    path: &str,
    deadline: Option<Instant>,
) -> Result<Request<()>, CallError> {
    let settings = &shared.settings;
    let wrong = |what: &str| CallError::new(Code::INTERNAL, format!("{what} cannot be sent"));
    let mut parts = http::uri::Parts::default();
    let is_tls = settings.authorities.is_some();
    parts.scheme = Some(if is_tls { Scheme::HTTPS } else { Scheme::HTTP });
    let authority = Authority::try_from(settings.target.authority.as_str());
    parts.authority = Some(authority.map_err(|_| wrong("the name of the server"))?);
    parts.path_and_query = Some(PathAndQuery::try_from(path).map_err(|_| wrong("the method"))?);
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| wrong("the method"))?;
    let headers = request.headers_mut();
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(USER_AGENT, settings.user_agent.clone());
    if let Some(authorization) = &settings.authorization {
        headers.insert(AUTHORIZATION, authorization.clone());
    }
    if let Some(deadline) = deadline {
        let left = deadline.saturating_duration_since(Instant::now());
        headers.insert(TIMEOUT, timeout_text(left));
    }
    Ok(request)
}

/// A time in at most eight digits, rounded up.
fn timeout_text(left: Duration) -> HeaderValue {
    const DIGITS_MAX: u128 = 99_999_999;
    let (number, unit) = match left.as_micros() + 1 {
        micros if micros <= DIGITS_MAX => (micros, 'u'),
        micros if micros / 1_000 < DIGITS_MAX => (micros / 1_000 + 1, 'm'),
        micros => ((micros / 1_000_000 + 1).min(DIGITS_MAX), 'S'),
    };
    // Digits and a letter: always a value.
    HeaderValue::from_str(&format!("{number}{unit}")).unwrap_or(HeaderValue::from_static("1S"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_takes_the_finest_unit_that_has_room() {
        let text = |seconds| timeout_text(Duration::from_secs_f64(seconds));
        assert_eq!(text(0.0), "1u");
        assert_eq!(text(10.0), "10000001u");
        assert_eq!(text(99.999_998), "99999999u");
        assert_eq!(text(100.0), "100001m");
        assert_eq!(text(99_999.0), "99999001m");
        assert_eq!(text(200_000.0), "200001S");
    }
}
