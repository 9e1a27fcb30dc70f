"""Goal: kill -9 of the server in the middle of appends loses and doubles nothing.

Method: writers append while the server is killed; the next server on the same data recovers; the
writers repeat what was left open with the same ids; then the whole history is held against the log.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from pathlib import Path

from tests.support.history import History, check, repeat_open_appends, run_threads, write
from tests.support.servers import start_server

ROUNDS = 3
WRITERS = 4


def free_port() -> int:
    """A port that nobody listens on now; the server comes back under the same address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_every_acknowledged_event_is_there_once(shared_tmp_path: Path) -> None:
    listen = f"127.0.0.1:{free_port()}"
    data_dir = shared_tmp_path / "data"
    history = History()
    streams = [f"account-{number}" for number in range(5)]
    for round_number in range(ROUNDS):
        with start_server(shared_tmp_path, listen=listen, data_dir=data_dir) as server:
            repeat_open_appends(listen, history)
            before = len(history.acknowledged)
            stop = threading.Event()
            threads = run_threads(
                history,
                [
                    lambda n=n, r=round_number, stop=stop: write(
                        listen, history, streams, 100_000, seed=r * WRITERS + n, stop=stop
                    )
                    for n in range(WRITERS)
                ],
            )
            time.sleep(random.Random(round_number).uniform(0.5, 1.5))
            server.kill()
            stop.set()
            for thread in threads:
                thread.join(timeout=60)
            assert len(history.acknowledged) > before + 20, "the server was hardly used"
    with start_server(shared_tmp_path, listen=listen, data_dir=data_dir):
        repeat_open_appends(listen, history)
        log = check(listen, history)
        assert len(log) == sum(len(append.ids) for append in history.acknowledged)
