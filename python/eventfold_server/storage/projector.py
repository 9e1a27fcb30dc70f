"""Steps of generations of projections: Rust reads, folds and writes, a transaction each."""

import json
from dataclasses import dataclass
from typing import Any

from eventfold import _core
from eventfold_server.errors import Refusal
from eventfold_server.limits import (
    LOG_WINDOW_POSITIONS,
    PROJECTION_LEASE_S,
)
from eventfold_server.storage import faults
from eventfold_server.storage.bridge import Bridge, driver_error
from eventfold_server.storage.database import Database
from eventfold_server.storage.projection_table import ProjectionTable


@dataclass(frozen=True, slots=True)
class Step:
    """What a step came to."""

    # Position up to which all events of the source are in the table, or on lists of parked keys.
    # While nothing but other events comes it is written a few times a second only.
    position: int
    # Events that were folded or put onto lists.
    events: int
    # Rows that were written or removed.
    rows: int
    # Keys that were parked.
    parked: int
    # No event of the source is left up to `up_to`, and `position` is there.
    done: bool
    # Somebody else has the lease, or the generation is gone: nothing was written, and the worker is
    # of no use any more.
    fenced: bool
    # Why the generation stopped at the event behind `position`, or had before.
    stopped: Refusal | None


class Worker:
    """Builds one generation under one lease; not to be used by two tasks at once."""

    async def step(self, up_to: int) -> Step:
        """Goes on by one transaction, at most to position `up_to`, which is not above the head.

        Prolongs the lease. A step is short, a second or so, so that progress is seen and the lease
        does not run out; while there is more to do (`done` is false) call it again at once. It is
        carried through if the caller is cancelled. After a refusal (STORAGE_UNAVAILABLE,
        STORAGE_FULL) nothing was written or nobody knows; the next step begins with what the
        database says, so that it may be called again either way.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Forgets all states, and what was read ahead; waits for a step under way."""
        raise NotImplementedError


class Projector:
    """The connections of all workers of a server process, and their thread."""

    def __init__(self, database: Database) -> None:
        """Connects when the first step needs it; answers go to the loop that is running."""
        raise NotImplementedError

    def worker(self, generation_no: int, lease: int, document: _core.Projection) -> Worker:
        """A worker for the generation, whose `lease` the caller has just taken."""
        raise NotImplementedError

    async def close(self) -> None:
        """Ends the thread; steps under way fail."""
        raise NotImplementedError


def stored_error(error: Refusal) -> str:
    """An error as `stopped` and parked keys hold it: JSON text."""
    return json.dumps(
        {"reason": error.reason, "message": error.message, "facts": error.facts}
    )


def refusal_of(stored: str) -> Refusal:
    """The error that `stopped` or a parked key holds; the driver gives JSON as text."""
    fields: dict[str, Any] = json.loads(stored)
    refusal = Refusal(fields["reason"], fields["message"])
    refusal.facts = fields["facts"]
    return refusal
