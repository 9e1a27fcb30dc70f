"""Goal: no personal value reaches PostgreSQL in what is derived from events: kept states, what
opens a stream, corrections, rows of projections, copies.

Method: a real server with keys; values are canaries that every table is searched for, past the
server.
"""

from __future__ import annotations

import time
import uuid
from typing import Any

import psycopg
import pytest
from psycopg import sql

from eventfold import ANY, Client, Event, EventfoldError


def declare(store: Client, kind: str, **fields: Any) -> None:
    personal = {f"/{name}": subject for name, subject in fields.items()}
    store.put_privacy_rules({"privacy": kind, "personal": personal})


def canary() -> str:
    return f"canary{uuid.uuid4().hex}"


def places_of(postgres: str, text: str) -> list[str]:
    """Tables of the store that have the text in any of their columns."""
    found = []
    with psycopg.connect(postgres) as connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE starts_with(schemaname, 'personal')"
        ).fetchall()
        for schema, table in tables:
            names = connection.execute(
                "SELECT column_name, data_type FROM information_schema.columns"
                " WHERE table_schema = %s AND table_name = %s",
                [schema, table],
            ).fetchall()
            for name, kind in names:
                column = sql.Identifier(name)
                as_text = (
                    sql.SQL("encode({}, 'escape')").format(column)
                    if kind == "bytea"
                    else sql.SQL("{}::text").format(column)
                )
                query = sql.SQL("SELECT 1 FROM {}.{} WHERE position(%s IN {}) > 0 LIMIT 1").format(
                    sql.Identifier(schema), sql.Identifier(table), as_text
                )
                if connection.execute(query, [text]).fetchone():
                    found.append(f"{schema}.{table}.{name}")
    return found


def fold(kind: str, name: str = "f") -> dict[str, Any]:
    return {
        "fold": name,
        "initial": {"name": "", "n": 0},
        "keep": {"every": 1},
        "handlers": {kind: {"name": "event.name", "n": "state.n + 1"}},
    }


def hydrated(store: Client, stream: str, fold: Any) -> Any:
    category, _, id_ = stream.partition("-")
    return store.hydrate(category, id_, fold=fold)


def kept_states(postgres: str, stream: str) -> list[bytes]:
    with psycopg.connect(postgres) as connection:
        rows = connection.execute(
            "SELECT k.state FROM personal.kept_states k JOIN personal.streams s USING (stream_no)"
            " WHERE s.name = %s",
            [stream],
        ).fetchall()
    return [bytes(state) for (state,) in rows]


def until(found: Any, seconds: float = 20.0) -> Any:
    ends = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < ends
        time.sleep(0.05)
    return value


def test_a_kept_state_is_sealed_and_gone_on_from(store: Client, postgres: str, kind: str) -> None:
    declare(store, kind, name=None)
    store.put_fold(fold(kind, f"f{kind}"))
    stream, text = f"{kind}-1", canary()
    store.append(stream, [Event(kind, {"name": text})] * 1, expected_version=0)
    assert hydrated(store, stream, f"f{kind}").state == {"name": text, "n": 1}
    [state] = until(lambda: kept_states(postgres, stream))
    assert state.startswith(b"$sealed:1:")
    assert places_of(postgres, text) == []
    store.append(stream, [Event(kind, {"name": text + "2"})], expected_version=1)
    again = hydrated(store, stream, f"f{kind}")
    assert again.state == {"name": text + "2", "n": 2}
    assert again.kept_version == 1


def test_a_state_of_two_subjects_is_not_kept(store: Client, postgres: str, kind: str) -> None:
    declare(store, kind, name={"subject": {"pointer": "/who", "category": "User"}})
    store.put_fold(fold(kind, f"f{kind}"))
    stream, text = f"{kind}-1", canary()
    events = [Event(kind, {"name": f"{text}{who}", "who": f"{kind}{who}"}) for who in (1, 2)]
    store.append(stream, events, expected_version=0)
    for _ in range(3):
        assert hydrated(store, stream, f"f{kind}").state == {"name": f"{text}2", "n": 2}
    time.sleep(0.5)
    assert kept_states(postgres, stream) == []
    assert places_of(postgres, text) == []


