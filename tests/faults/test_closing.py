"""Goal: whoever is killed while books are closed, every balance is carried exactly once, and every
racing append is in the old books or refused.

Method: a PostgreSQL with two servers. One lives, and processes append through it; through the other
the command line closes a category, and both are killed again and again and begun anew, until one
run comes to its end. Then the log is read and added up in Python, without a fold. And servers that
kill themselves at each named point of one close, which is repeated with another.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support import closing_traffic
from tests.support.closing import account, deposited
from tests.support.servers import STOP_SECONDS_MAX, RunningServer, start_postgres, start_server

import eventfold
from eventfold import Client, Event, EventFlags, Lifecycle, RecordedEvent
from eventfold_server import failpoints

WRITERS = 2
KILLS = 6
# Of a run that nobody kills.
RUN_SECONDS_MAX = 1_800.0


@dataclass
class Store:
    """A store, and servers on it."""

    folder: Path
    url: str
    stack: ExitStack

    def __post_init__(self) -> None:
        self.schema = f"s_{uuid.uuid4().hex}"

    def start(self, point: str = "") -> RunningServer:
        """Another server, which dies at a point."""
        folder = self.folder / uuid.uuid4().hex
        folder.mkdir()
        return self.stack.enter_context(
            start_server(
                folder,
                database_url=self.url,
                schema=self.schema,
                environment={failpoints.ENVIRONMENT: point},
            )
        )

    def client(self, server: RunningServer) -> Client:
        return self.stack.enter_context(Client(server.address, timeout=30))


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("closing")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o711)
    with start_postgres(folder / "data") as url, ExitStack() as stack:
        yield Store(folder, url, stack)


@pytest.mark.parametrize(("point", "is_closed"), [("close_folded", False), ("close_stored", True)])
def test_killed_at_a_point(store: Store, point: str, is_closed: bool) -> None:
    lives = store.client(store.start())
    lives.append("account-1", [deposited(5)], expected_version=0)
    dies = store.start(point)
    close: dict[str, Any] = {"successor": "account-1@1", "folds": [account()]}
    with pytest.raises(eventfold.EventfoldError), Client(dies.address, timeout=2) as client:
        client.close_stream("account-1", **close)
    assert dies.process.wait(timeout=STOP_SECONDS_MAX) == -9
    found = lives.get_stream("account-1")
    assert (found.lifecycle is Lifecycle.CLOSED) == is_closed
    assert lives.get_stream("account-1@1").exists == is_closed
    assert lives.close_stream("account-1", **close).duplicate == is_closed
    opened = lives.hydrate_stream("account-1@1", fold=account())
    assert (opened.state["balance"], opened.version) == (5, 1)
    events = [(event.stream, event.type) for event in lives.read_all()]
    assert events == [
        ("account-1", "Deposited"),
        ("account-1", "$Closed"),
        ("account-1@1", "$Opened"),
    ]


class Run:
    """A process of the command line that closes the category."""

    def __init__(self, target: str, folder: Path) -> None:
        self._errors = (folder / "close.log").open("ab")
        arguments = ["close", "--category", "account", "--successor-suffix", "@2018"]
        arguments += ["--fold", "account", "--server", target, "--json", "--timeout", "5"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "eventfold", *arguments],
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()
        self._errors.close()

    def result(self) -> dict[str, int]:
        """What it says at its end."""
        out, _ = self.process.communicate(timeout=RUN_SECONDS_MAX)
        self._errors.close()
        assert self.process.returncode == 0, out
        counts: dict[str, int] = json.loads(out)
        return counts


def test_year_end_under_load(store: Store, request: pytest.FixtureRequest) -> None:
    accounts = request.config.getoption("--closed-accounts")
    lives = store.start()
    client = store.client(lives)
    client.put_fold(account())
    fill(client, accounts)
    stop = store.folder / "stop"
    notes = [store.folder / f"notes-{number}" for number in range(WRITERS)]
    writers = [
        subprocess.Popen(
            [sys.executable, "-m", closing_traffic.__name__, lives.address, str(accounts),
             str(number), str(stop), str(path)],
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        )
        for number, path in enumerate(notes)
    ]  # fmt: skip
    try:
        counts = close_with_kills(store, client)
    finally:
        # What is tried on closed books is refused.
        time.sleep(0.5)
        stop.touch()
        ends = [writer.wait(timeout=60) for writer in writers]
    assert ends == [0] * WRITERS
    assert (counts["failed"], counts["left_open"]) == (0, accounts)
    check(client, accounts, [one for path in notes for one in closing_traffic.noted_in(path)])


def fill(client: Client, accounts: int) -> None:
    """Every account has some history."""
    appends = (
        (f"account-{number}", [deposited(number + 1), Event("Noted", {"n": number})], 0)
        for number in range(accounts)
    )
    for _ in client.append_batch(appends):
        pass


def close_with_kills(store: Store, client: Client) -> dict[str, int]:
    """Runs of the command line, most of which are killed, or lose their server."""
    choose = random.Random(7)
    server = store.start()
    for number in range(KILLS):
        run = Run(server.address, store.folder)
        # Once something is closed, but not all; the first wait is for the process itself.
        wait_for_progress(client, run, choose.random())
        if number % 2:
            server.process.kill()
            server.process.wait()
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.process.wait(timeout=0.5)
        run.kill()
        if number % 2:
            server = store.start()
    first = Run(server.address, store.folder).result()
    counts = Run(server.address, store.folder).result()
    assert counts["closed"] == counts["closed_already"] == 0
    assert first["failed"] == 0
    return counts


def wait_for_progress(client: Client, run: Run, more: float) -> None:
    """Until the run has closed something, and a little more; or has ended."""
    before = client.read_all(direction="backwards", limit=1, types=["$Closed"]).to_list()
    while run.process.poll() is None:
        now = client.read_all(direction="backwards", limit=1, types=["$Closed"]).to_list()
        if [one.id for one in now] != [one.id for one in before]:
            time.sleep(0.2 * more)
            return
        time.sleep(0.01)


def check(client: Client, accounts: int, appends: list[tuple[int, str, int, str]]) -> None:
    """Adds up the whole log, and holds it against what the writers were told."""
    streams: dict[str, list[RecordedEvent]] = defaultdict(list)
    stored = set()
    for event in client.read_all(categories=["account"]):
        streams[event.stream].append(event)
        stored.add(event.id)
    assert len(streams) == 2 * accounts
    infos = {info.name: info for info in client.list_streams(category="account")}
    carried = 0
    for number in range(accounts):
        name = f"account-{number}"
        old, new = streams[name], streams[name + "@2018"]
        balance = sum(event.data["amount"] for event in old if event.type == "Deposited")
        carried += balance
        # Closed once, by the last event; opened once, by the first.
        assert [event.version for event in old if event.type == "$Closed"] == [len(old)]
        assert old[-1].data == {"successor": name + "@2018"}
        [opening] = new
        assert EventFlags.OPENS in opening.flags
        [state] = opening.data["states"]
        assert (state["fold"], state["state"]["balance"]) == ("account", balance)
        assert infos[name].lifecycle is Lifecycle.CLOSED
        assert infos[name].successor == infos[name + "@2018"].name == opening.stream
    told: dict[str, int] = defaultdict(int)
    raced = 0
    for number, id_, amount, ended in appends:
        told[ended.split()[0]] += 1
        assert (id_ in stored) == (ended == "stored")
        if ended == "stored":
            raced += amount
        else:
            assert ended == f"closed account-{number}@2018"
    assert set(told) == {"stored", "closed"}, told
    assert carried == raced + sum(range(1, accounts + 1))
