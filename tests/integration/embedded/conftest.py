"""Holders of clusters in processes of their own, and a look at what is left of a cluster."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from eventfold_server.embedded import EmbeddedPostgres, accounts, leftovers, sockets
from eventfold_server.embedded.directory import DataDirectory

HOLDER = Path(__file__).with_name("holder.py")
GONE_SECONDS_MAX = 30.0
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


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory that was initialised and stopped cleanly, to be copied."""
    data_dir = tmp_path_factory.mktemp("template") / "data"

    async def make() -> None:
        async with EmbeddedPostgres(data_dir):
            pass

    asyncio.run(make())
    return data_dir


@pytest.fixture
def fresh_cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster that is not there yet; at the end no process of it may be left."""
    made = Cluster(tmp_path / "data")
    yield made
    if made.directory.exists():
        made.seconds_until_gone()
        # What a killed holder leaves until its next start, which will never be.
        account = accounts.choose(made.data_dir, made.directory)
        sockets.remove_left_directory(DataDirectory(made.data_dir).read_url(), account)
    # 40 MB each; pytest itself would keep those of the last three runs.
    shutil.rmtree(made.data_dir, ignore_errors=True)


@pytest.fixture
def cluster(fresh_cluster: Cluster, template: Path) -> Cluster:
    """A stopped cluster: copied, since an initdb for every test would double their time."""
    shutil.copytree(template, fresh_cluster.data_dir)
    owner = (template / "cluster").stat()
    for directory, _, names in os.walk(fresh_cluster.directory):
        for path in (directory, *(os.path.join(directory, name) for name in names)):  # noqa: PTH118
            os.chown(path, owner.st_uid, owner.st_gid)
    return fresh_cluster


@pytest.fixture
def hold(fresh_cluster: Cluster) -> Iterator[Callable[..., Holder]]:
    """Start a holder of the cluster; what still runs at the end of the test is killed."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*options: str) -> Holder:
        process = subprocess.Popen(
            [sys.executable, str(HOLDER), str(fresh_cluster.data_dir), *options],
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
