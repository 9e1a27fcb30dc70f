//! One column of a page: a PostgreSQL array in its binary form.

/// Bytes before the elements of an array of one dimension: number of dimensions, whether an
/// element is NULL, type of the elements, number of the elements, lower bound.
const HEADER_BYTES: usize = 20;
/// Bytes before the elements of an array without any.
const EMPTY_HEADER_BYTES: usize = 12;

/// What is wrong with an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ArrayError {
    /// It ends before its last element does, or goes on behind it.
    Length,
    /// It has more than one dimension, or its header makes no sense.
    Header,
    /// Its elements have another type than the column.
    Type,
    /// An element has a length that its type cannot have.
    ElementLength,
}

impl ArrayError {
    /// What is wrong, for people.
    pub(super) fn prose(self) -> &'static str {
        match self {
            Self::Length => "its length does not fit its elements",
            Self::Header => "its header is not that of an array of one dimension",
            Self::Type => "its elements have another type",
            Self::ElementLength => "an element has the wrong length",
        }
    }
}

/// The type of the elements of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    /// `text` or `varchar`.
    Text,
    /// `bytea`.
    Bytes,
    /// `bigint`.
    Int8,
    /// `integer`.
    Int4,
    /// `uuid`.
    Uuid,
    /// `timestamptz`.
    Time,
    /// `boolean`.
    Bool,
}

impl Element {
    /// Whether a number of `pg_type` names this type.
    fn has_oid(self, oid: u32) -> bool {
        match self {
            Self::Text => oid == 25 || oid == 1043,
            Self::Bytes => oid == 17,
            Self::Int8 => oid == 20,
            Self::Int4 => oid == 23,
            Self::Uuid => oid == 2950,
            Self::Time => oid == 1184,
            Self::Bool => oid == 16,
        }
    }

    /// Bytes of an element, where all have the same.
    fn width(self) -> Option<usize> {
        match self {
            Self::Text | Self::Bytes => None,
            Self::Int8 | Self::Time => Some(8),
            Self::Int4 => Some(4),
            Self::Uuid => Some(16),
            Self::Bool => Some(1),
        }
    }
}

/// An array whose structure was checked; its elements are read from the bytes that hold it.
#[derive(Debug)]
pub(super) struct Column<B> {
    bytes: B,
    len: usize,
    places: Places,
}

/// Where the elements of a column stand.
#[derive(Debug)]
enum Places {
    /// Bytes from one element to the next: all have one width, and none is NULL.
    Every(usize),
    /// Where the length of each element stands. `u32` halves the memory of a page's index.
    Starts(Vec<u32>),
}

impl<B: AsRef<[u8]>> Column<B> {
    /// Checks the structure of an array, and finds its elements.
    pub(super) fn decode(bytes: B, element: Element) -> Result<Self, ArrayError> {
        let text = bytes.as_ref();
        // Beyond this, positions would not fit the index; PostgreSQL ends at 1 GiB.
        u32::try_from(text.len()).map_err(|_| ArrayError::Length)?;
        let mut elements = Elements::begin(text, element)?;
        let len = elements.left;
        // NULLs are shorter than elements, so with one of them the bytes would not suffice.
        let stride = elements.width.map(|width| 4 + width).filter(|stride| {
            stride.checked_mul(len).is_some_and(|all| elements.at + all == text.len())
        });
        if let Some(stride) = stride {
            while elements.next()?.is_some() {}
            return Ok(Self { bytes, len, places: Places::Every(stride) });
        }
        // An element has four bytes at least, so a false count cannot claim much memory.
        let mut starts = Vec::with_capacity(len.min(text.len() / 4));
        loop {
            let start = elements.at;
            if elements.next()?.is_none() {
                break;
            }
            starts.push(start as u32);
        }
        Ok(Self { bytes, len, places: Places::Starts(starts) })
    }

    /// The number of elements.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of the whole array.
    pub(super) fn byte_len(&self) -> usize {
        self.bytes.as_ref().len()
    }

    /// The element at an index; `None` for NULL.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<&[u8]> {
        let start = match &self.places {
            Places::Every(stride) => HEADER_BYTES + stride.checked_mul(index)?,
            Places::Starts(starts) => *starts.get(index)? as usize,
        };
        let bytes = self.bytes.as_ref();
        let length = usize::try_from(read_i32(bytes, start)?).ok()?;
        bytes.get(start + 4..start + 4 + length)
    }

    /// The element at an index of a column whose elements have that many bytes.
    #[inline]
    pub(super) fn fixed<const N: usize>(&self, index: usize) -> Option<&[u8; N]> {
        match &self.places {
            Places::Every(stride) if *stride == 4 + N => {
                let start = HEADER_BYTES + stride.checked_mul(index)? + 4;
                self.bytes.as_ref().get(start..)?.first_chunk()
            }
            _ => self.get(index)?.try_into().ok(),
        }
    }
}

/// Walks over the elements of an array.
#[derive(Debug, Clone)]
pub(super) struct Elements<'a> {
    bytes: &'a [u8],
    at: usize,
    left: usize,
    width: Option<usize>,
}

impl<'a> Elements<'a> {
    /// Reads the header of an array.
    pub(super) fn begin(bytes: &'a [u8], element: Element) -> Result<Self, ArrayError> {
        let word = |at| read_i32(bytes, at).ok_or(ArrayError::Length);
        if !element.has_oid(word(8)?.cast_unsigned()) {
            return Err(ArrayError::Type);
        }
        let width = element.width();
        match word(0)? {
            0 => Ok(Self { bytes, at: EMPTY_HEADER_BYTES, left: 0, width }),
            1 => {
                let left = usize::try_from(word(12)?).map_err(|_| ArrayError::Header)?;
                word(16)?;
                Ok(Self { bytes, at: HEADER_BYTES, left, width })
            }
            _ => Err(ArrayError::Header),
        }
    }

    /// The number of elements that are left.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// The next element; inside, `None` stands for NULL.
    pub(super) fn next(&mut self) -> Result<Option<Option<&'a [u8]>>, ArrayError> {
        if self.left == 0 {
            return if self.at == self.bytes.len() { Ok(None) } else { Err(ArrayError::Length) };
        }
        let length = read_i32(self.bytes, self.at).ok_or(ArrayError::Length)?;
        self.at += 4;
        self.left -= 1;
        if length == -1 {
            return Ok(Some(None));
        }
        let length = usize::try_from(length).map_err(|_| ArrayError::ElementLength)?;
        if self.width.is_some_and(|width| width != length) {
            return Err(ArrayError::ElementLength);
        }
        let rest = self.bytes.get(self.at..).ok_or(ArrayError::Length)?;
        let element = rest.get(..length).ok_or(ArrayError::Length)?;
        self.at += length;
        Ok(Some(Some(element)))
    }
}

fn read_i32(bytes: &[u8], at: usize) -> Option<i32> {
    bytes.get(at..)?.first_chunk().map(|word| i32::from_be_bytes(*word))
}
