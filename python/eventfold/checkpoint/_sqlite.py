"""Checkpoints in SQLite, with the module `sqlite3`."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Self

from eventfold._place import Place
from eventfold.checkpoint._base import Checkpoint, Placed, refuse_transaction


class SqliteCheckpoint(Checkpoint):
    """A checkpoint in SQLite, on a `sqlite3.Connection`. Takes the name over when entered.

    Args:
        connection: the connection on which the consumer writes; no transaction is open on it, and
            it was not opened with `autocommit=False`, which keeps one open all the time.
        name: name of the consumer; one row of the table.
        table: name of the table. Default: `eventfold_checkpoints`.
        create: whether to make the table if it is missing. Default: yes.
    """

    _dialect = "sqlite"
    _marks = ("?",) * 6
    _connection: sqlite3.Connection

    def __enter__(self) -> Self:
        with self._transaction():
            self._make_tables()
            [row] = self._rows(self._claim(self._marks), self.name, b"")
            self._claimed(row)
        return self

    def __exit__(self, *_: object) -> None:
        # The name stays with its fence: whoever comes next takes it over.
        return

    @contextmanager
    def advance(self, to: Placed | Place) -> Iterator[None]:
        """A transaction of the consumer's writes, and of its new place, which is that of the
        subscription when the block ends. An exception in the block undoes both.

        Args:
            to: the subscription, or a place.

        Raises:
            CheckpointTaken: another consumer has the name now; nothing is stored.
            RuntimeError: the place lies before that of the checkpoint, a transaction is open, or
                the block ended its own: if it committed, what came before that is stored.
        """
        with self._moving(to, back=False):
            yield

    @contextmanager
    def rewind(self, to: Place) -> Iterator[None]:
        """The same back to an earlier place, with the writes that undo what came behind it: after
        `StoreIncarnationChanged`, `Place(error.common_position)`; to begin anew, `Place()`.
        """
        with self._moving(to, back=True):
            yield

    @contextmanager
    def _moving(self, to: Placed | Place, *, back: bool) -> Iterator[None]:
        with self._transaction():
            self._rows("SAVEPOINT eventfold")
            yield
            self._check_still_open()
            place = self._target(to, back=back)
            self._check_fence(self._rows(self._move(self._marks), *self._values(place)))
        self._place = place

    def _make_tables(self) -> None:
        for statement in self._tables().values():
            self._rows(statement)

    def _check_still_open(self) -> None:
        """Refuses to go on if the block ended the transaction, as `executescript` does."""
        try:
            self._rows("RELEASE eventfold")
        except sqlite3.OperationalError:
            raise RuntimeError(
                "the transaction was ended in the block: leave out commit, rollback and "
                "executescript, which commits before it begins"
            ) from None

    def _rows(self, statement: str, *values: object) -> list[Any]:
        """What a statement of the transaction returns, as tuples whatever the connection says."""
        with closing(self._connection.cursor()) as cursor:
            cursor.row_factory = None
            return cursor.execute(statement, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        connection = self._connection
        refuse_transaction(connection.in_transaction)
        self._rows("BEGIN IMMEDIATE")
        try:
            yield
            connection.commit()
        except BaseException:
            connection.rollback()
            raise
