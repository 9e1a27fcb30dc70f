"""The part of the Rust core that reads PostgreSQL, for the server; not a module of its own:
`eventfold._core` has all of it, on Unix.
"""

from typing import Any, final

from eventfold._core import Batch, Fold, FoldResult, Keyring, Mapping, Personal

class ReaderError(Exception):
    """PostgreSQL refused, or cannot be reached; a read changed nothing."""

    sqlstate: str | None
    """Why PostgreSQL refused; None: there is no connection, or it broke."""
    message: str
    constraint: str | None
    """The constraint that was broken."""
    kind: str
    """Of a write: `refused` and `unsent` stored nothing, of `unknown` nobody knows, `unreplicated`
    is stored where no standby has it."""

class StaleRules(Exception):
    """The catalogue of the store is another than that of the rules that a read was to go by: it
    must begin anew, and has read nothing.
    """

    catalogue_version: int
    """Of the store."""

@final
class ReadRules:
    """How the events of a store are read, at one version of its catalogue."""

    def __new__(cls, version: int, mappings: list[Mapping]) -> ReadRules:
        """Take the mappings in force, at most one for an event type."""
    @property
    def version(self) -> int:
        """Of the catalogue."""
    @property
    def mapping_digest(self) -> str:
        """Digest of all mappings with their types; empty: there is none."""
    @property
    def needs_envelope(self) -> bool:
        """Whether a mapping reads more of an event than id, type, version, position and data."""
    def of_fold(self, fold: Fold) -> ReadRules:
        """The same with the mappings of those types only that a fold handles."""
    def with_keys(self, keyring: Keyring, personal: list[Personal], /, *, open: bool) -> ReadRules:
        """The same for reads that show sealed values: opened, or withheld all. What is declared
        personal says what stands for values that were erased.
        """
    def unmapped(self) -> ReadRules:
        """The same without mappings: events are read as they are stored, but for sealed values."""
    def of_subject(self, subject: bytes, /) -> ReadRules:
        """The same for reads that open the values of one subject alone, told by its id of 16 bytes,
        and withhold all others.
        """
    def that_may_be_newer(self) -> ReadRules:
        """The same for reads that may find an older catalogue in the store: what they find is of
        before a change, and the store has not gone back.
        """

@final
class Reader:
    """Connections to one database that only read events, and the thread that does it. On Unix.

    Calls begin with a future of the caller's event loop. `fileno` is readable when some of them
    are answered; `take` tells which.
    """

    def __new__(cls, settings: dict[str, Any]) -> Reader:
        """Start the thread; connections are made when they are needed.

        `python/eventfold_server/storage/reader.py` shows the keys.

        Raises:
            ValueError: TLS cannot be set up as asked for.
        """
    def fileno(self) -> int: ...
    def take(self) -> list[tuple[Any, bool, Any]]:
        """Take what was answered: the future, whether there is a result, it or the exception.

        A future that was cancelled is among them. Exceptions are ReaderError, StaleRules and
        CoreError.
        """
    def nothing(self, future: Any) -> ReadJob:
        """Answer None: the cost of a call."""
    def pages(
        self,
        sql: str,
        params: tuple[object, ...],
        order: str,
        page_bytes: int,
        *,
        backwards: bool = False,
        window: int | None = None,
        encoded: bool = True,
        stream: str | None = None,
        refers: bool = False,
        rules: ReadRules | None = None,
    ) -> Pages:
        """Prepare to read a range of events, page by page, and one page ahead.

        Args:
            sql: Answers the sixteen columns of an event. If it is all that the read begins with,
                also the name of the root or NULL, and the version of the catalogue.
            params: The key, the lower and the upper bound (both inclusive), the most rows, and
                what else the statement takes.
            order: `versions`, `positions`, or `spans`: then key and bounds are lists.
            page_bytes: A page ends with the event that reaches it.
            backwards: From the upper bound down.
            window: How much of the range one statement looks at; None: all.
            encoded: Pages are field 1 of a read's message; else batches.
            stream: Name of the stream, where rows leave it out.
            refers: Encoded pages tell what their events refer to.
            rules: How events are read; None: as they are stored. The first page is refused with
                StaleRules if the statement tells of other ones.
        """
    def open(
        self,
        future: Any,
        stream: str,
        *,
        head: tuple[str, tuple[object, ...]],
        first: str,
        rest: str,
        params: tuple[object, ...],
        page_bytes: int,
        backwards: bool,
        rules: ReadRules | None,
        refers: bool = False,
    ) -> ReadJob:
        """Begin to read a stream: answer what is known of it, the first page, and the pages behind
        that, if there are any; or None for a stream that never had an event.

        Args:
            future: Gets the answer.
            stream: Name of the stream.
            head: Statement for its number, version and lifecycle, a version where the read may end,
                bytes about it, and the version of the catalogue; and its arguments.
            first: Statement for its events, as `pages` takes it, by the name of the stream.
            rest: The same by its number.
            params: Arguments of both, the first of which is put in; bounds beyond the stream are
                taken for its version.
            page_bytes: A page ends with the event that reaches it.
            backwards: From the upper bound down.
            rules: How events are read; None: as they are stored. StaleRules if there are other
                ones.
            refers: Pages tell what their events refer to.
        """
    def next(self, future: Any, pages: Pages) -> ReadJob:
        """Answer the next `Page`; not to be asked for behind the last."""
    def resolve(
        self,
        future: Any,
        references: References,
        *,
        sql: str,
        field: int,
        room: int,
        whole: bool,
        rules: ReadRules | None,
    ) -> ReadJob:
        """Answer what references to events lead to: serialised `ResolvedReference`s in their order,
        and what is still to be followed, or None.

        Args:
            future: Gets the answer.
            references: What to follow; its streams are passed over.
            sql: Answers the events of a list of ids that are there, in its order.
            field: Number of the field that each stands in.
            room: Bytes that they may take.
            whole: All of them are told, without the events that find no room; else as many as there
                is room for, one of any size.
            rules: How events are read; None: as they are stored.
        """
    def hydrate(
        self,
        future: Any,
        stream: str,
        fold: Fold,
        *,
        source: str | None,
        kept: tuple[int, bytes, int | None, bool, bytes, bytes] | None,
        may_go_on: bool,
        cancelled: list[bytes],
        up_to: int | None,
        head: tuple[str, tuple[object, ...]],
        first: tuple[str, tuple[object, ...]],
        first_rows: int,
        rest: tuple[str, tuple[object, ...]],
        rules: ReadRules | None,
        inline_steps_max: int,
        slice_steps_max: int,
    ) -> ReadJob:
        """Answer what a fold makes of a stream: `Hydrated`.

        Args:
            future: Gets the answer.
            stream: Name of the stream.
            fold: The fold.
            source: Text that the registered fold must have; None: the fold is not a registered one.
            kept: State to go on from: version, event id, when that was recorded, existence, text,
                and whose personal values went into it, if that is not sealed.
            may_go_on: Whether a newer state that the database has kept counts.
            cancelled: Ids of all events that others cancel, up to where this reads; for a fold with
                `skip_cancelled`.
            up_to: Version that the stream must have reached.
            head: Statement for stream, fold, kept state and version of the catalogue, and its
                arguments.
            first: Statement for the first events, by the name of the stream.
            first_rows: Most events that it answers.
            rest: Statement for the events behind them, by the number of the stream.
            rules: How events are read, and under what the state was kept; as in `open`.
            inline_steps_max: Evaluation steps after which folding goes on in another thread.
            slice_steps_max: Evaluation steps after which others have their turn there.
        """
    def close(self) -> None:
        """End the thread; calls under way are answered with BUG."""

