"""What the server proves with that it is the one: a certificate, read again on request."""

import logging
import ssl
from pathlib import Path
from typing import Any

import grpc

from eventfold_server.config import ConfigError

log = logging.getLogger(__name__)


class Certificate:
    """A certificate chain and its key in files; connections that come see what was read last."""

    def __init__(self, chain: Path, key: Path) -> None:
        """Reads the files; raises ConfigError."""
        self._chain = chain
        self._key = key
        self._first = self._read()
        # What gRPC has not been given yet.
        self._next: grpc.ServerCertificateConfiguration | None = None

    def credentials(self) -> grpc.ServerCredentials:
        """What a server listens with; gRPC asks before each handshake whether there is a new one.

        For one address: a new one is given out once.
        """
        # The stubs leave out that there may be no new one.
        fetch: Any = self._fetch
        return grpc.dynamic_ssl_server_credentials(self._first, fetch)

    def reload(self) -> None:
        """Reads the files again; what is broken leaves the certificate as it is."""
        try:
            self._next = self._read()
        except ConfigError as error:
            log.error("the certificate was not read again: %s", error)
        else:
            log.info("read the certificate %s", self._chain)

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        found, self._next = self._next, None
        return found

    def _read(self) -> grpc.ServerCertificateConfiguration:
        try:
            # gRPC would take any bytes, and fail with each connection.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
                self._chain, self._key, password=""
            )
            pair = (self._key.read_bytes(), self._chain.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{self._chain} and {self._key} are no certificate chain and its key, in PEM and "
                f"without a password: {error}"
            ) from error
        return grpc.ssl_server_certificate_configuration([pair])
