//! Types that the compiler infers.

use std::sync::Arc;

use crate::value::{TypeValue, Value};

/// Deeper than this an inferred type is `Dyn`.
const TYPE_DEPTH_MAX: usize = 8;

/// The type of an expression, as far as it is known before evaluation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StaticType {
    /// Not known.
    Dyn,
    /// A scalar type, `list` of unknown items, or `map` of unknown values.
    Known(TypeValue),
    /// A list of items of one type.
    List(Arc<StaticType>),
    /// A map of keys and values of one type each.
    Map(Arc<StaticType>, Arc<StaticType>),
    /// An optional of a type.
    Optional(Arc<StaticType>),
}

impl StaticType {
    /// A list of items of that type.
    pub fn list(item: StaticType) -> Self {
        if item.depth() >= TYPE_DEPTH_MAX {
            return Self::Known(TypeValue::List);
        }
        Self::List(Arc::new(item))
    }

    /// A map of keys and values of those types.
    pub fn map(key: StaticType, value: StaticType) -> Self {
        if key.depth().max(value.depth()) >= TYPE_DEPTH_MAX {
            return Self::Known(TypeValue::Map);
        }
        Self::Map(Arc::new(key), Arc::new(value))
    }

    /// An optional of that type.
    pub fn optional(inner: StaticType) -> Self {
        if inner.depth() >= TYPE_DEPTH_MAX {
            return Self::Known(TypeValue::Optional);
        }
        Self::Optional(Arc::new(inner))
    }

    /// The type of a constant.
    pub fn of(value: &Value) -> Self {
        match value {
            Value::List(list) => list
                .iter()
                .map(Self::of)
                .reduce(Self::join)
                .map_or_else(Self::empty_list, Self::list),
            Value::Map(map) => map
                .iter()
                .map(|(key, value)| (Self::of(&key.to_value()), Self::of(value)))
                .reduce(|left, right| (left.0.join(right.0), left.1.join(right.1)))
                .map_or(Self::Known(TypeValue::Map), |(key, value)| Self::map(key, value)),
            Value::Optional(Some(inner)) => Self::optional(Self::of(inner)),
            Value::Absent(_) => Self::Dyn,
            scalar => Self::Known(scalar.type_value()),
        }
    }

    fn empty_list() -> Self {
        Self::Known(TypeValue::List)
    }

    /// The type that holds both.
    #[must_use]
    pub fn join(self, other: StaticType) -> StaticType {
        if self == other { self } else { Self::Dyn }
    }

    /// The type of the items (of a list) or keys (of a map), as macros see them.
    pub fn item(&self) -> StaticType {
        match self {
            Self::List(item) => (**item).clone(),
            Self::Map(key, _) => (**key).clone(),
            _ => Self::Dyn,
        }
    }

    /// The type of what an index or a field gives.
    pub fn element(&self) -> StaticType {
        match self {
            Self::List(item) => (**item).clone(),
            Self::Map(_, value) => (**value).clone(),
            Self::Optional(inner) => Self::optional(inner.element()),
            _ => Self::Dyn,
        }
    }

    /// The type inside an optional.
    pub fn inner(&self) -> StaticType {
        match self {
            Self::Optional(inner) => (**inner).clone(),
            _ => Self::Dyn,
        }
    }

    /// The type without its parameters; `None` if it is not known.
    pub fn known(&self) -> Option<TypeValue> {
        match self {
            Self::Dyn => None,
            Self::Known(known) => Some(*known),
            Self::List(_) => Some(TypeValue::List),
            Self::Map(..) => Some(TypeValue::Map),
            Self::Optional(_) => Some(TypeValue::Optional),
        }
    }

    fn depth(&self) -> usize {
        match self {
            Self::Dyn | Self::Known(_) => 0,
            Self::List(inner) | Self::Optional(inner) => 1 + inner.depth(),
            Self::Map(key, value) => 1 + key.depth().max(value.depth()),
        }
    }
}
