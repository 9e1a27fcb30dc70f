"""How personal data fares in a store: figures for people and for metrics, of no person."""

import asyncio
import logging
from dataclasses import dataclass

from eventfold import _core
from eventfold_server.domain.leases import end_if_cancelled
from eventfold_server.domain.privacy.keys import PersonalKeys
from eventfold_server.errors import Refusal
from eventfold_server.limits import METRICS_CACHE_S, PRIVACY_COUNT_PAUSE_S
from eventfold_server.storage.keys.store import SubjectStatus
from eventfold_server.storage.subjects import PrivacyFigures, SubjectStorage

log = logging.getLogger(__name__)

FAILED_OPENINGS = "failed_openings"


@dataclass(frozen=True)
class PrivacyStatus:
    """The figures of one moment."""

    subjects: dict[SubjectStatus, int]
    # Active subjects by the newest version of their keys, the lowest version first.
    key_versions: dict[int, int]
    # Data keys by the master key that wraps them.
    master_keys: dict[str, int]
    figures: PrivacyFigures


class PrivacyMonitor:
    """Looks figures up, and stores what this process has counted, so that they are those of all
    processes that serve the store.
    """

    def __init__(self, keys: PersonalKeys, storage: SubjectStorage) -> None:
        self._keys = keys
        self._storage = storage
        self._known: tuple[float, PrivacyStatus] | None = None
        self._looking = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to store what is counted."""
        if self._keys.keyring is not None:
            keyring = self._keys.keyring
            self._task = asyncio.get_running_loop().create_task(self._now_and_then(keyring))

    async def stop(self) -> None:
        """Ends it, with what was counted last."""
        if self._task is None or self._keys.keyring is None:
            return
        self._task.cancel()
        await asyncio.wait({self._task})
        await self._store(self._keys.keyring)

    async def status(self) -> PrivacyStatus:
        """The figures of now; KEYS_NOT_CONFIGURED, KEYS_UNAVAILABLE."""
        parts = self._keys.parts
        if parts is None:
            raise Refusal("KEYS_NOT_CONFIGURED", "the server has no master key")
        counted = await parts.store.figures()
        return PrivacyStatus(
            {status: subjects for status, version, subjects in counted if version == 0},
            {version: subjects for _, version, subjects in counted if version > 0},
            await parts.store.master_keys(),
            await self._storage.figures(),
        )

    async def recent_status(self) -> PrivacyStatus | None:
        """The same, a few seconds old at most; None: the server has no keys."""
        if self._keys.parts is None:
            return None
        clock = asyncio.get_running_loop().time
        async with self._looking:
            if self._known is None or clock() - self._known[0] > METRICS_CACHE_S:
                self._known = (clock(), await self.status())
            return self._known[1]

    async def _now_and_then(self, keyring: _core.Keyring) -> None:
        while True:
            await asyncio.sleep(PRIVACY_COUNT_PAUSE_S)
            await self._store(keyring)

    async def _store(self, keyring: _core.Keyring) -> None:
        if not (failed := keyring.take_failed()):
            return
        try:
            await self._storage.count(FAILED_OPENINGS, failed)
        except Exception as error:  # noqa: BLE001 - counting is no reason to stop
            # Then they are counted all the same.
            end_if_cancelled()
            keyring.add_failed(failed)
            log.warning("failed openings were not stored: %s", type(error).__name__)
