"""Group commit: one writer a server process, whose every transaction takes what has come in."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from eventfold_server.errors import Refusal
from eventfold_server.limits import (
    APPENDS_WAITING_BYTES_MAX,
    APPENDS_WAITING_MAX,
    BATCH_APPENDS_MAX,
    BATCH_BYTES_MAX,
    BATCH_EVENTS_MAX,
)
from eventfold_server.storage import faults
from eventfold_server.storage.appends import (
    Append,
    AppendStorage,
    Decision,
    newest_position,
)
from eventfold_server.storage.writing import CLOSE_S_MAX


class Waiting:
    """An append that was handed to the writer."""

    __slots__ = ("answer", "append", "events", "size_bytes", "under_way")

    def __init__(
        self, append: Append, size_bytes: int, answer: asyncio.Future[list[Decision]]
    ) -> None:
        self.append = append
        self.size_bytes = size_bytes
        self.events = sum(len(part.ids) for part in append.parts)
        # The decisions of the database, or a refusal.
        self.answer = answer
        # True: on its way to the disk, and not to be held up any more.
        self.under_way = False

    @property
    def stream(self) -> str:
        """The stream, or the first of several."""
        return self.append.parts[0].stream

    def withdraw(self, refusal: Refusal) -> bool:
        """Ends the wait of an append that is not under way: it is surely not stored."""
        if not self.under_way and not self.answer.done():
            self.answer.set_exception(refusal)
            return True
        return False

    def fail(self, error: Exception) -> None:
        """Answers with what went wrong; a refusal becomes one of its own for each append."""
        if self.answer.done():
            return
        if isinstance(error, Refusal):
            own = Refusal(error.reason, error.message)
            own.facts = error.facts | ({"stream": self.stream} if "stream" in error.facts else {})
            own.__cause__ = error.__cause__
            error = own
        self.answer.set_exception(error)


class Writer:
    """Takes appends, and stores what has come in meanwhile in one transaction after the other.

    Two appends to one stream, or with an event id in common, are never in one batch: the later
    one waits for the next. So appends to one stream are decided in the order in which they came.
    """

    def __init__(
        self, storage: AppendStorage, committed: Callable[[int], object] = lambda _: None
    ) -> None:
        """`committed` gets the position that the log has reached with a batch."""
        self._storage = storage
        self._committed = committed
        # What goes into the next batches, at most one append of each stream.
        self._ready: deque[Waiting] = deque()
        # By stream of each append that is ready or under way: those that wait behind it.
        self._behind: dict[str, deque[Waiting] | None] = {}
        self._appends = 0
        self._bytes = 0
        self._writing: asyncio.Task[None] | None = None
        self._closed = False
        # Of the rules in force, as far as this process knows.
        self.catalogue_version = 0

    async def open(self) -> None:
        """Learns the version of the rules, so that not even the first append is stale."""
        self.catalogue_version = await self._storage.catalogue_version()

    def submit(self, append: Append, size_bytes: int) -> Waiting:
        """Takes an append; OVERLOADED if too many wait already."""
        if self._closed:
            raise _closed()
        if self._appends >= APPENDS_WAITING_MAX:
            raise _overloaded("appends_waiting", APPENDS_WAITING_MAX)
        if self._bytes + size_bytes > APPENDS_WAITING_BYTES_MAX:
            raise _overloaded("appends_waiting_bytes", APPENDS_WAITING_BYTES_MAX)
        waiting = Waiting(append, size_bytes, asyncio.get_running_loop().create_future())
        self._appends += 1
        self._bytes += size_bytes
        if not append.plain:
            self._ready.append(waiting)
        elif waiting.stream not in self._behind:
            self._behind[waiting.stream] = None
            self._ready.append(waiting)
        elif (behind := self._behind[waiting.stream]) is not None:
            behind.append(waiting)
        else:
            self._behind[waiting.stream] = deque((waiting,))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        return waiting

    async def store(self, append: Append, size_bytes: int) -> list[Decision]:
        """The decisions on an append. Cancelled while it waits, it has stored nothing; once it is
        under way it is carried through, and the caller who left gets OUTCOME_UNKNOWN.
        """
        waiting = self.submit(append, size_bytes)
        try:
            return await waiting.answer
        except asyncio.CancelledError as error:
            if waiting.under_way:
                raise faults.outcome_unknown(waiting.stream) from error
            raise

    async def close(self) -> None:
        """Refuses what waits, and lets the batch under way end."""
        self._closed = True
        self._refuse_all(_closed())
        if self._writing is not None:
            await asyncio.wait({self._writing}, timeout=CLOSE_S_MAX)
        # Whoever is still under way loses the connection, and is told that nobody knows.
        await self._storage.close()

    async def _write(self) -> None:
        try:
            while self._ready:
                try:
                    await self._storage.ready()
                except Exception as error:  # noqa: BLE001 - the appends are told
                    self._refuse_all(error)
                    continue
                if batch := self._next_batch():
                    await self._store(batch)
        finally:
            self._writing = None

    def _next_batch(self) -> list[Waiting]:
        """What goes into one transaction: plain appends first, each kind in order of arrival."""
        plain: list[Waiting] = []
        others: list[Waiting] = []
        held: list[Waiting] = []
        ids: set[str] = set()
        size = events = 0
        while self._ready and len(plain) + len(others) < BATCH_APPENDS_MAX:
            waiting = self._ready.popleft()
            if waiting.answer.done():
                self._leave(waiting)
                continue
            if (plain or others) and (
                size + waiting.size_bytes > BATCH_BYTES_MAX
                or events + waiting.events > BATCH_EVENTS_MAX
            ):
                self._ready.appendleft(waiting)
                break
            if not waiting.append.plain:
                # In a statement of its own, where it sees the others.
                others.append(waiting)
            elif ids.isdisjoint(waiting.append.parts[0].ids):
                ids.update(waiting.append.parts[0].ids)
                plain.append(waiting)
            else:
                held.append(waiting)
                continue
            size += waiting.size_bytes
            events += waiting.events
            waiting.under_way = True
        self._ready.extendleft(reversed(held))
        return plain + others

    async def _store(self, batch: Sequence[Waiting]) -> None:
        """Stores the batch and answers it; whatever happens, every append gets an answer."""
        try:
            decided = await self._storage.store([waiting.append for waiting in batch])
        except Exception as error:  # noqa: BLE001 - the appends are told
            if isinstance(error, Refusal) or len(batch) == 1:
                for waiting in batch:
                    waiting.fail(error)
                    self._leave(waiting)
                return
            # One of them broke the statement, and the others have nothing to do with it.
            for waiting in batch:
                await self._store([waiting])
            return
        self._committed(newest_position(decided))
        stale: list[Waiting] = []
        for waiting, decisions in zip(batch, decided, strict=True):
            if decisions[0].outcome == "stale":
                assert decisions[0].catalogue_version is not None
                self.catalogue_version = decisions[0].catalogue_version
                stale.append(waiting)
                continue
            if not waiting.answer.done():
                waiting.answer.set_result(decisions)
            self._leave(waiting)
        # In front of all others, and checked under the newest rules. No rule is known to the server
        # today but by its version.
        for waiting in reversed(stale):
            waiting.append.catalogue_version = self.catalogue_version
            waiting.under_way = False
            self._ready.appendleft(waiting)

    def _leave(self, waiting: Waiting) -> None:
        """Forgets an append that has its answer; the next one to its stream becomes ready."""
        self._appends -= 1
        self._bytes -= waiting.size_bytes
        if not waiting.append.plain:
            return
        if behind := self._behind[waiting.stream]:
            self._ready.append(behind.popleft())
        else:
            del self._behind[waiting.stream]

    def _refuse_all(self, error: Exception) -> None:
        """Answers all that are not under way with what went wrong."""
        while self._ready:
            waiting = self._ready.popleft()
            waiting.fail(error)
            self._leave(waiting)
        for behind in self._behind.values():
            while behind:
                waiting = behind.popleft()
                waiting.fail(error)
                self._appends -= 1
                self._bytes -= waiting.size_bytes


def _closed() -> Refusal:
    return Refusal("SHUTTING_DOWN", "the server is shutting down; nothing was stored")


def _overloaded(resource: str, limit: int) -> Refusal:
    return Refusal(
        "OVERLOADED",
        "as many appends wait as the server accepts; nothing was stored",
        resource=resource,
        limit=limit,
    )
