"""Public and private halves: two streams that are written together and folded as one."""

import heapq

from eventfold._async.aggregates import AsyncAggregateCalls
from eventfold._deletion import HydratedUnion
from eventfold._events import RecordedEvent
from eventfold._fold import Fold, FoldLike, fold_source
from eventfold._generated.errors import StreamDeleted, StreamNotFound
from eventfold._requests import StreamAppendLike
from eventfold._results import AppendResult


class AsyncPairCalls(AsyncAggregateCalls):
    """Calls on a public stream and its private half."""

    async def append_pair(
        self,
        public: StreamAppendLike,
        private: StreamAppendLike,
        *,
        timeout: float | None = None,
    ) -> tuple[AppendResult, AppendResult]:
        """Appends to a public stream and to its private half: to both, or to none.

            store.append_pair(
                ("UserPublic-456", [Event("UserJoined", {"plan": "free"})], 0),
                ("UserPrivate-456", [Event("UserNamed", {"name": "Ada"})], 0),
            )

        Deleting the private half leaves what refers to the public one.

        Args:
            public: name, events and the version that it is expected at.
            private: the same of the private half.
            timeout: seconds for the call with its repetitions. Default: that of the client.

        Returns:
            The results of both.

        Raises:
            ChecksFailed and the others: as in `append_many`.
        """
        first, second = await self.append_many([public, private], timeout=timeout)
        return first, second

    async def hydrate_union(
        self, public: str, private: str, *, fold: FoldLike, timeout: float | None = None
    ) -> HydratedUnion:
        """Folds a public stream and its private half as if they were one stream, in order of
        position: both as they stood at one position of the log. It is folded here, with the same
        core as the server's.

        A half without events, or whose events were deleted, counts as empty. `meta.stream` and
        `meta.version` are those of each event, `meta.root` is the public stream.

        Args:
            public: name of the public stream.
            private: name of the private one.
            fold: as in `hydrate`.
            timeout: seconds for each read. Default: that of the client.

        Raises:
            FoldNotFound, InvalidFold and the other errors of folds: as in `hydrate`.
        """
        compiled = await self._compiled(fold, timeout)
        position = await self._head(timeout)
        # Whoever reads now sees all up to there; what came later in one of them is left out.
        halves = [await self._half(name, position, timeout) for name in (public, private)]
        events = heapq.merge(*(events for events, _ in halves), key=lambda event: event.position)
        hydrated = compiled._apply_union(events, public, numbers=self._connection.settings.numbers)
        (_, public_version), (_, private_version) = halves
        return HydratedUnion(hydrated, public_version or 0, private_version, position)

    async def _compiled(self, fold: FoldLike, timeout: float | None) -> Fold:
        if isinstance(fold, Fold):
            return fold
        source = fold_source(fold)
        if source is None:
            source = (await self.get_fold(str(fold), timeout=timeout)).source
        return Fold(source)

    async def _head(self, timeout: float | None) -> int:
        """Position of the newest event that is no system's; 0: none."""
        newest = self.read_all(direction="backwards", limit=1, timeout=timeout)
        positions = [event.position async for event in newest]
        return positions[0] if positions else 0

    async def _half(
        self, stream: str, position: int, timeout: float | None
    ) -> tuple[list[RecordedEvent], int | None]:
        """Events of a stream up to a position, and its version there; None: it was deleted."""
        try:
            reader = self.read(stream, at_least_position=position, timeout=timeout)
            events = [event async for event in reader if event.position <= position]
        except StreamNotFound:
            return [], 0
        except StreamDeleted:
            return [], None
        if any(event.deleted for event in events):
            # Deleted while it was read.
            return [], None
        return events, events[-1].version if events else 0
