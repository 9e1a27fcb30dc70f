"""Goal: a deleted stream is gone for everybody who appends, reads or hydrates; what its events held
is nowhere in the tables, and what stays is what the contract names.

Method: the SDK against a real server, and the tables themselves.
"""

from __future__ import annotations

import uuid

import psycopg
import pytest
from tests.integration.deletion.conftest import Names
from tests.support.database import connected

import eventfold
from eventfold import ANY, EXISTS, Client, Event, Lifecycle

FOLD = {"fold": "owner", "initial": {"name": ""}, "handlers": {"Named": {"name": "event.name"}}}


def named(name: str, **more: object) -> Event:
    return Event("Named", {"name": name}, **more)


def delete(store: Client, stream: str, **more: object) -> eventfold.DeletionInfo:
    """Deletes it, and waits until nothing is left."""
    begun = store.delete_stream(stream, expected_version=EXISTS, reason="asked for", **more)
    return store.wait_deletion(begun.deletion_id, timeout=60)


def test_payloads_go_and_the_rest_stays(store: Client, names: Names, deletion_url: str) -> None:
    stream = names("User", 1)
    secret = uuid.uuid4().hex
    events = [
        named(secret, metadata={"by": secret}, tags=[secret]),
        Event("Moved", {"to": secret * 100}),
    ]
    store.append(stream, events, expected_version=0)
    before = list(store.read(stream))
    done = delete(store, stream)
    assert (done.state, done.streams, done.events, done.events_emptied) == ("done", 1, 2, 2)
    assert (done.stream, done.reason, done.requested_by) == (stream, "asked for", "anonymous")
    assert done.emptied_at is not None
    assert done.ended_at is not None

    after = [event for event in store.read_all() if event.stream == stream]
    assert [event.deleted for event in after] == [True, True]
    assert [event.data_json for event in after] == [b"", b""]
    for one, other in zip(before, after, strict=True):
        for name in ("id", "type", "version", "position", "recorded_at", "occurred_at", "writer"):
            assert getattr(one, name) == getattr(other, name)
        assert (other.tags, dict(other.metadata)) == ((), {})
    assert store.get_event(after[0].id).deleted
    assert store.get_stream(stream).lifecycle is Lifecycle.DELETED
    with connected(deletion_url) as connection:
        for table in ("events", "deletions", "deletion_streams", "kept_states"):
            found = connection.execute(
                f"SELECT count(*) FROM deletion.{table} t WHERE t::text LIKE %s OR t::text LIKE %s",
                (f"%{secret}%", f"%{secret.encode().hex()}%"),
            ).fetchone()
            assert found == (0,), table
        digests = connection.execute(
            "SELECT e.sent_digest, e.stored_digest = digest.empty FROM deletion.events e"
            " JOIN deletion.streams s USING (stream_no), (SELECT sha256(convert_to("
            " E'eventfold stored event 1\\n', 'UTF8') || '\\x00000000000000000000000000000000')"
            " AS empty) digest WHERE s.name = %s",
            (stream,),
        ).fetchall()
    assert digests == [(None, True)] * 2


def test_nobody_uses_it_again(store: Client, names: Names) -> None:
    stream = names("User", 1)
    first = named("Ada")
    store.append(stream, [first, named("Eve")], expected_version=0)
    store.hydrate_stream(stream, fold=FOLD)
    begun = store.delete_stream(stream, expected_version=2, reason="asked for")
    for call in (
        lambda: store.append(stream, [named("Bob")], expected_version=ANY),
        lambda: store.hydrate_stream(stream, fold=FOLD),
        lambda: list(store.read(stream)),
        lambda: store.compensate(stream, first, reason="x", expected_version=ANY),
        lambda: store.close_stream(stream, successor=None),
        lambda: store.plan_delete(stream),
        lambda: store.delete_stream(stream, expected_version=EXISTS, reason="again"),
    ):
        with pytest.raises(eventfold.StreamDeleted):
            call()
    store.wait_deletion(begun.deletion_id, timeout=60)
    with pytest.raises(eventfold.StreamDeleted):
        store.append(stream, [named("Bob")], expected_version=0)
    # Ids alone decide: this append is stored, whatever it held.
    assert store.append(stream, [first], expected_version=0).duplicate
    with pytest.raises(eventfold.EventIdReused):
        store.append(names("User", 2), [first], expected_version=0)
    [listed] = store.list_deletions(stream=stream)
    assert listed.deletion_id == begun.deletion_id
    assert begun.deletion_id in {one.deletion_id for one in store.list_deletions()}
    assert [one.stream for one in store.list_deleted_streams(begun.deletion_id)] == [stream]
    found = store.hydrate_many([stream], fold=FOLD)
    assert isinstance(found.errors[stream], eventfold.StreamDeleted)


