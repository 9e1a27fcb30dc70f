"""Goal: an erasure takes all that was made of a subject's values, and nothing else; its plan says
so before, and its receipt after.

Method: a real server with keys; what PostgreSQL holds is looked at past the server.
"""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest

import eventfold
from eventfold import ANY, Client, Event


def declare(store: Client, kind: str) -> None:
    """`/name` is of the root of the stream, `/friend/name` of the user beside it."""
    store.put_privacy_rules(
        {
            "privacy": kind,
            "personal": {
                "/name": None,
                "/friend": {"subject": {"pointer": "/friendId", "category": kind}},
            },
        }
    )


def erase(store: Client, subject: str, **more: Any) -> dict[str, Any]:
    """Erases a subject; the receipt."""
    job = store.erase(subject, reason="asked for", **more)
    job = store.wait_erasure(job.erasure_id, timeout=60)
    assert job.state == "done"
    receipt = store.get_receipt(job.erasure_id)
    assert receipt is not None
    return receipt.content


def fold(kind: str) -> dict[str, Any]:
    return {
        "fold": f"f{kind}",
        "initial": {"gone": False, "n": 0},
        "handlers": {
            kind: {"gone": "state.gone || erased(event.?name.orValue(''))", "n": "state.n + 1"}
        },
    }


def fill(store: Client, kind: str) -> None:
    """Events of three subjects, one of which is a friend of the two others."""
    declare(store, kind)
    for number in (1, 2):
        events = [
            Event(kind, {"name": f"name {number}", "n": number}),
            Event(kind, {"friend": "name 3", "friendId": 3, "n": number}),
        ]
        store.append(f"{kind}-{number}", events, expected_version=0)


def test_a_plan_says_what_would_go(store: Client, kind: str) -> None:
    fill(store, kind)
    plan = store.plan_erase(f"{kind}-1")
    assert plan.active
    assert plan.key_versions == 1
    assert [(one.event_type, one.events, one.streams) for one in plan.events] == [(kind, 1, 1)]
    assert (plan.deleted, plan.restrictions, plan.detached, plan.holds) == ((), (), (), ())
    friend = store.plan_erase(f"{kind}-3")
    assert [(one.event_type, one.events, one.streams) for one in friend.events] == [(kind, 2, 2)]
    nobody = store.plan_erase(f"{kind}-4")
    assert (nobody.active, nobody.key_versions, nobody.events) == (False, 0, ())
    with pytest.raises(eventfold.InvalidRequest):
        store.plan_erase("nobody")


def test_values_of_the_subject_go_and_no_others(store: Client, kind: str, postgres: str) -> None:
    fill(store, kind)
    receipt = erase(store, f"{kind}-3")
    assert receipt["removed"]["data_keys"] == 1
    assert receipt["removed"]["events_with_sealed_values"] == 2
    assert receipt["remains"]["backups"] == {"horizon_days": None, "until": None}
    times = receipt["times"]
    order = ["requested", "fenced", "keys_destroyed", "evicted", "scrubbed", "announced", "done"]
    assert [times[name] for name in order] == sorted(times[name] for name in order)
    [first, second] = store.read(f"{kind}-1")
    assert first.data == {"name": "name 1", "n": 1}
    assert second.data == {"friend": None, "friendId": 3, "n": 1}
    assert store.hydrate_stream(f"{kind}-1", fold=fold(kind)).state == {"gone": False, "n": 2}
    with psycopg.connect(postgres) as connection:
        left = connection.execute(
            "SELECT count(*) FROM personal.subject_events WHERE subject_id = %s",
            [receipt["subject_id"]],
        ).fetchone()
    assert left == (0,)


def test_who_is_erased_gets_no_keys_until_admitted_again(store: Client, kind: str) -> None:
    fill(store, kind)
    erase(store, f"{kind}-1")
    with pytest.raises(eventfold.SubjectErased):
        store.append(f"{kind}-1", [Event(kind, {"name": "new"})], expected_version=ANY)
    store.append(f"{kind}-1", [Event(kind, {"n": 3})], expected_version=ANY)
    store.readmit_subject(f"{kind}-1")
    store.append(f"{kind}-1", [Event(kind, {"name": "new"})], expected_version=ANY)
    data = [event.data for event in store.read(f"{kind}-1")]
    assert [one.get("name", "") for one in data] == [None, "", "", "new"]
    plan = store.plan_erase(f"{kind}-1")
    assert [one.events for one in plan.events] == [1]
    assert erase(store, f"{kind}-1")["removed"]["events_with_sealed_values"] == 1
    assert len(list(store.list_erasures(subject=f"{kind}-1"))) == 2


