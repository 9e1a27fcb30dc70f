//! The names of all functions, how they are called, and what type they give.

use crate::value::TypeValue;

use super::super::types::StaticType;

/// How a function may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// `size(x)`, `math.abs(x)`
    Global,
    /// `x.trim()`
    Member,
    /// `size(x)` and `x.size()`
    Both,
}

macro_rules! functions {
    ($($function:ident $name:literal $style:ident $min:literal $max:literal $result:ident)*) => {
        /// Every function that expressions can call.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Function { $($function),* }

        /// Name, style, fewest and most arguments (the receiver included).
        const TABLE: &[(Function, &str, Style, usize, usize)] =
            &[$((Function::$function, $name, Style::$style, $min, $max)),*];

        impl Function {
            /// All of them.
            #[cfg(test)]
            pub(super) const ALL: &[Function] = &[$(Function::$function),*];

            /// The name as expressions write it.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$function => $name),* }
            }

            pub(super) fn result(self) -> Result {
                match self { $(Self::$function => Result::$result),* }
            }
        }
    };
}

/// What type a function gives.
pub(super) enum Result {
    Unknown,
    Bool,
    Int,
    Uint,
    Double,
    Decimal,
    String,
    Bytes,
    Timestamp,
    Duration,
    Type,
    List,
    Strings,
    Ints,
    /// The type of the first argument.
    Same,
    /// The one type that all arguments have, or all items of the only one.
    Common,
    /// An optional of the first argument.
    OptionalOf,
    /// An optional of the items of the first argument.
    OptionalItem,
    /// What the first argument, an optional, holds.
    Inner,
    /// The first argument with one level of lists less.
    Flat,
}

functions! {
    Size "size" Both 1 1 Int
    StartsWith "startsWith" Member 2 2 Bool
    EndsWith "endsWith" Member 2 2 Bool
    Contains "contains" Member 2 2 Bool
    Matches "matches" Both 2 2 Bool
    Bool "bool" Global 1 1 Bool
    Int "int" Global 1 1 Int
    Uint "uint" Global 1 1 Uint
    Double "double" Global 1 1 Double
    Decimal "decimal" Global 1 1 Decimal
    String "string" Global 1 1 String
    Bytes "bytes" Global 1 1 Bytes
    Timestamp "timestamp" Global 1 1 Timestamp
    Duration "duration" Global 1 1 Duration
    Type "type" Global 1 1 Type
    Dyn "dyn" Global 1 1 Unknown
    Erased "erased" Global 1 1 Bool
    Withheld "withheld" Global 1 1 Bool
    Round "round" Global 2 2 Decimal
    RoundHalfUp "roundHalfUp" Global 2 2 Decimal
    CharAt "charAt" Member 2 2 String
    IndexOf "indexOf" Member 2 3 Int
    LastIndexOf "lastIndexOf" Member 2 3 Int
    LowerAscii "lowerAscii" Member 1 1 String
    UpperAscii "upperAscii" Member 1 1 String
    Replace "replace" Member 3 4 String
    Split "split" Member 2 3 Strings
    Substring "substring" Member 2 3 String
    Trim "trim" Member 1 1 String
    Join "join" Member 1 2 String
    Reverse "reverse" Member 1 1 Same
    Format "format" Member 2 2 String
    Quote "strings.quote" Global 1 1 String
    Greatest "math.greatest" Global 1 255 Common
    Least "math.least" Global 1 255 Common
    Ceil "math.ceil" Global 1 1 Same
    Floor "math.floor" Global 1 1 Same
    MathRound "math.round" Global 1 1 Same
    Trunc "math.trunc" Global 1 1 Same
    Abs "math.abs" Global 1 1 Same
    Sign "math.sign" Global 1 1 Same
    Sqrt "math.sqrt" Global 1 1 Double
    IsNaN "math.isNaN" Global 1 1 Bool
    IsInf "math.isInf" Global 1 1 Bool
    IsFinite "math.isFinite" Global 1 1 Bool
    BitAnd "math.bitAnd" Global 2 2 Same
    BitOr "math.bitOr" Global 2 2 Same
    BitXor "math.bitXor" Global 2 2 Same
    BitNot "math.bitNot" Global 1 1 Same
    BitShiftLeft "math.bitShiftLeft" Global 2 2 Same
    BitShiftRight "math.bitShiftRight" Global 2 2 Same
    Flatten "flatten" Member 1 2 Flat
    Slice "slice" Member 3 3 Same
    Sort "sort" Member 1 1 Same
    Distinct "distinct" Member 1 1 Same
    Range "lists.range" Global 1 1 Ints
    First "first" Member 1 1 OptionalItem
    Last "last" Member 1 1 OptionalItem
    Base64Encode "base64.encode" Global 1 1 String
    Base64Decode "base64.decode" Global 1 1 Bytes
    OptionalNone "optional.none" Global 0 0 Unknown
    OptionalOf "optional.of" Global 1 1 OptionalOf
    OptionalOfNonZero "optional.ofNonZeroValue" Global 1 1 OptionalOf
    OptionalUnwrap "optional.unwrap" Global 1 1 List
    OptionalUnwrapMember "unwrapOpt" Member 1 1 List
    HasValue "hasValue" Member 1 1 Bool
    OptionalValue "value" Member 1 1 Inner
    GetFullYear "getFullYear" Member 1 2 Int
    GetMonth "getMonth" Member 1 2 Int
    GetDate "getDate" Member 1 2 Int
    GetDayOfMonth "getDayOfMonth" Member 1 2 Int
    GetDayOfYear "getDayOfYear" Member 1 2 Int
    GetDayOfWeek "getDayOfWeek" Member 1 2 Int
    GetHours "getHours" Member 1 2 Int
    GetMinutes "getMinutes" Member 1 2 Int
    GetSeconds "getSeconds" Member 1 2 Int
    GetMilliseconds "getMilliseconds" Member 1 2 Int
    Pseudonym "pseudonym" Global 2 2 String
    GeneraliseDate "generalise.date" Global 2 2 String
    GeneraliseRange "generalise.range" Global 2 2 String
    GeneralisePrefix "generalise.prefix" Global 2 2 String
}