def test_what_opens_a_stream_is_sealed_for_its_subject(
    store: Client, postgres: str, kind: str
) -> None:
    declare(store, kind, name=None)
    store.put_fold(fold(kind, f"f{kind}"))
    stream, text = f"{kind}-1", canary()
    store.append(stream, [Event(kind, {"name": text})], expected_version=0)
    store.close_stream(stream, expected_version=1, successor=f"{stream}@2", folds=[f"f{kind}"])
    assert places_of(postgres, text) == []
    assert hydrated(store, f"{stream}@2", f"f{kind}").state == {"name": text, "n": 1}
    [opening] = store.read(f"{stream}@2")
    assert opening.data["states"][0]["state"] == {"name": text, "n": 1}
    with psycopg.connect(postgres) as connection:
        row = connection.execute(
            "SELECT e.sealed_paths, e.data FROM personal.events e JOIN personal.streams s"
            " USING (stream_no) WHERE s.name = %s",
            [f"{stream}@2"],
        ).fetchone()
    assert row is not None
    assert row[0] == ["/states/0/state/name"]
    assert b'"n":1' in bytes(row[1])
    # It is found to be done, without a key.
    again = store.close_stream(
        stream, expected_version=1, successor=f"{stream}@2", folds=[f"f{kind}"]
    )
    assert again.duplicate


def test_a_state_of_two_subjects_is_not_carried(store: Client, postgres: str, kind: str) -> None:
    declare(store, kind, name={"subject": {"pointer": "/who", "category": "User"}})
    stream = f"{kind}-1"
    events = [Event(kind, {"name": "canary", "who": f"{kind}{who}"}) for who in (1, 2)]
    store.append(stream, events, expected_version=0)
    with pytest.raises(EventfoldError) as refused:
        store.close_stream(stream, expected_version=2, successor=f"{stream}@2", folds=[fold(kind)])
    assert refused.value.reason == "PERSONAL_TWO_SUBJECTS"
    assert refused.value.facts["fold"] == "f"
    # What cannot be personal may be carried.
    counting = {"fold": "g", "initial": {"n": 0}, "handlers": {kind: {"n": "state.n + 1"}}}
    store.close_stream(stream, expected_version=2, successor=f"{stream}@2", folds=[counting])
    assert hydrated(store, f"{stream}@2", counting).state == {"n": 2}


def test_a_correction_is_sealed(store: Client, postgres: str, kind: str) -> None:
    declare(store, kind, name=None)
    stream, text = f"{kind}-1", canary()
    id_ = uuid.uuid4()
    store.append(stream, [Event(kind, {"name": text}, id=id_)], expected_version=0)
    store.compensate(
        stream,
        id_,
        reason="wrong",
        expected_version=ANY,
        correction=Event(kind, {"name": text + "2"}),
    )
    assert places_of(postgres, text) == []
    assert [event.data for event in store.read(stream)][-1] == {"name": text + "2"}


def projection(kind: str, **more: Any) -> dict[str, Any]:
    return {
        "projection": f"p_{kind.lower()}",
        "source": {"category": kind},
        "initial": {"name": None, "n": 0},
        "handlers": {kind: {"name": "event.name", "n": "state.n + 1"}},
        "columns": {"name": "text", "n": "integer"},
        **more,
    }


def rows_of(store: Client, document: dict[str, Any], position: int) -> list[Any]:
    name = document["projection"]
    return list(store.query_projection(name, at_least_position=position))


