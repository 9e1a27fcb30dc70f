"""Goal: all that is stored of a subject is found and exported, and nothing of anybody else; what is
counted of personal data is what happened.

Method: real servers with keys; events of several subjects, found and exported by callers with and
without the permission; values tampered with past the server; metrics read over HTTP.
"""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.support.keys import master_key_file
from tests.support.servers import RunningServer, start_server
from typer.testing import CliRunner

import eventfold
from eventfold import Client, Event, EventCorrupt, ExportedSchema, RecordedEvent
from eventfold.cli import app

CLI = CliRunner()


def declare(store: Client, kind: str, **fields: Any) -> None:
    personal = {f"/{name}": subject for name, subject in fields.items()}
    store.put_privacy_rules({"privacy": kind, "personal": personal})


def told(store: Client, subject: str, **options: bool) -> list[RecordedEvent]:
    return [
        one for one in store.export_subject(subject, **options) if isinstance(one, RecordedEvent)
    ]


@pytest.fixture
def written(store: Client, kind: str) -> str:
    """Three events of Ada, one of which is of Bob too, and one of Bob."""
    friend = {"subject": {"pointer": "/who", "category": kind}}
    declare(store, kind, mail=None, friend=friend)
    schema = {"properties": {"mail": {"type": "string"}}}
    store.put_schema(kind, schema)
    ada, bob = f"{kind}-ada", f"{kind}-bob"
    both = {"mail": "ada2@x", "friend": "bob is shy", "who": "bob"}
    store.append(ada, [Event(kind, {"mail": "ada1@x"}), Event(kind, both)], expected_version=0)
    store.append(bob, [Event(kind, {"mail": "bob@x"})], expected_version=0)
    of_ada = {"friend": "ada is loud", "who": "ada"}
    store.append(f"{kind}-club", [Event(kind, of_ada), Event(kind, {"n": 1})], expected_version=0)
    return kind


def test_a_subject_is_found_by_stream_and_type(store: Client, written: str) -> None:
    found = store.find_subject(f"{written}-ada", page_size=1)
    assert [(one.stream, one.event_type, one.events) for one in found.events] == [
        (f"{written}-ada", written, 2),
        (f"{written}-club", written, 1),
    ]
    first = found.events[0]
    assert first.last_position - first.first_position == 1
    assert first.first_at <= first.last_at
    assert found.position >= found.events[1].last_position
    assert found.subject.status == "active"
    with pytest.raises(eventfold.SubjectNotFound):
        store.find_subject(f"{written}-nobody")


def test_an_export_opens_the_values_of_its_subject_alone(store: Client, written: str) -> None:
    exported = list(store.export_subject(f"{written}-ada"))
    schema, *events = exported
    assert isinstance(schema, ExportedSchema)
    assert (schema.event_type, schema.revision) == (written, 1)
    assert json.loads(schema.source)["properties"] == {"mail": {"type": "string"}}
    assert [one.data for one in events if isinstance(one, RecordedEvent)] == [
        {"mail": "ada1@x"},
        {"mail": "ada2@x", "friend": None, "who": "bob"},
        {"friend": "ada is loud", "who": "ada"},
    ]
    second = events[1]
    assert isinstance(second, RecordedEvent)
    assert second.withheld_paths == ("/friend",)
    assert [one.data for one in told(store, f"{written}-bob")] == [
        {"mail": None, "friend": "bob is shy", "who": "bob"},
        {"mail": "bob@x"},
    ]


def test_an_export_is_audited_without_a_name(store: Client, written: str) -> None:
    subject = f"{written}-ada"
    found = store.find_subject(subject)
    told(store, subject, linked=True)
    last = next(iter(store.read("$audit", direction="backwards", limit=1)))
    assert last.type == "$SubjectExported"
    facts = {"subject_hash": found.subject.subject_hash.hex(), "linked": True, "raw": False}
    assert facts.items() <= dict(last.data).items()
    assert written.encode() not in last.data_json


def test_linked_streams_come_along(store: Client, written: str) -> None:
    subject = f"{written}-ada"
    other = f"{written}Order-7"
    store.append(subject, [Event("Seen", {"n": 5})], expected_version=2)
    store.append(other, [Event("Ordered", {"n": 6})], expected_version=0)
    store.put_link(other, subject, policy="cascade")
    positions = [one.position for one in told(store, subject, linked=True)]
    assert positions == sorted(set(positions))
    events = told(store, subject, linked=True)
    assert [one.type for one in events] == [written, written, written, "Seen", "Ordered"]
    assert [one.type for one in told(store, subject)] == [written] * 3


