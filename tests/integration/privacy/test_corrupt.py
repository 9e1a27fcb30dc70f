"""Goal: a sealed value that is not what was sealed there is told with the event that it is of, and
hides no other event.

Method: what PostgreSQL holds is changed past the server; the server forgets its keys by a restart
where they have to be looked for again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from tests.integration.privacy.guarded import SEES, Log, client, declare, guarded
from tests.support.servers import RunningServer

from eventfold import Client, Event, EventCorrupt, RecordedEvent

SCHEMA = "corrupt"
Data = list[dict[str, Any]]


@pytest.fixture(scope="module")
def server(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with guarded(tmp_path_factory.mktemp("corrupt"), postgres, SCHEMA) as started:
        yield started


@pytest.fixture
def store(server: RunningServer) -> Iterator[Client]:
    with client(server, SEES) as made:
        yield made


def flipped(data: Data) -> None:
    text = data[1]["a"]
    data[1]["a"] = text[:-2] + ("A" if text[-2] != "A" else "B") + text[-1]


def moved(data: Data) -> None:
    data[1]["a"], data[1]["b"] = data[1]["b"], data[1]["a"]


def swapped(data: Data) -> None:
    data[1]["a"] = data[0]["a"]


def opened(data: Data) -> None:
    data[1]["a"] = "plain"


def missing(data: Data) -> None:
    del data[1]["a"]


@pytest.mark.parametrize("damage", [flipped, moved, swapped, opened, missing])
def test_the_event_is_named_and_others_are_readable(
    store: Client, postgres: str, kind: str, damage: Callable[[Data], None]
) -> None:
    declare(store, kind, "a", "b")
    stream = f"{kind}-1"
    sent = [{"a": f"a{n}", "b": f"b{n}"} for n in range(3)]
    done = store.append(stream, [Event(kind, data) for data in sent], expected_version=0)
    events: list[RecordedEvent] = list(store.read(stream))
    log = Log(postgres, SCHEMA)
    data = [log.data(position) for position in done.positions]
    damage(data)
    log.put_data(done.positions[1], data[1])
    facts = {
        "stream": stream,
        "version": "2",
        "position": str(done.positions[1]),
        "event_id": events[1].id,
    }

    def refused(read: Callable[[], Any]) -> EventCorrupt:
        with pytest.raises(EventCorrupt) as corrupt:
            read()
        assert corrupt.value.facts | facts == corrupt.value.facts
        if damage is not missing:
            assert corrupt.value.facts["pointer"] == "/a"
        return corrupt.value

    got: Data = []
    fold = {"fold": "f", "initial": {}, "handlers": {kind: {"a": "event.a"}}}
    refused(lambda: got.extend(event.data for event in store.read(stream)))
    refused(lambda: store.get_event(events[1].id))
    refused(lambda: store.hydrate_stream(stream, fold=fold))
    seen: Data = []

    def read_all(first: int) -> None:
        for event in store.read_all(from_position=first, categories=[kind]):
            seen.append(event.data)

    refused(lambda: read_all(done.positions[0]))
    read_all(done.positions[1] + 1)
    assert (got, seen) == (sent[:1], [sent[0], sent[2]])
    assert [store.get_event(events[n].id).data for n in (0, 2)] == [sent[0], sent[2]]
    with store.subscribe(from_position=done.positions[0], categories=[kind]) as following:
        assert next(iter(following)).data == sent[0]
        refused(lambda: next(iter(following)))


def test_a_key_that_is_gone_without_an_erasure_is_told(
    postgres: str, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("lost")
    with guarded(folder, postgres, "lost") as server, client(server, SEES) as store:
        declare(store, kind, "a")
        store.append(f"{kind}-1", [Event(kind, {"a": "x"})], expected_version=0)
        store.append(f"{kind}-2", [Event(kind, {"a": "y"})], expected_version=0)
        with psycopg.connect(postgres) as connection:
            connection.execute(
                "DELETE FROM lost_keys.data_keys WHERE subject_id ="
                " (SELECT subject_id FROM lost_keys.subjects WHERE name = %s)",
                [f"{kind}-1"],
            )
    keys = {"master_key_file": folder / "master-keys"}
    with guarded(folder, postgres, "lost", **keys) as server, client(server, SEES) as store:
        with pytest.raises(EventCorrupt) as corrupt:
            list(store.read(f"{kind}-1"))
        assert corrupt.value.facts["problem"] == "the key of a sealed value is not in the key store"
        assert [event.data for event in store.read(f"{kind}-2")] == [{"a": "y"}]
