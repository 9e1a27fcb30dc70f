"""Servers for the tests of clients in other languages, which may do them any harm.

    python -m tests.clients.servers COMMAND ARGUMENT..

runs the command with the variable `EVENTFOLD_CLIENT_SERVERS`, a loopback address `host:port`. A
connection to it is a world of its own: whatever it asks for ends when it is closed. It sends lines,
each a word and its arguments, and reads for each a line with a JSON object. One without success
has the key `error`.

    server              {address, number}: a server with an empty store
    server tokens       the same with tokens, those of docs/conformance.md
    server tls          {address, number, authority}: with a certificate of the authority (PEM)
    kill NUMBER         ends that server as kill -9 does
    stop NUMBER         ends it the clean way
    start NUMBER        starts it again on its old address, with its store
    proxy ADDRESS       {address}: hands bytes to and fro
    cut ADDRESS         breaks all connections of that proxy; it takes new ones
    authority           {authority}: one (PEM) that no server has a certificate of
    stranger            {address}: a gRPC server that knows no call of eventfold
    later               {address}: an eventfold of another version of the protocol, `eventfold.v2`
    garbled             {address}: a gRPC server whose answers are no messages
    web                 {address}: a server that speaks HTTP/1.1 and no gRPC
    silent              {address}: takes connections, and never says a word
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import shutil
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import grpc
from tests.conformance.servers import token_lines
from tests.support.certificates import certificate
from tests.support.keys import master_key_file
from tests.support.proxy import Proxy, cutting
from tests.support.servers import RunningServer, start_postgres, start_server

VARIABLE = "EVENTFOLD_CLIENT_SERVERS"

# Schemas of all worlds, which share one PostgreSQL.
_SCHEMAS = count(1)


class World:
    """What one connection asked for."""

    def __init__(self, folder: Path, database_url: str, stack: contextlib.ExitStack) -> None:
        self._folder = folder
        self._database_url = database_url
        self._stack = stack
        self._servers: list[RunningServer] = []
        self._proxies: dict[str, Proxy] = {}

    def answer(self, line: str) -> dict[str, object]:
        """Does what a line says."""
        word, *arguments = line.split()
        try:
            done: dict[str, object] = getattr(self, f"do_{word}")(*arguments)
        except Exception as error:  # noqa: BLE001 - told to the test that asked for it
            return {"error": f"{line}: {error!r}"}
        return done

    def do_server(self, kind: str = "plain") -> dict[str, object]:
        schema = f"client_{next(_SCHEMAS)}"
        folder = self._folder / schema
        folder.mkdir()
        options: dict[str, object] = {"database_url": self._database_url, "schema": schema}
        options["master_key_file"] = master_key_file(folder)
        told: dict[str, object] = {}
        if kind == "tokens":
            options["token_file"] = folder / "tokens"
            (folder / "tokens").write_text(token_lines(), encoding="utf-8")
        elif kind == "tls":
            key, authority = certificate()
            (folder / "key.pem").write_bytes(key)
            (folder / "cert.pem").write_bytes(authority)
            options |= {"tls_key": folder / "key.pem", "tls_cert": folder / "cert.pem"}
            told["authority"] = authority.decode()
        elif kind != "plain":
            raise ValueError(f"no server is {kind}")
        server = self._stack.enter_context(start_server(folder, **options))
        self._servers.append(server)
        return {"address": server.address, "number": len(self._servers) - 1} | told

    def do_kill(self, number: str) -> dict[str, object]:
        self._servers[int(number)].kill()
        return {}

    def do_stop(self, number: str) -> dict[str, object]:
        self._servers[int(number)].stop()
        return {}

    def do_start(self, number: str) -> dict[str, object]:
        old = self._servers[int(number)]
        options = old.options | {"listen": old.address}
        server = self._stack.enter_context(start_server(old.log.parent, **options))
        self._servers[int(number)] = server
        return {"address": server.address}

    def do_proxy(self, upstream: str) -> dict[str, object]:
        proxy = self._stack.enter_context(cutting(upstream))
        self._proxies[proxy.address] = proxy
        return {"address": proxy.address}

    def do_cut(self, address: str) -> dict[str, object]:
        self._proxies[address].cut()
        return {}

    def do_authority(self) -> dict[str, object]:
        return {"authority": certificate()[1].decode()}

    def do_stranger(self) -> dict[str, object]:
        return self._foreign(lambda method: None)

    def do_later(self) -> dict[str, object]:
        def handle(method: str) -> bytes | None:
            return b"" if method.startswith("/eventfold.v2.") else None

        return self._foreign(handle)

    def do_garbled(self) -> dict[str, object]:
        # A field of wire type 7, which there is not.
        return self._foreign(lambda method: b"\xff\xff\xff")

    def do_web(self) -> dict[str, object]:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self._stack.callback(server.server_close)
        self._stack.callback(server.shutdown)
        return {"address": f"127.0.0.1:{server.server_address[1]}"}

    def do_silent(self) -> dict[str, object]:
        listener = self._stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        return {"address": f"127.0.0.1:{listener.getsockname()[1]}"}

    def _foreign(self, handle: Callable[[str], bytes | None]) -> dict[str, object]:
        server = grpc.server(ThreadPoolExecutor(2))
        server.add_generic_rpc_handlers((_Foreign(handle),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        self._stack.callback(lambda: server.stop(None).wait())
        return {"address": f"127.0.0.1:{port}"}


class _Foreign(grpc.GenericRpcHandler):
    """Answers every call whose method it knows with the same bytes."""

    def __init__(self, handle: Callable[[str], bytes | None]) -> None:
        self._handle = handle

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        reply = self._handle(str(details.method))
        if reply is None:
            return None

        def behaviour(requests: Any, context: Any) -> Iterator[bytes]:
            yield reply

        return grpc.stream_stream_rpc_method_handler(behaviour)


class _Page(http.server.BaseHTTPRequestHandler):
    """A page of the web, and no log of who looked at it."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_request(self, code: object = "-", size: object = "-") -> None:
        pass

    def log_error(self, *args: object) -> None:
        pass


@contextlib.contextmanager
def worlds() -> Iterator[Callable[[], contextlib.AbstractContextManager[World]]]:
    """Yields what makes worlds, which share one PostgreSQL."""
    folder = Path(tempfile.mkdtemp(prefix="eventfold-clients-"))
    # PostgreSQL refuses to run as root, and its account must reach its data.
    folder.chmod(0o711)

    @contextlib.contextmanager
    def world() -> Iterator[World]:
        with contextlib.ExitStack() as asked:
            yield World(folder, url, asked)

    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        url = stack.enter_context(start_postgres(folder / "postgres"))
        yield world


@contextlib.contextmanager
def handed_out() -> Iterator[dict[str, str]]:
    """Yields the environment of a command that needs such servers."""
    with worlds() as world:

        class Desk(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with world() as asked:
                    for line in self.rfile:
                        answer = json.dumps(asked.answer(line.decode()))
                        self.wfile.write(f"{answer}\n".encode())

        # Its threads are joined when it is closed, so that no server outlives it.
        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Desk) as desk:
            threading.Thread(target=desk.serve_forever, daemon=True).start()
            host, port = desk.server_address[:2]
            try:
                yield os.environ | {VARIABLE: f"{host!s}:{port}"}
            finally:
                desk.shutdown()


def main() -> int:
    """Runs the command of the arguments, with servers for it."""
    with handed_out() as environment:
        return subprocess.run(sys.argv[1:], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
