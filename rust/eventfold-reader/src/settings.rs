//! Where PostgreSQL is and how to talk to it, all decided.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, SslNegotiation, TargetSessionAttrs};

use crate::tls::Tls;

/// A quiet connection is probed after this time, so that one whose other end went without a
/// word is noticed.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
/// And again after this time, so often, until it counts as dead.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;
/// Bytes that nobody acknowledges for this long mean that the connection is dead.
const UNACKNOWLEDGED: Duration = Duration::from_secs(25);

/// Everything that a pool must know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What to try in turn, until one lets us in.
    pub attempts: Vec<Attempt>,
    /// User of the database.
    pub user: String,
    /// Its password, if there is one.
    pub password: Option<String>,
    /// Name of the database.
    pub database: String,
    /// Settings of a session from its start on, as name and value.
    pub startup: Vec<(String, String)>,
    /// What a session must be.
    pub session: Session,
    /// How to speak TLS, where an attempt asks for it.
    pub tls: Arc<Tls>,
    /// Whether connections go through a pooler that gives a session away after each transaction:
    /// then statements have no names, and each is a transaction that says its settings.
    pub pooled: bool,
    /// What each transaction behind a pooler is told, as name and value.
    pub told: Vec<(String, String)>,
    /// Connections at once.
    pub connections_max: usize,
    /// For a connection to come about.
    pub connect_timeout: Duration,
    /// For an answer; after that the connection counts as dead.
    pub answer_timeout: Duration,
    /// For a statement that was given up to end.
    pub drain_timeout: Duration,
    /// A connection unused for this long is closed.
    pub idle_timeout: Duration,
    /// A read whose reader does not come back for this long lets its connection go.
    pub grace: Duration,
}

/// One way to reach a server.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Where it is.
    pub address: Address,
    /// Its port, also part of the name of a socket.
    pub port: u16,
    /// Whether to speak TLS.
    pub tls: TlsUse,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A name or an address of a network.
    Host(String),
    /// The directory of a socket.
    Directory(String),
}

/// Whether to speak TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsUse {
    /// In plaintext.
    Never,
    /// If the server has it.
    IfOffered,
    /// Or not at all.
    Always,
    /// From the first byte on, without asking for it.
    AtOnce,
}

/// What a session must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    /// Anything.
    Any,
    /// On a primary.
    Writing,
    /// On a standby.
    Reading,
    /// On a standby if there is one.
    RatherReading,
}

impl Settings {
    /// The settings of tokio-postgres for an attempt.
    pub(crate) fn config(&self, attempt: &Attempt, session: TargetSessionAttrs) -> Config {
        let mut config = Config::new();
        match &attempt.address {
            Address::Host(name) => config.host(name.as_str()),
            Address::Directory(path) => config.host_path(path),
        };
        config
            .port(attempt.port)
            .user(self.user.as_str())
            .dbname(self.database.as_str())
            .connect_timeout(self.connect_timeout)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES)
            .tcp_user_timeout(UNACKNOWLEDGED)
            .target_session_attrs(session)
            .ssl_mode(match attempt.tls {
                TlsUse::Never => SslMode::Disable,
                TlsUse::IfOffered => SslMode::Prefer,
                TlsUse::Always | TlsUse::AtOnce => SslMode::Require,
            });
        if attempt.tls == TlsUse::AtOnce {
            config.ssl_negotiation(SslNegotiation::Direct);
        }
        if let Some(password) = &self.password {
            config.password(password.as_bytes());
        }
        let mut options = Vec::new();
        for (name, value) in &self.startup {
            match name.as_str() {
                "application_name" => {
                    config.application_name(value.as_str());
                }
                "options" => options.push(value.clone()),
                _ => options.push(format!("-c {name}={}", escaped(value))),
            }
        }
        if !options.is_empty() {
            config.options(options.join(" "));
        }
        config
    }

    /// The kinds of session to look for, in turn.
    pub(crate) fn sessions(&self) -> &'static [TargetSessionAttrs] {
        match self.session {
            Session::Any => &[TargetSessionAttrs::Any],
            Session::Writing => &[TargetSessionAttrs::ReadWrite],
            Session::Reading => &[TargetSessionAttrs::ReadOnly],
            Session::RatherReading => &[TargetSessionAttrs::ReadOnly, TargetSessionAttrs::Any],
        }
    }
}

/// A value as PostgreSQL's `options` spell it, which blanks divide.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for character in value.chars() {
        if character == '\\' || character.is_ascii_whitespace() {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn blanks_and_backslashes_are_escaped() {
        assert_eq!(escaped("60s"), "60s");
        assert_eq!(escaped(r"a b\c"), r"a\ b\\c");
    }
}
