"""The reader of events on the event loop: calls that Rust answers by a pipe.

Pages of events and hydrations go this way, since asyncpg would make Python objects of every row;
single rows and writes stay with asyncpg. docs/architecture.md has what was measured.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
from asyncpg import exceptions

from eventfold import _core
from eventfold_server.errors import Refusal
from eventfold_server.limits import FOLD_THREADS
from eventfold_server.storage import faults
from eventfold_server.storage.address import Address

# How long a connection waits for a client that has a page and does not ask for the next; after
# that its statement is given up, and begun anew where it was when the client comes back.
GRACE_S = 0.05
CLOSE_S_MAX = 5.0


class EventReader:
    """Connections that only read events, on a thread of their own."""

    def __init__(
        self,
        address: Address,
        *,
        settings: dict[str, str],
        told: dict[str, str],
        pooled: bool,
        connections: int,
        connect_timeout_s: float,
        answer_timeout_s: float,
        drain_timeout_s: float,
        idle_timeout_s: float,
    ) -> None:
        """Connects when the first read comes; answers go to the loop that is running.

        Sessions begin with the settings; behind a pooler (`pooled`) each transaction is `told` what
        the pooler does not keep.
        """
        startup = {**address.startup, **settings}
        self._reader = _core.Reader(
            {
                "attempts": address.attempts,
                "user": address.user,
                "password": address.password,
                "database": address.database,
                "startup": list(startup.items()),
                "session": address.session,
                "verify": address.verify,
                "authorities": address.authorities,
                "revoked": address.revoked,
                "identity": address.identity,
                "pooled": pooled,
                "told": list(told.items()),
                "connections_max": connections,
                "connect_timeout_s": connect_timeout_s,
                "answer_timeout_s": answer_timeout_s,
                "drain_timeout_s": drain_timeout_s,
                "idle_timeout_s": idle_timeout_s,
                "grace_s": GRACE_S,
                "fold_threads": FOLD_THREADS,
            }
        )
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self._closed = False
        self._loop.add_reader(self._reader.fileno(), self._tell)

    async def nothing(self) -> None:
        """The empty call, for measurements."""
        await self._call(self._reader.nothing)

    async def pages(
        self,
        sql: str,
        *arguments: object,
        order: str,
        page_bytes: int,
        backwards: bool = False,
        window: int | None = None,
        encoded: bool = True,
        stream: str | None = None,
    ) -> AsyncGenerator[_core.Page]:
        """The pages of a range, the last of which is `done`; see `_core.Reader.pages`.

        While the caller works on one, the next is fetched.
        """
        pages = self._reader.pages(
            sql,
            arguments,
            order,
            page_bytes,
            backwards=backwards,
            window=window,
            encoded=encoded,
            stream=stream,
        )
        while True:
            page = await self._call(lambda future: self._reader.next(future, pages))
            done = page.done
            # Not held while the caller has it, who may wait for a slow client.
            yielded, page = [page], None
            yield yielded.pop()
            if done:
                return

    async def hydrate(self, stream: str, fold: _core.Fold, **more: Any) -> _core.Hydrated:
        """What a fold makes of a stream; see `_core.Reader.hydrate`."""
        hydrated: _core.Hydrated = await self._call(
            lambda future: self._reader.hydrate(future, stream, fold, **more)
        )
        return hydrated

    async def close(self) -> None:
        """Ends the thread; reads under way are refused."""
        if self._closed:
            return
        self._closed = True
        await self._loop.run_in_executor(None, self._reader.close)
        self._tell()
        self._loop.remove_reader(self._reader.fileno())

    async def _call(self, begin: Callable[[asyncio.Future[Any]], _core.ReadJob]) -> Any:
        if self._closed:
            raise Refusal("SHUTTING_DOWN", "the server has no connection to PostgreSQL open")
        assert self._process == os.getpid(), "a reader does not survive a fork"
        future = self._loop.create_future()
        job = begin(future)
        try:
            with _faults():
                return await future
        except asyncio.CancelledError:
            job.cancel()
            raise

    def _tell(self) -> None:
        for future, is_result, value in self._reader.take():
            # A caller who has left is told nothing.
            if future.done():
                continue
            if is_result:
                future.set_result(value)
            else:
                future.set_exception(value)


@contextmanager
def _faults() -> Iterator[None]:
    """Turns the faults of the reader into those of asyncpg, and these into refusals."""
    with faults.reading():
        try:
            yield
        except _core.ReaderError as error:
            if error.sqlstate is None:
                raise exceptions.ConnectionDoesNotExistError(error.message) from error
            raise asyncpg.PostgresError.new({"C": error.sqlstate, "M": error.message}) from error
        except _core.CoreError as error:
            raise Refusal.of_core(error) from None
