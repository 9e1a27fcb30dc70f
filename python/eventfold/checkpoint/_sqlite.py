"""Checkpoints in SQLite, with the module `sqlite3`."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from eventfold._place import Place
from eventfold.checkpoint._base import Checkpoint, Placed, ddl, refuse_transaction


class SqliteCheckpoint(Checkpoint):
    """A checkpoint in SQLite, on a `sqlite3.Connection`. Takes the name over when entered.

    Args:
        connection: the connection on which the consumer writes; no transaction is open on it, and
            it was not opened with `autocommit=False`, which keeps one open all the time.
        name: name of the consumer; one row of the table.
        table: name of the table. Default: `eventfold_checkpoints`.
        create: whether to make the table if it is missing. Default: yes.
    """

    _connection: sqlite3.Connection

    def __enter__(self) -> Self:
        with self._transaction() as cursor:
            if self._create:
                cursor.execute(ddl("sqlite", self._table))
            cursor.execute(self._claim("??"), (self.name, b""))
            self._claimed(cursor.fetchone())
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
            RuntimeError: the place lies before that of the checkpoint, or a transaction is open.
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
        with self._transaction() as cursor:
            yield
            place = self._target(to, back=back)
            cursor.execute(self._move("??????"), self._values(place))
            count = cursor.rowcount
            if count != 1:
                self._moved(count, place)
        self._moved(count, place)

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        connection = self._connection
        refuse_transaction(connection.in_transaction)
        cursor = connection.cursor()
        # Rows of the connection may be of any kind.
        cursor.row_factory = None
        cursor.execute("BEGIN IMMEDIATE")
        try:
            yield cursor
            connection.commit()
        except BaseException:
            connection.rollback()
            raise
        finally:
            cursor.close()
