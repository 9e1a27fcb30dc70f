"""Goal: a cluster comes up, survives kills of the server and of PostgreSQL, and leaves nothing.

Method: real processes. The server is `holder.py`, killed in every way; what is left is read
from the process table; the next start is timed. `test_other_user.py` runs this file again as an
ordinary user when the tests run as root.
"""

import asyncio
import os
import signal
import stat
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from eventfold_server.embedded import (
    DataDirectoryInUse,
    EmbeddedPostgres,
    EmbeddedPostgresError,
    NotRunning,
    StartFailed,
)

RECOVERY_SECONDS_MAX = 20.0


def socket_directory(dsn):
    return Path(parse_qs(urlsplit(dsn).query)["host"][0])


def start_and_count(cluster, query):
    """Start the cluster here, within the promised time; return the time and the rows."""
    postgres = EmbeddedPostgres(cluster.data_dir)
    began = time.monotonic()
    asyncio.run(postgres.start())
    took = time.monotonic() - began
    try:
        rows = query(postgres.dsn, "SELECT count(*) FROM kept")
    finally:
        asyncio.run(postgres.stop())
    assert took < RECOVERY_SECONDS_MAX
    return took, rows


def commit_rows(query, dsn, rows):
    query(dsn, f"CREATE TABLE kept AS SELECT generate_series(1, {rows}) AS n")


async def test_first_and_second_start(fresh_cluster):
    times = []
    for _ in range(2):
        began = time.monotonic()
        async with EmbeddedPostgres(fresh_cluster.data_dir) as postgres:
            times.append(time.monotonic() - began)
            connection = await asyncpg.connect(postgres.dsn)
            await connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
            await connection.execute("INSERT INTO kept VALUES (1)")
            rows = await connection.fetchval("SELECT count(*) FROM kept")
            await connection.close()
            directory = socket_directory(postgres.dsn)
            private = directory.stat()
            assert stat.S_IMODE(private.st_mode) == 0o700
            assert private.st_uid == fresh_cluster.directory.stat().st_uid
            assert os.getsid(postgres.pid) != os.getsid(0), "a terminal's Ctrl-C would reach it"
        assert not directory.exists()
    print(f"first start {times[0]:.3f} s, second {times[1]:.3f} s")
    assert rows == 2
    assert times[1] < RECOVERY_SECONDS_MAX
    assert stat.S_IMODE(fresh_cluster.data_dir.stat().st_mode) == 0o700
    assert sorted(path.name for path in fresh_cluster.data_dir.iterdir()) == [
        "cluster",
        "initdb.log",
        "postgres.lock",
        "postgres.log",
        "postgres.password",
    ]
    assert "database system was shut down" in fresh_cluster.log
    assert "interrupted" not in fresh_cluster.log


@pytest.mark.parametrize("way", ["signal", "watcher"])
def test_server_killed(cluster, hold, query, way):
    options = ["watcher"] if way == "watcher" else []
    holder = hold(*options)
    commit_rows(query, holder.dsn, 1000)
    left_socket = socket_directory(holder.dsn)
    assert len(cluster.processes()) > 3
    holder.kill()
    gone = cluster.seconds_until_gone()
    took, rows = start_and_count(cluster, query)
    print(f"gone after {gone:.3f} s, next start {took:.3f} s")
    assert rows == 1000
    assert not left_socket.exists()


def test_next_start_at_once_after_the_kill(cluster, hold, query):
    """It meets a PostgreSQL that is still shutting down."""
    for _ in range(3):
        holder = hold()
        query(holder.dsn, "CREATE TABLE IF NOT EXISTS kept (n int)")
        query(holder.dsn, "INSERT INTO kept VALUES (1) RETURNING n")
        holder.kill()
    took, rows = start_and_count(cluster, query)
    print(f"next start {took:.3f} s")
    assert rows == 3


def test_leftover_that_does_not_react_is_ended(cluster, hold, query):
    """A stopped process keeps the death signal pending, and SIGQUIT after it."""
    holder = hold()
    commit_rows(query, holder.dsn, 10)
    os.kill(holder.pid, signal.SIGSTOP)
    holder.kill()
    assert holder.pid in cluster.processes()
    took, rows = start_and_count(cluster, query)
    print(f"next start {took:.3f} s")
    assert rows == 10


def test_thread_that_started_it_ends(cluster, hold, query):
    """The parent-death signal fires for the forking thread: that must not be the caller's."""
    holder = hold("thread")
    time.sleep(0.3)
    commit_rows(query, holder.dsn, 10)
    holder.process.terminate()
    assert holder.process.wait(20) == 0
    assert "received immediate shutdown" not in cluster.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_server_is_told_to_stop(cluster, hold, number):
    """The signal goes to the whole process group, as a terminal sends Ctrl-C."""
    holder = hold()
    began = time.monotonic()
    os.killpg(holder.process.pid, number)
    assert holder.process.wait(20) == 0
    print(f"stopped in {time.monotonic() - began:.3f} s")
    assert cluster.processes() == []
    assert "received fast shutdown request" in cluster.log
    assert "database system is shut down" in cluster.log


async def test_postgres_killed_and_restarted(cluster):
    async with EmbeddedPostgres(cluster.data_dir) as postgres:
        dsn, pid = postgres.dsn, postgres.pid
        connection = await asyncpg.connect(dsn)
        await connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        died = asyncio.create_task(postgres.wait_died())
        await asyncio.sleep(0)
        assert not died.done()
        os.kill(pid, signal.SIGKILL)
        report = await asyncio.wait_for(died, 30)
        assert (report.pid, report.exit_status, report.requested) == (pid, -signal.SIGKILL, False)
        connection.terminate()

        await postgres.restart()
        assert postgres.pid != pid
        assert postgres.dsn == dsn
        connection = await asyncpg.connect(dsn)
        assert await connection.fetchval("SELECT n FROM kept") == 7
        await connection.close()

        died = asyncio.create_task(postgres.wait_died())
        await asyncio.sleep(0)
    report = await asyncio.wait_for(died, 30)
    assert report.requested
    assert report.exit_status == 0


