"""Several servers on one store, each test with a store of its own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support.kept import SCHEMA, KeptStore
from tests.support.servers import start_postgres, start_server

import eventfold

SERVERS = 2


@pytest.fixture(scope="session")
def kept_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("kept")
    folder.chmod(0o711)
    with start_postgres(folder / "data") as url:
        yield url


@pytest.fixture
def store(kept_postgres: str, tmp_path: Path) -> Iterator[KeptStore]:
    with ExitStack() as stack:

        def start() -> eventfold.Client:
            folder = tmp_path / uuid.uuid4().hex
            folder.mkdir()
            server = start_server(folder, database_url=kept_postgres, schema=SCHEMA)
            address = stack.enter_context(server).address
            return stack.enter_context(eventfold.Client(address, timeout=30))

        store = KeptStore([start() for _ in range(SERVERS)], kept_postgres, start)
        yield store
        stack.close()
        store.sql("DROP SCHEMA {s} CASCADE")
