"""Goal: a mapping counts from the moment at which it is in force, for every read that begins then,
on every server.

Method: mappings that number their events, put by their rows, of which no server is told; reads on
two servers at once, right behind each change and while changes go on.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.mapped import EVENTS, FOLD, READERS, Mapped, Reading, seen, wanted
from tests.support.subscriptions import subscriber
from tests.support.watching import watcher

from eventfold.v1 import event_store_pb2 as pb
from eventfold.v1 import folds_pb2

SECONDS = 6.0


def numbered(number: int) -> str:
    return f"mapping: UserRegistered\ncomputed: {{revision: '{number}'}}\n"


@pytest.fixture
async def readings(store: Mapped) -> AsyncIterator[list[Reading]]:
    async with store.readings() as opened:
        await opened[0].append(EVENTS)
        yield opened
    if "UserRegistered" in store.mapped:
        await store.drop("UserRegistered")


@pytest.mark.parametrize("name", READERS)
async def test_reads_that_begin_behind_a_change_see_it(
    store: Mapped, readings: list[Reading], name: str
) -> None:
    read = READERS[name]
    stored = await readings[0].read(raw=True)
    # Servers know what is in force, and are not told of what comes.
    plain = {event.version: (json.loads(event.data), False) for event in stored}
    assert await read(readings[1]) == plain
    live = len(await readings[0].read(raw=True)) > len(stored)
    for number in (1, 2):
        await store.put(numbered(number))
        for at in readings:
            # A reader that appends reads what it appended itself.
            expected = wanted(await at.read(raw=True), numbered(number))
            assert await read(at) == expected, f"{number}, {at.address}"
        assert live or len(expected) == len(EVENTS)
    await store.drop("UserRegistered")
    for at in readings:
        assert not any(mapped for _, mapped in (await read(at)).values())


@pytest.mark.parametrize("name", READERS)
async def test_reads_of_a_store_that_went_back_see_what_it_has(
    store: Mapped, readings: list[Reading], name: str
) -> None:
    """As after a restore, or a fail-over that lost the last change: the servers know of a mapping
    that never was.
    """
    read = READERS[name]
    [[before]] = store.sql("SELECT catalogue_version FROM {s}.counter")
    await store.put(numbered(1))
    for at in readings:
        assert any(mapped for _, mapped in (await read(at)).values())
    store.sql("DELETE FROM {s}.mappings WHERE type = 'UserRegistered'")
    store.sql("UPDATE {s}.counter SET catalogue_version = %s", before)
    store.mapped.discard("UserRegistered")
    for at in readings:
        assert not any(mapped for _, mapped in (await read(at)).values())


class History:
    """Numbers of the mappings that are surely in force, and what reads saw."""

    def __init__(self) -> None:
        self.number = 0
        self.reads = 0
        self.ends = time.monotonic() + SECONDS

    @property
    def goes_on(self) -> bool:
        return time.monotonic() < self.ends

    def check(self, before: int, numbers: list[int]) -> None:
        """What one read saw that began when a number was in force."""
        assert numbers
        # One read goes by one mapping.
        assert len(set(numbers)) == 1, numbers
        assert numbers[0] >= before
        self.reads += 1


def numbers_of(found: Any) -> list[int]:
    return [data.get("revision", 0) for data, _ in found if "first" in data]


async def test_reads_while_mappings_change(store: Mapped, readings: list[Reading]) -> None:
    history = History()
    await store.put(numbered(0))

    async def change() -> None:
        while history.goes_on:
            await store.put(numbered(history.number + 1))
            history.number += 1
            await asyncio.sleep(0.02)

    async def read(name: str, at: Reading) -> None:
        while history.goes_on:
            before = history.number
            history.check(before, numbers_of((await READERS[name](at)).values()))

    async def read_events(at: Reading) -> None:
        ids = [event.id for event in await at.read(raw=True, types=["UserRegistered"])]
        while history.goes_on:
            for id_ in ids:
                before = history.number
                history.check(before, numbers_of(seen([await at.event(id_)]).values()))

    names = ("read", "read all, filtered", "subscribe", "hydrate", "hydrate many", "explain")
    tasks = [read(name, at) for name in names for at in readings]
    await asyncio.gather(change(), *tasks, *(read_events(at) for at in readings))
    assert history.number > 2
    assert history.reads > 50


async def test_a_subscription_delivers_what_is_appended_behind_a_change_mapped(
    store: Mapped, readings: list[Reading]
) -> None:
    """By the mapping of then at least, without a gap and without repetition; one that is raw goes
    on as it was.
    """
    async with subscriber(readings[1].address) as subscribe:
        stream = readings[0].stream
        follower = subscribe(stream=stream)
        raw = subscribe(stream=stream, raw=True)
        other = subscribe(stream=stream, where="event.?revision.orValue(0) < 1000")
        everyone = (follower, raw, other)
        await asyncio.gather(*(one.until_caught_up() for one in everyone))
        for number in range(1, 6):
            await store.put(numbered(number))
            positions = await readings[0].append(EVENTS[:1])
            await asyncio.gather(*(one.until_position(positions[-1]) for one in everyone))
            assert json.loads(follower.events[-1].data)["revision"] == number
            assert json.loads(other.events[-1].data)["revision"] == number
            assert raw.events[-1].data == EVENTS[0][1]
        assert follower.positions == raw.positions == other.positions
        assert len(follower.positions) == len(EVENTS) + 5
        for one in everyone:
            # Nobody was behind, and so nobody is told that he was.
            assert one.kinds.count("CAUGHT_UP") == 1 + one.kinds.count("FELL_BEHIND")
            one.cancel()


async def test_a_watch_goes_on_with_the_state_of_the_new_mapping(
    store: Mapped, readings: list[Reading]
) -> None:
    """Each state is the one that a hydration gives that begins at the same time."""
    at = readings[1]
    async with watcher(at.address) as watch:
        one = watch(at.stream, FOLD, from_version=1)
        await one.until_version(len(EVENTS))
        for number in range(1, 4):
            await store.put(numbered(number))
            await readings[0].append(EVENTS[:2])
            version = len(EVENTS) + 2 * number
            await one.until_version(version)
            request = folds_pb2.HydrateRequest(
                stream=at.stream, fold=folds_pb2.FoldRef(source=FOLD)
            )
            found = await at.folds.Hydrate(request)
            assert (found.version, found.state) == (version, one.states[-1].state)
        # None was sent twice.
        assert one.versions == list(range(1, version + 1))
        one.cancel()


async def test_what_is_mapped_by_nobody_costs_no_reader_anything(
    store: Mapped, readings: list[Reading]
) -> None:
    """A mapping of another type changes no byte, and no mark."""
    before = await readings[0].read()
    await store.put(f"mapping: Other{uuid.uuid4().hex[:8]}\ndefaults: {{a: 1}}\n")
    for at in readings:
        found = await at.read()
        assert found == before
        assert not any(event.flags & pb.EVENT_FLAG_MAPPED for event in found)
