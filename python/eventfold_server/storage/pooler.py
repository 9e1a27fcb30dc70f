"""Connections of asyncpg through a pooler that gives a session away after each transaction.

What a session has been told or prepared is lost with the transaction, or worse, met by somebody
else. So every statement here is a transaction of its own that says its settings, and statements
have no names: parsed and run between BEGIN and COMMIT they stay with one session.
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, ClassVar

import asyncpg

from eventfold_server.storage import faults

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

# What poolers keep for each of their clients; anything else they refuse when a client connects.
_KEPT_BY_POOLERS = ("application_name",)


def session_options(settings: dict[str, str], *, pooled: bool) -> dict[str, Any]:
    """How asyncpg is to connect for statements that run under these settings."""
    if not pooled:
        return {"server_settings": settings}
    kept, told = split(settings)
    # Whatever the default is: the checks of an append need it.
    begin = ["BEGIN ISOLATION LEVEL READ COMMITTED"]
    begin += [
        f"SET LOCAL {name} = '{value}'"
        for name, value in told.items()
        if name != "default_transaction_isolation"
    ]
    kind = type("TransactionConnection", (_TransactionConnection,), {"begin": "; ".join(begin)})
    return {"server_settings": kept, "statement_cache_size": 0, "connection_class": kind}


def beginning(connection: Any) -> str:
    """What begins a transaction of several statements on a connection of asyncpg."""
    begin: str = getattr(connection, "begin", "BEGIN")
    return begin


def split(settings: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Settings that a pooler keeps, and those that each transaction must be told."""
    kept = {name: value for name, value in settings.items() if name in _KEPT_BY_POOLERS}
    return kept, {name: value for name, value in settings.items() if name not in kept}


class _TransactionConnection(Connection):
    """A connection whose every statement is a transaction of its own, unless one was begun."""

    # Begins the transaction, and says its settings.
    begin: ClassVar[str]

    async def fetch(self, *arguments: Any, **options: Any) -> Any:
        """As asyncpg's."""
        return await self._alone(super().fetch(*arguments, **options))

    async def fetchrow(self, *arguments: Any, **options: Any) -> Any:
        """As asyncpg's."""
        return await self._alone(super().fetchrow(*arguments, **options))

    async def fetchval(self, *arguments: Any, **options: Any) -> Any:
        """As asyncpg's."""
        return await self._alone(super().fetchval(*arguments, **options))

    def _cancel_current_command(self, sent: Any, cancelled: Any = None) -> None:
        """Cuts the connection off: PgBouncer 1.18 may end itself at a request to cancel."""
        del sent, cancelled
        # Not at once: the driver is in the middle of giving up. Its end completes both waits.
        asyncio.get_running_loop().call_soon(self.terminate)

    async def _alone(self, statement: Coroutine[Any, Any, Any]) -> Any:
        if self.is_in_transaction():
            # Of several statements, which whoever began it ends.
            return await statement
        try:
            # Without arguments it goes as a simple query, all of it at once.
            await self.execute(self.begin)
        except BaseException:
            statement.close()
            raise
        try:
            result = await statement
        except BaseException:
            with contextlib.suppress(asyncpg.PostgresError, *faults.LOST):
                await self.execute("ROLLBACK")
            raise
        await self.execute("COMMIT")
        return result
