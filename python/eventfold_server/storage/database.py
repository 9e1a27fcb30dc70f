"""Connections to PostgreSQL: what is trusted, how many there are, and the schema in force."""

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

from eventfold_server import limits
from eventfold_server.errors import Refusal
from eventfold_server.storage import address, faults, liveness, pooler
from eventfold_server.storage.preparing import (
    StorageRefused,
    check_settings,
    make_query_schema,
    migrate,
)
from eventfold_server.storage.queries import Queries
from eventfold_server.storage.reader import GRACE_S, EventReader
from eventfold_server.storage.transaction import Transaction
from eventfold_server.storage.writing import (
    CLOSE_S_MAX,
    DEAD_AFTER_S,
    STATEMENT_S_MAX,
    TRANSACTION_IDLE_S_MAX,
    WriteConnection,
    lost_its_primary,
    run_write,
)

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]

log = logging.getLogger(__name__)

# PostgreSQL keeps 63 bytes of a name, and the schema of the views has `_query` behind this one.
SCHEMA_NAME_BYTES_MAX = 57
_SCHEMA_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# Beside the one of the writer, so that no append waits: the registry, caches, consumer groups.
WRITE_CONNECTIONS = 6
# For single rows.
READ_CONNECTIONS = 8
# For queries of projections, which callers make up: apart, so that slow ones hold up nothing else.
QUERY_CONNECTIONS = 4
# For pages of events, and for folds.
EVENT_CONNECTIONS = 8
# To listen for notifications of other servers, and to send them.
NOTICE_CONNECTIONS = 2
# For the events of projections, and for their rows: generations take turns.
PROJECTION_READ_CONNECTIONS = 2
PROJECTION_WRITE_CONNECTIONS = 2
# For verifications, retries and trials of projections, which people ask for: no generation waits.
PROJECTION_ASIDE_CONNECTIONS = 2
# To the key store, and to a ledger of fences in a table: where they stand beside the log.
PERSONAL_CONNECTIONS = 2 * limits.KEY_CONNECTIONS
# Most that one server process opens.
CONNECTIONS = (
    1
    + WRITE_CONNECTIONS
    + READ_CONNECTIONS
    + QUERY_CONNECTIONS
    + EVENT_CONNECTIONS
    + NOTICE_CONNECTIONS
    + PROJECTION_READ_CONNECTIONS
    + PROJECTION_WRITE_CONNECTIONS
    + PROJECTION_ASIDE_CONNECTIONS
    + PERSONAL_CONNECTIONS
)
IDLE_S_MAX = 300.0
CONNECT_TIMEOUT_S = 10.0
PING_TIMEOUT_S = 2.0
# A PostgreSQL that is not there yet is asked again after this pause.
CONNECT_PAUSE_S = 0.25
# What a cancelled statement gets to end before its connection is cut off.
RELEASE_S_MAX = 5.0

_SETTINGS = {
    "application_name": "eventfold",
    "timezone": "UTC",
    "jit": "off",
    "statement_timeout": f"{STATEMENT_S_MAX:.0f}s",
    # A process that stands still in the middle of a transaction must not hold its locks for ever.
    "idle_in_transaction_session_timeout": f"{TRANSACTION_IDLE_S_MAX:.0f}s",
}
# An interleaved heap makes the planner choose bitmap scans with a sort, which cost twice as much
# as following the index; a page ends early, so that its order must come from the index.
_READ_SETTINGS = {**_SETTINGS, "enable_bitmapscan": "off"}
# Each query is planned for its own values, and runs in one process, so that the parts of a page
# follow each other. Texts of values do not depend on what the database is set to.
_QUERY_SETTINGS = {
    **_SETTINGS,
    "plan_cache_mode": "force_custom_plan",
    "max_parallel_workers_per_gather": "0",
    "default_transaction_read_only": "on",
    "datestyle": "ISO, YMD",
    "extra_float_digits": "1",
}
# A notification takes part in no promise: its commit need not wait for the disk.
_NOTICE_SETTINGS = {**_SETTINGS, "synchronous_commit": "off"}
_WRITE_SETTINGS = {
    **_SETTINGS,
    # The append function runs with parameters only; planning it anew for each would cost as much
    # as the insert.
    "plan_cache_mode": "force_generic_plan",
    "default_transaction_isolation": "read committed",
}
# What a crash of PostgreSQL takes from a projection, rows and position alike, is folded again: its
# commits need not wait for the disk, and appends have that to themselves.
_PROJECTION_SETTINGS = {**_SETTINGS, "synchronous_commit": "off"}


