"""Mappings: what `eventfold._core` re-exports of them."""

from collections.abc import Sequence
from typing import Final, final

from eventfold._core import Batch, CoreError

@final
class Mapping:
    """A compiled mapping; immutable, and free to be used from many threads."""

    def __new__(cls, source: str) -> Mapping:
        """Parse and compile a mapping document, YAML 1.2 or JSON.

        Raises:
            CoreError: INVALID_MAPPING, MAPPING_TOO_LARGE, EXPRESSION_TOO_LONG,
                EXPRESSION_TOO_DEEP.
        """
    @staticmethod
    def stored(event_type: str, digest: str, source: str, /) -> Mapping:
        """Compile a mapping that was put in force, by its digest then.

        One that does not compile here, such as one that a newer server took, fails with
        MAPPING_FAILED on all events of its type.
        """
    @property
    def event_type(self) -> str:
        """The event type whose events it maps."""
    @property
    def digest(self) -> str:
        """SHA-256 of the normal form, lower-case hexadecimal; the event type is not in it."""
    def apply(
        self,
        data: bytes,
        *,
        stream: str = "",
        metadata: bytes | None = None,
        tags: Sequence[str] = (),
        event_id: str | None = None,
        version: int = 0,
        position: int = 0,
        recorded_us: int = 0,
        occurred_us: int | None = None,
        writer: str = "",
    ) -> bytes | None:
        """Map the data of one event, which is checked first.

        Args:
            data: A JSON object.
            stream: Name of the stream.
            metadata: A JSON object; None: none.
            tags: Tags.
            event_id: UUID; None: all zeros.
            version: Version in the stream.
            position: Position in the log.
            recorded_us: Microseconds since 1970.
            occurred_us: Microseconds since 1970; None: `recorded_us`.
            writer: Who appended it.

        Returns:
            The data as they are read; None: as they are stored.

        Raises:
            CoreError: MAPPING_FAILED; EVENT_CORRUPT if data or metadata are not valid.
            ValueError: `event_id` is no UUID.
        """
    def try_batch(self, batch: Batch, first_max: int) -> MappingTrial:
        """Try all events of its type in a page; those of other types are passed by.

        Args:
            batch: A page with the names of the streams.
            first_max: Most events on which it fails to report.

        Raises:
            CoreError: BUG for rows that cannot be decoded.
        """

@final
class MappingTrial:
    """What events said of a mapping.

    Attributes:
        events: Events that were tried; deleted ones are left out.
        changed: Those that it changes.
        misfits: Those on which it fails.
        first: The first of these in their order: stream, version, position, event id, and the
            error, MAPPING_FAILED or EVENT_CORRUPT.
    """

    events: Final[int]
    changed: Final[int]
    misfits: Final[int]
    first: Final[list[tuple[str, int, int, str, CoreError]]]
