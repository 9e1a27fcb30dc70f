//! What Python says, as the reader takes it.

use std::sync::Arc;
use std::time::Duration;

use eventfold_reader::{
    Address, Attempt, Form, Identity, Kept, Order, Param, Range, ReadError, Session, Settings, Tls,
    TlsUse, Verify,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyInt, PyList, PyString, PyTuple};

use super::rules::ReadRules;
use crate::personal::whose_of;

/// Where PostgreSQL is; the keys are those of `eventfold._core.ReaderSettings`.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct SettingsArgument {
    attempts: Vec<(bool, String, u16, String)>,
    user: String,
    password: Option<String>,
    database: String,
    startup: Vec<(String, String)>,
    session: String,
    verify: String,
    authorities: Vec<Vec<u8>>,
    revoked: Vec<u8>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
    pooled: bool,
    told: Vec<(String, String)>,
    connections_max: usize,
    connect_timeout_s: f64,
    answer_timeout_s: f64,
    drain_timeout_s: f64,
    idle_timeout_s: f64,
    grace_s: f64,
    pub fold_threads: usize,
}

fn unknown(what: &str, value: &str) -> PyErr {
    PyValueError::new_err(format!("there is no {what} `{value}`"))
}

impl SettingsArgument {
    pub fn settings(self) -> PyResult<Settings> {
        let attempts = self.attempts.into_iter().map(|(is_host, place, port, tls)| {
            let address = if is_host { Address::Host(place) } else { Address::Directory(place) };
            let tls = match tls.as_str() {
                "never" => TlsUse::Never,
                "if_offered" => TlsUse::IfOffered,
                "always" => TlsUse::Always,
                "at_once" => TlsUse::AtOnce,
                _ => return Err(unknown("use of TLS", &tls)),
            };
            Ok(Attempt { address, port, tls })
        });
        let verify = match self.verify.as_str() {
            "nothing" => Verify::Nothing,
            "authority" => Verify::Authority,
            "name" => Verify::Name,
            _ => return Err(unknown("verification", &self.verify)),
        };
        let session = match self.session.as_str() {
            "any" => Session::Any,
            "writing" => Session::Writing,
            "reading" => Session::Reading,
            "rather_reading" => Session::RatherReading,
            _ => return Err(unknown("kind of session", &self.session)),
        };
        let identity = self.identity.map(|(certificates, key)| Identity { certificates, key });
        let tls = Tls::new(verify, &self.authorities, &self.revoked, identity.as_ref())
            .map_err(|error: ReadError| PyValueError::new_err(error.to_string()))?;
        Ok(Settings {
            attempts: attempts.collect::<PyResult<_>>()?,
            user: self.user,
            password: self.password,
            database: self.database,
            startup: self.startup,
            session,
            tls: Arc::new(tls),
            pooled: self.pooled,
            told: self.told,
            connections_max: self.connections_max,
            connect_timeout: Duration::from_secs_f64(self.connect_timeout_s),
            answer_timeout: Duration::from_secs_f64(self.answer_timeout_s),
            drain_timeout: Duration::from_secs_f64(self.drain_timeout_s),
            idle_timeout: Duration::from_secs_f64(self.idle_timeout_s),
            grace: Duration::from_secs_f64(self.grace_s),
        })
    }
}

/// A statement: its text and its arguments.
pub fn statement(
    (sql, params): (String, Bound<'_, PyTuple>),
) -> PyResult<eventfold_reader::Statement> {
    Ok((sql.into(), self::params(&params)?))
}

/// Arguments of a statement: None, bool, int, str, UUID, or a sequence of int or of str.
pub fn params(params: &Bound<'_, PyTuple>) -> PyResult<Vec<Param>> {
    params.iter().map(|value| param(&value)).collect()
}

fn param(value: &Bound<'_, PyAny>) -> PyResult<Param> {
    if value.is_none() {
        return Ok(Param::Null);
    }
    // Before int, which bool extends.
    if let Ok(value) = value.cast::<PyBool>() {
        return Ok(Param::Bool(value.is_true()));
    }
    if value.is_instance_of::<PyInt>() {
        return Ok(Param::Int(value.extract()?));
    }
    if value.is_instance_of::<PyString>() {
        return Ok(Param::Text(value.extract()?));
    }
    if let Ok(id) = value.getattr("bytes") {
        return Ok(Param::Uuid(id.extract()?));
    }
    // A repeated field of a message is no sequence of Python's.
    let items = PyList::new(value.py(), value.try_iter()?.collect::<PyResult<Vec<_>>>()?)?;
    if let Ok(numbers) = items.extract::<Vec<i64>>()
        && !numbers.is_empty()
    {
        return Ok(Param::Ints(numbers));
    }
    items
        .extract::<Vec<String>>()
        .map(Param::Texts)
        .map_err(|_| PyTypeError::new_err("no argument of a statement"))
}

/// A range of events.
#[expect(clippy::too_many_arguments, reason = "the fields of a range")]
pub fn range(
    sql: String,
    params: &Bound<'_, PyTuple>,
    order: &str,
    backwards: bool,
    window: Option<i64>,
    encoded: bool,
    stream: Option<String>,
    refers: bool,
    page_bytes: usize,
    rules: Option<&Bound<'_, ReadRules>>,
) -> PyResult<Range> {
    Ok(Range {
        sql: sql.into(),
        params: self::params(params)?,
        order: match order {
            "versions" => Order::Versions,
            "positions" => Order::Positions,
            "spans" => Order::Spans,
            _ => return Err(unknown("order", order)),
        },
        backwards,
        window,
        form: match (encoded, refers) {
            (false, _) => Form::Rows(stream),
            (true, false) => Form::Encoded(stream),
            (true, true) => Form::Referring(stream),
        },
        page_bytes,
        rules: rules.map(|rules| rules.get().shared()),
    })
}

/// A kept state: version, event id, when it was recorded, existence, text, whose it is.
pub type KeptArgument = (i64, [u8; 16], Option<i64>, bool, Vec<u8>, Vec<u8>);

/// The state to go on from.
pub fn kept((version, event_id, recorded_us, exists, state, whose): KeptArgument) -> Kept {
    let whose = whose_of(&whose);
    Kept { version, event_id, recorded_us, exists, state, whose }
}
