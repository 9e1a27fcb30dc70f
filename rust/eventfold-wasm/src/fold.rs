//! Folds and their runs.

use std::sync::Arc;

use eventfold_core::envelope::parse_uuid;
use eventfold_core::error::CoreError;
use eventfold_core::fold::{self, Start};
use eventfold_core::json::absent::{Shown, with_absent, without_absent};
use eventfold_core::privacy::Whose;
use eventfold_core::wire::EventPage;
use wasm_bindgen::prelude::*;

use super::errors::raise;

/// A compiled fold.
#[wasm_bindgen]
pub struct Fold(Arc<fold::Fold>);

#[wasm_bindgen]
impl Fold {
    /// Parses and compiles the source text of a document.
    #[wasm_bindgen(constructor)]
    pub fn new(source: &str) -> Result<Fold, JsValue> {
        fold::Fold::parse(source).map(|fold| Self(Arc::new(fold))).map_err(raise)
    }

    /// The name that the document carries.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.0.name().to_owned()
    }

    /// SHA-256 of the normal form.
    #[wasm_bindgen(getter)]
    pub fn digest(&self) -> String {
        self.0.digest().to_owned()
    }

    /// JSON text of the initial state.
    #[wasm_bindgen(getter)]
    pub fn initial(&self) -> Vec<u8> {
        self.0.initial()
    }

    /// The event types with a handler, in the order of the document.
    #[wasm_bindgen(getter)]
    pub fn event_types(&self) -> Vec<String> {
        self.0.event_types().to_vec()
    }

    /// Whether cancelled events are folded as if they had not been.
    #[wasm_bindgen(getter)]
    pub fn skip_cancelled(&self) -> bool {
        self.0.skip_cancelled()
    }

    /// Begins a run before the first event of a stream.
    pub fn run(
        &self,
        stream: &str,
        root: &str,
        cancelled: Vec<String>,
    ) -> Result<FoldRun, JsValue> {
        let ids = cancelled.iter().map(|id| uuid(id)).collect::<Result<Vec<_>, _>>();
        let run = fold::FoldRun::new(Arc::clone(&self.0), stream, root);
        Ok(FoldRun(run.with_cancelled_events(ids.map_err(raise)?, i64::MAX)))
    }
}

/// A fold on its way along one stream.
#[wasm_bindgen]
pub struct FoldRun(fold::FoldRun);

#[wasm_bindgen]
impl FoldRun {
    /// Goes on from a state, in which pointers lead to what is absent.
    pub fn resume(
        self,
        state: &[u8],
        exists: bool,
        version: i64,
        position: i64,
        erased: Vec<String>,
        withheld: Vec<String>,
    ) -> Result<FoldRun, JsValue> {
        let erased = erased.iter().map(String::as_str);
        let state = with_absent(state, erased, withheld.iter().map(String::as_str));
        let start = Start { exists, state, version, position, whose: Whose::Nobody };
        self.0.resume(&start).map(Self).map_err(raise)
    }

    /// Folds the events of a serialised message that has them in field 1, as `ReadResponse` does.
    pub fn feed(&mut self, message: &[u8]) -> Result<(), JsValue> {
        let page = EventPage::decode(message).map_err(raise)?;
        let mut events = (0..page.len()).filter_map(|index| page.event(index));
        events.try_for_each(|event| event.with_row(|row| self.0.feed_row(row))).map_err(raise)
    }

    /// Goes on with the stream that follows in the line of periods.
    pub fn go_on_in(&mut self, stream: &str) -> Result<(), JsValue> {
        self.0.go_on_in(stream).map_err(raise)
    }

    /// What it comes to.
    pub fn finish(&self) -> Result<Outcome, JsValue> {
        let result = self.0.finish().map_err(raise)?;
        let shown = without_absent(&result.state);
        let unchanged = || Shown { text: result.state, ..Shown::default() };
        let Shown { text, erased, withheld } = shown.unwrap_or_else(unchanged);
        Ok(Outcome {
            exists: result.exists,
            state: text,
            erased,
            withheld,
            version: result.version,
            position: result.position,
            events_read: result.events_read,
            events_folded: result.events_folded,
        })
    }
}

/// What a fold came to.
#[wasm_bindgen(getter_with_clone)]
pub struct Outcome {
    /// False: there was no event, or the fold deleted the aggregate.
    #[wasm_bindgen(readonly)]
    pub exists: bool,
    /// JSON text of the state; `null` stands for what is absent.
    #[wasm_bindgen(readonly)]
    pub state: Vec<u8>,
    /// Pointers to values that were erased.
    #[wasm_bindgen(readonly)]
    pub erased: Vec<String>,
    /// Pointers to values that are withheld.
    #[wasm_bindgen(readonly)]
    pub withheld: Vec<String>,
    /// Version of the last event, 0 for none.
    #[wasm_bindgen(readonly)]
    pub version: i64,
    /// Position of the last event, 0 for none.
    #[wasm_bindgen(readonly)]
    pub position: i64,
    /// Number of events that were fed.
    #[wasm_bindgen(readonly)]
    pub events_read: u64,
    /// Number of events for which the fold has a handler.
    #[wasm_bindgen(readonly)]
    pub events_folded: u64,
}

fn uuid(text: &str) -> Result<[u8; 16], CoreError> {
    parse_uuid(text).ok_or_else(|| {
        let message = "the event id is not a UUID of 32 hexadecimal digits with hyphens";
        CoreError::new("INVALID_EVENT_ID", message).fact("problem", "syntax")
    })
}
