//! The limits of the core as a dict, so that Python never repeats a figure.

use eventfold_core::limits as core;
use pyo3::prelude::*;
use pyo3::types::PyDict;

macro_rules! limits {
    ($py:expr, $($name:ident),+ $(,)?) => {{
        let limits = PyDict::new($py);
        $(limits.set_item(stringify!($name).to_lowercase(), core::$name)?;)+
        limits
    }};
}

/// All constants of `eventfold_core::limits`, by lower-case name.
///
/// `tests/unit/test_core.py` compares the names with the source, so that none is forgotten.
#[pyfunction]
pub fn limits(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    Ok(limits!(
        py,
        STREAM_NAME_BYTES_MAX,
        CATEGORY_CHARS_MAX,
        EVENT_TYPE_BYTES_MAX,
        EVENT_DATA_BYTES_MAX,
        EVENT_METADATA_BYTES_MAX,
        JSON_DEPTH_MAX,
        APPEND_EVENTS_MAX,
        APPEND_BYTES_MAX,
        APPEND_CHECKS_MAX,
        EVENT_TAGS_MAX,
        TAG_BYTES_MAX,
        EVENT_REFERENCES_MAX,
        FOLD_SOURCE_BYTES_MAX,
        FOLD_ACCEPTS_MAX,
        PROJECTION_SOURCE_BYTES_MAX,
        PROJECTION_CATEGORIES_MAX,
        PROJECTION_RESOLVED_MAX,
        PROJECTION_COLUMNS_MAX,
        PROJECTION_INDEXES_MAX,
        PROJECTION_INDEX_COLUMNS_MAX,
        PROJECTION_INDEX_BYTES_MAX,
        PROJECTION_KEY_BYTES_MAX,
        PROJECTION_ROW_BYTES_MAX,
        PROJECTION_NUMBER_CHARS_MAX,
        PROJECTION_CACHE_BYTES,
        PROJECTION_CHANGES_BYTES,
        PROJECTION_STEPS,
        MAPPING_SOURCE_BYTES_MAX,
        MAPPING_ENTRIES_MAX,
        PRIVACY_SOURCE_BYTES_MAX,
        PERSONAL_FIELDS_MAX,
        TRANSFORM_SOURCE_BYTES_MAX,
        TRANSFORM_CATEGORIES_MAX,
        TRANSFORM_SOURCE_STREAMS_MAX,
        TRANSFORM_COPIES_MAX,
        TRANSFORM_ENTRIES_MAX,
        TRANSFORM_PAGE_BYTES,
        TRANSFORM_PAGE_STEPS,
        SCHEMA_DIFFERENCES_MAX,
        SCHEMA_COMPARISON_STEPS_MAX,
        MISFIT_VIOLATIONS_MAX,
        EXPRESSION_BYTES_MAX,
        EXPRESSION_DEPTH_MAX,
        STATE_BYTES_MAX,
        EVALUATION_STEPS_MAX,
        VALUE_DEPTH_MAX,
        EVALUATION_TEXT_BYTES_MAX,
        STATES_MESSAGE_BYTES,
        EXPLAINED_CHANGES_MAX,
        EXPLAINED_CHANGES_BYTES_MAX,
        MARK_DEPTH_MAX,
        MARK_NODES_MAX,
        MARK_ROUNDS_MAX,
        QUERY_ORDER_COLUMNS_MAX,
        QUERY_PLACE_BYTES_MAX,
        QUERY_STEPS_MAX,
        SCHEMA_BYTES_MAX,
        SCHEMA_ALL_BYTES_MAX,
        SCHEMA_PARTS_MAX,
        SCHEMA_CHAIN_MAX,
        SCHEMA_CHECKS_MAX,
        SCHEMA_PATTERNS_MAX,
        SCHEMA_PATTERNS_BYTES_MAX,
        PATTERN_SOURCE_BYTES_MAX,
        PATTERN_BYTES_MAX,
        PATTERN_MATCH_BYTES_MAX,
        PATTERN_BACKTRACKS_MAX,
        APPEND_STEPS_MAX,
        APPEND_INLINE_STEPS_MAX,
        SCHEMA_STEPS_MAX,
        SCHEMA_STACK_BYTES_MAX,
        SCHEMA_ERRORS_BYTES_MAX,
        VIOLATION_POINTER_BYTES_MAX,
        VIOLATIONS_TOLD_BYTES_MAX,
        VIOLATIONS_MAX,
    ))
}
