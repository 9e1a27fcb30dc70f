"""What all checkpoints share: the table, the statements, and the fence. No I/O."""

import re
from collections.abc import Sequence
from typing import Any, Literal, Protocol

from eventfold._errors import EventfoldError
from eventfold._place import Place

Dialect = Literal["postgresql", "sqlite"]

TABLE = "eventfold_checkpoints"

_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]*\.)?[A-Za-z_][A-Za-z0-9_]*")

_DDL = """\
CREATE TABLE IF NOT EXISTS {table} (
  name text PRIMARY KEY,
  position bigint NOT NULL,
  resume_token {bytes} NOT NULL,
  token_position bigint NOT NULL,
  event_id text,
  fence bigint NOT NULL,
  moved_at {time} NOT NULL DEFAULT CURRENT_TIMESTAMP
)"""

_CLAIM = """\
INSERT INTO {table} AS mine (name, position, resume_token, token_position, fence)
VALUES ({0}, 0, {1}, 0, 1)
ON CONFLICT (name) DO UPDATE SET fence = mine.fence + 1
RETURNING position, resume_token, token_position, event_id, fence"""

_MOVE = """\
UPDATE {table}
   SET position = {0}, resume_token = {1}, token_position = {2}, event_id = {3},
       moved_at = CURRENT_TIMESTAMP
 WHERE name = {4} AND fence = {5}
RETURNING position"""


class CheckpointTaken(EventfoldError):
    """Another consumer has taken the checkpoint over; nothing of the transaction is stored.

    There is to be one consumer of a name. End this one: the other goes on where it was.
    """

    reason = "CHECKPOINT_TAKEN"
    code = "ABORTED"

    @property
    def name(self) -> str | None:
        """Name of the checkpoint."""
        return self._text("name")


class Placed(Protocol):
    """What knows a place: a subscription."""

    @property
    def place(self) -> Place:
        """How far it is."""


def ddl(dialect: Dialect, table: str = TABLE) -> str:
    """The statement that makes the table of checkpoints, for whoever makes tables by hand.

    Args:
        dialect: `postgresql` or `sqlite`.
        table: name of the table, maybe with its schema.
    """
    if _NAME.fullmatch(table) is None:
        raise ValueError(f"{table!r} is not the plain name of a table")
    types = {"postgresql": ("bytea", "timestamptz"), "sqlite": ("blob", "text")}
    if dialect not in types:
        raise ValueError(f"the dialect is 'postgresql' or 'sqlite', not {dialect!r}")
    kind_of_bytes, kind_of_time = types[dialect]
    return _DDL.format(table=table, bytes=kind_of_bytes, time=kind_of_time)


class Checkpoint:
    """The name, the fence and the place of a consumer.

    Args:
        connection: the connection on which the consumer writes; no transaction is open on it.
        name: name of the consumer; one row of the table.
        table: name of the table, maybe with its schema.
        create: whether to make the table if it is missing.
    """

    # Of each kind: how its database speaks, and how its driver marks six parameters.
    _dialect: Dialect
    _marks: tuple[str, ...]

    def __init__(
        self, connection: Any, name: str, *, table: str = TABLE, create: bool = True
    ) -> None:
        self.name = name
        self._connection = connection
        self._table = table
        self._create = create
        self._place: Place | None = None
        self._fence = 0
        # Tables that are made with that of the checkpoints, if they are missing.
        self._more: dict[str, str] = {}
        # Refuses names that are none, before they get into a statement.
        ddl("sqlite", table)

    @property
    def place(self) -> Place:
        """How far the consumer is: where its subscription has to begin.

        Raises:
            RuntimeError: the checkpoint is not taken yet, by `with`.
        """
        if self._place is None:
            raise RuntimeError("enter the checkpoint with `with` first")
        return self._place

    def _tables(self) -> dict[str, str]:
        """The tables by name, with the statements that make them."""
        own = {self._table: ddl(self._dialect, self._table)}
        return {**own, **self._more} if self._create else {}

    def _claim(self, marks: Sequence[str]) -> str:
        return _CLAIM.format(*marks, table=self._table)

    def _claimed(self, row: Sequence[Any]) -> None:
        position, token, token_position, event_id, self._fence = row
        self._place = Place(position, bytes(token), token_position, event_id)

    def _move(self, marks: Sequence[str]) -> str:
        return _MOVE.format(*marks, table=self._table)

    def _values(self, place: Place) -> tuple[Any, ...]:
        proof = (place.resume_token, place.token_position, place.event_id)
        return (place.position, *proof, self.name, self._fence)

    def _target(self, to: Placed | Place, *, back: bool) -> Place:
        place = to if isinstance(to, Place) else to.place
        if place.position < self.place.position and not back:
            raise RuntimeError(
                f"the checkpoint {self.name} is at position {self.place.position}, and is not to "
                f"move back to {place.position}: begin the subscription with place=, or rewind"
            )
        return place

    def _check_fence(self, moved: Sequence[Any]) -> None:
        """Refuses to go on if the row of this name and fence was not there to be moved."""
        if not moved:
            raise CheckpointTaken(
                f"another consumer has taken the checkpoint {self.name}", {"name": self.name}
            )


def refuse_transaction(is_open: bool) -> None:
    """A transaction that somebody else began would end at another time than the checkpoint's."""
    if is_open:
        raise RuntimeError(
            "a transaction is open on the connection: end it first (with psycopg and sqlite3, "
            "reading begins one too, unless the connection is in autocommit)"
        )
