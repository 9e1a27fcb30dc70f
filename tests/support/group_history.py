"""What consumers of a group were given and did, held to what a group promises while it happens."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import grpc
from tests.support.groups import ACK, RETRY, Consumer, Delivered, Groups, groups_of, reason_of
from tests.support.raw import answer_of

PAUSE_SECONDS = 0.05
RUN_SECONDS_MAX = 90.0


@dataclass
class GroupHistory:
    """All that the consumers of one group did."""

    # By stream: the version that is to be handled next.
    next_version: Counter[str] = field(default_factory=Counter)
    # By stream: the newest lease under which an event was handled.
    leases: Counter[str] = field(default_factory=Counter)
    # Positions that somebody was about to acknowledge, and those of answered settlements.
    sent: set[int] = field(default_factory=set)
    settled: set[int] = field(default_factory=set)
    handled: int = 0
    again: int = 0
    lost: int = 0
    progress: int = 0
    ends: Counter[str] = field(default_factory=Counter)

    def handle(self, event: Delivered, *, fails: bool) -> None:
        """Notes that a consumer is at an event, and whether it will be tried again."""
        assert event.position not in self.settled, f"{event} was acknowledged"
        assert event.lease >= self.leases[event.stream], f"{event} is with another consumer"
        self.leases[event.stream] = event.lease
        next_ = self.next_version[event.stream] + 1
        assert event.version <= next_, f"{event} before version {next_}"
        self.handled += 1
        if event.version < next_:
            self.again += 1
        elif not fails:
            self.next_version[event.stream] = event.version

    def see_progress(self, progress: int) -> None:
        """Checks that progress is never ahead of acknowledgements."""
        ahead = set(range(self.progress + 1, progress + 1)) - self.sent
        assert not ahead, f"progress {progress} is ahead of {sorted(ahead)}"
        assert progress >= self.progress, "progress went back"
        self.progress = progress


@dataclass
class Worker:
    """A consumer that comes back whenever its session ends."""

    history: GroupHistory
    addresses: Callable[[], Sequence[str]]
    group: str
    name: str
    random: random.Random
    credits_: int = 20
    fails: float = 0.0
    # Most seconds between handling an event and settling it.
    slow_s: float = 0.0

    async def run(self) -> None:
        while True:
            address = self.random.choice(list(self.addresses()))
            try:
                async with groups_of(address) as groups:
                    consumer = await groups.consume(self.group, self.name, self.credits_)
                    self._pending, self._sent = [], {}
                    while await consumer.read():
                        await self._work(consumer)
                self.history.ends["OK"] += 1
            except asyncio.InvalidStateError:
                # What gRPC says to a write when the session has ended.
                self.history.ends["UNAVAILABLE"] += 1
            except grpc.aio.AioRpcError as error:
                answer = answer_of(error)
                self.history.ends[answer.reason or answer.code] += 1
            await asyncio.sleep(PAUSE_SECONDS)

    async def _work(self, consumer: Consumer) -> None:
        """Handles what came, in order, and settles it."""
        for number, answer in list(consumer.answers.items()):
            positions = self._sent.pop(number)
            if answer.HasField("settled"):
                self.history.settled |= positions
            elif reason_of(answer.refused) == "LEASE_LOST":
                self.history.lost += 1
                self.history.settled |= positions - set(answer.refused_positions)
            else:
                # The storage is away: nothing was done, or nobody knows.
                self.history.ends[reason_of(answer.refused)] += 1
            del consumer.answers[number]
        events, consumer.events = consumer.events, []
        while events:
            event, events = events[0], events[1:]
            fails = self.random.random() < self.fails
            self.history.handle(event, fails=fails)
            await asyncio.sleep(self.random.random() * self.slow_s)
            if fails:
                number = await consumer.settle(RETRY, [event], delay_s=0.0)
                self._sent[number] = set()
                # What it has of the stream comes again.
                kept = [other for other in events if other.lease != event.lease]
                await consumer.grant(1 + len(events) - len(kept))
                events = kept
            else:
                self.history.sent.add(event.position)
                self._pending.append(event)
            if (self._pending and not events) or len(self._pending) >= self.random.randint(1, 20):
                number = await consumer.settle(ACK, self._pending, credits_=len(self._pending))
                self._sent[number] = {one.position for one in self._pending}
                self._pending = []

    def __post_init__(self) -> None:
        self._pending: list[Delivered] = []
        # Positions by the number of their settlement.
        self._sent: dict[int, set[int]] = {}


async def until_done(
    groups: Groups, history: GroupHistory, total: int, workers: Sequence[asyncio.Task[None]]
) -> None:
    """Watches the group until so many events are settled."""
    # Below the default of `ack_timeout`: nobody waits for a lease to run out.
    async with asyncio.timeout(RUN_SECONDS_MAX):
        while history.progress < total:
            history.see_progress((await groups.get("g")).group.progress)
            for worker in workers:
                if worker.done():
                    worker.result()
            await asyncio.sleep(PAUSE_SECONDS)


async def append_all(groups: Groups, streams: Sequence[str], each: int, seed: int) -> None:
    """Appends so many events to each of the streams, a few at a time, in random order."""
    chance = random.Random(seed)
    left = dict.fromkeys(streams, each)
    while left:
        stream = chance.choice(list(left))
        count = min(chance.randint(1, 4), left[stream])
        await groups.append(stream, count)
        left[stream] -= count
        if not left[stream]:
            del left[stream]


@contextlib.asynccontextmanager
async def running(tasks: Sequence[asyncio.Task[None]]) -> AsyncIterator[None]:
    """Ends tasks after; what one of them raised is raised."""
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result