def test_what_is_refused(store: Client, names: Names) -> None:
    stream = names("User", 1)
    with pytest.raises(eventfold.StreamNotFound):
        store.plan_delete(stream)
    store.append(stream, [named("Ada")], expected_version=0)
    with pytest.raises(eventfold.VersionConflict) as moved:
        store.delete_stream(stream, expected_version=2, reason="x")
    assert moved.value.actual == 1
    with pytest.raises(eventfold.InvalidStreamName):
        store.plan_delete("$audit")
    store.delete_stream(stream, expected_version=1, reason="x" * 1024)
    for reason in ("", " ", "x" * 1025):
        with pytest.raises(eventfold.InvalidRequest):
            store.delete_stream(names("User", 2), expected_version=1, reason=reason)
    with pytest.raises(eventfold.DeletionNotFound):
        store.get_deletion(str(uuid.uuid4()))


def test_only_one_function_empties_events(store: Client, names: Names, deletion_url: str) -> None:
    store.append(names("User", 1), [named("Ada")], expected_version=0)
    for statement in (
        "UPDATE deletion.events SET data = '', deleted_at = now()",
        "DELETE FROM deletion.events",
        "TRUNCATE deletion.events",
    ):
        with connected(deletion_url) as connection, pytest.raises(psycopg.errors.RestrictViolation):
            connection.execute(statement)


def test_the_audit_says_what_was_deleted(store: Client, names: Names) -> None:
    stream = names("User", 1)
    store.append(stream, [named("Ada")], expected_version=0)
    done = delete(store, stream)
    noted = [
        event
        for event in store.read("$audit")
        if event.type == "$StreamDeleted" and event.data["stream"] == stream
    ]
    assert [dict(event.data) for event in noted] == [
        {
            "deletion_id": done.deletion_id,
            "stream": stream,
            "root": stream,
            "reason": "asked for",
        }
    ]


def test_a_line_of_periods_goes_whole(store: Client, names: Names) -> None:
    first, second = names("Account", "1"), names("Account", "1~2")
    store.append(first, [named("Ada")], expected_version=0)
    store.close_stream(first, successor=second)
    store.append(second, [named("Eve")], expected_version=EXISTS)
    plan = store.plan_delete(second)
    assert plan.stream == first
    assert [(one.stream, one.root) for one in plan.streams] == [(first, first), (second, first)]
    assert plan.events == 4
    done = delete(store, second, plan_digest=plan.digest)
    assert done.events_emptied == 4
    for name in (first, second):
        with pytest.raises(eventfold.StreamDeleted):
            store.hydrate_stream(name, fold=FOLD, follow="all")


def test_kept_states_are_dropped(store: Client, names: Names, deletion_url: str) -> None:
    stream = names("User", 1)
    fold = {**FOLD, "fold": f"kept{names.drawn}", "keep": {"every": 1}}
    store.put_fold(fold)
    store.append(stream, [named("Ada") for _ in range(5)], expected_version=0)
    store.hydrate_stream(stream, fold=str(fold["fold"]))
    count = (
        "SELECT count(*) FROM deletion.kept_states k JOIN deletion.streams s USING (stream_no)"
        " WHERE s.name = %s"
    )
    with connected(deletion_url) as connection:
        for _ in range(200):
            if connection.execute(count, (stream,)).fetchone() == (1,):
                break
            connection.execute("SELECT pg_sleep(0.05)")
        assert connection.execute(count, (stream,)).fetchone() == (1,)
        assert store.plan_delete(stream).kept_states == 1
        assert delete(store, stream).kept_states == 1
        assert connection.execute(count, (stream,)).fetchone() == (0,)


def test_references_lead_to_what_is_deleted(store: Client, names: Names) -> None:
    stream, other = names("User", 1), names("Order", 1)
    user = named("Ada")
    store.append(stream, [user], expected_version=0)
    order = Event("Placed", {}, metadata={"refs": {"events": [user.id], "streams": [stream]}})
    store.append(other, [order], expected_version=0)
    plan = store.plan_delete(stream)
    assert plan.referrers == 1
    delete(store, stream)
    found = store.get_references(order)
    assert found.events[user.id].deleted
    assert found.streams[stream].lifecycle is Lifecycle.DELETED
    assert [event.id for event in store.get_referrers(stream=stream)] == [order.id]
