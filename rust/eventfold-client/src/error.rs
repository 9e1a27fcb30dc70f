//! What a call that failed says.

use std::fmt;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, StatusCode};

/// Servers may leave out the padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A code of gRPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(u8);

const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

impl Code {
    pub(crate) const OK: Self = Self(0);
    pub(crate) const CANCELLED: Self = Self(1);
    pub(crate) const UNKNOWN: Self = Self(2);
    pub(crate) const DEADLINE_EXCEEDED: Self = Self(4);
    pub(crate) const PERMISSION_DENIED: Self = Self(7);
    pub(crate) const RESOURCE_EXHAUSTED: Self = Self(8);
    pub(crate) const UNIMPLEMENTED: Self = Self(12);
    pub(crate) const INTERNAL: Self = Self(13);
    pub(crate) const UNAVAILABLE: Self = Self(14);
    pub(crate) const UNAUTHENTICATED: Self = Self(16);

    /// Its name in the protocol's documents.
    pub fn name(self) -> &'static str {
        NAMES[usize::from(self.0)]
    }

    fn parse(text: &str) -> Self {
        match text.parse() {
            Ok(number) if usize::from(number) < NAMES.len() => Self(number),
            _ => Self::UNKNOWN,
        }
    }
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallError {
    /// The code that gRPC gives it.
    pub code: Code,
    /// For people.
    pub message: String,
    /// A serialised `google.rpc.Status`; empty if the server sent none.
    pub details: Bytes,
    /// The server surely did nothing: it may be asked again.
    pub(crate) is_untouched: bool,
}

impl CallError {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: Bytes::new(), is_untouched: false }
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Code::UNAVAILABLE, message)
    }

    pub(crate) fn untouched(mut self) -> Self {
        self.is_untouched = true;
        self
    }

    pub(crate) fn closed() -> Self {
        Self::new(Code::CANCELLED, "the client was closed")
    }

    pub(crate) fn late() -> Self {
        Self::new(Code::DEADLINE_EXCEEDED, "the deadline passed")
    }

    /// The code that gRPC gives to a stream or a connection that broke.
    pub(crate) fn of_h2(error: &h2::Error) -> Self {
        let Some(reason) = error.reason().filter(|_| error.is_reset()) else {
            let found = Self::unavailable(format!("the connection broke: {error}"));
            return if error.is_go_away() && error.is_remote() { found.untouched() } else { found };
        };
        let code = match reason {
            Reason::REFUSED_STREAM => Code::UNAVAILABLE,
            Reason::CANCEL => Code::CANCELLED,
            Reason::ENHANCE_YOUR_CALM => Code::RESOURCE_EXHAUSTED,
            Reason::INADEQUATE_SECURITY => Code::PERMISSION_DENIED,
            _ => Code::INTERNAL,
        };
        let found = Self::new(code, format!("the call was reset: {reason}"));
        if reason == Reason::REFUSED_STREAM { found.untouched() } else { found }
    }

    /// What an answer of HTTP means that is none of gRPC.
    pub(crate) fn of_http(status: StatusCode, kind: Option<&str>) -> Self {
        let code = match status.as_u16() {
            400 => Code::INTERNAL,
            401 => Code::UNAUTHENTICATED,
            403 => Code::PERMISSION_DENIED,
            404 => Code::UNIMPLEMENTED,
            429 | 502..=504 => Code::UNAVAILABLE,
            _ => Code::UNKNOWN,
        };
        let kind = kind.unwrap_or("no content type");
        Self::new(code, format!("the answer is not gRPC: HTTP status {status}, {kind}"))
    }

    /// The status at the end of an answer, if it is there.
    pub(crate) fn of_trailers(trailers: &HeaderMap) -> Option<Result<(), Self>> {
        let code = Code::parse(trailers.get("grpc-status")?.to_str().unwrap_or_default());
        if code == Code::OK {
            return Some(Ok(()));
        }
        let message = trailers.get("grpc-message").map(|text| unescaped(text.as_bytes()));
        let details = trailers.get("grpc-status-details-bin").map(|text| BASE64.decode(text));
        Some(Err(Self {
            code,
            message: message.unwrap_or_default(),
            details: details.and_then(Result::ok).unwrap_or_default().into(),
            is_untouched: false,
        }))
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.message)
    }
}

impl std::error::Error for CallError {}

/// Resolves the `%XX` of a message; what is none stays as it is.
fn unescaped(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let escaped = tail.first_chunk::<2>().filter(|_| *first == b'%');
        let digits = escaped.and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn trailers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (k.parse().unwrap(), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn a_status_keeps_its_message_and_its_details() {
        let status = CallError::of_trailers(&trailers(&[
            ("grpc-status", "10"),
            ("grpc-message", "100%25 sch%C3%B6n %zz"),
            ("grpc-status-details-bin", "CAo"),
        ]));
        let error = status.unwrap().unwrap_err();
        assert_eq!((error.code.name(), &error.message[..]), ("ABORTED", "100% schön %zz"));
        assert_eq!(&error.details[..], [8, 10]);
    }

    #[test]
    fn strange_statuses_are_unknown_and_missing_ones_are_missing() {
        assert_eq!(CallError::of_trailers(&trailers(&[("grpc-status", "0")])), Some(Ok(())));
        for strange in ["17", "256", "-1", "", "x"] {
            let map = trailers(&[]);
            let mut map = map;
            map.insert("grpc-status", HeaderValue::from_str(strange).unwrap());
            assert_eq!(CallError::of_trailers(&map).unwrap().unwrap_err().code, Code::UNKNOWN);
        }
        assert_eq!(CallError::of_trailers(&trailers(&[("x", "y")])), None);
    }
}