impl Function {
    /// Whether it makes personal values less so; only transforms have these.
    pub(crate) fn anonymises(self) -> bool {
        matches!(
            self,
            Self::Pseudonym | Self::GeneraliseDate | Self::GeneraliseRange | Self::GeneralisePrefix
        )
    }
}

#[cfg(test)]
impl Function {
    /// Whether it is called with so many arguments, the receiver included.
    pub(super) fn takes(self, args: usize) -> bool {
        TABLE.iter().any(|(known, .., min, max)| *known == self && (*min..=*max).contains(&args))
    }
}

/// What a look-up by name gives.
pub(crate) enum Found {
    Function(Function),
    /// The name is known, but not with so many arguments or not in this style.
    Misused(&'static str),
    Unknown,
}

/// The function of a name and number of arguments, the receiver included.
pub(crate) fn find(name: &str, member: bool, args: usize) -> Found {
    let style = if member { Style::Member } else { Style::Global };
    let mut misused = None;
    for (function, known, known_style, min, max) in TABLE {
        if *known != name {
            continue;
        }
        let fits = *known_style == style || *known_style == Style::Both;
        if fits && (*min..=*max).contains(&args) {
            return Found::Function(*function);
        }
        misused = Some(*known);
    }
    misused.map_or(Found::Unknown, Found::Misused)
}

/// Whether names such as `math.abs` begin with this word.
pub(crate) fn is_namespace(name: &str) -> bool {
    matches!(name, "math" | "strings" | "lists" | "base64" | "optional" | "cel" | "generalise")
}

/// The type of a call.
pub(crate) fn result_type(function: Function, args: &[StaticType]) -> StaticType {
    let first = || args.first().cloned().unwrap_or(StaticType::Dyn);
    let known = StaticType::Known;
    match function.result() {
        Result::Unknown => StaticType::Dyn,
        Result::Bool => known(TypeValue::Bool),
        Result::Int => known(TypeValue::Int),
        Result::Uint => known(TypeValue::Uint),
        Result::Double => known(TypeValue::Double),
        Result::Decimal => known(TypeValue::Decimal),
        Result::String => known(TypeValue::String),
        Result::Bytes => known(TypeValue::Bytes),
        Result::Timestamp => known(TypeValue::Timestamp),
        Result::Duration => known(TypeValue::Duration),
        Result::Type => known(TypeValue::Type),
        Result::List => known(TypeValue::List),
        Result::Strings => StaticType::list(known(TypeValue::String)),
        Result::Ints => StaticType::list(known(TypeValue::Int)),
        Result::Same => first(),
        Result::Common if args.len() == 1 && first().known() == Some(TypeValue::List) => {
            first().item()
        }
        Result::Common => args.iter().cloned().reduce(StaticType::join).unwrap_or(StaticType::Dyn),
        Result::OptionalOf => StaticType::optional(first()),
        Result::OptionalItem => StaticType::optional(first().item()),
        Result::Inner => first().inner(),
        Result::Flat => known(TypeValue::List),
    }
}