async def test_restart_that_fails_can_be_repeated(cluster):
    control = cluster.directory / "global" / "pg_control"
    hidden = control.with_name("pg_control.hidden")
    async with EmbeddedPostgres(cluster.data_dir) as postgres:
        control.rename(hidden)
        os.kill(postgres.pid, signal.SIGKILL)
        died = await asyncio.wait_for(postgres.wait_died(), 5)
        for _ in range(2):
            with pytest.raises(StartFailed, match="pg_control"):
                await postgres.restart()
            again = await asyncio.wait_for(postgres.wait_died(), 1)
            assert again.pid != died.pid
            assert not again.requested
            with pytest.raises(NotRunning):
                assert postgres.pid
        hidden.rename(control)
        await postgres.restart()
        connection = await asyncpg.connect(postgres.dsn)
        await connection.close()


async def test_restart_of_a_healthy_one(cluster):
    async with EmbeddedPostgres(cluster.data_dir) as postgres:
        first = postgres.pid
        await postgres.restart()
        assert postgres.pid != first


def test_two_servers(cluster, hold):
    holder = hold()
    began = time.monotonic()
    second = hold()
    assert second.error == "DataDirectoryInUse"
    assert f"pid {holder.process.pid}" in second.message
    assert second.process.wait(20) == 1
    assert time.monotonic() - began < 20
    assert cluster.processes()


async def test_twice_in_one_process(cluster):
    async with EmbeddedPostgres(cluster.data_dir) as postgres:
        with pytest.raises(EmbeddedPostgresError, match="started already"):
            await postgres.start()
        with pytest.raises(DataDirectoryInUse):
            await EmbeddedPostgres(cluster.data_dir).start()
        connection = await asyncpg.connect(postgres.dsn)
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()


async def test_started_and_stopped_in_different_loops_and_again(cluster):
    postgres = EmbeddedPostgres(cluster.data_dir)
    for _ in range(2):
        await asyncio.to_thread(lambda: asyncio.run(postgres.start()))
        assert postgres.pid
        await postgres.stop()
        await postgres.stop()
    for use in (lambda: postgres.dsn, lambda: postgres.pid):
        with pytest.raises(NotRunning):
            use()


async def test_cancelled_start_leaves_nothing(fresh_cluster):
    for seconds in (0.02, 0.2, 0.4):
        postgres = EmbeddedPostgres(fresh_cluster.data_dir)
        starting = asyncio.create_task(postgres.start())
        await asyncio.sleep(seconds)
        starting.cancel()
        await asyncio.wait({starting})
        await postgres.stop()
        if fresh_cluster.directory.exists():
            assert fresh_cluster.processes() == []
    async with EmbeddedPostgres(fresh_cluster.data_dir):
        assert not list(fresh_cluster.data_dir.glob("cluster.new-*"))


async def test_every_local_user_needs_the_password(cluster):
    async with EmbeddedPostgres(cluster.data_dir) as postgres:
        for wrong in ("", "wrong"):
            with pytest.raises(
                (asyncpg.InvalidPasswordError, asyncpg.exceptions.InternalClientError)
            ):
                await asyncpg.connect(
                    host=str(socket_directory(postgres.dsn)),
                    port=5432,
                    user="eventfold",
                    database="postgres",
                    password=wrong,
                )
        assert (cluster.data_dir / "postgres.url").read_text().strip() == postgres.dsn
        for name in ("postgres.password", "postgres.url", "postgres.log", "postgres.lock"):
            assert stat.S_IMODE((cluster.data_dir / name).stat().st_mode) == 0o600


@pytest.mark.parametrize("unsafe", [False, True])
async def test_settings(cluster, unsafe):
    async with EmbeddedPostgres(
        cluster.data_dir,
        max_connections=37,
        # What the promises rest on wins over what is asked for, in any spelling.
        settings={"max_wal_size": "1GB", "WORK_MEM": "8MB", "fsync": "off", "FSYNC": "off"},
        unsafe_no_fsync_for_tests=unsafe,
    ) as postgres:
        connection = await asyncpg.connect(postgres.dsn)
        shown = {
            row["name"]: row["setting"]
            for row in await connection.fetch("SELECT name, setting FROM pg_settings")
        }
        encoding = await connection.fetchval(
            "SELECT pg_encoding_to_char(encoding) || ' ' || datcollate FROM pg_database "
            "WHERE datname = current_database()"
        )
        await connection.close()
    durable = "off" if unsafe else "on"
    assert {name: shown[name] for name in ("fsync", "synchronous_commit", "full_page_writes")} == {
        "fsync": durable,
        "synchronous_commit": durable,
        "full_page_writes": durable,
    }
    assert shown["listen_addresses"] == ""
    assert shown["max_connections"] == "37"
    assert (shown["max_wal_size"], shown["work_mem"]) == ("1024", "8192")
    assert shown["TimeZone"] == "UTC"
    assert shown["data_checksums"] == "on"
    assert encoding == "UTF8 C"


async def test_a_setting_that_postgres_refuses_is_told(cluster):
    postgres = EmbeddedPostgres(cluster.data_dir, settings={"shared_buffers": "much"})
    with pytest.raises(StartFailed, match='invalid value for parameter "shared_buffers"'):
        await postgres.start()
