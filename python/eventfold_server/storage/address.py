"""Where the URL of a database leads: what asyncpg makes of it, for the reader to do the same."""

import configparser
import os
import ssl
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg.compat
import asyncpg.connect_utils

# Not declared to type checkers; tests/unit/server/test_address.py pins what is used of them.
compat: Any = asyncpg.compat
connect_utils: Any = asyncpg.connect_utils

_TLS_USE = {
    connect_utils.SSLMode.disable: ("never",),
    connect_utils.SSLMode.allow: ("never", "always"),
    connect_utils.SSLMode.prefer: ("if_offered", "never"),
}
_SESSIONS = {
    "any": "any",
    "primary": "writing",
    "read-write": "writing",
    "standby": "reading",
    "read-only": "reading",
    "prefer-standby": "rather_reading",
}

# Parameter of the URL: variable of the environment, and name in the folder of the home directory.
_FILES = {
    "sslrootcert": ("PGSSLROOTCERT", "root.crt"),
    "sslcrl": ("PGSSLCRL", "root.crl"),
    "sslcert": ("PGSSLCERT", "postgresql.crt"),
    "sslkey": ("PGSSLKEY", "postgresql.key"),
}


@dataclass(frozen=True)
class Address:
    """What a connection needs, in the terms of `_core.Reader`."""

    # Whether it is a host or the directory of a socket, its name, the port, and the use of TLS.
    attempts: list[tuple[bool, str, int, str]]
    user: str
    password: str | None
    database: str
    # Settings of the session that the URL asks for.
    startup: dict[str, str]
    session: str
    verify: str
    # Certificates in DER.
    authorities: list[bytes]
    # Lists of revoked certificates, in PEM.
    revoked: bytes
    # Our certificate and its key, in PEM.
    identity: tuple[bytes, bytes] | None


def resolve(url: str) -> Address:
    """Where asyncpg would connect to, environment and password file included.

    Raises ClientConfigurationError for what is no URL of a PostgreSQL, and OSError for files
    that it names and that are not there.
    """
    addresses, found = connect_utils._parse_connect_dsn_and_args(
        dsn=url,
        **dict.fromkeys(
            (
                "host",
                "port",
                "user",
                "password",
                "passfile",
                "database",
                "ssl",
                "service",
                "servicefile",
                "direct_tls",
                "server_settings",
                "target_session_attrs",
                "krbsrvname",
                "gsslib",
            )
        ),
    )
    files = _Files(url)
    verify = _verify(found.ssl)
    return Address(
        attempts=[attempt for address in addresses for attempt in _attempts(address, found)],
        user=found.user,
        password=found.password,
        database=found.database,
        startup=dict(found.server_settings or {}),
        session=_SESSIONS[found.target_session_attrs.value],
        verify=verify,
        authorities=[] if verify == "nothing" else _certificates(files["sslrootcert"]),
        revoked=b"" if verify == "nothing" else files["sslcrl"],
        identity=files.identity() if found.ssl else None,
    )


def _attempts(address: Any, found: Any) -> list[tuple[bool, str, int, str]]:
    if isinstance(address, str):
        directory, _, name = address.rpartition("/")
        return [(False, directory, int(name.rpartition(".")[2]), "never")]
    host, port = address
    uses = _TLS_USE.get(found.sslmode, ("always",))
    if found.ssl_negotiation is connect_utils.SSLNegotiation.direct:
        uses = ("at_once",)
    return [(True, host, port, use) for use in uses]


def _verify(context: Any) -> str:
    if not isinstance(context, ssl.SSLContext) or context.verify_mode is ssl.CERT_NONE:
        return "nothing"
    return "name" if context.check_hostname else "authority"


def _certificates(pem: bytes) -> list[bytes]:
    end = "-----END CERTIFICATE-----"
    text = pem.decode("ascii", "replace")
    blocks = [block[block.find("-----BEGIN CERTIFICATE-----") :] for block in text.split(end)[:-1]]
    return [ssl.PEM_cert_to_DER_cert(block + end) for block in blocks]


class _Files:
    """The files of TLS that a URL, its service, the environment or the home directory name, in
    this order. A context of Python's `ssl` does not give back what it has read.
    """

    def __init__(self, url: str) -> None:
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
        self._said = {**_service(query), **query}

    def __getitem__(self, name: str) -> bytes:
        """The contents; empty if there is no such file."""
        variable, default = _FILES[name]
        path = self._said.get(name) or os.environ.get(variable)
        if path:
            return Path(path).read_bytes()
        home = compat.get_pg_home_directory()
        usual = home and home / ".postgresql" / default
        return usual.read_bytes() if usual and usual.is_file() else b""

    def identity(self) -> tuple[bytes, bytes] | None:
        """Our certificate and its key, which may stand in one file."""
        certificate = self["sslcert"]
        return (certificate, self["sslkey"] or certificate) if certificate else None


def _service(query: dict[str, str]) -> dict[str, str]:
    """What the file of services says of the one that is asked for."""
    home = compat.get_pg_home_directory()
    usual = str(home / ".pg_service.conf") if home else ""
    name = query.get("service")
    services = configparser.ConfigParser()
    services.read(os.environ.get("PGSERVICEFILE") or usual)
    return dict(services[name]) if name and services.has_section(name) else {}
