"""Goal: what is declared personal is in force for every append from then on, no event slips in
between, and whoever declares it is told what it does not protect.

Method: real servers, with event types of each test's own; rows written past them.
"""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.server.conftest import Starter
from tests.support.database import connected
from tests.support.keys import master_key_file
from tests.support.servers import RunningServer

import eventfold
from eventfold import Event, EventFlags, EventfoldError, PrivacyWarning

ANYBODY = {"pointer": "/userId", "category": "User"}


@pytest.fixture(scope="module")
def server(start_shared: Starter, tmp_path_factory: pytest.TempPathFactory) -> RunningServer:
    """A server with keys."""
    folder = tmp_path_factory.mktemp("keys")
    return start_shared(
        master_key_file=master_key_file(folder), fence_ledger=f"file:{folder / 'fences'}"
    )


@pytest.fixture
def store(server: RunningServer) -> Iterator[eventfold.Client]:
    with eventfold.Client(server.address) as client:
        yield client


@pytest.fixture
def own() -> str:
    """A name of the test's own."""
    return "T" + uuid.uuid4().hex[:12]


def append(store: eventfold.Client, stream: str, *events: Event) -> None:
    store.append(stream, list(events), expected_version=eventfold.ANY)


def document(own: str, **fields: object) -> dict[str, object]:
    return {"privacy": own, "personal": {f"/{name}": said for name, said in fields.items()}}


def refused(call: object, *arguments: object, **named: object) -> EventfoldError:
    with pytest.raises(EventfoldError) as caught:
        call(*arguments, **named)  # type: ignore[operator]
    return caught.value


def test_appends_are_held_to_rules_from_then_on(store: eventfold.Client, own: str) -> None:
    append(store, f"c-{own}", Event(own, {"id": 1}))
    store.put_privacy_rules(document(own, email={"subject": ANYBODY}))
    append(store, f"c-{own}", Event(own, {"id": 1}))
    error = refused(append, store, f"c-{own}", Event(own, {"email": "a@b.example"}))
    assert (error.reason, error.facts["pointer"]) == ("SUBJECT_INVALID", "/email")
    assert "a@b.example" not in str(error)
    # A category as a whole counts alone.
    store.put_privacy_rules({"category": own, "personal": "all"})
    assert refused(append, store, f"c-{own}", Event(own, {"email": 1})).reason == "SUBJECT_INVALID"
    append(store, f"{own}-1", Event(own, {"email": 1}))
    store.drop_privacy_rules(category=own)
    assert refused(append, store, f"{own}-1", Event(own, {"email": 1})).reason == "SUBJECT_INVALID"
    store.drop_privacy_rules(own)
    append(store, f"{own}-1", Event(own, {"email": 1}))
    sealed = [EventFlags.SEALED in event.flags for event in store.read(f"{own}-1")]
    assert sealed == [True, False]


def test_no_plaintext_comes_behind_what_was_counted(
    store: eventfold.Client, server: RunningServer, own: str
) -> None:
    """Events with personal values come in all the time: those that are stored as they are were
    counted, and the first that cannot be stored so is refused or sealed.
    """
    stored: list[int] = []
    stop = threading.Event()

    def write(stream: str) -> None:
        with eventfold.Client(server.address) as client:
            while not stop.is_set():
                try:
                    event = [Event(own, {"email": "plain"})]
                    done = client.append(stream, event, expected_version=eventfold.ANY)
                except EventfoldError:
                    return
                stored.extend(done.positions)

    writers = [threading.Thread(target=write, args=(f"c-{own}-{n}",)) for n in range(3)]
    for writer in writers:
        writer.start()
    while len(stored) < 20:
        time.sleep(0.01)
    put = store.put_privacy_rules(document(own, email=None), existing="plaintext")
    stop.set()
    for writer in writers:
        writer.join()
    plain = [
        event.position
        for n in range(3)
        for event in store.read(f"c-{own}-{n}", raw=True)
        if EventFlags.SEALED not in event.flags
    ]
    assert len(plain) == put.rules.plaintext_events
    assert max(plain) <= put.rules.plaintext_until


