"""One server for all tests of deletions; each test has categories of its own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.servers import RunningServer, start_postgres, start_server

import eventfold


@dataclass(frozen=True)
class Names:
    """Categories that no other test uses."""

    drawn: str

    def __call__(self, category: str, id_: object = "") -> str:
        name = f"{category}{self.drawn}"
        return f"{name}-{id_}" if id_ != "" else name


@pytest.fixture(scope="session")
def deletion_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("deletion")
    folder.chmod(0o711)
    with start_postgres(folder / "data") as dsn:
        yield dsn


@pytest.fixture(scope="session")
def deletion_server(
    deletion_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    folder: Path = tmp_path_factory.mktemp("deletion-server")
    with start_server(folder, database_url=deletion_url, schema="deletion") as server:
        yield server


@pytest.fixture
def store(deletion_server: RunningServer) -> Iterator[eventfold.Client]:
    with eventfold.Client(deletion_server.address, timeout=30) as client:
        yield client


@pytest.fixture
def names() -> Names:
    return Names(uuid.uuid4().hex[:10])
