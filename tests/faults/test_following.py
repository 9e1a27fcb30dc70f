"""Goal: loops over subscriptions and groups of the SDK go on through servers that are killed and a
PostgreSQL that is restarted: every event once, in order, or for groups at least once and by stream.

Method: threads and tasks follow and consume while writers append and what is below them goes away
and comes back; what they saw is held against the log.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.faults.test_restart_postgres import postgres_in_a_thread
from tests.support.programs import free_port
from tests.support.servers import RunningServer, start_postgres, start_server

import eventfold
from eventfold import ANY, Client, Event, GroupSettings

ROUNDS = 3
WRITERS = 3
WAIT_SECONDS = 60.0
Seen = list[tuple[int, str]]


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < end, "it did not come to hold"
        time.sleep(0.02)


class Traffic:
    """Writers, followers and consumers, each in a thread of its own."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._over = threading.Event()
        self._stop_writing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._closing: list[Callable[[], None]] = []
        self.written = 0
        self.seen: list[Seen] = []
        self.breaks: list[eventfold.Reconnect] = []
        self.handled: dict[str, list[int]] = defaultdict(list)
        self.faults: list[BaseException] = []

    def start(self) -> None:
        with Client(self._address) as store:
            store.create_group("g", settings=GroupSettings(ack_timeout=2.0, retry_initial=0.0))
        for number in range(WRITERS):
            self._run(lambda n=number: self._write(n))
        for options in ({}, {"categories": ["a"]}):
            self._follow(options)
        self._run(lambda: asyncio.run(self._follow_in_a_task()))
        for _ in range(2):
            self._consume()

    def _run(self, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except BaseException as fault:
                self.faults.append(fault)
                raise

        thread = threading.Thread(target=guarded)
        self._threads.append(thread)
        thread.start()

    def _write(self, number: int) -> None:
        with Client(self._address, timeout=2) as store:
            step = 0
            while not self._stop_writing.is_set():
                events = [Event("T", {"n": step}), Event("T", {"n": step})]
                stream = f"{'ab'[step % 2]}-{number}"
                while True:
                    try:
                        store.append(stream, events, expected_version=ANY)
                        break
                    except eventfold.EventfoldError:
                        time.sleep(0.05)
                self.written += 1
                step += 1
                time.sleep(0.005)

    def _follow(self, options: dict[str, Any]) -> None:
        seen: Seen = []
        self.seen.append(seen)
        store = Client(self._address)
        subscription = store.subscribe(**options, on_reconnect=self.breaks.append)
        self._closing.append(subscription.close)

        def work() -> None:
            with store:
                for event in subscription:
                    seen.append((event.position, event.id))

        self._run(work)

    async def _follow_in_a_task(self) -> None:
        seen: Seen = []
        self.seen.append(seen)
        async with (
            eventfold.AsyncClient(self._address) as store,
            store.subscribe(on_reconnect=self.breaks.append) as subscription,
        ):
            loop = asyncio.get_running_loop()
            tasks: list[Any] = []

            def close() -> None:
                loop.call_soon_threadsafe(
                    lambda: tasks.append(asyncio.ensure_future(subscription.aclose()))
                )

            self._closing.append(close)
            async for event in subscription:
                seen.append((event.position, event.id))

    def _consume(self) -> None:
        store = Client(self._address)
        consumer = store.consume("g", under_way=30)
        self._closing.append(consumer.close)

        def handle(delivery: eventfold.Delivery) -> None:
            self.handled[delivery.event.stream].append(delivery.event.version)

        def work() -> None:
            with store:
                consumer.run(handle, concurrency=2)

        self._run(work)

    def goes_on(self) -> None:
        """Returns when there is news again."""
        mark = self.written + 60
        until(lambda: self.written >= mark)

    def end(self) -> None:
        """Closes all; may be called again."""
        self._stop_writing.set()
        for close in self._closing:
            close()
        self._closing.clear()
        for thread in self._threads:
            thread.join(WAIT_SECONDS)

    def check(self) -> None:
        """Ends all, and holds what was seen against the log."""
        self._stop_writing.set()
        for thread in self._threads[:WRITERS]:
            thread.join(WAIT_SECONDS)
        with Client(self._address, timeout=30) as store:
            events = store.read_all().to_list()
            log = [(event.position, event.id) for event in events]
            of_a = [(e.position, e.id) for e in events if e.stream.startswith("a-")]
            expected = [log, of_a, log]
            until(
                lambda: (
                    [len(seen) for seen in self.seen] == [len(one) for one in expected]
                    or bool(self.faults)
                )
            )
            until(lambda: store.get_group("g").progress == len(log) or bool(self.faults))
        self.end()
        assert [thread for thread in self._threads if thread.is_alive()] == []
        assert self.faults == []
        assert self.seen == expected
        for stream in {event.stream for event in events}:
            versions = list(dict.fromkeys(self.handled[stream]))
            assert versions == [event.version for event in events if event.stream == stream]


@contextmanager
def traffic(address: str) -> Iterator[Traffic]:
    going = Traffic(address)
    try:
        going.start()
        yield going
        going.check()
    finally:
        going.end()


def test_servers_killed(shared_tmp_path: Path) -> None:
    listen = f"127.0.0.1:{free_port()}"
    with start_postgres(shared_tmp_path / "data") as url, ExitStack() as stack:

        def start() -> RunningServer:
            options: dict[str, object] = {"listen": listen, "database_url": url}
            return stack.enter_context(start_server(shared_tmp_path, **options))

        running = start()
        with traffic(listen) as going:
            for _ in range(ROUNDS):
                going.goes_on()
                running.kill()
                running = start()
            going.goes_on()
        assert len(going.breaks) >= ROUNDS * 3


@pytest.mark.long
def test_postgres_restarted(shared_tmp_path: Path) -> None:
    with (
        postgres_in_a_thread(shared_tmp_path / "postgres") as (postgres, run),
        start_server(shared_tmp_path, database_url=postgres.dsn) as server,
        traffic(server.address) as going,
    ):
        for is_killed in (False, True):
            going.goes_on()
            if is_killed:
                os.kill(postgres.pid, signal.SIGKILL)
                time.sleep(1.5)
            run(postgres.restart())
        going.goes_on()
