"""Wrapping what is in the key store anew, under the newest master key."""

from dataclasses import dataclass
from uuid import UUID

from eventfold_server.errors import Refusal
from eventfold_server.limits import REWRAP_KEYS_MAX
from eventfold_server.storage.keys.providers import Wrapped
from eventfold_server.storage.keys.store import KeyRow, KeyStore

# A place in the order of keys: subject and version.
Place = tuple[UUID, int]
START: Place = (UUID(int=0), 0)


@dataclass(frozen=True)
class Rewrapped:
    """What a step of a rotation did."""

    # Keys that were wrapped anew, and those that the provider does not unwrap.
    keys: int
    failed: int
    # Behind it others are left; None: it was the last step.
    place: Place | None


class MasterKeyRotation:
    """Moves all keys of a key store to a master key, step by step, while appends run.

    It keeps no state: a key that still has another master key is one that is left.
    """

    def __init__(self, store: KeyStore) -> None:
        self._store = store

    async def step(self, newest: str, after: Place) -> Rewrapped:
        """Wraps the next keys behind a place anew."""
        rows = await self._store.database.rows("keys_to_rewrap", newest, *after, REWRAP_KEYS_MAX)
        keys = [KeyRow(**row) for row in rows]
        opened = await self._store.unwrapped(keys)
        good = [
            (row, key)
            for row, key in zip(keys, opened, strict=True)
            if not isinstance(key, Refusal)
        ]
        wrapped = await self._store.provider.wrap_all(
            [(key, self._store.context(row.subject_id, row.version)) for row, key in good]
        )
        moved = await self._store.database.rows(
            "rewrap_keys",
            [row.subject_id for row, _ in good],
            [row.version for row, _ in good],
            [row.wrapped for row, _ in good],
            [one.wrapped for one in wrapped],
            [one.master_key for one in wrapped],
        )
        last = keys[-1] if len(keys) == REWRAP_KEYS_MAX else None
        return Rewrapped(
            len(moved),
            len(keys) - len(good),
            None if last is None else (last.subject_id, last.version),
        )

    async def index_key(self, newest: str) -> bool:
        """Wraps the key of subject hashes anew; False: it was before."""
        row = await self._store.database.row("key_store")
        if row["index_master_key"] == newest:
            return False
        context = self._store.index_context
        old = Wrapped(row["index_master_key"], row["index_key"])
        wrapped = await self._store.provider.wrap(
            await self._store.provider.unwrap(old, context), context
        )
        await self._store.database.rows(
            "rewrap_index_key", old.wrapped, wrapped.wrapped, wrapped.master_key
        )
        return True

    async def left(self, newest: str) -> int:
        """How many data keys still have another master key."""
        count: int = (await self._store.database.row("keys_left_to_rewrap", newest))["count"]
        return count
