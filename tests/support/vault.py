"""A server that answers as the transit engine of Vault does, over real HTTP or HTTPS.

Written from Vault's API documentation and the answers of its engine: keys with versions, batches
whose results stand in the order of their items, status 400 with all results if one item failed,
and the statuses of a server that is sealed or does not let a token in.
"""

from __future__ import annotations

import base64
import json
import os
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_PATH = re.compile(r"/v1/transit/(encrypt|decrypt)/([^/]+)")


@dataclass
class TransitKey:
    """A key of the engine: AES-256-GCM, each version a key of its own."""

    versions: list[AESGCM] = field(default_factory=lambda: [AESGCM(os.urandom(32))])
    min_decryption_version: int = 1

    def rotate(self) -> None:
        self.versions.append(AESGCM(os.urandom(32)))

    def encrypt(self, item: dict[str, str], binds: bool) -> dict[str, Any]:
        plaintext = base64.b64decode(item["plaintext"], validate=True)
        nonce = os.urandom(12)
        sealed = self.versions[-1].encrypt(nonce, plaintext, _associated(item, binds))
        version = len(self.versions)
        text = base64.b64encode(nonce + sealed).decode()
        return {"ciphertext": f"vault:v{version}:{text}", "key_version": version}

    def decrypt(self, item: dict[str, str], binds: bool) -> dict[str, Any]:
        prefix, version, text = item["ciphertext"].split(":")
        number = int(version[1:])
        if prefix != "vault" or not 1 <= number <= len(self.versions):
            return {"error": "invalid ciphertext: version is too new"}
        if number < self.min_decryption_version:
            return {"error": "ciphertext or signature version is disallowed by policy (too old)"}
        sealed = base64.b64decode(text)
        try:
            plaintext = self.versions[number - 1].decrypt(
                sealed[:12], sealed[12:], _associated(item, binds)
            )
        except InvalidTag:
            return {"error": "cipher: message authentication failed"}
        return {"plaintext": base64.b64encode(plaintext).decode()}


def _associated(item: dict[str, str], binds: bool) -> bytes | None:
    return base64.b64decode(item.get("associated_data", "")) if binds else None


@dataclass
class Vault:
    """What the server does, for a test to change while it runs."""

    url: str = ""
    token: str = "s.right"
    keys: dict[str, TransitKey] = field(default_factory=dict)
    # Statuses that the next calls are answered with, whatever they ask.
    statuses: list[int] = field(default_factory=list)
    sealed: bool = False
    # False: as a Vault from before `associated_data`.
    binds: bool = True
    # Answers take this long.
    delay_s: float = 0.0
    # Items of each call, with its act.
    calls: list[tuple[str, int]] = field(default_factory=list)
    # Everything that came, to look for what must not have.
    bodies: list[bytes] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def answer(self, path: str, token: str | None, body: bytes) -> tuple[int, dict[str, Any]]:
        self.bodies.append(body)
        self.stopping.wait(self.delay_s)
        if self.statuses:
            return self.statuses.pop(0), {"errors": ["as the test said"]}
        if self.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if token != self.token:
            return 403, {"errors": ["permission denied"]}
        match = _PATH.fullmatch(path)
        if match is None:
            return 404, {"errors": [f"no handler for route {path!r}"]}
        act, name = match.groups()
        key = self.keys.get(name)
        if key is None:
            return 400, {"errors": ["encryption key not found"]}
        items = json.loads(body)["batch_input"]
        if not items:
            return 400, {"errors": ["missing batch input to process"]}
        self.calls.append((act, len(items)))
        results = [getattr(key, act)(item, self.binds) for item in items]
        failed = any("error" in result for result in results)
        return 400 if failed else 200, {"data": {"batch_results": results}}


@contextmanager
def start_vault(certificate: tuple[Path, Path] | None = None) -> Iterator[Vault]:
    """Yields a running server with the key `eventfold`; with a certificate and its key over TLS."""
    vault = Vault(keys={"eventfold": TransitKey()})

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = vault.answer(self.path, self.headers.get("X-Vault-Token"), body)
            encoded = json.dumps({"request_id": "r-1", **answer}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Who gave up waiting is nothing to tell."""

    server = Server(("127.0.0.1", 0), Handler)
    scheme = "http"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    vault.url = f"{scheme}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield vault
    finally:
        vault.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()
