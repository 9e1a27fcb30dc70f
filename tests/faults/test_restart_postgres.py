"""Goal: PostgreSQL may be restarted under load; nothing is lost or doubled, and errors are typed.

Method: writers with the SDK's own repetitions and readers who follow the log, while PostgreSQL is
restarted, gently and by kill -9; what stayed open is repeated with the same ids at the end, and the
whole history is held against the log.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.history import (
    History,
    check,
    follow,
    repeat_open_appends,
    run_threads,
    write,
)
from tests.support.servers import start_server

import eventfold
from eventfold_server.embedded import EmbeddedPostgres

WRITERS = 6
RESTARTS = 4
UP_SECONDS = 1.2
# Longer than the SDK repeats a call by itself.
OUTAGE_SECONDS = 1.5
# How many appends must be answered between two restarts, or the run says nothing.
ACKNOWLEDGED_MIN = 30
# All that an outage may look like. Without a reason gRPC itself gave up.
ALLOWED = {"STORAGE_UNAVAILABLE", "OUTCOME_UNKNOWN", "DEADLINE_EXCEEDED"}

Run = Callable[[Coroutine[Any, Any, None]], None]


@contextmanager
def postgres_in_a_thread(folder: Path) -> Iterator[tuple[EmbeddedPostgres, Run]]:
    """A PostgreSQL on an event loop of its own, and a way to run its methods there."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(step: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(step, loop).result(timeout=60)

    postgres = EmbeddedPostgres(folder)
    try:
        run(postgres.start())
        yield postgres, run
    finally:
        run(postgres.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_restarts_under_load_lose_and_double_nothing(shared_tmp_path: Path) -> None:
    history = History()
    streams = [f"account-{number}" for number in range(8)]
    with (
        postgres_in_a_thread(shared_tmp_path / "postgres") as (postgres, run),
        start_server(shared_tmp_path, database_url=postgres.dsn) as server,
    ):
        stop, done = threading.Event(), threading.Event()
        readers = run_threads(
            history,
            [lambda: follow(server.address, history, done, with_faults=True) for _ in range(2)],
        )
        writers = run_threads(
            history,
            [
                lambda n=n: write(server.address, history, streams, 10**6, seed=n, stop=stop)
                for n in range(WRITERS)
            ],
        )
        for number in range(RESTARTS):
            before = len(history.acknowledged)
            time.sleep(UP_SECONDS)
            assert len(history.acknowledged) >= before + ACKNOWLEDGED_MIN, f"round {number}"
            if number % 2:
                os.kill(postgres.pid, signal.SIGKILL)
                time.sleep(OUTAGE_SECONDS)
            run(postgres.restart())
        before = len(history.acknowledged)
        time.sleep(UP_SECONDS)
        assert len(history.acknowledged) >= before + ACKNOWLEDGED_MIN, "after the last one"
        stop.set()
        for thread in writers:
            thread.join(timeout=30)
        repeat_open_appends(server.address, history)
        done.set()
        for thread in readers:
            thread.join(timeout=30)
        log = check(server.address, history)
        assert len(log) == sum(len(append.ids) for append in history.acknowledged)
        # Readers went on after each outage where they had been.
        assert [len(seen) for seen in history.seen] == [len(log)] * 2
        assert history.errors, "nobody noticed the outages"
        text = server.log.read_text()
        for error in history.errors:
            assert isinstance(error, eventfold.EventfoldError)
            assert error.reason in ALLOWED, f"{error}\n{text[-6000:]}"
        assert "fault in" not in text
        assert "Traceback" not in text
