"""The server process behind `StoreHost`: one PostgreSQL, and a server for each store.

Speaks JSON lines. The first one has the options: `data_dir` or `database_url`. Then
`{"open": NAME}` is answered by `{"target": "host:port"}`, `{"drop": NAME}` by
`{"dropped": NAME}`, and what goes wrong by `{"error": TEXT}`. The end of standard input ends it,
so it never outlives the tests, however those end.
"""

import asyncio
import contextlib
import json
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import asyncpg

from eventfold_server.config import ServerConfig
from eventfold_server.embedded import EmbeddedPostgres
from eventfold_server.server import Server
from eventfold_server.storage.database import Database

_LINE_BYTES_MAX = 1 << 16
# Every process of tests that run side by side has a PostgreSQL of its own, for small stores.
_SMALL = {"shared_buffers": "128MB", "max_wal_size": "128MB", "min_wal_size": "32MB"}


class Host:
    """All stores of the process, by the names of their schemas."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._stores: dict[str, tuple[Server, Database]] = {}

    async def open(self, name: str) -> str:
        """Makes a store and serves it; returns its address."""
        # Whoever points the tests at a database of theirs may have made it fast and careless.
        database = Database(self._dsn, name, unsafe_durability=True)
        config = ServerConfig(
            listen="127.0.0.1:0", database_url=self._dsn, schema=name, grace_s=0.0
        )
        await database.open()
        server = Server(config, database)
        self._stores[name] = server, database
        return await server.start()

    async def drop(self, name: str) -> None:
        """Ends the server of a store, and removes all of the store."""
        server, database = self._stores.pop(name)
        await server.stop()
        await database.close()
        connection = await asyncpg.connect(self._dsn)
        try:
            # The name was checked by `Database`: letters, digits and underscores.
            await connection.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE')
        finally:
            await connection.close()

    async def drop_all(self) -> None:
        """Leaves nothing behind in a database that lives on."""
        for name in list(self._stores):
            await self.drop(name)


async def _answer(host: Host, line: bytes) -> dict[str, Any]:
    request = json.loads(line)
    try:
        if "open" in request:
            return {"target": await host.open(request["open"])}
        await host.drop(request["drop"])
        return {"dropped": request["drop"]}
    except Exception as error:  # noqa: BLE001 - told to the tests, which fail with it
        return {"error": f"{type(error).__name__}: {error}"}


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def main() -> None:
    """Serves until standard input ends."""
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=_LINE_BYTES_MAX)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    # Not on the command line, where any user of the machine could read the password.
    options: dict[str, str] = json.loads(await lines.readline())
    async with contextlib.AsyncExitStack() as stack:
        dsn = options.get("database_url")
        if dsn is None:
            # Here, because the tests may have been killed; after PostgreSQL has stopped.
            stack.callback(shutil.rmtree, options["data_dir"], ignore_errors=True)
            # The data live as long as the tests, so nothing has to be on disk.
            postgres = EmbeddedPostgres(
                Path(options["data_dir"]), settings=_SMALL, unsafe_no_fsync_for_tests=True
            )
            dsn = (await stack.enter_async_context(postgres)).dsn
        host = Host(dsn)
        stack.push_async_callback(host.drop_all)
        _say({"ready": True})
        while line := await lines.readline():
            _say(await _answer(host, line))


if __name__ == "__main__":
    # Ctrl-C is for the tests, which then end this process by closing its input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(main())