def test_a_column_that_is_personal_is_sealed(store: Client, postgres: str, kind: str) -> None:
    declare(store, kind, name=None)
    document, text = projection(kind), canary()
    store.put_projection(document)
    first = store.append(f"{kind}-1", [Event(kind, {"name": text})], expected_version=0)
    [row] = rows_of(store, document, first.positions[-1])
    assert row.columns == {"name": text, "n": 1}
    assert (row.erased, row.withheld) == ((), ())
    assert places_of(postgres, text) == []
    # Its state is gone on from, and what is not personal is there for all to see.
    more = store.append(f"{kind}-1", [Event(kind, {"name": text + "2"})], expected_version=1)
    [row] = rows_of(store, document, more.positions[-1])
    assert row.columns == {"name": text + "2", "n": 2}
    assert places_of(postgres, text) == []
    for filter_, order in ((f"name == '{text}'", ()), ("", ("name",))):
        with pytest.raises(EventfoldError) as refused:
            list(store.query_projection(document["projection"], filter_, order=order))
        assert refused.value.reason == "PERSONAL_COLUMN"
        assert refused.value.facts["column"] == "name"
    [row] = store.query_projection(document["projection"], "n == 2")
    assert row.key == f"{kind}-1"


def test_what_is_personal_can_be_neither_indexed_nor_the_key(store: Client, kind: str) -> None:
    declare(store, kind, name=None)
    for more in ({"indexes": [["name"]]}, {"key": "event.name"}):
        with pytest.raises(EventfoldError) as refused:
            store.put_projection(projection(kind, **more))
        assert refused.value.reason == "PERSONAL_COLUMN"


def test_plaintext_may_be_accepted(store: Client, postgres: str, kind: str) -> None:
    declare(store, kind, name=None)
    text = canary()
    document = projection(
        kind,
        columns={"name": {"type": "text", "plaintext": "accepted"}, "n": "integer"},
        indexes=[["name"]],
    )
    store.put_projection(document)
    done = store.append(f"{kind}-1", [Event(kind, {"name": text})], expected_version=0)
    rows_of(store, document, done.positions[-1])
    name = document["projection"]
    [row] = store.query_projection(name, f"name == '{text}'")
    assert row.columns["name"] == text
    # In the column, and nowhere else.
    assert all(place.endswith(".name") for place in places_of(postgres, text))


def test_a_row_of_two_subjects_is_refused(store: Client, postgres: str, kind: str) -> None:
    declare(store, kind, name={"subject": {"pointer": "/who", "category": "User"}})
    text = canary()
    document = projection(kind, on_error="park")
    store.put_projection(document)
    events = [Event(kind, {"name": f"{text}{who}", "who": f"{kind}{who}"}) for who in (1, 2)]
    done = store.append(f"{kind}-1", events, expected_version=0)
    [row] = rows_of(store, document, done.positions[-1])
    assert row.columns == {"name": f"{text}1", "n": 1}
    [parked] = list(store.list_parked_keys(document["projection"]))
    assert parked.error.reason == "PERSONAL_TWO_SUBJECTS"
    assert places_of(postgres, text) == []


def test_a_verification_finds_no_difference(store: Client, postgres: str, kind: str) -> None:
    declare(store, kind, name=None)
    document, text = projection(kind), canary()
    store.put_projection(document)
    for place in range(5):
        done = store.append(f"{kind}-{place}", [Event(kind, {"name": text})], expected_version=0)
    rows_of(store, document, done.positions[-1])
    found = store.verify_projection(document["projection"])
    assert found.keys_checked == 5
    assert found.keys_differing == 0
    assert places_of(postgres, text) == []


def test_what_was_sealed_stays_personal_without_rules(
    store: Client, postgres: str, kind: str
) -> None:
    declare(store, kind, name=None)
    stream, text = f"{kind}-1", canary()
    first = store.append(stream, [Event(kind, {"name": text})], expected_version=0)
    store.drop_privacy_rules(kind)
    # Nothing is sealed by them any more.
    store.append(f"{kind}-2", [Event(kind, {"name": "plain"})], expected_version=0)
    document = projection(kind)
    store.put_projection(document)
    store.put_fold(fold(kind, f"f{kind}"))
    assert hydrated(store, stream, f"f{kind}").state == {"name": text, "n": 1}
    [state] = until(lambda: kept_states(postgres, stream))
    assert state.startswith(b"$sealed:1:")
    names = {row.key: row.columns["name"] for row in rows_of(store, document, first.positions[-1])}
    assert names[stream] == text
    store.close_stream(stream, expected_version=1, successor=f"{stream}@2", folds=[f"f{kind}"])
    assert hydrated(store, f"{stream}@2", f"f{kind}").state == {"name": text, "n": 1}
    assert places_of(postgres, text) == []


