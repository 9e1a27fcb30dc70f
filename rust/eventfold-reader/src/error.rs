//! Why a read failed.

use std::fmt;

use eventfold_core::error::CoreError;

/// Why a read failed; nothing was changed in any case.
#[derive(Debug, Clone)]
pub enum ReadError {
    /// PostgreSQL refused a statement or a connection.
    Refused {
        /// Five characters that say why.
        sqlstate: String,
        /// What PostgreSQL said; may quote what is stored.
        message: String,
        /// The constraint that was broken, if it was one.
        constraint: Option<String>,
    },
    /// There is no connection, or it broke.
    Lost(String),
    /// The core refused what was read, or a fold failed.
    Core(CoreError),
    /// The catalogue of the store has this version, which is not that of the rules that the read
    /// was to go by: it must begin anew.
    Stale(i64),
}

impl ReadError {
    /// The error for a wait that was too long to believe in the connection.
    pub(crate) fn timeout() -> Self {
        Self::Lost("PostgreSQL did not answer in time".to_owned())
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { message, .. } | Self::Lost(message) => f.write_str(message),
            Self::Core(error) => error.fmt(f),
            Self::Stale(version) => write!(f, "the catalogue has version {version}"),
        }
    }
}

impl std::error::Error for ReadError {}

impl From<tokio_postgres::Error> for ReadError {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(refusal) = error.as_db_error() {
            return Self::Refused {
                sqlstate: refusal.code().code().to_owned(),
                message: refusal.message().to_owned(),
                constraint: refusal.constraint().map(str::to_owned),
            };
        }
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            message = format!("{message}: {inner}");
            cause = inner.source();
        }
        Self::Lost(message)
    }
}

impl From<CoreError> for ReadError {
    fn from(error: CoreError) -> Self {
        Self::Core(error)
    }
}
