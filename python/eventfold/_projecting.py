"""What both kinds of projections share: errors, statements, and which event goes where. No I/O."""

import enum
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from eventfold._errors import EventfoldError
from eventfold._events import RecordedEvent
from eventfold._following import Frame
from eventfold._place import Place
from eventfold.checkpoint._base import TABLE
from eventfold.checkpoint._base import ddl as checkpoint_ddl

Until = Literal["caught_up"]

PROJECTIONS_TABLE = "eventfold_projections"
# The server takes no more types in a filter; a projection of more passes over events itself.
_TYPES_MAX = 100

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")

_DDL = """\
CREATE TABLE IF NOT EXISTS {table} (
  name text PRIMARY KEY,
  generation bigint NOT NULL
)"""

# The first generation is the one that is read, until another takes its place.
BEGIN = "INSERT INTO {table} (name, generation) VALUES ({0}, 1) ON CONFLICT (name) DO NOTHING"
ACTIVE = "SELECT generation FROM {table} WHERE name = {0}"
# Waits for a switch that is under way, so that who begins beside it hears of it. In SQLite there is
# one transaction at a time.
ACTIVE_SETTLED = {"postgresql": ACTIVE + " FOR SHARE", "sqlite": ACTIVE}
SWITCH = """\
UPDATE {table} SET generation = {0} WHERE name = {1} AND generation = {2} RETURNING generation"""
POSITION = "SELECT position FROM {table} WHERE name = {0}"
# Whoever has the checkpoint is stopped at its next transaction.
FENCE = "UPDATE {table} SET fence = fence + 1 WHERE name = {0} RETURNING position"


class HandlerFailed(EventfoldError):
    """A handler of a projection failed on an event; nothing of the event is stored.

    What the handler raised is the `__cause__`. The events before this one are stored, and the
    projection begins with this one when it runs again.
    """

    reason = "HANDLER_FAILED"
    code = "FAILED_PRECONDITION"

    @property
    def projection(self) -> str | None:
        """Name of the projection's generation."""
        return self._text("projection")

    @property
    def handler(self) -> str | None:
        """Name of the function."""
        return self._text("handler")

    @property
    def stream(self) -> str | None:
        """Stream of the event."""
        return self._text("stream")

    @property
    def version(self) -> int | None:
        """Version of the event."""
        return self._number("version")

    @property
    def position(self) -> int | None:
        """Position of the event."""
        return self._number("position")

    @property
    def event_id(self) -> str | None:
        """Id of the event."""
        return self._text("event_id")

    @property
    def type(self) -> str | None:
        """Type of the event."""
        return self._text("type")

    @property
    def error(self) -> str | None:
        """Name of the class of what the handler raised."""
        return self._text("error")

    @property
    def attempt(self) -> int | None:
        """How often the event was tried in this run, from 1."""
        return self._number("attempt")


class ProjectionReplaced(EventfoldError):
    """A later generation of the projection has taken its place; nothing of the transaction is
    stored.

    End this one, and do not start it again: its tables may be those of the other by now.
    """

    reason = "PROJECTION_REPLACED"
    code = "FAILED_PRECONDITION"

    @property
    def projection(self) -> str | None:
        """Name of the projection."""
        return self._text("projection")

    @property
    def generation(self) -> int | None:
        """The generation that was to run."""
        return self._number("generation")

    @property
    def active(self) -> int | None:
        """The generation that is read."""
        return self._number("active")


class OnError(enum.Enum):
    """What becomes of an event on which its handler failed."""

    STOP = "stop"
    """The run ends with the error, and the next begins with this event."""
    SKIP = "skip"
    """The projection goes on behind the event; what the policy wrote is stored with that."""
    RETRY = "retry"
    """The event is tried again; what the policy wrote is not stored."""


@dataclass(frozen=True, slots=True)
class ProjectionRun:
    """What a run came to.

    Attributes:
        position: everything at or below this position was handled.
        events: number of events that were handed to handlers, in transactions that are stored.
        is_caught_up: whether the run got to the head of the log.
        switched: whether the generation took the place of another one in this run.
    """

    position: int
    events: int
    is_caught_up: bool
    switched: bool


