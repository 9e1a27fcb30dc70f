"""Goal: a server that is killed around a compensation leaves both of its events or none, and
whoever repeats the call with the same ids has it once.

Method: a server that kills itself at a named point, or is killed at a random moment; then another
one on the same store is asked the same again.
"""

from __future__ import annotations

import random
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support.servers import STOP_SECONDS_MAX, RunningServer, start_postgres, start_server

import eventfold
from eventfold import ANY, Event
from eventfold_server import failpoints
from eventfold_server.domain import compensation

POINTS = [("before_compensation", False), ("compensated", True)]
KILLS = 6


class Store:
    """A store, and servers on it."""

    def __init__(self, folder: Path, url: str, stack: ExitStack) -> None:
        self._folder, self._url, self._stack = folder, url, stack
        self._schema = f"s_{uuid.uuid4().hex}"
        self.lives_on = self.start()

    def start(self, point: str = "") -> RunningServer:
        """Another server, which dies at a point."""
        folder = self._folder / uuid.uuid4().hex
        folder.mkdir()
        return self._stack.enter_context(
            start_server(
                folder,
                database_url=self._url,
                schema=self._schema,
                environment={failpoints.ENVIRONMENT: point},
            )
        )


class Wrong:
    """An event to be cancelled, and how."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.stream = f"customer-{uuid.uuid4().hex}"
        self.event = Event("Paid", {"currency": "Euro"})
        self.id = str(uuid.uuid4())
        self.correction = Event("Paid", {"currency": "EUR"})
        with eventfold.Client(store.lives_on.address) as client:
            client.append(self.stream, [self.event], expected_version=0)

    def compensate(self, server: RunningServer) -> eventfold.AppendResult:
        with eventfold.Client(server.address, timeout=3) as client:
            return client.compensate(
                self.stream,
                self.event,
                reason="r",
                expected_version=ANY,
                correction=self.correction,
                id=self.id,
            )

    def stored(self) -> list[str]:
        """The ids behind the event."""
        with eventfold.Client(self._store.lives_on.address) as client:
            return [event.id for event in client.read(self.stream)][1:]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("compensation")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o711)
    with start_postgres(folder / "data") as url, ExitStack() as stack:
        yield Store(folder, url, stack)


def test_every_point_has_a_case() -> None:
    text = Path(compensation.__file__).read_text(encoding="utf-8")
    points = re.findall(r'failpoints\.reach\("(\w+)"\)', text)
    assert sorted(points) == sorted(point for point, _ in POINTS)
    assert set(points) <= set(failpoints.NAMES)


@pytest.mark.parametrize(("point", "there"), POINTS)
def test_killed_at_a_point(store: Store, point: str, there: bool) -> None:
    wrong = Wrong(store)
    server = store.start(point)
    with pytest.raises(eventfold.EventfoldError):
        wrong.compensate(server)
    assert server.process.wait(timeout=STOP_SECONDS_MAX) == -9
    both = [wrong.id, wrong.correction.id]
    assert wrong.stored() == (both if there else [])
    assert wrong.compensate(store.start()).duplicate == there
    assert wrong.stored() == both


def test_killed_at_any_moment(store: Store) -> None:
    chance = random.Random(9)
    outcomes = set()
    for _ in range(KILLS):
        server = store.start()
        wrongs = [Wrong(store) for _ in range(20)]
        killer = threading.Timer(chance.uniform(0.01, 0.12), server.kill)
        killer.start()
        for wrong in wrongs:
            try:
                wrong.compensate(server)
            except eventfold.EventfoldError:
                outcomes.add("failed")
                break
            outcomes.add("stored")
        killer.join()
        for wrong in wrongs:
            both = [wrong.id, wrong.correction.id]
            assert wrong.stored() in ([], both)
            wrong.compensate(store.lives_on)
            assert wrong.stored() == both
    assert "stored" in outcomes
