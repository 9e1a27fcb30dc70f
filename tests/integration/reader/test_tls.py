"""Goal: TLS to PostgreSQL means for the reader what it means for asyncpg.

Method: the embedded PostgreSQL knows no TLS, so PgBouncer stands before it and speaks it, in
session mode and for TLS only; once with a certificate that an authority signed, once with one that
signed itself. Each mode is tried with the right authority, a wrong one, and a name that the
certificate is not for. Both drivers are asked, and must agree.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.support.pgbouncer import pgbouncer, program

from eventfold_server.errors import Refusal
from eventfold_server.storage import address
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.database import Database
from eventfold_server.storage.log import LogStorage

pytestmark = pytest.mark.skipif(program() is None, reason="there is no pgbouncer on this machine")

NAME = "localhost"
IGNORED = (
    "options, jit, statement_timeout, enable_bitmapscan, plan_cache_mode, extra_float_digits, "
    "max_parallel_workers_per_gather, default_transaction_read_only, "
    "idle_in_transaction_session_timeout"
)
ONE_DAY = dt.timedelta(days=1)


class Authority:
    """Signs certificates; its own stands in a file."""

    def __init__(self, folder: Path, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = folder / f"{name}.crt"
        self.certificate = self._sign(self._name, self._key, is_authority=True)
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, is_authority: bool
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - ONE_DAY)
            .not_valid_after(now + ONE_DAY)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        return builder.sign(self._key, hashes.SHA256())

    def serve(self, folder: Path) -> None:
        """Writes key and certificate of a server that this authority vouches for."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
        self._write(folder, self._sign(subject, key, is_authority=False), key)

    def serve_itself(self, folder: Path) -> None:
        """The same with its own certificate."""
        self._write(folder, self.certificate, self._key)

    def _write(
        self, folder: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
    ) -> None:
        (folder / "server.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        (folder / "server.key").write_bytes(pem)
        (folder / "server.key").chmod(0o600)


@pytest.fixture(scope="module", params=["signed", "self_signed"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, database_url: str
) -> Iterator[tuple[str, Authority, Authority]]:
    """The URL of a PostgreSQL with TLS; its authority, and another one."""
    folder = tmp_path_factory.mktemp("tls")
    folder.chmod(0o711)
    own = folder / "own"
    own.mkdir()
    authority, other = Authority(folder, "authority"), Authority(folder, "other")
    if request.param == "signed":
        authority.serve(own)
    else:
        authority.serve_itself(own)
    tls = (
        "client_tls_sslmode = require",
        f"client_tls_cert_file = {own}/server.crt",
        f"client_tls_key_file = {own}/server.key",
        f"ignore_startup_parameters = {IGNORED}, default_transaction_isolation",
        # Each of the tests leaves its sessions behind for a moment.
        "default_pool_size = 60",
    )
    with pgbouncer(own, database_url, *tls, mode="session") as url:
        yield url, authority, other


async def reads(url: str) -> None:
    """Has both drivers read."""
    database = Database(url, "tls", wait_s=0)
    await database.open()
    try:
        assert await LogStorage(database, Catalogue(database)).head() == 0
        pages = LogStorage(database, Catalogue(database)).stream_pages(
            1, 1, 9, stream="S-1", types=None, backwards=False, limit=None
        )
        assert [page.rows async for page in pages] == [0]
    finally:
        await database.close()


async def reader_alone(url: str) -> None:
    """Has the reader alone read, on a store that is there already."""
    database = Database(url, "tls")
    database._events = database._event_reader()
    try:
        pages = LogStorage(database, Catalogue(database)).stream_pages(
            1, 1, 9, stream="S-1", types=None, backwards=False, limit=None
        )
        assert [page.rows async for page in pages] == [0]
    finally:
        await database.close()


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full", "prefer"])
async def test_the_right_authority(server: tuple[str, Authority, Authority], mode: str) -> None:
    """With the authority of the server every mode reads."""
    url, authority, _ = server
    await reads(url_of(url, NAME, mode, authority))


@pytest.mark.parametrize(
    ("mode", "host", "wrong", "refused"),
    [
        ("verify-full", NAME, True, True),
        ("verify-ca", NAME, True, True),
        ("require", NAME, True, True),
        # The certificate is for a name, not for this address.
        ("verify-full", "127.0.0.1", False, True),
        ("verify-ca", "127.0.0.1", False, False),
        ("disable", NAME, False, True),
        ("allow", NAME, False, False),
    ],
)
async def test_both_drivers_agree(
    server: tuple[str, Authority, Authority], mode: str, host: str, wrong: bool, refused: bool
) -> None:
    """Whatever asyncpg refuses the reader refuses too, and the reverse."""
    through, authority, other = server
    await reads(url_of(through, NAME, "require", authority))
    url = url_of(through, host, mode, other if wrong else authority)
    if not refused:
        await reads(url)
        return
    with pytest.raises((OSError, asyncpg.PostgresError)):
        await asyncpg.connect(url, timeout=5)
    with pytest.raises((Refusal, asyncpg.PostgresError)):
        await reader_alone(url)


async def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A URL that names a file of authorities which is not there is refused before connecting."""
    missing = f"postgresql://u@h/d?sslmode=verify-full&sslrootcert={tmp_path}/none.crt"
    with pytest.raises(OSError, match="No such file"):
        address.resolve(missing)


def url_of(url: str, host: str, mode: str, authority: Authority) -> str:
    """The URL with another host and a mode of TLS."""
    return f"{url.replace('127.0.0.1', host)}?sslmode={mode}&sslrootcert={authority.file}"
