"""Two servers on one store, whose catalogue the tests of a module change."""

from __future__ import annotations

import uuid

import pytest
from tests.integration.server.conftest import Starter
from tests.support.mapped import Mapped


@pytest.fixture(scope="module")
def store(start_shared: Starter, database_url: str) -> Mapped:
    schema = f"mapped_{uuid.uuid4().hex}"
    servers = [start_shared(schema=schema) for _ in range(2)]
    return Mapped([server.address for server in servers], database_url, schema)
