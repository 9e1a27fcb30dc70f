//! Every limit of the core, declared once; units stand last in the name.
//!
//! `python/eventfold_server/limits.py` reads these through the extension, so that the two
//! sides cannot disagree.

/// Longest stream name, in bytes of UTF-8.
pub const STREAM_NAME_BYTES_MAX: usize = 255;
/// Longest category (the text before the first `-`), in ASCII characters.
pub const CATEGORY_CHARS_MAX: usize = 64;
/// Longest event type, in bytes of UTF-8.
pub const EVENT_TYPE_BYTES_MAX: usize = 128;
/// Largest data of one event, in bytes.
pub const EVENT_DATA_BYTES_MAX: usize = 1024 * 1024;
/// Largest metadata of one event, in bytes.
pub const EVENT_METADATA_BYTES_MAX: usize = 64 * 1024;
/// Deepest nesting of JSON objects and arrays; a scalar has depth 0, `{}` has depth 1.
pub const JSON_DEPTH_MAX: usize = 64;
/// Most events in one append.
pub const APPEND_EVENTS_MAX: usize = 1_000;
/// Most bytes in one append: data, metadata, types, tags and names together.
pub const APPEND_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Most checks on other streams in an append to several.
pub const APPEND_CHECKS_MAX: usize = 1_000;
/// Most tags on one event.
pub const EVENT_TAGS_MAX: usize = 64;
/// Longest tag, in bytes of UTF-8; the shortest has one byte.
pub const TAG_BYTES_MAX: usize = 128;
/// Longest source text of a fold document, in bytes.
pub const FOLD_SOURCE_BYTES_MAX: usize = 64 * 1024;
/// Longest source text of a projection document, in bytes.
pub const PROJECTION_SOURCE_BYTES_MAX: usize = 64 * 1024;
/// Most categories in the source of a projection.
pub const PROJECTION_CATEGORIES_MAX: usize = 100;
/// Most columns of a projection.
pub const PROJECTION_COLUMNS_MAX: usize = 100;
/// Most indexes of a projection.
pub const PROJECTION_INDEXES_MAX: usize = 16;
/// Most columns of an index of a projection.
pub const PROJECTION_INDEX_COLUMNS_MAX: usize = 8;
/// Most bytes of the values of one row in the columns of one index: PostgreSQL's trees hold no
/// more than a third of a page.
pub const PROJECTION_INDEX_BYTES_MAX: usize = 2_000;
/// Longest key of a row of a projection, in bytes of UTF-8; the shortest has one byte.
pub const PROJECTION_KEY_BYTES_MAX: usize = 512;
/// Largest row of a projection, in bytes of the JSON text of its columns: an answer holds it.
pub const PROJECTION_ROW_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Longest text of a number in a column; `numeric` has room for 16,383 digits behind the point.
pub const PROJECTION_NUMBER_CHARS_MAX: usize = 16_383;
/// States of a projection are kept in memory up to about this many bytes, for each generation.
pub const PROJECTION_CACHE_BYTES: usize = 64 * 1024 * 1024;
/// A batch of a projection ends when its changes have more than about this many bytes.
pub const PROJECTION_CHANGES_BYTES: usize = 16 * 1024 * 1024;
/// A batch of a projection ends after about this many evaluation steps: about a second.
pub const PROJECTION_STEPS: u64 = 20_000_000;
/// Longest CEL expression, in bytes.
pub const EXPRESSION_BYTES_MAX: usize = 4 * 1024;
/// Deepest syntax tree of a CEL expression; every walk of the tree is bounded by it.
pub const EXPRESSION_DEPTH_MAX: usize = 96;
/// Largest state, in bytes of its JSON text.
pub const STATE_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Most evaluation steps that one event may cost.
pub const EVALUATION_STEPS_MAX: u64 = 1_000_000;
/// Deepest nesting of a value inside an evaluation: a little more than JSON, so that an
/// expression may wrap what it reads.
pub const VALUE_DEPTH_MAX: usize = JSON_DEPTH_MAX + 16;
/// Longest string or bytes that an expression may build, in bytes: no state could hold more.
pub const EVALUATION_TEXT_BYTES_MAX: usize = STATE_BYTES_MAX;
/// A message with several states or explained events ends before the one that would take it
/// above this, in bytes; one of them alone may be larger.
pub const STATES_MESSAGE_BYTES: usize = 1024 * 1024;
/// Most changes that the explanation of one event holds; the others are counted.
pub const EXPLAINED_CHANGES_MAX: usize = 1_000;
/// Most bytes of all changes of one explained event, so that it fits a message of gRPC's 4 MiB:
/// a change without room is counted with those that are left out.
pub const EXPLAINED_CHANGES_BYTES_MAX: usize = 3 * 1024 * 1024 + 512 * 1024;
/// Most columns that a query orders rows by, before their keys.
pub const QUERY_ORDER_COLUMNS_MAX: usize = 8;
/// Longest value of a column at which a page of a query may end, in bytes of its text; also that of
/// an index.
pub const QUERY_PLACE_BYTES_MAX: usize = 2_000;
/// Most evaluation steps that the values of one filter may take.
pub const QUERY_STEPS_MAX: u64 = 10_000;
