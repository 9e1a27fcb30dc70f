"""Goal: with TLS the client trusts the authority that it was told, and no other.

Method: both clients against a server with a certificate made for the test.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import eventfold
from eventfold.v1 import event_store_pb2 as pb


def certificate() -> tuple[bytes, bytes]:
    """A key and a certificate for 127.0.0.1 that is its own authority, both as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "eventfold test")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return key_pem, signed.public_bytes(serialization.Encoding.PEM)


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
