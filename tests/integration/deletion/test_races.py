"""Goal: a deletion wins or loses against appends, hydrations and projections of any server, and
nothing of it comes back.

Method: two servers over one store; threads append, hydrate and read through both while streams are
deleted one after the other. What was acknowledged is compared with what the log holds.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Self

import pytest
from tests.integration.deletion.conftest import Names
from tests.integration.deletion.test_projections import document, ready, rows
from tests.support.servers import RunningServer, start_server

import eventfold
from eventfold import ANY, EXISTS, Client, Event

STREAMS, WRITERS = 6, 3
FOLD = """
fold: %s
keep: {every: 1}
initial: {names: []}
handlers: {Named: {names: "state.names + [event.name]"}}
"""


class Traffic:
    """Threads that use streams until these are gone."""

    def __init__(self, addresses: list[str], streams: list[str], fold: str) -> None:
        self.faults: list[Exception] = []
        self.stored: dict[str, int] = dict.fromkeys(streams, 0)
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(address, stream, fold))
            for stream in streams
            for address in addresses[:WRITERS]
        ]

    def _run(self, address: str, stream: str, fold: str) -> None:
        try:
            with Client(address, timeout=30) as store:
                while True:
                    store.append(stream, [Event("Named", {"name": "x"})], expected_version=ANY)
                    with self._lock:
                        self.stored[stream] += 1
                    store.hydrate_stream(stream, fold=fold)
                    list(store.read(stream))
        except eventfold.StreamDeleted:
            pass
        except Exception as error:  # noqa: BLE001 - told by the test
            self.faults.append(error)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads)


@pytest.fixture
def second(deletion_url: str, tmp_path: Path, deletion_server: RunningServer) -> RunningServer:
    with start_server(tmp_path, database_url=deletion_url, schema="deletion") as server:
        yield server


def test_nothing_comes_back(
    store: Client, names: Names, second: RunningServer, deletion_server: RunningServer
) -> None:
    fold, by_stream, by_type = f"f{names.drawn}", f"s{names.drawn}", f"t{names.drawn}"
    store.put_fold(FOLD % fold)
    store.put_projection(document(by_stream, names("User"), "meta.stream"))
    store.put_projection(document(by_type, names("User"), "meta.type"))
    streams = [names("User", number) for number in range(STREAMS)]
    for stream in streams:
        store.append(stream, [Event("Named", {"name": "x"})], expected_version=0)
    addresses = [deletion_server.address, second.address]
    deletions = []
    with Traffic(addresses, streams, fold) as traffic:
        for number, stream in enumerate(streams):
            with Client(addresses[number % 2], timeout=30) as client:
                deletions.append(client.delete_stream(stream, expected_version=EXISTS, reason="x"))
    assert traffic.faults == []
    for begun in deletions:
        assert store.wait_deletion(begun.deletion_id, timeout=120).state == "done"
    found = list(store.read_all(categories=[names("User")]))
    assert all(event.deleted for event in found)
    for stream in streams:
        assert sum(event.stream == stream for event in found) == traffic.stored[stream] + 1
    for name in (by_stream, by_type):
        ready(store, name)
        assert rows(store, name) == {}
    with Client(second.address) as other:
        for stream in streams:
            with pytest.raises(eventfold.StreamDeleted):
                other.hydrate_stream(stream, fold=fold)
