"""A process that runs a projection and kills itself (-9) before a certain statement of it.

    python -m tests.integration.sdk.projection_dying KIND WHERE TARGET COURSE

For each number on its standard input it forks, and the child dies before the statement of that
number, counted from 1; it answers with how the child ended, which is 0 for one that had no such
statement.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

import asyncpg
import psycopg
from tests.integration.sdk.projecting import SYNC, Database


class Steps:
    """Counts the statements of a process, and ends it."""

    def __init__(self, last: int) -> None:
        self._left = last

    def step(self) -> None:
        """Another statement is about to be run."""
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def options(kind: str, steps: Steps) -> dict[str, Any]:
    """What makes the driver count."""

    class Counting:
        """All statements of psycopg's connections, those of its transactions among them."""

        def _exec_command(self, *arguments: Any, **more: Any) -> Any:
            steps.step()
            return (yield from super()._exec_command(*arguments, **more))  # type: ignore[misc]

    class Cursor(psycopg.Cursor[Any]):
        def execute(self, *arguments: Any, **more: Any) -> Any:
            steps.step()
            return super().execute(*arguments, **more)

    class AsyncCursor(psycopg.AsyncCursor[Any]):
        async def execute(self, *arguments: Any, **more: Any) -> Any:
            steps.step()
            return await super().execute(*arguments, **more)

    class Connection(Counting, psycopg.Connection[Any]):
        pass

    class AsyncConnection(Counting, psycopg.AsyncConnection[Any]):
        pass

    class AsyncpgConnection(asyncpg.Connection):
        async def execute(self, *arguments: Any, **more: Any) -> Any:
            steps.step()
            return await super().execute(*arguments, **more)

        async def fetch(self, *arguments: Any, **more: Any) -> Any:
            steps.step()
            return await super().fetch(*arguments, **more)

    return {
        "psycopg": {"cls": Connection, "cursor_factory": Cursor},
        "async psycopg": {"cls": AsyncConnection, "cursor_factory": AsyncCursor},
        "asyncpg": {"connection_class": AsyncpgConnection},
    }.get(kind, {})


def rename(base: Database) -> Any:
    """Makes readers read the other table."""
    statements = [
        "ALTER TABLE sums RENAME TO sums_1",
        "ALTER TABLE sums_2 RENAME TO sums",
    ]

    async def run(db: Any) -> None:
        for statement in statements:
            await db.execute(statement)

    def run_sync(db: Any) -> None:
        for statement in statements:
            db.execute(statement)

    return run_sync if base.kind in SYNC else run


async def course(base: Database, target: str, name: str, steps: Steps) -> None:
    """The run that is cut."""
    counting = options(base.kind, steps)
    cls = counting.pop("cls", None)
    async with base.connected(cls, **counting) as db:
        if base.kind == "sqlite":
            db.set_trace_callback(lambda _: steps.step())
        await run(base, target, name, db)


async def run(base: Database, target: str, name: str, db: Any = None) -> Any:
    """A course: the first generation, or the one that takes its place."""
    if name == "first":
        return await base.run(base.projection(events_per_transaction=2), target, db)
    # Where it has taken its place, its table has the other name.
    is_renamed = await base.has("sums_1")
    projection = base.projection(
        table="sums" if is_renamed else "sums_2", generation=2, events_per_transaction=4
    )
    return await base.run(projection, target, db, switch=rename(base))


def main(kind: str, where: str, target: str, name: str) -> None:
    """Forks for each number on standard input."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(course(Database(kind, where), target, name, Steps(int(line))))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
