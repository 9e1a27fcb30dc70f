"""One set of servers for the suite, whatever language a runner is written in."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import grpc
import pytest
from tests.conformance.runner import Runner
from tests.conformance.servers import Servers, run_servers
from tests.conformance.transports import AsyncSdk, Stubs, SyncSdk, Transport

Note = Callable[[str, dict[str, str]], None]


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Servers of this session, which must have nothing to complain about in the end."""
    with run_servers() as running:
        yield running
        assert running.complaints() == []


@pytest.fixture(scope="session")
def note(request: pytest.FixtureRequest) -> Note:
    """Notes for the page of `table.py` what became of cases, by the name of a runner."""
    folder: Path | None = request.config.getoption("--conformance-outcomes")

    def noted(runner: str, outcomes: dict[str, str]) -> None:
        if folder is not None:
            with (folder / f"{runner}.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(outcomes) + "\n")

    return noted


@pytest.fixture(scope="session")
def runners(servers: Servers) -> Iterator[dict[str, Runner]]:
    """By the name of a transport what runs cases over it, on these servers."""
    with contextlib.ExitStack() as stack:
        yield {name: Runner(_lease(opened, servers, stack)) for name, opened in OPENED.items()}


@pytest.fixture
def runner(runners: dict[str, Runner]) -> Runner:
    """Runs cases over plain stubs."""
    return runners["stubs"]


@contextlib.contextmanager
def _stubs(address: str) -> Iterator[Transport]:
    with grpc.insecure_channel(address) as channel:
        yield Stubs(channel)


OPENED: dict[str, Callable[[str], AbstractContextManager[Transport]]] = {
    "stubs": _stubs,
    "sync": lambda address: contextlib.closing(SyncSdk(address)),
    "async": lambda address: contextlib.closing(AsyncSdk(address)),
}


def _lease(
    opened: Callable[[str], AbstractContextManager[Transport]],
    servers: Servers,
    stack: contextlib.ExitStack,
) -> Callable[[str], AbstractContextManager[Transport]]:
    transports: dict[str, Transport] = {}

    @contextlib.contextmanager
    def lease(target: str) -> Iterator[Transport]:
        # A server of one case only would hold its connections to PostgreSQL to the end.
        if target == "fresh":
            with servers.lease(target) as address, opened(address) as transport:
                yield transport
            return
        if target not in transports:
            address = stack.enter_context(servers.lease(target))
            transports[target] = stack.enter_context(opened(address))
        yield transports[target]

    return lease
