"""One set of servers for the suite, whatever language a runner is written in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import grpc
import pytest
from tests.conformance.runner import Runner
from tests.conformance.servers import Servers, run_servers


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Servers of this session, which must have nothing to complain about in the end."""
    with run_servers() as running:
        yield running
        assert running.complaints() == []


@pytest.fixture(scope="session")
def runner(servers: Servers) -> Iterator[Runner]:
    """Runs cases on these servers."""
    channels: dict[str, grpc.Channel] = {}
    with contextlib.ExitStack() as stack:

        @contextlib.contextmanager
        def lease(target: str) -> Iterator[grpc.Channel]:
            # A server of one case only would hold its connections to PostgreSQL to the end.
            if target == "fresh":
                with servers.lease(target) as address, grpc.insecure_channel(address) as opened:
                    yield opened
                return
            if target not in channels:
                address = stack.enter_context(servers.lease(target))
                channels[target] = stack.enter_context(grpc.insecure_channel(address))
            yield channels[target]

        yield Runner(lease)
