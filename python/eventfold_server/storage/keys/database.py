"""Connections to the key store, which may be another PostgreSQL than the log's."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg

from eventfold_server.errors import Refusal
from eventfold_server.limits import KEY_CONNECTIONS, KEY_STATEMENT_S_MAX
from eventfold_server.storage import faults, liveness
from eventfold_server.storage.preparing import StorageRefused, apply_migrations, check_settings
from eventfold_server.storage.queries import KEY_STORE_FILES, Queries, migrations
from eventfold_server.storage.writing import CLOSE_S_MAX

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

CONNECT_TIMEOUT_S = 10.0
_SETTINGS = {
    "application_name": "eventfold-keys",
    "timezone": "UTC",
    "jit": "off",
    "statement_timeout": f"{KEY_STATEMENT_S_MAX:.0f}s",
    # A key that is given away is on disk, and one that is destroyed is gone from it.
    "synchronous_commit": "on",
    "default_transaction_isolation": "read committed",
}


@contextmanager
def _keys_unavailable() -> Iterator[None]:
    """Turns faults of the key store's PostgreSQL into KEYS_UNAVAILABLE."""
    try:
        with faults.reading():
            yield
    except Refusal as refusal:
        raise Refusal(
            "KEYS_UNAVAILABLE", "the key store cannot be reached", problem="key_store"
        ) from refusal


@dataclass(frozen=True)
class KeyStoreAddress:
    """Where a key store is."""

    # Of the PostgreSQL itself, past any pooler.
    dsn: str
    schema: str
    unsafe_durability: bool = False


class KeyDatabase:
    """A few connections to one key store; each statement is a transaction of its own."""

    def __init__(
        self,
        address: KeyStoreAddress,
        files: tuple[str, ...] = KEY_STORE_FILES,
        folder: str = "key_store",
    ) -> None:
        """Nothing is opened yet. `files` hold its statements, `folder` its migrations."""
        self._address = address
        self._folder = folder
        self.queries = Queries(address.schema, files)
        self._pool: Pool | None = None

    async def exists(self) -> bool:
        """Whether there is a key store, which is not made by asking."""
        connection = await self._connect()
        try:
            schema = f'"{self._address.schema}"'
            return bool(await connection.fetchval(self.queries["schema_exists"], schema))
        finally:
            await connection.close()

    async def open(self) -> None:
        """Brings its schema up to date, and opens the connections.

        Raises StorageRefused, and Refusal (KEYS_UNAVAILABLE).
        """
        connection = await self._connect()
        try:
            await check_settings(
                connection, self.queries, unsafe_durability=self._address.unsafe_durability
            )
            async with connection.transaction():
                await apply_migrations(connection, self.queries, migrations(self._folder))
        except asyncpg.PostgresError as error:
            raise StorageRefused(f"{self._folder}: PostgreSQL refuses: {error.args[0]}") from error
        finally:
            await connection.close()
        with _keys_unavailable():
            self._pool = await asyncpg.create_pool(
                self._address.dsn,
                min_size=1,
                max_size=KEY_CONNECTIONS,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=KEY_STATEMENT_S_MAX + 5.0,
                init=liveness.watch,
                server_settings=_SETTINGS,
            )

    async def close(self) -> None:
        """Closes the connections."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(CLOSE_S_MAX):
                await pool.close()
        except (TimeoutError, *faults.LOST):
            pool.terminate()

    async def rows(self, name: str, *arguments: object) -> list[Any]:
        """What a statement answers. One that fails, or whose answer does not come, is
        KEYS_UNAVAILABLE: every statement here may be made again.
        """
        if self._pool is None:
            raise Refusal("SHUTTING_DOWN", "the server has no connection to the key store open")
        with _keys_unavailable():
            async with self._pool.acquire() as connection:
                return await connection.fetch(self.queries[name], *arguments)

    async def row(self, name: str, *arguments: object) -> Any:
        """The one row that a statement answers; None: it answers none."""
        rows = await self.rows(name, *arguments)
        return rows[0] if rows else None

    async def _connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        try:
            with _keys_unavailable():
                return await asyncpg.connect(
                    self._address.dsn, timeout=CONNECT_TIMEOUT_S, server_settings=_SETTINGS
                )
        except asyncpg.ClientConfigurationError as error:
            raise StorageRefused(f"{self._folder}: this is no URL of a PostgreSQL") from error
        except asyncpg.PostgresError as error:
            raise StorageRefused(f"{self._folder}: PostgreSQL refuses: {error.args[0]}") from error
