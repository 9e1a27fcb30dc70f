"""Administering keys: new master keys, new data keys, and what there is."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID, uuid5

from eventfold import _core
from eventfold_server import failpoints
from eventfold_server.domain.audit import Audit
from eventfold_server.domain.privacy.fences import Fences, not_erased
from eventfold_server.domain.privacy.leases import Leases
from eventfold_server.domain.requests import Caller, invalid, waiting_time
from eventfold_server.errors import Refusal
from eventfold_server.limits import ROTATE_SUBJECTS_MAX
from eventfold_server.storage.keys.rotation import START, MasterKeyRotation, Place
from eventfold_server.storage.keys.store import KeyStore, SubjectRow, SubjectStatus
from eventfold_server.storage.privacy_leases import PrivacyLeaseStorage

# Ids of the events of `$audit` on re-admissions are made of this and of the entry of the ledger.
_READMITTED = UUID("3c8f0c52-7a0d-4a3e-9b1e-55c4a2d6f0e7")
# What the domain knows of a subject is its row.
Subject = SubjectRow
__all__ = ["KeyAdmin", "KeyParts", "MasterKeyProgress", "Subject", "SubjectStatus", "not_active"]


@dataclass(frozen=True)
class MasterKeyProgress:
    """How far a rotation of the master key is; see the proto."""

    master_key: str
    rewrapped: int
    failed: int
    left: int
    done: bool


@dataclass(frozen=True)
class KeyParts:
    """What keys are administered with."""

    store: KeyStore
    fences: Fences
    leases: Leases
    lease_storage: PrivacyLeaseStorage


class KeyAdmin:
    """Administers the keys of one store."""

    def __init__(
        self,
        parts: KeyParts | None,
        audit: Audit,
        erasing: Callable[[bytes], Awaitable[UUID | None]],
    ) -> None:
        """Without parts every call is refused: the server has no master key. `erasing`: the erasure
        of a subject that is under way.
        """
        self._parts = parts
        self._erasing = erasing
        self._audit = audit

    async def rotate_master_key(self, caller: Caller) -> MasterKeyProgress:
        """Wraps keys anew for as long as the call has time."""
        store = self._configured().store
        clock = asyncio.get_running_loop().time
        until = clock() + waiting_time(caller)[0]
        rotation = MasterKeyRotation(store)
        newest = await store.provider.newest()
        moved = await rotation.index_key(newest)
        rewrapped = failed = 0
        place: Place | None = START
        while place is not None and clock() < until:
            step = await rotation.step(newest, place)
            rewrapped += step.keys
            failed += step.failed
            place = step.place
        left = await rotation.left(newest)
        done = place is None and left <= failed
        if rewrapped or moved:
            facts = {"master_key": newest, "rewrapped": rewrapped, "failed": failed, "left": left}
            await self._audit.write(caller, "$MasterKeyRotated", facts)
        return MasterKeyProgress(newest, rewrapped, failed, left, done)

    async def rotate_data_key(self, caller: Caller, name: str) -> int:
        """Makes a new version of the key of a subject; which one."""
        parts = self._configured()
        subject = await self._found(await parts.store.subject(_checked(name)))
        if subject.status is not SubjectStatus.ACTIVE:
            raise not_active(subject)
        version = subject.newest_version + 1
        if not await parts.store.add_version(subject.subject_id, version):
            subject = await self._found(await parts.store.subject_of_id(subject.subject_id))
            if subject.status is not SubjectStatus.ACTIVE:
                raise not_active(subject)
            # Somebody else has made it at the same time: it is as new as it was asked for.
            return subject.newest_version
        await self._tell(parts)
        facts = {
            "subject_hash": subject.subject_hash,
            "subject_id": subject.subject_id,
            "version": version,
        }
        await self._audit.write(caller, "$DataKeyRotated", facts)
        return version

    async def rotate_category(
        self, caller: Caller, category: str, after: UUID
    ) -> tuple[int, UUID | None]:
        """Makes new versions of the keys of the next active subjects of a category behind an id;
        how many, and the id behind which there are more.
        """
        parts = self._configured()
        if not category:
            raise invalid("category", "is required")
        subjects = await parts.store.active_of(category, after, ROTATE_SUBJECTS_MAX)
        rotated = 0
        for subject_id, newest in subjects:
            rotated += await parts.store.add_version(subject_id, newest + 1)
        more = subjects[-1][0] if len(subjects) == ROTATE_SUBJECTS_MAX else None
        if rotated:
            await self._tell(parts)
            facts = {"category": category, "subjects": rotated}
            await self._audit.write(caller, "$DataKeysRotated", facts)
        return rotated, more

    async def readmit(self, caller: Caller, name: str) -> UUID:
        """Lets an erased subject have keys again; the id that was erased. One that a server began,
        and was killed at, is done to its end.
        """
        parts = self._configured()
        # The erasure would take the new keys for those that it is to destroy.
        if (erasure_id := await self._erasing(parts.store.hash_of(_checked(name)))) is not None:
            raise Refusal("ERASURE_UNDER_WAY", "the subject is being erased", erasure_id=erasure_id)
        readmitted = await parts.fences.readmit(name)
        failpoints.reach("readmission_followed")
        # Servers remember that the name has no keys.
        await self._tell(parts)
        facts = {"subject_hash": readmitted.entry.subject_hash, "subject_id": readmitted.subject_id}
        event_id = uuid5(_READMITTED, readmitted.entry.digest.hex())
        is_new = await self._audit.write_once(caller, "$SubjectReadmitted", facts, event_id)
        if readmitted.repeated and not is_new:
            raise not_erased()
        return readmitted.subject_id

    async def subject(self, name: str) -> SubjectRow:
        """The subject that has a name now."""
        return await self._found(await self._configured().store.subject(_checked(name)))

    async def subject_of_id(self, subject_id: UUID) -> SubjectRow:
        """The subject with an id."""
        return await self._found(await self._configured().store.subject_of_id(subject_id))

    async def subjects(
        self, after: UUID, status: SubjectStatus | None, category: str | None, limit: int
    ) -> list[SubjectRow]:
        """Subjects behind an id."""
        return await self._configured().store.subjects(after, status, category, limit)

    async def _tell(self, parts: KeyParts) -> None:
        """Has every server look for keys anew, this one at once."""
        await parts.leases.follow(await parts.lease_storage.rotated())

    async def _found(self, subject: SubjectRow | None) -> SubjectRow:
        if subject is None:
            raise Refusal("SUBJECT_NOT_FOUND", "there is no such subject")
        return subject

    def _configured(self) -> KeyParts:
        if self._parts is None:
            raise Refusal("KEYS_NOT_CONFIGURED", "the server has no master key")
        return self._parts


def _checked(name: str) -> str:
    try:
        _core.check_stream_name(name)
    except _core.CoreError as error:
        # What is wrong is told, and not the name.
        raise invalid("subject", f"is named like a stream: {error.message}") from None
    return name


def not_active(subject: SubjectRow) -> Refusal:
    """The refusal for a subject that is fenced or erased."""
    return Refusal(
        "SUBJECT_NOT_ACTIVE",
        "the subject has no keys any more",
        subject_id=subject.subject_id,
        status=subject.status.name.lower(),
    )
