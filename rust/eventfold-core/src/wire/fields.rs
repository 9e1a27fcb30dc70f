//! Protobuf messages, read field by field from their bytes.

use super::proto;
use crate::error::CoreError;

/// Where some bytes of a message stand.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    // Half of the size of a `Range<usize>`; longer messages are refused.
    pub(super) first: u32,
    pub(super) last: u32,
}

impl Span {
    pub(super) fn of<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        // Never out of bounds: the span was found in these bytes.
        bytes.get(self.first as usize..self.last as usize).unwrap_or_default()
    }
}

pub(super) fn malformed(problem: &str) -> CoreError {
    CoreError::new("INVALID_REQUEST", format!("no message with events: {problem}"))
        .fact("problem", problem)
}

/// A `google.protobuf.Timestamp` in microseconds since 1970.
pub(super) fn micros(message: &[u8], span: Span) -> Result<i64, CoreError> {
    let (mut seconds, mut nanos) = (0, 0);
    let mut fields = Fields::within(message, span);
    while let Some((number, value)) = fields.next() {
        match (number, value) {
            (1, Value::Number(number)) => seconds = number.cast_signed(),
            (2, Value::Number(number)) => nanos = number.cast_signed(),
            _ => {}
        }
    }
    fields.finish()?;
    seconds
        .checked_mul(1_000_000)
        .and_then(|micros| micros.checked_add(nanos / 1_000))
        .ok_or_else(|| malformed("a time is out of range"))
}

pub(super) enum Value {
    Number(u64),
    Bytes(Span),
    /// A fixed number of 4 or 8 bytes, which none of our messages has.
    Fixed,
}

/// The fields of a message, one after the other.
pub(super) struct Fields<'a> {
    /// The bytes up to the end of the message.
    bytes: &'a [u8],
    pub(super) place: usize,
    broken: bool,
}

impl<'a> Fields<'a> {
    pub(super) fn of_message(bytes: &'a [u8]) -> Result<Self, CoreError> {
        if u32::try_from(bytes.len()).is_err() {
            return Err(malformed("it has 4 GiB or more"));
        }
        Ok(Self { bytes, place: 0, broken: false })
    }

    /// Those of a message inside of another.
    pub(super) fn within(bytes: &'a [u8], span: Span) -> Self {
        Self { bytes: &bytes[..span.last as usize], place: span.first as usize, broken: false }
    }

    pub(super) fn rest(&self) -> Span {
        Span { first: self.place as u32, last: self.bytes.len() as u32 }
    }

    /// Whether nothing is left.
    pub(super) fn is_over(&self) -> bool {
        self.place >= self.bytes.len()
    }

    /// The next field; `None` at the end, or where the bytes make no sense.
    pub(super) fn next(&mut self) -> Option<(u32, Value)> {
        if self.is_over() {
            return None;
        }
        let field = self.field();
        self.broken = field.is_none();
        field
    }

    /// Whether the end was the end.
    pub(super) fn finish(self) -> Result<(), CoreError> {
        if self.broken { Err(malformed("it is cut off, or garbled")) } else { Ok(()) }
    }

    fn field(&mut self) -> Option<(u32, Value)> {
        let key = u32::try_from(self.varint()?).ok()?;
        let value = match key & 7 {
            proto::VARINT => Value::Number(self.varint()?),
            proto::LENGTH_DELIMITED => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            proto::FIXED_64 => self.take(8).map(|_| Value::Fixed)?,
            proto::FIXED_32 => self.take(4).map(|_| Value::Fixed)?,
            _ => return None,
        };
        (key >> 3 > 0).then_some((key >> 3, value))
    }

    fn take(&mut self, length: usize) -> Option<Span> {
        let first = self.place;
        let last = first.checked_add(length).filter(|last| *last <= self.bytes.len())?;
        self.place = last;
        Some(Span { first: first as u32, last: last as u32 })
    }

    pub(super) fn varint(&mut self) -> Option<u64> {
        let first = *self.bytes.get(self.place)?;
        self.place += 1;
        if first < 0x80 { Some(u64::from(first)) } else { self.long_varint(first) }
    }

    fn long_varint(&mut self, first: u8) -> Option<u64> {
        let mut value = u64::from(first & 0x7f);
        // Ten bytes at the most; the last gives the one bit that is left.
        for shift in [7, 14, 21, 28, 35, 42, 49, 56, 63] {
            let byte = *self.bytes.get(self.place)?;
            self.place += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}
