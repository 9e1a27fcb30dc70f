"""Calls of the thread that builds projections, and the errors that their tables keep."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from eventfold import _core
from eventfold_server.errors import Refusal
from eventfold_server.storage import faults
from eventfold_server.storage.bridge import Bridge, driver_error


async def told(bridge: Bridge, begin: Callable[[asyncio.Future[Any]], None]) -> Any:
    """What the thread answers; it is carried through if the caller is cancelled."""
    future, _ = bridge.begin(begin)
    with faults.reading():
        try:
            return await future
        except _core.ReaderError as error:
            raise driver_error(error) from error
        except _core.CoreError as error:
            raise Refusal.of_core(error) from error


def refusal_of(stored: str) -> Refusal:
    """The error that `stopped` or a parked key holds; the driver gives JSON as text."""
    fields: dict[str, Any] = json.loads(stored)
    refusal = Refusal(fields["reason"], fields["message"])
    refusal.facts = fields["facts"]
    return refusal
