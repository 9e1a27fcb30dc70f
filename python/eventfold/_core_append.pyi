"""The part of the Rust core that appends, for the server; not a module of its own:
`eventfold._core` has all of it, on Unix.
"""

from collections.abc import Sequence
from typing import Any, Self, final

from eventfold._core import CoreError, Keyring, References
from eventfold._core_schema import Rules, Violation
from eventfold._core_transform import CopiedAppend

@final
class Append:
    """An append that passed every check that needs no database, ready to be stored."""

    @staticmethod
    def of_request(
        message: bytes,
        writer: str,
        trace_context: str | None,
        rules: Rules,
        /,
        *,
        marks: int = 0,
        carried: Sequence[tuple[Sequence[str], bytes]] = (),
    ) -> Append:
        """Check a serialised `AppendRequest`; ids are made for events without.

        Args:
            message: The request.
            writer: Name of the caller.
            trace_context: W3C traceparent that came with the call.
            rules: Those in force. What they refuse is not raised: see `refused`.
            marks: Flags that all its events get; with some, types may be the server's own.
            carried: What of the events is personal whatever the rules say: pointers, and the id of
                the subject.

        Raises:
            CoreError: the first refusal. In this order: what is no message; a version below 0;
                times; the name of the stream; no expectation; the number of events, sizes; then
                event by event type, id, tags, time, data, metadata, references; at last ids that
                stand twice.
        """
    @staticmethod
    def of_system(
        message: bytes, writer: str, trace_context: str | None, rules: Rules, /
    ) -> Append:
        """Check a serialised `AppendRequest` that the server makes by itself, as `of_request`:
        streams and types may be its own, with names that start with `$`.

        Raises:
            CoreError: as `of_request`.
        """
    @staticmethod
    def of_many(message: bytes, writer: str, trace_context: str | None, rules: Rules, /) -> Append:
        """Check a serialised `AppendManyRequest`, as `of_request` part by part.

        Raises:
            CoreError: as `of_request`, with `append_index` or `check_index`.
        """
    @staticmethod
    def of_check(message: bytes, writer: str, trace_context: str | None, rules: Rules, /) -> Append:
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
    def follows(self) -> bool:
        """Whether it goes to the stream that takes events where its own is closed."""
    @property
    def demanded(self) -> int:
        """What the database is to hold that stream to: a version, -1 that it exists, -2 nothing. If
        the rules refuse the events, a version that no stream has: so they can only turn out to be
        stored already.
        """
    @property
    def ids(self) -> list[str]:
        """Ids of the events for that stream."""
    @property
    def sent_digests(self) -> list[bytes | None]:
        """Digest of type, data, metadata and tags of each event for that stream: SHA-256, of events
        with personal values under the keys of their subjects; None: these are gone, or it is not
        sealed.
        """
    def carry(self, copied: CopiedAppend) -> None:
        """Adds the values that were personal in the sources of its events, in the same order. They
        stay with their subjects, whatever the rules say.

        Raises:
            CoreError: PERSONAL_TWO_SUBJECTS where the rules make one value of those of several.
        """
    @property
    def is_personal(self) -> bool:
        """Whether it has personal values, which `seal` must seal before it is stored."""
    @property
    def subject_streams(self) -> list[str]:
        """Its streams whose roots are subjects."""
    @property
    def subject_ids(self) -> list[bytes]:
        """Ids of those subjects of its personal values that are told so."""
    def subjects(self, roots: dict[str, str], /) -> list[str]:
        """Names of the subjects of its personal values. `roots`: those of streams that are not
        their own.
        """
    def seal(self, keyring: Keyring, roots: dict[str, str], /) -> list[str]:
        """Seal its personal values, instead of what was sealed before; the names, or ids, of
        subjects whose keys are not in memory: then nothing is sealed. What is of an erased subject
        makes it `refused`.

        Raises:
            CoreError: KEYS_UNAVAILABLE.
        """
    @property
    def columns(self) -> tuple[Any, ...]:
        """Arguments of the append functions of the database, for an append to one stream: what
        `append_v2` takes, in its order; times as texts.
        """
    @property
    def sealed_paths(self) -> list[str | None] | None:
        """Of each event the pointers to sealed values, as the text of an array of PostgreSQL."""
    @property
    def root(self) -> str | None:
        """What the root of the stream must be; None: anything."""
    @property
    def catalogue_version(self) -> int:
        """Of the rules that it was checked under."""
    @property
    def judged(self) -> bool:
        """Whether it was held to the rules. False: that takes more than `append_inline_steps_max`,
        for all appends of one `take` together; then `violations` and `refused` are empty until
        `check_again`, which belongs in a thread.
        """
    @property
    def violations(self) -> list[Violation]:
        """Where events do not fit the schemas in force, under the modes `warn` and `enforce`; at
        most `violations_max`.
        """
    @property
    def refused(self) -> list[RefusedPart]:
        """What the rules refuse; empty: they let it pass."""
    @property
    def references(self) -> References | None:
        """What must be there by the rules, without what the append itself brings before; None:
        nothing.
        """
    def lack(self, events: list[str], streams: list[str], /) -> None:
        """Note that these of `references` are not there, and no others: so says `refused` then."""
    def check_again(self, rules: Rules, /) -> None:
        """Check it under rules, without the GIL; what they say is of these then. An append that
        takes more than `append_steps_max` does not fit.
        """

@final
class RefusedPart:
    """A part of an append that the rules refuse."""

    @property
    def append_index(self) -> int:
        """Which part, from 0."""
    @property
    def stream(self) -> str:
        """Name of the stream."""
    @property
    def error(self) -> CoreError:
        """Why."""
    @property
    def violations(self) -> list[Violation]:
        """With SCHEMA_VIOLATION: all violations of the part, under the mode `enforce`; all parts
        together list at most `violations_max`.
        """

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
        self, appends_room: int, bytes_room: int, any_size: bool, rules: Rules, /
    ) -> list[Append | RefusedAppend]:
        """Check the next appends, as many as there is room for.

        Args:
            appends_room: Most appends.
            bytes_room: Most bytes of them.
            any_size: Take one in any case.
            rules: Those in force.
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
    @property
    def refused_part(self) -> RefusedPart | None:
        """What the rules have against the part, if that is why no version would have done."""

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
