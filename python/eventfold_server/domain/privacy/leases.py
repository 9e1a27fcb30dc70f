"""Leases: a server process may use the data keys in its memory only while it has one.

Each process renews its lease every second, for five. The answer tells who was fenced since the
last time; their keys are thrown away, and the next renewal says so. Whoever erases waits until
each lease has said so or has run out. A process that stood still meanwhile finds its lease run out
by a clock that does not stand still (`CLOCK_BOOTTIME`), before it uses a key and before an answer
leaves.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Protocol
from uuid import uuid4

from eventfold import _core
from eventfold_server.domain.leases import end_if_cancelled
from eventfold_server.errors import Refusal
from eventfold_server.limits import (
    PRIVACY_LEASE_MARGIN_S,
    PRIVACY_LEASE_PAUSE_S,
    PRIVACY_LEASE_S,
    PRIVACY_WAIT_PAUSE_S,
)
from eventfold_server.storage.privacy_leases import PrivacyLeaseStorage

log = logging.getLogger(__name__)


class Keyring(Protocol):
    """The data keys in the memory of a process."""

    def renew(self, until_us: int, /) -> None:
        """Keys may be used until then, by `CLOCK_BOOTTIME` in microseconds."""

    def end_lease(self) -> None:
        """Keys may not be used any more."""

    def erase(self, subject_id: bytes, /) -> None:
        """Throws the keys of a subject away, for good: what is still on its way in is refused."""

    def evict_all(self) -> None:
        """Throws all keys away; they may come in again."""


class Leases:
    """The lease of this process, and the wait for those of all others."""

    def __init__(
        self,
        storage: PrivacyLeaseStorage,
        keyring: Keyring,
        saw: Callable[[int], object] = lambda _: None,
    ) -> None:
        """Nothing is asked for yet. `saw` is told how far the ledger of fences was followed, before
        a key is thrown away that might come in again from an old backup.
        """
        self._storage = storage
        self._keyring = keyring
        self._saw = saw
        self._server_id = uuid4()
        # The version of the catalogue whose fences this process has followed.
        self._seen: int | None = None
        self._turn = asyncio.Lock()
        self._loop: asyncio.Task[None] | None = None
        self._forgets: list[Callable[[], object]] = []

    def forgets(self, forget: Callable[[], object]) -> None:
        """Has `forget` called when somebody was fenced, before it is said that the keys are gone:
        it throws away what this process has in memory that was made of personal values.
        """
        self._forgets.append(forget)

    async def start(self) -> None:
        """Gets the first lease, and begins to renew it."""
        await self._storage.drop_old()
        await self._renew()
        self._loop = asyncio.create_task(self._renew_always())

    async def stop(self) -> None:
        """Uses no key any more, and gives the lease back."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
            self._loop = None
        self._give_up()
        # A lease that cannot be given back runs out.
        with contextlib.suppress(Refusal):
            await self._storage.end(self._server_id)

    async def follow(self, catalogue_version: int) -> None:
        """Returns when the keys of all who were fenced up to a version are thrown away here."""
        if self._loop is not None and (self._seen is None or self._seen < catalogue_version):
            await self._renew()

    async def wait_for_acknowledgement(self, catalogue_version: int, deadline_s: float) -> bool:
        """Returns when no server uses a key any more of who was fenced up to a version: each has
        said so, or its lease has run out. False: the time is over before.
        """
        clock = asyncio.get_running_loop().time
        until = clock() + deadline_s
        margin_ms = round(PRIVACY_LEASE_MARGIN_S * 1000)
        # The own one need not wait for its turn.
        await self.follow(catalogue_version)
        while await self._storage.behind(catalogue_version, margin_ms):
            if clock() >= until:
                return False
            await asyncio.sleep(min(PRIVACY_WAIT_PAUSE_S, max(until - clock(), 0.0)))
        return True

    async def _renew_always(self) -> None:
        lost = False
        while True:
            await asyncio.sleep(PRIVACY_LEASE_PAUSE_S)
            try:
                await self._renew()
            except Refusal as refusal:
                end_if_cancelled()
                # Until the lease has run out nothing is lost.
                if not lost:
                    log.warning("the lease on data keys is not renewed: %s", refusal.reason)
                lost = True
            else:
                lost = False

    async def _renew(self) -> None:
        """Renews the lease, throws away what the answer says, and says so at once."""
        async with self._turn:
            while True:
                # From before the question: the lease in the database is never the shorter one.
                until = _core.boottime() + round((PRIVACY_LEASE_S - PRIVACY_LEASE_MARGIN_S) * 1e6)
                lease_ms = round(PRIVACY_LEASE_S * 1000)
                renewed = await self._storage.renew(self._server_id, lease_ms, self._seen)
                version, seen = renewed.catalogue_version, self._seen
                self._saw(renewed.ledger_no)
                # A log that has gone back, as a restored one does, does not say whom it fenced.
                if renewed.rotated or (seen is not None and version < seen):
                    self._keyring.evict_all()
                for subject_id in renewed.fenced:
                    self._keyring.erase(subject_id.bytes)
                if renewed.fenced:
                    for forget in self._forgets:
                        forget()
                self._seen = version
                self._keyring.renew(until)
                if not renewed.fenced:
                    return

    def _give_up(self) -> None:
        self._keyring.end_lease()
        self._keyring.evict_all()
