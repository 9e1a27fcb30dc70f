"""PgBouncer in front of a PostgreSQL."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.programs import free_port, owner, wait_for_port

# Fewer than the clients have connections, so that sessions change hands all the time.
SESSIONS = 3


def program() -> str | None:
    """The program; Debian's stands where only root's path leads."""
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")


@contextmanager
def pgbouncer(
    folder: Path, database_url: str, *settings: str, mode: str = "transaction"
) -> Iterator[str]:
    """Yields the URL of the database through the pooler; `folder` gets its files. A setting is a
    line of its configuration.
    """
    found = program()
    assert found is not None
    direct = urlsplit(database_url)
    query = parse_qs(direct.query)
    user, password = unquote(direct.username or ""), unquote(direct.password or "")
    port, name = free_port(), direct.path.lstrip("/")
    log, users, file = folder / "log", folder / "users.txt", folder / "pgbouncer.ini"
    users.write_text(f'"{user}" "{password}"\n')
    file.write_text(
        "[databases]\n"
        f"{name} = host={query['host'][0]} port={query['port'][0]} user={user}"
        f" password={password}\n"
        "[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = scram-sha-256\nauth_file = {users}\nlogfile = {log}\n"
        f"pool_mode = {mode}\ndefault_pool_size = {SESSIONS}\nmax_client_conn = 200\n"
        + "".join(f"{setting}\n" for setting in settings)
    )
    log.touch()
    with (folder / "errors").open("wb") as errors:
        process = subprocess.Popen(
            [found, file],
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            cwd=folder,
            **owner(folder),
        )
    try:
        wait_for_port(port, process, log)
        yield f"postgresql://{user}:{password}@127.0.0.1:{port}/{name}"
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
