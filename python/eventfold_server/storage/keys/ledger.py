"""The ledger of fences: who is to be forgotten, in a place apart from log and key store.

It is only ever appended to, before the first key of a subject goes, and holds no personal data. So
an old backup of the log or of the key store, or of both, brings nobody back: the server compares
them with the ledger when it starts, and does again what they lack.

A ledger is a list of lines, which are JSON. The first says whose it is; each later one names the
SHA-256 of the line before it.
"""

import asyncio
import enum
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from eventfold_server.limits import FENCE_APPENDS_MAX
from eventfold_server.storage.preparing import StorageRefused

FORMAT = 1


class EntryKind(enum.StrEnum):
    """What an entry says of its subject."""

    FENCE = "fence"
    READMIT = "readmit"


@dataclass(frozen=True, slots=True)
class LedgerPlace:
    """How far a ledger was followed; 0 and no digest: not at all."""

    number: int = 0
    digest: bytes | None = None


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One line behind the first."""

    # From 1, dense.
    number: int
    kind: EntryKind
    subject_hash: bytes
    time: datetime
    # SHA-256 of its line.
    digest: bytes

    @property
    def place(self) -> LedgerPlace:
        """Where it stands."""
        return LedgerPlace(self.number, self.digest)


@dataclass(frozen=True)
class Owner:
    """Whose ledger it is."""

    store_id: UUID
    key_store_id: UUID


class LedgerRefused(StorageRefused):
    """The ledger of fences is not the one that log and key store have followed."""


class FenceLedger(ABC):
    """The ledger of one store; several servers may append to it."""

    def __init__(self) -> None:
        self._owner: Owner | None = None
        # All that was read and checked.
        self._entries: list[LedgerEntry] = []
        self._last_digest = b""
        # The last entry of each subject.
        self._of_subject: dict[bytes, LedgerEntry] = {}
        # One task at a time reads on or appends.
        self._turn = asyncio.Lock()

    async def open(self, owner: Owner, *, may_begin: bool) -> None:
        """Reads and checks all of it. `may_begin`: nobody has followed an entry yet, so that it is
        made where there is none.

        Raises LedgerRefused for one that is missing, changed, or another store's, and Refusal
        (KEYS_UNAVAILABLE) for one that cannot be reached.
        """
        self._owner = owner
        lines = await self._open()
        if not lines and may_begin:
            await self._append(0, _first_line(owner))
            lines = await self._lines(0)
        if not lines:
            raise LedgerRefused(
                f"the ledger of fences {self.where} is missing or empty, and log or key store have "
                "followed entries of it; put it back"
            )
        self._begin(lines[0], owner)
        self._take(lines[1:])

    @property
    @abstractmethod
    def where(self) -> str:
        """Where it is, in a message."""

    @abstractmethod
    async def _open(self) -> list[bytes]:
        """All lines; none where there is no ledger."""

    @abstractmethod
    async def _lines(self, after: int) -> list[bytes]:
        """The lines behind so many."""

    @abstractmethod
    async def _append(self, number: int, line: bytes) -> bool:
        """Appends a line as that of a number, from 0, and returns when it is on disk; False: others
        have appended one meanwhile.
        """

    @abstractmethod
    async def close(self) -> None:
        """Closes what is open."""

    @property
    def last(self) -> LedgerPlace:
        """The last entry that was read."""
        return self._entries[-1].place if self._entries else LedgerPlace()

    async def entries(self, after: int) -> Sequence[LedgerEntry]:
        """The entries behind a number, with those of other servers."""
        async with self._turn:
            await self._read_on()
            return self._entries[after:]

    async def fenced(self, subject_hash: bytes) -> LedgerEntry | None:
        """The entry by which a subject is fenced now; None: it is not."""
        last = await self.last_of(subject_hash)
        return last if last is not None and last.kind is EntryKind.FENCE else None

    async def last_of(self, subject_hash: bytes) -> LedgerEntry | None:
        """The last entry of a subject."""
        async with self._turn:
            await self._read_on()
        return self._of_subject.get(subject_hash)

    async def append(self, kind: EntryKind, subject_hash: bytes) -> LedgerEntry:
        """Appends an entry; it is on disk when this returns."""
        assert self._owner is not None
        async with self._turn:
            for _ in range(FENCE_APPENDS_MAX):
                await self._read_on()
                number = len(self._entries) + 1
                line = _entry_line(number, self._owner, kind, subject_hash, self._last_digest)
                if await self._append(number, line):
                    await self._read_on()
                    return self._entries[number - 1]
        raise LedgerRefused(f"the ledger of fences {self.where} changes all the time")

    def check(self, place: LedgerPlace, who: str) -> None:
        """Refuses a ledger that is not the one which `who` has followed up to a place."""
        if place.number > len(self._entries):
            raise LedgerRefused(
                f"the ledger of fences {self.where} ends with entry {len(self._entries)}, and the "
                f"{who} has followed it up to {place.number}; put the newest one back"
            )
        if place.number and self._entries[place.number - 1].digest != place.digest:
            raise LedgerRefused(
                f"entry {place.number} of the ledger of fences {self.where} is not the one that "
                f"the {who} has followed"
            )

    async def _read_on(self) -> None:
        self._take(await self._lines(1 + len(self._entries)))

    def _begin(self, line: bytes, owner: Owner) -> None:
        found = _parsed(line)
        if found.get("fence_ledger") != FORMAT:
            raise LedgerRefused(f"{self.where} is no ledger of fences that this server knows")
        for name, own in (("store_id", owner.store_id), ("key_store_id", owner.key_store_id)):
            if found.get(name) != str(own):
                raise LedgerRefused(
                    f"the ledger of fences {self.where} is that of the {name} {found.get(name)}, "
                    f"and this one is {own}"
                )
        self._last_digest = _digest(line)

    def _take(self, lines: Sequence[bytes]) -> None:
        """Checks lines that follow those that are known, and keeps what they say."""
        for line in lines:
            number = len(self._entries) + 1
            found = _parsed(line)
            if found.get("no") != number or found.get("previous") != self._last_digest.hex():
                raise LedgerRefused(
                    f"entry {number} of the ledger of fences {self.where} does not follow the one "
                    "before it: something was changed"
                )
            try:
                entry = LedgerEntry(
                    number,
                    EntryKind(found["kind"]),
                    bytes.fromhex(found["subject_hash"]),
                    datetime.fromisoformat(found["time"]),
                    _digest(line),
                )
            except (KeyError, TypeError, ValueError):
                raise LedgerRefused(
                    f"entry {number} of the ledger of fences {self.where} is none"
                ) from None
            self._entries.append(entry)
            self._of_subject[entry.subject_hash] = entry
            self._last_digest = entry.digest


def _first_line(owner: Owner) -> bytes:
    return _line(
        {
            "fence_ledger": FORMAT,
            "store_id": str(owner.store_id),
            "key_store_id": str(owner.key_store_id),
        }
    )


def _entry_line(
    number: int, owner: Owner, kind: EntryKind, subject_hash: bytes, previous: bytes
) -> bytes:
    return _line(
        {
            "no": number,
            "store_id": str(owner.store_id),
            "kind": kind.value,
            "subject_hash": subject_hash.hex(),
            "time": datetime.now(UTC).isoformat(timespec="microseconds"),
            "previous": previous.hex(),
        }
    )


def _line(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _parsed(line: bytes) -> dict[str, Any]:
    """What a line says; nothing, if it is none."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _digest(line: bytes) -> bytes:
    return hashlib.sha256(line).digest()
