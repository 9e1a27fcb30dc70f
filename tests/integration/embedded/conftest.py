"""Holders of clusters in processes of their own, and a look at what is left of a cluster."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from eventfold_server.embedded import leftovers

HOLDER = Path(__file__).with_name("holder.py")
GONE_SECONDS_MAX = 7.0
DEADLINE_SECONDS = 30.0


@dataclass
class Holder:
    """A running holder, or one that refused (`error`, `message`)."""

    process: "subprocess.Popen[bytes]"
    dsn: str = ""
    pid: int = 0
    error: str = ""
    message: str = ""

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass
class Cluster:
    """A data directory under test."""

    data_dir: Path

    @property
    def directory(self) -> Path:
        return self.data_dir / "cluster"

    @property
    def log(self) -> str:
        return (self.data_dir / "postgres.log").read_text()

    def processes(self) -> list[int]:
        uid = self.directory.stat().st_uid
        return [one.pid for one in leftovers.find(self.directory, uid)]

    def seconds_until_gone(self) -> float:
        began = time.monotonic()
        while self.processes():
            assert time.monotonic() - began < GONE_SECONDS_MAX, "PostgreSQL stays behind"
            time.sleep(0.01)
        return time.monotonic() - began


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path / "data")
    yield made
    if made.directory.exists():
        assert made.seconds_until_gone() < GONE_SECONDS_MAX


@pytest.fixture
def hold(cluster: Cluster) -> Iterator[Callable[..., Holder]]:
    """Start a holder of the cluster; what still runs at the end of the test is killed."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*options: str) -> Holder:
        process = subprocess.Popen(
            [sys.executable, str(HOLDER), str(cluster.data_dir), *options],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,
        )
        started.append(process)
        assert process.stdout is not None
        return Holder(process, **json.loads(process.stdout.readline()))

    yield start
    for process in started:
        process.kill()
        process.wait(DEADLINE_SECONDS)
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture
def query() -> Callable[[str, str], object]:
    """Run one statement and return its first value, from code without an event loop."""

    async def run(dsn: str, statement: str) -> object:
        connection = await asyncpg.connect(dsn, timeout=DEADLINE_SECONDS)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return lambda dsn, statement: asyncio.run(run(dsn, statement))
