"""Pages of stored events, in the core."""

from collections.abc import Sequence
from typing import final

@final
class Batch:
    """One page of stored events, held as the bytes that PostgreSQL sent; immutable."""

    def __new__(cls, columns: Sequence[bytes | None]) -> Batch:
        """Decode the seventeen columns of a page; their order is that of the page queries.

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
    def has_copies(self) -> bool:
        """Whether a row is a copy."""
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
