"""Calls of the thread that builds projections."""

import asyncio
from collections.abc import Callable
from typing import Any

from eventfold_server.storage.bridge import Bridge, thread_faults


async def told(bridge: Bridge, begin: Callable[[asyncio.Future[Any]], None]) -> Any:
    """What the thread answers; it is carried through if the caller is cancelled."""
    future, _ = bridge.begin(begin)
    with thread_faults():
        return await future
