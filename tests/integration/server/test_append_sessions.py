"""Goal: a session answers each of its appends once and truly, whatever becomes of the session.

Method: raw stubs. The counter row is held, so that appends pile up; then limits are looked at,
callers leave, servers stop, or are killed. What was not answered is repeated with the same ids.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from tests.integration.server.conftest import Starter
from tests.support.database import appends_held, appends_waiting, connected
from tests.support.raw import answer_of
from tests.support.servers import RunningServer, start_server

import eventfold
from eventfold.v1 import appends_pb2 as pb
from eventfold.v1 import event_store_pb2_grpc
from eventfold_server import limits
from eventfold_server.config import ServerConfig
from eventfold_server.server import Server
from eventfold_server.storage.database import Database

Call = grpc.aio.StreamStreamCall[pb.AppendSessionRequest, pb.AppendSessionResponse]
ANSWER_SECONDS_MAX = 30.0


def append(
    number: int,
    stream: str,
    expected: int | None = None,
    *,
    data: bytes = b"{}",
    timeout_s: float | None = None,
) -> pb.SessionAppend:
    """An append of one event; None expects any version."""
    one = pb.SessionAppend(number=number, append=pb.AppendRequest(stream=stream))
    if expected is None:
        one.append.expected_version.any.SetInParent()
    else:
        one.append.expected_version.exact = expected
    one.append.events.add(id=str(uuid.uuid4()), type="T", data=data)
    if timeout_s is not None:
        one.timeout.FromMicroseconds(round(timeout_s * 1_000_000))
    return one


def reason(refused: status_pb2.Status) -> str:
    info = error_details_pb2.ErrorInfo()
    [detail] = refused.details
    assert detail.Unpack(info)
    assert info.domain == "eventfold"
    return info.reason


def told(answer: pb.SessionAnswer) -> str:
    """The first version, or the reason."""
    if answer.WhichOneof("outcome") == "appended":
        return str(answer.appended.first_version)
    return reason(answer.refused)


@dataclass
class Session:
    """One call of the RPC."""

    call: Call
    messages: int = 0

    async def send(self, *appends: pb.SessionAppend) -> None:
        await self.call.write(pb.AppendSessionRequest(appends=appends))

    async def answers(self, count: int) -> dict[int, str]:
        """So many answers at least, by number."""
        found: dict[int, str] = {}
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            while len(found) < count:
                message = await self.call.read()
                assert isinstance(message, pb.AppendSessionResponse), "the session ended"
                self.messages += 1
                for answer in message.answers:
                    assert answer.number not in found, "answered twice"
                    found[answer.number] = told(answer)
        return found

    async def end(self) -> str:
        """`OK`, or the reason with which the session ended; no answer may be left."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                assert await self.call.read() is grpc.aio.EOF
                return (await self.call.code()).name
        except grpc.aio.AioRpcError as error:
            answer = answer_of(error)
            return answer.reason or answer.code


@pytest.fixture
async def session(server: RunningServer) -> AsyncIterator[Session]:
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub = event_store_pb2_grpc.EventStoreStub(channel)
        yield Session(stub.AppendSession())


@pytest.fixture
async def inside(database_url: str) -> AsyncIterator[tuple[Server, str, str]]:
    """A server of this process, its address and its schema."""
    schema = f"test_{uuid.uuid4().hex}"
    database = Database(database_url, schema)
    await database.open()
    server = Server(ServerConfig(listen="127.0.0.1:0", database_url=database_url), database)
    yield server, await server.start(), schema
    await server.stop()
    await database.close()


async def until(condition: object, what: str) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 60
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline, f"never: {what}"
        await asyncio.sleep(0.02)


async def versions(address: str, names: Sequence[str]) -> dict[str, int]:
    async with eventfold.AsyncClient(address) as store:
        return {name: (await store.get_stream(name)).version for name in names}


async def test_many_are_under_way_at_once(
    session: Session, server: RunningServer, database_url: str
) -> None:
    schema = server.options["schema"]
    with appends_held(database_url, schema):
        await session.send(append(0, "many-0", 0))
        await until(lambda: appends_waiting(database_url) == 1, "an append is under way")
        for number in range(1, 100):
            await session.send(append(number, f"many-{number}", 0))
        await asyncio.sleep(0.3)
    assert await session.answers(100) == dict.fromkeys(range(100), "1")
    assert session.messages < 50, "answers that are ready go together"
    await session.call.done_writing()
    assert await session.end() == "OK"
    with connected(database_url) as postgres:
        found = postgres.execute(
            f"SELECT count(DISTINCT e.xmin::text) FROM {schema}.events e"
            f" JOIN {schema}.streams s USING (stream_no) WHERE s.category = 'many'"
        ).fetchone()
    assert found is not None
    assert found[0] < 20


