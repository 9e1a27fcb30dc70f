"""A PostgreSQL that listens on a port of loopback, with what a test wants in its configuration."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eventfold_server.embedded import accounts, binaries

START_SECONDS_MAX = 60.0
USER = "tester"
PASSWORD = "secret"


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


@contextmanager
def tcp_postgres(folder: Path, hba: str, *settings: str) -> Iterator[int]:
    """Yields the port of a PostgreSQL with `USER` and `PASSWORD`; `folder` holds its files.

    `hba` says who may connect how; a setting is `name=value`, and may name files of the folder.
    """
    account = accounts.choose(folder, folder / "cluster")
    programs = binaries.find(account)
    data, secret, log = folder / "cluster", folder / "password", folder / "postgres.log"
    secret.write_text(PASSWORD)
    as_owner = owner(folder)
    subprocess.run(
        [
            programs.initdb,
            *("-D", data, "-U", USER, "--pwfile", secret, "--auth", "scram-sha-256"),
            *("--encoding", "UTF8", "--locale", "C", "--no-sync"),
        ],
        check=True,
        capture_output=True,
        cwd=folder,
        **as_owner,
    )
    (data / "pg_hba.conf").write_text(hba)
    port = free_port()
    options = [f"port={port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", *settings]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [programs.postgres, "-D", data, *(part for o in options for part in ("-c", o))],
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            cwd=folder,
            **as_owner,
        )
    try:
        wait_for_port(port, process, log)
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
