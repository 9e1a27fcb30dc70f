"""Which checkpoint goes with a connection, told by its class; no driver is imported."""

from typing import Any

from eventfold.checkpoint._postgres import (
    AsyncpgCheckpoint,
    AsyncPsycopgCheckpoint,
    PsycopgCheckpoint,
)
from eventfold.checkpoint._sqlite import SqliteCheckpoint

# Of every class of a driver's connections: the package it comes from, and its name.
_SYNC: dict[tuple[str, str], Any] = {
    ("sqlite3", "Connection"): SqliteCheckpoint,
    ("psycopg", "Connection"): PsycopgCheckpoint,
}
_ASYNC: dict[tuple[str, str], Any] = {
    ("psycopg", "AsyncConnection"): AsyncPsycopgCheckpoint,
    ("asyncpg", "Connection"): AsyncpgCheckpoint,
    # What a pool hands out.
    ("asyncpg", "PoolConnectionProxy"): AsyncpgCheckpoint,
}


class Kinds:
    """Of connections that block."""

    @staticmethod
    def of(connection: object) -> Any:
        """The class of checkpoints on this connection."""
        return _of(connection, _SYNC, _ASYNC, "AsyncProjection")


class AsyncKinds:
    """Of connections of an event loop."""

    @staticmethod
    def of(connection: object) -> Any:
        """The class of checkpoints on this connection."""
        return _of(connection, _ASYNC, _SYNC, "Projection")


def _of(
    connection: object,
    kinds: dict[tuple[str, str], Any],
    others: dict[tuple[str, str], Any],
    other: str,
) -> Any:
    names = [(cls.__module__.split(".")[0], cls.__name__) for cls in type(connection).__mro__]
    for name in names:
        if name in kinds:
            return kinds[name]
    kind = f"{type(connection).__module__}.{type(connection).__qualname__}"
    if any(name in others for name in names):
        raise TypeError(f"a {kind} goes with {other}")
    raise TypeError(f"a connection of sqlite3, psycopg or asyncpg is needed, not a {kind}")
