//! The fields of serialised messages, found without copying anything.

use super::proto;

/// How deep groups may nest that no message of ours has, as in other decoders.
const GROUP_DEPTH_MAX: usize = 100;

/// Where some bytes of a message stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Span {
    // Half of the size of a `Range<usize>`; longer messages are refused.
    pub first: u32,
    pub last: u32,
}

impl Span {
    /// The bytes, of the message in which the span was found.
    pub fn of<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(self.first as usize..self.last as usize).unwrap_or_default()
    }

    /// Where a part of a message stands in it.
    pub fn within(message: &[u8], part: &[u8]) -> Self {
        let first = part.as_ptr().addr().wrapping_sub(message.as_ptr().addr());
        debug_assert!(first + part.len() <= message.len(), "it is no part of the message");
        Self { first: first as u32, last: (first + part.len()) as u32 }
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        (self.last - self.first) as usize
    }
}

/// What a field holds.
pub(crate) enum Value {
    /// A varint.
    Number(u64),
    /// A text, bytes or a message.
    Bytes(Span),
    /// A fixed number of 4 or 8 bytes, or a group, which none of our messages has.
    Other,
}

/// The fields of a message, one after the other.
pub(crate) struct Fields<'a> {
    /// The bytes up to the end of the message.
    bytes: &'a [u8],
    pub(super) place: usize,
    broken: bool,
}

impl<'a> Fields<'a> {
    /// Those of a message; `None` for one of 4 GiB or more.
    pub fn of_message(bytes: &'a [u8]) -> Option<Self> {
        u32::try_from(bytes.len()).ok()?;
        Some(Self { bytes, place: 0, broken: false })
    }

    /// Those of a message inside of another.
    pub fn within(bytes: &'a [u8], span: Span) -> Self {
        Self { bytes: &bytes[..span.last as usize], place: span.first as usize, broken: false }
    }

    /// What is still to come.
    pub fn rest(&self) -> Span {
        Span { first: self.place as u32, last: self.bytes.len() as u32 }
    }

    /// Where the next field begins, in the bytes of the whole message.
    pub fn place(&self) -> usize {
        self.place
    }

    /// Whether nothing is left.
    pub fn is_over(&self) -> bool {
        self.place >= self.bytes.len()
    }

    /// The next field; `None` at the end, or where the bytes make no sense.
    pub fn next(&mut self) -> Option<(u32, Value)> {
        if self.is_over() {
            return None;
        }
        let field = self.field();
        self.broken = field.is_none();
        field
    }

    /// `None` if the end was not the end: the message is cut off, or garbled.
    pub fn finish(self) -> Option<()> {
        (!self.broken).then_some(())
    }

    fn field(&mut self) -> Option<(u32, Value)> {
        let (number, wire_type) = self.key()?;
        self.value(number, wire_type, GROUP_DEPTH_MAX).map(|value| (number, value))
    }

    fn key(&mut self) -> Option<(u32, u32)> {
        let key = u32::try_from(self.varint()?).ok()?;
        (key >> 3 > 0).then_some((key >> 3, key & 7))
    }

    fn value(&mut self, number: u32, wire_type: u32, depth: usize) -> Option<Value> {
        match wire_type {
            proto::VARINT => self.varint().map(Value::Number),
            proto::LENGTH_DELIMITED => {
                let length = usize::try_from(self.varint()?).ok()?;
                self.take(length).map(Value::Bytes)
            }
            proto::FIXED_64 => self.take(8).map(|_| Value::Other),
            proto::FIXED_32 => self.take(4).map(|_| Value::Other),
            proto::GROUP_START => self.group(number, depth.checked_sub(1)?),
            _ => None,
        }
    }

    /// Passes by a group, up to its end.
    fn group(&mut self, number: u32, depth: usize) -> Option<Value> {
        loop {
            match self.key()? {
                (end, proto::GROUP_END) => return (end == number).then_some(Value::Other),
                (inner, wire_type) => self.value(inner, wire_type, depth)?,
            };
        }
    }

    fn take(&mut self, length: usize) -> Option<Span> {
        let first = self.place;
        let last = first.checked_add(length).filter(|last| *last <= self.bytes.len())?;
        self.place = last;
        Some(Span { first: first as u32, last: last as u32 })
    }

    /// The next number of a packed field; `None` if it is cut off.
    pub fn varint(&mut self) -> Option<u64> {
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
