"""Goal: personal values are sealed before they reach PostgreSQL, and are what was sent for who
reads them.

Method: a real server with keys; what PostgreSQL holds is looked at past the server.
"""

from __future__ import annotations

import json
import threading
import uuid
from typing import Any

import psycopg
import pytest

import eventfold
from eventfold import ANY, Client, Event, EventIdReused, SubjectInvalid


def declare(store: Client, kind: str, **fields: Any) -> None:
    personal = {f"/{name}": subject for name, subject in fields.items()}
    store.put_privacy_rules({"privacy": kind, "personal": personal})


def stored(postgres: str, stream: str) -> list[tuple[Any, ...]]:
    """Data, flags and sealed paths of the events of a stream, as PostgreSQL has them."""
    with psycopg.connect(postgres) as connection:
        rows = connection.execute(
            "SELECT e.data, e.flags, e.sealed_paths, e.sent_digest FROM personal.events e"
            " JOIN personal.streams s USING (stream_no) WHERE s.name = %s ORDER BY e.version",
            [stream],
        ).fetchall()
    return [(bytes(data), *more) for data, *more in rows]


def test_a_value_is_sealed_in_postgresql_and_opened_for_readers(
    store: Client, postgres: str, kind: str
) -> None:
    declare(store, kind, email=None, friend={"subject": {"pointer": "/id", "category": "Friend"}})
    stream = f"{kind}-1"
    data = {"n": 1.50, "email": "canary@x", "friend": {"a": ["canary"]}, "id": 7}
    store.append(stream, [Event(kind, data)], expected_version=0)
    [(raw, flags, paths, _)] = stored(postgres, stream)
    assert b"canary" not in raw
    assert flags & 4
    assert sorted(paths) == ["/email", "/friend"]
    held = json.loads(raw)
    assert held["email"].startswith("$sealed:1:")
    assert held["friend"].startswith("$sealed:1:")
    assert (held["n"], held["id"]) == (1.5, 7)
    [event] = store.read(stream)
    assert event.data == data
    assert [event.data for event in store.read_all(categories=[kind])] == [data]
    fold = {
        "fold": "f",
        "initial": {"email": ""},
        "handlers": {kind: {"email": "event.email", "n": "event.n"}},
    }
    assert store.hydrate_stream(stream, fold=fold).state == {"email": "canary@x", "n": 1.5}


def test_text_that_looks_sealed_is_text(store: Client, postgres: str, kind: str) -> None:
    declare(store, kind, a=None)
    text = "$sealed:1:AAAA"
    store.append(f"{kind}-1", [Event(kind, {"a": text, "b": text})], expected_version=0)
    [event] = store.read(f"{kind}-1")
    assert event.data == {"a": text, "b": text}


def test_a_retried_append_is_known_and_another_one_is_not(
    store: Client, postgres: str, kind: str
) -> None:
    declare(store, kind, a=None)
    stream, id_ = f"{kind}-1", uuid.uuid4()
    first = store.append(stream, [Event(kind, {"a": "x"}, id=id_)], expected_version=0)
    again = store.append(stream, [Event(kind, {"a": "x"}, id=id_)], expected_version=0)
    assert again.duplicate
    assert again.last_version == first.last_version
    with pytest.raises(EventIdReused):
        store.append(stream, [Event(kind, {"a": "y"}, id=id_)], expected_version=ANY)
    # With another version of the key too.
    store.rotate_data_key(stream)
    again = store.append(stream, [Event(kind, {"a": "x"}, id=id_)], expected_version=0)
    assert again.duplicate
    store.append(stream, [Event(kind, {"a": "z"})], expected_version=1)
    assert [event.data["a"] for event in store.read(stream)] == ["x", "z"]
    # Nobody can tell by the digest what was sent.
    digests = {digest for *_, digest in stored(postgres, stream)}
    assert len(digests) == 2


def test_a_value_of_nobody_is_refused(store: Client, postgres: str, kind: str) -> None:
    declare(store, kind, a={"subject": {"pointer": "/who", "category": "User"}})
    with pytest.raises(SubjectInvalid) as refused:
        store.append(f"{kind}-1", [Event(kind, {"a": "canary"})], expected_version=0)
    assert refused.value.facts["pointer"] == "/a"
    assert "canary" not in str(refused.value)


def test_a_whole_category_is_sealed_for_its_streams(
    store: Client, postgres: str, kind: str
) -> None:
    store.put_privacy_rules({"category": kind, "personal": "all"})
    store.append(f"{kind}-1", [Event("Any", {"a": "canary", "b": {"c": 1}})], expected_version=0)
    [(raw, _, paths, _)] = stored(postgres, f"{kind}-1")
    assert b"canary" not in raw
    assert paths == ["/a", "/b"]
    assert [event.data for event in store.read(f"{kind}-1")] == [{"a": "canary", "b": {"c": 1}}]


def test_many_streams_and_many_writers_get_the_same_keys(
    store: Client, server: Any, postgres: str, kind: str
) -> None:
    declare(store, kind, a={"subject": {"pointer": "/who", "category": kind}})

    def write(place: int) -> None:
        with eventfold.Client(server.address) as client:
            for n in range(20):
                event = Event(kind, {"a": f"canary{n}", "who": n % 5})
                client.append(f"{kind}-s{place}", [event], expected_version=n)

    writers = [threading.Thread(target=write, args=(place,)) for place in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    for place in range(4):
        assert [event.data["a"] for event in store.read(f"{kind}-s{place}")] == [
            f"canary{n}" for n in range(20)
        ]
    with psycopg.connect(postgres) as connection:
        row = connection.execute(
            "SELECT count(*) FROM personal_keys.subjects WHERE starts_with(name, %s)", [kind]
        ).fetchone()
    assert row == (5,)


def test_a_stream_of_a_later_period_is_sealed_for_its_root(
    store: Client, postgres: str, kind: str
) -> None:
    declare(store, kind, a=None)
    store.append(f"{kind}-1", [Event(kind, {"a": "x"})], expected_version=0)
    store.close_stream(f"{kind}-1", expected_version=1, successor=f"{kind}-1@2")
    store.append(f"{kind}-1@2", [Event(kind, {"a": "y"})], expected_version=1)
    with psycopg.connect(postgres) as connection:
        rows = connection.execute(
            "SELECT name FROM personal_keys.subjects WHERE starts_with(name, %s)", [kind]
        ).fetchall()
    assert rows == [(f"{kind}-1",)]
    assert [event.data for event in store.read(f"{kind}-1@2", from_version=2)] == [{"a": "y"}]
