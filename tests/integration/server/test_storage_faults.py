"""Goal: whatever happens to PostgreSQL, calls get a typed answer, and the server recovers alone.

Method: a server on an embedded PostgreSQL of its own, which is killed, paused, made read-only, made
to wait for a standby, and has its connections cut; then it must serve as before.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import grpc
import pytest
from tests.support.database import connected, postmaster_pid
from tests.support.raw import call
from tests.support.servers import RunningServer, start_server

import eventfold
from eventfold.v1 import appends_pb2 as pb
from eventfold_server.embedded import EmbeddedPostgres
from eventfold_server.errors import Refusal
from eventfold_server.storage import liveness
from eventfold_server.storage.database import Database
from eventfold_server.storage.preparing import StorageRefused

APPEND = "/eventfold.v1.EventStore/Append"
RECOVERY_SECONDS_MAX = 30.0
OURS = "application_name = 'eventfold'"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with a PostgreSQL of its own."""
    folder = tmp_path_factory.mktemp("own")
    folder.chmod(0o711)
    with start_server(folder) as server:
        yield server
        assert server.stop() == 0


@pytest.fixture
def url(own: RunningServer) -> str:
    assert own.data_dir is not None
    return (own.data_dir / "postgres.url").read_text().strip()


@pytest.fixture
def store(own: RunningServer) -> Iterator[eventfold.Client]:
    with eventfold.Client(own.address, timeout=20) as client:
        yield client


def append(store: eventfold.Client, stream: str, timeout: float | None = None) -> int:
    """Appends an event; returns the version."""
    event = [eventfold.Event("T", {})]
    return store.append(stream, event, expected_version=eventfold.ANY, timeout=timeout).last_version


def reason_of(address: str, stream: str, event_id: str = "", timeout: float = 5) -> str:
    """The reason of one attempt of an append, which nobody repeats; `OK` if there is none."""
    request = pb.AppendRequest(stream=stream)
    request.expected_version.any.SetInParent()
    request.events.add(id=event_id, type="T", data=b"{}")
    with grpc.insecure_channel(address) as channel:
        answer = call(channel, APPEND, request.SerializeToString(), timeout=timeout)
    return answer.reason or answer.code


def until_served(store: eventfold.Client, stream: str) -> float:
    """Seconds until an append works again; all errors on the way are typed and temporary."""
    began = time.monotonic()
    while True:
        try:
            append(store, stream, timeout=1)
            return time.monotonic() - began
        except eventfold.EventfoldError as error:
            last = error
        assert last.code in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}, last
        assert time.monotonic() - began < RECOVERY_SECONDS_MAX, last
        time.sleep(0.02)


def test_a_killed_postgres_comes_back_by_itself(
    own: RunningServer, store: eventfold.Client
) -> None:
    assert own.data_dir is not None
    before = append(store, "killed-1")
    pid = postmaster_pid(own.data_dir)
    os.kill(pid, signal.SIGKILL)
    reasons = set()
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        reasons.add(reason_of(own.address, "killed-2"))
    # Its processes go on for a moment without it.
    assert reasons <= {"STORAGE_UNAVAILABLE", "OUTCOME_UNKNOWN", "OK"}
    assert "STORAGE_UNAVAILABLE" in reasons
    assert until_served(store, "killed-1") < RECOVERY_SECONDS_MAX
    assert store.get_stream("killed-1").version == before + 1
    assert postmaster_pid(own.data_dir) != pid
    assert "starting it again" in own.log_tail()
    assert "fault in" not in own.log_tail()


def test_cut_connections_fail_no_call_that_comes_after(
    own: RunningServer, store: eventfold.Client, url: str
) -> None:
    version = append(store, "cut-1")
    for _ in range(3):
        with connected(url) as postgres:
            found = postgres.execute(
                f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {OURS}"
            ).fetchall()
        assert found
        time.sleep(0.2)
        version += 1
        assert reason_of(own.address, "cut-1") == "OK"
        assert store.get_stream("cut-1").version == version


def test_a_paused_postgres_holds_calls_up_and_loses_nothing(
    own: RunningServer, store: eventfold.Client, url: str
) -> None:
    append(store, "paused-1")
    assert own.data_dir is not None
    with connected(url) as postgres:
        rows = postgres.execute(f"SELECT pid FROM pg_stat_activity WHERE {OURS}").fetchall()
    pids = [postmaster_pid(own.data_dir), *(row[0] for row in rows)]
    events = [eventfold.Event("T", {})]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        for attempt in (
            lambda: store.append("paused-1", events, expected_version=1, timeout=0.5),
            lambda: store.get_stream("paused-1", timeout=0.5),
            lambda: list(store.read("paused-1", timeout=0.5)),
        ):
            began = time.monotonic()
            with pytest.raises(eventfold.EventfoldError) as failed:
                attempt()
            assert failed.value.code in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}
            assert time.monotonic() - began < 10
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    assert until_served(store, "paused-2") < RECOVERY_SECONDS_MAX
    result = store.append("paused-1", events, expected_version=1)
    assert (result.first_version, result.last_version) == (2, 2)
    assert store.get_stream("paused-1").version == 2


def test_a_read_only_postgres_refuses_appends_and_serves_reads(
    own: RunningServer, store: eventfold.Client, url: str
) -> None:
    """What a primary that became a standby looks like."""
    append(store, "readonly-1")
    with connected(url) as postgres:
        postgres.execute("ALTER ROLE CURRENT_USER SET default_transaction_read_only = on")
        postgres.execute(
            f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {OURS}"
        )
    time.sleep(0.2)
    try:
        assert reason_of(own.address, "readonly-1") == "STORAGE_UNAVAILABLE"
        assert store.get_stream("readonly-1").version == 1
    finally:
        with connected(url) as postgres:
            postgres.execute("SET default_transaction_read_only = off")
            postgres.execute("ALTER ROLE CURRENT_USER RESET default_transaction_read_only")
    # New connections are made, which find the primary; the SDK repeats until one has.
    append(store, "readonly-1")
    assert store.get_stream("readonly-1").version == 2


