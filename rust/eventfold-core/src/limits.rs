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
/// Most events and streams together that one event refers to.
pub const EVENT_REFERENCES_MAX: usize = 100;
/// Longest source text of a fold document, in bytes.
pub const FOLD_SOURCE_BYTES_MAX: usize = 64 * 1024;
/// Most digests of older folds that a fold document accepts states of.
pub const FOLD_ACCEPTS_MAX: usize = 100;
/// Longest source text of a projection document, in bytes.
pub const PROJECTION_SOURCE_BYTES_MAX: usize = 64 * 1024;
/// Most categories in the source of a projection.
pub const PROJECTION_CATEGORIES_MAX: usize = 100;
/// Most names of the `resolve` of a projection.
pub const PROJECTION_RESOLVED_MAX: usize = 16;
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
/// Longest source text of a mapping document, in bytes.
pub const MAPPING_SOURCE_BYTES_MAX: usize = 64 * 1024;
/// Most renames, defaults and computed fields of a mapping, together.
pub const MAPPING_ENTRIES_MAX: usize = 200;
/// Longest source text of a privacy document, in bytes.
pub const PRIVACY_SOURCE_BYTES_MAX: usize = 64 * 1024;
/// Most personal fields of an event type.
pub const PERSONAL_FIELDS_MAX: usize = 100;
/// Longest source text of a transform document, in bytes.
pub const TRANSFORM_SOURCE_BYTES_MAX: usize = 64 * 1024;
/// Most categories that a transform reads, and as many that it writes to.
pub const TRANSFORM_CATEGORIES_MAX: usize = 100;
/// Most streams in the source of a transform.
pub const TRANSFORM_SOURCE_STREAMS_MAX: usize = 1_000;
/// Most copies that a transform makes of one event: rules of one event type.
pub const TRANSFORM_COPIES_MAX: usize = 32;
/// Most paths of the data, and of the metadata, in one rule of a transform.
pub const TRANSFORM_ENTRIES_MAX: usize = 200;
/// A page of a transform ends early when its copies have more than about this many bytes.
pub const TRANSFORM_PAGE_BYTES: usize = 16 * 1024 * 1024;
/// A page of a transform ends early after about this many evaluation steps: about a second.
pub const TRANSFORM_PAGE_STEPS: u64 = 20_000_000;
/// Most differences between two schemas that are told; those that count most are told first.
pub const SCHEMA_DIFFERENCES_MAX: usize = 1_000;
/// Most steps of a comparison of two schemas, for what became narrower, for values that show it,
/// and for what became wider, each; what is left then is undecided.
pub const SCHEMA_COMPARISON_STEPS_MAX: u64 = 5_000_000;
/// Most violations that are told of one stored event that does not fit.
pub const MISFIT_VIOLATIONS_MAX: usize = 10;
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
/// How deep the marks of personal values follow the parts of a state; deeper ones are marked with
/// all that is around them.
pub const MARK_DEPTH_MAX: usize = 8;
/// Most parts of one value that marks of personal values tell apart; a value with more is marked as
/// a whole.
pub const MARK_NODES_MAX: usize = 256;
/// How often the handlers of a fold are gone through to find what of its state can be personal;
/// where that does not come to an end, all of it is.
pub const MARK_ROUNDS_MAX: usize = 64;
/// Most columns that a query orders rows by, before their keys.
pub const QUERY_ORDER_COLUMNS_MAX: usize = 8;
/// Longest value of a column at which a page of a query may end, in bytes of its text; also that of
/// an index.
pub const QUERY_PLACE_BYTES_MAX: usize = 2_000;
/// Most evaluation steps that the values of one filter may take.
pub const QUERY_STEPS_MAX: u64 = 10_000;
/// Longest schema, in bytes.
pub const SCHEMA_BYTES_MAX: usize = 256 * 1024;
/// Longest schema with all that it refers to, in bytes together.
pub const SCHEMA_ALL_BYTES_MAX: usize = 1024 * 1024;
/// Most subschemas of a schema and of all that it refers to.
pub const SCHEMA_PARTS_MAX: usize = 20_000;
/// Most subschemas that may hold for one value by one leading to the next: every walk through a
/// schema is bounded by it.
pub const SCHEMA_CHAIN_MAX: usize = 100;
/// Most subschemas that may hold for one value, each as often as it is reached.
pub const SCHEMA_CHECKS_MAX: u64 = 100_000;
/// Most patterns of a schema and of all that it refers to.
pub const SCHEMA_PATTERNS_MAX: usize = 500;
/// Memory for the patterns of a schema and of all that it refers to when they are compiled, in
/// bytes, about: three times this with all that belongs to them.
pub const SCHEMA_PATTERNS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest text of a pattern, in bytes.
pub const PATTERN_SOURCE_BYTES_MAX: usize = 32 * 1024;
/// Largest pattern of a schema when it is compiled, in bytes.
pub const PATTERN_BYTES_MAX: usize = 1024 * 1024;
/// Memory that one pattern may keep to match faster with, in bytes, in each direction.
pub const PATTERN_MATCH_BYTES_MAX: usize = 64 * 1024;
/// Most times that matching a pattern with look-around or references back goes back; a text for
/// which it takes more is not held to the schema any further, and does not fit.
pub const PATTERN_BACKTRACKS_MAX: usize = 10_000;
/// Most steps that holding all events of one append to the rules may take, to schemas and mappings
/// together: about half a second.
pub const APPEND_STEPS_MAX: u64 = 20_000_000;
/// Steps of the same after which it goes on in a thread: about half a millisecond.
pub const APPEND_INLINE_STEPS_MAX: u64 = 20_000;
/// Most steps that holding one event to its schema may take.
pub const SCHEMA_STEPS_MAX: u64 = 10_000_000;
/// Most stack that holding one event to its schema may take, in bytes.
pub const SCHEMA_STACK_BYTES_MAX: usize = 1024 * 1024;
/// Memory for what one event is found not to fit, in bytes, about; if there is more, the first is
/// told alone.
pub const SCHEMA_ERRORS_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longest pointer of a violation or of a difference, in bytes; a longer one leads to what is
/// around the place.
pub const VIOLATION_POINTER_BYTES_MAX: usize = 512;
/// Most bytes of the violations that an error tells, as JSON.
pub const VIOLATIONS_TOLD_BYTES_MAX: usize = 2 * 1024;
/// Most violations of schemas that are listed for one append; the others are counted.
pub const VIOLATIONS_MAX: usize = 1_000;
