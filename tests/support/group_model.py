"""A simple model of one consumer group: what it must do, with nothing of how it does it."""

from __future__ import annotations

from dataclasses import dataclass, field

ACK, RETRY, PARK, SKIP, EXTEND = 1, 2, 3, 4, 5
READY, LEASED, WAITING, HELD = 1, 2, 3, 4


@dataclass
class Entry:
    """An event that is neither settled nor parked."""

    attempts: int = 0


@dataclass
class Lane:
    """What is with one consumer at a time."""

    entries: dict[int, Entry] = field(default_factory=dict)
    state: int = READY
    lease: int = 0
    session: int = 0
    # Positions that were delivered under the lease and are not settled.
    delivered: set[int] = field(default_factory=set)

    def end_lease(self, state: int) -> None:
        self.state, self.lease, self.session, self.delivered = state, 0, 0, set()


@dataclass(frozen=True)
class Settle:
    """A settlement: positions with their leases."""

    session: int
    action: int
    events: tuple[tuple[int, int], ...]


@dataclass
class GroupModel:
    """One group on a log in which the event at position N is of stream `streams[N - 1]`."""

    ordered: bool
    hold_back: bool
    attempts_max: int
    streams: list[int] = field(default_factory=list)
    cursor: int = 0
    lanes: dict[int, Lane] = field(default_factory=dict)
    # By position: lane, attempts, cause.
    parked: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    acknowledged: set[int] = field(default_factory=set)
    newest_lease: int = 0

    @property
    def progress(self) -> int:
        open_ = [position for lane in self.lanes.values() for position in lane.entries]
        return min([self.cursor, *(position - 1 for position in open_)])

    def take_in(self, up_to: int) -> None:
        for position in range(self.cursor + 1, up_to + 1):
            lane = self.streams[position - 1] if self.ordered else position
            self.lanes.setdefault(lane, Lane()).entries[position] = Entry()
        self.cursor = up_to

    def claim(self, given: dict[int, list[tuple[int, int, int]]]) -> None:
        """Checks what sessions were given (position, lease, attempt), and notes it."""
        for session, events in given.items():
            self._deliver(session, events)
        leases = [lease for events in given.values() for _, lease, _ in events]
        self.newest_lease = max([self.newest_lease, *leases])

    def _deliver(self, session: int, events: list[tuple[int, int, int]]) -> None:
        positions = [position for position, _, _ in events]
        assert positions == sorted(set(positions))
        given: dict[int, list[int]] = {}
        for position, lease, attempt in events:
            [number] = [n for n, lane in self.lanes.items() if position in lane.entries]
            lane = self.lanes[number]
            assert attempt == lane.entries[position].attempts + 1
            given.setdefault(number, []).append(position)
            if lane.state == READY:
                lane.state, lane.lease, lane.session = LEASED, lease, session
            assert (lane.state, lane.lease, lane.session) == (LEASED, lease, session)
        for number, positions in given.items():
            lane = self.lanes[number]
            assert lane.lease > self.newest_lease, "an old lease"
            assert not lane.delivered, "given while it was with somebody"
            assert positions == sorted(lane.entries)[: len(positions)], "out of order"
            lane.delivered = set(positions)

    def settle(self, settlements: list[Settle]) -> list[tuple[list[int], list[int]]]:
        """What is lost of each settlement, and what is parked because of it."""
        answers = []
        for one in settlements:
            lost, parked = set(), []
            given_back: dict[int, bool] = {}
            touched = set()
            for position, lease in sorted(set(one.events)):
                number = next(
                    (
                        n
                        for n, lane in self.lanes.items()
                        if lane.state == LEASED
                        and (lane.lease, lane.session) == (lease, one.session)
                        and position in lane.delivered
                    ),
                    None,
                )
                if number is None:
                    lost.add(position)
                    continue
                touched.add(number)
                if one.action == EXTEND:
                    continue
                lane = self.lanes[number]
                entry = lane.entries[position]
                if one.action == RETRY:
                    entry.attempts += 1
                    spent = entry.attempts >= self.attempts_max
                    given_back[number] = given_back.get(number, False) or not spent
                    if not spent:
                        continue
                    parked.append(position)
                    self._park(number, position, 2)
                elif one.action == PARK:
                    entry.attempts += 1
                    if self.hold_back:
                        given_back.setdefault(number, False)
                    self._park(number, position, 1)
                else:
                    self.acknowledged.add(position)
                    del lane.entries[position]
                lane.delivered.discard(position)
            for number, waits in given_back.items():
                self.lanes[number].end_lease(WAITING if waits else READY)
            for number in touched:
                self._tidy(number)
            answers.append((sorted(lost), parked))
        return answers

    def end_leases(self, lanes: list[int], *, failed: bool) -> None:
        """Ends the leases of lanes, whose consumers are gone or too late."""
        for number in lanes:
            lane = self.lanes[number]
            head = min(lane.entries)
            counted = failed and head in lane.delivered
            lane.end_lease(READY)
            if counted:
                lane.entries[head].attempts += 1
                if lane.entries[head].attempts >= self.attempts_max:
                    self._park(number, head, 3)
            self._tidy(number)

    def unpark(self, positions: list[int], *, purge: bool) -> int:
        known = [position for position in set(positions) if position in self.parked]
        for position in known:
            number, _, _ = self.parked.pop(position)
            if not purge:
                lane = self.lanes.setdefault(number, Lane())
                lane.entries[position] = Entry()
            if number in self.lanes:
                if self.lanes[number].state == HELD:
                    self.lanes[number].state = READY
                self._tidy(number)
        return len(known)

    def reset(self, cursor: int) -> None:
        self.cursor = cursor
        self.parked = {p: found for p, found in self.parked.items() if p <= cursor}
        self.acknowledged = {p for p in self.acknowledged if p <= cursor}
        self.lanes = {}
        if self.hold_back:
            self.lanes = {number: Lane(state=HELD) for number, _, _ in self.parked.values()}

    def _park(self, number: int, position: int, cause: int) -> None:
        entry = self.lanes[number].entries.pop(position)
        self.parked[position] = (number, entry.attempts, cause)

    def _tidy(self, number: int) -> None:
        """The state of a lane after something happened to its events."""
        lane = self.lanes[number]
        held = self.hold_back and any(lane_no == number for lane_no, _, _ in self.parked.values())
        if held:
            lane.end_lease(HELD)
        elif not lane.entries:
            del self.lanes[number]
        elif lane.state == LEASED and not lane.delivered:
            lane.end_lease(READY)
