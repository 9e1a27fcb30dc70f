"""Programs beside the servers of tests: their ports and their accounts."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path

from eventfold_server.embedded import accounts

START_SECONDS_MAX = 60.0


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Waits until the process listens."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)


def owner(folder: Path) -> dict[str, int]:
    """How to start a process that may not be root's: as the owner of the folder from now on."""
    become = accounts.choose(folder, folder / "cluster").become
    if become is None:
        return {}
    uid, gid = become
    for path in (folder, *folder.rglob("*")):
        os.chown(path, uid, gid)
    return {"user": uid, "group": gid}
