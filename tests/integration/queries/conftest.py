"""A PostgreSQL for queries of projections, whose tables tests fill themselves."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import asyncpg
import pytest
from tests.support.generations import Layout, Values, fill, make_generation
from tests.support.servers import start_postgres

from eventfold import _core
from eventfold_server.limits import PAGE_BYTES
from eventfold_server.storage.database import Database
from eventfold_server.storage.projection_rows import (
    COUNT_FIRST_PARAMETER,
    ROWS_FIRST_PARAMETER,
    ProjectionRows,
    Rows,
)

T = TypeVar("T")
# 2024-02-29T12:30:00Z, in microseconds.
NOW_US = 1_709_209_800_000_000


@pytest.fixture(scope="session")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("postgres")
    folder.chmod(0o711)
    with start_postgres(folder / "data") as dsn:
        yield dsn


class Store:
    """A store, used step by step from outside of its event loop."""

    def __init__(self, url: str, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.database = Database(url, f"q_{uuid.uuid4().hex}")
        self.run(self.database.open())
        self.queries = self.database.queries
        self.rows = ProjectionRows(self.database)
        self.connection: Any = self.run(asyncpg.connect(url))

    def run(self, step: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(step)

    def close(self) -> None:
        self.run(self.connection.close())
        self.run(self.database.close())

    def make(self, layout: Layout, rows: list[tuple[str, bool, Values]], **more: Any) -> Projection:
        name = more.pop("name", f"p_{uuid.uuid4().hex[:12]}")
        number = self.run(make_generation(self.connection, self.queries, name, layout, **more))
        self.run(fill(self.connection, self.queries, number, layout, rows))
        return Projection(self, name, number, layout)


class Projection:
    """A projection with one generation."""

    def __init__(self, store: Store, name: str, generation_no: int, layout: Layout) -> None:
        self.store, self.name, self.generation_no, self.layout = store, name, generation_no, layout

    def compiled(self, filter_: str = "", **asked: Any) -> _core.ProjectionQuery:
        asked = {"now_us": NOW_US, "first_parameter": ROWS_FIRST_PARAMETER, **asked}
        return _core.ProjectionQuery(self.layout.columns, filter=filter_, **asked)

    def page(
        self, filter_: str = "", size: int = 1000, page_bytes: int = PAGE_BYTES, **asked: Any
    ) -> Rows:
        found = self.store.run(
            self.store.rows.rows(
                self.name, self.generation_no, self.compiled(filter_, **asked), size, page_bytes
            )
        )
        assert found is not None
        return found

    def keys(self, filter_: str = "", **asked: Any) -> list[str]:
        """Keys of all rows that pass, on as many pages as it takes."""
        keys: list[str] = []
        after = None
        while True:
            page = self.page(filter_, after=after, **asked)
            keys += [row.key for row in page.rows]
            if page.place is None:
                return keys
            assert page.rows, "an empty page is the last"
            after = page.place

    def count(self, filter_: str = "") -> int:
        compiled = self.compiled(filter_, first_parameter=COUNT_FIRST_PARAMETER)
        found = self.store.run(self.store.rows.count(self.name, self.generation_no, compiled))
        assert found is not None
        return found[0]


@contextmanager
def _store(url: str) -> Iterator[Store]:
    loop = asyncio.new_event_loop()
    store = Store(url, loop)
    try:
        yield store
    finally:
        store.close()
        loop.close()


@pytest.fixture(scope="module")
def store(database_url: str) -> Iterator[Store]:
    """A store for the tests of a module."""
    with _store(database_url) as store:
        yield store
