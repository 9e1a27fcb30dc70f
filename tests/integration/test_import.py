"""Goal: an import stores every line once, however often and wherever it is broken off.

Method: `eventfold import` against a store of its own for each test.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import eventfold
from eventfold.cli import app, importing
from eventfold.cli.failures import ExitCode

Import = Callable[..., dict[str, Any]]


def line(stream: str, number: int, *, has_id: bool = False, **more: object) -> str:
    fields: dict[str, object] = {"stream": stream, "type": "T", "data": {"n": number}, **more}
    if has_id:
        fields["id"] = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{stream}:{number}"))
    return json.dumps(fields)


def numbers(store: eventfold.Client, stream: str) -> list[int]:
    return [event.data["n"] for event in store.read(stream)]


@pytest.fixture
def import_(eventfold_target: str, tmp_path: Path) -> Import:
    """Imports lines; returns the counts, or with `code` the error."""

    def run(*lines: str, code: ExitCode = ExitCode.DONE, name: str = "f") -> dict[str, Any]:
        file = tmp_path / name
        file.write_text("\n".join(lines))
        arguments = ["import", str(file), "--server", eventfold_target, "--json"]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == code, result.output
        if code is not ExitCode.DONE:
            return {"error": result.stderr}
        counts: dict[str, Any] = json.loads(result.stdout)
        return counts

    return run


def test_a_second_run_stores_nothing(import_: Import, store: eventfold.Client) -> None:
    lines = [line(f"a-{n % 7}", n) for n in range(100)]
    assert import_(*lines) == {"stored": 100, "duplicates": 0, "streams": 7}
    assert import_(*lines) == {"stored": 0, "duplicates": 100, "streams": 7}
    assert numbers(store, "a-3") == list(range(3, 100, 7))


def test_lines_that_are_alike_are_events_of_their_own(
    import_: Import, store: eventfold.Client
) -> None:
    assert import_(line("a-1", 1), line("a-1", 1))["stored"] == 2
    assert numbers(store, "a-1") == [1, 1]


def test_a_run_that_was_broken_off_is_finished(import_: Import, store: eventfold.Client) -> None:
    lines = [line(f"a-{n % 3}", n, has_id=True) for n in range(30)]
    assert import_(*lines[:17])["stored"] == 17
    assert import_(*lines) == {"stored": 13, "duplicates": 17, "streams": 3}
    assert import_(*lines)["stored"] == 0
    assert numbers(store, "a-0") == list(range(0, 30, 3))


def test_streams_that_others_write_to_are_added_to(
    import_: Import, store: eventfold.Client
) -> None:
    store.append("a-1", [eventfold.Event("T", {"n": 100})], expected_version=0)
    lines = [line("a-1", n, has_id=True) for n in range(4)]
    assert import_(*lines[:2])["stored"] == 2
    store.append("a-1", [eventfold.Event("T", {"n": 101})], expected_version=3)
    assert import_(*lines) == {"stored": 2, "duplicates": 2, "streams": 1}
    assert numbers(store, "a-1") == [100, 0, 1, 101, 2, 3]


def test_a_long_stream_takes_several_appends(import_: Import, store: eventfold.Client) -> None:
    lines = [line("a-1", n) for n in range(2_500)]
    assert import_(*lines)["stored"] == 2_500
    assert import_(*lines) == {"stored": 0, "duplicates": 2_500, "streams": 1}
    assert numbers(store, "a-1") == list(range(2_500))


def test_a_file_is_read_in_parts(
    import_: Import, store: eventfold.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "_WINDOW_LINES", 10)
    lines = [line(f"a-{n % 3}", n) for n in range(95)]
    assert import_(*lines) == {"stored": 95, "duplicates": 0, "streams": 3}
    assert import_(*lines) == {"stored": 0, "duplicates": 95, "streams": 3}
    assert numbers(store, "a-1") == list(range(1, 95, 3))


def test_large_events_are_spread_over_appends(import_: Import, store: eventfold.Client) -> None:
    text = "x" * 900_000
    lines = [line("a-1", n, metadata={}, data={"n": n, "text": text}) for n in range(6)]
    assert import_(*lines)["stored"] == 6
    assert numbers(store, "a-1") == list(range(6))


def test_other_content_under_a_known_id_is_refused(import_: Import) -> None:
    known = json.loads(line("a-1", 1, has_id=True))
    import_(json.dumps(known))
    known["data"] = {"n": 2}
    refused = import_(json.dumps(known), line("a-1", 3, has_id=True), code=ExitCode.CONFLICT)
    assert "EVENT_ID_REUSED" in refused["error"]
    assert "lines=1 to 2" in refused["error"]
    assert "stored=0" in refused["error"]


def test_a_refusal_names_stream_and_lines(import_: Import, store: eventfold.Client) -> None:
    lines = [line("a-1", 1), line("bad", 2)]
    refused = import_(*lines, code=ExitCode.INVALID_INPUT)
    assert "INVALID_STREAM_NAME" in refused["error"]
    assert "lines=2" in refused["error"]
    assert import_(lines[0], name="g")["stored"] in (0, 1)


def test_a_faulty_line_is_named(import_: Import) -> None:
    refused = import_(line("a-1", 1), "{", code=ExitCode.INVALID_INPUT)
    assert refused["error"].startswith("error: INVALID_LINE: not JSON")
    assert "line=2" in refused["error"]


def test_what_read_prints_can_be_imported(
    eventfold_target: str, eventfold_server: Any, store: eventfold.Client
) -> None:
    events = [
        eventfold.Event("T", b'{"a": 1.50,  "b": 1E2}', {"k": 1}, ["t"]),
        eventfold.Event("U", occurred_at=None),
    ]
    store.append("a-1", events, expected_version=0)
    runner = CliRunner()
    read = runner.invoke(app, ["read", "--all", "--json", "--server", eventfold_target])
    with eventfold_server.store() as other:
        for stored in (2, 0):
            arguments = ["import", "-", "--server", other, "--json"]
            done = runner.invoke(app, arguments, input=read.stdout)
            assert json.loads(done.stdout)["stored"] == stored
        with eventfold.Client(other) as copy:
            copied = list(copy.read_all())
    original = list(store.read_all())
    assert [event.id for event in copied] == [event.id for event in original]
    assert [event.data for event in copied] == [event.data for event in original]
    assert [event.occurred_at for event in copied] == [event.occurred_at for event in original]
