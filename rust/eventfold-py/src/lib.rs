//! The extension module `eventfold._core`: registers, converts, maps errors, releases the GIL.
//!
//! No logic lives here: whatever can be decided without Python belongs to `eventfold-core`.

#[cfg(unix)]
mod append;
mod batch;
mod cel;
mod channel;
mod completions;
mod convert;
mod decode;
mod errors;
mod event;
mod filter;
mod fold;
#[cfg(unix)]
mod keyring;
mod limits;
mod mapping;
mod names;
mod personal;
mod privacy;
mod projection;
mod projection_query;
#[cfg(unix)]
mod reader;
mod recorded;
mod references;
mod schema;
#[cfg(unix)]
mod transform;
mod uuid7;

use pyo3::prelude::*;

/// The whole export surface; `python/eventfold/_core.pyi` declares the same names.
#[pymodule(gil_used = false)]
mod _core {
    // The server's alone, which needs Unix.
    #[cfg(unix)]
    #[pymodule_export]
    use super::append::{Append, RefusedAppend, RefusedPart, SessionMessage};
    #[pymodule_export]
    use super::batch::Batch;
    #[pymodule_export]
    use super::cel::CelProgram;
    #[pymodule_export]
    use super::channel::{
        AppendSession, Call, CallError, Channel, Job, SentAppend, decode_appended,
    };
    #[pymodule_export]
    use super::decode::decode_json;
    #[pymodule_export]
    use super::errors::CoreError;
    #[pymodule_export]
    use super::event::{Event, encode_append, restore_event};
    #[pymodule_export]
    use super::filter::{Filter, Selection};
    #[pymodule_export]
    use super::fold::{Coverage, Fold, FoldResult, FoldRun};
    #[cfg(unix)]
    #[pymodule_export]
    use super::keyring::{Keyring, boottime};
    #[pymodule_export]
    use super::limits::limits;
    #[pymodule_export]
    use super::mapping::{Mapping, MappingTrial};
    #[pymodule_export]
    use super::names::{check_event_type, check_stream_name};
    #[pymodule_export]
    use super::personal::state_with_absent;
    #[pymodule_export]
    use super::privacy::{Personal, PersonalTrial};
    #[pymodule_export]
    use super::projection::{ProjectedTable, Projection, ProjectionMarks};
    #[pymodule_export]
    use super::projection_query::ProjectionQuery;
    #[cfg(unix)]
    #[pymodule_export]
    use super::reader::{
        AppendBatch, Decision, Hydrated, KeptState, Opened, Outcome, Page, Pages,
        ProjectionComparison, ProjectionRetried, ProjectionRetry, ProjectionStep, ProjectionTrial,
        ProjectionTried, ProjectionTriedRows, ProjectionVerifier, ProjectionWorker, Projector,
        ReadJob, ReadRules, Reader, ReaderError, StaleRules, Writer, encode_session_answers,
        failpoints,
    };
    #[pymodule_export]
    use super::recorded::{EventIterator, EventPage, RecordedEvent};
    #[pymodule_export]
    use super::references::References;
    #[pymodule_export]
    use super::schema::{Rules, Schema, SchemaDifference, SchemaTrial, Violation};
    #[cfg(unix)]
    #[pymodule_export]
    use super::transform::{
        CopiedAppend, StreamHashes, Transform, TransformCount, TransformExample, Transformed,
    };
    #[pymodule_export]
    use super::uuid7::uuid7;
    #[pymodule_export]
    use super::version;
    #[pymodule_export]
    const FOLD_SEMANTICS: u32 = eventfold_core::fold::FOLD_SEMANTICS;
}

/// The version of the core, which is the version of the distribution.
#[pyfunction]
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