def test_readers_that_use_a_field_are_named(store: eventfold.Client, own: str) -> None:
    store.put_projection(
        f"projection: p_{own.lower()}\n"
        f"source: {{category: c{own}}}\n"
        "key: event.email\n"
        f"initial: {{name: ''}}\nhandlers:\n  {own}:\n    name: event.name\n"
        "columns:\n  name: text\n"
    )
    store.create_group(f"g-{own}", types=[own], where="event.name == 'x'")
    store.create_group(f"other-{own}", types=["Other"], where="event.name == 'x'")
    put = store.put_privacy_rules(document(own, email=None, name=None, street=None))
    readers = [(one.kind, one.name, one.field) for one in put.warnings]
    assert sorted(readers) == [
        ("group_condition", f"g-{own}", "name"),
        ("projection_field", f"p_{own.lower()}", "name"),
        ("projection_key", f"p_{own.lower()}", "email"),
    ]


def test_readers_of_a_category_as_a_whole_are_named(store: eventfold.Client, own: str) -> None:
    """Whatever field they read is personal; who reads none, or another category, is not named."""
    for name, category, value in (
        ("a", own, "event.n"),
        ("b", own, "1"),
        ("c", "other", "event.n"),
    ):
        store.put_projection(
            f"projection: {name}_{own.lower()}\n"
            f"source: {{category: {category}}}\n"
            "key: meta.stream\ninitial: {n: 0}\n"
            f"handlers:\n  Any:\n    n: {value}\n"
            "columns:\n  n: bigint\n"
        )
    store.create_group(f"a-{own}", categories=[own], where="event.name == 'x'")
    store.create_group(f"b-{own}", categories=[own], where="meta.version == 1")
    store.create_group(f"c-{own}", stream=f"{own}-1", where="event.name == 'x'")
    store.create_group(f"d-{own}", stream="other-1", where="event.name == 'x'")
    put = store.put_privacy_rules({"category": own, "personal": "all"})
    named = {
        (one.kind, one.name, one.field) for one in put.warnings if own.lower() in one.name.lower()
    }
    assert named == {
        ("group_condition", f"a-{own}", "*"),
        ("group_condition", f"c-{own}", "*"),
        ("projection_field", f"a_{own.lower()}", "*"),
    }
    store.drop_privacy_rules(category=own)


def test_stored_events_say_what_rules_do_not_protect(store: eventfold.Client, own: str) -> None:
    append(
        store,
        f"User-{own}@b.example",
        Event(own, {"email": "x"}, tags=["t"]),
        Event(own, {"a": 1}, metadata={"ip": "1"}),
        Event(own, {"a": 1}, metadata={"correlation_id": "1"}),
    )
    found = store.check_privacy_rules(document(own, email=None))
    warned = {one.kind: one.events for one in found.warnings}
    assert warned == {"tags": 1, "metadata": 1, "subject_names": 1}
    assert (found.events, found.plaintext, len(found.first)) == (3, 1, 1)
    assert found.refused is not None
    assert found.refused.reason == "PLAINTEXT_STORED"
    assert not any(_tells(one, own) for one in found.warnings)


def _tells(one: PrivacyWarning, own: str) -> bool:
    return own in one.message


def test_rules_that_are_not_understood_let_nothing_pass(
    start: Starter, own: str, tmp_path: Path
) -> None:
    """As if a newer server had put them."""
    server = start(master_key_file=master_key_file(tmp_path))
    with eventfold.Client(server.address) as store:
        store.put_privacy_rules(document(own, email=None))
        with connected(str(server.options["database_url"])) as connection:
            schema = server.options["schema"]
            connection.execute(
                f"UPDATE {schema}.privacy_rules SET normal_form = %s, digest = 'new'",
                ['{"privacy":"' + own + '","personal":{"/email":{"cipher":2}}}'],
            )
            connection.execute(f"SELECT {schema}.catalogue_changed_v1()")
        append(store, "c-1", Event("Other", {"email": "x"}))
        error = refused(append, store, "c-1", Event(own, {"name": "x"}))
        assert (error.reason, error.facts["event_index"]) == ("INVALID_PRIVACY_RULES", "0")


