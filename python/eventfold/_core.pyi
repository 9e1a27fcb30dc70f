"""The Rust core: bytes in, bytes out. `rust/eventfold-py` implements exactly these names."""

from collections.abc import Sequence
from typing import Any, Final, Literal, Self, final

from eventfold._core_append import (
    Append,
    AppendBatch,
    Decision,
    Outcome,
    RefusedAppend,
    SessionMessage,
    Writer,
    encode_session_answers,
)
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
    encode_append,
    restore_event,
    uuid7,
)
from eventfold._core_filter import Filter, Selection
from eventfold._core_projection import ProjectedTable, Projection
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
    "Opened",
    "Outcome",
    "Page",
    "Pages",
    "ProjectedTable",
    "Projection",
    "ProjectionComparison",
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
    "Reader",
    "ReaderError",
    "RecordedEvent",
    "RefusedAppend",
    "Selection",
    "SentAppend",
    "SessionMessage",
    "Writer",
    "check_stream_name",
    "decode_appended",
    "decode_json",
    "encode_append",
    "encode_session_answers",
    "failpoints",
    "limits",
    "restore_event",
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

def check_stream_name(name: str, *, system: bool = False) -> str:
    """Check the name of a stream; return its category.

    Args:
        name: `category-id`, at most 255 bytes of UTF-8.
        system: Also pass names that start with `$`: for reading, never for appending. The
            category of such a name is the text before its first `-`, or all of it.

    Raises:
        CoreError: INVALID_STREAM_NAME.
    """

@final
class Batch:
    """One page of stored events, held as the bytes that PostgreSQL sent; immutable."""

    def __new__(cls, columns: Sequence[bytes | None]) -> Batch:
        """Decode the sixteen columns of a page; their order is that of the page queries.

        Each column is one `array_send(array_agg(..))`. None stands for an optional column that
        was left out; if all are None, the page has no rows.

        Raises:
            CoreError: BUG if the bytes are not what the page queries send.
        """
    def __len__(self) -> int: ...
    @property
    def first_version(self) -> int:
        """Version of the first row; 0 for a page without rows."""
    @property
    def last_version(self) -> int:
        """Version of the last row; 0 for a page without rows."""
    @property
    def first_position(self) -> int:
        """Position of the first row; 0 for a page without rows."""
    @property
    def last_position(self) -> int:
        """Position of the last row; 0 for a page without rows."""
    def version(self, index: int) -> int:
        """Return the version of the row at an index from 0.

        Raises:
            IndexError: There is no such row.
        """
    def position(self, index: int) -> int:
        """Return the position of the row at an index from 0.

        Raises:
            IndexError: There is no such row.
        """
    def event_id(self, index: int) -> str:
        """Return the event id of the row at an index from 0, in lower case.

        Raises:
            IndexError: There is no such row.
        """
    def compact(self) -> Batch:
        """Copy the page, to be kept: rows as they came hold whole buffers of the connection."""
    def of_stream(self, stream: str, first: int) -> Batch:
        """Copy the rows of one stream, from the row at an index from 0 on.

        None of them if the page leaves the names of streams out.
        """
    @property
    def size_bytes(self) -> int:
        """What the rows take."""
    def event_ids(self) -> bytes:
        """Return the ids of all rows in order, 16 bytes each."""
    def recorded_us(self, index: int) -> int:
        """Return when the row at an index from 0 was recorded, in microseconds since 1970.

        Raises:
            IndexError: There is no such row.
        """
    def streams(self) -> list[tuple[str, int, int]]:
        """List the runs of rows of one stream: its name, the first row, one past the last.

        Raises:
            CoreError: BUG if the page leaves the names out.
        """
    def encode(self, stream: str | None = None) -> bytes:
        """Encode the rows as field 1 of a `ReadResponse` or `ReadAllResponse`.

        The bytes are a whole serialised message; the bytes of a message with `end` alone may
        follow them.

        Args:
            stream: Name of the stream, for pages that leave the column out.

        Raises:
            CoreError: BUG if a row cannot be decoded.
        """

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
        """SHA-256 of `digest` and `initial`, lower-case hexadecimal: names kept states.

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
        coverage: Coverage | None = None,
    ) -> FoldRun:
        """Begin to fold one stream.

        Args:
            stream: Name of the stream.
            root: Name of the first stream of its line of periods.
            state: JSON text of a state to go on from, such as a kept one; None: the initial state.
            exists: Whether the aggregate exists in that state.
            version: Version of the last event that the state has seen.
            position: Position of that event.
            cancelled: Ids of the events that other events of the stream cancel; looked at only if
                `skip_cancelled`.
            coverage: Notes what the events reach; of this very fold.

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
        state: JSON text of the state: `null` after a delete, the initial state without events.
        version: Version of the last event that was fed; 0: none.
        position: Position of that event; 0: none.
        events_read: Number of events that were fed.
        events_folded: Number of events for which the fold has a handler.
    """

    exists: Final[bool]
    state: Final[bytes]
    version: Final[int]
    position: Final[int]
    events_read: Final[int]
    events_folded: Final[int]

@final
class CelProgram:
    """A compiled expression; immutable, and free to be used from many threads."""

    def __new__(cls, expression: str, variables: Sequence[str] | None = None) -> Self:
        """Parse and compile an expression.

        Args:
            expression: At most 4 KiB.
            variables: The names that it may use; None: whatever it uses.

        Raises:
            CoreError: EXPRESSION_INVALID, EXPRESSION_TOO_LONG, EXPRESSION_TOO_DEEP, with the facts
                `line`, `column`, `offset` (in bytes) and `excerpt`.
        """
    @property
    def variables(self) -> list[str]:
        """The variables that the expression uses, in the order of their declaration."""
    def evaluate(self, variables: dict[str, Any]) -> Any:
        """Return the value of the expression; `eventfold.cel` says what stands for what.

        Raises:
            CoreError: EVALUATION_FAILED, NUMBER_RANGE, EVALUATION_LIMIT, with the fact `offset` (in
                bytes) where it is known; INVALID_VALUE for what has no form on the other side.
        """

def decode_json(text: bytes, numbers: Literal["decimal", "float"] = "decimal") -> Any:
    """Decode a JSON text that the strict check would pass, up to 256 levels deep.

    Args:
        text: UTF-8.
        numbers: `decimal`: a number with fraction or exponent, and an integer of more than 4,000
            digits, becomes a `Decimal` with all of its digits, other integers `int`. `float`:
            such numbers, and integers beyond 64 bits, become `float`.

    Raises:
        CoreError: INVALID_JSON with the fact `offset`: no JSON, a key that stands twice, half of a
            surrogate pair, nested too deep, a number that the class cannot hold. INVALID_REQUEST
            for other `numbers`.
    """

def limits() -> dict[str, int]:
    """All limits of the core, by lower-case name with the unit last."""

def version() -> str:
    """The version of the core, which is the version of the distribution."""
