"""Goal: a server listens where it is told, never more openly than it may, or says why it does not.

Method: real servers on loopback addresses, with certificates made here; options that are refused
are tried on servers that have nothing else.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.integration.server.conftest import Starter
from tests.integration.server.test_identity import line
from tests.support.raw import bearer, call
from tests.support.servers import ServerDied

import eventfold
from eventfold_server.config import ConfigError, ServerConfig
from eventfold_server.limits import WORKERS_MAX
from eventfold_server.server import check_config, is_loopback
from eventfold_server.workers.address import ReservedAddress

LIST_STREAMS = "/eventfold.v1.EventStore/ListStreams"
HEALTH = "/grpc.health.v1.Health/Check"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


@dataclass(frozen=True)
class Pair:
    """A self-signed certificate and its key, as files."""

    cert: Path
    key: Path


def make_pair(folder: Path, *addresses: str) -> Pair:
    """A certificate for addresses of this machine."""
    folder.mkdir(exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "eventfold test")])
    now = dt.datetime.now(dt.UTC)
    alternatives = [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pair = Pair(folder / "cert.pem", folder / "key.pem")
    pair.cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pair.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return pair


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return make_pair(tmp_path / "pair", "127.0.0.1")


def test_tls_is_verified_and_needs_no_token_of_its_own(start: Starter, pair: Pair) -> None:
    server = start(tls_cert=pair.cert, tls_key=pair.key)
    with eventfold.Client(server.address, tls=pair.cert) as store:
        store.append("account-1", [eventfold.Event("Opened", {})], expected_version=0)
        assert [event.writer for event in store.read("account-1")] == ["anonymous"]
    stranger = make_pair(pair.cert.parent / "other", "127.0.0.1")
    for tls in (False, True, stranger.cert):
        with (
            eventfold.Client(server.address, tls=tls, timeout=2) as store,
            pytest.raises(eventfold.ConnectionFailed),
        ):
            store.get_stream("account-1")
    # Not for this name: the certificate names an address only.
    port = server.address.rpartition(":")[2]
    with (
        eventfold.Client(f"localhost:{port}", tls=pair.cert, timeout=2) as store,
        pytest.raises(eventfold.ConnectionFailed),
    ):
        store.get_stream("account-1")
    with eventfold.Client(server.address, tls=pair.cert) as store:
        assert store.get_stream("account-1").version == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_a_new_certificate_is_read_on_request(start: Starter, pair: Pair, workers: int) -> None:
    """Connections that are open go on; a pair that does not fit changes nothing."""
    server = start(tls_cert=pair.cert, tls_key=pair.key, workers=workers)
    first = pair.cert.read_bytes()
    second = make_pair(pair.cert.parent / "second", "127.0.0.1")

    def is_trusted(authority: bytes) -> bool:
        options = [("grpc.use_local_subchannel_pool", 1)]
        credentials = grpc.ssl_channel_credentials(authority)
        with grpc.secure_channel(server.address, credentials, options=options) as channel:
            return call(channel, LIST_STREAMS, timeout=5).code == "OK"

    def reload(said: str) -> None:
        before = server.log_tail().count(said)
        server.reload()
        deadline = time.monotonic() + 60
        while server.log_tail().count(said) < before + workers:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    with eventfold.Client(server.address, tls=pair.cert) as store:
        store.append("account-1", [eventfold.Event("Opened", {})], expected_version=0)
        pair.cert.write_bytes(second.cert.read_bytes())
        reload("the certificate was not read again")
        assert is_trusted(first)
        pair.key.write_bytes(second.key.read_bytes())
        reload("read the certificate")
        # Every worker gets some of these connections.
        for _ in range(8):
            assert is_trusted(second.cert.read_bytes())
            assert not is_trusted(first)
        assert store.get_stream("account-1").version == 1


def test_tls_with_tokens_opens_any_address(start: Starter, pair: Pair, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(line("all", "read,write,admin,personal"))
    # Every address of IPv4: on a machine with networks this is not loopback alone.
    server = start(listen="0.0.0.0:0", tls_cert=pair.cert, tls_key=pair.key, token_file=tokens)
    host, _, port = server.address.rpartition(":")
    assert host == "0.0.0.0"
    credentials = grpc.ssl_channel_credentials(pair.cert.read_bytes())
    with grpc.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
        assert call(channel, LIST_STREAMS, metadata=bearer("all")).code == "OK"
        assert call(channel, LIST_STREAMS).reason == "UNAUTHENTICATED"
        assert call(channel, HEALTH).code == "OK"
        # Off by itself where others reach it.
        assert call(channel, REFLECTION, metadata=bearer("all")).code == "UNIMPLEMENTED"


def test_reflection_is_for_loopback_or_on_request(
    start: Starter, pair: Pair, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(line("reader", "read") + line("writer", "write"))
    with grpc.insecure_channel(start().address) as channel:
        assert call(channel, REFLECTION).code == "OK"
    with grpc.insecure_channel(start(reflection=False).address) as channel:
        assert call(channel, REFLECTION).code == "UNIMPLEMENTED"
    server = start(tls_cert=pair.cert, tls_key=pair.key, token_file=tokens, reflection=True)
    credentials = grpc.ssl_channel_credentials(pair.cert.read_bytes())
    with grpc.secure_channel(server.address, credentials) as channel:
        assert call(channel, REFLECTION, metadata=bearer("reader")).code == "OK"
        assert call(channel, REFLECTION).code == "UNAUTHENTICATED"
        assert call(channel, REFLECTION, metadata=bearer("writer")).code == "PERMISSION_DENIED"


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.1.2.3"])
def test_any_loopback_address_serves(start: Starter, host: str, workers: int) -> None:
    if host == "[::1]":
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
    server = start(listen=f"{host}:0", workers=workers)
    assert server.address.rpartition(":")[0] == host
    with eventfold.Client(server.address) as store:
        store.append("account-1", [eventfold.Event("Opened", {})], expected_version=0)
    assert server.stop() == 0


def refused(start: Starter, **options: object) -> str:
    """What a server says that does not start."""
    with pytest.raises(ServerDied) as died:
        start(**options)
    return str(died.value)


@pytest.mark.parametrize("workers", [1, 2])
def test_two_servers_never_share_a_port(start: Starter, workers: int) -> None:
    first = start(workers=workers)
    for others in (1, 2):
        said = refused(start, listen=first.address, workers=others)
        assert f"cannot listen on {first.address}: is the port in use" in said
    with eventfold.Client(first.address) as store:
        store.append("account-1", [eventfold.Event("Opened", {})], expected_version=0)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        assert f"cannot listen on {address}" in refused(start, listen=address, workers=workers)


def serve_one_connection(port: int, *options: int) -> None:
    """Listens, and is the side that closes first, whose port the connection keeps for a while."""
    with socket.socket() as server:
        for option in options:
            server.setsockopt(socket.SOL_SOCKET, option, 1)
        server.bind(("127.0.0.1", port))
        server.listen()
        with socket.create_connection(("127.0.0.1", port), timeout=5), server.accept()[0]:
            pass


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "[::]"])
def test_a_reserved_address_is_its_holders_alone(host: str) -> None:
    """From the first moment on, when no worker listens yet, until it is given back."""
    with ReservedAddress(f"{host}:0") as reserved:
        port = int(reserved.listen.rpartition(":")[2])
        assert reserved.listen == f"{host}:{port}"
        with pytest.raises(ConfigError, match="is the port in use"):
            ReservedAddress(reserved.listen)
        with socket.socket() as stranger:
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError, match="in use"):
                stranger.bind(("127.0.0.1", port))
        for _ in range(2):
            serve_one_connection(port, socket.SO_REUSEADDR, socket.SO_REUSEPORT)
        # Nobody listens now, not even the holder.
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
    # Connections of servers of both kinds wait to be forgotten.
    serve_one_connection(port, socket.SO_REUSEADDR)
    with ReservedAddress(reserved.listen) as again:
        assert again.listen == reserved.listen


def test_an_address_of_another_machine_is_not_reserved() -> None:
    for host in ("192.0.2.1", "no-such-host.invalid"):
        with pytest.raises(ConfigError, match=f"cannot listen on {host}:1"):
            ReservedAddress(f"{host}:1")


@pytest.fixture
def options(tmp_path: Path, pair: Pair) -> dict[str, object]:
    """Options under which everything is well."""
    tokens = tmp_path / "tokens"
    tokens.write_text(line("all", "read"))
    return {
        "listen": "0.0.0.0:0",
        "data_dir": tmp_path / "data",
        "tls_cert": pair.cert,
        "tls_key": pair.key,
        "token_file": tokens,
    }


def check(options: dict[str, object], **changes: object) -> None:
    check_config(ServerConfig(**(options | changes)))  # type: ignore[arg-type]


def test_another_address_needs_tls_and_tokens(options: dict[str, object]) -> None:
    check(options)
    for listen in ("0.0.0.0:0", "192.0.2.1:4141", "[::]:4141", "store.example:4141"):
        check(options, listen=listen)
        check(options, listen=listen, tls_cert=None, tls_key=None, insecure=True)
        check(options, listen=listen, token_file=None, insecure=True)
        for half in ({"tls_cert": None, "tls_key": None}, {"token_file": None}):
            with pytest.raises(ConfigError, match="not a loopback address"):
                check(options, listen=listen, **half)


def test_workers_are_bounded(options: dict[str, object]) -> None:
    for workers in (1, WORKERS_MAX):
        check(options, workers=workers)
    for workers in (0, -1, WORKERS_MAX + 1):
        with pytest.raises(ConfigError, match=f"--workers is 1 to {WORKERS_MAX}, not {workers}"):
            check(options, workers=workers)


def test_settings_that_durability_rests_on_stay(options: dict[str, object]) -> None:
    check(options, postgres_settings={"shared_buffers": "1GB"})
    for name in ("fsync", "Synchronous_Commit", "full_page_writes", "listen_addresses"):
        with pytest.raises(ConfigError, match=f"cannot change {name.lower()}"):
            check(options, postgres_settings={name: "off"})
    with pytest.raises(ConfigError, match="is for the embedded PostgreSQL"):
        check(options, data_dir=None, database_url="postgresql://x", postgres_settings={"a": "b"})


def test_half_of_a_pair_is_refused(options: dict[str, object]) -> None:
    for listen in ("127.0.0.1:0", "0.0.0.0:0"):
        for half in ("tls_cert", "tls_key"):
            with pytest.raises(ConfigError, match="go together"):
                check(options, listen=listen, insecure=True, **{half: None})
    with pytest.raises(ConfigError, match="one of --data-dir and --database-url"):
        check(options, data_dir=None)
    with pytest.raises(ConfigError, match="one of --data-dir and --database-url"):
        check(options, database_url="postgresql://127.0.0.1/x")


def test_a_certificate_that_cannot_work_is_refused(
    options: dict[str, object], tmp_path: Path
) -> None:
    other = make_pair(tmp_path / "other", "127.0.0.1")
    garbage = tmp_path / "garbage.pem"
    garbage.write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    for changes in (
        {"tls_key": other.key},
        {"tls_cert": garbage},
        {"tls_key": garbage},
        {"tls_key": locked},
        {"tls_cert": tmp_path / "missing"},
        {"tls_key": tmp_path / "missing"},
        {"tls_cert": tmp_path},
    ):
        with pytest.raises(ConfigError, match="no certificate chain and its key"):
            check(options, **changes)


@pytest.mark.parametrize(
    "listen",
    [
        "",
        "4141",
        ":4141",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:x",
        "127.0.0.1:٤١٤١",
        "::1:4141",
        "[::1]",
        "[localhost]:4141",
        "http://127.0.0.1:4141",
        "127.0.0.1 :4141",
        "unix:/tmp/eventfold:1",
    ],
)
def test_an_address_that_is_none_is_refused(options: dict[str, object], listen: str) -> None:
    with pytest.raises(ConfigError, match="HOST:PORT"):
        check(options, listen=listen)


@pytest.mark.parametrize(
    ("listen", "loopback"),
    [
        ("127.0.0.1:1", True),
        ("127.255.0.1:1", True),
        ("localhost:1", True),
        ("[::1]:1", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("128.0.0.1:1", False),
        ("localhost.example:1", False),
        ("127.0.0.1.example:1", False),
        ("[::ffff:192.0.2.1]:1", False),
    ],
)
def test_what_counts_as_loopback(listen: str, loopback: bool) -> None:
    assert is_loopback(listen) is loopback
