"""One PostgreSQL and one server with keys for all tests of personal values."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from tests.support.keys import master_key_file
from tests.support.servers import RunningServer, start_postgres, start_server

from eventfold import Client


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("postgres")
    folder.chmod(0o711)
    with start_postgres(folder / "data") as url:
        yield url


@pytest.fixture(scope="session")
def server(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("server")
    options = {
        "database_url": postgres,
        "schema": "personal",
        "master_key_file": master_key_file(folder),
        "fence_ledger": f"file:{folder / 'fences'}",
    }
    with start_server(folder, **options) as started:
        yield started


@pytest.fixture
def store(server: RunningServer) -> Iterator[Client]:
    with Client(server.address) as client:
        yield client


@pytest.fixture
def kind() -> str:
    """A word for the names of one test: its event type and category."""
    return f"T{uuid.uuid4().hex}"
