"""Whether new streams have the states of the old ones, by a pair of folds."""

import json
from decimal import Decimal
from typing import Any

from eventfold_server.domain.folding import FoldRef
from eventfold_server.domain.lines import Lines
from eventfold_server.domain.transforms.comparing import differs
from eventfold_server.domain.transforms.job import Job
from eventfold_server.domain.transforms.tally import States
from eventfold_server.limits import TRANSFORM_DIFFERING_MAX
from eventfold_server.storage.kept import Upto
from eventfold_server.storage.transform_writer import Fenced
from eventfold_server.storage.transforms import Pair, Stage, TransformStorage

_PAGE = 100


class StateComparison:
    """Compares states of old streams and new ones, by a pair of folds."""

    def __init__(self, storage: TransformStorage, lines: Lines) -> None:
        self._storage = storage
        self._lines = lines

    async def compare(self, job: Job, stage: Stage) -> None:
        """Compares pairs of streams that hold the same; raises TRANSFORM_DIFFERS."""
        if job.document.transform.verify is None:
            return
        found, after = States(), ""
        number, lease = job.claimed.number, job.claimed.lease
        while found.compared < stage.states_max:
            left = min(_PAGE, stage.states_max - found.compared)
            pairs = await self._storage.pairs(number, after, left)
            if not pairs:
                break
            for pair in pairs:
                await self._compare(job, pair, found)
            after = pairs[-1].source
            if not await self._storage.compared(number, lease, found.text()):
                raise Fenced
        if found.streams:
            raise differs(job.claimed, found.streams[0], "state")

    async def _compare(self, job: Job, pair: Pair, found: States) -> None:
        assert job.document.transform.verify is not None
        old, new = job.document.transform.verify
        states = [
            await self._state(pair.source, pair.source_version, old),
            await self._target_state(job, pair, new),
        ]
        found.compared += 1
        if states[0] != states[1]:
            found.differing += 1
            if len(found.streams) < TRANSFORM_DIFFERING_MAX:
                found.streams.append(pair.source)

    async def _target_state(self, job: Job, pair: Pair, fold: str) -> Any:
        if job.remote is None:
            return await self._state(pair.target, pair.target_version, fold)
        return _value(*await job.remote.state(pair.target, pair.target_version, fold))

    async def _state(self, stream: str, version: int, fold: str) -> Any:
        answer = await self._lines.hydrate(stream, FoldRef(fold, None), Upto(version=version))
        result = answer.found.result
        assert result is not None
        return _value(result.exists, result.public_state)


def _value(exists: bool, state: str | bytes) -> Any:
    return exists, json.loads(state, parse_float=Decimal, parse_int=Decimal)
