"""The target of a transform on another server: what is sent there, and what it says of it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar
from uuid import UUID

from eventfold_server import failpoints, limits
from eventfold_server.domain.leases import Pause
from eventfold_server.domain.transforms.stores import other_store
from eventfold_server.errors import Refusal
from eventfold_server.storage.remote import Digests, Found, RemoteError, RemoteStore, copies
from eventfold_server.storage.transform_chunks import Chunk
from eventfold_server.storage.transform_writer import Fenced, TransformWriter, target_exists
from eventfold_server.storage.transforms import ClaimedTransform, TransformStorage

log = logging.getLogger(__name__)

T = TypeVar("T")
_IDS = 3
# Another server that says so will say it again: the copies are what it does not take.
_FINAL_CODES = frozenset({"INVALID_ARGUMENT", "FAILED_PRECONDITION", "ALREADY_EXISTS", "ABORTED"})
# Refusals that say that a stream is not as the transform left it, and how.
_MOVED = {
    "VERSION_CONFLICT": "moved",
    "EVENT_ID_REUSED": "moved",
    "STREAM_CLOSED": "closed",
    "STREAM_DELETED": "deleted",
}


class RemoteTarget:
    """The other server, for one transform under one lease.

    Whatever passes by itself is waited for, and the transform says so meanwhile; whoever loses the
    lease over it ends with Fenced.
    """

    def __init__(
        self,
        store: RemoteStore,
        storage: TransformStorage,
        writer: TransformWriter,
        claimed: ClaimedTransform,
    ) -> None:
        self._store = store
        self._storage = storage
        self._writer = writer
        self._claimed = claimed
        self._store_id: UUID | None = None
        self._waiting = True

    async def append(self, at: int, chunk: Chunk, counts: str) -> None:
        """Has a chunk stored, then moves the transform from a position; raises Fenced,
        TARGET_EXISTS, TARGET_MOVED, TRANSFORM_FAILED, TRANSFORM_TARGET_STORE.
        """
        sent = chunk.sent
        if sent:
            known = await self._storage.target_versions(
                self._claimed.number, sorted({stream for stream, _ in sent})
            )
            # A server that was killed may have sent some of it.
            await self._send(sent, known)
            failpoints.reach("copies_sent")
        await self._writer.sent(self._claimed, at, chunk, counts)

    async def _send(self, sent: Sequence[tuple[str, Any]], known: dict[str, int]) -> None:
        there = dict(known)
        for names in _parts(sorted({stream for stream, _ in sent}), limits.COPIES_STREAMS_MAX):
            there |= (await self._digests({}, names=names)).versions
        appends, at = [], dict(known)
        for stream, columns in sent:
            expected, events = at.get(stream, 0), len(columns[_IDS])
            # Those that are there must be the same ones: they are sent by themselves, since an
            # append is a duplicate as a whole.
            stored = min(max(there.get(stream, 0) - expected, 0), events)
            for first, end in ((0, stored), (stored, events)):
                if first < end:
                    appends.append(copies(stream, columns, expected + first, first, end))
            at[stream] = expected + events
        for group in _groups(appends):
            await self._append(group, known)

    async def _append(self, group: Sequence[Any], known: dict[str, int]) -> None:
        store_id = await self._ready()
        try:
            await self._through(lambda: self._store.append(store_id, group))
        except RemoteError as error:
            raise self._refusal(error, known) from None

    async def digests(self, streams: Digests, copied: Sequence[tuple[str, str]]) -> Digests:
        """Digests of streams with the next copies, told with their streams."""
        found = {name: digest for name, digest in streams.items() if digest[0]}
        for part in _parts(copied, limits.COPIES_IDS_MAX):
            names = {stream for stream, _ in part}
            before = {name: found[name] for name in names if name in found}
            ids = [id_ for _, id_ in part]
            found |= (await self._digests(before, ids)).digests
        return found

    async def existing(self, streams: Sequence[str]) -> str | None:
        """The first of the streams that is there."""
        await self._ready()
        for names in _parts(streams, limits.COPIES_STREAMS_MAX):
            versions = (await self._digests({}, names=names)).versions
            there = sorted(name for name, version in versions.items() if version)
            if there:
                return there[0]
        return None

    async def state(self, stream: str, version: int, fold: str) -> tuple[bool, bytes]:
        """Whether an aggregate exists there, and its state, JSON."""
        try:
            return await self._through(lambda: self._store.state(stream, version, fold))
        except RemoteError as error:
            raise self._refusal(error, {}) from None

    async def _ready(self) -> UUID:
        """The store of the other server, which is the same as ever; TRANSFORM_TARGET_STORE."""
        if self._store_id is None:
            await self._digests({})
        assert self._store_id is not None
        return self._store_id

    async def _digests(
        self, streams: Digests, ids: Sequence[str] = (), names: Iterable[str] = ()
    ) -> Found:
        names = tuple(names)
        try:
            found = await self._through(lambda: self._store.digests(streams, ids, names))
        except RemoteError as error:
            raise self._refusal(error, {}) from None
        await self._check(found.store_id)
        return found

    async def _check(self, store_id: UUID) -> None:
        if self._store_id is None:
            if store_id == await self._storage.store_id():
                raise other_store(store_id, "same")
            self._store_id = self._claimed.target_store
        if self._store_id is None:
            number, lease = self._claimed.number, self._claimed.lease
            if not await self._storage.note_target_store(number, lease, store_id):
                raise Fenced
            self._store_id = store_id
        if store_id != self._store_id:
            raise other_store(store_id, "other")

    async def _through(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Makes a call until it succeeds, or is refused for what it says."""
        pause = Pause()
        while True:
            try:
                answer = await attempt()
            except RemoteError as error:
                if error.code in _FINAL_CODES:
                    raise
                why = error.reason or error.code
            else:
                if self._waiting:
                    await self._note(None)
                return answer
            if not pause.seconds:
                log.warning("%s waits for %s: %s", self._claimed.label, self._claimed.target, why)
            await self._note(why)
            await asyncio.sleep(pause.next())

    async def _note(self, why: str | None) -> None:
        if not await self._storage.waits(self._claimed.number, self._claimed.lease, why):
            raise Fenced
        self._waiting = why is not None

    def _refusal(self, error: RemoteError, known: dict[str, int]) -> Refusal:
        """Why the other server does not take copies, as the transform tells it."""
        facts = dict(error.facts)
        stream = str(facts.get("stream", ""))
        if error.reason == "TRANSFORM_TARGET_STORE":
            return other_store(UUID(str(facts["store_id"])), "other")
        if error.reason in _MOVED:
            if error.reason == "VERSION_CONFLICT" and not known.get(stream):
                return target_exists(self._claimed.transform_id, stream)
            return Refusal(
                "TARGET_MOVED",
                "a stream that the transform has begun is not as it left it",
                transform_id=self._claimed.transform_id,
                stream=stream,
                expected=facts.get("expected"),
                actual=facts.get("actual"),
                problem=_MOVED[error.reason],
            )
        return Refusal(
            "TRANSFORM_FAILED",
            "the other server refuses what is asked of it",
            transform=self._claimed.name,
            event_id=facts.get("event_id"),
            cause=error.reason or error.code,
            limit=facts.get("limit"),
            problem=f"of the other server: {facts.get('problem') or error.code}",
        )


def _parts(all_: Sequence[T], length: int) -> Iterable[Sequence[T]]:
    return (all_[begin : begin + length] for begin in range(0, len(all_), length))


def _groups(appends: Sequence[Any]) -> Iterable[Sequence[Any]]:
    """Appends in the order they came, as many as a call may have."""
    group: list[Any] = []
    size = 0
    for one in appends:
        length = one.ByteSize()
        if group and (
            len(group) == limits.COPIES_APPENDS_MAX or size + length > limits.COPIES_CALL_BYTES
        ):
            yield group
            group, size = [], 0
        group.append(one)
        size += length
    if group:
        yield group
