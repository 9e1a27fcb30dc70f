"""The log file: its last lines for errors, and its bound in size.

PostgreSQL appends to it through a descriptor that the server opened, so the file can lie
outside the cluster, and a stuck server never blocks PostgreSQL as a full pipe would.
"""

import os
import shutil
import threading
from pathlib import Path

LOG_BYTES_MAX = 8 * 1024 * 1024
CHECK_SECONDS = 15.0
TAIL_LINES_MAX = 15
TAIL_BYTES_MAX = 16 * 1024


def size(path: Path) -> int:
    """Size in bytes, 0 when there is no such file."""
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def tail(path: Path, since_bytes: int = 0) -> list[str]:
    """The last lines written at or after an offset; from the start if it was cut since."""
    try:
        with os.fdopen(_open(path, os.O_RDONLY), "rb") as file:
            end = file.seek(0, os.SEEK_END)
            begin = since_bytes if since_bytes <= end else 0
            file.seek(max(begin, end - TAIL_BYTES_MAX))
            text = file.read(TAIL_BYTES_MAX).decode("utf-8", "replace")
    except OSError:
        return []
    return text.splitlines()[-TAIL_LINES_MAX:]


def shorten(path: Path, bytes_max: int = LOG_BYTES_MAX) -> bool:
    """Keep a log over `bytes_max` as `NAME.1`, in place of the last one, and empty it.

    Copied and cut, not renamed: PostgreSQL keeps its descriptor, and since that appends, it
    goes on at the new beginning. Lines written in between, microseconds, can be lost.
    """
    if size(path) <= bytes_max:
        return False
    kept = path.with_name(path.name + ".1")
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with (
        os.fdopen(_open(path, os.O_RDWR), "r+b") as log,
        os.fdopen(_open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as copy,
    ):
        status = os.fstat(log.fileno())
        if os.geteuid() == 0:
            os.fchown(copy.fileno(), status.st_uid, status.st_gid)
        shutil.copyfileobj(log, copy)
        log.truncate(0)
    new.replace(kept)
    return True


def _open(path: Path, flags: int) -> int:
    # Never through a link: the directory's owner may be another user than the server's.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


class LogKeeper:
    """A thread that keeps one log short until `stop`; needs no event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ended = threading.Event()
        threading.Thread(target=self._loop, name="postgres-log", daemon=True).start()

    def stop(self) -> None:
        """End the thread; returns at once."""
        self._ended.set()

    def _loop(self) -> None:
        while not self._ended.wait(CHECK_SECONDS):
            try:
                shorten(self._path)
            except OSError:
                # A full disk, say: PostgreSQL's own errors will tell; try again later.
                continue
