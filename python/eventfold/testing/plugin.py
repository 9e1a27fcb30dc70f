"""The pytest plugin: fixtures with a real server. See `eventfold.testing`."""

import os
from collections.abc import Iterator

import pytest

from eventfold import Client
from eventfold.testing._host_process import StoreHost


@pytest.fixture(scope="session")
def eventfold_server() -> Iterator[StoreHost]:
    """A server process with room for any number of stores; once a session."""
    with StoreHost(database_url=os.environ.get("EVENTFOLD_TEST_DATABASE_URL")) as host:
        yield host


@pytest.fixture
def eventfold_target(eventfold_server: StoreHost) -> Iterator[str]:
    """Address (`host:port`) of an empty store of its own, dropped after the test."""
    with eventfold_server.store() as target:
        yield target


@pytest.fixture
def store(eventfold_target: str) -> Iterator[Client]:
    """A client on an empty store of its own, dropped after the test."""
    with Client(eventfold_target) as client:
        yield client