@dataclass(frozen=True, slots=True)
class ProjectionStatus:
    """How far a generation of a projection is.

    Attributes:
        name: name of the projection.
        generation: the generation.
        active: the generation that is read.
        position: everything at or below this position was handled; 0: nothing.
    """

    name: str
    generation: int
    active: int
    position: int

    @property
    def is_active(self) -> bool:
        """Whether this generation is the one that is read."""
        return self.active == self.generation


class Fault(Exception):
    """A handler failed on an event; never leaves a run."""

    def __init__(self, index: int, handler: str, error: Exception) -> None:
        super().__init__()
        self.index = index
        self.handler = handler
        self.error = error


class Undo(Exception):
    """A transaction is to be undone, and the run to go on; never leaves a run."""


class Handling:
    """The handlers of a projection by event type."""

    def __init__(self) -> None:
        self._by_type: dict[str, Callable[..., Any]] = {}
        self._rest: Callable[..., Any] | None = None

    def add(self, types: Sequence[str], handler: Callable[..., Any]) -> None:
        """Registers a handler; of no type: of all that have none of their own."""
        taken = [type_ for type_ in types if type_ in self._by_type]
        if taken or (not types and self._rest is not None):
            raise ValueError(f"there is a handler already: {', '.join(taken) or 'of the rest'}")
        for type_ in types:
            self._by_type[type_] = handler
        if not types:
            self._rest = handler

    def of(self, event: RecordedEvent) -> Callable[..., Any] | None:
        """The handler of an event; None: it is passed over."""
        return self._by_type.get(event.type, self._rest)

    @property
    def types(self) -> list[str]:
        """The types to ask the server for; empty: all."""
        if not self._by_type and self._rest is None:
            raise ValueError("the projection has no handler: name one with `on`")
        types = sorted(self._by_type)
        return types if self._rest is None and len(types) <= _TYPES_MAX else []


def check_name(name: str, generation: int) -> None:
    """Refuses names that could be those of another generation."""
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} is not a name of letters, digits, `_`, `.` and `-`")
    if generation < 1:
        raise ValueError(f"generations count from 1, so {generation} is none")


def name_of(name: str, generation: int) -> str:
    """The name of a generation's checkpoint: `balances`, `balances@2`."""
    return name if generation == 1 else f"{name}@{generation}"


def projections_ddl(dialect: str) -> str:
    """The statement that makes the table of projections; PostgreSQL and SQLite take the same."""
    assert dialect in ("postgresql", "sqlite")
    return _DDL.format(table=PROJECTIONS_TABLE)


def ddl(dialect: Literal["postgresql", "sqlite"]) -> list[str]:
    """The statements that make the tables of projections, for whoever makes tables by hand.

    Args:
        dialect: `postgresql` or `sqlite`.
    """
    return [checkpoint_ddl(dialect, TABLE), projections_ddl(dialect)]


def batches(frame: Frame, events_max: int) -> Iterator[list[RecordedEvent]]:
    """The events of a frame in parts of at most so many, each made in its turn."""
    events = iter(frame)
    while batch := list(islice(events, events_max)):
        yield batch


def place_behind(event: RecordedEvent, before: Place) -> Place:
    """The place behind an event of a frame; `before`: the place before the frame."""
    return Place(event.position, before.resume_token, before.token_position, event.id)


def handler_failed(name: str, event: RecordedEvent, fault: Fault, attempt: int) -> HandlerFailed:
    """What is told of a fault."""
    facts = {
        "projection": name,
        "handler": fault.handler,
        "stream": event.stream,
        "version": event.version,
        "position": event.position,
        "event_id": event.id,
        "type": event.type,
        "error": type(fault.error).__qualname__,
        "attempt": attempt,
    }
    message = (
        f"{fault.handler} of {name} failed on {event.type}, version {event.version} of "
        f"{event.stream}, position {event.position}: {facts['error']}"
    )
    return HandlerFailed(message, facts)


def replaced(name: str, generation: int, active: int) -> ProjectionReplaced:
    """The refusal for a generation that another one has replaced."""
    return ProjectionReplaced(
        f"generation {active} of {name} has taken the place of generation {generation}",
        {"projection": name, "generation": generation, "active": active},
    )
