"""The part of the Rust core that appends, for the server; not a module of its own:
`eventfold._core` has all of it, on Unix.
"""

from typing import Any, Self, final

from eventfold._core import CoreError

@final
class Append:
    """An append that passed every check that needs no database, ready to be stored."""

    @staticmethod
    def of_request(
        message: bytes, writer: str, trace_context: str | None, catalogue_version: int, /
    ) -> Append:
        """Check a serialised `AppendRequest`; ids are made for events without.

        Args:
            message: The request.
            writer: Name of the caller.
            trace_context: W3C traceparent that came with the call.
            catalogue_version: Of the rules in force.

        Raises:
            CoreError: the first refusal. In this order: what is no message; a version below 0;
                times; the name of the stream; no expectation; the number of events, sizes; then
                event by event type, id, tags, time, data, metadata; at last ids that stand twice.
        """
    @staticmethod
    def of_many(
        message: bytes, writer: str, trace_context: str | None, catalogue_version: int, /
    ) -> Append:
        """Check a serialised `AppendManyRequest`, as `of_request` part by part.

        Raises:
            CoreError: as `of_request`, with `append_index` or `check_index`.
        """
    @staticmethod
    def of_check(
        message: bytes, writer: str, trace_context: str | None, catalogue_version: int, /
    ) -> Append:
        """Check the append of a serialised `CheckAppendRequest`.

        Raises:
            CoreError: as `of_request`.
        """
    @property
    def number(self) -> int:
        """Number of the append in its session."""
    @property
    def message_bytes(self) -> int:
        """Bytes of the message that it came in; in a session those of the append alone."""
    @property
    def timeout_s(self) -> float | None:
        """How long it may wait, in seconds; None: it does not say."""
    @property
    def size_bytes(self) -> int:
        """Data, metadata, types, tags and names together."""
    @property
    def events(self) -> int:
        """Number of events."""
    @property
    def plain(self) -> bool:
        """Whether it goes to one stream and looks at no other."""
    @property
    def stream(self) -> str:
        """The stream, or the first of several."""
    @property
    def expected(self) -> int:
        """What is expected of that stream: a version, -1 that it exists, -2 nothing."""
    @property
    def ids(self) -> list[str]:
        """Ids of the events for that stream."""
    @property
    def sent_digests(self) -> list[bytes]:
        """SHA-256 of type, data, metadata and tags of each event for that stream."""
    @property
    def catalogue_version(self) -> int:
        """Of the rules that it was checked under."""
    def check_again(self, catalogue_version: int, /) -> None:
        """Check it under the newest rules."""

@final
class RefusedAppend:
    """An append of a session that did not pass."""

    @property
    def number(self) -> int:
        """Number of the append in its session."""
    @property
    def message_bytes(self) -> int:
        """Bytes of the append."""
    @property
    def error(self) -> CoreError:
        """Why."""

@final
class SessionMessage:
    """A serialised `AppendSessionRequest`, whose appends are taken from it."""

    def __new__(cls, message: bytes, writer: str, trace_context: str | None, /) -> Self:
        """Make sure that all of the message can be read.

        Raises:
            CoreError: INVALID_REQUEST.
        """
    @property
    def done(self) -> bool:
        """Whether all appends were taken."""
    def take(
        self, appends_room: int, bytes_room: int, any_size: bool, catalogue_version: int, /
    ) -> list[Append | RefusedAppend]:
        """Check the next appends, as many as there is room for.

        Args:
            appends_room: Most appends.
            bytes_room: Most bytes of them.
            any_size: Take one in any case.
            catalogue_version: Of the rules in force.
        """

@final
class AppendBatch:
    """Appends that go into one transaction."""

    def __new__(cls) -> Self: ...
    def __len__(self) -> int: ...
    def add(self, append: Append, /) -> bool:
        """Add an append, unless it is plain and one of its ids stands in the batch. Plain ones come
        first.
        """

@final
class Outcome:
    """What became of an append."""

    @property
    def stored(self) -> bool:
        """Whether it is in the log, now or from before."""
    @property
    def stale(self) -> int | None:
        """The version of the rules, if it must be checked again under these."""
    @property
    def refused(self) -> list[Decision]:
        """What did not pass."""
    def response(self) -> bytes:
        """A serialised `AppendResponse` for the first stream, where it is stored."""
    def many_response(self) -> bytes:
        """A serialised `AppendManyResponse`, where it is stored."""

@final
class Decision:
    """What the database decided against a part of an append, or a check."""

    def __new__(
        cls,
        outcome: str,
        append: Append,
        *,
        actual_version: int,
        successor: str | None,
        differs_at: int | None,
        problem: str | None,
    ) -> Self:
        """Decide on the first part of an append."""
    @property
    def outcome(self) -> str:
        """As `check_append_v1` and `append_v1` name it."""
    @property
    def append_index(self) -> int | None:
        """Which part, from 0; None: it is on a check."""
    @property
    def check_index(self) -> int | None:
        """Which check, from 0."""
    @property
    def stream(self) -> str:
        """Name of the stream."""
    @property
    def expected(self) -> int:
        """What is expected of it: a version, -1 that it exists, -2 nothing."""
    @property
    def actual_version(self) -> int:
        """The version at which it is."""
    @property
    def successor(self) -> str | None:
        """The stream that goes on from a closed one."""
    @property
    def differs_at(self) -> int | None:
        """Index from 0 of the first event that is not the one stored."""
    @property
    def event_id(self) -> str | None:
        """Its id."""
    @property
    def problem(self) -> str | None:
        """Why it differs."""

@final
class Writer:
    """A connection to one database that appends go through, and the thread that has it. On Unix.

    Calls begin with a future of the caller's event loop. `fileno` is readable when some of them
    are answered; `take` tells which.
    """

    def __new__(cls, settings: dict[str, Any], alone: str, batch: str) -> Self:
        """Start the thread; nothing is opened yet.

        Args:
            settings: As those of `Reader`.
            alone: Statement that stores one append to one stream.
            batch: Statement that stores a batch.

        Raises:
            ValueError: TLS cannot be set up as asked for.
        """
    def fileno(self) -> int: ...
    def take(self) -> list[tuple[Any, bool, Any]]:
        """As that of `Reader`."""
    @property
    def is_ready(self) -> bool:
        """Whether a batch could be sent now."""
    def ready(self, future: Any, /) -> None:
        """Connect if need be; answer None."""
    def store(self, future: Any, batch: AppendBatch, /) -> None:
        """Store a batch, which is empty then, in one transaction.

        Answer the outcome of each append in order, and the position of the newest event that was
        stored, None if there is none. It is carried through in any case. A failure is a ReaderError
        with a `kind`, or a CoreError if the thread ended.
        """
    def close(self) -> None:
        """End the thread; calls under way are answered with BUG."""

def encode_session_answers(
    ready: list[tuple[int, Outcome | bytes]], bytes_max: int
) -> tuple[bytes, int]:
    """Encode an `AppendSessionResponse`.

    Args:
        ready: By number: what is stored, or a serialised `SessionAnswer`.
        bytes_max: It ends with the answer that reaches this.

    Returns:
        The message, and how many answers it holds.
    """
