"""The stores under test, started on this machine with durable settings and an empty folder.

PostgreSQL is everywhere the one that eventfold embeds, with the settings that eventfold gives it
(`python/eventfold_server/embedded/settings.py`), a cluster for each store.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from processes import Watched, pages_written, start, stop

from eventfold_server.embedded import EmbeddedPostgres

_READY_S = 60.0


@dataclass
class Store:
    """A running store: `url` is what its driver connects to."""

    url: str
    watched: Watched
    # Its database, if it has one; what stands on disk is asked there, without the log.
    database_url: str | None = None
    file: Path | None = None
    empty_bytes: int = field(default=0)

    def __post_init__(self) -> None:
        self.empty_bytes = self.bytes()

    def bytes(self) -> int:
        """Size of tables and indexes, or of the store's own file; without write-ahead logs."""
        if self.database_url is None:
            return pages_written(self.file) if self.file is not None else 0
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        assert row is not None
        return int(row[0])

    def data_bytes(self) -> int:
        """What was written since the store was empty."""
        return self.bytes() - self.empty_bytes

    def settle(self) -> None:
        """Does now what a load left to do, so that no cell pays for it."""
        if self.database_url is not None:
            with psycopg.connect(self.database_url, autocommit=True) as connection:
                connection.execute("VACUUM (ANALYZE)")
                connection.execute("CHECKPOINT")


@contextlib.contextmanager
def eventfold(folder: Path, *options: str, database_url: str | None = None) -> Iterator[Store]:
    """`eventfold serve` as it comes but for these options, with its embedded PostgreSQL, or beside
    another server on the database of that one."""
    command = [sys.executable, "-m", "eventfold", "serve", "--json", "--log-level", "warning"]
    command += ["--listen", "127.0.0.1:0", *options]
    if database_url is None:
        command += ["--data-dir", str(folder / "data")]
    else:
        command += ["--database-url", database_url]
    process = start(command, signal.SIGTERM, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("eventfold serve did not start")
        url = database_url or (folder / "data" / "postgres.url").read_text().strip()
        yield Store(json.loads(line)["address"], Watched([process.pid]), database_url=url)
    finally:
        stop(process)


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[Store]:
    """A PostgreSQL alone."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def make() -> EmbeddedPostgres:
        server = EmbeddedPostgres(folder / "data", max_connections=200)
        await server.start()
        return server

    server = asyncio.run_coroutine_threadsafe(make(), loop).result()
    try:
        yield Store(server.dsn, Watched([server.pid]), database_url=server.dsn)
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextlib.contextmanager
def umadb(folder: Path, program: Path, page_cache_mb: int = 0) -> Iterator[Store]:
    """UmaDB's server as it comes, but for its page cache."""
    folder.mkdir(parents=True, exist_ok=True)
    address = f"127.0.0.1:{_free_port()}"
    file = folder / "uma.db"
    command = [program, "--listen", address, "--db-path", file]
    command += ["--page-cache-max-mb", str(page_cache_mb)]
    process = start(command, signal.SIGTERM, stdout=subprocess.DEVNULL)
    try:
        _wait_for(address, process)
        yield Store(f"http://{address}", Watched([process.pid]), file=file)
    finally:
        stop(process)


def copy_umadb(source: Path, target: Path) -> None:
    """The file of a server that was stopped, for another one."""
    target.mkdir(parents=True)
    shutil.copy(source / "uma.db", target / "uma.db")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + _READY_S
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server at {address} did not start") from None
            time.sleep(0.05)
