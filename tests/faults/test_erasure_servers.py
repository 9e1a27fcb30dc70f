"""Goal: once there is a receipt, no server gives an opened value of the subject away any more: not
one that read and appended all the time, and not one that stood still over the erasure.

Method: two servers on one store. Of each, clients read, hydrate, subscribe and append without a
pause, and note when they see a value of the subject. The second one is stopped (SIGSTOP) in the
middle, the erasure runs on the first one, and with the receipt in hand the second one goes on
(SIGCONT).
"""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.keys import master_key_file
from tests.support.servers import RunningServer, start_postgres, start_server

import eventfold
from eventfold import ANY, Client, Event, SubjectErased

SECRET = "Ada" + uuid.uuid4().hex
FOLD = {
    "fold": "names",
    "initial": {"last": "", "n": 0},
    "handlers": {"Named": {"last": "event.name", "n": "state.n + 1"}},
}
# How long clients go on before and after.
WARM_S = 2.0
AFTER_S = 3.0


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("servers")
    folder.chmod(0o711)
    with start_postgres(folder / "data") as dsn:
        yield dsn


class Seen:
    """What clients of one server saw of the subject."""

    def __init__(self) -> None:
        # By what they did, when the last opened value came, and how often one came, or none.
        self.last: dict[str, float] = {}
        self.opened: dict[str, int] = {}
        self.gone: dict[str, list[float]] = {}
        self.errors: set[str] = set()

    def note(self, what: str, value: object) -> None:
        now = time.monotonic()
        if SECRET in str(value):
            self.last[what] = now
            self.opened[what] = self.opened.get(what, 0) + 1
        elif value is None:
            self.gone.setdefault(what, []).append(now)


class Clients:
    """Clients of one server that go on until they are told to stop."""

    def __init__(self, server: RunningServer) -> None:
        self.server, self.seen = server, Seen()
        self._stop = threading.Event()
        self._stop_appends = threading.Event()
        acts = [(act, self._stop) for act in (self._read, self._hydrate, self._subscribe)]
        # Last: a subscription goes on with each append.
        acts.append((self._append, self._stop_appends))
        self._threads = [threading.Thread(target=self._loop, args=act) for act in acts]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            if thread is self._threads[-1]:
                self._stop_appends.set()
            thread.join(timeout=60)
            assert not thread.is_alive()

    def _loop(self, act: Callable[[Client], None], stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                with Client(self.server.address, timeout=2.0) as store:
                    while not stop.is_set():
                        act(store)
            except eventfold.EventfoldError as error:
                self.seen.errors.add(error.reason)
                time.sleep(0.05)

    def _read(self, store: Client) -> None:
        for event in store.read("User-1"):
            self.seen.note("read", event.data["name"])

    def _hydrate(self, store: Client) -> None:
        state = store.hydrate_stream("User-1", fold=FOLD).state
        self.seen.note("hydrate", state["last"])

    def _append(self, store: Client) -> None:
        event = Event("Named", {"name": SECRET, "userId": 1})
        try:
            store.append("Log-1", [event], expected_version=ANY)
            self.seen.note("append", SECRET)
        except SubjectErased:
            self.seen.note("append", None)
        event = Event("Named", {"name": "Eve", "userId": 2})
        store.append("Log-1", [event], expected_version=ANY)
        time.sleep(0.02)

    def _subscribe(self, store: Client) -> None:
        """From the first event, over and over; each until the head or a while."""
        until = time.monotonic() + 1.0
        with store.subscribe("Log-1") as events:
            for event in events:
                self.seen.note("subscribe", event.data["name"])
                if self._stop.is_set() or time.monotonic() >= until:
                    return


def fill(store: Client) -> None:
    of_user = {"subject": {"pointer": "/userId", "category": "User"}}
    store.put_privacy_rules({"privacy": "Named", "personal": {"/name": of_user}})
    events = [Event("Named", {"name": SECRET, "userId": 1}) for _ in range(3)]
    store.append("User-1", events, expected_version=0)
    for user in (1, 2):
        event = Event("Named", {"name": SECRET if user == 1 else "Eve", "userId": user})
        store.append("Log-1", [event], expected_version=ANY)


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
def test_nothing_opened_comes_after_the_receipt(stopped: bool, url: str, tmp_path: Path) -> None:
    schema = f"s_{uuid.uuid4().hex[:12]}"
    options: dict[str, object] = {
        "database_url": url,
        "schema": schema,
        "master_key_file": master_key_file(tmp_path),
        "fence_ledger": f"file:{tmp_path / 'fences'}",
    }
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    with (
        start_server(folders[0], **options) as one,
        start_server(folders[1], **options) as two,
        Client(one.address, timeout=30) as store,
    ):
        fill(store)
        everybody = [Clients(one), Clients(two)]
        for clients in everybody:
            clients.start()
        try:
            time.sleep(WARM_S)
            if stopped:
                os.kill(two.pid, signal.SIGSTOP)
            began = time.monotonic()
            job = store.erase("User-1", reason="asked for")
            store.wait_erasure(job.erasure_id, timeout=90)
            receipt = store.get_receipt(job.erasure_id)
            assert receipt is not None
            done = time.monotonic()
            if stopped:
                os.kill(two.pid, signal.SIGCONT)
            time.sleep(AFTER_S)
        finally:
            if stopped:
                os.kill(two.pid, signal.SIGCONT)
            for clients in everybody:
                clients.stop()
        servers = receipt.content["servers"]
        assert servers["acknowledged"] + servers["lease_expired"] == 2
        assert servers["lease_expired"] == int(stopped)
        for clients in everybody:
            check(clients.seen, began, done)


def check(seen: Seen, began: float, done: float) -> None:
    for what in ("read", "hydrate", "append", "subscribe"):
        # Before, each saw values; after, each saw that they are gone.
        assert seen.opened.get(what, 0) > 0, (what, seen.errors)
        assert seen.last[what] <= done, (what, seen.last[what] - done)
        assert [time for time in seen.gone.get(what, []) if time > done], (what, seen.errors)
    assert done > began