def test_a_schema_declares_and_takes_back(store: eventfold.Client, own: str) -> None:
    annotated = {"properties": {"email": {"x-personal": True, "x-subject": ANYBODY}}}
    put = store.put_schema(own, annotated)
    assert put.privacy is not None
    assert [field.pointer for field in put.privacy.fields] == ["/email"]
    assert refused(append, store, "c-1", Event(own, {"email": 1})).reason == "SUBJECT_INVALID"
    assert [one.personal for one in store.list_event_types(prefix=own)] == [("/email",)]
    # The schema stays, the rules are there again: as after those of an older server.
    again = store.put_schema(own, annotated)
    assert (again.created, again.privacy) == (False, put.privacy)
    store.put_schema(own, {"properties": {"email": {}}}, undeclare=True)
    append(store, "c-1", Event(own, {"email": 1}))
    assert [one.personal for one in store.list_event_types(prefix=own)] == [()]
    error = refused(store.put_schema, own, annotated)
    assert (error.reason, error.facts["count"]) == ("PLAINTEXT_STORED", "1")
    narrower = {**annotated, "required": ["email"]}
    error = refused(store.put_schema, own, narrower, existing="plaintext")
    assert error.reason == "SCHEMA_INCOMPATIBLE"
    put = store.put_schema(own, narrower, existing="plaintext", accept_misfits=True)
    assert put.privacy is not None
    assert (put.privacy.revision, put.privacy.plaintext_events) == (2, 1)


def test_a_narrower_schema_may_declare_where_there_is_no_event(
    store: eventfold.Client, own: str
) -> None:
    store.put_schema(own, {"properties": {"email": {}}})
    put = store.put_schema(own, {"properties": {"email": {"type": "string", "x-personal": True}}})
    assert put.created
    assert put.privacy is not None


def test_nothing_is_declared_personal_where_nothing_can_be_sealed(start: Starter, own: str) -> None:
    annotated = {"properties": {"email": {"x-personal": True}}}
    with eventfold.Client(start().address) as store:
        for source in (document(own, email=None), {"category": own, "personal": "all"}):
            assert refused(store.put_privacy_rules, source).reason == "KEYS_NOT_CONFIGURED"
            told = store.check_privacy_rules(source).refused
            assert told is not None
            assert told.reason == "KEYS_NOT_CONFIGURED"
        assert refused(store.put_schema, own, annotated).reason == "KEYS_NOT_CONFIGURED"
        checked = store.check_schema(own, annotated)
        assert checked.refused is not None
        assert checked.refused.reason == "KEYS_NOT_CONFIGURED"
        assert list(store.list_privacy_rules()) == []
        store.put_schema(own, {"properties": {"email": {}}})
        append(store, "c-1", Event(own, {"email": 1}))


def test_a_category_as_a_whole_holds_those_up_who_may_not_see(
    start: Starter, own: str, tmp_path: Path
) -> None:
    """Events of any type may stand in it."""
    tokens = tmp_path / "tokens"
    granted = {"blind": "read", "all": "read,write,admin,personal"}
    tokens.write_text(
        "".join(
            f"{name} {hashlib.sha256(name.encode()).hexdigest()} {permissions}\n"
            for name, permissions in granted.items()
        )
    )
    server = start(token_file=tokens, master_key_file=master_key_file(tmp_path))
    with (
        eventfold.Client(server.address, token="all", insecure=True) as store,
        eventfold.Client(server.address, token="blind", insecure=True) as blind,
    ):
        blind.check_schema(own, {})
        rules = {"category": "User", "personal": "all"}
        store.put_privacy_rules(rules)
        assert refused(blind.check_schema, own, {}).reason == "PERMISSION_DENIED"
        mapping = {"mapping": own, "defaults": {"a": 1}}
        assert refused(blind.check_mapping, mapping).reason == "PERMISSION_DENIED"
        store.check_schema(own, {})
        store.drop_privacy_rules(category="User")
        blind.check_schema(own, {})
