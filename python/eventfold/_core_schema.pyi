"""The part of the Rust core that knows schemas and rules; not a module of its own:
`eventfold._core` has all of it.
"""

from collections.abc import Sequence
from typing import Final, Self, final

from eventfold._core import (
    Batch,
    CoreError,
    Fold,
    Mapping,
    Personal,
    Projection,
    ProjectionMarks,
)
from eventfold._core_transform import Transform

@final
class Schema:
    """A JSON Schema with all that it refers to."""

    def __new__(cls, source: str, resources: Sequence[tuple[str, str]], formats: bool, /) -> Self:
        """Compile a document of draft-07, 2019-09 or 2020-12; nothing is ever fetched.

        Args:
            source: The document.
            resources: `$id` and document of all that it may refer to, also through others.
            formats: Whether `format` is checked.

        Raises:
            CoreError: INVALID_SCHEMA, SCHEMA_TOO_LARGE.
        """
    @staticmethod
    def stored(source: str, resources: Sequence[tuple[str, str]], formats: bool, /) -> Schema:
        """Compile a document that was put in force. If it does not compile here, all that it is
        asked raises why.
        """
    @staticmethod
    def missing(source: str, resources: Sequence[tuple[str, str]], /) -> list[str]:
        """`$id` of all documents that it refers to, also through others, and that are not among
        `resources`, in byte order: for a document that does not compile without them.

        Raises:
            CoreError: INVALID_SCHEMA, SCHEMA_TOO_LARGE.
        """
    @property
    def id(self) -> str | None:
        """Its `$id`."""
    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of the document and of all that it refers to, and of
        whether formats are checked; lower-case hexadecimal.
        """
    @property
    def draft(self) -> int:
        """Its dialect, as `SchemaDraft` of the proto numbers it."""
    @property
    def refers_to(self) -> list[str]:
        """`$id` of all resources that it refers to, also through others, in byte order."""
    def violations(self, data: bytes, /) -> list[Violation]:
        """Where the data of an event does not fit, at most `violations_max`.

        Raises:
            CoreError: INVALID_JSON, JSON_TOO_DEEP; what a `stored` schema does not compile for.
        """
    def violations_of_any(self, text: bytes, /) -> list[Violation]:
        """As `violations`, of a JSON text whose outermost value need not be an object."""
    def compare(self, older: Schema, /, *, events: bool = True) -> list[SchemaDifference]:
        """List what differs from an older schema: at most 1,000 differences, those first that are
        narrower, then those that are undecided, wider, and annotations.

        An event that fits the older schema and not this one is never without a difference that is
        narrower or undecided.

        Args:
            older: The schema that was in force before.
            events: Both describe events, whose data are objects. False: any values.
        """
    def try_batch(self, batch: Batch, mapping: Mapping | None, first_max: int) -> SchemaTrial:
        """Try the events of a page, as they are read under a mapping.

        Args:
            batch: A page of events of its type, with the names of the streams.
            mapping: That of the type; None: they are read as they are stored.
            first_max: Most misfits to report.

        Raises:
            CoreError: BUG for rows that cannot be decoded.
        """

@final
class SchemaDifference:
    """What differs between two schemas."""

    @property
    def pointer(self) -> str:
        """JSON Pointer into events, with `*` for every element or every other property."""
    @property
    def keyword(self) -> str:
        """The keyword that differs."""
    @property
    def change(self) -> int:
        """What it means for events that the older one fits, as `SchemaChange` of the proto numbers
        it.
        """
    @property
    def message(self) -> str:
        """In words, without values of events."""

@final
class SchemaTrial:
    """What events said of a schema.

    Attributes:
        events: Events that were tried; deleted ones are left out.
        misfits: Those that do not fit.
        first: The first of these in their order: stream, version, position, event id, where they
            do not fit (the first 10 violations), and the error of one that could not be read,
            MAPPING_FAILED or EVENT_CORRUPT.
    """

    events: Final[int]
    misfits: Final[int]
    first: Final[list[tuple[str, int, int, str, list[Violation], CoreError | None]]]

@final
class Violation:
    """Where an event does not fit its schema; never with the value."""

    @property
    def event_index(self) -> int:
        """Index of the event among those for its stream, from 0; else 0."""
    @property
    def event_type(self) -> str:
        """Type of the event, at an append; else empty."""
    @property
    def pointer(self) -> str:
        """JSON Pointer to the place in the event's data; empty: the whole."""
    @property
    def rule(self) -> str:
        """The keyword that it breaks."""
    @property
    def schema_pointer(self) -> str:
        """JSON Pointer to that keyword in the schema."""
    @property
    def message(self) -> str:
        """What the schema says, without values of the event."""
    @property
    def enforced(self) -> bool:
        """Whether it refuses the append."""

