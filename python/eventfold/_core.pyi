"""The Rust core: bytes in, bytes out. `rust/eventfold-py` implements exactly these names."""

from collections.abc import Sequence
from typing import Final, final

from eventfold._core_append import (
    Append,
    AppendBatch,
    Decision,
    Outcome,
    RefusedAppend,
    RefusedPart,
    SessionMessage,
    Writer,
    encode_session_answers,
)
from eventfold._core_batch import Batch
from eventfold._core_cel import CelProgram
from eventfold._core_channel import (
    AppendSession,
    Call,
    CallError,
    Channel,
    Job,
    SentAppend,
    decode_appended,
)
from eventfold._core_events import (
    Event,
    EventIterator,
    EventPage,
    RecordedEvent,
    decode_json,
    encode_append,
    restore_event,
    uuid7,
)
from eventfold._core_filter import Filter, Selection
from eventfold._core_keyring import Keyring, boottime
from eventfold._core_mapping import Mapping, MappingTrial
from eventfold._core_names import check_event_type, check_stream_name
from eventfold._core_privacy import Personal, PersonalTrial
from eventfold._core_projection import ProjectedTable, Projection, ProjectionMarks
from eventfold._core_projection_query import ProjectionQuery
from eventfold._core_projection_refolds import (
    ProjectionComparison,
    ProjectionRetried,
    ProjectionRetry,
    ProjectionTrial,
    ProjectionTried,
    ProjectionTriedRows,
    ProjectionVerifier,
)
from eventfold._core_projector import (
    ProjectionStep,
    ProjectionWorker,
    Projector,
    failpoints,
)
from eventfold._core_reader import (
    Hydrated,
    KeptState,
    Opened,
    Page,
    Pages,
    Reader,
    ReaderError,
    ReadJob,
    ReadRules,
    References,
    StaleRules,
)
from eventfold._core_schema import Rules, Schema, SchemaDifference, SchemaTrial, Violation
from eventfold._core_transform import (
    CopiedAppend,
    StreamHashes,
    Transform,
    TransformCount,
    Transformed,
    TransformExample,
)

__all__ = [
    "FOLD_SEMANTICS",
    "Append",
    "AppendBatch",
    "AppendSession",
    "Batch",
    "Call",
    "CallError",
    "CelProgram",
    "Channel",
    "CopiedAppend",
    "CoreError",
    "Coverage",
    "Decision",
    "Event",
    "EventIterator",
    "EventPage",
    "Filter",
    "Fold",
    "FoldResult",
    "FoldRun",
    "Hydrated",
    "Job",
    "KeptState",
    "Keyring",
    "Mapping",
    "MappingTrial",
    "Opened",
    "Outcome",
    "Page",
    "Pages",
    "Personal",
    "PersonalTrial",
    "ProjectedTable",
    "Projection",
    "ProjectionComparison",
    "ProjectionMarks",
    "ProjectionQuery",
    "ProjectionRetried",
    "ProjectionRetry",
    "ProjectionStep",
    "ProjectionTrial",
    "ProjectionTried",
    "ProjectionTriedRows",
    "ProjectionVerifier",
    "ProjectionWorker",
    "Projector",
    "ReadJob",
    "ReadRules",
    "Reader",
    "ReaderError",
    "RecordedEvent",
    "References",
    "RefusedAppend",
    "RefusedPart",
    "Rules",
    "Schema",
    "SchemaDifference",
    "SchemaTrial",
    "Selection",
    "SentAppend",
    "SessionMessage",
    "StaleRules",
    "StreamHashes",
    "Transform",
    "TransformCount",
    "TransformExample",
    "Transformed",
    "Violation",
    "Writer",
    "boottime",
    "check_event_type",
    "check_stream_name",
    "decode_appended",
    "decode_json",
    "encode_append",
    "encode_session_answers",
    "failpoints",
    "limits",
    "restore_event",
    "state_with_absent",
    "uuid7",
    "version",
]

FOLD_SEMANTICS: Final[int]
"""Goes up when the same fold and the same events would give another state."""

class CoreError(Exception):
    """A refusal by the core: its reason in the catalogue, a sentence for people, the facts."""

    reason: str
    message: str
    facts: dict[str, str]

