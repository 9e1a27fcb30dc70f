"""Chunks of transforms: events of the sources are read, and what becomes of them is appended."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from eventfold import _core
from eventfold_server.errors import Refusal
from eventfold_server.limits import (
    LOG_WINDOW_POSITIONS,
    PAGE_BYTES,
    TRANSFORM_CHUNK_BYTES,
    TRANSFORM_LEASE_S,
    TRANSFORM_PAGE_EVENTS,
)
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.database import Database
from eventfold_server.storage.remote import copies
from eventfold_server.storage.sealing import Sealer
from eventfold_server.storage.transaction import Transaction
from eventfold_server.storage.transform_chunks import Chunk, Columns
from eventfold_server.storage.transforms import ClaimedTransform
from eventfold_server.storage.views import SENT

_NO_END = (1 << 63) - 1
# Place of the ids among the columns of an append.
_IDS = 3


@dataclass(frozen=True)
class Sources:
    """What a transform reads: one of the three, and of the log all but what it writes into."""

    categories: Sequence[str] | None
    streams: Sequence[str] | None
    into: Sequence[str]


class Fenced(Exception):
    """Somebody else has the transform: nothing more was written."""


class TransformWriter:
    """Reads and writes for the transforms of a server process."""

    def __init__(
        self,
        database: Database,
        catalogue: Catalogue,
        committed: Callable[[int], None],
        sealer: Sealer,
    ) -> None:
        """`committed` gets positions that the log has reached."""
        self._sealer = sealer
        self._database = database
        self.queries = database.queries
        self._catalogue = catalogue
        self.committed = committed

    def pages(self, sources: Sources, lower: int, upper: int) -> AsyncGenerator[_core.Page]:
        """Events of the sources as they are stored, positions `lower` to `upper`, as batches; at
        most TRANSFORM_PAGE_EVENTS, in any number of pages.
        """
        window = None
        if sources.categories is not None:
            query, key = "transform_categories_page", sources.categories
        elif sources.streams is not None:
            query, key = "transform_streams_page", sources.streams
        else:
            query, key, window = "transform_log_page", sources.into, LOG_WINDOW_POSITIONS
        return self._database.events.pages(
            self.queries[query],
            list(key),
            lower,
            upper,
            TRANSFORM_PAGE_EVENTS,
            order="positions",
            page_bytes=TRANSFORM_CHUNK_BYTES,
            window=window,
            encoded=False,
            rules=self._catalogue.reads_for(SENT),
        )

    @property
    def rules(self) -> _core.Rules:
        """The rules that copies are held to, as far as this process knows."""
        return self._catalogue.rules

    async def newest_rules(self) -> _core.Rules:
        """The rules that are in force now."""
        await self._catalogue.load()
        return self.rules

    async def rules_for(self, transform: _core.Transform) -> _core.Rules:
        """The same, once they say what copies bring of personal values into their categories."""
        while marks := await asyncio.to_thread(self.rules.carried_by, transform):
            await self._catalogue.note_carried(marks)
        return self.rules

    async def sealed(self, chunk: Chunk, writer: str) -> list[_core.Append | None]:
        """What is personal of copies, by the rules or because it was in the sources, sealed; empty:
        nothing is. TRANSFORM_FAILED for a copy that may not be stored.
        """
        if chunk.copies is None or not (self._catalogue.declares_personal or chunk.is_personal):
            return []
        found = [await self._sealed(copied, writer) for copied in chunk.copies.appends]
        return found if any(found) else []

    async def _sealed(self, copied: _core.CopiedAppend, writer: str) -> _core.Append | None:
        columns = copied.columns(-2, "")
        request = copies(copied.stream, columns, 0, 0, copied.events).append
        try:
            append = await asyncio.to_thread(
                _core.Append.of_request, request.SerializeToString(), writer, None, self.rules
            )
            append.carry(copied)
        except _core.CoreError as error:
            raise _failed(Refusal.of_core(error), copied) from None
        if not append.is_personal:
            return None
        await self._sealer.seal(append)
        for refused in append.refused:
            refusal = Refusal.of_core(refused.error)
            index, pointer = refusal.facts.get("event_index", "0"), refusal.facts.get("pointer", "")
            if refusal.reason == "SUBJECT_ERASED" and copied.carries(int(index), pointer):
                # It was erased since the source was read, which has nothing to copy any more.
                raise refusal
            raise _failed(refusal, copied)
        return append

    async def append(self, claimed: ClaimedTransform, at: int, chunk: Chunk, counts: str) -> bool:
        """Appends a chunk, and moves the transform from a position; raises Fenced, TARGET_EXISTS,
        TARGET_MOVED. False: it is to be made anew under newer rules.
        """
        arguments = self.arguments(claimed, at, chunk, counts)
        [row] = await self._database.write(self.queries["transform_append"], *arguments)
        if not await self.is_written(claimed, row):
            return False
        if row["head"] is not None:
            self.committed(row["head"])
        return True

    async def sent(self, claimed: ClaimedTransform, at: int, chunk: Chunk, counts: str) -> None:
        """Notes a chunk whose copies another server has stored, and moves the transform from a
        position; raises Fenced.
        """
        columns = Columns(chunk, claimed.started_by)
        [row] = await self._database.write(
            self.queries["transform_sent"],
            claimed.number,
            claimed.lease,
            round(TRANSFORM_LEASE_S * 1000),
            at,
            chunk.position,
            chunk.read,
            counts,
            *columns.streams(),
        )
        if not row["mine"]:
            raise Fenced

    @asynccontextmanager
    async def held(
        self, claimed: ClaimedTransform, ms_max: int
    ) -> AsyncIterator[tuple["HeldAppends", int]]:
        """A transaction that holds up appends, and the head of the log; raises Fenced. What it
        writes is stored by its `commit`, or not at all.
        """
        async with self._database.changing() as transaction:
            [row] = await transaction.fetch(
                self.queries["transform_hold"], claimed.number, claimed.lease, ms_max
            )
            if row["head"] is None:
                raise Fenced
            yield HeldAppends(self, transaction, claimed), row["head"]

    async def note_held(self, number: int, milliseconds: int) -> None:
        """Notes how long a step of a cut-over has held up appends."""
        await self._database.write(self.queries["transform_held"], number, milliseconds)

    def copies(self, ids: Sequence[str]) -> AsyncGenerator[_core.Page]:
        """Events by their ids, those that are there, in the order of their positions."""
        return self._database.events.pages(
            self.queries["transform_copies"],
            ids,
            1,
            _NO_END,
            _NO_END,
            order="positions",
            page_bytes=PAGE_BYTES,
            encoded=False,
            # What was to be written is compared, which is what is sealed.
            rules=self._catalogue.reads_for(SENT),
        )

    async def verified_targets(
        self, number: int, targets: Sequence[str]
    ) -> dict[str, tuple[int, bytes | None, bytes | None]]:
        """Up to which version targets were compared, and the digests of both sides up to there."""
        async with self._database.reading() as connection:
            rows = await connection.fetch(
                self.queries["transform_verified_targets"], number, list(targets)
            )
        return {
            row["stream"]: (row["verified_version"], row["source_hash"], row["target_hash"])
            for row in rows
        }

    async def verified(
        self,
        claimed: ClaimedTransform,
        at: int,
        to: int,
        events: int,
        targets: dict[str, tuple[int, bytes, bytes]],
    ) -> None:
        """Notes that all is equal between two positions; raises Fenced."""
        [row] = await self._database.write(
            self.queries["transform_verified"],
            claimed.number,
            claimed.lease,
            round(TRANSFORM_LEASE_S * 1000),
            at,
            to,
            events,
            list(targets),
            [version for version, _, _ in targets.values()],
            [digest for _, digest, _ in targets.values()],
            [digest for _, _, digest in targets.values()],
        )
        if not row["mine"]:
            raise Fenced

    def arguments(
        self, claimed: ClaimedTransform, at: int, chunk: Chunk, counts: str
    ) -> tuple[object, ...]:
        """What the statement takes that appends a chunk."""
        return (
            claimed.number,
            claimed.lease,
            round(TRANSFORM_LEASE_S * 1000),
            at,
            chunk.position,
            chunk.read,
            counts,
            *Columns(chunk, claimed.started_by).arguments(),
            claimed.started_by,
            chunk.catalogue_version,
        )

    async def is_written(self, claimed: ClaimedTransform, row: Any) -> bool:
        """Whether a chunk was appended, by what the statement answers; False: it is to be tried
        under newer rules.
        """
        outcome = row["outcome"]
        if outcome == "copied":
            return True
        if outcome == "fenced":
            raise Fenced
        if outcome == "stale":
            await self._catalogue.at_least(row["catalogue_version"])
            return False
        stream = row["stream"]
        if outcome == "exists":
            raise target_exists(claimed.transform_id, stream)
        raise Refusal(
            "TARGET_MOVED",
            "a stream that the transform has begun is not as it left it",
            transform_id=claimed.transform_id,
            stream=stream,
            expected=row["expected"],
            actual=row["actual"],
            problem=outcome,
        )


def _failed(refusal: Refusal, copied: _core.CopiedAppend) -> Refusal:
    """Why a copy cannot be stored, as the transform tells it."""
    place = f" at `{pointer}`" if (pointer := refusal.facts.get("pointer")) else ""
    index = refusal.facts.get("event_index")
    return Refusal(
        "TRANSFORM_FAILED",
        f"a personal value of a copy{place} cannot be sealed: {refusal.message}",
        event_id=None if index is None else copied.source_id(int(index)),
        cause=refusal.reason,
        problem=f"a personal value of the copy{place} cannot be sealed",
    )


class HeldAppends:
    """A step of a cut-over: while it lasts nobody else appends."""

    def __init__(
        self, writer: TransformWriter, transaction: Transaction, claimed: ClaimedTransform
    ) -> None:
        self._writer = writer
        self._transaction = transaction
        self._claimed = claimed
        self._head: int | None = None

    async def append(self, at: int, chunk: Chunk, counts: str) -> bool:
        """As `TransformWriter.append`."""
        arguments = self._writer.arguments(self._claimed, at, chunk, counts)
        [row] = await self._transaction.fetch(self._writer.queries["transform_append"], *arguments)
        self._head = row["head"] or self._head
        return await self._writer.is_written(self._claimed, row)

    async def close_sources(self, streams_max: int) -> int:
        """Closes some of the sources, of which all is copied; how many are left."""
        [row] = await self._transaction.fetch(
            self._writer.queries["transform_close"], self._claimed.number, streams_max
        )
        left: int = row["sources_left"]
        return left

    async def commit(self) -> None:
        """Stores the step for good."""
        await self._transaction.commit()
        if self._head is not None:
            self._writer.committed(self._head)


def target_exists(transform_id: UUID, stream: str) -> Refusal:
    """The refusal for a stream that is there already."""
    return Refusal(
        "TARGET_EXISTS",
        "a stream that the transform would begin is there already",
        transform_id=transform_id,
        stream=stream,
    )
