//! The keys of subjects in memory, for who administers them.

use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use eventfold_core::privacy::{DataKey, NONCE_BYTES, SubjectId};
use eventfold_reader::keys::{self, boottime_us, unavailable};
use eventfold_reader::{KeptPlace, KeptText};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::PyBytes;

use super::errors;
use super::personal::{whose_bytes, whose_of};

/// Data keys in memory, under a lease.
#[pyclass(frozen, module = "eventfold._core")]
pub struct Keyring {
    ring: Arc<keys::Keyring>,
    woken: PipeReader,
}

#[pymethods]
impl Keyring {
    #[new]
    fn new(subjects_max: usize) -> PyResult<Self> {
        let (woken, wake) = io::pipe()?;
        // Fails only when nobody reads any more.
        let wake = move || drop((&wake).write(&[1]));
        let ring = keys::Keyring::new(subjects_max, Box::new(wake));
        Ok(Self { ring: Arc::new(ring), woken })
    }

    fn bind(&self, store_id: [u8; 16]) {
        self.ring.bind(store_id);
    }

    fn fileno(&self) -> RawFd {
        self.woken.as_raw_fd()
    }

    /// Only to be called when `fileno` is readable.
    fn wanted<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        _ = (&self.woken).read(&mut [0; 64])?;
        Ok(self.ring.take_wanted().iter().map(|subject| PyBytes::new(py, subject)).collect())
    }

    fn put(
        &self,
        subject: SubjectId,
        name: Option<String>,
        keys: Vec<(u32, Vec<u8>)>,
        epoch: u64,
    ) -> PyResult<bool> {
        let key = |(version, bytes): (u32, Vec<u8>)| {
            let key = DataKey::new(subject, version, &bytes);
            key.map(Arc::new).ok_or_else(|| PyValueError::new_err("a key has 32 bytes"))
        };
        let keys = keys.into_iter().map(key).collect::<PyResult<_>>()?;
        Ok(self.ring.put(subject, name, keys, epoch))
    }

    fn put_erased(&self, name: String, subject: SubjectId) {
        self.ring.put_erased_name(name, subject);
    }

    fn fail(&self, subject: SubjectId, problem: &str) {
        self.ring.fail(&subject, unavailable(problem));
    }

    fn erase(&self, subject: SubjectId) {
        self.ring.erase(subject);
    }

    fn evict_all(&self) {
        self.ring.evict_all();
    }

    fn renew(&self, until_us: u64) {
        self.ring.renew(until_us);
    }

    fn end_lease(&self) {
        self.ring.end_lease();
    }

    #[getter]
    fn is_leased(&self) -> bool {
        self.ring.is_leased()
    }

    #[getter]
    fn epoch(&self) -> u64 {
        self.ring.epoch()
    }

    fn take_failed(&self) -> u64 {
        self.ring.take_failed()
    }

    fn add_failed(&self, count: u64) {
        self.ring.add_failed(count);
    }

    fn may_leave(&self, epoch: u64) -> bool {
        self.ring.may_leave(epoch)
    }

    fn seal_kept<'py>(
        &self,
        py: Python<'py>,
        place: (EventId, PyBackedStr, PyBackedStr),
        state: &[u8],
        whose: &[u8],
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let (event_id, kept_digest, mapping_digest) = &place;
        let sealed = errors::run(py, state.len(), || {
            let place = KeptPlace { event_id, kept_digest, mapping_digest };
            place.seal(state, whose_of(whose), Some(&self.ring), || Nonces::new().next())
        })?;
        Ok(sealed.map(|text| PyBytes::new(py, &text)))
    }

    fn open_kept<'py>(
        &self,
        py: Python<'py>,
        place: (EventId, PyBackedStr, PyBackedStr),
        text: &[u8],
    ) -> PyResult<(Option<Bound<'py, PyBytes>>, Bound<'py, PyBytes>)> {
        let (event_id, kept_digest, mapping_digest) = &place;
        let found = errors::run(py, text.len(), || {
            KeptPlace { event_id, kept_digest, mapping_digest }.open(text, Some(&self.ring))
        })?;
        Ok(match found {
            KeptText::Open(state, whose) => {
                (Some(PyBytes::new(py, &state)), whose_bytes(py, whose))
            }
            KeptText::Missing(subject) => (None, PyBytes::new(py, &subject)),
            KeptText::Gone => (None, PyBytes::new(py, b"")),
        })
    }
}

impl Keyring {
    pub fn shared(&self) -> &Arc<keys::Keyring> {
        &self.ring
    }
}

/// The id of an event.
type EventId = [u8; 16];

/// Microseconds since the machine was started, by the clock that leases are held to.
#[pyfunction]
pub fn boottime() -> u64 {
    boottime_us()
}

/// Nonces drawn in bulk: the system is asked once for many.
pub struct Nonces {
    drawn: Vec<u8>,
    used: usize,
}

const DRAWN_AT_ONCE: usize = 64;

impl Nonces {
    pub fn new() -> Self {
        Self { drawn: Vec::new(), used: 0 }
    }

    pub fn next(&mut self) -> [u8; NONCE_BYTES] {
        if self.used == self.drawn.len() {
            self.drawn.resize(DRAWN_AT_ONCE * NONCE_BYTES, 0);
            // Without randomness nothing may be sealed, and there is nothing else to be done.
            getrandom::getrandom(&mut self.drawn).expect("the system has no random numbers");
            self.used = 0;
        }
        let mut nonce = [0; NONCE_BYTES];
        nonce.copy_from_slice(&self.drawn[self.used..self.used + NONCE_BYTES]);
        self.used += NONCE_BYTES;
        nonce
    }
}
