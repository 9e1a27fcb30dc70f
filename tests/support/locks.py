"""Work that only one process does at a time."""

from __future__ import annotations

import fcntl
import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes of these tests out of a folder in which something is built."""
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    with (Path(tempfile.gettempdir()) / f"eventfold-build-{name}").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
