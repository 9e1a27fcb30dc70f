"""Goal: whatever is done to a group in whatever order, it does what a simple model of it does.

Method: random operations on the storage of groups on a real PostgreSQL, and on the model; after
each of them the answers and all of the tables are compared. Time is set in rows: a lease has run
out, and a wait has ended, when its row says so.
"""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from tests.support.group_model import (
    ACK,
    EXTEND,
    LEASED,
    PARK,
    READY,
    RETRY,
    SKIP,
    WAITING,
    GroupModel,
    Settle,
)

from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.database import Database
from eventfold_server.storage.groups import GroupSpec, GroupStorage, NextEvents, Settlement

# More of them find more: GROUP_MODEL_SEEDS=50.
SEEDS = int(os.environ.get("GROUP_MODEL_SEEDS", "1"))
STREAMS = 6
STEPS = 120
HOUR = timedelta(hours=1)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[tuple[GroupStorage, Any, str]]:
    schema = f"test_{uuid.uuid4().hex}"
    database = Database(database_url, schema)
    await database.open()
    connection = await asyncpg.connect(database_url)
    try:
        yield GroupStorage(database, Catalogue(database)), connection, schema
    finally:
        await connection.close()
        await database.close()


class Run:
    """A group and its model."""

    def __init__(self, groups: GroupStorage, connection: Any, schema: str, seed: int) -> None:
        self.groups, self.connection, self.schema = groups, connection, schema
        self.random = random.Random(seed)
        self.model: GroupModel
        self.group_no = 0
        self.sessions: list[int] = []
        # What consumers have seen, and may settle whether it is still theirs or not.
        self.seen: list[tuple[int, int, int]] = []
        self.done: list[str] = []

    async def begin(self, ordered: bool, hold_back: bool) -> None:
        attempts_max = self.random.choice([1, 2, 3])
        self.model = GroupModel(ordered, hold_back, attempts_max)
        spec = GroupSpec(
            None, None, None, None, None, False, None, HOUR, attempts_max, HOUR, 2.0, 2 * HOUR,
            hold_back, ordered,
        )  # fmt: skip
        assert await self.groups.create("g", spec, "w", 0)
        for number in range(3):
            begun = await self.groups.begin_session("g", f"c{number}", "w")
            assert begun is not None
            self.group_no = begun[0]
            self.sessions.append(begun[1])

    async def append(self) -> None:
        new = [self.random.randint(1, STREAMS) for _ in range(self.random.randint(1, 20))]
        first = len(self.model.streams) + 1
        self.model.streams += new
        await self.connection.execute(
            f"""
            INSERT INTO {self.schema}.events
                   (position, stream_no, version, recorded_at, occurred_at, event_id, type,
                    category, writer, data, metadata, sent_digest, stored_digest)
            SELECT p, s, p, now(), now(), gen_random_uuid(), 'T', 'c', 'w', '', '', sha256(''),
                   sha256('') FROM unnest($1::bigint[], $2::bigint[]) AS n (p, s)
            """,
            range(first, first + len(new)),
            new,
        )
        await self.connection.execute(
            f"UPDATE {self.schema}.counter SET position = $1", len(self.model.streams)
        )

    async def take_in(self) -> None:
        events = await self.groups.next_events(self.group_no)
        assert events is not None
        assert events.cursor == self.model.cursor
        assert list(events.positions) == list(range(events.cursor + 1, events.up_to + 1))
        if self.random.random() < 0.2 and events.cursor:
            # Somebody who looked before another took it in.
            late = NextEvents(events.cursor - 1, events.head, events.up_to, [], [], 0)
            assert not await self.groups.take_in(self.group_no, late)
        assert await self.groups.take_in(self.group_no, events)
        self.model.take_in(events.up_to)
        assert events.up_to == len(self.model.streams)

    async def claim(self) -> None:
        """Gives until nobody wants more, or nothing is ready."""
        await self.time_passes()
        left = {session: self.random.choice([0, 1, 3, 10]) for session in self.sessions}
        while True:
            hungry = [session for session, credits_ in left.items() if credits_]
            claimed = await self.groups.claim(
                self.group_no, hungry, [left[session] for session in hungry], self.sessions
            )
            assert claimed is not None
            given = {
                hungry[index]: list(zip(one.positions, one.leases, one.attempts, strict=True))
                for index, one in claimed.deliveries.items()
            }
            self.model.claim(given)
            for session, events in given.items():
                left[session] -= len(events)
                assert left[session] >= 0, "more than was granted"
                self.seen += [(session, position, lease) for position, lease, _ in events]
            if not given:
                break
        ready = [lane for lane in self.model.lanes.values() if lane.state == READY]
        assert not ready or not any(left.values()), "something is ready, and somebody wants it"
        busy = [lane for lane in self.model.lanes.values() if lane.state in (LEASED, WAITING)]
        assert (claimed.due_in_s is not None) == bool(busy)

    async def time_passes(self) -> None:
        """Lets some leases run out and some waits end, which the next claim notices."""
        due = [
            number
            for number, lane in sorted(self.model.lanes.items())
            if lane.state in (LEASED, WAITING) and self.random.random() < 0.15
        ]
        await self.connection.execute(
            f"UPDATE {self.schema}.group_lanes SET due_at = now() - interval '1 s'"
            " WHERE lane = ANY ($1)",
            due,
        )
        ran_out = [n for n in due if self.model.lanes[n].state == LEASED]
        for number in set(due) - set(ran_out):
            self.model.lanes[number].state = READY
        self.model.end_leases(ran_out, failed=True)

    async def settle(self) -> None:
        settlements = []
        for _ in range(self.random.randint(1, 4)):
            action = self.random.choice([ACK, ACK, ACK, RETRY, PARK, SKIP, EXTEND])
            session = self.random.choice(self.sessions)
            # Mostly of this session and new; now and then of another one, or long gone.
            own = [seen[1:] for seen in self.seen[-60:] if seen[0] == session]
            any_ = [seen[1:] for seen in self.seen]
            pool = own if self.random.random() < 0.9 else any_
            drawn = dict(self.random.sample(pool, min(len(pool), self.random.randint(1, 6))))
            events = tuple(drawn.items())
            if events:
                settlements.append(Settle(session, action, events))
        if not settlements:
            return
        answers = await self.groups.settle(
            self.group_no,
            [
                Settlement(
                    one.session,
                    one.action,
                    [position for position, _ in one.events],
                    [lease for _, lease in one.events],
                    "because",
                    None,
                )
                for one in settlements
            ],
        )
        expected = self.model.settle(settlements)
        assert [(one.lost, one.parked) for one in answers] == expected, settlements

    async def end_session(self) -> None:
        session = self.random.choice(self.sessions)
        failed = self.random.random() < 0.5
        await self.groups.end_session(self.group_no, session, failed=failed)
        theirs = [n for n, lane in self.model.lanes.items() if lane.session == session]
        self.model.end_leases(sorted(theirs), failed=failed)
        begun = await self.groups.begin_session("g", "again", "w")
        assert begun is not None
        self.sessions[self.sessions.index(session)] = begun[1]

    async def unpark(self) -> None:
        purge = self.random.random() < 0.3
        positions = [p for p in self.model.parked if self.random.random() < 0.5]
        positions += self.random.sample(range(1, 50), 2)
        done = await self.groups.unpark(self.group_no, positions, None, purge)
        assert done == self.model.unpark(positions, purge=purge)

    async def reset(self) -> None:
        if self.random.random() < 0.2:
            cursor = self.random.randint(0, len(self.model.streams))
            assert await self.groups.reset(self.group_no, cursor)
            self.model.reset(cursor)

    async def compare(self) -> None:
        entries = await self._rows("SELECT lane, position, attempts FROM {}.group_entries")
        assert entries == sorted(
            (number, position, entry.attempts)
            for number, lane in self.model.lanes.items()
            for position, entry in lane.entries.items()
        )
        lanes = await self._rows(
            "SELECT lane, state, head, entries, coalesce(lease, 0), coalesce(session, 0), under_way"
            " FROM {}.group_lanes"
        )
        assert lanes == sorted(
            (
                number,
                lane.state,
                min(lane.entries, default=None),
                len(lane.entries),
                lane.lease,
                lane.session,
                len(lane.delivered),
            )
            for number, lane in self.model.lanes.items()
        )
        parked = await self._rows("SELECT position, lane, attempts, cause FROM {}.group_parked")
        assert parked == sorted((p, *found) for p, found in self.model.parked.items())
        group = await self.groups.get("g")
        assert group is not None
        assert (group.cursor, group.progress) == (self.model.cursor, self.model.progress)
        given_up = self.model.acknowledged | self.model.parked.keys()
        assert given_up.isdisjoint(p for lane in self.model.lanes.values() for p in lane.entries)

    async def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        rows = await self.connection.fetch(sql.format(self.schema))
        return sorted(tuple(row) for row in rows)


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize(
    ("ordered", "hold_back"), [(True, True), (True, False), (False, False)],
    ids=["hold_back", "let_pass", "unordered"],
)  # fmt: skip
async def test_a_group_does_what_the_model_does(
    store: tuple[GroupStorage, Any, str], ordered: bool, hold_back: bool, seed: int
) -> None:
    run = Run(*store, seed)
    await run.begin(ordered, hold_back)
    steps = [run.append, run.take_in, run.claim, run.settle, run.end_session, run.unpark, run.reset]
    weights = [3, 3, 5, 8, 1, 1, 1]
    for _ in range(STEPS):
        step = run.random.choices(steps, weights)[0]
        run.done.append(step.__name__)
        await step()
        await run.compare()
    # The run was one that tried something.
    assert {"settle", "claim", "unpark"} <= set(run.done)
    assert run.model.acknowledged
