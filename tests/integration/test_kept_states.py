"""Goal: kept states are invisible: whatever happens to them, a state is what folding from the
first event gives, byte for byte.

Method: two servers on one store; random appends, hydrations at the head and at versions from both,
new revisions of the fold, and in between the table of kept states is emptied, given rows of a log
that never was, and dropped. Every answer is held against the same fold given inline, of which
nothing is ever kept.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.support.servers import start_postgres, start_server

import eventfold
from eventfold import Event

SCHEMA = "kept"
STREAMS = ("box-1", "box-2", "box-3")


def fold(step: int) -> dict[str, Any]:
    """A fold that is kept after every second event; another `step` is another fold."""
    return {
        "fold": "box",
        "keep": {"every": 2},
        "initial": {"sum": 0, "items": [], "by": {}},
        "handlers": {
            "Put": {
                "sum": f"state.sum + event.n * {step}",
                "items": "state.items + [event.n]",
                "by[event.key]": "meta.version",
            },
            "Emptied": "delete",
        },
    }


@pytest.fixture
def store(shared_tmp_path: Path) -> Iterator[tuple[list[eventfold.Client], str]]:
    """Clients of two servers on one store, and the URL of its database."""
    with start_postgres(shared_tmp_path / "data") as url:
        folders = [shared_tmp_path / "a", shared_tmp_path / "b"]
        for folder in folders:
            folder.mkdir()
        with (
            start_server(folders[0], database_url=url, schema=SCHEMA) as first,
            start_server(folders[1], database_url=url, schema=SCHEMA) as second,
            eventfold.Client(first.address) as a,
            eventfold.Client(second.address) as b,
        ):
            yield [a, b], url


def append(client: eventfold.Client, stream: str, choose: random.Random) -> None:
    events = [
        Event("Put", {"n": choose.randrange(100), "key": choose.choice("abc")})
        if choose.random() < 0.9
        else Event("Emptied")
        for _ in range(choose.randrange(1, 6))
    ]
    client.append(stream, events, expected_version=eventfold.ANY)


def compare(client: eventfold.Client, stream: str, step: int, choose: random.Random) -> int:
    """Hydrates both ways at the same version; returns the version of the kept state."""
    head = client.get_stream(stream).version
    version = head if choose.random() < 0.6 else choose.randrange(head + 1)
    kept = client.hydrate_stream(stream, fold="box", version=version)
    fresh = client.hydrate_stream(stream, fold={**fold(step), "keep": "off"}, version=version)
    for name in ("state_json", "exists", "version", "position", "fold_digest"):
        assert getattr(kept, name) == getattr(fresh, name), (stream, version, name)
    assert fresh.kept_version == 0
    return kept.kept_version


# What a restore, an operator or a fault can do to the table at any moment.
_DISTURBANCES = [
    "DELETE FROM {s}.kept_states",
    "UPDATE {s}.kept_states SET event_id = gen_random_uuid(), state = '{{\"sum\": -1}}'",
    "UPDATE {s}.kept_states SET version = version + 1000, state = '{{\"sum\": -2}}'",
]


@pytest.mark.parametrize("seed", range(3))
def test_states_are_the_same_with_and_without(
    store: tuple[list[eventfold.Client], str], seed: int
) -> None:
    clients, url = store
    choose = random.Random(seed)
    step = 1
    clients[0].put_fold(fold(step))
    went_on = 0
    with psycopg.connect(url, autocommit=True) as database, ThreadPoolExecutor(4) as pool:
        for _ in range(60):
            for stream in STREAMS:
                append(choose.choice(clients), stream, choose)
            if choose.random() < 0.1:
                step += 1
                choose.choice(clients).put_fold(fold(step))
            if choose.random() < 0.3:
                database.execute(choose.choice(_DISTURBANCES).format(s=SCHEMA))
            checks = [
                pool.submit(
                    compare,
                    choose.choice(clients),
                    choose.choice(STREAMS),
                    step,
                    random.Random(choose.random()),
                )
                for _ in range(8)
            ]
            went_on += sum(check.result() > 0 for check in checks)
    assert went_on > 50, "kept states were hardly used"


def test_the_table_may_be_dropped(store: tuple[list[eventfold.Client], str]) -> None:
    clients, url = store
    choose = random.Random(0)
    clients[0].put_fold(fold(1))
    for dropped in (False, True):
        if dropped:
            with psycopg.connect(url, autocommit=True) as database:
                database.execute(f"DROP TABLE {SCHEMA}.kept_states")
        for _ in range(10):
            append(choose.choice(clients), "box-1", choose)
            compare(choose.choice(clients), "box-1", 1, choose)


def test_off_keeps_nothing(store: tuple[list[eventfold.Client], str]) -> None:
    (client, _), url = store
    client.put_fold({**fold(1), "keep": "off"})
    append(client, "box-1", random.Random(1))
    append(client, "box-1", random.Random(2))
    for _ in range(3):
        assert client.hydrate_stream("box-1", fold="box").kept_version == 0
    with psycopg.connect(url) as database:
        rows = database.execute(f"SELECT count(*) FROM {SCHEMA}.kept_states").fetchone()
    assert rows == (0,)