def test_nobody_is_admitted_again_while_being_erased(
    store: Client, kind: str, postgres: str
) -> None:
    fill(store, kind)
    erase(store, f"{kind}-1")
    with psycopg.connect(postgres, autocommit=True) as connection:
        # A job that another server has, and does not go on with.
        [id_] = connection.execute(
            "INSERT INTO personal.erasures (erasure_id, subject_hash, reason, requested_by,"
            " lease_until) VALUES (gen_random_uuid(), %s, 'r', 'b', clock_timestamp() + '1 day')"
            " RETURNING erasure_id",
            [next(iter(store.list_erasures(subject=f"{kind}-1"))).subject_hash],
        ).fetchone() or [None]
        with pytest.raises(eventfold.ErasureUnderWay) as refused:
            store.readmit_subject(f"{kind}-1")
        assert refused.value.erasure_id == str(id_)
        connection.execute("UPDATE personal.erasures SET lease_until = NULL WHERE state < 6")
    store.wait_erasure(str(id_), timeout=30)
    store.readmit_subject(f"{kind}-1")


def test_it_is_told_in_audit_without_a_name(store: Client, kind: str) -> None:
    fill(store, kind)
    receipt = erase(store, f"{kind}-1")
    told = [
        event.data
        for event in store.read("$audit")
        if event.type == "$SubjectErased" and event.data["erasure_id"] == receipt["erasure_id"]
    ]
    assert told == [
        {
            "erasure_id": receipt["erasure_id"],
            "subject_hash": receipt["subject_hash"],
            "subject_id": receipt["subject_id"],
            "reason": "asked for",
        }
    ]
    assert kind not in str(receipt["plan"]["digest"])


def test_the_same_request_is_one_erasure(store: Client, kind: str) -> None:
    fill(store, kind)
    id_ = str(uuid.uuid4())
    erase(store, f"{kind}-1", request_id=id_)
    again = store.erase(f"{kind}-1", reason="asked for", request_id=id_)
    assert (again.erasure_id, again.state) == (id_, "done")
    with pytest.raises(eventfold.InvalidRequest):
        store.erase(f"{kind}-2", reason="asked for", request_id=id_)
    with pytest.raises(eventfold.ErasureNotFound):
        store.get_erasure(str(uuid.uuid4()))


def test_another_plan_than_was_agreed_to_is_refused(store: Client, kind: str) -> None:
    fill(store, kind)
    plan = store.plan_erase(f"{kind}-1")
    store.append(f"{kind}o-1", [Event("Made", {})], expected_version=0)
    store.put_link(f"{kind}o-1", f"{kind}-1", policy="cascade")
    with pytest.raises(eventfold.ErasurePlanMoved) as moved:
        store.erase(f"{kind}-1", reason="asked for", plan_digest=plan.digest)
    plan = store.plan_erase(f"{kind}-1")
    assert moved.value.plan_digest == plan.digest
    assert [one.stream for one in plan.deleted] == [f"{kind}o-1"]
    receipt = erase(store, f"{kind}-1", plan_digest=plan.digest)
    assert receipt["removed"]["streams"] == 1
    assert store.get_stream(f"{kind}o-1").lifecycle is eventfold.Lifecycle.DELETED
    assert store.get_stream(f"{kind}-1").lifecycle is eventfold.Lifecycle.OPEN


def test_a_private_stream_is_deleted(store: Client, kind: str) -> None:
    store.put_privacy_rules({"category": f"{kind}P", "personal": "all"})
    store.append(f"{kind}P-1", [Event("Any", {"a": "x", "b": [1]})], expected_version=0)
    plan = store.plan_erase(f"{kind}P-1")
    assert [one.stream for one in plan.deleted] == [f"{kind}P-1"]
    receipt = erase(store, f"{kind}P-1")
    assert receipt["removed"]["streams"] == 1
    assert receipt["removed"]["events_of_streams"] == 1
    with pytest.raises(eventfold.StreamDeleted):
        store.hydrate_stream(f"{kind}P-1", fold=fold(kind))


