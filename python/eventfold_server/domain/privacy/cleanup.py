"""What was made of events that are gone or changed: kept states, and rows of projections."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from eventfold import _core
from eventfold_server import failpoints
from eventfold_server.domain.kept import KeptStates
from eventfold_server.domain.projections.admin import WHEN_CAUGHT_UP, ProjectionAdmin
from eventfold_server.domain.projections.documents import Documents
from eventfold_server.domain.projections.retry import Retries
from eventfold_server.domain.requests import Caller
from eventfold_server.errors import Refusal
from eventfold_server.limits import CLEANUP_KEYS, LIST_PAGE_SIZE_MAX, PROJECTION_LEASE_S
from eventfold_server.storage.cleanup import CleanupStorage, TouchedEvents
from eventfold_server.storage.projections import GenerationRow, ProjectionRow, ProjectionStorage
from eventfold_server.storage.refolding import RefoldStorage

log = logging.getLogger(__name__)

# Refusals of a document, which stand until somebody puts another one, or other rules.
_REFUSED_FOR_GOOD = frozenset(
    {
        "COPIES_AMBIGUOUS",
        "EXPRESSION_TOO_DEEP",
        "EXPRESSION_TOO_LONG",
        "FOLD_NOT_FOUND",
        "FOLD_TOO_LARGE",
        "INVALID_EXPRESSION",
        "INVALID_FOLD",
        "INVALID_PROJECTION",
        "PERSONAL_COLUMN",
        "PERSONAL_KEY",
        "PROJECTION_TOO_LARGE",
    }
)


@dataclass(frozen=True)
class CleanedStream:
    """A stream whose events are gone, or say something else."""

    stream_no: int
    stream: str
    root: str


@dataclass(frozen=True)
class Touched:
    """A generation that has read some of the events."""

    projection: str
    generation: int
    # It is built anew; else its rows are told by stream or root, and made anew alone.
    rebuilt: bool


@dataclass
class Cleaned:
    """What cleaning came to. Of one that is not over, the same is given to the next call."""

    rows: int = 0
    # Projections that are built anew, or about to be dropped; empty: all is done.
    waiting: list[str] = field(default_factory=list)
    # Projections that are dropped, by the next call at the earliest, since they cannot be built
    # anew: who was killed in between has noted them.
    dropped: list[str] = field(default_factory=list)
    # Generations that are clean, and those that others take the place of.
    clean: set[int] = field(default_factory=set)
    replaced: set[int] = field(default_factory=set)


class Cleanup:
    """Cleans up in one store."""

    def __init__(
        self,
        storage: CleanupStorage,
        kept: KeptStates,
        projections: ProjectionStorage,
        refolds: RefoldStorage,
        documents: Documents,
        admin: ProjectionAdmin,
        retries: Retries,
    ) -> None:
        self._storage = storage
        self._kept = kept
        self._projections = projections
        self._refolds = refolds
        self._documents = documents
        self._admin = admin
        self._retries = retries

    async def drop_kept_states(self, streams: Sequence[CleanedStream]) -> int:
        """Drops the states that are kept of streams, in PostgreSQL and in this process; how many.
        Other processes forget them when they hear of it, and never answer from them: a hydration
        asks the database for the lifecycle of its stream first.
        """
        self._kept.forget([one.stream for one in streams])
        return await self._storage.drop_kept_states([one.stream_no for one in streams])

    async def touched(
        self, streams: Sequence[CleanedStream], positions: Sequence[int] | None = None
    ) -> list[Touched]:
        """The generations that have read events of the streams, or of those the ones at positions;
        by their projections in byte order.
        """
        events = await self._events(streams, positions)
        return [
            Touched(projection.name, row.generation, _is_rebuilt(document, events))
            for projection in await self._all()
            for row in projection.generations
            if _reads(document := await self._document(row), events)
            and row.position >= (events.first_position or 0)
        ]

    async def run(
        self,
        streams: Sequence[CleanedStream],
        positions: Sequence[int] | None,
        *,
        mark: int,
        by: str,
        so_far: Cleaned,
    ) -> Cleaned:
        """Cleans up rows of projections, as far as that goes now; to be called again, with what it
        answers, for as long as it waits for some.

        Without positions all events of the streams are gone, and so are rows of these streams or of
        their roots. With positions, the events there say something else, and the rows are made
        anew. `mark`: generations with a higher number were begun when the events were as they are.
        `by`: who is said to have put generations that are built anew.
        """
        events = await self._events(streams, positions)
        so_far.waiting = []
        for projection in await self._all():
            waits = False
            for row in projection.generations:
                number = row.generation_no
                if number > mark or number in so_far.clean:
                    continue
                if number not in so_far.replaced:
                    clean = await self._clean(projection, row, events, streams, positions, so_far)
                    (so_far.clean if clean else so_far.replaced).add(number)
                waits = waits or number in so_far.replaced
            if waits and not await self._replaced(projection.name, mark, by, so_far):
                so_far.waiting.append(projection.name)
        return so_far

    async def _events(
        self, streams: Sequence[CleanedStream], positions: Sequence[int] | None
    ) -> TouchedEvents:
        return await self._storage.touched([one.stream_no for one in streams], positions)

    async def _all(self) -> list[ProjectionRow]:
        found: list[ProjectionRow] = []
        while True:
            after = found[-1].name if found else ""
            page = await self._projections.page(after, LIST_PAGE_SIZE_MAX)
            found += page
            if len(page) < LIST_PAGE_SIZE_MAX:
                return found

    async def _document(self, row: GenerationRow) -> _core.Projection | None:
        """The document of a generation; None: it does not compile any more."""
        try:
            return await self._documents.of(row)
        except Refusal as refusal:
            if refusal.reason not in _REFUSED_FOR_GOOD:
                raise
            return None

    async def _clean(
        self,
        projection: ProjectionRow,
        row: GenerationRow,
        events: TouchedEvents,
        streams: Sequence[CleanedStream],
        positions: Sequence[int] | None,
        cleaned: Cleaned,
    ) -> bool:
        """Makes rows of a generation anew; false: all of it has to be.

        Whoever takes the lease fences the process that builds it: what that had read before is
        never written.
        """
        document = await self._document(row)
        if not _reads(document, events):
            return True
        taken = await self._refolds.take(row.generation_no, PROJECTION_LEASE_S)
        if taken is None:
            # It is gone.
            return True
        lease, _ = taken
        try:
            if document is None or _is_rebuilt(document, events):
                at = await self._storage.generation_at(row.generation_no)
                return at is None or at < (events.first_position or 0)
            keys = sorted(
                {one.root if document.key_kind == "root" else one.stream for one in streams}
            )
            cleaned.rows += await self._keys(row, lease, document, keys, positions)
        finally:
            await asyncio.shield(self._release(row.generation_no, lease))
        if positions is not None:
            for start in range(0, len(keys), CLEANUP_KEYS):
                some = keys[start : start + CLEANUP_KEYS]
                await self._retry(projection.name, row.generation, some)
        failpoints.reach("deletion_rows")
        return True

    async def _retry(self, name: str, generation: int, keys: Sequence[str]) -> None:
        """Makes rows of parked keys anew. They are gone: where that is refused they stay so."""
        try:
            await self._retries.retry(name, generation, keys)
        except Refusal as refusal:
            if refusal.reason not in _REFUSED_FOR_GOOD:
                raise
            log.warning("rows of projection %s are not made anew: %s", name, refusal.reason)

    async def _keys(
        self,
        row: GenerationRow,
        lease: int,
        document: _core.Projection,
        keys: Sequence[str],
        positions: Sequence[int] | None,
    ) -> int:
        """Drops the rows of keys, which are to be made anew if there are positions."""
        rows = 0
        why = Refusal("PROJECTION_NOT_READY", "the row is made anew")
        for start in range(0, len(keys), CLEANUP_KEYS):
            some = keys[start : start + CLEANUP_KEYS]
            number = row.generation_no
            if positions is None:
                dropped = await self._storage.remove_keys(number, lease, document, some)
            else:
                dropped = await self._storage.refold_keys(number, lease, document, some, why)
            if dropped is None:
                raise Refusal("STORAGE_UNAVAILABLE", "another process took the projection")
            rows += dropped
        return rows

    async def _release(self, generation_no: int, lease: int) -> None:
        try:
            await self._projections.release({generation_no: lease})
        except Refusal as refusal:
            # It runs out by itself.
            log.warning("a generation of a projection is held for a while: %s", refusal.reason)

    async def _replaced(self, name: str, mark: int, by: str, so_far: Cleaned) -> bool:
        """Has a projection built anew, and drops what is older once queries see that; whether
        nothing older is left. One that can never be built anew is dropped.
        """
        found = await self._projections.get(name)
        if found is None:
            return True
        last = max(found.generations, key=lambda one: (one.put_at, one.generation))
        try:
            # One that was begun before rules were declared may be refused by now, or not: it is
            # begun again.
            refused = last.stopped is not None and last.stopped.reason in _REFUSED_FOR_GOOD
            if last.generation_no <= mark or refused:
                # One that waits for somebody to switch to it goes on waiting for that.
                waits = found.active and last.generation != found.active
                switch = last.switch if waits else WHEN_CAUGHT_UP
                await self._admin.rebuild(Caller(by, frozenset()), name, switch)
                failpoints.reach("deletion_rebuilt")
                return False
            active = {one.generation: one.generation_no for one in found.generations}
            if active.get(found.active, 0) <= mark:
                return False
            for one in found.generations:
                if one.generation_no <= mark:
                    await self._admin.drop(name, one.generation)
        except Refusal as refusal:
            if refusal.reason in _REFUSED_FOR_GOOD:
                if found.active and last.generation != found.active:
                    # One that nobody sees yet is in the way of the one that is seen.
                    await self._admin.drop(name, last.generation)
                    return False
                return await self._dropped(name, so_far, refusal)
            log.warning("projection %s cannot be built anew: %s", name, refusal.reason)
            return False
        return True

    async def _dropped(self, name: str, so_far: Cleaned, why: Refusal) -> bool:
        """Drops a projection whose document is refused, with all that queries see of it; whether it
        is gone.
        """
        if name not in so_far.dropped:
            so_far.dropped.append(name)
            return False
        try:
            await self._admin.drop(name, 0)
        except Refusal as refusal:
            log.warning("projection %s cannot be dropped: %s", name, refusal.reason)
            return refusal.reason == "PROJECTION_NOT_FOUND"
        log.warning("projection %s is dropped, since it cannot be built anew: %s", name, why.reason)
        return True


def _reads(document: _core.Projection | None, events: TouchedEvents) -> bool:
    """Whether rows may hold something of the events; nobody knows, without a document."""
    if document is None:
        return True
    if document.resolves and events.referred:
        return True
    categories = document.categories
    return not events.types.isdisjoint(document.types) and (
        categories is None or not events.categories.isdisjoint(categories)
    )


def _is_rebuilt(document: _core.Projection | None, events: TouchedEvents) -> bool:
    """Whether rows of other keys may hold something of the events."""
    if document is None:
        return True
    return document.key_kind == "expression" or (document.resolves and events.referred)
