"""The life of a server process: database, gRPC server, signals, and the way down."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable
from typing import Any

from eventfold_server.config import ServerConfig
from eventfold_server.embedded import EmbeddedPostgres, EmbeddedPostgresError
from eventfold_server.limits import CONNECTIONS_SPARE
from eventfold_server.server import Server, check_config
from eventfold_server.storage.database import CONNECTIONS, Database
from eventfold_server.workers import Workers

log = logging.getLogger(__name__)

# A PostgreSQL that dies is started again after a pause, so that one that cannot live does not
# keep a core busy.
RESTART_PAUSE_S = 1.0


async def serve(
    config: ServerConfig, on_ready: Callable[[str], None], *, share_address: bool = False
) -> None:
    """Runs a server until SIGINT or SIGTERM, then stops it and its database cleanly.

    `on_ready` gets `host:port` once calls are answered. SIGHUP reads the token file and the
    certificate again.
    `share_address`: it is a worker, and others listen on its address too. Raises ConfigError,
    TokenFileError, StorageRefused, EmbeddedPostgresError, WorkerFailed, or Refusal
    (STORAGE_UNAVAILABLE) when it cannot start; WorkerFailed also when no worker can go on.
    """
    check_config(config)
    stopping = asyncio.Event()
    reload = _Reload()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    # From the start: unhandled it would end the process.
    loop.add_signal_handler(signal.SIGHUP, reload)
    async with contextlib.AsyncExitStack() as stack:
        starting = asyncio.create_task(_start(config, stack, reload, share_address))
        if not await _unless(stopping, starting):
            log.info("stopped before it had started")
            return
        address, server = starting.result()
        on_ready(address)
        await _unless(stopping, asyncio.create_task(server.wait_ended()))
        log.info("stopping")


class _Reload:
    """What SIGHUP does: nothing until there is a server."""

    server: Server | Workers | None = None

    def __call__(self) -> None:
        if self.server is not None:
            self.server.reload()


async def _start(
    config: ServerConfig,
    stack: contextlib.AsyncExitStack,
    reload: _Reload,
    share_address: bool,
) -> tuple[str, Server | Workers]:
    """Starts the database and the server; the stack stops what was started."""
    dsn = config.database_url
    if config.data_dir is not None:
        postgres = await stack.enter_async_context(
            EmbeddedPostgres(
                config.data_dir,
                settings=config.postgres_settings,
                max_connections=config.workers * CONNECTIONS + CONNECTIONS_SPARE,
            )
        )
        dsn = postgres.dsn
        watch = asyncio.create_task(_keep_alive(postgres))
        stack.push_async_callback(_cancel, watch)
    assert dsn is not None
    database = Database(
        dsn,
        config.schema,
        direct_dsn=config.direct_database_url,
        unsafe_durability=config.unsafe_durability,
        wait_s=config.database_wait_s,
        query_role=config.query_role,
        make_query_role=config.data_dir is not None,
    )
    stack.push_async_callback(database.close)
    server: Server | Workers
    if config.workers > 1:
        # Once for all of them, and with the refusals told by this process.
        await database.prepare()
        server = Workers(config, dsn)
    else:
        await database.open()
        server = Server(config, database, share_address=share_address)
    reload.server = server
    stack.push_async_callback(server.stop)
    return await server.start(), server


async def _unless(stopping: asyncio.Event, task: asyncio.Task[Any]) -> bool:
    """Waits for the task, and raises what it raised; False if it is to stop before its end."""
    stop = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({stop, task}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            return False
        task.result()
        return True
    finally:
        stop.cancel()


async def _keep_alive(postgres: EmbeddedPostgres) -> None:
    """Starts the embedded PostgreSQL again when it died by itself."""
    while True:
        report = await postgres.wait_died()
        if report.requested:
            return
        log.error("PostgreSQL ended with status %d; starting it again", report.exit_status)
        for line in report.log_tail:
            log.error("PostgreSQL: %s", line)
        await asyncio.sleep(RESTART_PAUSE_S)
        try:
            await postgres.restart()
        except (EmbeddedPostgresError, OSError) as error:
            log.error("PostgreSQL did not start again: %s", error)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def run(
    config: ServerConfig, on_ready: Callable[[str], None], *, share_address: bool = False
) -> None:
    """`serve` on an event loop of its own: uvloop's where it exists."""
    serving = serve(config, on_ready, share_address=share_address)
    try:
        import uvloop  # noqa: PLC0415 - not to be had on every platform
    except ImportError:
        asyncio.run(serving)
    else:
        uvloop.run(serving)
