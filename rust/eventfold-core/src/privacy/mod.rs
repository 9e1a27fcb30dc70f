//! Personal values: which values of an event are personal and whose they are, and sealing them one
//! by one under keys of their subjects.
//!
//! A sealed value stands as a string in the JSON, and everything around it as it came. Its pointer
//! is listed beside the event, and only what is listed is ever opened: text that looks sealed is
//! text.

#[cfg(feature = "sealing")]
mod cipher;
#[cfg(feature = "sealing")]
mod data;
pub(crate) mod document;
mod personal;
mod rules;
mod trial;
mod whose;
pub(crate) mod withheld;

#[cfg(feature = "sealing")]
pub use cipher::{DataKey, KEY_BYTES, NONCE_BYTES, Place, Sealed};
#[cfg(feature = "sealing")]
pub use data::{Field, Keys, Look, SealedPointers, ShowError, Sight, seal_data, show_data};
pub use personal::{
    CarriedPersonal, Personal, PersonalField, PersonalValue, SubjectName, SubjectSource,
};
pub use rules::{Declared, PrivacyRules};
pub use trial::{PlaintextEvent, Trial};
pub use whose::{OpenedValue, Whose};

/// Tells subjects apart: made when the first key of one is. A subject that was erased and admitted
/// again has another.
pub type SubjectId = [u8; 16];

/// What stands in data in memory in place of a sealed value whose key is gone; never stored or
/// sent.
pub const ERASED: &str = "erased";
/// What stands there in place of a sealed value that the reader may not see; never stored or sent.
pub const WITHHELD: &str = "withheld";
