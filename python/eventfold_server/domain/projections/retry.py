"""Going on after events of projections failed."""

import asyncio
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass

from eventfold_server.domain import requests
from eventfold_server.domain.projections.admin import no_projection, shown
from eventfold_server.domain.projections.documents import Documents
from eventfold_server.errors import Refusal
from eventfold_server.limits import (
    PROJECTION_LEASE_S,
    PROJECTION_RETRY_KEYS_MAX,
    PROJECTION_RETRY_PAUSE_S_MAX,
    PROJECTION_RETRY_TAKES_MAX,
)
from eventfold_server.storage.projections import GenerationRow, ProjectionStorage
from eventfold_server.storage.projector import Projector
from eventfold_server.storage.refolding import RefoldStorage

log = logging.getLogger(__name__)


@dataclass
class Outcome:
    """What a retry came to."""

    mended: int = 0
    events: int = 0
    failed: int = 0
    resumed: bool = False


class Retries:
    """Retries failures of the projections of one store.

    Who retries takes the lease of the generation: the worker that had it is fenced, writes nothing
    any more, and whoever takes the generation up afterwards begins with what the database has.
    """

    def __init__(
        self,
        storage: ProjectionStorage,
        refolds: RefoldStorage,
        projector: Projector,
        documents: Documents,
    ) -> None:
        self._storage = storage
        self._refolds = refolds
        self._projector = projector
        self._documents = documents

    async def retry(self, name: str, generation: int, keys: Sequence[str]) -> Outcome:
        """Folds the events of parked keys, or of all if none is said, and has a generation that
        stopped go on.
        """
        requests.text("name", name)
        wanted = requests.at_most("keys", keys, PROJECTION_RETRY_KEYS_MAX) or ()
        row = await self._row(name, generation)
        outcome = Outcome()
        for _ in range(PROJECTION_RETRY_TAKES_MAX):
            if not row.parked_keys and row.stopped is None:
                return outcome
            taken = await self._refolds.take(row.generation_no, PROJECTION_LEASE_S)
            if taken is None:
                raise no_projection(name, row.generation)
            lease, stopped = taken
            outcome.resumed |= stopped
            try:
                # Read under the lease: whoever gives it another document takes that away.
                row = await self._row(name, row.generation)
                if await self._fold(row, lease, wanted, outcome):
                    return outcome
            finally:
                await asyncio.shield(self._release(row.generation_no, lease))
            # Another retry, or a change of the document, came in between.
            await asyncio.sleep(random.uniform(0, PROJECTION_RETRY_PAUSE_S_MAX))
            row = await self._row(name, row.generation)
        raise Refusal(
            "OUTCOME_UNKNOWN", "others took the generation again and again; some keys may be mended"
        )

    async def _fold(
        self, row: GenerationRow, lease: int, keys: Sequence[str], outcome: Outcome
    ) -> bool:
        """Folds the lists; false if the lease was lost on the way."""
        outcome.failed = 0
        document = await self._documents.of(row)
        retry = await self._projector.retry(row.generation_no, lease, document, keys)
        while True:
            retried = await retry.go_on()
            if retried.fenced:
                return False
            outcome.mended += retried.mended
            outcome.events += retried.events
            outcome.failed += retried.failed
            if retried.done:
                return True

    async def _release(self, generation_no: int, lease: int) -> None:
        try:
            await self._storage.release({generation_no: lease})
        except Refusal as refusal:
            # It runs out by itself.
            log.warning("a generation of a projection is held for a while: %s", refusal.reason)

    async def _row(self, name: str, generation: int) -> GenerationRow:
        projection = await self._storage.get(name)
        if projection is None:
            raise no_projection(name)
        return shown(projection, generation)
