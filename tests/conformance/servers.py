"""The servers that cases run on: one PostgreSQL, a shared store, one with tokens, fresh ones."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import shutil
import socketserver
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.support.keys import master_key_file
from tests.support.servers import start_postgres, start_server

# Name, and the permissions of the token `conformance-NAME`; docs/conformance.md tells runners.
TOKENS = {
    "reader": "read",
    "writer": "write",
    "admin": "admin",
    "all": "read,write,admin,personal",
}
# Tells a runner in another language where servers are handed out.
VARIABLE = "EVENTFOLD_CONFORMANCE_SERVERS"


def token_lines() -> str:
    """The token file of the server `tokens`."""
    return "".join(
        f"{name} {hashlib.sha256(f'conformance-{name}'.encode()).hexdigest()} {granted}\n"
        for name, granted in TOKENS.items()
    )


class Servers:
    """The servers that cases run on, started when first asked for; threads may share it."""

    def __init__(self, folder: Path, database_url: str, stack: contextlib.ExitStack) -> None:
        self._folder = folder
        self._database_url = database_url
        self._stack = stack
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._addresses: dict[str, str] = {}
        self._logs: list[Path] = []

    @contextlib.contextmanager
    def lease(self, target: str) -> Iterator[str]:
        """Yields the address of `shared` or `tokens`, or of a `fresh` store that nobody used,
        which is stopped after."""
        if target == "fresh":
            with contextlib.ExitStack() as stack:
                yield self._started(f"fresh_{next(self._numbers)}", stack)
            return
        if target not in {"shared", "tokens"}:
            raise ValueError(f"no server is called {target}")
        with self._lock:
            if target not in self._addresses:
                self._addresses[target] = self._started(target, self._stack)
        yield self._addresses[target]

    def complaints(self) -> list[str]:
        """What the servers logged as an error: no case may bring about a fault."""
        lines = [line for log in self._logs for line in log.read_text("utf-8").splitlines()]
        return [line for line in lines if line.startswith(("ERROR", "CRITICAL", "Traceback"))]

    def _started(self, name: str, stack: contextlib.ExitStack) -> str:
        folder = self._folder / name
        folder.mkdir()
        options: dict[str, object] = {"database_url": self._database_url, "schema": name}
        options["master_key_file"] = master_key_file(folder)
        if name == "tokens":
            options["token_file"] = folder / "tokens"
            (folder / "tokens").write_text(token_lines(), encoding="utf-8")
        server = stack.enter_context(start_server(folder, **options))
        self._logs.append(server.log)
        return server.address


@contextlib.contextmanager
def run_servers() -> Iterator[Servers]:
    """Yields servers on a PostgreSQL of their own."""
    folder = Path(tempfile.mkdtemp(prefix="eventfold-conformance-"))
    # PostgreSQL refuses to run as root, and its account must reach its data.
    folder.chmod(0o711)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        url = stack.enter_context(start_postgres(folder / "postgres"))
        yield Servers(folder, url, stack)


@contextlib.contextmanager
def handed_out(servers: Servers) -> Iterator[dict[str, str]]:
    """Hands out servers to a runner in another process, and yields the environment it needs.

    A connection to the loopback address in it is a lease: a line with `shared`, `tokens` or
    `fresh` is answered by a line with an address, which is good until the connection is closed.
    """

    class Desk(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            target = self.rfile.readline().decode().strip()
            with servers.lease(target) as address:
                self.wfile.write(f"{address}\n".encode())
                self.rfile.read()

    # Its threads are joined when it is closed, so that no fresh server outlives it.
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Desk) as desk:
        threading.Thread(target=desk.serve_forever, daemon=True).start()
        try:
            host, port = desk.server_address[:2]
            yield os.environ | {VARIABLE: f"{host!s}:{port}"}
        finally:
            desk.shutdown()


def main() -> int:
    """Runs the command of the arguments, a runner in another language, with servers for it."""
    with run_servers() as servers, handed_out(servers) as environment:
        status = subprocess.run(sys.argv[1:], env=environment, check=False).returncode
        complaints = servers.complaints()
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return status or bool(complaints)


if __name__ == "__main__":
    sys.exit(main())
