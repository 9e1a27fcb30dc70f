"""Calls of the thread that builds projections."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg

from eventfold_server.errors import Refusal
from eventfold_server.storage.bridge import Bridge, thread_faults


@contextmanager
def dropped_is_refused() -> Iterator[None]:
    """Refuses (PROJECTION_NOT_FOUND) what needs the table of a generation that somebody dropped."""
    try:
        yield
    except asyncpg.UndefinedTableError:
        message = "the generation was dropped meanwhile"
        raise Refusal("PROJECTION_NOT_FOUND", message) from None


async def told(bridge: Bridge, begin: Callable[[asyncio.Future[Any]], None]) -> Any:
    """What the thread answers; it is carried through if the caller is cancelled."""
    future, _ = bridge.begin(begin)
    with thread_faults():
        return await future