@final
class ReadJob:
    """A call under way."""

    def cancel(self) -> None:
        """Give it up: PostgreSQL is told, and the fold stops."""

@final
class Pages:
    """The pages of a range; to be dropped when no more are wanted."""

@final
class Page:
    """Some of the events of a range, in order."""

    @property
    def encoded(self) -> bytes | None:
        """The events as field 1 of a read's message."""
    @property
    def batch(self) -> Batch | None:
        """The events as they came."""
    @property
    def rows(self) -> int:
        """Number of events."""
    @property
    def size_bytes(self) -> int:
        """What they take."""
    @property
    def last_version(self) -> int:
        """Version of the last event; 0 without one."""
    @property
    def last_position(self) -> int:
        """Position of the last event; 0 without one."""
    @property
    def last_id(self) -> bytes:
        """Id of the last event; zeroes without one."""
    @property
    def references(self) -> References | None:
        """What the events refer to, each once; None: nothing, or nobody asked."""
    @property
    def looked_at(self) -> int | None:
        """Up to which version or position the range was looked at; None: not at all."""
    @property
    def opened_epoch(self) -> int | None:
        """The lowest epoch of the keyring in which a value of them was opened; None: none was."""
    @property
    def done(self) -> bool:
        """Whether this is the last page; only that one may be empty."""

@final
class References:
    """Events and streams that events refer to; at least one."""

    def __len__(self) -> int: ...
    @property
    def events(self) -> list[str]:
        """Ids of events, in canonical lower case."""
    @property
    def streams(self) -> list[str]:
        """Names of streams."""

@final
class Opened:
    """What is known of a stream when a read begins."""

    @property
    def stream_no(self) -> int:
        """Number of the stream."""
    @property
    def version(self) -> int:
        """Version of the stream; no later event is read."""
    @property
    def lifecycle(self) -> int:
        """Number of the proto's Lifecycle."""
    @property
    def end_version(self) -> int:
        """Version where the read may end; 0: none is known."""
    @property
    def end_bytes(self) -> bytes:
        """What was found out about the event there."""
    @property
    def opened_from(self) -> str | None:
        """The stream whose books were closed, where this one was opened from it."""

@final
class KeptState:
    """A state that folding went on from, or could not."""

    @property
    def version(self) -> int:
        """Version of the last event that it has seen."""
    @property
    def event_id(self) -> bytes:
        """Id of that event."""
    @property
    def recorded_us(self) -> int | None:
        """When that event was recorded, in microseconds since 1970; None: not known."""
    @property
    def exists(self) -> bool:
        """Whether the aggregate exists."""
    @property
    def state(self) -> bytes:
        """JSON text."""

@final
class Hydrated:
    """The answer to a hydration."""

    @property
    def encoded(self) -> bytes:
        """The state as a `HydrateResponse`; empty if nothing was folded."""
    @property
    def stream_no(self) -> int | None:
        """Number of the stream; None: it never had an event."""
    @property
    def version(self) -> int:
        """Version of the stream."""
    @property
    def lifecycle(self) -> int:
        """Number of the proto's Lifecycle."""
    @property
    def root(self) -> str:
        """First stream of the line of periods."""
    @property
    def source(self) -> str | None:
        """Text of the newest revision of the fold that was asked for by name."""
    @property
    def result(self) -> FoldResult | None:
        """The state; None: stream or fold are not as expected, or `kept` is not the log's."""
    @property
    def kept(self) -> KeptState | None:
        """The state that folding went on from; without a result, the one that it could not."""
    @property
    def last_id(self) -> bytes | None:
        """Id of the last event."""
    @property
    def last_recorded_us(self) -> int:
        """When it was recorded, in microseconds since 1970."""
    @property
    def opened_epoch(self) -> int | None:
        """The lowest epoch of the keyring in which a value was opened for it; None: none was."""