@final
class Fold:
    """A compiled fold; immutable, and free to be used from many threads."""

    def __new__(cls, source: str) -> Fold:
        """Parse and compile a fold document, YAML 1.2 or JSON.

        Raises:
            CoreError: INVALID_FOLD, FOLD_TOO_LARGE, EXPRESSION_TOO_LONG, EXPRESSION_TOO_DEEP.
        """
    @property
    def name(self) -> str:
        """The name that the document carries."""
    @property
    def digest(self) -> str:
        """SHA-256 of the normal form, lower-case hexadecimal."""
    @property
    def kept_digest(self) -> str:
        """SHA-256 of `digest`, `initial` and `accepts`, lower-case hexadecimal: names kept states.

        Folds of one digest may differ in the order of the keys of `initial`, which states keep.
        """
    @property
    def initial(self) -> bytes:
        """JSON text of the initial state."""
    @property
    def event_types(self) -> list[str]:
        """The event types with a handler, in the order of the document."""
    @property
    def needs_envelope(self) -> bool:
        """Whether some handler reads more of an event than its data."""
    @property
    def skip_cancelled(self) -> bool:
        """Whether cancelled events are folded as if they had not been."""
    @property
    def keep_every(self) -> int | None:
        """Events between kept states; 0: never keep; None: the document does not say."""
    @property
    def accepts(self) -> list[str]:
        """Digests of older folds whose carried states this one may start from."""
    def personal_paths(
        self,
        types: dict[str, list[str]],
        everywhere: Sequence[str] = (),
        mappings: Sequence[Mapping] = (),
    ) -> list[str]:
        """Tell which parts of its states can hold personal values.

        Args:
            types: what is declared personal of the data of event types: pointers (RFC 6901) in
                which `*` is every element or member.
            everywhere: what is declared of events of any type.
            mappings: those in force.

        Returns:
            Pointers of the same kind; the empty one is the whole state.

        Raises:
            CoreError: PERSONAL_KEY if a path has a key that can be personal; INVALID_REQUEST for
                what is no pointer.
        """
    def coverage(self) -> Coverage:
        """Begin to gather what runs of this fold reach."""
    def run(
        self,
        stream: str,
        root: str,
        *,
        state: bytes | None = None,
        exists: bool = True,
        version: int = 0,
        position: int = 0,
        cancelled: Sequence[str] = (),
        cancelled_to: int | None = None,
        coverage: Coverage | None = None,
        whose: bytes = b"",
    ) -> FoldRun:
        """Begin to fold one stream.

        Args:
            stream: Name of the stream.
            root: Name of the first stream of its line of periods.
            state: JSON text of a state to go on from, such as a kept one; None: the initial state.
            exists: Whether the aggregate exists in that state.
            version: Version of the last event that the state has seen; 0: it comes from before the
                stream, whose opening event is passed over unless it has a handler.
            position: Position of that event.
            cancelled: Ids of the events that other events of the stream cancel; looked at only if
                `skip_cancelled`.
            cancelled_to: With `skip_cancelled`, `cancelled` names what is cancelled up to this
                version, and the run stops before a cancellation behind it; None: all.
            coverage: Notes what the events reach; of this very fold.
            whose: Whose personal values went into the state; see `FoldResult.whose`.

        Raises:
            CoreError: INVALID_REQUEST if the state is not JSON, INVALID_EVENT_ID; BUG if the
                coverage is that of another `Fold`.
        """

@final
class Coverage:
    """What the runs of one fold have reached so far; free to be used from many threads."""

    def unused_handlers(self) -> list[str]:
        """Name the handlers that no event reached, in the order of the document.

        Named as in errors: `MoneyDeposited`, or `MoneyDeposited[1]` in a list of handlers. One
        with a condition is reached when the condition is true.
        """
    def unseen_fields(self) -> list[tuple[str, str]]:
        """List the fields that handlers read and that no event of the type had.

        Each is the event type and the name of a field at the top of the data. Types of which no
        event came are passed over.
        """