def _tell_in_one_line(record: logging.LogRecord) -> bool:
    """Lets the pools tell that PostgreSQL is away, without a traceback each time."""
    if record.exc_info and record.exc_info[1]:
        record.msg = f"{record.msg}: {type(record.exc_info[1]).__name__}"
        record.exc_info = None
    return True


logging.getLogger("asyncpg.pool").addFilter(_tell_in_one_line)


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """Tells why a server cannot start on a database."""
    try:
        with faults.reading():
            yield
    except asyncpg.ClientConfigurationError as error:
        raise StorageRefused("this is no URL of a PostgreSQL") from error
    except asyncpg.PostgresError as error:
        # Wrong password, no such database, no permission: nothing that passes by itself.
        raise StorageRefused(f"PostgreSQL refuses: {error.args[0]}") from error


async def _keep_session(_connection: Any) -> None:
    """Nothing is reset when a connection goes back: no statement here changes the session."""


class Database:
    """Pools of connections to one store (one schema of one PostgreSQL database)."""

    def __init__(
        self,
        dsn: str,
        schema: str,
        *,
        direct_dsn: str | None = None,
        unsafe_durability: bool = False,
        wait_s: float = 0.0,
        query_role: str | None = None,
        make_query_role: bool = False,
    ) -> None:
        """Nothing is opened yet.

        With `direct_dsn`, `dsn` leads to a pooler that gives sessions away after each transaction,
        and the other to the same database itself: for what needs a session.

        `wait_s` bounds the wait for a PostgreSQL that cannot be reached yet.
        `unsafe_durability` accepts a PostgreSQL that may lose acknowledged appends (fsync,
        full_page_writes or synchronous_commit off): for tests alone.
        `query_role` may read the views of projections; it must be there, or is made.
        """
        if not _SCHEMA_NAME.fullmatch(schema) or len(schema) > SCHEMA_NAME_BYTES_MAX:
            raise StorageRefused(
                "a schema name has 1 to 57 ASCII letters, digits and underscores, "
                "and does not begin with a digit"
            )
        self.queries = Queries(schema)
        self._dsn = dsn
        self._direct_dsn = direct_dsn or dsn
        self._pooled = direct_dsn is not None
        self._unsafe_durability = unsafe_durability
        self._wait_s = wait_s
        self._query_role = query_role
        self._make_query_role = make_query_role
        self._read: Pool | None = None
        self._query: Pool | None = None
        self._write: Pool | None = None
        self._events: EventReader | None = None

    @property
    def direct_dsn(self) -> str:
        """The URL of the database itself, past any pooler."""
        return self._direct_dsn

    async def prepare(self) -> None:
        """Checks the database, and brings the schema up to date.

        Raises StorageRefused for a database that must not be used, and Refusal
        (STORAGE_UNAVAILABLE) for one that cannot be reached in time.
        """
        with _refusing():
            connection = await self._connect()
            try:
                await check_settings(
                    connection, self.queries, unsafe_durability=self._unsafe_durability
                )
                await migrate(connection, self.queries)
                await make_query_schema(
                    connection, self.queries, self._query_role, make_role=self._make_query_role
                )
            finally:
                await connection.close()

    async def open(self) -> None:
        """Prepares the database and opens the pools; raises what `prepare` raises."""
        await self.prepare()
        with _refusing():
            self._read = await self._pool(
                READ_CONNECTIONS, _READ_SETTINGS, command_timeout=DEAD_AFTER_S
            )
            self._query = await self._pool(
                QUERY_CONNECTIONS, _QUERY_SETTINGS, command_timeout=DEAD_AFTER_S
            )
            # No timeout of the driver: it would cancel a commit that waits for a standby.
            self._write = await self._pool(WRITE_CONNECTIONS, _WRITE_SETTINGS)
            self._events = self._event_reader()

    async def close(self) -> None:
        """Closes the pools; statements under way are finished first, within bounds."""
        for pool in (self._write, self._query, self._read):
            if pool is None:
                continue
            try:
                async with asyncio.timeout(CLOSE_S_MAX):
                    await pool.close()
            except (TimeoutError, *faults.LOST):
                pool.terminate()
        self._write = self._query = self._read = None
        if self._events is not None:
            await self._events.close()

    @property
    def events(self) -> EventReader:
        """The reader of pages of events, and of states."""
        if self._events is None:
            raise Refusal("SHUTTING_DOWN", "the server has no connection to PostgreSQL open")
        return self._events

    @asynccontextmanager
    async def reading(self) -> AsyncIterator["Connection"]:
        """A connection for statements that change nothing; its faults are refusals."""
        async with self._lent(self._read) as connection:
            yield connection

    @asynccontextmanager
    async def querying(self) -> AsyncIterator["Connection"]:
        """A connection for queries of projections; its faults are refusals."""
        async with self._lent(self._query) as connection:
            yield connection

    @asynccontextmanager
    async def _lent(self, pool: "Pool | None") -> AsyncIterator["Connection"]:
        pool = _opened(pool)
        with faults.reading():
            connection = await pool.acquire()
            try:
                yield connection
            finally:
                await _release(pool, connection)

    async def ping(self) -> None:
        """Returns when PostgreSQL answers; raises STORAGE_UNAVAILABLE when it does not."""
        async with self.reading() as connection:
            await connection.fetchval(self.queries["ping"], timeout=PING_TIMEOUT_S)

    async def write(self, sql: str, *arguments: object, stream: str | None = None) -> list[Any]:
        """The rows that a statement answers which writes, as a transaction of its own.

        Cancelled while it waits for a connection, it has stored nothing. Once the statement is on
        its way it is carried through whatever happens to the caller, who gets OUTCOME_UNKNOWN.
        """
        pool = _opened(self._write)
        with faults.reading():
            connection = await pool.acquire()
        statement = asyncio.create_task(_carry_through(pool, connection, sql, arguments, stream))
        _under_way.add(statement)
        statement.add_done_callback(_forget)
        try:
            return await asyncio.shield(statement)
        except asyncio.CancelledError as error:
            raise faults.outcome_unknown(stream) from error

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[Transaction]:
        """A transaction of several statements, which stores what they wrote with its `commit`, or
        nothing.
        """
        pool = _opened(self._write)
        with faults.reading():
            connection = await pool.acquire()
        transaction = Transaction(connection)
        try:
            await transaction.begin()
            yield transaction
        except Refusal as refusal:
            if lost_its_primary(refusal):
                await pool.expire_connections()
            raise
        finally:
            ending = asyncio.create_task(_end(pool, connection, transaction))
            _under_way.add(ending)
            ending.add_done_callback(_forget)
            await asyncio.shield(ending)

    def write_connection(self) -> WriteConnection:
        """A connection of its own for a writer, which closes it; it is made at the first use."""
        settings, told = _WRITE_SETTINGS, dict[str, str]()
        if self._pooled:
            settings, told = pooler.split(_WRITE_SETTINGS)
            # Each transaction says it where it begins.
            del told["default_transaction_isolation"]
        return WriteConnection(
            lambda: self._core_settings(settings, told, connections_max=1, fold_threads=1),
            self.queries,
        )

    def projection_settings(self) -> tuple[dict[str, Any], ...]:
        """How Rust connects to read the events of projections, to write their rows, and for what
        goes on beside.
        """

        def settings(of: dict[str, str], connections_max: int) -> dict[str, Any]:
            kept, told = pooler.split(of) if self._pooled else (of, dict[str, str]())
            return self._core_settings(
                kept,
                told,
                connections_max=connections_max,
                fold_threads=limits.PROJECTION_FOLD_THREADS,
            )

        return (
            settings(_READ_SETTINGS, PROJECTION_READ_CONNECTIONS),
            settings(_PROJECTION_SETTINGS, PROJECTION_WRITE_CONNECTIONS),
            settings(_READ_SETTINGS, PROJECTION_ASIDE_CONNECTIONS),
        )

    async def notice_connection(self) -> "asyncpg.Connection[asyncpg.Record]":
        """A connection for sending notifications; its faults are the driver's own."""
        return await self._single(self._dsn, _NOTICE_SETTINGS, self._pooled)

    async def session_connection(self) -> "asyncpg.Connection[asyncpg.Record]":
        """A connection that keeps its session, past any pooler; its faults are the driver's own."""
        return await self._single(self._direct_dsn, _NOTICE_SETTINGS, pooled=False)

    async def _single(
        self, dsn: str, settings: dict[str, str], pooled: bool
    ) -> "asyncpg.Connection[asyncpg.Record]":
        connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
            dsn, timeout=CONNECT_TIMEOUT_S, **pooler.session_options(settings, pooled=pooled)
        )
        await liveness.watch(connection)
        return connection

    async def _connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        """A connection to a PostgreSQL that may still be on its way up."""
        deadline = time.monotonic() + self._wait_s
        waited = False
        while True:
            try:
                return await asyncpg.connect(
                    self._direct_dsn, timeout=CONNECT_TIMEOUT_S, server_settings={"timezone": "UTC"}
                )
            except (OSError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError) as e:
                if time.monotonic() >= deadline:
                    text = f"PostgreSQL cannot be reached: {str(e) or type(e).__name__}"
                    raise Refusal("STORAGE_UNAVAILABLE", text) from e
                if not waited:
                    log.warning("PostgreSQL is not there yet (%s); waiting for it", e)
                waited = True
            await asyncio.sleep(CONNECT_PAUSE_S)

    def _event_reader(self) -> EventReader:
        try:
            settings, told = _READ_SETTINGS, dict[str, str]()
            if self._pooled:
                settings, told = pooler.split(_READ_SETTINGS)
            return EventReader(
                self._core_settings(
                    settings,
                    told,
                    connections_max=EVENT_CONNECTIONS,
                    fold_threads=limits.FOLD_THREADS,
                )
            )
        except ValueError as error:
            raise StorageRefused(str(error)) from error

    def _core_settings(
        self, settings: dict[str, str], told: dict[str, str], **more: Any
    ) -> dict[str, Any]:
        """How Rust connects; behind a pooler each transaction is `told` what that does not keep."""
        found = address.resolve(self._dsn)
        return {
            "attempts": found.attempts,
            "user": found.user,
            "password": found.password,
            "database": found.database,
            "startup": list({**found.startup, **settings}.items()),
            "session": found.session,
            "verify": found.verify,
            "authorities": found.authorities,
            "revoked": found.revoked,
            "identity": found.identity,
            "pooled": self._pooled,
            "told": list(told.items()),
            "connect_timeout_s": CONNECT_TIMEOUT_S,
            "answer_timeout_s": DEAD_AFTER_S,
            "drain_timeout_s": RELEASE_S_MAX,
            "idle_timeout_s": IDLE_S_MAX,
            "grace_s": GRACE_S,
            **more,
        }

    async def _pool(
        self, size: int, settings: dict[str, str], command_timeout: float | None = None
    ) -> "Pool":
        return await asyncpg.create_pool(
            self._dsn,
            min_size=1,
            max_size=size,
            max_inactive_connection_lifetime=IDLE_S_MAX,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=command_timeout,
            init=liveness.watch,
            reset=_keep_session,
            **pooler.session_options(settings, pooled=self._pooled),
        )