def test_a_restricting_link_forbids_it(store: Client, kind: str) -> None:
    fill(store, kind)
    store.append(f"{kind}o-1", [Event("Made", {})], expected_version=0)
    store.put_link(f"{kind}o-1", f"{kind}-1", policy="restrict")
    with pytest.raises(eventfold.DeletionRestricted):
        store.erase(f"{kind}-1", reason="asked for")
    assert store.get_subject(f"{kind}-1").status == "active"


def test_plaintext_from_before_is_told_and_stays(store: Client, kind: str) -> None:
    store.append(f"{kind}-1", [Event(kind, {"name": "old"})], expected_version=0)
    store.append(f"{kind}-2", [Event(kind, {"name": "old"})], expected_version=0)
    friend = Event(kind, {"friend": "old", "friendId": 1})
    store.append(f"{kind}-2", [friend, Event(kind, {"n": 1})], expected_version=ANY)
    store.put_privacy_rules(
        {
            "privacy": kind,
            "personal": {
                "/name": None,
                "/friend": {"subject": {"pointer": "/friendId", "category": kind}},
            },
        },
        existing="plaintext",
    )
    store.append(f"{kind}-1", [Event(kind, {"name": "new"})], expected_version=ANY)
    [found] = store.plan_erase(f"{kind}-1").plaintext
    assert (found.event_type, found.category, found.events) == (kind, None, 2)
    receipt = erase(store, f"{kind}-1")
    [told] = receipt["remains"]["plaintext"]
    assert (told["event_type"], told["events"]) == (kind, 2)
    assert [event.data["name"] for event in store.read(f"{kind}-1")] == ["old", None]


def test_rows_of_projections_are_made_anew(store: Client, kind: str) -> None:
    fill(store, kind)
    for name, key in (("s", "meta.stream"), ("e", "string(event.n)")):
        store.put_projection(
            {
                "projection": f"{name}{kind}".lower(),
                "source": {"category": kind},
                "key": key,
                "initial": {"n": 0, "gone": False},
                "handlers": {
                    kind: {
                        "n": "state.n + 1",
                        "gone": "state.gone || erased(event.?name.orValue(''))",
                    }
                },
                "columns": {"n": "integer", "gone": "boolean"},
            }
        )
        head = max(event.position for event in store.read(f"{kind}-2"))
        store.query_projection_page(f"{name}{kind}".lower(), at_least_position=head, timeout=30)
    plan = store.plan_erase(f"{kind}-1")
    assert {(one.projection, one.rebuilt) for one in plan.projections} == {
        (f"s{kind}".lower(), False),
        (f"e{kind}".lower(), True),
    }
    receipt = erase(store, f"{kind}-1")
    assert receipt["removed"]["projections"] == [f"e{kind}".lower(), f"s{kind}".lower()]
    rows = {row.key: row.columns["gone"] for row in store.query_projection(f"s{kind}".lower())}
    assert rows == {f"{kind}-1": True, f"{kind}-2": False}
    built = store.get_projection(f"e{kind}".lower())
    assert [one.generation for one in built.generations] == [built.active] == [2]


@pytest.mark.parametrize("key", ["string(event.n)", "meta.stream"])
def test_a_projection_that_cannot_be_built_anew_holds_nothing_up(
    key: str, store: Client, kind: str, postgres: str
) -> None:
    """Rules came later, for a column that has an index."""
    store.put_privacy_rules({"privacy": kind, "personal": {"/name": None}})
    for number in (1, 2):
        data = {"name": "n", "n": number, "city": f"{kind} {number}"}
        store.append(f"{kind}-{number}", [Event(kind, data)], expected_version=0)
    name = kind.lower()
    store.put_projection(
        {
            "projection": name,
            "source": {"category": kind},
            "key": key,
            "initial": {"city": ""},
            "handlers": {kind: {"city": "event.city"}},
            "columns": {"city": "text"},
            "indexes": [["city"]],
        }
    )
    head = max(event.position for event in store.read(f"{kind}-2"))
    store.query_projection_page(name, at_least_position=head, timeout=30)
    personal = {"/name": None, "/city": None}
    store.put_privacy_rules({"privacy": kind, "personal": personal}, existing="plaintext")
    with pytest.raises(eventfold.PersonalColumn):
        store.rebuild_projection(name)
    removed = erase(store, f"{kind}-1")["removed"]
    assert removed["projections"] == [name]
    if key == "meta.stream":
        # Its rows are told by the stream: those of the subject are gone, and the others stay.
        assert removed["projections_dropped"] == []
        assert [row.key for row in store.query_projection(name)] == [f"{kind}-2"]
    else:
        assert removed["projections_dropped"] == [name]
        with pytest.raises(eventfold.ProjectionNotFound):
            store.get_projection(name)
    assert in_projections(postgres, f"{kind} 1") == []


