"""The sessions of one group in this server process: one hand that settles for all of them, and one
that gives them events. All state is in PostgreSQL, where other processes do the same.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

from eventfold_server import limits
from eventfold_server.domain.groups.admin import no_group
from eventfold_server.domain.groups.condition import compiled, passing
from eventfold_server.domain.groups.session import Answer, Pending, Session
from eventfold_server.domain.tail import Tail
from eventfold_server.errors import Refusal
from eventfold_server.storage.groups import GroupStorage, Settled

# What is due may be in the hands of another process at the moment.
_PAUSE_S_MIN = 0.01


class Room:
    """The sessions of one group."""

    def __init__(
        self, group_no: int, condition: str | None, groups: GroupStorage, tail: Tail
    ) -> None:
        self.group_no = group_no
        self._groups = groups
        self._tail = tail
        self._condition = compiled(condition)
        self.sessions: dict[int, Session] = {}
        self._pending: deque[Pending] = deque()
        self._settle_now = asyncio.Event()
        self._deal_now = asyncio.Event()
        # What was seen of the log and of the group last.
        self._head = 0
        self._cursor = -1
        # The cursor behind which stands an event that the condition cannot tell of.
        self._stopped_at: int | None = None
        self._said_alive = 0.0
        # Which session comes first, in turn.
        self._turn = 0
        self._tasks: list[asyncio.Task[None]] = []
        # True: its sessions are being ended, and it takes no other ones.
        self.broken = False

    def enter(self, session: Session) -> None:
        """Adds a session; the first one opens the room."""
        self.sessions[session.number] = session
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._run(hand))
                for hand in (self._settle, self._deal, self._follow)
            ]
        self._said_alive = 0.0
        self.changed()

    def leave(self, session: Session) -> None:
        """Removes a session; the room closes behind the last one."""
        self.sessions.pop(session.number, None)
        if not self.sessions:
            for task in self._tasks:
                task.cancel()
            self._tasks = []

    def changed(self) -> None:
        """Looks at what can be given to whom."""
        self._deal_now.set()

    def settle(self, pending: Pending) -> None:
        """Settles, in the order in which this is called."""
        self._pending.append(pending)
        self._settle_now.set()

    async def _run(self, hand: Callable[[], Awaitable[None]]) -> None:
        """One of the tasks of the room; what ends it ends the sessions."""
        try:
            await hand()
        except Exception as error:  # noqa: BLE001 - every session tells it to its caller
            self.broken = True
            for session in list(self.sessions.values()):
                session.end(error)

    # Settling.

    async def _settle(self) -> None:
        while True:
            await self._settle_now.wait()
            self._settle_now.clear()
            while self._pending:
                await self._settle_some()

    async def _settle_some(self) -> None:
        """Settles what is pending, up to the limit of a statement, and has it answered."""
        some = [self._pending.popleft()]
        events = some[0].events
        while self._pending and events + self._pending[0].events <= limits.GROUP_SETTLE_EVENTS_MAX:
            some.append(self._pending.popleft())
            events += some[-1].events
        settlements = [one.settlement for one in some if one.settlement is not None]
        outcomes: list[Settled] = []
        refused: Refusal | None = None
        if settlements:
            try:
                outcomes = await self._groups.settle(self.group_no, settlements)
            except Refusal as refusal:
                refused = refusal
            # Streams may be free now.
            self.changed()
        done = iter(outcomes)
        for one in some:
            if one.settlement is None:
                one.session.answer(Answer(one.number, [], one.refused, [], one.events))
            elif refused is not None:
                one.session.answer(Answer(one.number, [], refused, [], one.events))
            else:
                one.session.answer(_answer(one, next(done)))

    # Giving.

    async def _deal(self) -> None:
        while True:
            self._deal_now.clear()
            due_in_s, wanted = await self._give()
            if wanted and self._head > self._cursor and await self._take_in():
                continue
            pause_s = limits.GROUP_ALIVE_PAUSE_S
            if wanted:
                pause_s = limits.GROUP_IDLE_PAUSE_S
                if due_in_s is not None:
                    pause_s = min(max(due_in_s, _PAUSE_S_MIN), limits.GROUP_BUSY_PAUSE_S)
            try:
                async with asyncio.timeout(pause_s):
                    await self._deal_now.wait()
            except TimeoutError:
                # Something may have happened elsewhere: a reset, for one.
                self._cursor = -1

    async def _give(self) -> tuple[float | None, bool]:
        """Gives what is ready to sessions that take it; when something is due, and whether more is
        wanted.
        """
        while True:
            hungry = [session for session in self.sessions.values() if session.wants]
            self._turn += 1
            first = self._turn % max(len(hungry), 1)
            hungry = hungry[first:] + hungry[:first]
            claimed = await self._groups.claim(
                self.group_no,
                [session.number for session in hungry],
                [session.wants for session in hungry],
                self._alive(),
            )
            if claimed is None:
                raise no_group(next((s.group for s in self.sessions.values()), ""))
            for index, delivery in claimed.deliveries.items():
                hungry[index].deliver(delivery)
            wanted = any(session.wants for session in self.sessions.values())
            if not claimed.deliveries or not wanted:
                return claimed.due_in_s, wanted

    def _alive(self) -> list[int]:
        """The sessions, when it is time to say that they are alive."""
        now = time.monotonic()
        if now < self._said_alive + limits.GROUP_ALIVE_PAUSE_S:
            return []
        self._said_alive = now
        return list(self.sessions)

    async def _take_in(self) -> bool:
        """Takes the next events of the log into the group; True: there are new ones to give, or
        another process took them in. Raises why none behind the cursor can be, once all before it
        are settled or set aside.
        """
        while True:
            events = await self._groups.next_events(self.group_no)
            if events is None:
                return True
            self._cursor, self._head = events.cursor, events.head
            if events.up_to == events.cursor:
                # At the end, or as much is open as may be.
                return False
            if self._stopped_at == events.cursor and events.open_entries:
                return False
            events = await passing(self._groups, events, self._condition)
            told = events.stopped is not None and self._stopped_at == events.cursor
            if not told and not await self._groups.take_in(self.group_no, events):
                return True
            self._cursor = events.up_to
            if events.stopped is not None:
                self._stopped_at = events.up_to
                if not events.open_entries and not events.positions:
                    raise events.stopped
                return bool(events.positions)
            if events.positions:
                return True

    async def _follow(self) -> None:
        """Has the group looked at when the log grows."""
        head = 0
        while True:
            try:
                # Not for ever: the head of a log that lost its end is lower.
                head = await self._tail.wait_beyond(head, limits.GROUP_ALIVE_PAUSE_S)
            except Refusal:
                # The server stops, and lets the sessions settle what they have.
                return
            self._head = max(self._head, head)
            self.changed()


def _answer(pending: Pending, settled: Settled) -> Answer:
    if not settled.lost:
        return Answer(pending.number, settled.parked, None, [], pending.events)
    assert pending.settlement is not None
    first = settled.lost[0]
    at = pending.settlement.positions.index(first)
    refused = Refusal(
        "LEASE_LOST",
        f"the lease of the event at position {first} has ended, or is not one of this session",
        group=pending.session.group,
        position=first,
        lease=pending.settlement.leases[at],
    )
    return Answer(pending.number, settled.parked, refused, settled.lost, pending.events)
