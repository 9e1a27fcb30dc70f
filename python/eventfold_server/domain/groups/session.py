"""One session of a consumer: what it was given, what it settled, and what it is to be told."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from eventfold_server import limits
from eventfold_server.domain.requests import invalid
from eventfold_server.errors import Refusal
from eventfold_server.storage.groups import Delivery, GroupSpec, Settlement

# What the domain knows of events that a session was given is their row.
Given = Delivery

# Of the proto's SettleAction.
RETRY = 2
EXTEND = 5


@dataclass(frozen=True)
class Answer:
    """What became of a settlement."""

    number: int
    parked: list[int]
    # None: everything was settled, save the lost positions.
    refused: Refusal | None
    lost: list[int]
    # How many events it named.
    events: int


@dataclass(frozen=True)
class Pending:
    """A settlement on its way; with a refusal, only its answer."""

    session: "Session"
    number: int
    # How many events it names, at least 1.
    events: int
    settlement: Settlement | None
    refused: Refusal | None


class Session:
    """What a consumer and the room of its group tell each other."""

    def __init__(
        self, number: int, group: str, spec: GroupSpec, changed: Callable[[], None]
    ) -> None:
        """`changed` is called when the session may take more."""
        self.number = number
        self.group = group
        self.spec = spec
        self._changed = changed
        # Set when there is something to send.
        self.ready = asyncio.Event()
        # Why the session ends, if the group or the storage is why.
        self.ended: Exception | None = None
        self.deliveries: deque[Delivery] = deque()
        self.answers: deque[Answer] = deque()
        self._credits = 0
        # Events of settlements whose answers were not sent.
        self._unanswered = 0
        self._settlements = 0
        self._room = asyncio.Event()

    @property
    def wants(self) -> int:
        """How many events it takes now."""
        return min(self._credits, limits.GROUP_CLAIM_EVENTS_MAX)

    @property
    def settling(self) -> bool:
        """Whether settlements are under way, whose answers are not ready yet."""
        return self._settlements > len(self.answers)

    def grant(self, credits_: int) -> None:
        """Takes that many events more."""
        if not credits_:
            return
        if self._credits + credits_ > limits.GROUP_CREDITS_MAX:
            raise invalid(
                "credits",
                f"more than {limits.GROUP_CREDITS_MAX} are open",
                limits.GROUP_CREDITS_MAX,
            )
        self._credits += credits_
        self._changed()

    def take_no_more(self) -> None:
        """Gives up the credits, and what was not sent."""
        self._credits = 0
        self.deliveries.clear()

    def deliver(self, delivery: Delivery) -> None:
        """Has events sent."""
        self._credits = max(self._credits - len(delivery.positions), 0)
        self.deliveries.append(delivery)
        self.ready.set()

    def answer(self, answer: Answer) -> None:
        """Has an answer sent."""
        self.answers.append(answer)
        self.ready.set()

    def end(self, why: Exception) -> None:
        """Ends the session, after what is ready was sent."""
        self.ended = self.ended or why
        self.take_no_more()
        self.ready.set()

    async def room(self, events: int) -> None:
        """Waits until settlements of so many events more may be under way."""
        while self._unanswered and (self._unanswered + events > limits.GROUP_UNANSWERED_EVENTS_MAX):
            self._room.clear()
            await self._room.wait()
        self._unanswered += events
        self._settlements += 1

    def answered(self, answer: Answer) -> None:
        """Notes that an answer was sent."""
        self._unanswered -= answer.events
        self._settlements -= 1
        self._room.set()

    def pending(
        self,
        number: int,
        action: int,
        positions: list[int],
        leases: list[int],
        reason: str,
        wait: timedelta | None,
    ) -> Pending:
        """The settlement, checked."""
        events = max(len(positions), 1)
        try:
            settlement = self._checked(action, positions, leases, reason, wait)
        except Refusal as refusal:
            return Pending(self, number, events, None, refusal)
        return Pending(self, number, events, settlement, None)

    def _checked(
        self,
        action: int,
        positions: list[int],
        leases: list[int],
        reason: str,
        wait: timedelta | None,
    ) -> Settlement:
        upper = limits.GROUP_SETTLEMENT_EVENTS_MAX
        if not 1 <= action <= EXTEND:
            raise invalid("action", "is none of the known ones")
        if not 1 <= len(positions) <= upper:
            raise invalid("positions", f"from 1 to {upper} positions", upper)
        if len(leases) == 1:
            leases = leases * len(positions)
        if len(leases) != len(positions):
            raise invalid("leases", "one for each position, or one for all")
        if wait is not None:
            if action != RETRY:
                raise invalid("delay", "only with RETRY")
            if not 0 <= wait.total_seconds() <= limits.GROUP_RETRY_S_MAX:
                raise invalid(
                    "delay",
                    f"must be from 0 s to {limits.GROUP_RETRY_S_MAX:.0f} s",
                    int(limits.GROUP_RETRY_S_MAX),
                )
        return Settlement(self.number, action, positions, leases, _cut(reason), wait)


def _cut(reason: str) -> str:
    """The reason as it is kept: PostgreSQL has no NUL, and the table a limit."""
    encoded = reason.replace("\0", "\ufffd").encode()
    return encoded[: limits.GROUP_REASON_BYTES_MAX].decode(errors="ignore")
