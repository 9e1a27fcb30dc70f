"""Brings keys from the key store into memory: those that readers wait for, and those of subjects
that values are sealed for.
"""

import asyncio
import logging
from collections.abc import Collection
from uuid import UUID

from eventfold import _core
from eventfold_server.errors import Refusal
from eventfold_server.limits import KEY_LOADS_MAX
from eventfold_server.storage.keys.store import Erased, KeyStore

log = logging.getLogger(__name__)


class KeyLoader:
    """Answers what a keyring wants, for as long as it runs."""

    def __init__(self, store: KeyStore, keyring: _core.Keyring) -> None:
        self._store = store
        self._keyring = keyring
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begins to answer."""
        asyncio.get_running_loop().add_reader(self._keyring.fileno(), self._wanted)

    async def stop(self) -> None:
        """Ends it; who still waits is told that keys cannot be had."""
        asyncio.get_running_loop().remove_reader(self._keyring.fileno())
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def load_names(self, names: Collection[str]) -> None:
        """Brings in the keys of subjects, made if they have none yet; KEYS_UNAVAILABLE."""
        wanted = set(names)
        while wanted:
            epoch = self._keyring.epoch
            by_id: dict[UUID, str] = {}
            for name, found in (await self._store.current(sorted(wanted))).items():
                if isinstance(found, Erased):
                    # If some were taken out meanwhile, it may have been admitted again.
                    if self._keyring.epoch == epoch:
                        self._keyring.put_erased(name, found.subject_id.bytes)
                        wanted.discard(name)
                else:
                    by_id[found.subject_id] = name
            put = await self._load(list(by_id), epoch)
            # Some were taken out meanwhile: these may be erased by now.
            wanted -= {by_id[subject] for subject in put}

    async def load_ids(self, subjects: Collection[bytes]) -> None:
        """Brings in the keys of subjects by their ids; KEYS_UNAVAILABLE."""
        left = {UUID(bytes=subject) for subject in subjects}
        while left:
            left -= await self._load(list(left), self._keyring.epoch)

    def _wanted(self) -> None:
        wanted = [UUID(bytes=subject) for subject in self._keyring.wanted()]
        for first in range(0, len(wanted), KEY_LOADS_MAX):
            task = asyncio.create_task(self._answer(wanted[first : first + KEY_LOADS_MAX]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, wanted: list[UUID]) -> None:
        left = set(wanted)
        try:
            while left:
                left -= await self._load(list(left), self._keyring.epoch)
        except Exception as error:
            problem = error.message if isinstance(error, Refusal) else "an internal error"
            if not isinstance(error, Refusal):
                log.exception("keys were not loaded")
            self._fail(left, problem)
        except asyncio.CancelledError:
            self._fail(left, "the server is shutting down")
            raise

    def _fail(self, subjects: set[UUID], problem: str) -> None:
        for subject in subjects:
            self._keyring.fail(subject.bytes, problem)

    async def _load(self, subjects: list[UUID], epoch: int) -> set[UUID]:
        """Puts in all versions of the keys of subjects, and tells of which it did."""
        put = set()
        found = await self._store.of_subjects(subjects)
        rows = [row for keys in found.values() if keys.rows for row in keys.rows]
        unwrapped = dict(zip(rows, await self._store.unwrapped(rows), strict=True))
        for subject in subjects:
            keys = found.get(subject)
            if keys is not None and keys.rows is None:
                self._keyring.erase(subject.bytes)
                put.add(subject)
                continue
            plain: list[tuple[int, bytes]] = []
            refusal = None
            for row in keys.rows or () if keys is not None else ():
                key = unwrapped[row]
                if isinstance(key, Refusal):
                    refusal = key
                else:
                    plain.append((row.version, key))
            if refusal is not None:
                raise refusal
            name = None if keys is None else keys.name
            if self._keyring.put(subject.bytes, name, plain, epoch):
                put.add(subject)
        return put
