"""A ledger of fences in a file, for servers of one machine."""

import asyncio
import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from eventfold_server.errors import Refusal
from eventfold_server.storage.keys.ledger import FenceLedger, LedgerRefused

log = logging.getLogger(__name__)

T = TypeVar("T")


class FileLedger(FenceLedger):
    """Lines of a file, appended under a lock and synced, as its folder is."""

    def __init__(self, path: Path) -> None:
        """Nothing is opened yet."""
        super().__init__()
        self._path = path
        # One task at a time knows how much was read.
        self._lock = asyncio.Lock()
        self._count = 0
        self._offset = 0
        # Which file that was.
        self._inode: int | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def where(self) -> str:
        """See `FenceLedger`."""
        return f"file:{self._path}"

    async def close(self) -> None:
        """See `FenceLedger`. The file is open only while it is read or written."""

    async def _open(self) -> list[bytes]:
        self._inode = None
        return await self._lines(0)

    async def _lines(self, after: int) -> list[bytes]:
        return await self._alone(lambda: self._read(after))

    async def _append(self, number: int, line: bytes) -> bool:
        return await self._alone(lambda: self._write(number, line))

    async def _alone(self, step: Callable[[], T]) -> T:
        """What a step answers, in a thread and with nothing beside it; it is carried through,
        whatever happens to the caller.
        """

        async def run() -> T:
            async with self._lock:
                with _unavailable(self.where):
                    return await asyncio.to_thread(step)

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Nobody may be there to ask; reading it keeps asyncio from complaining.
            task.exception()

    def _read(self, after: int) -> list[bytes]:
        """The whole lines behind so many."""
        # Otherwise it goes on where it was; who asked then may have left.
        skipped = 0
        if self._count != after:
            self._count, self._offset, skipped = 0, 0, after
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            if after:
                raise LedgerRefused(f"the ledger of fences {self.where} is gone") from None
            return []
        with _locked(descriptor, fcntl.LOCK_SH):
            return self._read_from(descriptor)[skipped:]

    def _read_from(self, descriptor: int) -> list[bytes]:
        found = os.fstat(descriptor)
        replaced = self._inode not in (None, found.st_ino)
        if replaced or found.st_size < self._offset:
            raise LedgerRefused(f"the ledger of fences {self.where} was replaced or cut off")
        self._inode = found.st_ino
        text = b""
        while len(text) < found.st_size - self._offset:
            part = os.pread(
                descriptor, found.st_size - self._offset - len(text), self._offset + len(text)
            )
            if not part:
                break
            text += part
        # What stands behind the last line was never told to anybody: its writer died.
        whole = text[: text.rfind(b"\n") + 1]
        lines = whole.split(b"\n")[:-1]
        self._offset += len(whole)
        self._count += len(lines)
        return lines

    def _write(self, number: int, line: bytes) -> bool:
        """Appends the line, if so many stand before it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with _locked(descriptor, fcntl.LOCK_EX):
            state = (self._count, self._offset)
            self._read_from(descriptor)
            count, end = self._count, self._offset
            # Whoever reads on gets these lines, and the new one.
            self._count, self._offset = state
            if count != number:
                return False
            if os.fstat(descriptor).st_size > end:
                log.warning("%s ends with a line that was never written whole; cut off", self.where)
                os.ftruncate(descriptor, end)
            written = os.write(descriptor, line + b"\n")
            if written != len(line) + 1:
                os.ftruncate(descriptor, end)
                raise OSError(f"{written} of {len(line) + 1} bytes were written")
            os.fsync(descriptor)
        # Each time: who made the file may have died before it did.
        _sync_folder(self._path.parent)
        return True


@contextmanager
def _locked(descriptor: int, how: int) -> Iterator[None]:
    """Holds a lock on an open file, and closes it after, which gives the lock back."""
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Makes sure that a new file is found again after a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _unavailable(where: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Refusal(
            "KEYS_UNAVAILABLE",
            f"the ledger of fences {where}: {error.strerror or error}",
            problem="fence_ledger",
        ) from error
