"""A store with kept states, served by several processes, and the same states folded from zero."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg

import eventfold
from eventfold import Client, Event

SCHEMA = "kept"


def box(step: int, every: int = 2) -> dict[str, Any]:
    """A fold that is kept after every few events; another `step` is another fold."""
    return {
        "fold": "box",
        "keep": {"every": every},
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


def put(n: int = 1, key: str = "a") -> Event:
    """One event of a box."""
    return Event("Put", {"n": n, "key": key})


@dataclass
class KeptStore:
    """Clients of the servers on one store, and the database behind them."""

    clients: list[Client]
    url: str
    # Starts one more server.
    start: Callable[[], Client]

    def sql(self, statement: str, *arguments: object) -> list[Any]:
        """Runs a statement, in which {s} stands for the schema; its rows."""
        text: Any = statement.replace("{s}", SCHEMA)
        with psycopg.connect(self.url, autocommit=True) as connection:
            found = connection.execute(text, arguments)
            return found.fetchall() if found.description else []

    def kept(self) -> dict[str, int]:
        """Versions of the states in the table, by stream."""
        return dict(
            self.sql(
                "SELECT s.name, k.version FROM {s}.kept_states k"
                " JOIN {s}.streams s USING (stream_no)"
            )
        )

    def wait_sql(self, statement: str, *wanted: object) -> None:
        """Waits until the statement has one row, which is this one."""
        deadline = time.monotonic() + 60
        while self.sql(statement) != [wanted]:
            assert time.monotonic() < deadline, self.sql(statement)
            time.sleep(0.02)

    def wait_kept(self, wanted: dict[str, int]) -> None:
        """Waits until the table has these: they are written after the answer."""
        deadline = time.monotonic() + 60
        while self.kept() != wanted:
            assert time.monotonic() < deadline, self.kept()
            time.sleep(0.02)


def append(client: Client, stream: str, choose: random.Random) -> None:
    """Appends a few random events."""
    events = [
        put(choose.randrange(100), choose.choice("abc"))
        if choose.random() < 0.9
        else Event("Emptied")
        for _ in range(choose.randrange(1, 6))
    ]
    client.append(stream, events, expected_version=eventfold.ANY)


def compare(client: Client, streams: list[str], step: int, choose: random.Random) -> int:
    """Asks for states in a random way by the registered fold, and for the same from zero; how many
    answers went on from a kept state, as far as they tell.
    """
    stream = choose.choice(streams)
    fresh = {**box(step), "keep": "off"}
    head = client.get_stream(stream).version
    version = choose.randrange(1, head + 1)
    match choose.choice(["hydrate", "hydrate", "many", "history", "explain"]):
        case "hydrate":
            at = head if choose.random() < 0.6 else version
            found = client.hydrate_stream(stream, fold="box", version=at)
            same(found, client.hydrate_stream(stream, fold=fresh, version=at))
            return found.kept_version > 0
        case "many":
            many = client.hydrate_many(streams, fold="box")
            assert not many.errors
            for name, found in many.hydrated.items():
                same(found, client.hydrate_stream(name, fold=fresh, version=found.version))
            return sum(found.kept_version > 0 for found in many.hydrated.values())
        case "history":
            category, _, id_ = stream.partition("-")
            span = {"from_version": version, "to_version": head}
            states = list(client.hydrate_history(category, id_, fold="box", **span))
            assert states == list(client.hydrate_history(category, id_, fold=fresh, **span))
            assert len(states) == head - version + 1
        case _:
            category, _, id_ = stream.partition("-")
            span = {"from_version": version, "to_version": head}
            steps = list(client.explain(category, id_, fold="box", **span))
            assert steps == list(client.explain(category, id_, fold=fresh, **span))
            assert len(steps) == head - version + 1
    return 0


def same(found: eventfold.Hydrated, wanted: eventfold.Hydrated) -> None:
    """Both answers say the same of the state."""
    for name in ("state_json", "exists", "version", "position", "fold_digest"):
        assert getattr(found, name) == getattr(wanted, name), (found, wanted)
    assert wanted.kept_version == 0
    # The event at the kept version is read again.
    read = found.version - max(found.kept_version - 1, 0)
    assert found.events_read == read, found