@final
class FoldRun:
    """A fold on its way along one stream. After an error, every call gives that error again."""

    def feed(
        self,
        batch: Batch,
        first: int = 0,
        last: int | None = None,
        steps_max: int | None = None,
    ) -> int:
        """Fold the rows of a page, in order; the versions must rise.

        Args:
            batch: The page.
            first: Index of the first row to fold, from 0.
            last: One past the index of the last row; None, or beyond the end: to the end; at or
                below `first`: no row.
            steps_max: Evaluation steps after which no further event is begun; None: no bound.

        Returns:
            Index of the first row that was not folded.

        Raises:
            CoreError: FOLD_FAILED, NUMBER_RANGE, STATE_NOT_JSON, STATE_TOO_LARGE,
                EVALUATION_LIMIT, EVENT_CORRUPT; BUG for rows that cannot be decoded or come again.
        """
    def feed_event(
        self,
        type: str,
        data: bytes,
        metadata: bytes,
        tags: Sequence[str],
        event_id: str,
        version: int,
        position: int,
        recorded_us: int,
        occurred_us: int,
        writer: str,
    ) -> None:
        """Fold one event that is not known to be validated: its JSON is checked first.

        Args:
            type: Event type.
            data: A JSON object.
            metadata: A JSON object; empty for none.
            tags: Tags.
            event_id: UUID in canonical form.
            version: Version in the stream; higher than that of the event before.
            position: Position in the log.
            recorded_us: Microseconds since 1970.
            occurred_us: Microseconds since 1970.
            writer: Who appended it.

        Raises:
            CoreError: as `feed`, and INVALID_EVENT_ID.
        """
    def feed_recorded(self, event: RecordedEvent) -> None:
        """Fold one event of an answer, as `feed_event` would; no UUID: INVALID_REQUEST."""
    def history(
        self, batch: Batch, first: int, from_version: int, steps_max: int | None = None
    ) -> tuple[bytes, int]:
        """Fold rows of a page, and encode the states after them.

        The bytes are a `HydrateHistoryResponse` of about 1 MiB, or of one state, and less after
        `steps_max`; they are empty if no row of `from_version` or above was folded.
        The number is the index of the row that the next call begins with, of this or of `explain`,
        not of another: `len(batch)` when the page is done.

        Args:
            batch: The page.
            first: Index of the first row to fold, from 0.
            from_version: First version whose state is encoded; rows below are folded only.
            steps_max: Evaluation steps after which no further event is begun; None: 1,000,000.

        Raises:
            CoreError: as `feed`. Only when there are no states from before the error: else these
                are returned, and the next call raises.
        """
    def explain(self, batch: Batch, first: int, from_version: int) -> tuple[bytes, int]:
        """Fold rows of a page, and encode what each changed; otherwise as `history`.

        The bytes are an `ExplainResponse`. The changes of an event are the smallest paths that
        differ, in the order of the new state; what a map lost follows its other changes. Lists
        are compared index by index; the order of keys alone is no change. Before the first event
        there is the initial state, after a delete `null`. A change that would take the message to
        4 MiB is counted in `changes_left_out`.

        Args:
            batch: The page.
            first: Index of the first row to fold, from 0.
            from_version: First version that is explained; rows below are folded only.

        Raises:
            CoreError: as `history`.
        """
    def explain_from(self, other: FoldRun) -> None:
        """Take the state that another run of the fold came to for the one before the next event
        that is explained.
        """
    def stops_at(self, batch: Batch, index: int) -> bool:
        """Tell whether the row is a cancellation that is not known: all must be folded anew."""
    def go_on_in(self, stream: str) -> None:
        """Go on with the stream that follows in the line of periods: the state goes on, and the
        opening event is passed over unless the fold has a handler for its type.
        """
    def stop(self) -> None:
        """End the run from any thread: a `feed` that is under way fails with EVALUATION_LIMIT."""
    def finish(self) -> FoldResult:
        """Return the state after the last event.

        Raises:
            CoreError: what made the run fail.
        """

@final
class FoldResult:
    """What a fold came to.

    Attributes:
        exists: False: there was no event, or the fold deleted the aggregate.
        state: JSON text of the state: `null` after a delete, the initial state without events. It
            has bare words in place of absent values; a run can go on from it.
        public_state: The same with `null` in place of absent values.
        erased_paths: Pointers to what of it was erased.
        withheld_paths: Pointers to what of it is withheld.
        version: Version of the last event that was fed; 0: none.
        position: Position of that event; 0: none.
        events_read: Number of events that were fed.
        events_folded: Number of events for which the fold has a handler.
        whose: Whose personal values may be in the state, as far as sealed ones were opened for it:
            empty, or the id of a subject, of 16 bytes; anything else: those of several.
    """

    exists: Final[bool]
    state: Final[bytes]
    public_state: Final[bytes]
    erased_paths: Final[list[str]]
    withheld_paths: Final[list[str]]
    version: Final[int]
    position: Final[int]
    events_read: Final[int]
    events_folded: Final[int]
    whose: Final[bytes]

def state_with_absent(state: bytes, erased: Sequence[str], withheld: Sequence[str]) -> bytes:
    """Put the words of absent values back into a state text, at those pointers at which `null`
    stands, so that a run can go on from it.
    """

def limits() -> dict[str, int]:
    """All limits of the core, by lower-case name with the unit last."""

def version() -> str:
    """The version of the core, which is the version of the distribution."""
