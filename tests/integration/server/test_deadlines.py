"""Goal: a call that ends early leaves all of its append or nothing, and says what is known.

Method: the counter row is held by another connection, so that appends pile up: those of the first
transaction in PostgreSQL, the others before it. Then deadlines pass, callers leave, or the row is
let go.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.integration.server.test_identity import line
from tests.support.database import appends_held, appends_waiting
from tests.support.raw import answer_of, bearer
from tests.support.servers import RunningServer

import eventfold
from eventfold.v1 import appends_pb2 as pb
from eventfold.v1 import event_store_pb2_grpc
from eventfold_server.config import ServerConfig
from eventfold_server.interceptors import guard
from eventfold_server.server import Server
from eventfold_server.storage import database as storage
from eventfold_server.storage.database import Database

# One after the other would take longer than the deadlines here.
CALLS = 12


def request(stream: str, events: int = 3) -> pb.AppendRequest:
    """An append to a new stream."""
    request = pb.AppendRequest(stream=stream)
    request.expected_version.exact = 0
    for _ in range(events):
        request.events.add(id=str(uuid.uuid4()), type="T", data=b"{}")
    return request


def streams(prefix: str) -> list[str]:
    return [f"{prefix}-{number}" for number in range(CALLS)]


async def until(condition: Any, what: str) -> None:
    deadline = time.monotonic() + 60
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline, f"never: {what}"
        await asyncio.sleep(0.02)


async def outcome(call: Any) -> str:
    """`OK`, or the reason."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        answer = answer_of(error)
        return answer.reason or answer.code
    except asyncio.CancelledError:
        return "CANCELLED"
    return "OK"


async def versions(address: str, names: Sequence[str]) -> dict[str, int]:
    async with eventfold.AsyncClient(address) as store:
        return {name: (await store.get_stream(name)).version for name in names}


async def append_quickly(address: str, prefix: str) -> None:
    """Several appends at once."""
    async with eventfold.AsyncClient(address, timeout=5) as store:
        await asyncio.gather(
            *(
                store.append(f"{prefix}-{n}", [eventfold.Event("T", {})], expected_version=0)
                for n in range(CALLS)
            )
        )


@pytest.fixture
async def short(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[str, str]]:
    """Address and schema of a server in this process whose deadlines are short."""
    monkeypatch.setattr(guard, "UNARY_DEADLINE_S_DEFAULT", 0.6)
    monkeypatch.setattr(guard, "UNARY_DEADLINE_S_MAX", 1.2)
    schema = f"test_{uuid.uuid4().hex}"
    database = Database(database_url, schema)
    await database.open()
    server = Server(ServerConfig(listen="127.0.0.1:0", database_url=database_url), database)
    yield await server.start(), schema
    await server.stop()
    await database.close()


@pytest.mark.parametrize(("asked", "given_ms"), [(None, 600), (100.0, 1200)])
async def test_a_deadline_is_set_and_capped(
    database_url: str, short: tuple[str, str], asked: float | None, given_ms: int
) -> None:
    address, schema = short
    names = streams("capped")
    async with grpc.aio.insecure_channel(address) as channel:
        stub = event_store_pb2_grpc.EventStoreStub(channel)
        with appends_held(database_url, schema):
            began = time.monotonic()
            calls = [stub.Append(request(names[0]), timeout=asked)]
            await until(lambda: appends_waiting(database_url) == 1, "an append is under way")
            calls += [stub.Append(request(name), timeout=asked) for name in names[1:]]
            errors = await asyncio.gather(*calls, return_exceptions=True)
            took_ms = (time.monotonic() - began) * 1000
    assert given_ms * 0.9 < took_ms < given_ms + 2000
    answers = [answer_of(error) for error in errors]
    reasons = [answer.reason for answer in answers]
    assert reasons == ["OUTCOME_UNKNOWN"] + ["DEADLINE_EXCEEDED"] * (CALLS - 1)
    late = [answer for answer in answers if answer.reason == "DEADLINE_EXCEEDED"]
    assert {answer.facts["deadline_ms"] for answer in late} == {str(given_ms)}
    # The one under way is carried through; those that waited before it are surely not stored.
    expected = {name: 3 if name == names[0] else 0 for name in names}
    await until(lambda: appends_waiting(database_url) == 0, "the appends end")
    await append_quickly(address, "after")
    assert await versions(address, names) == expected


async def test_callers_that_leave_leave_all_or_nothing(
    database_url: str, server: RunningServer
) -> None:
    names = streams("leaving")
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub = event_store_pb2_grpc.EventStoreStub(channel)
        with appends_held(database_url, server.options["schema"]):
            calls = [stub.Append(request(names[0]))]
            await until(lambda: appends_waiting(database_url) == 1, "an append is under way")
            calls += [stub.Append(request(name)) for name in names[1:]]
            # One that is not sent yet is not stored either, but would prove less.
            await asyncio.sleep(0.3)
            for call in calls:
                call.cancel()
            outcomes = await asyncio.gather(*(outcome(call) for call in calls))
            assert set(outcomes) == {"CANCELLED"}
            # One who gives up by a deadline sees the same: it waits behind them.
            late = stub.Append(request("late-1"), timeout=0.3)
            assert await outcome(late) == "DEADLINE_EXCEEDED"
    await append_quickly(server.address, "after")
    found = await versions(server.address, [*names, "late-1"])
    assert found == {name: 3 if name == names[0] else 0 for name in [*names, "late-1"]}
    assert "Traceback" not in server.log_tail()


