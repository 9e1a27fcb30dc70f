"""The deliveries of one session of a consumer: waiting, in hand, and to be settled. No I/O.

Not safe for threads: the session around it has a lock.
"""

import enum
import itertools
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from weakref import WeakSet

from eventfold._errors import ConnectionFailed, EventfoldError
from eventfold._events import EventPage, RecordedEvent
from eventfold._failures import error_from_status
from eventfold._generated.errors import LeaseLost
from eventfold._reconnects import SILENCE_S
from eventfold.v1 import consumer_groups_pb2 as pb

# Acks wait so long for company, unless the consumer waits too: one message for many costs both
# sides less, and one that is lost with the session is delivered again.
_ACK_DELAY_S = 0.01
# A settlement that the storage refused is sent again after so long.
_REPEAT_S = 0.25
_POSITIONS_MAX = 10_000
_REASON_CHARACTERS_MAX = 1_024


def fault_of(error: BaseException) -> str:
    """The class of an exception and where it was raised. Its text may hold personal data, and a
    reason is kept beside the log.
    """
    frames = traceback.extract_tb(error.__traceback__)
    name = type(error).__qualname__
    return f"{name} at {frames[-1].filename}:{frames[-1].lineno}" if frames else name


class State(enum.Enum):
    """What is with a delivery."""

    WAITING = "waiting"
    IN_HAND = "in hand"
    SETTLING = "settling"
    SETTLED = "settled"
    LOST = "lost"


