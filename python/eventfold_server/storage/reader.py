"""The reader of events on the event loop: calls that Rust answers by a pipe.

Pages of events and hydrations go this way, since asyncpg would make Python objects of every row;
single rows stay with asyncpg. docs/architecture.md has what was measured.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

from eventfold import _core
from eventfold_server import opened
from eventfold_server.storage.bridge import Bridge, thread_faults

# How long a connection waits for a client that has a page and does not ask for the next; after
# that its statement is given up, and begun anew where it was when the client comes back.
GRACE_S = 0.05

# What is known of a stream, the first page, and the pages behind it, if there are any.
Opened = tuple[_core.Opened, _core.Page, _core.Pages | None]


class EventReader:
    """Connections that only read events, on a thread of their own."""

    def __init__(self, settings: dict[str, Any]) -> None:
        """Connects when the first read comes; answers go to the loop that is running."""
        self._reader = _core.Reader(settings)
        self._bridge = Bridge(self._reader)

    async def nothing(self) -> None:
        """The empty call, for measurements."""
        await self._call(self._reader.nothing)

    async def pages(
        self, sql: str, *arguments: object, order: str, page_bytes: int, **more: Any
    ) -> AsyncGenerator[_core.Page]:
        """The pages of a range, the last of which is `done`; see `_core.Reader.pages`.

        While the caller works on one, the next is fetched.
        """
        pages = self.begin(sql, *arguments, order=order, page_bytes=page_bytes, **more)
        while True:
            page: _core.Page | None = await self.next(pages)
            assert page is not None
            done = page.done
            # Not held while the caller has it, who may wait for a slow client.
            yielded, page = [page], None
            yield yielded.pop()
            if done:
                return

    def begin(self, sql: str, *arguments: object, **more: Any) -> _core.Pages:
        """The same to be asked for one by one with `next`."""
        return self._reader.pages(sql, arguments, **more)

    async def next(self, pages: _core.Pages) -> _core.Page:
        """The next page of a range; not to be asked for behind the last."""
        page: _core.Page = await self._call(lambda future: self._reader.next(future, pages))
        opened.note(page.opened_epoch)
        return page

    async def open(self, stream: str, **more: Any) -> Opened | None:
        """The beginning of a read of a stream; see `_core.Reader.open`."""
        found: Opened | None = await self._call(
            lambda future: self._reader.open(future, stream, **more)
        )
        if found is not None:
            opened.note(found[1].opened_epoch)
        return found

    async def resolve(
        self, references: _core.References, **more: Any
    ) -> tuple[bytes, _core.References | None]:
        """What references to events lead to, and what is left; see `_core.Reader.resolve`."""
        resolved: tuple[bytes, _core.References | None, int | None] = await self._call(
            lambda future: self._reader.resolve(future, references, **more)
        )
        encoded, rest, epoch = resolved
        opened.note(epoch)
        return encoded, rest

    async def hydrate(self, stream: str, fold: _core.Fold, **more: Any) -> _core.Hydrated:
        """What a fold makes of a stream; see `_core.Reader.hydrate`."""
        hydrated: _core.Hydrated = await self._call(
            lambda future: self._reader.hydrate(future, stream, fold, **more)
        )
        opened.note(hydrated.opened_epoch)
        return hydrated

    async def close(self) -> None:
        """Ends the thread; reads under way are refused."""
        await self._bridge.close()

    async def _call(self, begin: Callable[[asyncio.Future[Any]], _core.ReadJob]) -> Any:
        future, job = self._bridge.begin(begin)
        try:
            with thread_faults():
                return await future
        except asyncio.CancelledError:
            job.cancel()
            raise