async def test_one_stream_in_order(session: Session) -> None:
    """Each expects the version that the one before it leaves behind."""
    streams = [f"order-{uuid.uuid4()}" for _ in range(3)]
    sent = [append(n, streams[n % 3], n // 3) for n in range(120)]
    # One in the middle fails; those after it go on from where the stream is.
    sent.insert(60, append(1000, streams[0], 7))
    for start in range(0, len(sent), 7):
        await session.send(*sent[start : start + 7])
    answers = await session.answers(len(sent))
    assert answers.pop(1000) == "VERSION_CONFLICT"
    assert answers == {n: str(n // 3 + 1) for n in range(120)}


async def test_the_last_answers_come_after_the_last_append(
    session: Session, server: RunningServer, database_url: str
) -> None:
    with appends_held(database_url, server.options["schema"]):
        await session.send(*(append(n, f"last-{n}") for n in range(10)))
        await session.call.done_writing()
        await asyncio.sleep(0.2)
    assert len(await session.answers(10)) == 10
    assert await session.end() == "OK"


@pytest.mark.parametrize(
    ("size", "appends_max"),
    [(2, limits.SESSION_APPENDS_MAX), (1024 * 1024, limits.SESSION_BYTES_MAX // 1024 // 1024 - 1)],
    ids=["appends", "bytes"],
)
async def test_no_more_is_read_than_there_is_room_for(
    inside: tuple[Server, str, str], database_url: str, size: int, appends_max: int
) -> None:
    server, address, schema = inside
    data = b'{"a":"%s"}' % (b"x" * (size - 8)) if size > 8 else b"{}"
    count = 3 * appends_max
    async with grpc.aio.insecure_channel(address) as channel:
        session = Session(event_store_pb2_grpc.EventStoreStub(channel).AppendSession())

        async def send() -> None:
            for number in range(count):
                await session.send(append(number, f"room-{number}", data=data))

        with appends_held(database_url, schema):
            sending = asyncio.create_task(send())
            writer = server._store._writer
            await until(lambda: writer._appends >= appends_max, "the session is full")
            await asyncio.sleep(0.3)
            assert writer._appends == appends_max
            # A second session has room of its own, and unary calls too.
            async with eventfold.AsyncClient(address) as store:
                assert await store.get_stream("room-0") is not None
        assert await session.answers(count) == dict.fromkeys(range(count), "1")
        await sending
        await session.call.done_writing()
        assert await session.end() == "OK"


async def test_a_client_that_does_not_read_is_not_served_further(
    inside: tuple[Server, str, str], database_url: str
) -> None:
    """Answers of 1,000 positions and ids each: they would not fit one message together."""
    _, address, schema = inside
    count = 120
    async with grpc.aio.insecure_channel(address) as channel:
        session = Session(event_store_pb2_grpc.EventStoreStub(channel).AppendSession())
        for number in range(count):
            one = append(number, f"unread-{number}")
            one.append.ClearField("events")
            for _ in range(1000):
                one.append.events.add(type="T", data=b"{}")
            await session.send(one)

        def stored() -> int:
            with connected(database_url) as postgres:
                row = postgres.execute(f"SELECT position FROM {schema}.counter").fetchone()
            assert row is not None
            return int(row[0])

        deadline = time.monotonic() + 60
        while await asyncio.to_thread(stored) < count * 1000:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
        assert await session.answers(count) == dict.fromkeys(range(count), "1")
        assert session.messages >= 5


async def test_an_append_waits_for_no_longer_than_it_says(
    session: Session, server: RunningServer, database_url: str
) -> None:
    with appends_held(database_url, server.options["schema"]):
        await session.send(append(0, "waits-0", 0, timeout_s=0.2))
        await until(lambda: appends_waiting(database_url) == 1, "an append is under way")
        await session.send(*(append(n, f"waits-{n}", 0, timeout_s=0.2) for n in range(1, 5)))
        await session.send(append(5, "waits-5", 0))
        late = await session.answers(4)
        assert late == dict.fromkeys(range(1, 5), "DEADLINE_EXCEEDED")
    # The one that was under way is told what became of it, and the patient one is stored.
    assert await session.answers(2) == {0: "1", 5: "1"}
    found = await versions(server.address, [f"waits-{n}" for n in range(6)])
    assert found == {f"waits-{n}": int(n in (0, 5)) for n in range(6)}


async def test_a_wait_that_is_over_at_once_harms_nothing(
    session: Session, server: RunningServer
) -> None:
    for number in range(0, 20, 2):
        timeout_s = 0.0001 * (1 + number % 5)
        await session.send(
            append(number, f"over-{number}", timeout_s=timeout_s),
            append(number + 1, "over-all"),
        )
    answers = await session.answers(20)
    # Whether an impatient one is stored in time is its own affair.
    assert {answers[number] for number in range(0, 20, 2)} <= {"1", "DEADLINE_EXCEEDED"}
    assert {number: answers[number] for number in range(1, 20, 2)} == {
        number: str((number + 1) // 2) for number in range(1, 20, 2)
    }
    assert "Traceback" not in server.log_tail()


async def test_the_least_patient_is_told_first(
    session: Session, server: RunningServer, database_url: str
) -> None:
    with appends_held(database_url, server.options["schema"]):
        await session.send(append(0, "patient-0", 0))
        await until(lambda: appends_waiting(database_url) == 1, "an append is under way")
        began = time.monotonic()
        for number, timeout_s in enumerate((20, 0.9, 0.3), start=1):
            await session.send(append(number, f"patient-{number}", 0, timeout_s=timeout_s))
        assert await session.answers(1) == {3: "DEADLINE_EXCEEDED"}
        assert time.monotonic() - began >= 0.3
        assert await session.answers(1) == {2: "DEADLINE_EXCEEDED"}
        assert time.monotonic() - began >= 0.9
    assert await session.answers(2) == {0: "1", 1: "1"}
    found = await versions(server.address, [f"patient-{n}" for n in range(4)])
    assert found == {f"patient-{n}": int(n < 2) for n in range(4)}


async def test_a_session_that_breaks_leaves_nothing_waiting(
    session: Session, server: RunningServer, database_url: str
) -> None:
    names = [f"breaks-{n}" for n in range(20)]
    with appends_held(database_url, server.options["schema"]):
        await session.send(append(0, names[0]))
        await until(lambda: appends_waiting(database_url) == 1, "an append is under way")
        await session.send(*(append(n, names[n]) for n in range(1, 20)))
        # What is sent before the end of a call is read before it.
        await asyncio.sleep(0.3)
        session.call.cancel()
        await asyncio.sleep(0.3)
    async with eventfold.AsyncClient(server.address) as store:
        await store.append("breaks-after", [eventfold.Event("T", {})], expected_version=0)
    assert await versions(server.address, names) == {name: int(name == names[0]) for name in names}
    assert "Traceback" not in server.log_tail()


async def test_a_server_that_stops_answers_what_is_under_way(
    start: Starter, database_url: str
) -> None:
    server = start()
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub = event_store_pb2_grpc.EventStoreStub(channel)
        session, idle = Session(stub.AppendSession()), Session(stub.AppendSession())
        await idle.send(append(1, "idle-1"))
        assert await idle.answers(1) == {1: "1"}
        with appends_held(database_url, server.options["schema"]):
            await session.send(*(append(n, f"stops-{n}", 0) for n in range(30)))
            await until(lambda: appends_waiting(database_url) == 1, "an append is under way")
            server.process.send_signal(signal.SIGTERM)
            assert await idle.end() == "SHUTTING_DOWN"
            assert server.process.poll() is None
        assert await session.answers(30) == dict.fromkeys(range(30), "1")
        assert await session.end() == "SHUTTING_DOWN"
        assert await asyncio.to_thread(server.process.wait, 10) == 0
    assert "Traceback" not in server.log_tail()


async def test_kills_lose_and_double_nothing(shared_tmp_path: Path) -> None:
    """Whatever was not answered is repeated with the same ids on the next server."""
    data_dir = shared_tmp_path / "data"
    numbers = itertools.count(1)
    sent: dict[int, pb.SessionAppend] = {}
    answered: dict[int, pb.AppendResponse] = {}
    for _ in range(3):
        with start_server(shared_tmp_path, data_dir=data_dir) as server:
            async with grpc.aio.insecure_channel(server.address) as channel:
                stub = event_store_pb2_grpc.EventStoreStub(channel)
                session = Session(stub.AppendSession())
                before = len(answered)
                room = asyncio.Semaphore(400)

                async def send(session: Session = session, room: asyncio.Semaphore = room) -> None:
                    for one in [sent[n] for n in sent.keys() - answered.keys()]:
                        await session.send(one)
                    while True:
                        number = next(numbers)
                        await room.acquire()
                        sent[number] = append(number, f"killed-{number % 60}")
                        await session.send(sent[number])

                async def receive(
                    session: Session = session, room: asyncio.Semaphore = room
                ) -> None:
                    async for message in session.call:
                        for answer in message.answers:
                            assert answer.WhichOneof("outcome") == "appended", told(answer)
                            answered[answer.number] = answer.appended
                            room.release()

                tasks = [asyncio.create_task(send()), asyncio.create_task(receive())]
                await until(lambda n=before: len(answered) > n + 300, "answers")
                server.kill()
                # The sender may be waiting for room, which nobody gives any more.
                await asyncio.wait(tasks, timeout=5)
                for task in tasks:
                    task.cancel()
                ends = await asyncio.gather(*tasks, return_exceptions=True)
                broken = grpc.aio.AioRpcError | asyncio.InvalidStateError | asyncio.CancelledError
                assert all(isinstance(end, broken) for end in ends), ends
    with start_server(shared_tmp_path, data_dir=data_dir) as server:
        async with grpc.aio.insecure_channel(server.address) as channel:
            session = Session(event_store_pb2_grpc.EventStoreStub(channel).AppendSession())
            left = [sent[number] for number in sent.keys() - answered.keys()]
            await session.send(*left)
            assert len(await session.answers(len(left))) == len(left)
        async with eventfold.AsyncClient(server.address) as store:
            log = [event async for event in store.read_all()]
    assert [event.position for event in log] == list(range(1, len(log) + 1))
    assert sorted(event.id for event in log) == sorted(
        one.append.events[0].id for one in sent.values()
    )
    positions = {event.id: event.position for event in log}
    for number, response in answered.items():
        assert list(response.positions) == [positions[sent[number].append.events[0].id]]
