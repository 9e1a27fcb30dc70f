"""Goal: a subscription sends each event that it asks for, once and in order, from history into the
present, whatever its source, its filter and its start.

Method: subscriptions over plain gRPC to real servers; what they got is held against ReadAll.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.timestamp_pb2 import Timestamp
from tests.integration.server.conftest import Starter
from tests.support.servers import RunningServer
from tests.support.subscriptions import append, stored, subscriber

import eventfold
from eventfold_server.limits import PAGE_BYTES


@pytest.fixture
def server(start: Starter) -> RunningServer:
    """Positions of tests are those of a log of their own."""
    return start()


@pytest.fixture
async def client(server: RunningServer) -> AsyncIterator[eventfold.AsyncClient]:
    async with eventfold.AsyncClient(server.address) as opened:
        yield opened


async def test_history_and_what_comes_after(
    server: RunningServer, client: eventfold.AsyncClient
) -> None:
    head = await append(client, "a-1", 30)
    async with subscriber(server.address) as subscribe:
        one = await subscribe().until_caught_up()
        assert one.kinds == ["EVENTS", "CAUGHT_UP"]
        assert (one.position, one.frames[-1].head) == (head, head)
        for _ in range(5):
            head = await append(client, "b-1", 3)
            await one.until_position(head)
        assert one.events == stored(server.address)
        assert set(one.kinds[2:]) == {"EVENTS"}
        # Every token stands for its frame.
        for frame in one.frames:
            again = await subscribe(resume_token=frame.resume_token).until_position(head)
            assert again.events == [e for e in one.events if e.position > frame.position]


async def test_an_empty_log(server: RunningServer, client: eventfold.AsyncClient) -> None:
    async with subscriber(server.address) as subscribe:
        all_ = await subscribe().until_caught_up()
        stream = await subscribe(stream="a-1").until_caught_up()
        assert [one.position for one in (all_, stream)] == [0, 0]
        again = await subscribe(resume_token=all_.token).until_caught_up()
        head = await append(client, "a-1", 2)
        for one in (all_, stream, again):
            assert (await one.until_position(head)).positions == [1, 2]


async def test_sources_and_filters(server: RunningServer, client: eventfold.AsyncClient) -> None:
    """The same questions to history, and to subscriptions that were live when it was written."""
    questions: list[dict[str, object]] = [
        {},
        {"stream": "a-1"},
        {"stream": "b-7"},
        {"categories": ["a"]},
        {"categories": ["b", "a", "b"]},
        {"categories": ["nothing"]},
        {"types": ["T1"]},
        {"types": ["T1", "T3"], "categories": ["b"]},
        {"types": ["T2"], "stream": "b-2"},
        {"tags": ["even"]},
        {"tags": ["even", "t0"], "categories": ["a", "b"]},
        {"tags": ["t0"], "stream": "a-0"},
        {"where": "event.n > 40 && meta.category == 'a'"},
        {"where": "int(event.n) % 7 == 0", "categories": ["a"], "types": ["T0", "T1"]},
        {"where": "'even' in meta.tags", "stream": "b-1"},
    ]

    def passes(question: dict[str, object], n: int) -> bool:
        name, category, kind = f"{'ab'[n % 2]}-{n % 8}", "ab"[n % 2], f"T{n % 4}"
        tags = {"even"} if n % 4 == 0 else set()
        tags |= {f"t{n % 3}"}
        demands = {
            "event.n > 40 && meta.category == 'a'": n > 40 and category == "a",
            "int(event.n) % 7 == 0": n % 7 == 0,
            "'even' in meta.tags": "even" in tags,
        }
        where = str(question.get("where", ""))
        return (
            question.get("stream", name) == name
            and category in question.get("categories", [category])  # type: ignore[operator]
            and kind in question.get("types", [kind])  # type: ignore[operator]
            and tags.issuperset(question.get("tags", []))  # type: ignore[call-overload]
            and demands.get(where, True)
        )

    async with subscriber(server.address) as subscribe:
        live = [await subscribe(**question).until_caught_up() for question in questions]
        head = 0
        for n in range(120):
            tags = [f"t{n % 3}"] + ["even"] * (n % 4 == 0)
            event = eventfold.Event(f"T{n % 4}", {"n": n}, tags=tags)
            stream = f"{'ab'[n % 2]}-{n % 8}"
            result = await client.append(stream, [event], expected_version=eventfold.ANY)
            head = result.positions[-1]
        history = [await subscribe(**question).until_caught_up() for question in questions]
        for question, new, old in zip(questions, live, history, strict=True):
            await new.until_position(head)
            expected = [n + 1 for n in range(120) if passes(question, n)]
            assert old.positions == expected, question
            assert new.positions == expected, question
            assert old.position == head
        assert history[0].events == stored(server.address)


async def test_starts(server: RunningServer, client: eventfold.AsyncClient) -> None:
    positions = []
    for n in range(20):
        positions.append(await append(client, f"a-{n % 2}"))
        if n == 9:
            await asyncio.sleep(0.01)
    log = stored(server.address)
    eleventh = log[10].recorded_at
    between = Timestamp()
    between.FromMicroseconds(log[9].recorded_at.ToMicroseconds() + 1)
    long_ago, later = Timestamp(seconds=0), Timestamp(seconds=4_000_000_000)
    starts: list[tuple[dict[str, object], list[int]]] = [
        ({"from_position": 1}, positions),
        ({"from_position": 15}, positions[14:]),
        ({"from_position": 21}, []),
        ({"from_position": 15, "stream": "a-1"}, positions[15::2]),
        ({"from_version": 1, "stream": "a-1"}, positions[1::2]),
        ({"from_version": 8, "stream": "a-0"}, positions[14::2]),
        ({"from_version": 11, "stream": "a-0"}, []),
        ({"from_version": 1, "stream": "a-9"}, []),
        ({"from_recorded_at": eleventh}, positions[10:]),
        ({"from_recorded_at": between}, positions[10:]),
        ({"from_recorded_at": between, "stream": "a-1"}, positions[11::2]),
        ({"from_recorded_at": long_ago}, positions),
        ({"from_recorded_at": later}, []),
        ({"now": Empty()}, []),
        ({"now": Empty(), "categories": ["a"]}, []),
    ]
    async with subscriber(server.address) as subscribe:
        for fields, expected in starts:
            one = await subscribe(**fields).until_caught_up()
            assert one.positions == expected, fields
            assert one.position == 20


async def test_live_under_appends_through_two_servers(
    start: Starter, server: RunningServer
) -> None:
    """Ten subscribers of both servers come while two servers append; the seam is everywhere."""
    other = start(schema=server.options["schema"])
    servers = (server, other)
    per_writer, writers = 60, 4

    async def write(address: str, number: int) -> None:
        async with eventfold.AsyncClient(address) as client:
            for n in range(per_writer):
                await append(client, f"w{number}-{n % 5}", 1 + n % 3)

    async def follow(address: str, number: int) -> list[int]:
        await asyncio.sleep(number * 0.05)
        async with subscriber(address) as subscribe:
            one = subscribe(categories=["w1"]) if number % 3 == 2 else subscribe()
            await one.until_position(total)
            return one.positions

    total = writers * sum(1 + n % 3 for n in range(per_writer))
    followers = [asyncio.create_task(follow(servers[n % 2].address, n)) for n in range(10)]
    await asyncio.gather(*(write(servers[n % 2].address, n) for n in range(writers)))
    log = stored(server.address)
    assert len(log) == total
    for number, got in enumerate(await asyncio.gather(*followers)):
        wanted = [e.position for e in log if number % 3 != 2 or e.stream.startswith("w1-")]
        assert got == wanted


async def test_caught_up_means_all_that_was_acknowledged(
    start: Starter, server: RunningServer, client: eventfold.AsyncClient
) -> None:
    """Whoever appends and then subscribes, on whichever server, has its events before CAUGHT_UP."""
    other = start(schema=server.options["schema"])
    async with subscriber(server.address) as here, subscriber(other.address) as there:
        # So that both tails are there already, and may be behind.
        others = [await subscribe().until_caught_up() for subscribe in (here, there)]
        for n in range(40):
            head = await append(client, "a-1")
            one = await (here, there)[n % 2](from_position=head).until_caught_up()
            assert (one.kinds, one.positions) == (["EVENTS", "CAUGHT_UP"], [head])
            one.cancel()
        for one in others:
            await one.until_position(head)


async def test_pages_of_large_events(server: RunningServer, client: eventfold.AsyncClient) -> None:
    """Messages stay within what any client takes, from history and live."""
    head = await append(client, "a-1", 3, size=900_000)
    async with subscriber(server.address) as subscribe:
        one = await subscribe().until_caught_up()
        large = await subscribe(types=["T"]).until_caught_up()
        for _ in range(4):
            head = await append(client, "a-1", 3, size=900_000)
        assert (await one.until_position(head)).positions == list(range(1, head + 1))
        assert (await large.until_position(head)).events == one.events
        sizes = [frame.ByteSize() for frame in one.frames]
        assert PAGE_BYTES < max(sizes) < 4 * 1024 * 1024


async def test_a_filter_that_hides_all(
    server: RunningServer, client: eventfold.AsyncClient
) -> None:
    """Checkpoints say how far it got, so that resuming does not look at the same again."""
    head = await append(client, "a-1", 2_000)
    async with subscriber(server.address) as subscribe:
        one = await subscribe(types=["Other"]).until_caught_up()
        assert (one.kinds, one.position) == (["CAUGHT_UP"], head)
        for _ in range(30):
            head = await append(client, "a-1", 20)
        await one.until_position(head)
        assert set(one.kinds[1:]) == {"CHECKPOINT"}
        assert len(one.kinds) <= 6, "checkpoints come about every second"
        resumed = await subscribe(types=["Other"], resume_token=one.token).until_caught_up()
        assert resumed.kinds == ["CAUGHT_UP"]


async def test_heartbeats(server: RunningServer, client: eventfold.AsyncClient) -> None:
    await append(client, "a-1")
    async with subscriber(server.address) as subscribe:
        one = await subscribe().until_caught_up()
        began = asyncio.get_running_loop().time()
        await one.next()
        assert one.kinds[-1] == "HEARTBEAT"
        assert 9.5 < asyncio.get_running_loop().time() - began < 12
        assert one.frames[-1].resume_token == one.frames[-2].resume_token


async def test_a_filter_that_fails(server: RunningServer, client: eventfold.AsyncClient) -> None:
    """What passed before is sent; the event is named, from history and live."""
    await append(client, "a-1", 3)
    async with subscriber(server.address) as subscribe:
        live = await subscribe(where="event.n >= 0").until_caught_up()
        events = [eventfold.Event("T", {name: 1}) for name in ("n", "other", "n")]
        result = await client.append("a-1", events, expected_version=eventfold.ANY)
        history = subscribe(where="event.n >= 0")
        for one in (live, history):
            refused = await one.refusal()
            assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "FILTER_FAILED")
            assert refused.facts["position"] == str(result.positions[1])
            assert refused.facts["stream"] == "a-1"
            assert one.positions == [1, 2, 3, 4]
            assert one.position == result.positions[1] - 1
        # The frame before the error says where to go on with another filter.
        where = "event.?n.orValue(0) >= 0"
        again = await subscribe(where=where, resume_token=live.token).until_caught_up()
        assert again.positions == [5, 6]


async def test_shutdown(start: Starter) -> None:
    server = start()
    async with eventfold.AsyncClient(server.address) as client:
        await append(client, "a-1")
    async with subscriber(server.address) as subscribe:
        followers = [await subscribe().until_caught_up() for _ in range(5)]
        began = asyncio.get_running_loop().time()
        stopping = asyncio.create_task(asyncio.to_thread(server.stop))
        for one in followers:
            refused = await one.refusal()
            assert (refused.code, refused.reason) == ("UNAVAILABLE", "SHUTTING_DOWN")
        assert await stopping == 0
        assert asyncio.get_running_loop().time() - began < 5, "nobody waited for the grace"
