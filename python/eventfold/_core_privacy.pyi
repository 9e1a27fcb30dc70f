"""The part of the Rust core that knows what is personal; not a module of its own: `eventfold._core`
has all of it.
"""

from typing import Final, Self, final

from eventfold._core import Batch, Schema

@final
class Personal:
    """What is personal in the events of a type or category; immutable, and free to be used from
    many threads.
    """

    def __new__(cls, source: str) -> Self:
        """Read a privacy document, YAML 1.2 or JSON.

        Args:
            source: The document, at most 64 KiB.

        Raises:
            CoreError: INVALID_PRIVACY_RULES, PRIVACY_RULES_TOO_LARGE.
        """
    @staticmethod
    def stored(
        source: str, /, *, event_type: str | None = None, category: str | None = None
    ) -> Personal:
        """Rules that were put in force, which this never refuses: those that it does not understand
        refuse every event.

        Args:
            source: Their normal form.
            event_type: The event type that they are put for; or
            category: The category.
        """
    @staticmethod
    def of_schema(event_type: str, schema: Schema, /) -> Personal | None:
        """What the annotations of a schema declare; None: it has none.

        Raises:
            CoreError: INVALID_SCHEMA: one of them cannot be taken. INVALID_PRIVACY_RULES: a name
                has characters that no document can hold.
        """
    @property
    def event_type(self) -> str | None:
        """The event type; None: it is a category."""
    @property
    def category(self) -> str | None:
        """The category; None: it is an event type."""
    @property
    def digest(self) -> str:
        """SHA-256 of what is personal in canonical JSON, lower-case hexadecimal."""
    @property
    def normal_form(self) -> str:
        """The document in canonical JSON."""
    @property
    def fields(self) -> list[tuple[str, str | None, str | None, str | None]]:
        """The fields in byte order of their pointers: pointer; pointer to the subject, None: the
        root of the stream; category of the subject, None: the value is its whole name; JSON text
        that stands for an erased value, None: it is absent.
        """
    @property
    def names(self) -> list[str]:
        """Names of the fields at the top of the data that hold personal values; the same may stand
        there twice. `*` stands for any field.
        """
    def try_batch(self, batch: Batch, before: Personal | None, first_max: int, /) -> PersonalTrial:
        """Look at a page of stored events of the type or category.

        Args:
            batch: The page, with names of streams.
            before: The rules in force: plaintext of their fields is known.
            first_max: Most events with other plaintext to report.
        """

@final
class PersonalTrial:
    """What events said of privacy rules.

    Attributes:
        events: Events that were tried; deleted ones are left out.
        plaintext: Those with a personal value in plaintext.
        undeclared: Those of these with one of a field that was not declared before.
        first: The first of the latter in their order: stream, version, position, event id.
        tagged: Events with tags.
        with_metadata: Events with metadata beyond the reserved names.
        personal_names: Events with plaintext of a subject whose name looks personal.
        subjectless: Events with plaintext of which it cannot be told whose it is.
    """

    events: Final[int]
    plaintext: Final[int]
    undeclared: Final[int]
    first: Final[list[tuple[str, int, int, str]]]
    tagged: Final[int]
    with_metadata: Final[int]
    personal_names: Final[int]
    subjectless: Final[int]
