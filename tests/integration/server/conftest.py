"""One PostgreSQL for all tests of the server; each module or test has stores of its own."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from tests.support.servers import RunningServer, start_postgres, start_server

Starter = Callable[..., RunningServer]


@pytest.fixture(scope="session")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("postgres")
    folder.chmod(0o711)
    with start_postgres(folder / "data") as dsn:
        yield dsn


def _starter(stack: ExitStack, folder: Path, database_url: str) -> Starter:
    def start(**options: object) -> RunningServer:
        own = folder / uuid.uuid4().hex
        own.mkdir()
        options.setdefault("database_url", database_url)
        options.setdefault("schema", f"test_{uuid.uuid4().hex}")
        return stack.enter_context(start_server(own, **options))

    return start


@pytest.fixture
def start(database_url: str, tmp_path: Path) -> Iterator[Starter]:
    """Starts servers with a fresh store each, unless the options say otherwise."""
    with ExitStack() as stack:
        yield _starter(stack, tmp_path, database_url)


@pytest.fixture(scope="module")
def start_shared(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starter]:
    """The same for servers that live as long as the tests of a module."""
    with ExitStack() as stack:
        yield _starter(stack, tmp_path_factory.mktemp("server"), database_url)


@pytest.fixture(scope="module")
def server(start_shared: Starter) -> RunningServer:
    """A server that the tests of a module share; they use streams of their own."""
    return start_shared()


@pytest.fixture
def channel(server: RunningServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.address) as opened:
        yield opened
