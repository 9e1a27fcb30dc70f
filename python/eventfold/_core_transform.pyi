"""Transforms: what `eventfold._core` re-exports of them."""

from collections.abc import Sequence
from typing import Any, Final, final

from eventfold._core import Batch, CoreError, Rules

@final
class Transform:
    """A compiled transform; immutable, and free to be used from many threads."""

    def __new__(cls, source: str) -> Transform:
        """Parse and compile a transform document, YAML 1.2 or JSON.

        Raises:
            CoreError: INVALID_TRANSFORM, TRANSFORM_TOO_LARGE, EXPRESSION_TOO_LONG,
                EXPRESSION_TOO_DEEP.
        """
    @property
    def name(self) -> str:
        """The name that the document carries."""
    @property
    def digest(self) -> str:
        """SHA-256 of the normal form, lower-case hexadecimal; name and `verify` are not in it."""
    @property
    def categories(self) -> list[str] | None:
        """The categories that it reads, in byte order; None: it reads streams or the log."""
    @property
    def streams(self) -> list[str] | None:
        """The streams that it reads, in byte order; None: it reads categories or the log.

        Where both are None, it reads all streams but those of the system and of `into`.
        """
    @property
    def into(self) -> list[str]:
        """The categories of the target streams, in byte order; it reads none of them."""
    @property
    def types(self) -> list[str]:
        """The event types that the document names, in its order; also those that it drops."""
    @property
    def keeps_others(self) -> bool:
        """Whether types that it does not name are copied too."""
    @property
    def reads_root(self) -> bool:
        """Whether an expression reads `meta.root`: pages must have the column `root_name` then."""
    @property
    def verify(self) -> tuple[str, str] | None:
        """The folds whose states are compared: of the source, and of the target."""
    def apply(
        self,
        batch: Batch,
        job: str,
        rules: Rules,
        *,
        first: int = 0,
        examples_max: int = 0,
        pseudonym_key: bytes | None = None,
        seals: bool = True,
        hides: Rules | None = None,
    ) -> Transformed:
        """Copy the events of a page, which are held to the rules as appends are.

        A page is left early where an event fails, and where its copies grow large or take long:
        go on with `first=copies.next`. To see what else fails, go on behind the event that failed.

        Args:
            batch: A page with the names of the streams, and events as they are stored.
            job: UUID of the job: the namespace of the ids of copies.
            rules: The rules in force.
            first: Index of the first row to copy.
            examples_max: Most events of each type of which an example is kept.
            pseudonym_key: 32 bytes that pseudonyms are made under; without it they fail.
            seals: Whether copies are sealed before they are stored. If not, an event of which a
                copy would have personal values fails.
            hides: The rules of the store that is read, by which examples and errors leave out what
                is personal; None: `rules`.

        Raises:
            CoreError: KEYS_UNAVAILABLE for sealed values that were not opened; BUG for rows that
                cannot be decoded, mapped ones, and ones without what is needed.
            ValueError: `job` is no UUID.
        """
    @staticmethod
    def copy_id(job: str, source_id: str, ordinal: int = 0) -> str:
        """The id of a copy, a UUID.

        Args:
            job: UUID of the job.
            source_id: UUID of the source event.
            ordinal: Place of the rule in the list of the event type, from 0.

        Raises:
            ValueError: one of them is no UUID.
        """

@final
class Transformed:
    """The copies of a page, or of the part of it that was done: all of an event, or none."""

    @property
    def next(self) -> int:
        """Index of the first row that was not done; the number of rows if all were."""
    @property
    def failed(self) -> CoreError | None:
        """Why the row at `next` has no copies: TRANSFORM_FAILED or EVENT_CORRUPT.

        Facts of TRANSFORM_FAILED, in this order: transform, rule, path (if one), stream, version,
        position, event_id, cause (the reason for which an append refuses the copy), limit,
        problem.
        """
    @property
    def events(self) -> int:
        """The number of copies."""
    @property
    def size_bytes(self) -> int:
        """Data, metadata, types and tags of all copies."""
    @property
    def counts(self) -> list[TransformCount]:
        """By type of the source events, in the order in which they came."""
    @property
    def examples(self) -> list[TransformExample]:
        """Of the first events of each type, in order."""
    @property
    def appends(self) -> list[CopiedAppend]:
        """The copies as appends that fit the limits of one.

        Those of one stream follow the positions of their source events. Made anew at each look.
        """

