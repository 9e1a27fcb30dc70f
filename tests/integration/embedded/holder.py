"""A small server process that holds a cluster, for tests that kill it.

`holder.py DIR [watcher] [thread]`: starts the cluster of DIR, prints one line of JSON (dsn, pid)
and stops it on SIGTERM or SIGINT. `watcher` uses the pipe in place of the parent-death signal,
`thread` starts it from a thread that ends before the line is printed.
"""

import asyncio
import json
import signal
import sys
import threading

from eventfold_server.embedded import EmbeddedPostgres, EmbeddedPostgresError
from eventfold_server.processes import child


async def hold(postgres: EmbeddedPostgres) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if "thread" in sys.argv[2:]:
        starter = threading.Thread(target=lambda: asyncio.run(postgres.start()))
        starter.start()
        starter.join()
    else:
        await postgres.start()
    print(json.dumps({"dsn": postgres.dsn, "pid": postgres.pid}), flush=True)
    await stop.wait()
    await postgres.stop()


if __name__ == "__main__":
    child.NEEDS_WATCHER = "watcher" in sys.argv[2:]
    try:
        asyncio.run(hold(EmbeddedPostgres(sys.argv[1])))
    except EmbeddedPostgresError as error:
        print(json.dumps({"error": type(error).__name__, "message": str(error)}), flush=True)
        sys.exit(1)
