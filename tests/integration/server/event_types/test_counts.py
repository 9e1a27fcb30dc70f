"""Goal: what the API says of event types is what the log holds, whichever of several servers
counts, and when some of them are killed.

Method: two servers on one store, appends under several tokens, questions to both at once; one of
the servers is killed again and again. At the end a plain recount.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from tests.integration.server.conftest import Starter
from tests.support import type_counts

import eventfold
from eventfold import Event

WRITERS = ("billing", "desk", "shop")
KILLS = 3


def token_file(folder: Path) -> Path:
    file = folder / "tokens"
    lines = (
        f"{name} {hashlib.sha256(name.encode()).hexdigest()} read,write,admin\n" for name in WRITERS
    )
    file.write_text("".join(lines), encoding="utf-8")
    file.chmod(0o600)
    return file


def append(address: str, writer: str, over: threading.Event, sums: Counter[str]) -> None:
    """Appends events of random types until it is over, and counts what it has stored."""
    rng = random.Random(writer)
    with eventfold.Client(address, token=writer, timeout=60) as store:
        while not over.is_set():
            types = [f"Type{rng.randrange(5)}" for _ in range(rng.randrange(1, 30))]
            events = [Event(name, {"n": 1}) for name in types]
            store.append(f"s-{rng.random()}", events, expected_version=0)
            sums.update(types)


def ask(address: str, over: threading.Event, faults: list[str]) -> None:
    """Asks until it is over: each answer is whole, as of its position, which never goes back."""
    before = 0
    with eventfold.Client(address, token="desk", timeout=60) as store:
        while not over.is_set():
            types = list(store.list_event_types())
            position = types[0].position if types else 0
            counted = sum(one.events for one in types)
            if counted != position or position < before:
                faults.append(f"{counted} events up to {position}, after {before}")
            before = position


def test_two_servers_and_kills(start: Starter, database_url: str, tmp_path: Path) -> None:
    over = threading.Event()
    sums: dict[str, Counter[str]] = {writer: Counter() for writer in WRITERS}
    faults: list[str] = []
    tokens = token_file(tmp_path)
    first = start(token_file=tokens)
    schema = first.options["schema"]
    with ExitStack() as stack:
        threads = [
            threading.Thread(target=append, args=(first.address, writer, over, sums[writer]))
            for writer in WRITERS
        ]
        threads.append(threading.Thread(target=ask, args=(first.address, over, faults)))
        stack.callback(lambda: [thread.join(60) for thread in threads])
        stack.callback(over.set)
        for thread in threads:
            thread.start()
        for _ in range(KILLS):
            other = start(token_file=tokens, schema=schema)
            with eventfold.Client(other.address, token="shop", timeout=60) as store:
                assert list(store.list_event_types())
            # Asked again, and gone before it can answer.
            gone = threading.Thread(target=_ask_in_vain, args=(other.address,))
            gone.start()
            other.kill()
            gone.join(60)
    assert faults == []
    second = start(token_file=tokens, schema=schema)
    with eventfold.Client(second.address, token="shop", timeout=60) as store:
        types = list(store.list_event_types())
        while types[0].position < types[0].head:
            types = list(store.list_event_types())
    assert {one.name: one.events for one in types} == sum(sums.values(), Counter())
    by_type, by_writer = type_counts.recount(database_url, schema)
    assert [
        (
            one.name,
            one.events,
            one.violations,
            one.first_position,
            one.last_position,
            one.first_recorded_at,
            one.last_recorded_at,
        )
        for one in types
    ] == by_type
    assert [
        (one.name, writer.writer, writer.events, writer.last_recorded_at)
        for one in types
        for writer in one.writers
    ] == by_writer
    assert {one.writers_count for one in types} == {len(WRITERS)}


def _ask_in_vain(address: str) -> None:
    with eventfold.Client(address, token="shop", timeout=2) as store:
        try:
            list(store.list_event_types())
        except eventfold.EventfoldError:
            return
