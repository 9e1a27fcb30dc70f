//! Values: what JSON texts become, and what expressions compute.
//!
//! Every value is cheap to clone (at most one reference count), 24 bytes wide, and knows how
//! deep it nests, so that no walk over a value can exhaust the stack.

mod absence;
mod civil;
mod key;
mod list;
mod map;
mod time;

use std::sync::Arc;

use crate::number::Decimal;

pub use absence::Absence;
pub use civil::{Civil, parse_offset};
pub use key::Key;
pub use list::{List, ListIter};
pub use map::{Map, MapIter};
pub use time::{Duration, Timestamp};

/// One value of an expression or a state.
#[derive(Debug, Clone)]
pub enum Value {
    /// JSON and CEL `null`.
    Null,
    /// A truth value.
    Bool(bool),
    /// A signed 64-bit integer; JSON integers that fit become this.
    Int(i64),
    /// An unsigned 64-bit integer; only expressions make it.
    Uint(u64),
    /// A double, and the decimal that a literal spelled, for as long as it is only moved.
    Double(f64, Option<Arc<Decimal>>),
    /// An exact decimal; JSON numbers that are not 64-bit integers become this.
    Decimal(Decimal),
    /// Text.
    String(Arc<str>),
    /// Bytes.
    Bytes(Arc<[u8]>),
    /// A list.
    List(List),
    /// A map that keeps the order of first insertion.
    Map(Arc<Map>),
    /// A point in time.
    Timestamp(Timestamp),
    /// A length of time.
    Duration(Duration),
    /// A type, as the function `type` returns it.
    Type(TypeValue),
    /// A value that may be absent.
    Optional(Option<Arc<Value>>),
    /// In place of a value that was erased, or that the reader may not see.
    Absent(Absence),
}

/// The type of a value, as expressions see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeValue {
    /// `null_type`
    Null,
    /// `bool`
    Bool,
    /// `int`
    Int,
    /// `uint`
    Uint,
    /// `double`
    Double,
    /// `decimal`
    Decimal,
    /// `string`
    String,
    /// `bytes`
    Bytes,
    /// `list`
    List,
    /// `map`
    Map,
    /// `google.protobuf.Timestamp`
    Timestamp,
    /// `google.protobuf.Duration`
    Duration,
    /// `type`
    Type,
    /// `optional_type`
    Optional,
}

impl TypeValue {
    /// The name by which expressions know the type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::Decimal => "decimal",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::List => "list",
            Self::Map => "map",
            Self::Timestamp => "google.protobuf.Timestamp",
            Self::Duration => "google.protobuf.Duration",
            Self::Type => "type",
            Self::Optional => "optional_type",
        }
    }

    /// The type of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        const ALL: [TypeValue; 14] = [
            TypeValue::Null,
            TypeValue::Bool,
            TypeValue::Int,
            TypeValue::Uint,
            TypeValue::Double,
            TypeValue::Decimal,
            TypeValue::String,
            TypeValue::Bytes,
            TypeValue::List,
            TypeValue::Map,
            TypeValue::Timestamp,
            TypeValue::Duration,
            TypeValue::Type,
            TypeValue::Optional,
        ];
        ALL.into_iter().find(|known| known.name() == name)
    }
}

impl Value {
    /// A string value.
    pub fn string(text: impl Into<Arc<str>>) -> Self {
        Self::String(text.into())
    }

    /// A list value.
    pub fn list(items: Vec<Value>) -> Self {
        Self::List(List::from(items))
    }

    /// A map value.
    pub fn map(map: Map) -> Self {
        Self::Map(Arc::new(map))
    }

    /// A double that comes from a computation, not from a literal.
    pub fn double(value: f64) -> Self {
        Self::Double(value, None)
    }

    /// The type of this value.
    pub fn type_value(&self) -> TypeValue {
        match self {
            // To whoever asks for the type there is nothing.
            Self::Null | Self::Absent(_) => TypeValue::Null,
            Self::Bool(_) => TypeValue::Bool,
            Self::Int(_) => TypeValue::Int,
            Self::Uint(_) => TypeValue::Uint,
            Self::Double(..) => TypeValue::Double,
            Self::Decimal(_) => TypeValue::Decimal,
            Self::String(_) => TypeValue::String,
            Self::Bytes(_) => TypeValue::Bytes,
            Self::List(_) => TypeValue::List,
            Self::Map(_) => TypeValue::Map,
            Self::Timestamp(_) => TypeValue::Timestamp,
            Self::Duration(_) => TypeValue::Duration,
            Self::Type(_) => TypeValue::Type,
            Self::Optional(_) => TypeValue::Optional,
        }
    }

    /// The name of the type of this value; safe to show in errors.
    pub fn type_name(&self) -> &'static str {
        self.type_value().name()
    }

    /// How deep this value nests: 0 for a scalar, 1 for `[]` and `{}`. An upper bound after
    /// removals, exact otherwise.
    pub fn depth(&self) -> usize {
        match self {
            Self::List(list) => list.depth(),
            Self::Map(map) => map.depth(),
            Self::Optional(Some(inner)) => 1 + inner.depth(),
            _ => 0,
        }
    }

    /// Whether this value is what a JSON text is read as: only JSON types and absences, and no
    /// computed decimal that a text would give back as an int. Known without a walk.
    pub fn is_json(&self) -> bool {
        match self {
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::String(_) | Self::Absent(_) => true,
            Self::Decimal(decimal) => decimal.as_json_int().is_none(),
            Self::List(list) => list.is_json(),
            Self::Map(map) => map.is_json(),
            _ => false,
        }
    }

    /// The text of a string value.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The map of a map value.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The list of a list value.
    pub fn as_list(&self) -> Option<&List> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}
