"""The tail of the log: how far it has got, and its newest events, for all subscribers at once.

One task a server process looks at the log when it hears of an append, and every second in any
case. While somebody subscribes, it reads new events once and keeps them in memory, bounded by their
bytes; who is further behind reads pages of the log. They are kept as the mappings in force have
them, and let go when these change.
"""

import asyncio
import contextlib
import logging
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from eventfold import _core
from eventfold_server import opened
from eventfold_server.domain.requests import Caller, too_slow, waiting_time
from eventfold_server.domain.tokens import IDS_BEFORE, IdWindow
from eventfold_server.errors import Refusal
from eventfold_server.limits import TAIL_BYTES_MAX, TAIL_POLL_S
from eventfold_server.storage.tail import TailStorage

log = logging.getLogger(__name__)

# Why one event cannot be read, of which others have nothing.
_OF_ONE_EVENT = {"MAPPING_FAILED", "EVENT_CORRUPT", "KEYS_UNAVAILABLE"}
# What a page costs beside its rows: the objects that hold it, and its token.
_PAGE_OVERHEAD_BYTES = 1024


@dataclass(slots=True)
class TailPage:
    """Events that follow each other in the log, from position `first` to `last`."""

    first: int
    last: int
    rows: _core.Batch
    # Stands for `last`.
    token: bytes
    # Whether copies are among them.
    has_copies: bool
    # The lowest epoch in which a value of theirs was opened; None: none was.
    opened_epoch: int | None = None
    # All of them as field 1 of a message, once somebody wanted it.
    whole: bytes | None = None

    @property
    def size_bytes(self) -> int:
        """What it takes."""
        return self.rows.size_bytes + len(self.whole or b"") + _PAGE_OVERHEAD_BYTES


