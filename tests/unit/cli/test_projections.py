"""Goal: `eventfold projection` and `eventfold watch` ask for what was said, print all of it, and
say by their exit code how it went.

Method: typer's runner against a server by script.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.unit.sdk.conftest import ScriptedServer, hang, refuse, serving
from tests.unit.sdk.test_projection_calls import (
    ACTIVE,
    READY,
    STAMP,
    TIME,
    failed,
    generation,
    got,
    page,
    projection,
    row,
)
from tests.unit.sdk.test_watching import INITIAL, now
from typer.testing import CliRunner

from eventfold.cli import app, output
from eventfold.cli.failures import ExitCode
from eventfold.v1 import projections_pb2 as pb

Run = Callable[..., Any]
PUT_AT = TIME.isoformat().replace("+00:00", "Z")


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with serving() as scripted:
        yield scripted


@pytest.fixture
def run(server: ScriptedServer) -> Run:
    def run(*arguments: str, code: ExitCode = ExitCode.DONE) -> Any:
        env = {"EVENTFOLD_SERVER": server.target, "COLUMNS": "200"}
        result = CliRunner().invoke(app, list(arguments), env=env)
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def document(tmp_path: Path) -> str:
    file = tmp_path / "of any name"
    file.write_text("projection: p", encoding="utf-8")
    return str(file)


def lines(result: Any) -> list[Any]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def put_answer(*generations: pb.Generation, number: int, active: int = 0) -> Any:
    now = projection(*generations, active=active)
    return pb.PutProjectionResponse(projection=now, generation=number, created=True)


def test_put(run: Run, server: ScriptedServer, document: str) -> None:
    answer = put_answer(generation(1, ACTIVE), generation(2, events=7), number=2, active=1)
    server.script("PutProjection", answer)
    result = run("projection", "put", document, "--switch", "when-caught-up", "--in-place")
    request = server.requests("PutProjection")[0]
    assert request.source == "projection: p\n"
    assert (request.switch, request.in_place) == (pb.PROJECTION_SWITCH_WHEN_CAUGHT_UP, True)
    assert "eventfold_query.p" in result.stdout
    assert result.stdout.splitlines()[-1].endswith("building")
    assert result.stderr == "generation 2 is new\n"
    [found] = lines(run("projection", "put", document, "--json"))
    assert (found["generation"], found["created"], found["active"]) == (2, True, 1)
    assert [one["state"] for one in found["generations"]] == ["active", "building"]
    assert found["generations"][1]["put_at"] == PUT_AT
    assert server.requests("PutProjection")[1].switch == pb.PROJECTION_SWITCH_WHEN_VERIFIED


def test_put_that_waits(run: Run, server: ScriptedServer, document: str) -> None:
    server.script("PutProjection", put_answer(generation(2), number=2))
    done = got(generation(2, ACTIVE, position=50), active=2)
    server.script("GetProjection", got(generation(2, position=10)), done)
    result = run("projection", "put", document, "--wait")
    assert "queries see  generation 2" in result.stdout
    # Nothing moves where stderr is no terminal.
    assert result.stderr == "generation 2 is new\n"
    differs = pb.Verification(keys_differing=3, differing=["a"])
    active = generation(1, ACTIVE, remapped_types=["A", "B"])
    ready = got(active, generation(2, READY, verification=differs), active=1)
    server.script("GetProjection", ready)
    result = run("projection", "put", document, "--wait", code=ExitCode.REFUSED)
    assert "ready, 3 keys differ" in result.stdout
    assert "active, mapping changed of A B" in result.stdout
    server.script("GetProjection", got(generation(2, stopped=failed(key="u-1"))))
    result = run("projection", "put", document, "--wait", code=ExitCode.REFUSED)
    assert result.stderr.startswith("error: PROJECTION_STOPPED: ")
    assert "cause=PROJECTION_FAILED" in result.stderr


def test_a_bar_on_a_terminal(
    run: Run, server: ScriptedServer, document: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()

    def terminal(**_: Any) -> Console:
        return Console(file=screen, force_terminal=True, color_system=None, width=150)

    server.script("PutProjection", put_answer(generation(2), number=2))
    building = generation(2, position=10, events=1234, positions_per_second=5678.4)
    done = generation(2, ACTIVE, position=50)
    server.script("GetProjection", *[got(building)] * 5, got(done, active=2))
    monkeypatch.setattr(output, "Console", terminal)
    run("projection", "put", document, "--wait", "--json")
    shown = screen.getvalue()
    assert "Building generation 2" in shown
    assert "10/50" in shown
    assert "1,234 events, 5,678/s" in shown


def test_an_error_of_the_document(run: Run, server: ScriptedServer, document: str) -> None:
    excerpt = "projection: p\n            ^"
    refused = refuse("INVALID_PROJECTION", "INVALID_ARGUMENT", line=1, column=13, excerpt=excerpt)
    server.script("PutProjection", refused)
    result = run("projection", "put", document, code=ExitCode.INVALID_INPUT)
    assert "line=1" in result.stderr
    assert "column=13" in result.stderr
    assert result.stderr.endswith("  projection: p\n              ^\n")


def test_list_and_show(run: Run, server: ScriptedServer) -> None:
    stopped = generation(2, position=9, stopped=failed(key="u-1"), parked_keys=4)
    first = generation(1, ACTIVE, source="projection: p # \x1b\n", position=50)
    found = projection(first, stopped, active=1)
    server.script("ListProjections", pb.ListProjectionsResponse(projections=[found]))
    server.script("GetProjection", got(first, stopped, active=1))
    result = run("projection", "list")
    assert "1: active at 50 of 50; 2: building, stopped by PROJECTION_FAILED" in result.stdout
    assert lines(run("projection", "list", "--json"))[0]["name"] == "p"
    result = run("projection", "show", "p")
    assert "building, stopped by PROJECTION_FAILED, 4 parked keys" in result.stdout
    note = "generation 2 stopped behind position 9: PROJECTION_FAILED: no (key=u-1)\n"
    assert result.stderr == note
    [shown] = lines(run("projection", "show", "p", "--json"))
    assert shown["generations"][1]["stopped"]["facts"] == {"key": "u-1"}
    # The document of what queries see, as it came in.
    assert run("projection", "show", "p", "--source").stdout == "projection: p # \x1b\n"
    [shown] = lines(run("projection", "show", "p", "--source", "--json"))
    assert shown["source"] == "projection: p # \x1b\n"
    run("projection", "show", "p", "--generation", "9", code=ExitCode.NOT_FOUND)
    server.script("ListProjections", pb.ListProjectionsResponse())
    assert run("projection", "list").stderr == "no projections\n"


COLUMNS = b'{"name":"A\\u001b","n":7,"spent":1.10,"ok":true,"tags":["x",1.50],"gone":null}'


def test_query(run: Run, server: ScriptedServer) -> None:
    answer = page(token="t")
    answer.rows.extend([row("u-1", COLUMNS), row("u-2", COLUMNS)])
    server.script("QueryProjection", answer)
    arguments = ("projection", "query", "p", "--filter", "n > 1", "--order", "-spent")
    result = run(*arguments, "--order", "name", "--limit", "2", "--at-least", "7")
    head, first, _ = result.stdout.splitlines()
    assert " ".join(head.split()) == "key name n spent ok tags gone version position"
    assert first.split() == ["u-1", "A\\u001b", "7", "1.10", "true", '["x",1.50]', "3", "30"]
    assert result.stderr.splitlines() == [
        "there are more: --limit is 2",
        "generation 2, position 40 of 50",
    ]
    (request,) = server.requests("QueryProjection")
    assert (request.filter, request.page_size, request.at_least_position) == ("n > 1", 2, 7)
    assert [(one.column, one.descending) for one in request.order] == [
        ("spent", True),
        ("name", False),
    ]
    result = run("projection", "query", "p", "--limit", "2", "--columns", "name,n", "--json")
    # Numbers keep their text.
    assert COLUMNS.decode() in result.stdout.splitlines()[0]
    assert lines(result)[1]["key"] == "u-2"
    assert list(server.requests("QueryProjection")[1].columns) == ["name", "n"]


def test_query_all(run: Run, server: ScriptedServer) -> None:
    last = page("c", stopped=failed(key="u-1"), parked_keys=2)
    server.script("QueryProjection", page("a", token="t1"), page("b", token="t2"), last)
    result = run("projection", "query", "p", "--all", "--json")
    assert [one["key"] for one in lines(result)] == ["a", "b", "c"]
    assert [one.page_token for one in server.requests("QueryProjection")] == ["", "t1", "t2"]
    assert {one.page_size for one in server.requests("QueryProjection")} == {1_000}
    assert result.stderr.splitlines() == [
        "generation 2, position 40 of 50",
        "the projection stopped there: PROJECTION_FAILED: no (key=u-1)",
        "2 keys are parked, and their rows are old",
    ]
    # A page may have fewer rows than were asked for.
    server.script("QueryProjection", page("a", "b", token="t1"), page("c", token="t2"))
    result = run("projection", "query", "p", "--limit", "3", "--json")
    assert len(lines(result)) == 3
    assert [one.page_size for one in server.requests("QueryProjection")[3:]] == [3, 1]
    server.script("QueryProjection", page())
    assert run("projection", "query", "p").stderr.startswith("no rows\n")


def test_a_query_that_is_refused(run: Run, server: ScriptedServer) -> None:
    for reason, code, wanted in [
        ("INVALID_EXPRESSION", "INVALID_ARGUMENT", ExitCode.INVALID_INPUT),
        ("PROJECTION_NOT_FOUND", "NOT_FOUND", ExitCode.NOT_FOUND),
        ("PROJECTION_NOT_READY", "FAILED_PRECONDITION", ExitCode.REFUSED),
    ]:
        server.script("QueryProjection", refuse(reason, code))
        result = run("projection", "query", "p", code=wanted)
        assert result.stderr == f"error: {reason}: refused: {reason}\n"


def test_count(run: Run, server: ScriptedServer) -> None:
    fresh = pb.Freshness(generation=1, position=4, head=5)
    server.script("CountProjection", pb.CountProjectionResponse(rows=734, freshness=fresh))
    result = run("projection", "count", "p", "--filter", "spent > 500")
    assert result.stdout == "rows  734\n"
    assert result.stderr == "generation 1, position 4 of 5\n"
    [found] = lines(run("projection", "count", "p", "--json"))
    told = {"generation": 1, "position": 4, "head": 5, "stopped": None, "parked_keys": 0}
    assert found == {"rows": 734, "freshness": told}


def test_rebuild_switch_drop(run: Run, server: ScriptedServer) -> None:
    now = projection(generation(1, ACTIVE), generation(2), active=1)
    server.script("RebuildProjection", pb.RebuildProjectionResponse(projection=now, generation=2))
    server.script("SwitchProjection", pb.SwitchProjectionResponse(projection=now))
    server.script("DropProjection", pb.DropProjectionResponse())
    assert (
        run("projection", "rebuild", "p", "--switch", "by-hand").stderr == "generation 2 is new\n"
    )
    assert server.requests("RebuildProjection")[0].switch == pb.PROJECTION_SWITCH_BY_HAND
    assert lines(run("projection", "switch", "p", "--generation", "2", "--json"))[0]["active"] == 1
    run("projection", "switch", "p")
    assert [one.generation for one in server.requests("SwitchProjection")] == [2, 0]
    run("projection", "drop", "p", "--generation", "1")
    run("projection", "drop", "p", "--all")
    assert [one.generation for one in server.requests("DropProjection")] == [1, 0]
    server.script("DropProjection", refuse("PROJECTION_IN_USE", "FAILED_PRECONDITION"))
    run("projection", "drop", "p", "--generation", "1", code=ExitCode.REFUSED)


def test_verify(run: Run, server: ScriptedServer) -> None:
    same = pb.Verification(verified_at=STAMP, position=40, rows_shown=5, keys_checked=9)
    answer = pb.VerifyProjectionResponse(position=40, done=True, verification=same)
    server.script("VerifyProjection", [answer])
    result = run("projection", "verify", "p", "--keys", "9", "--generation", "2")
    assert "keys checked    9" in result.stdout
    (request,) = server.requests("VerifyProjection")
    assert (request.keys, request.generation) == (9, 2)
    answer.verification.keys_differing = 1
    answer.verification.differing.append("u-1")
    result = run("projection", "verify", "p", "--json", code=ExitCode.REFUSED)
    assert lines(result)[0]["differing"] == ["u-1"]
    assert server.requests("VerifyProjection")[1].keys == 100


def test_parked_and_retry(run: Run, server: ScriptedServer) -> None:
    parked = pb.ParkedKey(
        key="u-1", error=failed(path="where"), position=5, events=2, parked_at=STAMP
    )
    keys = [parked, pb.ParkedKey(key="u-2", error=failed(), parked_at=STAMP)]
    server.script("ListParkedKeys", pb.ListParkedKeysResponse(keys=keys))
    result = run("projection", "parked", "p", "--limit", "1", "--generation", "2")
    assert result.stdout.splitlines()[1].split()[-4:] == [
        "u-1",
        "PROJECTION_FAILED:",
        "no",
        "(path=where)",
    ]
    assert result.stderr == "there are more: --limit is 1\n"
    found = lines(run("projection", "parked", "p", "--limit", "0", "--json"))
    assert [one["key"] for one in found] == ["u-1", "u-2"]
    assert found[0]["error"]["facts"] == {"path": "where"}
    server.script("ListParkedKeys", pb.ListParkedKeysResponse())
    assert run("projection", "parked", "p").stderr == "no parked keys\n"
    server.script("RetryProjection", pb.RetryProjectionResponse(keys_mended=2, resumed=True))
    assert "keys mended    2" in run("projection", "retry", "p", "u-1", "u-2").stdout
    server.script("RetryProjection", pb.RetryProjectionResponse(keys_failed=1))
    result = run("projection", "retry", "p", "--json", code=ExitCode.REFUSED)
    told = {"keys_mended": 0, "events_folded": 0, "keys_failed": 1, "resumed": False}
    assert lines(result) == [told]
    assert [list(one.keys) for one in server.requests("RetryProjection")] == [["u-1", "u-2"], []]


def test_try(run: Run, server: ScriptedServer, document: str) -> None:
    answer = pb.TryProjectionResponse(
        rows=[row("u-1", COLUMNS)], rows_passing=1, rows_shown=2, rows_hidden=3, events=4
    )
    server.script("TryProjection", answer)
    arguments = ("projection", "try", document, "--filter", "n > 1", "--order=-n", "--limit", "5")
    result = run(*arguments, "--from", "3", "--events", "9")
    assert "rows hidden   3" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("u-1")
    (request,) = server.requests("TryProjection")
    assert (request.source, request.filter) == ("projection: p\n", "n > 1")
    assert (request.from_position, request.events_max, request.page_size) == (3, 9, 5)
    answer.stopped.CopyFrom(failed(key="u-9"))
    answer.parked.add(key="u-7", error=failed(), parked_at=STAMP)
    result = run("projection", "try", document, "--json", code=ExitCode.REFUSED)
    [found] = lines(result)
    assert (found["stopped"]["facts"], found["parked"][0]["key"]) == ({"key": "u-9"}, "u-7")
    assert found["rows"][0]["columns"]["n"] == 7
    result = run("projection", "try", document, code=ExitCode.REFUSED)
    assert "it stopped behind position 0: PROJECTION_FAILED: no (key=u-9)" in result.stderr


def test_watch(run: Run, server: ScriptedServer) -> None:
    server.script("Watch", [INITIAL, now(1, 2), hang])
    result = run("watch", "a-1", "--fold", "f", "--limit", "3")
    head, initial, _, last = result.stdout.splitlines()
    assert head.split() == ["version", "position", "recorded", "type", "state"]
    assert initial.split() == ["0", "0", '{"n":0}']
    assert last.split() == ["2", "20", PUT_AT, "A", '{"n":2.10}']
    result = run("watch", "a-1", "--fold", "f", "--from", "1", "--limit", "2", "--json")
    first, _ = lines(result)
    assert (first["version"], first["event_id"], first["exists"]) == (0, None, False)
    assert '"state":{"n":1.10}' in result.stdout
    assert [one.from_version for one in server.requests("Watch")] == [0, 1]
    server.script("Watch", refuse("VERSION_AHEAD", "OUT_OF_RANGE"))
    run("watch", "a-1", "--fold", "f", code=ExitCode.NOT_FOUND)


def test_watch_over_a_break(run: Run, server: ScriptedServer) -> None:
    server.script("Watch", [now(1), refuse("SHUTTING_DOWN")], [now(1, 2), hang])
    result = run("watch", "a-1", "--fold", "f", "--limit", "2", "--json")
    assert [one["version"] for one in lines(result)] == [1, 2]
    assert result.stderr.startswith("connection lost (SHUTTING_DOWN")
    assert result.stderr.endswith("going on from position 10\n")
