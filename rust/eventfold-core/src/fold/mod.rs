//! Folds: documents that say how events become a state.
//!
//! [`Fold::parse`] turns the source text of a document into a fold, or says where it is wrong;
//! [`FoldRun`] takes the events of one stream to a state. The same fold gives the same bytes
//! wherever it runs.
//!
//! Where the document model leaves room, this is how it is read:
//! - `let` stands at the top of a document, or in a handler. It is evaluated once an event,
//!   before `when`, if an expression of the event's handlers names it, directly or through
//!   another `let`; each sees those before it.
//! - `when`, `let` and `delete` are words of handlers; keys of the state with these names are
//!   written `['when']`.
//! - If any handler whose condition is true deletes, the event deletes, whatever others assign.
//! - After a delete, the next event whose handler does something starts from `initial`; events
//!   without a handler leave the aggregate deleted.

pub(crate) mod assign;
pub(crate) mod case;
pub(crate) mod compile;
mod condition;
mod coverage;
mod difference;
pub(crate) mod document;
pub(crate) mod engine;
pub(crate) mod failure;
mod history;
pub(crate) mod inputs;
pub(crate) mod lists;
pub(crate) mod literal;
pub(crate) mod marks;
pub(crate) mod normal;
mod opening;
pub(crate) mod path;
pub(crate) mod refusal;
mod run;
pub(crate) mod scope;
pub(crate) mod size;
mod sum;
pub(crate) mod tree;
mod withheld;

use crate::error::CoreError;
use crate::json::write::write_value;
use crate::limits::{FOLD_SOURCE_BYTES_MAX, STATE_BYTES_MAX};
use crate::value::Value;

use sha2::{Digest, Sha256};

use compile::Handlers;
use refusal::{Refusal, Source};

pub use condition::{Condition, Evaluation};
pub use coverage::Coverage;
pub use difference::{Found, differences};
pub use document::Keep;
pub use marks::{Declared, Marks};
pub(crate) use refusal::refuse_alone;
pub use run::{FoldResult, FoldRun, Start};

/// The semantics that states come from: a number that goes up when the same fold and the same
/// events would give another state, or an error in place of one. States that were kept under
/// another number are not gone on from.
pub const FOLD_SEMANTICS: u32 = 1;

/// A compiled fold.
#[derive(Debug)]
pub struct Fold {
    name: String,
    digest: String,
    pub(crate) initial: Value,
    event_types: Vec<String>,
    pub(crate) handlers: Handlers,
    skip_cancelled: bool,
    keep: Keep,
    accepts: Vec<String>,
}

impl Fold {
    /// Parses and compiles the source text of a document, YAML 1.2 or JSON.
    pub fn parse(source: &str) -> Result<Self, CoreError> {
        if source.len() > FOLD_SOURCE_BYTES_MAX {
            let message = format!(
                "the fold document has {} bytes; at most {FOLD_SOURCE_BYTES_MAX} are allowed",
                source.len()
            );
            return Err(CoreError::new("FOLD_TOO_LARGE", message)
                .fact("limit", FOLD_SOURCE_BYTES_MAX)
                .fact("actual", source.len()));
        }
        let text = Source::new(source);
        Self::compile(source, &text).map_err(|refusal| refusal.into_error(&text))
    }

    fn compile(source: &str, text: &Source<'_>) -> Result<Self, Box<Refusal>> {
        Self::of_document(document::read(&tree::parse(source, text)?, text)?, &[], text)
    }

    /// Compiles what was read of a document. `given` are names whose values come with each event.
    pub(crate) fn of_document(
        document: document::Document,
        given: &[String],
        text: &Source<'_>,
    ) -> Result<Self, Box<Refusal>> {
        let handlers = compile::handlers(&document, given, text)?;
        Ok(Self {
            digest: normal::digest(&document),
            event_types: document.handlers.iter().map(|known| known.event_type.clone()).collect(),
            name: document.name,
            initial: document.initial,
            handlers,
            skip_cancelled: document.skip_cancelled,
            keep: document.keep,
            accepts: document.accepts,
        })
    }

    /// The name that the document carries.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it goes on from carried states of other folds.
    pub fn accepts_others(&self) -> bool {
        !self.accepts.is_empty()
    }

    /// SHA-256 of the normal form, in lower-case hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What a kept state is a state of: SHA-256 of the state digest and the name, in lower-case
    /// hexadecimal. By its name a stream finds what it starts from, so a kept state of another one
    /// must not stand for it.
    pub fn kept_digest(&self) -> String {
        let digest = Sha256::new().chain_update(self.state_digest());
        normal::hexadecimal(digest.chain_update(&self.name))
    }

    /// What a state is a state of, whatever the fold is called: SHA-256 of the digest and the JSON
    /// text of the initial state, in lower-case hexadecimal. Two folds of one digest may write the
    /// keys of `initial` in different orders, and so come to different bytes; and what a fold
    /// accepts decides what its states start from.
    pub fn state_digest(&self) -> String {
        let digest = Sha256::new().chain_update(&self.digest).chain_update(self.initial());
        let with_accepted = |digest: Sha256, accepted: &String| digest.chain_update(accepted);
        normal::hexadecimal(self.accepts.iter().fold(digest, with_accepted))
    }

    /// JSON text of the initial state.
    pub fn initial(&self) -> Vec<u8> {
        let mut text = Vec::new();
        // Literals are JSON values, so writing cannot fail.
        let _ = write_value(&self.initial, &mut text);
        text
    }

    /// The event types with a handler, in the order of the document.
    pub fn event_types(&self) -> &[String] {
        &self.event_types
    }

    /// The event types with a handler, each with the names of the fields at the top of the data
    /// that its handlers read.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[String])> {
        let handlers = self.handlers.iter();
        handlers.map(|handler| (&*handler.event_type, &*handler.inputs.wanted))
    }

    /// Those of some fields at the top of the data that handlers of an event type read.
    pub fn reads<'n>(&self, event_type: &str, names: &[&'n str]) -> Vec<&'n str> {
        let mut handlers = self.handlers.iter();
        let handler = handlers.find(|handler| *handler.event_type == *event_type);
        handler.map(|handler| handler.inputs.reads(names)).unwrap_or_default()
    }

    /// Whether more of an event is read than its data: some handler reads its metadata, or anything
    /// of `meta`, or the fold what it cancels.
    pub fn needs_envelope(&self) -> bool {
        self.skip_cancelled
            || self
                .handlers
                .iter()
                .any(|handler| handler.inputs.needs_meta || handler.inputs.needs_metadata)
    }

    /// Whether cancelled events are folded as if they had not been.
    pub fn skip_cancelled(&self) -> bool {
        self.skip_cancelled
    }

    /// Digests of older folds of this name: a stream may start from a state that one of them came
    /// to in the period before.
    pub fn accepts(&self) -> &[String] {
        &self.accepts
    }

    /// When states are kept.
    pub fn keep(&self) -> Keep {
        self.keep
    }
}

// A document is far smaller than a state may be, so an initial state needs no check of its size.
const _: () = assert!(FOLD_SOURCE_BYTES_MAX * 8 < STATE_BYTES_MAX);
