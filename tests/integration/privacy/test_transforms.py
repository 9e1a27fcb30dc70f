"""Goal: personal values of source events are sealed in copies too, for the same subjects, wherever
they come to stand; and none leaves by a copy where nothing is sealed.

Method: real servers with keys; values are canaries that every table is searched for, past the
server. The states of copies and sources are erased in turn.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from tests.integration.privacy.test_derived import canary, declare, places_of
from tests.support.keys import master_key_file
from tests.support.servers import start_server

from eventfold import Client, Event, TransformInfo

OF_USER = {"subject": {"pointer": "/who", "category": "User"}}


def document(kind: str, rule: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "transform": f"t{kind}",
        "source": {"category": kind},
        "into": [f"Into{kind}"],
        "stream": f"'Into{kind}-' + meta.stream_id",
        "events": {kind: rule},
        **more,
    }


def ended(store: Client, document: dict[str, Any], **how: Any) -> TransformInfo:
    """A transform that has come to a stop by itself."""
    return store.wait_transform(store.start_transform(document, **how).transform_id, timeout=60)


def copies(store: Client, kind: str) -> list[Any]:
    return [event.data for event in store.read_all(categories=[f"Into{kind}"], copies="include")]


def sealed_paths(postgres: str, kind: str) -> list[str]:
    with psycopg.connect(postgres) as connection:
        rows = connection.execute(
            "SELECT unnest(e.sealed_paths) FROM personal.events e JOIN personal.streams s"
            " USING (stream_no) WHERE s.name LIKE %s ORDER BY 1",
            [f"Into{kind}-%"],
        ).fetchall()
    return [path for (path,) in rows]


def erase(store: Client, subject: str) -> None:
    plan = store.plan_erase(subject)
    job = store.erase(subject, plan_digest=plan.digest, reason="asked")
    store.wait_erasure(job.erasure_id, timeout=60)


def test_a_copy_is_sealed_for_the_subject_of_its_source(
    store: Client, postgres: str, kind: str
) -> None:
    declare(store, kind, name=None, friend=OF_USER)
    text = canary()
    data = {"name": text, "friend": {"mail": text}, "who": kind, "n": 1}
    store.append(f"{kind}-1", [Event(kind, data)], expected_version=0)
    found = ended(store, document(kind, {"type": f"{kind}Copied"}))
    assert (found.state, found.failure) == ("verified", None)
    assert copies(store, kind) == [data]
    assert sealed_paths(postgres, kind) == ["/friend", "/name"]
    assert places_of(postgres, text) == []
    # Gone with whom it is of, not with the stream that it has come into.
    erase(store, f"{kind}-1")
    assert copies(store, kind) == [data | {"name": None}]
    erase(store, f"User-{kind}")
    assert copies(store, kind) == [data | {"name": None, "friend": None}]


def test_the_mark_follows_what_is_computed(store: Client, postgres: str, kind: str) -> None:
    declare(store, kind, name=None, age=None)
    text = canary()
    store.append(f"{kind}-1", [Event(kind, {"name": text, "age": 41, "n": 1})], expected_version=0)
    rule = {
        "data": {
            "greeting": "'Dear ' + upper",
            "adult": "event.age >= 18",
            "length": "size(event.name)",
            "name": "optional.none()",
            "age": "optional.none()",
        }
    }
    found = ended(store, document(kind, rule, let={"upper": "event.name.upperAscii()"}))
    assert (found.state, found.failure) == ("verified", None)
    [data] = copies(store, kind)
    assert data == {
        "greeting": f"Dear {text.upper()}", "adult": True, "length": len(text), "n": 1
    }  # fmt: skip
    assert sealed_paths(postgres, kind) == ["/greeting"]
    assert places_of(postgres, text.upper()) == []


def test_rules_of_the_target_seal_around_it(store: Client, postgres: str, kind: str) -> None:
    declare(store, kind, name=None)
    store.put_privacy_rules({"category": f"Into{kind}", "personal": "all"})
    text, plain = canary(), canary()
    store.append(f"{kind}-1", [Event(kind, {"name": text, "n": 1})], expected_version=0)
    # What is in no rule of the source is of the root of the target, and what is, of its subject.
    rule = {"data": {"both": f"{{'name': event.name, 'plain': '{plain}'}}", "other": "1"}}
    found = ended(store, document(kind, rule))
    assert (found.state, found.failure) == ("verified", None)
    assert sealed_paths(postgres, kind) == ["/both", "/n", "/name", "/other"]
    assert places_of(postgres, text) == []
    erase(store, f"{kind}-1")
    assert copies(store, kind) == [{"name": None, "both": None, "n": 1, "other": 1}]


def test_a_value_of_two_subjects_is_refused(store: Client, postgres: str, kind: str) -> None:
    declare(store, kind, name=None, friend=OF_USER)
    text = canary()
    data = {"name": text, "friend": text, "who": kind}
    store.append(f"{kind}-1", [Event(kind, data)], expected_version=0)
    found = ended(store, document(kind, {"data": {"both": "event.name + event.friend"}}))
    assert found.state == "failed"
    assert found.failure is not None
    assert found.failure.reason == "TRANSFORM_FAILED"
    assert found.failure.facts["cause"] == "PERSONAL_TWO_SUBJECTS"
    assert text not in str(found.failure)
    assert copies(store, kind) == []


@pytest.mark.parametrize(
    ("where", "rule"),
    [
        ("stream", {"stream": "'Into{kind}-' + event.name"}),
        ("tags", {"tags": "[event.name]"}),
        ("metadata", {"metadata": {"by": "event.name"}}),
    ],
)
def test_it_may_not_come_to_where_nothing_is_sealed(
    store: Client, postgres: str, kind: str, where: str, rule: dict[str, Any]
) -> None:
    declare(store, kind, name=None)
    text = canary()
    store.append(f"{kind}-1", [Event(kind, {"name": text})], expected_version=0)
    if where == "stream":
        rule = {"stream": rule["stream"].replace("{kind}", kind)}
    found = ended(store, document(kind, rule))
    assert found.state == "failed"
    assert found.failure is not None
    assert found.failure.facts["path"] == where
    assert "never sealed" in found.failure.facts["problem"]
    assert places_of(postgres, text) == []


@pytest.mark.parametrize("data", ["event.profile", "{event.name: 1}"])
def test_keys_of_the_data_are_never_personal(
    store: Client, postgres: str, kind: str, data: str
) -> None:
    declare(store, kind, profile=None, name=None)
    text = canary()
    profile = {"profile": {text: 1}, "name": text}
    store.append(f"{kind}-1", [Event(kind, profile)], expected_version=0)
    found = ended(store, document(kind, {"data": data}))
    assert found.state == "failed"
    assert found.failure is not None
    assert found.failure.facts["path"] == "data"
    assert text not in f"{found.failure!r} {found.failure.facts}"
    assert places_of(postgres, text) == []
    under = document(kind, {"data": f"{{'under': {data}}}"}) | {"transform": f"u{kind}"}
    assert ended(store, under).state == "verified"
    assert sealed_paths(postgres, kind) == ["/under"]
    assert places_of(postgres, text) == []


def test_a_dry_run_shows_and_stores_none(store: Client, postgres: str, kind: str) -> None:
    declare(store, kind, name=None)
    text = canary()
    store.append(f"{kind}-1", [Event(kind, {"name": text, "n": 1})], expected_version=0)
    found = ended(store, document(kind, {"data": {"again": "event.name"}}), dry_run=True)
    assert found.trial is not None
    [example] = found.trial.examples
    assert json.loads(example.data) == {"name": None, "n": 1}
    assert [json.loads(copy.data) for copy in example.copies] == [
        {"name": None, "n": 1, "again": None}
    ]
    assert places_of(postgres, text) == []


def test_erased_while_it_runs(store: Client, postgres: str, kind: str) -> None:
    """Copies of before are erased with their sources, and both sides compare as equal."""
    declare(store, kind, name=None)
    for number in (1, 2):
        data = {"name": canary(), "n": number}
        store.append(f"{kind}-{number}", [Event(kind, data)], expected_version=0)
    job = store.start_transform(document(kind, {"data": {"m": "event.n"}}))
    assert store.wait_transform(job.transform_id).state == "verified"
    erase(store, f"{kind}-1")
    store.append(f"{kind}-2", [Event(kind, {"name": canary(), "n": 3})], expected_version=1)
    store.cut_over(job.transform_id)
    done = store.wait_transform(job.transform_id, timeout=60)
    assert (done.state, done.failure) == ("done", None)
    by_number = {data["n"]: data["name"] for data in copies(store, kind)}
    assert by_number[1] is None
    assert None not in (by_number[2], by_number[3])
    # Values that are gone are not compared with what they were.
    again = document(kind, {"data": {"m": "event.n"}}) | {
        "transform": f"again{kind}", "into": [f"Again{kind}"],
        "stream": f"'Again{kind}-' + meta.stream_id",
    }  # fmt: skip
    found = ended(store, again)
    assert (found.state, found.failure) == ("verified", None)


def test_what_a_copy_carries_is_personal_wherever_it_is_read(
    store: Client, postgres: str, kind: str
) -> None:
    """No rule says so of the type that it has come into."""
    declare(store, kind, name=None)
    text, into = canary(), f"Into{kind}"
    store.append(f"{kind}-1", [Event(kind, {"name": text})], expected_version=0)
    rule = {"type": f"{kind}Copied", "data": {"contact": "event.name", "name": "optional.none()"}}
    found = ended(store, document(kind, rule))
    assert (found.state, found.failure) == ("verified", None)
    assert sealed_paths(postgres, kind) == ["/contact"]
    fold = {
        "fold": f"f{kind}",
        "initial": {"contact": ""},
        "keep": {"every": 1},
        "handlers": {f"{kind}Copied": {"contact": "event.contact"}},
    }
    store.put_fold(fold)
    assert store.hydrate(into, "1", fold=f"f{kind}").state == {"contact": text}
    projection = {
        "projection": f"p_{kind.lower()}",
        "source": {"category": into},
        "initial": {"contact": None},
        "handlers": {f"{kind}Copied": {"contact": "event.contact"}},
        "columns": {"contact": "text"},
    }
    store.put_projection(projection)
    store.wait_projection(projection["projection"], timeout=60)
    [row] = store.query_projection(projection["projection"])
    assert row.columns == {"contact": text}
    store.close_stream(
        f"{into}-1",
        expected_version=1,
        successor=f"{into}-1@2",
        folds=[f"f{kind}"],
        opening_type=f"{kind}Begun",
    )
    # An opening event of whatever type carries states.
    taking = {
        "fold": f"g{kind}",
        "initial": {"took": ""},
        "keep": {"every": 1},
        "handlers": {f"{kind}Begun": {"took": "event.states[0].state.contact"}},
    }
    store.put_fold(taking)
    assert store.hydrate(into, "1@2", fold=f"g{kind}").state == {"took": text}
    time.sleep(0.5)
    assert places_of(postgres, text) == []


def test_a_dry_run_of_plaintext_shows_and_stores_none(
    store: Client, postgres: str, kind: str
) -> None:
    """Events of before their fields were declared are copied into streams where they are sealed."""
    text = canary()
    store.append(f"{kind}-1", [Event(kind, {"name": text, "n": 1})], expected_version=0)
    store.put_privacy_rules({"privacy": kind, "personal": {"/name": None}}, existing="plaintext")
    before = places_of(postgres, text)
    rule = {"data": {"again": "'Dear ' + event.name"}}
    found = ended(store, document(kind, rule), dry_run=True)
    assert found.trial is not None
    [example] = found.trial.examples
    assert json.loads(example.data) == {"name": None, "n": 1}
    [copy] = example.copies
    assert json.loads(copy.data) == {"name": None, "n": 1, "again": None}
    # Where it was before, and nowhere else.
    assert places_of(postgres, text) == before == ["personal.events.data"]


def test_an_example_goes_with_its_event(store: Client, postgres: str, kind: str) -> None:
    text = canary()
    store.append(f"{kind}-1", [Event(kind, {"name": text})], expected_version=0)
    found = ended(store, document(kind, {"data": {"n": "1"}}), dry_run=True)
    assert found.trial is not None
    assert len(found.trial.examples) == 1
    assert "personal.transforms.trial" in places_of(postgres, text)
    plan = store.plan_delete(f"{kind}-1")
    job = store.delete_stream(
        f"{kind}-1", expected_version=1, reason="asked", plan_digest=plan.digest
    )
    store.wait_deletion(job.deletion_id, timeout=60)
    assert places_of(postgres, text) == []


def test_an_error_does_not_tell_keys_of_what_is_sealed(
    store: Client, postgres: str, kind: str
) -> None:
    declare(store, kind, contacts=None)
    text = canary()
    data = {"contacts": {text: {"phone": 1}}}
    store.append(f"{kind}-1", [Event(kind, data)], expected_version=0)
    phone = {"properties": {"phone": {"type": "string"}}}
    schema = {"properties": {"contacts": {"additionalProperties": phone}}}
    store.put_schema(f"{kind}Copied", schema)
    found = ended(store, document(kind, {"type": f"{kind}Copied"}))
    assert found.state == "failed"
    assert found.failure is not None
    assert found.failure.facts["cause"] == "SCHEMA_VIOLATION"
    assert text not in f"{found.failure!r} {found.failure.facts}"
    assert "`/contacts`" in found.failure.facts["problem"]
    assert places_of(postgres, text) == []


def test_what_resolve_brings_of_copies_is_personal_as_they_are_read(
    store: Client, postgres: str, kind: str
) -> None:
    declare(store, kind, email=None)
    text = canary()
    store.append(f"{kind}-1", [Event(kind, {"email": text})], expected_version=0)
    store.put_mapping({"mapping": f"{kind}Copied", "renames": {"email": "contact"}})
    found = ended(store, document(kind, {"type": f"{kind}Copied"}))
    assert found.state == "verified"
    [copied] = store.read_all(categories=[f"Into{kind}"], copies="include")
    projection = {
        "projection": f"p_{kind.lower()}",
        "source": {"category": f"Order{kind}"},
        "resolve": {"customer": "event.customer"},
        "initial": {"contact": None},
        "handlers": {f"{kind}Ordered": {"contact": "customer.data.contact"}},
        "columns": {"contact": "text"},
    }
    ordered = Event(f"{kind}Ordered", {"customer": str(copied.id)})
    done = store.append(f"Order{kind}-1", [ordered], expected_version=0)
    store.put_projection(projection)
    name = projection["projection"]
    [row] = store.query_projection(name, at_least_position=done.positions[-1])
    assert row.columns == {"contact": text}
    assert places_of(postgres, text) == []


@pytest.fixture(scope="module")
def two(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Client]]:
    """A server with keys, and one without any that it may copy to."""
    folder = tmp_path_factory.mktemp("two")
    for name in ("plain", "sealed"):
        (folder / name).mkdir()
    with start_server(folder / "plain", database_url=postgres, schema="statistics") as plain:
        targets = folder / "targets.toml"
        targets.write_text(f'[statistics]\naddress = "{plain.address}"\n', encoding="utf-8")
        with (
            start_server(
                folder / "sealed",
                database_url=postgres,
                schema="personal_two",
                master_key_file=master_key_file(folder),
                fence_ledger=f"file:{folder / 'fences'}",
                transform_targets=targets,
            ) as sealed,
            Client(sealed.address) as source,
            Client(plain.address) as target,
        ):
            yield source, target


def test_to_another_server_goes_what_is_anonymous(
    two: tuple[Client, Client], postgres: str, kind: str
) -> None:
    source, target = two
    declare(source, kind, name=None, born=None)
    text = canary()
    data = {"name": text, "born": "1987-05-31"}
    source.append(f"{kind}-1", [Event(kind, data)], expected_version=0)
    kept = ended(source, document(kind, {"data": {"n": "1"}}), target="statistics")
    assert kept.state == "failed"
    assert kept.failure is not None
    assert "another server" in kept.failure.facts["problem"]
    rule = {
        "data": {
            "name": "pseudonym(event.name, 'name')",
            "born": "generalise.date(event.born, 'year')",
        }
    }
    found = ended(source, document(kind, rule), target="statistics")
    assert (found.state, found.failure) == ("verified", None)
    [event] = target.read_all(categories=[f"Into{kind}"], copies="include")
    assert event.data["born"] == "1987"
    assert len(event.data["name"]) == 22
    assert text not in str(event.data)