def test_what_a_state_does_not_read_is_of_nobody_in_it(
    store: Client, postgres: str, kind: str
) -> None:
    declare(store, kind, name=None, friend={"subject": {"pointer": "/who", "category": "User"}})
    store.put_fold(fold(kind, f"f{kind}"))
    document = projection(kind)
    store.put_projection(document)
    stream, text = f"{kind}-1", canary()
    data = {"name": text, "friend": canary(), "who": kind}
    done = store.append(stream, [Event(kind, data)], expected_version=0)
    assert hydrated(store, stream, f"f{kind}").state == {"name": text, "n": 1}
    [state] = until(lambda: kept_states(postgres, stream))
    assert state.startswith(b"$sealed:1:")
    [row] = rows_of(store, document, done.positions[-1])
    assert row.columns == {"name": text, "n": 1}
    # Where a mapping may have moved a value, all of them count.
    store.put_mapping({"mapping": kind, "computed": {"name": "event.friend"}})
    store.append(stream, [Event(kind, data)], expected_version=1)
    for _ in range(2):
        assert hydrated(store, stream, f"f{kind}").state == {"name": data["friend"], "n": 2}
    assert places_of(postgres, data["friend"]) == []


def test_what_was_read_by_a_mapping_of_before_stays_personal(
    store: Client, postgres: str, kind: str
) -> None:
    declare(store, kind, email=None)
    document = {
        "fold": f"f{kind}",
        "initial": {"name": "", "n": 0},
        "keep": {"every": 1},
        "handlers": {kind: {"name": "event.?contact.orValue(state.name)", "n": "state.n + 1"}},
    }
    store.put_fold(document)
    store.put_mapping({"mapping": kind, "renames": {"email": "contact"}})
    stream, text = f"{kind}-1", canary()
    store.append(stream, [Event(kind, {"email": text})], expected_version=0)
    store.close_stream(stream, expected_version=1, successor=f"{stream}@2", folds=[f"f{kind}"])
    store.put_mapping({"mapping": kind, "renames": {"email": "address"}})
    store.append(f"{stream}@2", [Event(kind, {"email": canary()})], expected_version=1)
    assert hydrated(store, f"{stream}@2", f"f{kind}").state == {"name": text, "n": 2}
    store.close_stream(
        f"{stream}@2", expected_version=2, successor=f"{stream}@3", folds=[f"f{kind}"]
    )
    assert hydrated(store, f"{stream}@3", f"f{kind}").state == {"name": text, "n": 2}
    time.sleep(0.5)
    assert places_of(postgres, text) == []


def test_what_else_a_close_brings_is_sealed(store: Client, postgres: str, kind: str) -> None:
    """Only what the server writes there itself is no personal value of a category as a whole."""
    store.put_privacy_rules({"category": kind, "personal": "all"})
    stream, text = f"{kind}-1", canary()
    store.append(stream, [Event("Any", {"a": text})], expected_version=0)
    store.close_stream(
        stream,
        expected_version=1,
        successor=f"{stream}@2",
        closing_data={"states": {"name": text}, "predecessor": text, "": text},
        opening_data={"successor": text, "": text},
    )
    assert places_of(postgres, text) == []
    closing, opening = store.read(stream).to_list()[-1], store.read(f"{stream}@2").to_list()[0]
    assert closing.data["states"] == {"name": text}
    assert (closing.data["successor"], opening.data["predecessor"]) == (f"{stream}@2", stream)
