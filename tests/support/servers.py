"""Real server processes for tests: started, reached, stopped, killed."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from eventfold_server.embedded import EmbeddedPostgres

from .forge import Forge, ForkedProcess

# The first start initialises a cluster, which takes seconds on a slow disk.
START_SECONDS_MAX = 120.0
STOP_SECONDS_MAX = 40.0
LOG_NAME = "server.log"
# Dozens of clusters share a machine, and their data is in memory where there is enough.
SMALL_POSTGRES = {"shared_buffers": "64MB", "max_wal_size": "96MB", "min_wal_size": "32MB"}

# The server says its address on standard output once it answers calls.
_PROGRAM = """
import json
import logging
import sys
from pathlib import Path

from eventfold_server.config import ServerConfig
from eventfold_server.serve import run

logging.basicConfig(level=logging.INFO)
options = json.loads(sys.argv[1])
paths = {"data_dir", "tls_cert", "tls_key", "token_file", "transform_targets", "master_key_file"}
for name in (paths | {"vault_token_file", "vault_ca"}) & options.keys():
    options[name] = Path(options[name])
run(ServerConfig(**options), lambda address: print(address, flush=True))
"""


class ServerDied(Exception):
    """The server ended, or did not say its address in time; holds the end of its log."""


@dataclass
class RunningServer:
    """A server process of the test's own."""

    # `host:port`.
    address: str
    # What it was told; other servers can be started with the same.
    options: dict[str, object]
    log: Path
    process: ForkedProcess | subprocess.Popen[str] = field(repr=False)

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self.process.pid

    @property
    def data_dir(self) -> Path | None:
        """Directory of its embedded PostgreSQL, if it has one."""
        found = self.options.get("data_dir")
        return None if found is None else Path(str(found))

    def stop(self) -> int:
        """Stops it the clean way and returns its exit status; may be called again."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=STOP_SECONDS_MAX)

    def kill(self) -> None:
        """Ends it at once, as kill -9 does; may be called again."""
        self.process.kill()
        self.process.wait(timeout=STOP_SECONDS_MAX)

    def reload(self) -> None:
        """Makes it read its token file again."""
        self.process.send_signal(signal.SIGHUP)

    def log_tail(self) -> str:
        """The end of what it logged."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-4000:]


def _read_line(stream: IO[str], seconds: float) -> str:
    """The next line; empty when there is none in time or the stream ended."""
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=lambda: lines.put(stream.readline()), daemon=True).start()
    try:
        return lines.get(timeout=seconds).strip()
    except queue.Empty:
        return ""


# By process, since children do not share it.
_FORGES: dict[int, Forge] = {}


def _forge() -> Forge:
    forge = _FORGES.get(os.getpid())
    if forge is None or forge.is_dead:
        forge = _FORGES[os.getpid()] = Forge()
    return forge


def _start(
    options: str, log: Path, environment: Mapping[str, str] | None
) -> ForkedProcess | subprocess.Popen[str]:
    with log.open("a", encoding="utf-8") as errors:
        if not environment:
            return _forge().start(_PROGRAM, options, errors)
        # Some of it is read by the modules that are imported.
        return subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"} | dict(environment),
        )


@contextmanager
def start_server(
    folder: Path, *, environment: Mapping[str, str] | None = None, **options: object
) -> Iterator[RunningServer]:
    """Yields a server that answers calls, and stops it after.

    `folder` gets its log and, unless `data_dir` or `database_url` is among the options, the data
    of its embedded PostgreSQL. The options are those of `ServerConfig`; paths may be texts.
    `environment` is what its environment has more than that of the tests.
    """
    options.setdefault("listen", "127.0.0.1:0")
    if "data_dir" not in options and "database_url" not in options:
        options["data_dir"] = folder / "data"
    if "data_dir" in options:
        options.setdefault("postgres_settings", SMALL_POSTGRES)
    log = folder / LOG_NAME
    process = _start(json.dumps(options, default=str), log, environment)
    assert process.stdout is not None
    server = RunningServer("", options, log, process)
    try:
        server.address = _read_line(process.stdout, START_SECONDS_MAX)
        if not server.address:
            process.kill()
            process.wait(timeout=STOP_SECONDS_MAX)
            raise ServerDied(f"status {process.returncode}\n{server.log_tail()}")
        yield server
    finally:
        try:
            server.stop()
        except subprocess.TimeoutExpired:
            server.kill()
            raise
        finally:
            process.stdout.close()


@contextmanager
def start_postgres(folder: Path) -> Iterator[str]:
    """Yields the URL of a PostgreSQL that several servers can share, each with its own schema.

    Nothing is left of it in the end.
    """
    postgres = EmbeddedPostgres(folder, settings=SMALL_POSTGRES)
    asyncio.run(postgres.start())
    try:
        yield postgres.dsn
    finally:
        asyncio.run(postgres.stop())
        shutil.rmtree(folder, ignore_errors=True)
