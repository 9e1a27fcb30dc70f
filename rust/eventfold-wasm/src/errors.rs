//! The one place where an error of the core becomes an exception of JavaScript.

use eventfold_core::error::CoreError;
use wasm_bindgen::prelude::*;

/// A refusal as a list of texts: its reason, the sentence for people, and of each fact the name and
/// the value. The package makes an error of it.
pub fn raise(refusal: CoreError) -> JsValue {
    let facts = refusal.facts.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
    let texts = [refusal.reason.to_owned(), refusal.message].into_iter().chain(facts);
    JsValue::from(texts.collect::<Vec<String>>())
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn log(text: &str);
}

/// Tells where a panic was: what comes after it is a trap of the module, without a word. The
/// package takes the trap for `BUG`, and goes on with a new instance.
#[wasm_bindgen(start)]
pub fn tell_panics() {
    std::panic::set_hook(Box::new(|panic| log(&format!("eventfold: {panic}"))));
}

/// Panics: for the test of what becomes of panics.
#[wasm_bindgen]
pub fn panic_for_test() {
    panic!("as asked for");
}