async def _end(pool: "Pool", connection: "Connection", transaction: Transaction) -> None:
    """Undoes what was not committed, and gives the connection back."""
    try:
        await transaction.end()
    finally:
        await _release(pool, connection)


# Holds the writes that outlive their calls; asyncio itself keeps weak references only.
_under_way: set[asyncio.Task[Any]] = set()


def _forget(statement: asyncio.Task[Any]) -> None:
    _under_way.discard(statement)
    if not statement.cancelled():
        # Nobody may be there to ask; reading it keeps asyncio from complaining.
        statement.exception()


async def _carry_through(
    pool: "Pool",
    connection: "Connection",
    sql: str,
    arguments: tuple[object, ...],
    stream: str | None,
) -> list[Any]:
    """Runs the statement to its end, and gives the connection back."""
    try:
        return await run_write(connection, sql, arguments, stream)
    except Refusal as refusal:
        if lost_its_primary(refusal):
            await pool.expire_connections()
        raise
    finally:
        await _release(pool, connection)


async def _release(pool: "Pool", connection: "Connection") -> None:
    """Gives the connection back; one that broke is replaced when the next call needs it."""
    with contextlib.suppress(*faults.LOST):
        await pool.release(connection, timeout=RELEASE_S_MAX)


def _opened(pool: "Pool | None") -> "Pool":
    if pool is None:
        raise Refusal("SHUTTING_DOWN", "the server has no connection to PostgreSQL open")
    return pool