async def test_a_repetition_finds_out_what_became_of_it(
    database_url: str, server: RunningServer
) -> None:
    wanted = request("repeated-1")
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub = event_store_pb2_grpc.EventStoreStub(channel)
        with appends_held(database_url, server.options["schema"]):
            # Whoever is first with the news: the server or the client's own clock.
            told = await outcome(stub.Append(wanted, timeout=0.3))
            assert told in {"OUTCOME_UNKNOWN", "DEADLINE_EXCEEDED"}
        answer = await stub.Append(wanted, timeout=5)
        again = await stub.Append(wanted, timeout=5)
    assert (answer.first_version, answer.last_version) == (1, 3)
    assert again.duplicate
    assert again.positions == answer.positions


async def test_a_statement_that_takes_too_long_is_given_up_unstored(
    database_url: str, monkeypatch: pytest.MonkeyPatch, short: tuple[str, str]
) -> None:
    """Without it a row held by somebody would take the connections away for ever."""
    _, schema = short
    brief = {**storage._WRITE_SETTINGS, "statement_timeout": "300ms"}
    monkeypatch.setattr(storage, "_WRITE_SETTINGS", brief)
    database = Database(database_url, schema)
    await database.open()
    server = Server(ServerConfig(listen="127.0.0.1:0", database_url=database_url), database)
    address = await server.start()
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            stub = event_store_pb2_grpc.EventStoreStub(channel)
            with appends_held(database_url, schema):
                assert await outcome(stub.Append(request("a-1"))) == "STORAGE_UNAVAILABLE"
            assert await versions(address, ["a-1"]) == {"a-1": 0}
            await append_quickly(address, "b")
    finally:
        await server.stop()
        await database.close()


async def test_more_calls_than_accepted_get_a_reason(
    database_url: str, monkeypatch: pytest.MonkeyPatch, short: tuple[str, str]
) -> None:
    address, schema = short
    accepted, above = 10, 4
    monkeypatch.setattr(guard, "CONCURRENT_CALLS_MAX", accepted)
    monkeypatch.setattr(guard, "UNARY_DEADLINE_S_MAX", 20.0)
    async with grpc.aio.insecure_channel(address) as channel:
        stub = event_store_pb2_grpc.EventStoreStub(channel)
        with appends_held(database_url, schema):
            calls = [
                asyncio.ensure_future(outcome(stub.Append(request(f"a-{n}"), timeout=20)))
                for n in range(accepted + above)
            ]
            await until(lambda: sum(call.done() for call in calls) == above, "some are refused")
            # Health is not one of them.
            check = channel.unary_unary("/grpc.health.v1.Health/Check")
            await check(b"", timeout=5)
        outcomes = await asyncio.gather(*calls)
    assert sorted(outcomes) == ["OK"] * accepted + ["OVERLOADED"] * above


async def test_one_caller_leaves_room_for_the_others(
    database_url: str, monkeypatch: pytest.MonkeyPatch, short: tuple[str, str], tmp_path: Path
) -> None:
    _, schema = short
    accepted, above = 10, 4
    monkeypatch.setattr(guard, "CALLER_CALLS_MAX", accepted)
    tokens = tmp_path / "tokens"
    tokens.write_text(line("greedy", "read,write") + line("modest", "read,write"))
    database = Database(database_url, schema)
    await database.open()
    config = ServerConfig(listen="127.0.0.1:0", database_url=database_url, token_file=tokens)
    server = Server(config, database)
    try:
        async with grpc.aio.insecure_channel(await server.start()) as channel:
            stub = event_store_pb2_grpc.EventStoreStub(channel)

            def append(name: str, stream: str) -> asyncio.Future[str]:
                call = stub.Append(request(stream), timeout=20, metadata=bearer(name))
                return asyncio.ensure_future(outcome(call))

            with appends_held(database_url, schema):
                calls = [append("greedy", f"a-{n}") for n in range(accepted + above)]
                await until(lambda: sum(one.done() for one in calls) == above, "some are refused")
                others = [append("modest", f"b-{n}") for n in range(above)]
                # The refusals are there at once; these wait like those that were accepted.
                await asyncio.sleep(0.3)
                assert not any(one.done() for one in others)
            assert (
                sorted(await asyncio.gather(*calls)) == ["OK"] * accepted + ["OVERLOADED"] * above
            )
            assert await asyncio.gather(*others) == ["OK"] * above
            # What has ended does not count.
            again = [append("greedy", f"c-{n}") for n in range(accepted)]
            assert await asyncio.gather(*again) == ["OK"] * accepted
    finally:
        await server.stop()
        await database.close()
