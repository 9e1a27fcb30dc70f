"""Turns what PostgreSQL and its driver raise into refusals."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from asyncpg import exceptions

from eventfold_server.errors import Refusal

# The connection is gone, or never came about. The first three are PostgreSQL saying so itself.
LOST = (
    exceptions.AdminShutdownError,
    exceptions.CrashShutdownError,
    exceptions.CannotConnectNowError,
    exceptions.PostgresConnectionError,
    exceptions.InternalClientError,
    exceptions.InterfaceError,
    # TimeoutError is one too.
    OSError,
)
# PostgreSQL gave up on one statement, for reasons that pass. A statement that fails is rolled back:
# its commit comes after the last moment at which it can fail.
_MOMENTARY = (
    exceptions.TooManyConnectionsError,
    exceptions.OutOfMemoryError,
    exceptions.ConfigurationLimitExceededError,
    # By statement_timeout; the time of a commit does not count.
    exceptions.QueryCanceledError,
    exceptions.TransactionRollbackError,
    # The process stood still for longer than a transaction may wait for its next statement.
    exceptions.IdleInTransactionSessionTimeoutError,
    exceptions.LockNotAvailableError,
    # It became a standby.
    exceptions.ReadOnlySQLTransactionError,
)


def unavailable() -> Refusal:
    """The refusal for a database that cannot be reached, or not now."""
    return Refusal("STORAGE_UNAVAILABLE", "PostgreSQL cannot be reached; nothing was stored")


def outcome_unknown(stream: str | None) -> Refusal:
    """The refusal for a write of which nobody can tell whether it is stored for good."""
    return Refusal(
        "OUTCOME_UNKNOWN",
        "the call ended while PostgreSQL wrote; repeat it with the same ids",
        stream=stream,
    )


def _is_mistake_of_ours(error: BaseException) -> bool:
    """Whether the driver refused an argument: nothing is wrong with the connection then."""
    return isinstance(error, exceptions.InterfaceError) and isinstance(error, ValueError)


@contextmanager
def reading() -> Iterator[None]:
    """Around statements that change nothing, and around getting a connection."""
    try:
        yield
    except asyncpg.DiskFullError as error:
        raise _full() from error
    except (*LOST, *_MOMENTARY) as error:
        if _is_mistake_of_ours(error):
            raise
        raise unavailable() from error


@contextmanager
def writing(stream: str | None = None) -> Iterator[None]:
    """Around a statement that may be committed though its answer never came."""
    try:
        yield
    except asyncpg.DiskFullError as error:
        raise _full() from error
    except _MOMENTARY as error:
        raise unavailable() from error
    except LOST as error:
        if _is_mistake_of_ours(error):
            raise
        raise outcome_unknown(stream) from error


def _full() -> Refusal:
    return Refusal("STORAGE_FULL", "PostgreSQL is out of disk space; nothing was stored")


def is_unreplicated_commit(message: object) -> bool:
    """Whether a message of PostgreSQL says that a commit did not wait for its standby: it is on
    this disk, and may be lost with this machine.

    Told by the place in PostgreSQL's source, since the text comes in the server's language.
    """
    return (
        isinstance(message, exceptions.PostgresLogMessage)
        and getattr(message, "server_source_function", None) == "SyncRepWaitForLSN"
    )