@dataclass(eq=False, slots=True, weakref_slot=True)
class Item:
    """A delivered event.

    Attributes:
        event: the event.
        lease: under which it was delivered.
        attempt: which delivery of it this is, from 1.
        touched: when the lease began, or was extended, by the clock of this process.
        state: what is with it.
        error: why it is lost.
        was_parked: a retry parked it, because its attempts are used up.
        waiters: who waits for it to be settled.
    """

    event: RecordedEvent
    lease: int
    attempt: int
    touched: float
    state: State = State.WAITING
    error: EventfoldError | None = None
    was_parked: bool = False
    waiters: list[Callable[[Any], object]] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether it can be settled."""
        return self.state in (State.WAITING, State.IN_HAND)

    @property
    def is_unsettled(self) -> bool:
        """Whether nobody has settled it, be it lost or not."""
        return self.is_open or self.state is State.LOST

    def tell(self) -> None:
        """Tells who waits what became of it."""
        for waiter in self.waiters:
            waiter(self.error or True)
        self.waiters.clear()


class Lost(NamedTuple):
    """A delivery that was settled too late, or not at all."""

    item: Item
    error: EventfoldError


class _Settling(NamedTuple):
    """One that is to be sent, with others of the same kind."""

    action: "pb.SettleAction.ValueType"
    reason: str
    delay_s: float | None


class Desk:
    """What one session has of the events of a group."""

    def __init__(
        self,
        group: str,
        consumer: str,
        under_way_max: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._start: pb.ConsumeStart | None = pb.ConsumeStart(group=group, consumer=consumer)
        self._group = group
        self._credits_max = under_way_max
        self._credits_due = under_way_max
        self._clock = clock
        self._numbers = itertools.count(1)
        self._waiting: deque[Item] = deque()
        # By position, in the order of delivery.
        self._open: dict[int, Item] = {}
        # Also those that were lost meanwhile, until their handlers come back or forget them.
        self._in_hand: WeakSet[Item] = WeakSet()
        self._lost: deque[Lost] = deque()
        self._due: dict[_Settling, list[Item]] = {}
        self._due_since: float | None = None
        self._repeated: list[tuple[float, _Settling, list[Item]]] = []
        self._sent: dict[int, tuple[float, _Settling, list[Item]]] = {}
        self._is_urgent = False
        self._is_stopping = False
        self._is_closing = False
        self._settings = pb.GroupSettings()
        self.session = 0
        self.is_starving = False

    # What comes.

    def receive(self, page: EventPage) -> bool:
        """Takes what the server sent; says whether it was of use to the group's work."""
        message = pb.ConsumeResponse.FromString(page.rest)
        if message.HasField("started"):
            self.session = message.started.session
            self._settings = message.started.settings
        now = self._clock()
        rows = zip(page.events(), message.leases, message.attempts, strict=True)
        for event, lease, attempt in rows:
            item = Item(event, lease, attempt, now)
            self._open[event.position] = item
            self._waiting.append(item)
        if self._is_stopping:
            self._waiting.clear()
        for answer in message.answers:
            self._answer(answer)
        return bool(len(page) or message.answers)

    def _answer(self, answer: pb.SettleAnswer) -> None:
        found = self._sent.pop(answer.number, None)
        if found is None:
            return
        _, settling, items = found
        is_extension = settling.action == pb.SETTLE_ACTION_EXTEND
        if answer.HasField("refused"):
            error = error_from_status(answer.refused)
            if error.code == "UNAVAILABLE" and not is_extension:
                self._repeated.append((self._clock() + _REPEAT_S, settling, items))
                return
            late = set(answer.refused_positions)
        else:
            error, late = None, set()
        parked = set(answer.settled.parked)
        for item in items:
            position = item.event.position
            if error is not None and (position in late or not late):
                self._lose(item, error)
            elif is_extension:
                item.touched = self._clock()
            else:
                item.was_parked = position in parked
                item.state = State.SETTLED
                item.tell()

    def _lose(self, item: Item, error: EventfoldError) -> None:
        was_waiting = item.state is State.WAITING
        self._forget(item)
        item.state = State.LOST
        item.error = error
        item.tell()
        if not was_waiting:
            self._lost.append(Lost(item, error))

    def _forget(self, item: Item) -> None:
        """It is not under way any more, and makes room for another one."""
        if self._open.get(item.event.position) is item:
            del self._open[item.event.position]
            self._credits_due += 1

    # What goes.

    def next(self) -> Item | Lost | None:
        """The next delivery, or one that was lost; None: there is none yet."""
        if self._lost:
            return self._lost.popleft()
        while self._waiting:
            item = self._waiting.popleft()
            if item.is_open:
                self.is_starving = False
                return item
        self.is_starving = True
        return None

    def begin(self, item: Item) -> bool:
        """Notes that somebody handles it from now on; False: it was lost before."""
        if item.state is not State.WAITING:
            return False
        item.state = State.IN_HAND
        self._in_hand.add(item)
        if self._clock() - item.touched > self._ack_timeout_s / 3:
            # What it waited here is not to be missing for its handling.
            self.settle(item, pb.SETTLE_ACTION_EXTEND)
        return True

    def settle(
        self,
        item: Item,
        action: "pb.SettleAction.ValueType",
        reason: str = "",
        delay_s: float | None = None,
    ) -> None:
        """Settles a delivery with the next message; one that is lost comes to nothing.

        Raises:
            RuntimeError: it is settled already.
        """
        if action != pb.SETTLE_ACTION_EXTEND:
            self._in_hand.discard(item)
        if item.state is State.LOST:
            return
        if not item.is_open:
            raise RuntimeError(f"event {item.event.position} of {self._group} is settled already")
        settling = _Settling(action, reason[:_REASON_CHARACTERS_MAX], delay_s)
        self._due.setdefault(settling, []).append(item)
        if action == pb.SETTLE_ACTION_EXTEND:
            item.touched = self._clock()
            self._is_urgent = True
            return
        item.state = State.SETTLING
        self._forget(item)
        if action == pb.SETTLE_ACTION_ACK:
            self._due_since = self._due_since or self._clock()
            return
        self._is_urgent = True
        if action == pb.SETTLE_ACTION_RETRY or (
            action == pb.SETTLE_ACTION_PARK and self._settings.on_park != pb.ON_PARK_LET_PASS
        ):
            self._give_back(item)

    def _give_back(self, first: Item) -> None:
        """Drops the later events of a stream that goes back with one of them."""
        if self._settings.unordered:
            return
        for item in list(self._open.values()):
            if (item.event.stream, item.lease) == (first.event.stream, first.lease):
                error = LeaseLost("an earlier event of its stream was given back")
                self._lose(item, error)

    def watch(self, item: Item, tell: Callable[[Any], object]) -> None:
        """Tells what becomes of a delivery: True, or the error; its ack waits for no company."""
        item.waiters.append(tell)
        if item.error is not None or item.state is State.SETTLED:
            item.tell()
        self._is_urgent = True

    @property
    def _ack_timeout_s(self) -> float:
        timeout = self._settings.ack_timeout
        return timeout.seconds + timeout.nanos / 1e9 or float("inf")

    def _extend_waiting(self, now: float) -> float:
        """Extends the leases of what waits here; returns when to look again.

        It waits because of this process, not because of a handler; one that hangs is told by the
        lease of what it has in hand, and then nothing is extended.
        """
        third = self._ack_timeout_s / 3
        if any(now - item.touched > 3 * third for item in self._in_hand):
            return now + third
        busy = {item.lease for item in self._in_hand}
        soonest = now + third
        for item in self._open.values():
            if item.state is State.WAITING and item.lease not in busy:
                if now - item.touched >= third:
                    self.settle(item, pb.SETTLE_ACTION_EXTEND)
                soonest = min(soonest, item.touched + third)
        return soonest

    def next_message(self) -> pb.ConsumeRequest | None:
        """All that is due; None: nothing is."""
        now = self._clock()
        message = pb.ConsumeRequest()
        if self._start is not None:
            message.start.CopyFrom(self._start)
            self._start = None
        elif not self._is_due(now):
            return None
        for settling, items in self._due.items():
            for first in range(0, len(items), _POSITIONS_MAX):
                self._add(message, now, settling, items[first : first + _POSITIONS_MAX])
        for _, settling, items in [one for one in self._repeated if one[0] <= now]:
            self._add(message, now, settling, items)
        self._repeated = [one for one in self._repeated if one[0] > now]
        self._due.clear()
        self._due_since = None
        self._is_urgent = False
        if not self._is_stopping:
            message.credits, self._credits_due = self._credits_due, 0
        return message if message.ByteSize() else None

    def _is_due(self, now: float) -> bool:
        if self._is_urgent or any(at <= now for at, _, _ in self._repeated):
            return True
        waits = self.is_starving or self._is_stopping
        if self._credits_due > (0 if waits else self._credits_max // 4):
            return True
        return self._due_since is not None and now - self._due_since >= _ACK_DELAY_S

    def _add(
        self, message: pb.ConsumeRequest, now: float, settling: _Settling, items: list[Item]
    ) -> None:
        number = next(self._numbers)
        self._sent[number] = (now, settling, items)
        one = message.settlements.add(number=number, action=settling.action, reason=settling.reason)
        one.positions.extend(item.event.position for item in items)
        one.leases.extend(item.lease for item in items)
        if settling.delay_s is not None:
            one.delay.FromNanoseconds(round(settling.delay_s * 1e9))

    def wait_s(self) -> float | None:
        """Seconds until something may be due though nothing happens; None: never."""
        now = self._clock()
        times = [at for at, _, _ in self._repeated]
        if self._open and not self._is_stopping:
            times.append(self._extend_waiting(now))
        if self._is_urgent:
            return 0.0
        if self._due_since is not None:
            times.append(self._due_since + _ACK_DELAY_S)
        if self._sent:
            times.append(min(at for at, _, _ in self._sent.values()) + SILENCE_S)
        finite = [at for at in times if at != float("inf")]
        return max(0.0, min(finite) - now) if finite else None

    @property
    def is_stuck(self) -> bool:
        """Whether the server has left something unanswered for too long."""
        now = self._clock()
        return any(now - at > SILENCE_S for at, _, _ in self._sent.values())

    # The end.

    def stop(self) -> None:
        """Nothing more is handed out; what is in hand can still be settled."""
        self._is_stopping = True
        self._waiting.clear()

    def close(self) -> None:
        """What was settled until now is the last."""
        self.stop()
        self._is_closing = True

    @property
    def is_finished(self) -> bool:
        """Whether the last has been sent."""
        return self._is_closing and not (self._due or self._repeated)

    def fail(self) -> None:
        """The session is over: nothing of it can be settled any more."""
        unsure = [item for _, _, items in self._sent.values() for item in items]
        for item in unsure:
            if item.state is State.SETTLING:
                text = "the session broke before the answer came; the event may be delivered again"
                self._lose(item, ConnectionFailed(text))
        due = [item for items in self._due.values() for item in items]
        repeated = [item for _, _, items in self._repeated for item in items]
        for item in (*due, *repeated, *self._open.values()):
            if item.state is State.SETTLING:
                self._lose(item, self._broken(item))
        for item in list(self._open.values()):
            item.state = State.LOST
            item.error = self._broken(item)
            item.tell()
        self._open.clear()
        self._waiting.clear()

    def _broken(self, item: Item) -> LeaseLost:
        facts = {"group": self._group, "position": item.event.position, "lease": item.lease}
        return LeaseLost("the session broke, and the event is delivered again", facts)
