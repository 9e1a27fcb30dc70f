"""The key store of one log: data keys by subject, wrapped, and who has none any more."""

import enum
import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from eventfold_server.config import ConfigError
from eventfold_server.errors import Refusal
from eventfold_server.storage.keys.database import KeyDatabase, KeyStoreAddress
from eventfold_server.storage.keys.ledger import EntryKind, LedgerEntry, LedgerPlace
from eventfold_server.storage.keys.providers import KeyProvider, Wrapped
from eventfold_server.storage.preparing import StorageRefused

DATA_KEY_BYTES = 32


class SubjectStatus(enum.IntEnum):
    """What is the case with a subject: the numbers of the proto's `SubjectStatus`."""

    ACTIVE = 1
    FENCED = 2
    ERASED = 3


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A data key as it is stored."""

    subject_id: UUID
    version: int
    wrapped: bytes = field(repr=False)
    master_key: str


@dataclass(frozen=True, slots=True)
class SubjectKeys:
    """All that the key store has of a subject."""

    # None: it is not active.
    name: str | None
    # Of every version, the oldest first; None: there is none any more.
    rows: tuple[KeyRow, ...] | None


@dataclass(frozen=True, slots=True)
class Erased:
    """There is no key, and none is made: the subject is fenced or erased."""

    subject_id: UUID


@dataclass(frozen=True, slots=True)
class SubjectRow:
    """A subject of the key store."""

    subject_id: UUID
    # None: it is erased, or never had a key.
    name: str | None
    subject_hash: bytes
    status: SubjectStatus
    created_at: datetime
    erased_at: datetime | None
    # A later subject has the name since then.
    readmitted_at: datetime | None
    # Keys that it had when it was erased.
    keys_destroyed: int
    # 0: it has no key.
    newest_version: int
    keys: int


class KeyStore:
    """Data keys of the subjects of one log. Raises KEYS_UNAVAILABLE wherever it cannot be asked."""

    def __init__(self, address: KeyStoreAddress, provider: KeyProvider) -> None:
        """Nothing is opened yet."""
        self.database = KeyDatabase(address)
        self.provider = provider
        self._id: UUID | None = None
        self._index_key: bytes | None = None
        # How far this process knows that the key store has followed the ledger of fences.
        self._seen = 0
        self._went_back: Callable[[], object] | None = None

    async def open(self, store_id: UUID) -> None:
        """Opens the key store of a log, and makes it if it is the first time.

        Raises StorageRefused if it is another log's, ConfigError if master keys are missing that
        keys are wrapped by, and Refusal (KEYS_UNAVAILABLE).
        """
        await self.provider.check()
        await self.database.open()
        row = await self.database.row("key_store")
        if row["index_key"] is None or row["store_id"] is None:
            index_key = await self.provider.wrap(
                secrets.token_bytes(DATA_KEY_BYTES), _index_context(row["key_store_id"])
            )
            row = await self.database.row(
                "adopt_key_store", store_id, index_key.wrapped, index_key.master_key
            )
        if row["store_id"] != store_id:
            raise StorageRefused(
                f"the key store is that of the log {row['store_id']}, and this log is {store_id}"
            )
        self._id = row["key_store_id"]
        await self._check_master_keys()
        try:
            self._index_key = await self.provider.unwrap(
                Wrapped(row["index_master_key"], row["index_key"]),
                _index_context(row["key_store_id"]),
            )
        except Refusal as refusal:
            if refusal.facts.get("problem") != "not_unwrapped":
                raise
            raise ConfigError(
                f"the master key {row['index_master_key']} does not unwrap what is in the key "
                "store: it is another key, or the key store was changed"
            ) from refusal

    async def close(self) -> None:
        """Closes the connections, and what the provider has open."""
        await self.database.close()
        await self.provider.close()

    @property
    def key_store_id(self) -> UUID:
        """Never changes."""
        assert self._id is not None
        return self._id

    def saw(self, ledger_no: int) -> None:
        """Gives no key away any more from a key store that has not followed the ledger of fences so
        far: it is an old backup, with keys in it that were destroyed.
        """
        self._seen = max(self._seen, ledger_no)

    def when_gone_back(self, tell: Callable[[], object]) -> None:
        """Has `tell` called when keys are refused since the key store is an old backup."""
        self._went_back = tell

    def hash_of(self, name: str) -> bytes:
        """What stands for the name of a subject where that must not stand."""
        assert self._index_key is not None
        return hmac.new(self._index_key, name.encode(), hashlib.sha256).digest()

    def pseudonym_key(self, transform: str) -> bytes:
        """What a transform of this name makes pseudonyms under, on every server of the store."""
        assert self._index_key is not None
        # No stream, and so no subject, is named like this.
        message = b"\0pseudonyms of " + transform.encode()
        return hmac.new(self._index_key, message, hashlib.sha256).digest()

    async def current(self, names: Sequence[str]) -> dict[str, KeyRow | Erased]:
        """The newest key of each subject, made if it has none yet; several servers may do this at
        once, and get the same keys.
        """
        hashes = {self.hash_of(name): name for name in names}
        found = await self._present(hashes)
        missing = {hash_: name for hash_, name in hashes.items() if name not in found}
        if missing:
            await self._make(missing)
            found |= await self._present(missing)
        return found

    async def by_ids(self, ids: Sequence[tuple[UUID, int]]) -> list[KeyRow | Erased | None]:
        """Keys by subject id and version, in their order; None: there never was one, as far as this
        key store knows.
        """
        found: list[KeyRow | Erased | None] = [None] * len(ids)
        subjects, versions = [id_ for id_, _ in ids], [version for _, version in ids]
        for row in await self.database.rows("keys_by_ids", subjects, versions):
            if row["status"] != SubjectStatus.ACTIVE:
                found[row["n"] - 1] = Erased(subjects[row["n"] - 1])
            elif row["wrapped"] is not None:
                found[row["n"] - 1] = _key_row(row)
        return found

    async def of_subjects(self, subject_ids: Sequence[UUID]) -> dict[UUID, SubjectKeys]:
        """All keys of each subject; one that this key store does not know is left out."""
        found: dict[UUID, SubjectKeys] = {}
        for row in await self._rows_not_gone_back("keys_of_subjects", list(subject_ids)):
            id_ = row["subject_id"]
            if row["status"] != SubjectStatus.ACTIVE:
                found[id_] = SubjectKeys(None, None)
                continue
            known = found.get(id_, SubjectKeys(row["name"], ()))
            assert known.rows is not None
            found[id_] = SubjectKeys(row["name"], (*known.rows, _key_row(row)))
        return found

    async def unwrapped(self, rows: Sequence[KeyRow]) -> list[bytes | Refusal]:
        """The keys themselves; a refusal in the place of one that does not unwrap."""
        return await self.provider.unwrap_all(
            [
                (Wrapped(row.master_key, row.wrapped), self.context(row.subject_id, row.version))
                for row in rows
            ]
        )

    async def add_version(self, subject_id: UUID, version: int) -> bool:
        """Makes a version of the key of an active subject, which seals from here on; False: the
        subject is not active, or somebody else has made it.
        """
        [wrapped] = await self._wrapped_new([(subject_id, version)])
        row = await self.database.row(
            "add_key_version", subject_id, version, wrapped.wrapped, wrapped.master_key
        )
        return row is not None

    async def fence(self, subject_hash: bytes) -> UUID:
        """Gives no key of a subject away any more, nor makes one; its id."""
        row = await self.database.row("fence_subject", subject_hash, uuid4())
        found: UUID = row["subject_id"]
        return found

    async def destroy(self, subject_id: UUID) -> int | None:
        """Destroys all keys of a fenced subject, and its name; how many keys that were, now or
        before. None: it is not fenced.
        """
        keys: int | None = (await self.database.row("destroy_keys", subject_id))["keys"]
        return keys

    async def readmit(self, subject_hash: bytes) -> bool:
        """Lets an erased subject have keys again, under a new id; False: none is erased."""
        return await self.database.row("readmit_subject", subject_hash) is not None

    async def subject(self, name: str) -> SubjectRow | None:
        """The subject that has the name now."""
        return await self.subject_of_hash(self.hash_of(name))

    async def subject_of_hash(self, subject_hash: bytes) -> SubjectRow | None:
        """The subject that has the name of a hash now."""
        return _subject(await self.database.row("subject_by_hash", subject_hash))

    async def subject_of_id(self, subject_id: UUID) -> SubjectRow | None:
        """A subject, whether it was re-admitted or not."""
        return _subject(await self.database.row("subject_by_id", subject_id))

    async def subjects(
        self, after: UUID, status: SubjectStatus | None, category: str | None, limit: int
    ) -> list[SubjectRow]:
        """Subjects behind an id, in the order of their ids."""
        rows = await self.database.rows("list_subjects", after, status, category, limit)
        return [found for row in rows if (found := _subject(row)) is not None]

    async def active_of(self, category: str, after: UUID, limit: int) -> list[tuple[UUID, int]]:
        """Active subjects of a category behind an id, and the newest version of each."""
        rows = await self.database.rows("active_of_category", category, after, limit)
        return [(row["subject_id"], row["newest_version"]) for row in rows]

    async def master_keys(self) -> dict[str, int]:
        """Master keys that something is wrapped by, and how many data keys."""
        return {row["master_key"]: row["keys"] for row in await self.database.rows("master_keys")}

    async def figures(self) -> list[tuple[SubjectStatus, int, int]]:
        """How many subjects have a status, as version 0; and of the active ones how many have a
        version as the newest of their keys.
        """
        rows = await self.database.rows("key_figures")
        return [(SubjectStatus(row["status"]), row["version"], row["subjects"]) for row in rows]

    async def followed(self) -> LedgerPlace:
        """How far this key store has followed the ledger of fences."""
        row = await self.database.row("key_store")
        return LedgerPlace(row["ledger_no"], row["ledger_digest"])

    async def follow(self, entry: LedgerEntry) -> UUID | None:
        """Does what an entry of the ledger of fences says: a fence destroys the keys of its
        subject. Entries are followed in order, each once. Returns the id of the subject.
        """
        fence = entry.kind is EntryKind.FENCE
        row = await self.database.row(
            "follow_ledger", entry.number, entry.digest, fence, entry.subject_hash, uuid4()
        )
        assert row["done"], entry.number
        found: UUID | None = row["subject_id"]
        return found

    def context(self, subject_id: UUID, version: int) -> bytes:
        """What a data key is bound to."""
        return (
            b"eventfold data key 1"
            + self.key_store_id.bytes
            + subject_id.bytes
            + version.to_bytes(4, "big")
        )

    @property
    def index_context(self) -> bytes:
        """What the key of subject hashes is bound to."""
        return _index_context(self.key_store_id)

    async def _present(self, hashes: dict[bytes, str]) -> dict[str, KeyRow | Erased]:
        found: dict[str, KeyRow | Erased] = {}
        for row in await self._rows_not_gone_back("current_keys", list(hashes)):
            name = hashes[row["subject_hash"]]
            if row["status"] != SubjectStatus.ACTIVE:
                found[name] = Erased(row["subject_id"])
            elif row["wrapped"] is None:
                raise Refusal(
                    "KEYS_UNAVAILABLE", "an active subject has lost its keys", problem="no_key"
                )
            else:
                found[name] = _key_row(row)
        return found

    async def _rows_not_gone_back(self, name: str, *arguments: object) -> list[Any]:
        """Rows of subjects, if the key store is at least where this process has seen it, or the
        log, which follows the ledger after it.
        """
        rows = await self.database.rows(name, *arguments)
        # In the same statement: a restore comes before both or after both.
        if not rows or rows[0]["ledger_no"] < self._seen:
            if self._went_back is not None:
                self._went_back()
            raise Refusal(
                "KEYS_UNAVAILABLE",
                "the key store is an old backup, which is brought up to the ledger of fences",
                problem="key_store_restored",
            )
        self.saw(rows[0]["ledger_no"])
        return [row for row in rows if row["subject_id"] is not None]

    async def _make(self, names: dict[bytes, str]) -> None:
        """Makes subjects of names, by their hashes, as far as nobody else has."""
        ids = [uuid4() for _ in names]
        wrapped = await self._wrapped_new([(id_, 1) for id_ in ids])
        await self.database.rows(
            "make_keys",
            ids,
            list(names.values()),
            list(names),
            [one.wrapped for one in wrapped],
            [one.master_key for one in wrapped],
        )

    async def _wrapped_new(self, places: Sequence[tuple[UUID, int]]) -> list[Wrapped]:
        """New keys, which nobody sees but wrapped."""
        return await self.provider.wrap_all(
            [
                (secrets.token_bytes(DATA_KEY_BYTES), self.context(id_, version))
                for id_, version in places
            ]
        )

    async def _check_master_keys(self) -> None:
        """Refuses a provider that lacks a master key which keys are wrapped by."""
        wrapping = await self.master_keys()
        lacking = await self.provider.lacks(list(wrapping))
        if lacking:
            told = ", ".join(f"{name} ({wrapping[name]} data keys)" for name in lacking)
            raise ConfigError(
                f"a master key is missing, or another one: keys are wrapped by {told}"
            )


def _index_context(key_store_id: UUID) -> bytes:
    return b"eventfold index key 1" + key_store_id.bytes


def _key_row(row: Any) -> KeyRow:
    return KeyRow(row["subject_id"], row["version"], row["wrapped"], row["master_key"])


def _subject(row: Any) -> SubjectRow | None:
    if row is None:
        return None
    return SubjectRow(**{**row, "status": SubjectStatus(row["status"])})
