"""Projections: what `eventfold._core` re-exports of them."""

from collections.abc import Sequence
from typing import Literal, final

from eventfold._core import Batch, CoreError, Keyring, Mapping

@final
class Projection:
    """A compiled projection; immutable, and free to be used from many threads."""

    def __new__(cls, source: str, fold_source: str | None = None) -> Projection:
        """Parse and compile a projection document, YAML 1.2 or JSON.

        Args:
            source: The document.
            fold_source: Document of the registered fold that it names (`fold_name`).

        Raises:
            CoreError: INVALID_PROJECTION, PROJECTION_TOO_LARGE, INVALID_FOLD, FOLD_TOO_LARGE,
                EXPRESSION_TOO_LONG, EXPRESSION_TOO_DEEP; FOLD_NOT_FOUND if it names a fold and
                `fold_source` is None.
        """
    @staticmethod
    def fold_name(source: str) -> str | None:
        """Name the registered fold that a document reuses; None: its fold is its own.

        Raises:
            CoreError: INVALID_PROJECTION, PROJECTION_TOO_LARGE, EXPRESSION_TOO_LONG,
                EXPRESSION_TOO_DEEP.
        """
    def personal(
        self,
        types: dict[str, list[str]],
        everywhere: Sequence[str] = (),
        mappings: Sequence[Mapping] = (),
    ) -> tuple[bool, list[str], list[str]]:
        """Tell what of it can hold personal values; arguments and errors as `Fold.personal_paths`.

        Returns:
            Whether its keys can; the parts of the states of its rows; the names of its columns.
        """
    @property
    def name(self) -> str:
        """The name that the document carries."""
    @property
    def digest(self) -> str:
        """SHA-256 of the normal form of the document and of its fold, lower-case hexadecimal."""
    @property
    def categories(self) -> list[str] | None:
        """The categories whose events it folds, in byte order; None: all of the log."""
    @property
    def said_copies(self) -> bool | None:
        """Whether copies are among the events that it folds; None: the document does not say."""
    @property
    def with_copies(self) -> bool:
        """The same; without a word they are, unless it reads the whole log."""
    @property
    def types(self) -> list[str]:
        """The event types that it folds: those that its fold handles, and its source names."""
    @property
    def skip_cancelled(self) -> bool:
        """Whether its fold skips what is cancelled."""
    @property
    def resolves(self) -> bool:
        """Whether it has a `resolve`: its events may refer to events of any type."""
    @property
    def columns(self) -> list[tuple[str, str]]:
        """Name and SQL type, with its collation, of each column, in the order of the document."""
    @property
    def indexes(self) -> list[list[str]]:
        """The names of the columns of each index."""
    @property
    def parks(self) -> bool:
        """Whether a key is set aside when an event of it fails, and the others go on."""
    @property
    def key_kind(self) -> Literal["root", "stream", "expression"]:
        """What the key is: `meta.root`, `meta.stream`, or another expression."""
    def key_reads(self, event_type: str, names: Sequence[str], /) -> list[str]:
        """Those of some fields at the top of the data of an event type that its key reads;
        `*` stands for any field.
        """
    def fold_reads(self, event_type: str, names: Sequence[str], /) -> list[str]:
        """Those of some fields at the top of the data of an event type that its fold reads;
        `*` stands for any field.
        """
    def open_row(
        self,
        columns: str,
        key: str,
        generation_no: int,
        sealed: Sequence[str],
        keyring: Keyring | None,
    ) -> tuple[str, list[str], list[str], list[bytes]]:
        """Open the columns of a row, as a query answers them; on Unix.

        Args:
            columns: JSON object.
            key: The key of the row.
            generation_no: Number of the generation.
            sealed: Names of the columns whose values are sealed.
            keyring: The keys; None: what is sealed is withheld.

        Returns:
            The JSON object; names of columns that were erased, and of those withheld; ids of
            subjects whose keys must be brought first.

        Raises:
            CoreError: KEYS_UNAVAILABLE; EVENT_CORRUPT if one is not what was sealed.
        """
    def compatible_with(self, other: Projection) -> bool:
        """Tell whether it may take the place of another over the same table.

        Source, key, indexes, and names and types of the columns must be the same.
        """

@final
class ProjectionMarks:
    """What of a projection can be personal, under the rules of one version."""

    @property
    def key(self) -> bool:
        """Whether its keys can."""
    @property
    def columns(self) -> list[str]:
        """Names of those columns that can, where the document does not accept plaintext."""
    @property
    def state(self) -> list[str]:
        """Parts of the states of its rows that can, as pointers with `*`."""

@final
class ProjectedTable:
    """The table of a projection in memory, to see what a document makes of events."""

    def __new__(cls, projection: Projection) -> ProjectedTable:
        """Begin with an empty table."""
    def feed(self, batch: Batch) -> None:
        """Fold a page of events in the order of the log, unless the projection has stopped.

        Events of other categories than those of the projection are not told apart.

        Raises:
            CoreError: BUG for rows that cannot be decoded.
        """
    @property
    def rows(self) -> list[tuple[str, bytes, bool, int, int, list[str | None]]]:
        """The rows in byte order of their keys.

        Each is the key, JSON text of the state, whether `where` shows it, version and position of
        the last event that touched it, and the texts that PostgreSQL casts to the columns.
        """
    @property
    def parked(self) -> list[tuple[str, CoreError, list[int]]]:
        """The keys that are parked, why, and the positions of the events that are set aside."""
    @property
    def events(self) -> int:
        """Number of events that were folded."""
    @property
    def position(self) -> int:
        """Position up to which all events are in the table; 0: no page was fed."""
    @property
    def stopped(self) -> CoreError | None:
        """Why the event behind `position` stops the projection; None: it goes on."""
