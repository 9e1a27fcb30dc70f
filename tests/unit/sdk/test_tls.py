"""Goal: with TLS the client trusts the authority that it was told, and no other.

Method: both clients against a server with a certificate made for the test.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.support.certificates import certificate

import eventfold
from eventfold.v1 import event_store_pb2 as pb


@pytest.fixture
def secure(script: Any) -> Iterator[tuple[Any, bytes]]:
    key, authority = certificate()
    with script.serving(grpc.ssl_server_credentials([(key, authority)])) as server:
        server.script("GetStream", pb.GetStreamResponse(stream=pb.Stream(name="a-1", version=3)))
        yield server, authority


async def test_the_authority_as_bytes_and_as_a_file(
    driver: Any, secure: tuple[Any, bytes], tmp_path: Path
) -> None:
    server, authority = secure
    path = tmp_path / "ca.pem"
    path.write_bytes(authority)
    for tls in (authority, path, str(path)):
        client = driver.client(server.target, tls=tls, token="secret")
        assert (await driver.result(client.get_stream("a-1"))).version == 3
    assert {call.metadata["authorization"] for call in server.calls} == {"Bearer secret"}


async def test_another_authority_and_plain_text_are_refused(
    driver: Any, secure: tuple[Any, bytes]
) -> None:
    server, _ = secure
    for tls in (True, certificate()[1], False):
        client = driver.client(server.target, tls=tls, timeout=2)
        with pytest.raises(eventfold.ConnectionFailed):
            await driver.result(client.get_stream("a-1"))
    assert server.calls == []
