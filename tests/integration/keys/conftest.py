"""One PostgreSQL for all tests of keys; each test has a store of its own."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.support.servers import start_postgres

from eventfold_server.config import ServerConfig
from eventfold_server.domain.privacy.keys import PersonalKeys
from eventfold_server.storage.database import Database
from eventfold_server.store import Store


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("postgres")
    folder.chmod(0o711)
    with start_postgres(folder / "data") as url:
        yield url


@pytest.fixture
def schema() -> str:
    return f"test_{uuid.uuid4().hex}"


@pytest.fixture
async def database(postgres: str, schema: str) -> AsyncIterator[Database]:
    """A database with a fresh schema."""
    made = Database(postgres, schema)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def store(database: Database) -> AsyncIterator[Store]:
    """All parts on a fresh schema, in this process."""
    made = Store(database, {}, PersonalKeys(ServerConfig(schema=database.queries.schema), database))
    await made.open()
    yield made
    await made.end_work()
    await made.close()
