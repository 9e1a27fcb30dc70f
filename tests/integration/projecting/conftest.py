"""A PostgreSQL for the tests of steps of projections, and stores that tests fill themselves."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.support.servers import start_postgres

from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.database import Database
from eventfold_server.storage.projector import Projector


@pytest.fixture(scope="session")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("postgres")
    folder.chmod(0o711)
    with start_postgres(folder / "data") as dsn:
        yield dsn


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A store of the test's own."""
    opened = Database(database_url, f"test_{uuid.uuid4().hex}")
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def projector(database: Database) -> AsyncIterator[Projector]:
    """Connections for workers of the store."""
    opened = Projector(database, Catalogue(database))
    yield opened
    await opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that other accounts may pass through."""
    tmp_path.chmod(0o711)
    return tmp_path