def test_only_a_generation_that_nobody_sees_is_dropped_where_that_is_enough(
    store: Client, kind: str
) -> None:
    store.put_privacy_rules({"privacy": kind, "personal": {"/name": None}})
    for number in (1, 2):
        data = {"name": "n", "n": number, "city": f"{kind} {number}"}
        store.append(f"{kind}-{number}", [Event(kind, data)], expected_version=0)
    name = kind.lower()
    seen = {
        "projection": name,
        "source": {"category": kind},
        "key": "string(event.n)",
        "initial": {"n": 0, "name": None},
        "handlers": {kind: {"n": "event.n", "name": "event.name"}},
        "columns": {"n": "integer", "name": "text"},
    }
    store.put_projection(seen)
    store.wait_projection(name, timeout=60)
    waiting = seen | {
        "handlers": {kind: {"n": "event.n", "city": "event.city"}},
        "columns": {"n": "integer", "city": "text"},
        "indexes": [["city"]],
    }
    store.put_projection(waiting, switch="by hand")
    head = max(event.position for event in store.read(f"{kind}-2"))
    store.query_projection_page(name, at_least_position=head, timeout=30)
    personal = {"/name": None, "/city": None}
    store.put_privacy_rules({"privacy": kind, "personal": personal}, existing="plaintext")
    removed = erase(store, f"{kind}-1")["removed"]
    assert removed["projections_dropped"] == []
    names = {row.key: row.columns["name"] for row in store.query_projection(name)}
    assert names == {"1": None, "2": "n"}
    assert len(store.get_projection(name).generations) == 1


def in_projections(url: str, text: str) -> list[str]:
    """Tables of projections that hold a text."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'personal'"
            " AND table_name ~ '^projection_[0-9]+$'"
        ).fetchall()
        return [
            table
            for (table,) in tables
            if connection.execute(
                f"SELECT FROM personal.{table} t WHERE t::text LIKE %s LIMIT 1", [f"%{text}%"]
            ).fetchone()
            is not None
        ]


def test_legal_holds_forbid_it(store: Client, kind: str) -> None:
    fill(store, kind)
    hold = store.put_legal_hold(f"h{kind}", subject=f"{kind}-1", reason="case 7")
    assert hold.subject_hash == store.get_subject(f"{kind}-1").subject_hash
    assert store.put_legal_hold(f"h{kind}", subject=f"{kind}-1", reason="case 7") == hold
    with pytest.raises(eventfold.HoldExists):
        store.put_legal_hold(f"h{kind}", subject=f"{kind}-2", reason="case 7")
    assert store.plan_erase(f"{kind}-1").holds == (f"h{kind}",)
    with pytest.raises(eventfold.LegalHold) as refused:
        store.erase(f"{kind}-1", reason="asked for")
    assert (refused.value.hold, refused.value.count) == (f"h{kind}", 1)
    with pytest.raises(eventfold.LegalHold):
        store.delete_stream(f"{kind}-1", expected_version=ANY, reason="asked for")
    # A stream that is held keeps the values of all who are in it.
    store.put_legal_hold(f"i{kind}", stream=f"{kind}-2", reason="case 8")
    with pytest.raises(eventfold.LegalHold):
        store.erase(f"{kind}-3", reason="asked for")
    with pytest.raises(eventfold.LegalHold):
        store.delete_stream(f"{kind}-2", expected_version=ANY, reason="asked for")
    names = {one.name for one in store.list_legal_holds(page_size=1)}
    assert {f"h{kind}", f"i{kind}"} <= names
    for name in (f"h{kind}", f"i{kind}"):
        store.release_legal_hold(name)
    with pytest.raises(eventfold.HoldNotFound):
        store.release_legal_hold(f"h{kind}")
    erase(store, f"{kind}-1")
    erase(store, f"{kind}-3")
    told = [event.type for event in store.read("$audit") if event.data.get("hold") == f"h{kind}"]
    assert told == ["$LegalHoldPut", "$LegalHoldReleased"]