@final
class TransformCount:
    """What became of the events of one type.

    Attributes:
        event_type: The type of the source events.
        read: Events that were looked at.
        written: Copies.
        renamed: Copies of another type.
        split: Events with more than one copy.
        dropped: Events without a copy, but for those whose payload was deleted.
        dropped_cancellations: Of these, events that cancel another one, which counts again where
            it was copied.
        deleted: Events without a copy because their payload was deleted.
    """

    event_type: Final[str]
    read: Final[int]
    written: Final[int]
    renamed: Final[int]
    split: Final[int]
    dropped: Final[int]
    dropped_cancellations: Final[int]
    deleted: Final[int]

@final
class TransformExample:
    """What became of one event.

    Attributes:
        stream: Its stream.
        version: Its version.
        position: Its position.
        event_id: Its id.
        event_type: Its type.
        data: Its data, JSON, with `null` for personal values; empty if its payload was deleted.
        copies: Its copies: stream, type, id, data with `null` for personal values, metadata, tags.
    """

    stream: Final[str]
    version: Final[int]
    position: Final[int]
    event_id: Final[str]
    event_type: Final[str]
    data: Final[bytes]
    copies: Final[list[tuple[str, str, str, bytes, bytes, list[str]]]]

@final
class CopiedAppend:
    """Copies for one stream, as one append.

    Attributes:
        stream: The target stream.
        events: The number of copies.
        size_bytes: Their data, metadata, types and tags.
        first_position: Position of the source event of the first.
        last_position: Position of the source event of the last.
        is_personal: Whether values of them are personal because they were in their sources.
    """

    stream: Final[str]
    events: Final[int]
    size_bytes: Final[int]
    first_position: Final[int]
    last_position: Final[int]

    @property
    def is_personal(self) -> bool: ...
    def source_id(self, index: int) -> str | None:
        """Id of the source event of the copy at an index, from 0; None: there is none."""
    def carries(self, index: int, pointer: str) -> bool:
        """Whether a value of the copy at an index, from 0, is personal for that reason."""
    def columns(
        self, expected: int, writer: str, trace_context: str | None = None
    ) -> tuple[Any, ...]:
        """Arguments of `append_v3`, in its order; times as texts.

        Args:
            expected: The version that is expected; -1: the stream exists, -2: any.
            writer: Who appends.
            trace_context: W3C traceparent; None: none.
        """

@final
class StreamHashes:
    """Hashes of the copies in streams, to compare what was to be written with what is there.

    Both sides go through each stream in order, from its first copy on: a hash is a chain of
    SHA-256 over id, source id, what it cancels, time, type, data, metadata and tags. Free to be
    used from many threads.
    """

    def __new__(
        cls, streams: Sequence[tuple[str, int, bytes]] = (), *, key: bytes | None = None
    ) -> StreamHashes:
        """Hashes of no stream, or those that `streams` of another gave, to be gone on with.

        Args:
            streams: Name, number of copies, hash.
            key: 32 bytes: who does not know them cannot compare a hash with a guess.
        """
    def __len__(self) -> int: ...
    @property
    def events(self) -> int:
        """The number of copies."""
    def add_copies(self, copies: Transformed) -> None:
        """Add the copies that a transform made of a page."""
    def add_batch(self, batch: Batch) -> None:
        """Add the copies of a page of stored events; events that are no copies are passed by.

        Args:
            batch: A page with the names of the streams, and events as they are stored.

        Raises:
            CoreError: BUG for rows that cannot be decoded, mapped ones, and ones without a stream.
        """
    @property
    def streams(self) -> list[tuple[str, int, bytes]]:
        """Each stream in byte order: name, number of copies, hash of 32 bytes."""
    def differences(
        self, other: StreamHashes, first_max: int
    ) -> tuple[int, list[tuple[str, int, int]]]:
        """Compare with another.

        Args:
            other: The other side.
            first_max: Most streams to name.

        Returns:
            The number of streams that differ, and the first of them in byte order: the name, and
            the number of copies here and there.
        """
