"""Goal: whatever ends under a subscription, going on with its last token gives every event once;
and a log that lost its tail is noticed by all who had seen more of it, and by nobody else.

Method: servers killed (-9) and a PostgreSQL restarted while events are appended and delivered; the
tail of the log cut off with SQL and grown anew, under subscribers who are ahead, behind, live,
reading history, and away.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import grpc
import pytest
from tests.faults.test_restart_postgres import postgres_in_a_thread
from tests.support.database import cut_tail
from tests.support.programs import free_port
from tests.support.raw import Answer, answer_of
from tests.support.servers import RunningServer, start_postgres, start_server
from tests.support.subscriptions import Follower, append, stored, subscriber

import eventfold
from eventfold.v1 import event_store_pb2 as pb

ROUNDS = 3
FOLLOWERS = 4
WRITERS = 3


class Resuming:
    """Follows the log through any number of subscriptions, each from the last token."""

    def __init__(self) -> None:
        self.events: list[pb.RecordedEvent] = []
        self.ends: list[Answer] = []
        self._token: bytes | None = None
        self.resumed = 0

    async def run(self, address: str) -> None:
        """Goes on until it is cancelled."""
        while True:
            async with subscriber(address) as subscribe:
                one = subscribe() if self._token is None else subscribe(resume_token=self._token)
                try:
                    while True:
                        frame = await one.next()
                        self.events.extend(frame.events)
                        self._token = frame.resume_token
                except grpc.aio.AioRpcError as error:
                    self.ends.append(answer_of(error))
            self.resumed += 1
            await asyncio.sleep(0.05)


async def write(address: str, number: int) -> None:
    """Appends until it is cancelled, whatever becomes of it."""
    async with eventfold.AsyncClient(address, timeout=5) as client:
        while True:
            try:
                await append(client, f"w{number}-1", 2)
            except eventfold.EventfoldError:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def traffic(address: str) -> AsyncIterator[list[Resuming]]:
    """Writers and followers meanwhile; the followers have the whole log at the end."""
    followers = [Resuming() for _ in range(FOLLOWERS)]
    following = [asyncio.create_task(one.run(address)) for one in followers]
    writing = [asyncio.create_task(write(address, number)) for number in range(WRITERS)]
    yield followers
    for task in writing:
        task.cancel()
    await asyncio.gather(*writing, return_exceptions=True)
    # An append that was under way is stored though its writer has left.
    await asyncio.sleep(1)
    log = await asyncio.to_thread(stored, address)
    async with asyncio.timeout(60):
        while any(len(one.events) < len(log) for one in followers):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    for task in following:
        task.cancel()
    await asyncio.gather(*following, return_exceptions=True)
    for one in followers:
        assert one.events == log


async def appended(address: str, count: int) -> None:
    """Returns when so many more events are stored."""
    async with eventfold.AsyncClient(address, timeout=10) as client:
        wanted = await append(client, "mark-1") + count
        while await append(client, "mark-1") < wanted:  # noqa: ASYNC110 - others append
            await asyncio.sleep(0.05)


@pytest.fixture
def url(shared_tmp_path: Path) -> Iterator[str]:
    with start_postgres(shared_tmp_path / "data") as dsn:
        yield dsn


async def test_a_server_killed_while_it_delivers(url: str, shared_tmp_path: Path) -> None:
    listen = f"127.0.0.1:{free_port()}"
    options: dict[str, object] = {"listen": listen, "database_url": url}
    with ExitStack() as stack:

        def start() -> RunningServer:
            return stack.enter_context(start_server(shared_tmp_path, **options))

        running = start()
        async with traffic(listen) as followers:
            for _ in range(ROUNDS):
                await appended(listen, 200)
                running.kill()
                running = await asyncio.to_thread(start)
            await appended(listen, 100)
        assert all(one.resumed >= ROUNDS for one in followers)
        assert {end.code for one in followers for end in one.ends} == {"UNAVAILABLE"}


async def test_postgres_restarted_while_it_delivers(shared_tmp_path: Path) -> None:
    with (
        postgres_in_a_thread(shared_tmp_path / "postgres") as (postgres, run),
        start_server(shared_tmp_path, database_url=postgres.dsn) as server,
    ):
        async with traffic(server.address) as followers:
            for number in range(ROUNDS):
                await appended(server.address, 200)
                if number % 2:
                    os.kill(postgres.pid, signal.SIGKILL)
                    await asyncio.sleep(1)
                await asyncio.to_thread(run, postgres.restart())
            await appended(server.address, 100)
        # Whoever was at the head did not even notice, and nobody was told a lie.
        ends = [end for one in followers for end in one.ends]
        assert {end.reason for end in ends} <= {"STORAGE_UNAVAILABLE"}
        text = server.log.read_text()
        assert "fault in" not in text


@pytest.mark.parametrize("regrown", [0, 20, 400])
async def test_a_lost_tail_is_noticed(url: str, shared_tmp_path: Path, regrown: int) -> None:
    """100 of 150 events are left, and others follow them: none, fewer than were lost, or more."""
    with start_server(shared_tmp_path, database_url=url, schema="cut") as server:
        async with (
            eventfold.AsyncClient(server.address) as client,
            subscriber(server.address) as subscribe,
        ):
            await append(client, "a-1", 60)
            away = await subscribe().until_caught_up()
            away.cancel()
            for _ in range(9):
                await append(client, "a-1", 10)
            ahead = await subscribe().until_caught_up()
            ahead.cancel()
            live: list[Follower] = [
                await subscribe(**fields).until_caught_up()
                for fields in ({}, {"stream": "a-1"}, {"types": ["Other"]})
            ]
            cut_tail(url, "cut", 100)
            if regrown:
                await append(client, "b-1", regrown)
            refusals = [await one.refusal() for one in live]
            refusals.append(await subscribe(resume_token=ahead.token).refusal())
            for refused in refusals:
                assert refused.reason == "STORE_INCARNATION_CHANGED"
                assert refused.facts["token_position"] == "150"
                # Token positions are at distances 1, 2, 4, .. from 150.
                assert refused.facts["common_position"] == "86"
            back = await subscribe(resume_token=away.token).until_caught_up()
            assert [*away.events, *back.events] == stored(server.address)
            fresh = await subscribe(from_position=87).until_caught_up()
            assert fresh.events == stored(server.address)[86:]
            await fresh.until_position(await append(client, "c-1", 3))
            assert fresh.events == stored(server.address)[86:]


@pytest.mark.parametrize("left", [1, 900])
async def test_a_tail_lost_under_a_reader_of_history(
    url: str, shared_tmp_path: Path, left: int
) -> None:
    """A client that reads slowly is given events of one log only, or is told that it was ahead."""
    with start_server(shared_tmp_path, database_url=url, schema="cut") as server:
        async with (
            eventfold.AsyncClient(server.address) as client,
            subscriber(server.address) as subscribe,
        ):
            await append(client, "a-1", 1_000, size=20_000)
            one = subscribe()
            await one.next()
            await asyncio.sleep(0.5)
            cut_tail(url, "cut", left)
            await append(client, "b-1", 1_500, size=2_000)
            if left == 1:
                refused = await one.refusal()
                assert refused.reason == "STORE_INCARNATION_CHANGED"
                assert refused.facts["token_position"] == str(one.position)
                assert {event.stream for event in one.events} == {"a-1"}
            else:
                await one.until_caught_up()
                assert one.events == stored(server.address)
