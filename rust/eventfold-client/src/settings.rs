//! How to connect.

use std::time::Duration;

use http::HeaderValue;

use crate::target::Target;

/// Who vouches for a server.
#[derive(Debug, Clone)]
pub enum Authorities {
    /// Those of the system.
    System,
    /// Those of a text in PEM.
    Pem(Vec<u8>),
}

/// All that a channel knows.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(crate) target: Target,
    /// None: plain text.
    pub(crate) authorities: Option<Authorities>,
    pub(crate) user_agent: HeaderValue,
    pub(crate) authorization: Option<HeaderValue>,
    /// Longest message, in either direction.
    pub(crate) message_bytes_max: usize,
    /// Pause after a connection failed: the first, and the longest.
    pub(crate) backoff: (Duration, Duration),
    /// After so long without a sign of life a call under way asks for one, and how long it waits.
    pub(crate) keepalive: (Duration, Duration),
}

impl Settings {
    /// Errors are sentences for people.
    pub fn new(
        target: &str,
        authorities: Option<Authorities>,
        user_agent: &str,
        token: Option<&str>,
        message_bytes_max: usize,
        backoff: (Duration, Duration),
        keepalive: (Duration, Duration),
    ) -> Result<Self, String> {
        let header = |text: &str, what: &str| {
            HeaderValue::from_str(text).map_err(|_| format!("{what} cannot be sent in a header"))
        };
        let authorization = token.map(|token| header(&format!("Bearer {token}"), "the token"));
        let mut authorization = authorization.transpose()?;
        if let Some(value) = &mut authorization {
            // Kept out of the compression's table.
            value.set_sensitive(true);
        }
        Ok(Self {
            target: Target::parse(target)?,
            authorities,
            user_agent: header(user_agent, "the user agent")?,
            authorization,
            message_bytes_max,
            backoff,
            keepalive,
        })
    }
}
