"""Turns what PostgreSQL and its driver raise into refusals."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from eventfold_server.errors import Refusal

# The server said that it ends this connection or is not ready; on writes the outcome is unknown
# only when the statement had been sent, which is when these arrive.
_GOING_DOWN = (
    asyncpg.exceptions.AdminShutdownError,
    asyncpg.exceptions.CrashShutdownError,
    asyncpg.exceptions.CannotConnectNowError,
)
_LOST = (
    asyncpg.exceptions.PostgresConnectionError,
    asyncpg.exceptions.InternalClientError,
    asyncpg.exceptions.InterfaceError,
    OSError,
    *_GOING_DOWN,
)


def unavailable() -> Refusal:
    """The refusal for a database that cannot be reached."""
    return Refusal("STORAGE_UNAVAILABLE", "PostgreSQL cannot be reached; nothing was stored")


@contextmanager
def reading() -> Iterator[None]:
    """Around statements that change nothing, and around getting a connection."""
    try:
        yield
    except (*_LOST, asyncpg.exceptions.TooManyConnectionsError) as error:
        raise unavailable() from error


@contextmanager
def writing(stream: str | None = None) -> Iterator[None]:
    """Around a statement that may be committed though its answer never came."""
    try:
        yield
    except asyncpg.exceptions.DiskFullError as error:
        raise Refusal(
            "STORAGE_FULL", "PostgreSQL is out of disk space; nothing was stored"
        ) from error
    except _LOST as error:
        raise Refusal(
            "OUTCOME_UNKNOWN",
            "the connection to PostgreSQL broke while it wrote; repeat the call with the same ids",
            stream=stream,
        ) from error
