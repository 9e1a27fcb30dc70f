"""Calls that a thread of Rust answers: a pipe wakes the event loop, which tells their futures."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import asyncpg
from asyncpg import exceptions

from eventfold import _core
from eventfold_server.errors import Refusal
from eventfold_server.storage import faults

Begun = TypeVar("Begun")


class Source(Protocol):
    """What of `_core` answers calls."""

    def fileno(self) -> int:
        """Readable while something is done."""

    def take(self) -> list[tuple[asyncio.Future[Any], bool, Any]]:
        """What was done since the last time."""

    def close(self) -> None:
        """Ends the thread."""


class Bridge:
    """The way from a source to the event loop that is running."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self._closed = False
        self._loop.add_reader(source.fileno(), self._tell)

    def begin(
        self, begin: Callable[[asyncio.Future[Any]], Begun]
    ) -> tuple[asyncio.Future[Any], Begun]:
        """A future that will be told, and what `begin` makes of it."""
        if self._closed:
            raise Refusal("SHUTTING_DOWN", "the server has no connection to PostgreSQL open")
        assert self._process == os.getpid(), "a thread does not survive a fork"
        future = self._loop.create_future()
        return future, begin(future)

    async def close(self) -> None:
        """Ends the thread; whatever is under way is told so."""
        if self._closed:
            return
        self._closed = True
        await self._loop.run_in_executor(None, self._source.close)
        self._tell()
        self._loop.remove_reader(self._source.fileno())

    def _tell(self) -> None:
        for future, is_result, value in self._source.take():
            # A caller who has left is told nothing.
            if future.done():
                continue
            if is_result:
                future.set_result(value)
            else:
                future.set_exception(value)


def driver_error(error: _core.ReaderError) -> Exception:
    """The fault of Rust's driver as that of asyncpg which says the same."""
    if error.sqlstate is None:
        return exceptions.ConnectionDoesNotExistError(error.message)
    fields = {"C": error.sqlstate, "M": error.message}
    if error.constraint is not None:
        fields["n"] = error.constraint
    return asyncpg.PostgresError.new(fields)


@contextmanager
def thread_faults() -> Iterator[None]:
    """Turns the faults of a thread of Rust into those of asyncpg, and these into refusals."""
    with faults.reading():
        try:
            yield
        except _core.ReaderError as error:
            raise driver_error(error) from error
        except _core.CoreError as error:
            raise Refusal.of_core(error) from None
