"""A client of the server that the tests of a module share."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable

import pytest
from tests.support.groups import Groups, groups_of, make_due
from tests.support.servers import RunningServer


@pytest.fixture
async def groups(server: RunningServer) -> AsyncIterator[Groups]:
    async with groups_of(server.address) as client:
        yield client


@pytest.fixture
def category() -> str:
    """A category of the test's own, so that it sees no events of others."""
    return f"c{uuid.uuid4().hex}"


@pytest.fixture
def due(database_url: str, server: RunningServer) -> Callable[[str], None]:
    """Lets the leases and waits of a group be over, as their rows say; nobody sleeps for them."""
    return lambda group: make_due(database_url, str(server.options["schema"]), group)
