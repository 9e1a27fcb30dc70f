"""One PostgreSQL for the suite; a shared server, one with tokens, and fresh ones on demand."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from tests.conformance.runner import Runner
from tests.support.servers import start_postgres, start_server

# Name, and the permissions of the token `conformance-NAME`; docs/conformance.md tells runners.
TOKENS = {
    "reader": "read",
    "writer": "write",
    "admin": "admin",
    "all": "read,write,admin,personal",
}


def token_lines() -> str:
    """The token file of the server `tokens`."""
    return "".join(
        f"{name} {hashlib.sha256(f'conformance-{name}'.encode()).hexdigest()} {granted}\n"
        for name, granted in TOKENS.items()
    )


class Servers:
    """The servers that cases run on, started when first asked for."""

    def __init__(self, folder: Path, database_url: str, stack: contextlib.ExitStack) -> None:
        self._folder = folder
        self._database_url = database_url
        self._stack = stack
        self._numbers = itertools.count(1)
        self._channels: dict[str, grpc.Channel] = {}
        self._logs: list[Path] = []

    def channel(self, target: str) -> grpc.Channel:
        """The channel to `shared` or `tokens`, or to a `fresh` store that nobody used."""
        if target == "fresh":
            return self._started(f"fresh_{next(self._numbers)}")
        if target not in self._channels:
            self._channels[target] = self._started(target)
        return self._channels[target]

    def complaints(self) -> list[str]:
        """What the servers logged as an error: no case may bring about a fault."""
        lines = [line for log in self._logs for line in log.read_text("utf-8").splitlines()]
        return [line for line in lines if line.startswith(("ERROR", "CRITICAL", "Traceback"))]

    def _started(self, name: str) -> grpc.Channel:
        folder = self._folder / name
        folder.mkdir()
        options: dict[str, object] = {"database_url": self._database_url, "schema": name}
        if name == "tokens":
            options["token_file"] = folder / "tokens"
            (folder / "tokens").write_text(token_lines(), encoding="utf-8")
        server = self._stack.enter_context(start_server(folder, **options))
        self._logs.append(server.log)
        return self._stack.enter_context(grpc.insecure_channel(server.address))


@pytest.fixture(scope="session")
def runner() -> Iterator[Runner]:
    """Runs cases on servers of this session."""
    folder = Path(tempfile.mkdtemp(prefix="eventfold-conformance-"))
    # PostgreSQL refuses to run as root, and its account must reach its data.
    folder.chmod(0o711)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        url = stack.enter_context(start_postgres(folder / "postgres"))
        servers = Servers(folder, url, stack)
        yield Runner(servers.channel)
        assert servers.complaints() == []
