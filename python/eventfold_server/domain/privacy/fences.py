"""Fences: who gets no key any more, in three places and in this order: the ledger, the key store,
the log. Whatever ends in between is done to its end from the ledger.
"""

import asyncio
import logging
from dataclasses import dataclass
from uuid import UUID

from eventfold_server import failpoints
from eventfold_server.errors import Refusal
from eventfold_server.storage.keys.ledger import EntryKind, FenceLedger, LedgerEntry, Owner
from eventfold_server.storage.keys.store import KeyStore, SubjectStatus
from eventfold_server.storage.privacy_leases import PrivacyLeaseStorage

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fenced:
    """A fence that stands in all three places; the keys are gone."""

    # Of the ledger.
    entry: LedgerEntry
    subject_id: UUID
    # Keys that the subject had.
    keys_destroyed: int
    # What leases of servers must have seen until nobody uses a key any more.
    catalogue_version: int


@dataclass(frozen=True)
class Readmitted:
    """A re-admission that stands in all three places."""

    # Of the ledger.
    entry: LedgerEntry
    # The id that was erased.
    subject_id: UUID
    # It stood in the ledger before: somebody else has begun it, and perhaps not ended.
    repeated: bool


@dataclass(frozen=True)
class _InKeys:
    """How the key store was brought up to the ledger."""

    # The entries that it had followed before, and has followed now.
    before: int
    last: int
    # It had followed less than the log: it is an old backup.
    went_back: bool