def test_exports_are_mapped_unless_they_are_raw(store: Client, written: str) -> None:
    store.put_mapping({"mapping": written, "renames": {"mail": "address"}})
    subject = f"{written}-bob"
    assert told(store, subject)[-1].data == {"address": "bob@x"}
    assert told(store, subject, raw=True)[-1].data == {"mail": "bob@x"}


def test_the_command_prints_lines_of_json(
    server: RunningServer, store: Client, written: str
) -> None:
    options = ["--server", server.address]
    ran = CLI.invoke(app, ["privacy", "export", f"{written}-ada", *options])
    assert ran.exit_code == 0, ran.output
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [list(line) for line in lines] == [["schema"], ["event"], ["event"], ["event"]]
    assert lines[2]["event"]["data"] == {"mail": "ada2@x", "friend": None, "who": "bob"}
    assert lines[2]["event"]["withheld_paths"] == ["/friend"]
    ran = CLI.invoke(app, ["privacy", "find", f"{written}-ada", "--json", *options])
    assert [one["events"] for one in json.loads(ran.stdout)["events"]] == [2, 1]
    ran = CLI.invoke(app, ["privacy", "status", "--json", *options])
    assert json.loads(ran.stdout)["subjects"]["active"] >= 2


def corrupt(postgres: str, schema: str, stream: str) -> None:
    """Changes the sealed value of the first event of a stream, past the server."""
    with psycopg.connect(postgres) as connection:
        connection.execute(f"SET search_path = {schema}")
        connection.execute("SET session_replication_role = replica")
        changed = connection.execute(
            "UPDATE events e SET data = convert_to(regexp_replace(convert_from(data, 'UTF8'),"
            " '([A-Za-z0-9_-])(\"[^\"]*)$', CASE WHEN convert_from(data, 'UTF8') ~ 'A\"[^\"]*$'"
            " THEN 'B\\2' ELSE 'A\\2' END), 'UTF8')"
            " FROM streams s WHERE s.stream_no = e.stream_no AND s.name = %s AND e.version = 1",
            [stream],
        )
        assert changed.rowcount == 1


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def metrics(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        lines = answer.read().decode().splitlines()
    figures = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(figure) for name, _, figure in figures}


@pytest.mark.parametrize("workers", [1, 2])
def test_metrics_count_what_happens(postgres: str, tmp_path: Path, workers: int) -> None:
    port, schema = free_port(), f"counted{workers}"
    options = {
        "database_url": postgres,
        "schema": schema,
        "master_key_file": master_key_file(tmp_path),
        "fence_ledger": f"file:{tmp_path / 'fences'}",
        "metrics_listen": f"127.0.0.1:{port}",
        "workers": workers,
    }
    with start_server(tmp_path, **options) as server, Client(server.address) as store:
        declare(store, "Mail", mail=None)
        for name in ("secretada", "bob"):
            data = {"mail": f"{name}@x"}
            store.append(f"User-{name}", [Event("Mail", data)], expected_version=0)
        store.rotate_data_key("User-bob")
        told(store, "User-bob")
        corrupt(postgres, schema, "User-secretada")
        with pytest.raises(EventCorrupt):
            list(store.read("User-secretada"))
        assert store.read("User-bob").to_list()[0].data == {"mail": "bob@x"}
        until = time.monotonic() + 30
        while metrics(port).get("eventfold_privacy_failed_openings_total") != 1:
            assert time.monotonic() < until
            time.sleep(0.5)
        figures = metrics(port)
        status = store.get_privacy_status()
    assert figures['eventfold_privacy_subjects{status="active"}'] == 2
    assert figures['eventfold_privacy_subjects_by_key_version{version="2"}'] == 1
    # The name of a master key ends in a mark of the key itself.
    of_key = 'eventfold_privacy_data_keys{master_key="file:main:'
    assert [count for name, count in figures.items() if name.startswith(of_key)] == [3]
    assert figures["eventfold_privacy_exports_total"] == 1
    assert figures["eventfold_privacy_servers"] == workers
    assert figures["eventfold_up"] == 1
    assert not any("secretada" in name for name in figures)
    assert (status.subjects_active, status.failed_openings, status.exports) == (2, 1, 1)
    assert dict(status.key_versions) == {1: 1, 2: 1}