@final
class Rules:
    """All rules in force at one version of the catalogue."""

    def __new__(
        cls,
        version: int,
        *,
        schemas: Sequence[tuple[str, int, Schema]] = (),
        type_modes: dict[str, int] = ...,
        category_modes: dict[str, int] = ...,
        mappings: Sequence[Mapping] = (),
        enforced_references: Sequence[str] = (),
        personal: Sequence[Personal] = (),
        past_personal: Sequence[Personal] = (),
        carried: Sequence[tuple[str, str]] = (),
        past_mappings: Sequence[Mapping] = (),
    ) -> Self:
        """Put rules together.

        Args:
            version: Of the catalogue.
            schemas: Event type, revision and schema, for each that is in force.
            type_modes: By event type: what becomes of its events that do not fit, as `SchemaMode`
                of the proto numbers it, 1 to 3. Absent: what the category says.
            category_modes: By category: the same. Absent: `enforce`.
            mappings: Those in force, at most one for an event type.
            enforced_references: Event types whose references must be there.
            personal: What is personal, at most once for each event type and each category.
            past_personal: What was personal before: nothing is sealed by it, but what was sealed
                by it stays personal.
            carried: What is personal in events of categories since it came into them sealed:
                categories and pointers with `*`.
            past_mappings: Mappings that are in force no more.

        Raises:
            ValueError: there is no such mode.
        """
    @property
    def version(self) -> int:
        """Of the catalogue."""
    def declares(self, categories: Sequence[str] | None = None) -> bool:
        """Whether something can be personal in events of some categories; None: of any."""
    def read_by(self, fold: Fold, category: str) -> tuple[str, str] | None:
        """An event type and a field of its data that can be personal on streams of a category and
        that a fold reads, whatever it makes of it; None: it reads none.
        """
    def carried_by(self, transform: Transform) -> list[tuple[str, str]]:
        """What a transform brings of personal values into its target categories that these do not
        declare: categories, and pointers with `*`.
        """
    def uncovered(self, category: str, event_type: str, pointers: Sequence[str]) -> list[str]:
        """Those of pointers with `*` that are not declared of events of a type in a category.

        Raises:
            ValueError: One of them is no pointer.
        """
    def personal_paths(self, fold: Fold, category: str) -> list[str]:
        """Parts of the states of a fold on streams of a category that can hold personal values, as
        pointers with `*`; see `Fold.personal_paths`.

        Raises:
            CoreError: PERSONAL_KEY.
        """
    def withhold(
        self,
        fold: Fold,
        category: str,
        states: Sequence[tuple[bytes, Sequence[str], Sequence[str]]],
    ) -> list[tuple[bytes, list[str], list[str]]]:
        """States of a fold on streams of a category for those who may not see personal values.

        Args:
            fold: Of which they are states.
            category: Of their streams.
            states: JSON texts with `null` in place of absent values, and the pointers to those that
                were erased and that are withheld.

        Returns:
            The same, with what can be personal withheld too.

        Raises:
            CoreError: PERSONAL_KEY.
        """
    def projection_marks(self, projection: Projection) -> ProjectionMarks:
        """What of a projection can be personal.

        Raises:
            CoreError: PERSONAL_KEY.
        """
    def undeclared_fields(self, fold: Fold) -> list[tuple[str, str]]:
        """Event type and name of the fields at the top of event data that handlers of a fold read
        and that neither the schema of the type describes nor its mapping gives; types without a
        schema are passed over.

        Args:
            fold: The fold.
        """
