//! The types that columns can have.

use std::fmt;

/// Most digits of a `numeric(p,s)`; PostgreSQL ends there too.
pub const NUMERIC_DIGITS_MAX: u16 = 1_000;

/// The type of a column: one of PostgreSQL's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// `text`, compared byte by byte.
    Text,
    /// `boolean`
    Boolean,
    /// `integer`, 32 bits.
    Integer,
    /// `bigint`, 64 bits.
    Bigint,
    /// `numeric`, of any length.
    Numeric,
    /// `numeric(p,s)`: that many digits, and how many of them stand behind the point.
    NumericOf {
        /// All digits, 1 to 1,000.
        precision: u16,
        /// Those behind the point, 0 to `precision`.
        scale: u16,
    },
    /// `double precision`
    DoublePrecision,
    /// `date`
    Date,
    /// `timestamptz`
    Timestamptz,
    /// `uuid`
    Uuid,
    /// `jsonb`
    Jsonb,
    /// `text[]`
    TextArray,
}

/// The types that have no parameters, by their names.
const NAMES: [(&str, ColumnType); 11] = [
    ("text", ColumnType::Text),
    ("boolean", ColumnType::Boolean),
    ("integer", ColumnType::Integer),
    ("bigint", ColumnType::Bigint),
    ("numeric", ColumnType::Numeric),
    ("double precision", ColumnType::DoublePrecision),
    ("date", ColumnType::Date),
    ("timestamptz", ColumnType::Timestamptz),
    ("uuid", ColumnType::Uuid),
    ("jsonb", ColumnType::Jsonb),
    ("text[]", ColumnType::TextArray),
];

impl ColumnType {
    /// The type of that name, as documents write it; `None` if there is no such type.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some((_, kind)) = NAMES.iter().find(|(name, _)| *name == text) {
            return Some(*kind);
        }
        let parameters = text.strip_prefix("numeric(")?.strip_suffix(')')?;
        let (precision, scale) = parameters.split_once(',')?;
        let number = |text: &str| {
            let digits = text.trim_matches(' ');
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse::<u16>().ok().filter(|_| plain)
        };
        let (precision, scale) = (number(precision)?, number(scale)?);
        let fits = (1..=NUMERIC_DIGITS_MAX).contains(&precision) && scale <= precision;
        fits.then_some(Self::NumericOf { precision, scale })
    }

    /// The type of a column in SQL, with its collation: texts are compared byte by byte.
    pub fn sql(self) -> String {
        match self {
            Self::Text | Self::TextArray => format!("{self} COLLATE \"C\""),
            _ => self.to_string(),
        }
    }

    /// The names of all types, for hints.
    pub(super) fn names() -> String {
        let mut names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
        names.push("numeric(p,s)");
        names.join(", ")
    }
}

impl fmt::Display for ColumnType {
    /// The name of the type, for casts and for people.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NumericOf { precision, scale } => {
                write!(formatter, "numeric({precision},{scale})")
            }
            kind => {
                let name = NAMES.iter().find(|(_, known)| known == kind).map(|(name, _)| *name);
                formatter.write_str(name.unwrap_or_default())
            }
        }
    }
}
