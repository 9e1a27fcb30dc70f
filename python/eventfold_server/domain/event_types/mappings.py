"""Mappings of event types: put in force, checked, found, dropped."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from eventfold import _core
from eventfold_server.domain.event_types.putting import Putting
from eventfold_server.domain.event_types.said import check_event_type
from eventfold_server.domain.event_types.trials import (
    Attempt,
    Misfit,
    Progress,
    Trial,
    Trials,
    Tried,
    progress,
)
from eventfold_server.domain.folding import in_thread
from eventfold_server.domain.privacy.declaring import check_sight
from eventfold_server.domain.projections.remapped import Remapped, StaleGeneration
from eventfold_server.domain.requests import Caller
from eventfold_server.errors import Refusal
from eventfold_server.storage.event_types import Change, EventTypeStorage, MappingRow

# What the domain knows of a mapping is its row.
Mapping = MappingRow


@dataclass(frozen=True)
class MappingPut:
    """What became of a put."""

    mapping: Mapping
    # Whether it is a new revision.
    created: bool
    # Generations of projections that have read events under another mapping.
    stale: Sequence[StaleGeneration]
    progress: Progress


@dataclass(frozen=True)
class MappingChecked:
    """What a put would come to."""

    trial: Trial
    stale: Sequence[StaleGeneration]
    progress: Progress


@dataclass
class MappingCandidate:
    """A mapping that is to be put in force; see `Candidate`."""

    compiled: _core.Mapping
    source: str
    basis: MappingRow | None
    trial: Trial
    by: str

    def refusal(self) -> Refusal | None:
        """Why stored events refuse it: the error of the first on which it fails."""
        if not self.trial.misfits:
            return None
        refusal = self.trial.first[0].error
        assert refusal is not None
        refusal.facts["count"] = str(self.trial.misfits)
        return refusal

    async def holds(self, change: Change) -> bool:
        """Whether it takes the place of the same one still."""
        return await change.mapping(self.compiled.event_type) == self.basis

    async def store(self, change: Change) -> MappingRow:
        """Stores it as the next revision."""
        compiled = self.compiled
        return await change.put_mapping(compiled.event_type, compiled.digest, self.source, self.by)


class Mappings:
    """The mappings of one store."""

    def __init__(self, storage: EventTypeStorage, trials: Trials, remapped: Remapped) -> None:
        self._storage = storage
        self._trials = trials
        self._putting = Putting(storage, trials)
        self._remapped = remapped

    async def put(self, caller: Caller, source: str) -> AsyncGenerator[Progress | MappingPut]:
        """Puts a mapping in force. Tells how far that is, and at the end what became of it.

        INVALID_MAPPING and its kin, MAPPING_FAILED.
        """
        compiled = await _compiled(source)
        head = await self._trials.head()
        while True:
            basis = await self._storage.mapping(compiled.event_type)
            if basis is not None and basis.digest == compiled.digest:
                yield MappingPut(basis, created=False, stale=(), progress=progress(None, head))
                return
            trial = self._trials.trial(
                compiled.event_type, attempt(compiled), opens=caller.personal
            )
            candidate = MappingCandidate(compiled, source, basis, trial, caller.writer)
            async with aclosing(self._putting.put(candidate, head)) as steps:
                async for step in steps:
                    if isinstance(step, Progress):
                        yield step
                        continue
                    stale = await self._remapped.stale(compiled.event_type)
                    yield MappingPut(step.row, True, stale, progress(trial, head))
                    return

    async def check(
        self, caller: Caller, source: str, misfits_max: int
    ) -> AsyncGenerator[Progress | MappingChecked]:
        """Tries all stored events of the type; at the end, what they say."""
        compiled = await _compiled(source)
        is_personal = await self._storage.may_be_personal(compiled.event_type)
        method = "/eventfold.v1.EventTypes/CheckMapping"
        check_sight(caller, is_personal=is_personal, method=method)
        head = await self._trials.head()
        async with self._trials.checks:
            trial = self._trials.trial(
                compiled.event_type,
                attempt(compiled),
                misfits_max=misfits_max,
                opens=caller.personal,
            )
            async with aclosing(trial.go_on(head)) as steps:
                async for _ in steps:
                    yield progress(trial, head)
        stale = await self._remapped.stale(compiled.event_type, if_put=True)
        yield MappingChecked(trial, stale, progress(trial, head))

    async def get(self, event_type: str, revision: int) -> Mapping:
        """A revision of a mapping; 0 is the one in force."""
        check_event_type(event_type)
        found = await self._storage.mapping(event_type, revision)
        if found is None:
            raise mapping_not_found(event_type, revision)
        return found

    async def page(self, after: str, size: int) -> tuple[list[Mapping], bool]:
        """Mappings in force of types behind `after`, and whether there are more."""
        return await self._storage.mappings(after, size)

    async def drop(self, event_type: str) -> Sequence[StaleGeneration]:
        """Takes a mapping out of force; generations that have read events under it."""
        check_event_type(event_type)
        async with self._storage.changing() as change:
            if await change.mapping(event_type) is None:
                raise mapping_not_found(event_type, 0)
            await change.drop_mapping(event_type)
            await change.commit()
        return await self._remapped.stale(event_type)


def attempt(mapping: _core.Mapping) -> Attempt:
    """Tries whether a mapping fails on stored events."""

    def maps(batch: _core.Batch, room: int) -> Tried:
        tried = mapping.try_batch(batch, room)
        first = [
            Misfit(stream, version, position, event_id, (), Refusal.of_core(error))
            for stream, version, position, event_id, error in tried.first
        ]
        return Tried(tried.events, tried.misfits, tried.changed, first)

    return maps


async def _compiled(source: str) -> _core.Mapping:
    try:
        # A large document takes tens of milliseconds.
        return await in_thread(None, _core.Mapping, source)
    except _core.CoreError as error:
        raise Refusal.of_core(error) from None


def mapping_not_found(event_type: str, revision: int) -> Refusal:
    """The refusal for a mapping that there is not."""
    return Refusal(
        "MAPPING_NOT_FOUND",
        "no mapping is in force" if not revision else "there is no mapping in this revision",
        type=event_type,
        revision=revision or None,
    )