class Fences:
    """The fences of one store."""

    def __init__(self, ledger: FenceLedger, keys: KeyStore, storage: PrivacyLeaseStorage) -> None:
        """The key store is opened before `start`."""
        self._ledger = ledger
        self._keys = keys
        self._storage = storage
        # What is done again while the server runs.
        self._again: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Compares log and key store with the ledger, and does what they lack.

        Raises LedgerRefused if the ledger is missing, or shorter than what one of them has seen, or
        another one.
        """
        in_log, in_keys = await self._storage.followed(), await self._keys.followed()
        owner = Owner(await self._storage.store_id(), self._keys.key_store_id)
        may_begin = in_log.number == 0 and in_keys.number == 0
        await self._ledger.open(owner, may_begin=may_begin)
        self._ledger.check(in_log, "log")
        self._ledger.check(in_keys, "key store")
        last = self._ledger.last.number
        if last > in_log.number or last > in_keys.number:
            log.warning(
                "the ledger of fences has %d entries; the log has followed %d, the key store %d: "
                "doing the rest again",
                last,
                in_log.number,
                in_keys.number,
            )
        await self._follow()
        self._keys.when_gone_back(self._follow_soon)

    async def fence(self, subject_hash: bytes, erasure: int | None = None) -> Fenced:
        """Fences a subject for good and destroys its keys. What is done already is not done again,
        but servers are told of it again. `erasure` is noted with the fence in the log.
        """
        while True:
            fenced = await self._fenced(subject_hash, erasure)
            if fenced is not None:
                return fenced
            # Who has the name since then is somebody else, and is fenced like anybody.
            log.info("a subject was admitted again while it was fenced: begins again")

    async def _fenced(self, subject_hash: bytes, erasure: int | None) -> Fenced | None:
        """The fence; None: the subject was admitted again meanwhile."""
        entry = await self._ledger.fenced(subject_hash)
        if entry is None:
            entry = await self._ledger.append(EntryKind.FENCE, subject_hash)
        failpoints.reach("fence_written")
        in_keys = await self._follow_in_keys()
        failpoints.reach("keys_destroyed")
        version = await self._follow_in_log(in_keys, erasure, entry)
        failpoints.reach("fence_in_log")
        subject = await self._keys.subject_of_hash(subject_hash)
        # In this order: with this entry as the last one it was still the one that was fenced.
        if await self._ledger.fenced(subject_hash) != entry:
            return None
        if subject is None or subject.status is not SubjectStatus.ERASED:
            raise Refusal(
                "KEYS_UNAVAILABLE",
                "the key store was restored while a subject was fenced",
                problem="key_store_restored",
            )
        return Fenced(entry, subject.subject_id, subject.keys_destroyed, version)

    async def readmit(self, name: str) -> Readmitted:
        """Lets an erased subject have keys again, under another id; if that stands in the ledger
        already it is done to its end.

        SUBJECT_NOT_ERASED if nobody was fenced under the name.
        """
        subject_hash = self._keys.hash_of(name)
        entry = await self._ledger.last_of(subject_hash)
        if entry is None:
            raise not_erased()
        repeated = entry.kind is EntryKind.READMIT
        if not repeated:
            await self._follow()
            entry = await self._ledger.append(EntryKind.READMIT, subject_hash)
            failpoints.reach("readmission_written")
        await self._follow()
        subject_id = await self._storage.readmitted(entry)
        if subject_id is None:
            # Another server was faster.
            raise not_erased()
        return Readmitted(entry, subject_id, repeated)

    async def close(self) -> None:
        """Closes the ledger."""
        if self._again is not None:
            self._again.cancel()
            await asyncio.gather(self._again, return_exceptions=True)
        await self._ledger.close()

    def _follow_soon(self) -> None:
        """Follows the ledger again, since the key store was restored under this server."""
        if self._again is None or self._again.done():
            self._again = asyncio.create_task(self._follow_again())

    async def _follow_again(self) -> None:
        log.error("the key store is an old backup: the ledger of fences is followed again")
        try:
            # With what others have appended.
            await self._ledger.entries(0)
            self._ledger.check(await self._keys.followed(), "key store")
            await self._follow()
        except Exception as error:  # noqa: BLE001 - keys are refused until it succeeds
            told = error.reason if isinstance(error, Refusal) else error
            log.error("the key store is not brought up to the ledger of fences: %s", told)

    async def _follow(self) -> None:
        await self._follow_in_log(await self._follow_in_keys(), None, None)

    async def _follow_in_keys(self) -> _InKeys:
        """Brings the key store up to the end of the ledger."""
        # In this order: the log follows after the key store, so that it cannot be ahead.
        in_log = (await self._storage.followed()).number
        before = (await self._keys.followed()).number
        if before < in_log:
            # Whatever becomes of this process, the others look for their keys anew.
            await self._storage.rotated()
        entries = await self._ledger.entries(before)
        for entry in entries:
            await self._keys.follow(entry)
        last = entries[-1].number if entries else before
        self._keys.saw(last)
        return _InKeys(before, last, before < in_log)

    async def _follow_in_log(
        self, in_keys: _InKeys, erasure: int | None, of: LedgerEntry | None
    ) -> int:
        """Brings the log up to where the key store is; the version of the catalogue since when
        servers know of the entry `of`.
        """
        after = in_keys.before
        if not in_keys.went_back:
            after = (await self._storage.followed()).number
        # Others may have appended since: the log is not to hear of these before the key store.
        entries = [one for one in await self._ledger.entries(after) if one.number <= in_keys.last]
        if of is not None and of not in entries:
            entries.insert(0, of)
        version = 0
        for entry in entries:
            if entry.kind is EntryKind.READMIT:
                await self._storage.readmit(entry)
                continue
            subject = await self._keys.subject_of_hash(entry.subject_hash)
            # One that is active was admitted again since, and its keys are others.
            gone = subject is not None and subject.status is not SubjectStatus.ACTIVE
            subject_id = subject.subject_id if subject is not None and gone else None
            found = await self._storage.fence(entry, subject_id, erasure if entry == of else None)
            if entry == of:
                version = found
        if in_keys.went_back:
            # Servers have keys in memory that the key store has lost: nothing may be sealed with
            # these any more.
            await self._storage.rotated()
        return version


def not_erased() -> Refusal:
    """The refusal of a re-admission of who is not erased."""
    return Refusal("SUBJECT_NOT_ERASED", "the subject is not erased")
