"""Goal: no two readers disagree. Whatever reads events gives what the mapping in force makes of
them, and says so; and who asks for stored data gets them byte for byte.

Method: one stream of old and new events, read in every way there is, through two servers; the model
is the mapping applied to the stored bytes.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from tests.support.mapped import (
    EVENTS,
    MAPPING,
    READERS,
    Mapped,
    Reading,
    mapped_event,
    reading,
    seen,
    wanted,
)
from tests.support.subscriptions import subscriber

from eventfold.v1 import event_store_pb2 as pb
from eventfold.v1 import folds_pb2


@pytest.fixture(params=[0, 1])
async def at(store: Mapped, request: pytest.FixtureRequest) -> AsyncIterator[Reading]:
    """A stream that was written before its events were mapped, on each of the servers."""
    if not store.mapped:
        await store.put(MAPPING)
    async with reading(store.addresses[0]) as writing:
        await writing.append(EVENTS)
        async with reading(store.addresses[request.param], writing.stream) as other:
            yield other


def model(at: Reading, stored: list[pb.RecordedEvent]) -> dict[int, tuple[bytes, int]]:
    """Bytes and flags of each event as they must arrive."""
    found = {event.version: (event, mapped_event(event)) for event in stored}
    return {
        version: (data, event.flags | (pb.EVENT_FLAG_MAPPED if mapped else 0))
        for version, (event, (data, mapped)) in found.items()
    }


def test_the_model_maps(store: Mapped) -> None:
    event = pb.RecordedEvent(
        type="UserRegistered", stream="User-1", writer="anonymous", data=EVENTS[0][1]
    )
    data, mapped = mapped_event(event)
    assert mapped
    assert json.loads(data) == {
        "first": "Ada",
        "email": "a@example.org",
        "n": 1.5,
        "country": "CH",
        "address": {"city": None},
        "label": "Ada <a@example.org> of User-1, anonymous",
    }


@pytest.mark.parametrize("name", READERS)
async def test_every_reader_gives_the_same(at: Reading, name: str) -> None:
    stored = await at.read(raw=True)
    expected = wanted(stored)
    assert [mapped for _, mapped in expected.values()] == [True, False, True, True]
    assert await READERS[name](at) == expected


async def test_mapped_events_keep_all_else(at: Reading) -> None:
    """Byte for byte around what the mapping changed, and with the envelope as it is stored."""
    stored = await at.read(raw=True)
    expected = model(at, stored)
    found = await at.read()
    assert {event.version: (event.data, event.flags) for event in found} == expected
    for event, old in zip(found, stored, strict=True):
        event.data, event.flags = old.data, old.flags
        assert event == old
    assert b'"n": 1.50' in expected[1][0]


async def test_raw_gives_what_is_stored(at: Reading) -> None:
    stored = [data for _, data in EVENTS]

    def check(events: list[pb.RecordedEvent]) -> None:
        assert [event.data for event in events] == stored
        assert not any(event.flags & pb.EVENT_FLAG_MAPPED for event in events)

    events = await at.read(raw=True)
    check(events)
    check((await at.read(raw=True, direction=pb.DIRECTION_BACKWARDS))[::-1])
    check(await at.read_all(raw=True))
    check(await at.read_all(raw=True, categories=[at.category]))
    check([await at.event(event.id, raw=True) for event in events])
    async with subscriber(at.address) as subscribe:
        demands: list[dict[str, object]] = [
            {"stream": at.stream},
            {"categories": [at.category]},
            {
                "stream": at.stream,
                "where": "meta.type == 'UserMoved' || !has(event.country) || true",
            },
        ]
        for demand in demands:
            follower = subscribe(raw=True, **demand)
            await follower.until_caught_up()
            check(follower.events)
            # What comes now is read from the log too, and the follower stays caught up.
            positions = await at.append(EVENTS)
            stored += [data for _, data in EVENTS]
            await follower.until_position(positions[-1])
            follower.cancel()
            check(follower.events)
            assert follower.kinds.count("CAUGHT_UP") == 1 + follower.kinds.count("FELL_BEHIND")


async def test_a_filter_sees_what_is_delivered(at: Reading) -> None:
    """Mapped events, or with `raw` those that are stored."""
    async with subscriber(at.address) as subscribe:
        for raw, versions in ((False, [1, 4]), (True, [])):
            where = "event.?country.orValue('') == 'CH'"
            follower = subscribe(stream=at.stream, where=where, raw=raw)
            await follower.until_caught_up()
            follower.cancel()
            assert [event.version for event in follower.events] == versions


async def test_a_fold_check_sees_mapped_fields(at: Reading) -> None:
    """A field that events have by their mapping alone is seen."""
    fold = {
        "fold": "checked",
        "initial": {},
        "handlers": {"UserRegistered": {"email": "event.email", "mail": "event.?mail.orValue('')"}},
    }
    ref = folds_pb2.FoldRef(source=json.dumps(fold))
    request = folds_pb2.CheckFoldRequest(category=at.category, fold=ref)
    *_, last = [part async for part in at.folds.CheckFold(request)]
    assert (last.events, last.failed_streams) == (4, 0)
    assert [(one.type, one.field) for one in last.unseen_fields] == []
    moved = await at.read(types=["UserMoved"])
    assert seen(moved) == {2: ({"city": "Bern", "mail": "kept@example.org"}, False)}


async def test_large_events_come_in_pages(at: Reading) -> None:
    """Pages end where mapped events fill them, so that every message has room."""
    from_version = len(EVENTS) + 1
    fill = "x" * 300_000
    event = json.dumps({"first": fill, "mail": "m"}).encode()
    await at.append([("UserRegistered", event)] * 6)
    request = pb.ReadRequest(stream=at.stream, from_version=from_version)
    parts = [part async for part in at.store.Read(request)]
    # Each event is twice as large as stored.
    assert [len(part.events) for part in parts] == [2, 2, 2]
    found = {event.version: event.data for part in parts for event in part.events}
    stored = await at.read(raw=True, from_version=from_version)
    assert found == {event.version: mapped_event(event)[0] for event in stored}
    hydrate = folds_pb2.HydrateRequest(stream=at.stream, fold=folds_pb2.FoldRef(source=COUNT))
    answer = await at.folds.Hydrate(hydrate)
    assert json.loads(answer.state) == {
        "bytes": 6 * (len(fill) + len(f" <m> of {at.stream}, anonymous"))
    }


# How much was computed, of events that are large.
COUNT = json.dumps(
    {
        "fold": "count",
        "initial": {"bytes": 0},
        "handlers": {
            "UserRegistered": {
                "bytes": "state.bytes + (size(event.label) > 1000 ? size(event.label) : 0)"
            }
        },
    }
)