class Tail:
    """Follows the log of one store."""

    def __init__(
        self,
        storage: TailStorage,
        *,
        poll_s: float = TAIL_POLL_S,
        bytes_max: int = TAIL_BYTES_MAX,
    ) -> None:
        self._storage = storage
        self._poll_s = poll_s
        self._bytes_max = bytes_max
        # Position of the newest event that this process knows of.
        self.head = 0
        # Goes up when events begin to be kept, and when the log turns out to have lost some: what
        # was read of it before may not be of the same log.
        self.edition = 0
        self._pages: list[TailPage] = []
        # Of the mappings by which these were read.
        self._mapping_digest = storage.mapping_digest
        # Of the keyring, when these were opened.
        self._epoch = storage.epoch
        self._bytes = 0
        # Ids up to the end of the pages; None: nothing is kept, since nobody subscribes.
        self._ids: IdWindow | None = None
        # All events behind this position are in the pages, up to the newest one that was read.
        self._start = 0
        self._subscribers = 0
        self._waiters = 0
        self._wake = asyncio.Event()
        self._moved: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def start(self) -> None:
        """Begins to follow."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ends all waits with SHUTTING_DOWN."""
        self._closed = True
        self._move()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def told(self, position: int) -> None:
        """The log has reached the position; 0: it may have moved."""
        if position == 0 or position > self.head:
            self._wake.set()

    async def wait_beyond(self, position: int, timeout_s: float | None = None) -> int:
        """The head, once it lies beyond the position or the time is over; SHUTTING_DOWN when the
        server stops.
        """
        loop = asyncio.get_running_loop()
        ends = None if timeout_s is None else loop.time() + timeout_s
        self._waiters += 1
        try:
            while True:
                self.check_open()
                left = None if ends is None else ends - loop.time()
                if self.head > position or (left is not None and left <= 0):
                    return self.head
                self._wake_if_alone()
                await self.moved(left)
        finally:
            self._waiters -= 1

    async def reach(self, position: int, caller: Caller) -> None:
        """Returns when the log has the position; DEADLINE_EXCEEDED if the caller cannot wait so
        long.
        """
        if self.head >= position:
            return
        waiting_s, left = waiting_time(caller)
        head = await self.wait_beyond(position - 1, waiting_s)
        if head < position:
            problem = f"the log had not reached position {position} in time; its head is {head}"
            raise too_slow(problem, position, head, left)

    def check_open(self) -> None:
        """Raises SHUTTING_DOWN if the server stops."""
        if self._closed:
            raise Refusal("SHUTTING_DOWN", "the server is shutting down; nothing was stored")

    async def moved(self, timeout_s: float | None) -> None:
        """Returns when there is news of the log, or the time is over; SHUTTING_DOWN when the
        server stops, also if it began to before.
        """
        self.check_open()
        if self._moved is None:
            self._moved = asyncio.get_running_loop().create_future()
        await asyncio.wait((self._moved,), timeout=timeout_s)

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        """Has new events kept for as long as this lasts."""
        self._subscribers += 1
        if self._ids is None:
            self._wake.set()
        try:
            yield
        finally:
            self._subscribers -= 1
            if self._subscribers == 0:
                self._drop()

    @property
    def mapping_digest(self) -> str:
        """Of the mappings by which events are read now; empty: as they are stored."""
        return self._storage.mapping_digest

    def covers(self, position: int) -> bool:
        """Whether all events behind the position are kept, or will be when they come."""
        self._renew()
        return self._ids is not None and position >= self._start

    def page_after(self, position: int) -> TailPage | None:
        """The page with the event behind the position; it may begin before it. None: that event is
        not kept, or not there yet. Not to be held: pages go when their room is needed.
        """
        if not self.covers(position):
            return None
        index = bisect_right(self._pages, position, key=lambda page: page.last)
        if index == len(self._pages):
            return None
        opened.note(self._pages[index].opened_epoch)
        return self._pages[index]

    def encoded(self, page: TailPage) -> bytes:
        """All events of a page, for all who want all of them."""
        if page.whole is None:
            page.whole = page.rows.encode()
            self._bytes += len(page.whole)
        return page.whole

    def _renew(self) -> None:
        """Lets go of events that were read by other mappings than those of now, or opened with keys
        that may be gone.
        """
        epoch = self._storage.epoch
        if (self._mapping_digest, self._epoch) == (self.mapping_digest, epoch):
            return
        self._mapping_digest, self._epoch = self.mapping_digest, epoch
        self._pages.clear()
        self._bytes = 0
        if self._ids is not None:
            self._start = self._ids.last

    def _move(self) -> None:
        """Wakes everybody who waits for news."""
        if self._moved is not None:
            moved, self._moved = self._moved, None
            if not moved.done():
                moved.set_result(None)

    def _wake_if_alone(self) -> None:
        # With others waiting, the task is looking already.
        if self._waiters + self._subscribers == 1:
            self._wake.set()

    async def _run(self) -> None:
        reachable = True
        while True:
            if not self._subscribers and not self._waiters:
                await self._wake.wait()
            self._wake.clear()
            if self._subscribers or self._waiters:
                try:
                    await self._look()
                    reachable = True
                except Refusal as refusal:
                    if refusal.reason in _OF_ONE_EVENT:
                        # Whoever wants the event is told where it is stored; others go on.
                        self._drop()
                        self._wake.set()
                    if reachable:
                        log.warning("the tail of the log cannot be read: %s", refusal.reason)
                    reachable = False
                except Exception as error:  # noqa: BLE001 - whoever waits must not wait for ever
                    # What PostgreSQL says can quote rows, so only the kind of the fault is told.
                    log.error("fault in the tail of the log: %s", type(error).__qualname__)
                    self._drop()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll_s):
                    await self._wake.wait()

    async def _look(self) -> None:
        """Learns how far the log has got, with its events if somebody subscribes."""
        if not self._subscribers:
            self._reached(await self._storage.head())
            return
        if self._ids is None:
            await self._begin()
        while self._ids is not None and await self._read():
            pass

    async def _begin(self) -> None:
        """Keeps events from the head on."""
        state = await self._storage.state(0)
        ids = await self._storage.ids(state.position - IDS_BEFORE, state.position)
        window = IdWindow(state.position, ids)
        if window.last_id != state.head_id or not window.is_whole:
            # The log changed between the two; the next look sees it whole.
            self._wake.set()
            return
        self._ids = window
        self._start = state.position
        self.edition += 1
        self._reached(state.position)

    async def _read(self) -> bool:
        """Reads on behind the newest page; whether there is more to be read."""
        assert self._ids is not None
        end, known = self._ids.last, self._ids.last_id
        page, mapping_digest = await self._storage.page_after(end, known)
        if self._ids is None or self._ids.last != end:
            # Nobody subscribed any more while it was read.
            return False
        self._renew()
        if mapping_digest != self._mapping_digest or page.opened_epoch not in (None, self._epoch):
            return True
        if page.rows and page.batch is not None:
            self._add(page.batch.compact(), page.opened_epoch)
            return not page.done
        state = await self._storage.state(end)
        if end and state.known_id != known:
            log.warning("the log lost events that were read: position %d is another event", end)
            self._drop()
            self._reached(state.position)
            self._wake.set()
            return False
        return state.position > end

    def _add(self, rows: _core.Batch, opened_epoch: int | None) -> None:
        assert self._ids is not None
        self._ids.extend(rows.event_ids())
        first, last, token = rows.first_position, rows.last_position, self._ids.token()
        page = TailPage(first, last, rows, token, rows.has_copies, opened_epoch)
        self._pages.append(page)
        self._bytes += page.size_bytes
        gone = 0
        while self._bytes > self._bytes_max and gone < len(self._pages):
            self._bytes -= self._pages[gone].size_bytes
            self._start = self._pages[gone].last
            gone += 1
        del self._pages[:gone]
        self._reached(page.last)

    def _drop(self) -> None:
        self._pages.clear()
        self._bytes = 0
        self._ids = None

    def _reached(self, head: int) -> None:
        if head < self.head and self._subscribers == 0:
            log.warning("the head of the log went back from %d to %d", self.head, head)
        self.head = head
        self._move()