def test_a_commit_that_did_not_wait_for_its_standby_is_not_acknowledged(
    own: RunningServer, store: eventfold.Client, url: str
) -> None:
    """The first append waits alone for the standby, the others behind it in one transaction."""
    events = [eventfold.Event("T", {}) for _ in range(6)]
    reasons: list[str] = []

    def attempt(number: int) -> None:
        stream = f"replicated-{number}"
        reasons.append(reason_of(own.address, stream, str(events[number].id), timeout=20))

    with connected(url) as postgres:
        postgres.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        postgres.execute("SELECT pg_reload_conf()")
        time.sleep(0.2)
        try:
            threads = [threading.Thread(target=attempt, args=(n,)) for n in range(6)]
            for thread in threads:
                thread.start()
            waiting = f"{OURS} AND wait_event = 'SyncRep'"
            deadline = time.monotonic() + 60
            cancelled = 0
            while any(thread.is_alive() for thread in threads):
                assert time.monotonic() < deadline, reasons
                time.sleep(0.1)
                cancelled += postgres.execute(
                    f"SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE {waiting}"
                ).rowcount
        finally:
            postgres.execute("ALTER SYSTEM RESET synchronous_standby_names")
            postgres.execute("SELECT pg_reload_conf()")
    assert reasons == ["OUTCOME_UNKNOWN"] * 6
    assert cancelled < 6, "each had a transaction of its own"
    for number, event in enumerate(events):
        assert store.append(f"replicated-{number}", [event], expected_version=7).duplicate


def test_a_fault_is_logged_without_what_it_quotes(
    own: RunningServer, store: eventfold.Client, url: str
) -> None:
    append(store, "fault-1")
    schema = "eventfold"
    with connected(url) as postgres:
        check = "CHECK (position < 0) NOT VALID"
        postgres.execute(f"ALTER TABLE {schema}.events ADD CONSTRAINT broken {check}")
        try:
            with pytest.raises(eventfold.Bug) as failed:
                store.append(
                    "fault-1", [eventfold.Event("T", {"iban": "DE02SECRET"})], expected_version=1
                )
        finally:
            postgres.execute(f"ALTER TABLE {schema}.events DROP CONSTRAINT broken")
    log = own.log_tail()
    assert f"request_id {failed.value.facts['request_id']}" in log
    assert "CheckViolationError 23514 broken" in log
    assert "appends.py" in log, "the place is told"
    secret = "DE02SECRET"
    for told in (secret, secret.encode().hex()):
        assert told not in log
        assert told not in str(failed.value)
    assert append(store, "fault-1") == 2


async def test_a_database_that_is_still_starting_is_waited_for(shared_tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(shared_tmp_path / "data")
    await postgres.start()
    try:
        os.kill(postgres.pid, signal.SIGKILL)
        await postgres.wait_died()
        impatient = Database(postgres.dsn, "eventfold")
        with pytest.raises(Refusal) as refused:
            await impatient.open()
        assert refused.value.reason == "STORAGE_UNAVAILABLE"
        assert "cannot be reached" in refused.value.message
        patient = Database(postgres.dsn, "eventfold", wait_s=20)
        opening = asyncio.create_task(patient.open())
        await asyncio.sleep(0.5)
        assert not opening.done()
        await postgres.restart()
        await opening
        await patient.close()
        for name, dsn in {
            "password authentication failed": replaced(postgres.dsn, ":", "@", "wrong"),
            "does not exist": postgres.dsn.replace("/postgres?", "/nothing?"),
            "no URL of a PostgreSQL": "mysql://127.0.0.1/none",
        }.items():
            began = time.monotonic()
            with pytest.raises(StorageRefused, match=name) as told:
                await Database(dsn, "eventfold", wait_s=20).open()
            assert time.monotonic() - began < 15, "waiting does not help here"
            password = postgres.dsn.split(":")[2].split("@")[0]
            assert password not in str(told.value)
    finally:
        await postgres.stop()


def replaced(dsn: str, after: str, before: str, text: str) -> str:
    """The URL with another password."""
    head, _, rest = dsn.partition("//")
    user, _, tail = rest.partition(after)
    return f"{head}//{user}{after}{text}{before}{tail.partition(before)[2]}"


async def test_the_system_watches_connections_to_another_machine(database_url: str) -> None:
    """Through a relay on TCP, since the PostgreSQL of the tests has a socket of this machine."""
    where = parse_qs(urlsplit(database_url).query)
    path = f"{where['host'][0]}/.s.PGSQL.{where['port'][0]}"

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_postgres, to_postgres = await asyncio.open_unix_connection(path)

        async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                target.write(data)
            target.close()

        await asyncio.gather(pass_on(reader, to_postgres), pass_on(from_postgres, writer))

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        login = urlsplit(database_url).netloc
        remote = f"postgresql://{login.rpartition('@')[0]}@127.0.0.1:{port}/postgres"
        database = Database(remote, f"test_{uuid.uuid4().hex}")
        await database.open()
        try:
            async with database.reading() as connection:
                assert await connection.fetchval("SELECT 1") == 1
                socket_ = connection._transport.get_extra_info("socket")
                options = {
                    name: socket_.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
                    for name in liveness._OPTIONS
                    if hasattr(socket, name)
                }
                assert socket_.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                assert options
                assert options == {name: liveness._OPTIONS[name] for name in options}
        finally:
            await database.close()
