"""Leases of servers that open personal data, and fences, in the log's database."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from eventfold_server.storage.database import Database
from eventfold_server.storage.keys.ledger import LedgerEntry, LedgerPlace


@dataclass(frozen=True, slots=True)
class Renewed:
    """What a server is told when it renews its lease."""

    catalogue_version: int
    # Subjects that were fenced since the version that it said it had seen.
    fenced: Sequence[UUID]
    # Data keys got new versions since then.
    rotated: bool
    # How far the log has followed the ledger of fences; the key store has done so before.
    ledger_no: int


class PrivacyLeaseStorage:
    """Leases and fences of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries

    async def renew(self, server_id: UUID, lease_ms: int, seen: int | None) -> Renewed:
        """Gives a server its lease for so long from now. `seen`: the version of the catalogue whose
        fences it has followed; None: it has no key in memory.
        """
        [row] = await self._write("renew_privacy_lease", server_id, lease_ms, seen)
        return Renewed(
            row["catalogue_version"], row["subject_ids"], row["rotated"], row["ledger_no"]
        )

    async def end(self, server_id: UUID) -> None:
        """Ends the lease of a server that has no key in memory any more."""
        await self._write("end_privacy_lease", server_id)

    async def drop_old(self) -> None:
        """Forgets servers that are gone for long."""
        await self._write("drop_privacy_leases")

    async def behind(self, catalogue_version: int, margin_ms: int) -> int:
        """How many servers may still use keys of subjects fenced up to a version."""
        async with self._database.reading() as connection:
            count: int = await connection.fetchval(
                self._queries["privacy_leases_behind"], catalogue_version, margin_ms
            )
        return count

    async def fence(self, entry: LedgerEntry, subject_id: UUID | None, erasure: int | None) -> int:
        """Fences the subject of an entry; the version of the catalogue since when servers know."""
        [row] = await self._write(
            "fence_subject_in_log",
            entry.subject_hash,
            subject_id,
            entry.number,
            entry.digest,
            erasure,
        )
        version: int = row["catalogue_version"]
        return version

    async def readmit(self, entry: LedgerEntry) -> bool:
        """Takes the fence of the subject of an entry away, and has every server look for keys anew;
        False: there is none in force.
        """
        [row] = await self._write(
            "readmit_subject_in_log", entry.subject_hash, entry.number, entry.digest
        )
        done: bool = row["done"]
        return done

    async def readmitted(self, entry: LedgerEntry) -> UUID | None:
        """Whose fence an entry took away; None: nobody's, or it is not known."""
        async with self._database.reading() as connection:
            found: UUID | None = await connection.fetchval(
                self._queries["readmitted_in_log"], entry.number
            )
        return found

    async def rotated(self) -> int:
        """Has every server look for the newest versions of data keys; the version of the catalogue
        since when they know.
        """
        [row] = await self._write("keys_rotated")
        version: int = row["version"]
        return version

    async def followed(self) -> LedgerPlace:
        """How far the log has followed the ledger of fences."""
        async with self._database.reading() as connection:
            row = await connection.fetchrow(self._queries["followed_in_log"])
        return LedgerPlace() if row is None else LedgerPlace(row["number"], row["digest"])

    async def store_id(self) -> UUID:
        """The id of the store, which never changes."""
        async with self._database.reading() as connection:
            row = await connection.fetchrow(self._queries["store"])
        assert row is not None
        found: UUID = row["store_id"]
        return found

    async def _write(self, name: str, *arguments: object) -> list[Any]:
        return await self._database.write(self._queries[name], *arguments)
