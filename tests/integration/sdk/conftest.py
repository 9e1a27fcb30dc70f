"""One PostgreSQL for all tests of the SDK; each test has a database of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.integration.sdk.projecting import KINDS, TABLE, Database
from tests.support.servers import start_postgres

NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("postgres")
    folder.chmod(0o711)
    with start_postgres(folder / "data") as url:
        yield url


@pytest.fixture(params=KINDS)
async def base(request: pytest.FixtureRequest, tmp_path: Path, postgres_url: str) -> Database:
    """An empty database of each kind, with the table of sums."""
    kind = request.param
    if kind == "sqlite":
        base = Database(kind, str(tmp_path / "sums.db"))
    else:
        name = f"projection{next(NUMBERS)}"
        with psycopg.connect(postgres_url, autocommit=True) as admin:
            admin.execute(f'CREATE DATABASE "{name}"')
        base = Database(kind, postgres_url.replace("/postgres?", f"/{name}?"))
    await base.execute(TABLE.format("sums"))
    return base
