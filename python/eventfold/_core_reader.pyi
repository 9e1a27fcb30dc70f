"""The part of the Rust core that reads PostgreSQL, for the server; not a module of its own:
`eventfold._core` has all of it, on Unix.
"""

from typing import Any, final

from eventfold._core import Batch, Fold, FoldResult

class ReaderError(Exception):
    """PostgreSQL refused, or cannot be reached; nothing was changed."""

    sqlstate: str | None
    """Why PostgreSQL refused; None: there is no connection, or it broke."""
    message: str

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

        A future that was cancelled is among them. Exceptions are ReaderError and CoreError.
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
    ) -> Pages:
        """Prepare to read a range of events, page by page, and one page ahead.

        Args:
            sql: Answers the sixteen columns of an event.
            params: The key, the lower and the upper bound (both inclusive), the most rows, and
                what else the statement takes.
            order: `versions`, `positions`, or `spans`: then key and bounds are lists.
            page_bytes: A page ends with the event that reaches it.
            backwards: From the upper bound down.
            window: How much of the range one statement looks at; None: all.
            encoded: Pages are field 1 of a read's message; else batches.
            stream: Name of the stream, where rows leave it out.
        """
    def next(self, future: Any, pages: Pages) -> ReadJob:
        """Answer the next `Page`; not to be asked for behind the last."""
    def hydrate(
        self,
        future: Any,
        stream: str,
        fold: Fold,
        *,
        source: str | None,
        kept: tuple[int, bytes, int | None, bool, bytes] | None,
        may_go_on: bool,
        up_to: int | None,
        head: tuple[str, tuple[object, ...]],
        first: tuple[str, tuple[object, ...]],
        first_rows: int,
        rest: tuple[str, tuple[object, ...]],
        inline_steps_max: int,
        slice_steps_max: int,
    ) -> ReadJob:
        """Answer what a fold makes of a stream: `Hydrated`.

        Args:
            future: Gets the answer.
            stream: Name of the stream.
            fold: The fold.
            source: Text that the registered fold must have; None: the fold is not a registered one.
            kept: State to go on from: version, event id, when that was recorded, existence, text.
            may_go_on: Whether a newer state that the database has kept counts.
            up_to: Version that the stream must have reached.
            head: Statement for stream, fold and kept state, and its arguments.
            first: Statement for the first events, by the name of the stream.
            first_rows: Most events that it answers.
            rest: Statement for the events behind them, by the number of the stream.
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
    def looked_at(self) -> int | None:
        """Up to which version or position the range was looked at; None: not at all."""
    @property
    def done(self) -> bool:
        """Whether this is the last page; only that one may be empty."""

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
