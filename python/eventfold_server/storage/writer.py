"""Group commit: one writer a server process, whose every transaction takes what has come in."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from eventfold import _core
from eventfold_server.errors import Refusal
from eventfold_server.limits import (
    APPENDS_WAITING_BYTES_MAX,
    APPENDS_WAITING_MAX,
    BATCH_ALL_APPENDS_MAX,
    BATCH_APPENDS_MAX,
    BATCH_BYTES_MAX,
    BATCH_EVENTS_MAX,
)
from eventfold_server.storage import faults
from eventfold_server.storage.appends import AppendStorage
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.judging import Judging
from eventfold_server.storage.lookups import Lookups
from eventfold_server.storage.sealing import Sealer, Sealing
from eventfold_server.storage.writing import CLOSE_S_MAX


class Waiting:
    """An append that was handed to the writer."""

    __slots__ = ("append", "error", "outcome", "stream", "tell", "under_way")

    def __init__(self, append: _core.Append, tell: Callable[["Waiting"], None]) -> None:
        self.append = append
        # The stream, or the first of several.
        self.stream = append.stream
        # Called once there is an outcome or an error.
        self.tell = tell
        self.outcome: _core.Outcome | None = None
        self.error: Exception | None = None
        # True: on its way to the disk, and not to be held up any more.
        self.under_way = False

    @property
    def is_decided(self) -> bool:
        """Whether it has been told."""
        return self.outcome is not None or self.error is not None

    def decide(self, outcome: _core.Outcome) -> None:
        """Tells what became of it."""
        if not self.is_decided:
            self.outcome = outcome
            self.tell(self)

    def withdraw(self, refusal: Refusal) -> bool:
        """Ends the wait of an append that is not under way: it is surely not stored."""
        if self.under_way or self.is_decided:
            return False
        self.error = refusal
        self.tell(self)
        return True

    def fail(self, error: Exception) -> None:
        """Tells what went wrong; a refusal becomes one of its own for each append."""
        if self.is_decided:
            return
        if isinstance(error, Refusal):
            own = Refusal(error.reason, error.message)
            own.facts = error.facts | ({"stream": self.stream} if "stream" in error.facts else {})
            own.__cause__ = error.__cause__
            error = own
        self.error = error
        self.tell(self)


class Writer:
    """Takes appends, and stores what has come in meanwhile in one transaction after the other.

    Two appends to one stream, or with an event id in common, are never in one batch: the later
    one waits for the next. So appends to one stream are decided in the order in which they came.
    """

    def __init__(
        self,
        storage: AppendStorage,
        catalogue: Catalogue,
        sealer: Sealer,
        committed: Callable[[int], object] = lambda _: None,
    ) -> None:
        """`committed` gets the position that the log has reached with a batch."""
        self._storage = storage
        self._catalogue = catalogue
        self._committed = committed
        self._judging = Judging(catalogue, self._judged)
        self._lookups = Lookups(storage, self._looked_up)
        self._sealer = sealer
        self._sealing = Sealing(sealer, self._sealed)
        # What goes into the next batches, at most one append of each stream. What takes long to be
        # held to the rules is judged before, and then what it refers to is looked up.
        self._ready: deque[Waiting] = deque()
        # By stream of each append that is ready or under way: those that wait behind it.
        self._behind: dict[str, deque[Waiting] | None] = {}
        self._appends = 0
        self._bytes = 0
        self._writing: asyncio.Task[None] | None = None
        self._closed = False

    def submit(self, append: _core.Append, tell: Callable[[Waiting], None]) -> Waiting:
        """Takes an append, and tells when it is decided; OVERLOADED if too many wait already."""
        if self._closed:
            raise _closed()
        if self._appends >= APPENDS_WAITING_MAX:
            raise _overloaded("appends_waiting", APPENDS_WAITING_MAX)
        if self._bytes + append.size_bytes > APPENDS_WAITING_BYTES_MAX:
            raise _overloaded("appends_waiting_bytes", APPENDS_WAITING_BYTES_MAX)
        waiting = Waiting(append, tell)
        self._appends += 1
        self._bytes += append.size_bytes
        if not append.plain:
            self._admit(waiting)
        elif waiting.stream not in self._behind:
            self._behind[waiting.stream] = None
            self._admit(waiting)
        elif (behind := self._behind[waiting.stream]) is not None:
            behind.append(waiting)
        else:
            self._behind[waiting.stream] = deque((waiting,))
        self._begin()
        return waiting

    async def store(self, append: _core.Append) -> _core.Outcome:
        """What became of an append. Cancelled while it waits, it has stored nothing; once it is
        under way it is carried through, and the caller who left gets OUTCOME_UNKNOWN.
        """
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def tell(_: Waiting) -> None:
            if not told.done():
                told.set_result(None)

        waiting = self.submit(append, tell)
        try:
            await told
        except asyncio.CancelledError as error:
            if not waiting.withdraw(_left()):
                raise faults.outcome_unknown(waiting.stream) from error
            raise
        if waiting.outcome is None:
            assert waiting.error is not None
            raise waiting.error
        return waiting.outcome

    async def close(self) -> None:
        """Refuses what waits, and lets the batch under way end."""
        self._closed = True
        self._refuse_all(_closed())
        if self._writing is not None:
            await asyncio.wait({self._writing}, timeout=CLOSE_S_MAX)
        # Whoever is still under way loses the connection, and is told that nobody knows.
        await self._storage.close()

    def _admit(self, waiting: Waiting) -> None:
        """Takes an append whose turn has come, after all before it in its stream were decided."""
        if not waiting.append.judged:
            self._judging.begin(waiting)
        elif waiting.append.references is None:
            self._seal(waiting)
        else:
            self._lookups.begin(waiting)

    def _seal(self, waiting: Waiting) -> None:
        """Takes an append that passed everything but the database; keys are mostly in memory."""
        if not waiting.append.is_personal or self._sealer.is_sealed(waiting.append):
            self._ready.append(waiting)
        else:
            self._sealing.begin(waiting)

    def _judged(self, waiting: Waiting) -> None:
        """Takes an append that was held to the rules."""
        if self._closed:
            waiting.fail(_closed())
        if waiting.is_decided:
            self._leave(waiting)
        else:
            self._admit(waiting)
        self._begin()

    def _looked_up(self, waiting: Waiting) -> None:
        """Takes an append whose references were looked up."""
        if self._closed:
            waiting.fail(_closed())
        if waiting.is_decided:
            self._leave(waiting)
        else:
            self._seal(waiting)
        self._begin()

    def _sealed(self, waiting: Waiting) -> None:
        """Takes an append whose personal values were sealed."""
        if self._closed:
            waiting.fail(_closed())
        if waiting.is_decided:
            self._leave(waiting)
        else:
            self._ready.append(waiting)
        self._begin()

    def _begin(self) -> None:
        """Goes on writing if there is something to write."""
        if self._ready and self._writing is None:
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        try:
            while self._ready:
                try:
                    await self._storage.ready()
                except Exception as error:  # noqa: BLE001 - the appends are told
                    self._refuse_all(error)
                    continue
                batch, appends = self._next_batch()
                if batch:
                    await self._store(batch, appends)
        finally:
            self._writing = None

    def _next_batch(self) -> tuple[list[Waiting], _core.AppendBatch]:
        """What goes into one transaction: plain appends first, each kind in order of arrival."""
        appends = _core.AppendBatch()
        plain: list[Waiting] = []
        others: list[Waiting] = []
        held: list[Waiting] = []
        size = events = 0
        room = self._room()
        while self._ready and room > 0:
            waiting = self._ready.popleft()
            if waiting.error is not None:
                self._leave(waiting)
                continue
            append = waiting.append
            if (plain or others) and (
                size + append.size_bytes > BATCH_BYTES_MAX
                or events + append.events > BATCH_EVENTS_MAX
            ):
                self._ready.appendleft(waiting)
                break
            if not append.plain:
                # In a statement of its own, where it sees the others.
                others.append(waiting)
            elif appends.add(append):
                plain.append(waiting)
            else:
                held.append(waiting)
                continue
            room -= 1
            size += append.size_bytes
            events += append.events
            waiting.under_way = True
        self._ready.extendleft(reversed(held))
        for waiting in others:
            appends.add(waiting.append)
        return plain + others, appends

    def _room(self) -> int:
        """How many appends the next batch may take."""
        if self._appends <= BATCH_ALL_APPENDS_MAX:
            return BATCH_APPENDS_MAX
        return min((self._appends + 1) // 2, BATCH_APPENDS_MAX)

    async def _store(self, batch: Sequence[Waiting], appends: _core.AppendBatch) -> None:
        """Stores the batch and answers it; whatever happens, every append gets an answer."""
        try:
            outcomes, newest = await self._storage.store(appends, batch[0].stream)
        except Exception as error:  # noqa: BLE001 - the appends are told
            if isinstance(error, Refusal) or len(batch) == 1:
                for waiting in batch:
                    waiting.fail(error)
                    self._leave(waiting)
                return
            # One of them broke the statement, and the others have nothing to do with it.
            for waiting in batch:
                alone = _core.AppendBatch()
                alone.add(waiting.append)
                await self._store([waiting], alone)
            return
        if newest is not None:
            self._committed(newest)
        stale: list[Waiting] = []
        found = 0
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if outcome.stale is not None:
                found = outcome.stale
                stale.append(waiting)
                continue
            waiting.decide(outcome)
            self._leave(waiting)
        if stale:
            await self._check_again(stale, found)

    async def _check_again(self, stale: Sequence[Waiting], version: int) -> None:
        """Has appends checked under the rules that are in force by now, while others are stored."""
        try:
            await self._catalogue.at_least(version)
            for waiting in stale:
                await self._sealer.look_up(waiting.append)
        except Exception as error:  # noqa: BLE001 - the appends are told
            for waiting in stale:
                waiting.fail(error)
                self._leave(waiting)
            return
        for waiting in stale:
            waiting.under_way = False
            self._judging.begin(waiting)

    def _leave(self, waiting: Waiting) -> None:
        """Forgets an append that has its answer; the next one to its stream becomes ready."""
        self._appends -= 1
        self._bytes -= waiting.append.size_bytes
        if not waiting.append.plain:
            return
        if behind := self._behind[waiting.stream]:
            self._admit(behind.popleft())
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
                self._bytes -= waiting.append.size_bytes


def _closed() -> Refusal:
    return Refusal("SHUTTING_DOWN", "the server is shutting down; nothing was stored")


def _left() -> Refusal:
    return Refusal("CANCELLED", "the caller has left; nothing was stored")


def _overloaded(resource: str, limit: int) -> Refusal:
    return Refusal(
        "OVERLOADED",
        "as many appends wait as the server accepts; nothing was stored",
        resource=resource,
        limit=limit,
    )
