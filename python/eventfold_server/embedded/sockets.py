"""The private directory of the socket, and the URL that names it.

A unix socket and not loopback TCP: no port can be taken by somebody between choosing and
binding, nothing listens on a network, and a round trip is cheaper. The path of a socket may
have 107 bytes, which data directories easily exceed, so it lies in a short directory of its
own under the temporary directory, 0700, with a name that nobody can guess in advance. That
also works where the data directory's file system has no sockets (some container mounts).

On top of it every connection needs the password (SCRAM), so that neither root-made
processes of the same account nor a directory opened by mistake give access. `peer` would
need no password, but would trust every process of `nobody` when root runs the server.
"""

import contextlib
import os
import stat
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from eventfold_server.embedded.accounts import Account, first_closed_parent
from eventfold_server.embedded.errors import StartFailed
from eventfold_server.embedded.settings import PORT

PREFIX = "eventfold-"
# Shared with everybody, hence mkdtemp and 0700 below them.
SHORT_BASES = ("/tmp", "/var/tmp")
SOCKET_PATH_BYTES_MAX = 103  # macOS; Linux has 107
SUPERUSER = "eventfold"
DATABASE = "postgres"


def make_directory(account: Account) -> Path:
    """Make a directory for the socket that `account` owns; raises StartFailed."""
    problems = []
    for base in dict.fromkeys((tempfile.gettempdir(), *SHORT_BASES)):
        if len(os.fsencode(f"{base}/{PREFIX}12345678/{_socket_name()}")) > SOCKET_PATH_BYTES_MAX:
            problems.append(f"{base}: too long a path for a socket")
            continue
        closed = first_closed_parent(Path(base, "socket"), account)
        if closed is not None:
            problems.append(f"{base}: {account.name} may not pass through {closed}")
            continue
        try:
            made = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
        except OSError as error:
            problems.append(f"{base}: {error}")
            continue
        _give(made, account)
        return made
    raise StartFailed(
        f"no directory can hold the socket ({'; '.join(problems)}): set TMPDIR to a short path "
        f"that {account.name} can reach",
        problems=problems,
    )


def ensure_directory(directory: Path, account: Account) -> None:
    """Make the directory again if a cleaner of temporary files removed it."""
    if not directory.is_dir():
        directory.mkdir(mode=0o700)
        _give(directory, account)


def url(directory: Path, password: str) -> str:
    """A PostgreSQL URL as asyncpg, libpq and tokio-postgres read it."""
    host = quote(str(directory), safe="")
    return f"postgresql://{SUPERUSER}:{password}@/{DATABASE}?host={host}&port={PORT}"


def remove_left_directory(left_url: str | None, account: Account) -> None:
    """Remove the socket directory that a killed server named in its URL, if it is ours.

    Only the two files that PostgreSQL makes are removed, and only below a directory with our
    name and owner: the temporary directory is shared with everybody.
    """
    hosts = parse_qs(urlsplit(left_url or "").query).get("host", [])
    if len(hosts) == 1 and Path(hosts[0]).name.startswith(PREFIX):
        remove_directory(Path(hosts[0]), account)


def remove_directory(directory: Path, account: Account) -> None:
    """Remove a socket directory of `account` with what PostgreSQL left in it."""
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        status = os.fstat(fd)
        if status.st_uid != account.uid or stat.S_IMODE(status.st_mode) != 0o700:
            return
        for name in (_socket_name(), f"{_socket_name()}.lock"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=fd)
        directory.rmdir()
    except OSError:
        # Something else lies there: not ours to remove.
        return
    finally:
        os.close(fd)


def _socket_name() -> str:
    return f".s.PGSQL.{PORT}"


def _give(directory: Path, account: Account) -> None:
    if account.switch:
        os.chown(directory, account.uid, account.gid, follow_symlinks=False)
