"""One server for all tests of closing; each test has streams of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.closing import Books
from tests.support.servers import start_server

import eventfold

NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def closing_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("closing")
    folder.chmod(0o711)
    with start_server(folder, data_dir=str(folder / "data")) as server:
        yield server.address


@pytest.fixture
def store(closing_address: str) -> Iterator[eventfold.Client]:
    with eventfold.Client(closing_address, timeout=30) as client:
        yield client


@pytest.fixture
def books(store: eventfold.Client, tmp_path: Path) -> Books:
    """A line of periods that nobody else has."""
    return Books(store, f"account{next(NUMBERS)}-{tmp_path.name}")
