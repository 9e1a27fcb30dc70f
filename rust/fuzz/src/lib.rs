//! What the fuzz targets do with their bytes. Each function panics if the core breaks a promise.
//!
//! The core's own tests include this file, and run it over the committed corpora on stable.

mod appends;
mod choices;
mod expressions;
mod folds;
mod json;
mod mappings;
mod privacy;
mod projections;
mod reference;
mod rows;
mod schemas;
mod transforms;
mod wire;

pub use appends::append_request;
pub use expressions::{expr_eval, expr_parse};
pub use folds::{fold_document, fold_run};
pub use json::{event_json, scan_vs_strict};
pub use mappings::{mapping_apply, mapping_document};
pub use privacy::{privacy_document, sealed_data};
pub use projections::projection_document;
pub use rows::rows_decode;
pub use schemas::{schema_change, schema_document};
pub use transforms::{transform_copy, transform_document};
pub use wire::event_page;

/// What a target does with its bytes.
pub type Target = fn(&[u8]);

/// All targets by name; the corpus of each stands in a folder of that name.
pub const TARGETS: [(&str, Target); 18] = [
    ("expr_parse", expr_parse),
    ("expr_eval", expr_eval),
    ("fold_document", fold_document),
    ("event_json", event_json),
    ("scan_vs_strict", scan_vs_strict),
    ("rows_decode", rows_decode),
    ("event_page", event_page),
    ("append_request", append_request),
    ("fold_run", fold_run),
    ("projection_document", projection_document),
    ("mapping_document", mapping_document),
    ("mapping_apply", mapping_apply),
    ("schema_document", schema_document),
    ("schema_change", schema_change),
    ("transform_document", transform_document),
    ("transform_copy", transform_copy),
    ("privacy_document", privacy_document),
    ("sealed_data", sealed_data),
];
