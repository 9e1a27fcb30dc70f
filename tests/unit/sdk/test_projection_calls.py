"""Goal: the calls on projections ask for what was said, and give all that the server answered.

Method: both clients against a server by script that keeps what came in.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2, timestamp_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

import eventfold
from eventfold.v1 import projections_pb2 as pb

TIME = dt.datetime(2026, 1, 2, 3, 4, 5, 678901, dt.UTC)
STAMP = timestamp_pb2.Timestamp(seconds=int(TIME.timestamp()), nanos=678901000)
BUILDING = pb.GENERATION_STATE_BUILDING
READY = pb.GENERATION_STATE_READY
ACTIVE = pb.GENERATION_STATE_ACTIVE
STANDBY = pb.GENERATION_STATE_STANDBY


@dataclasses.dataclass
class Adult:
    name: str
    born_on: dt.date
    spent: Decimal | None


def failed(reason: str = "PROJECTION_FAILED", **facts: str) -> status_pb2.Status:
    info = error_details_pb2.ErrorInfo(reason=reason, domain="eventfold", metadata=facts)
    detail = any_pb2.Any()
    detail.Pack(info)
    code = code_pb2.FAILED_PRECONDITION
    return status_pb2.Status(code=code, message="no", details=[detail])


def generation(number: int, state: Any = BUILDING, **fields: Any) -> pb.Generation:
    fields.setdefault("switch", pb.PROJECTION_SWITCH_WHEN_VERIFIED)
    return pb.Generation(generation=number, state=state, put_at=STAMP, **fields)


def projection(*generations: pb.Generation, active: int = 0, name: str = "p") -> pb.Projection:
    return pb.Projection(
        name=name, active=active, generations=generations, head=50, view=f"eventfold_query.{name}"
    )


def got(*generations: pb.Generation, active: int = 0) -> pb.GetProjectionResponse:
    return pb.GetProjectionResponse(projection=projection(*generations, active=active))


def row(key: str, columns: bytes = b"{}") -> pb.ProjectionRow:
    return pb.ProjectionRow(key=key, columns=columns, version=3, position=30)


def page(*keys: str, token: str = "", **fields: Any) -> pb.QueryProjectionResponse:
    fresh = pb.Freshness(generation=2, position=40, head=50, **fields)
    rows = [row(key) for key in keys]
    return pb.QueryProjectionResponse(rows=rows, next_page_token=token, freshness=fresh)


async def test_put(driver: Any, server: Any, tmp_path: Path) -> None:
    answer = pb.PutProjectionResponse(
        projection=projection(generation(1, ACTIVE), generation(2), active=1),
        generation=2,
        created=True,
    )
    server.script("PutProjection", answer)
    client = driver.client(server.target)
    file = tmp_path / "p.yaml"
    file.write_text("projection: p\n", encoding="utf-8")
    put = client.put_projection
    found = await driver.result(put(file, switch="by hand", in_place=True))
    assert (found.name, found.active, found.generation, found.created) == ("p", 1, 2, True)
    assert (found.head, found.view) == (50, "eventfold_query.p")
    assert [one.state for one in found.generations] == ["active", "building"]
    await driver.result(put({"projection": "p"}))
    await driver.result(put("projection: p\ncolumns: {}\n", switch="when caught up"))
    requests = server.requests("PutProjection")
    assert [request.source for request in requests] == [
        "projection: p\n",
        '{"projection":"p"}',
        "projection: p\ncolumns: {}\n",
    ]
    assert [request.switch for request in requests] == [
        pb.PROJECTION_SWITCH_BY_HAND,
        pb.PROJECTION_SWITCH_WHEN_VERIFIED,
        pb.PROJECTION_SWITCH_WHEN_CAUGHT_UP,
    ]
    assert [request.in_place for request in requests] == [True, False, False]
    with pytest.raises(ValueError, match="switch is"):
        await driver.result(put(file, switch="now"))
    with pytest.raises(FileNotFoundError):
        await driver.result(put("/nowhere.yaml"))
    with pytest.raises(TypeError, match="a document is"):
        await driver.result(put(5))
    assert len(server.requests("PutProjection")) == 3


async def test_a_write_is_not_repeated_when_it_may_be_done(
    driver: Any, server: Any, script: Any
) -> None:
    gone = script.fail(grpc.StatusCode.UNAVAILABLE)
    for name in ("Put", "Rebuild", "Switch", "Drop", "Retry"):
        server.script(f"{name}Projection", gone)
    client = driver.client(server.target)
    for call in (
        lambda: client.put_projection({}),
        lambda: client.rebuild_projection("p"),
        lambda: client.switch_projection("p"),
        lambda: client.drop_projection("p"),
        lambda: client.retry_projection("p"),
    ):
        with pytest.raises(eventfold.ConnectionFailed):
            await driver.result(call())
    assert len(server.calls) == 5


async def test_all_that_a_generation_tells(driver: Any, server: Any) -> None:
    verification = pb.Verification(
        verified_at=STAMP,
        position=20,
        rows_shown=5,
        rows_hidden=6,
        keys_checked=7,
        table_checksum="aa",
        fold_checksum="bb",
        keys_differing=1,
        differing=["k"],
    )
    told = generation(
        3,
        STANDBY,
        source="projection: p",
        digest="d" * 64,
        switch=pb.PROJECTION_SWITCH_BY_HAND,
        position=41,
        events=17,
        positions_per_second=2.5,
        seconds_left=0.0,
        parked_keys=4,
        stopped=failed(path="columns.n", key="u-1"),
        verification=verification,
        put_by="ops",
        caught_up_at=STAMP,
        switched_at=STAMP,
        fold="user",
        fold_revision=2,
        remapped_types=["A", "B"],
    )
    server.script("GetProjection", got(generation(1, 99, switch=99), told))
    found = await driver.result(driver.client(server.target).get_projection("p"))
    assert server.requests("GetProjection")[0].name == "p"
    bare, full = found.generations
    assert (bare.state, bare.switch) == ("unknown", "unknown")
    nothing = (bare.seconds_left, bare.stopped, bare.verification)
    assert nothing == (None, None, None)
    assert (bare.caught_up_at, bare.switched_at) == (None, None)
    assert isinstance(full.stopped, eventfold.ProjectionFailed)
    assert (full.stopped.path, full.stopped.key) == ("columns.n", "u-1")
    assert full.verification == eventfold.Verification(TIME, 20, 5, 6, 7, "aa", "bb", 1, ("k",))
    assert dataclasses.replace(full, stopped=None, verification=None) == eventfold.Generation(
        3, "projection: p", "d" * 64, "standby", "by hand", 41, 17, 2.5, 0.0, 4, None, None,
        TIME, "ops", TIME, TIME, "user", 2, ("A", "B"),
    )  # fmt: skip
    assert found.find() is full
    assert found.find(1) is bare
    with pytest.raises(eventfold.ProjectionNotFound) as raised:
        found.find(2)
    assert raised.value.facts == {"projection": "p", "generation": "2"}


async def test_lists_go_on_page_after_page(driver: Any, server: Any) -> None:
    first = pb.ListProjectionsResponse(projections=[projection(name="a")], next_page_token="t")
    second = pb.ListProjectionsResponse(projections=[projection(name="b")])
    server.script("ListProjections", first, second)
    client = driver.client(server.target)
    found = await driver.items(client.list_projections(page_size=1))
    assert [one.name for one in found] == ["a", "b"]
    requests = server.requests("ListProjections")
    assert [(one.page_size, one.page_token) for one in requests] == [(1, ""), (1, "t")]
    parked = pb.ParkedKey(
        key="k1", error=failed(path="where"), position=5, events=2, parked_at=STAMP
    )
    server.script(
        "ListParkedKeys",
        pb.ListParkedKeysResponse(keys=[parked], next_page_token="t"),
        pb.ListParkedKeysResponse(keys=[pb.ParkedKey(key="k2", error=failed())]),
    )
    one, two = await driver.items(client.list_parked_keys("p", generation=2))
    assert (one.key, one.position, one.events, one.parked_at) == ("k1", 5, 2, TIME)
    assert (one.error.reason, one.error.path) == ("PROJECTION_FAILED", "where")
    assert two.key == "k2"
    requests = server.requests("ListParkedKeys")
    assert {(one.name, one.generation, one.page_size) for one in requests} == {("p", 2, 100)}
    assert [one.page_token for one in requests] == ["", "t"]


async def test_operations(driver: Any, server: Any) -> None:
    client = driver.client(server.target)
    now = projection(generation(1, STANDBY), generation(2, ACTIVE), active=2)
    server.script("RebuildProjection", pb.RebuildProjectionResponse(projection=now, generation=2))
    server.script("SwitchProjection", pb.SwitchProjectionResponse(projection=now))
    server.script("DropProjection", pb.DropProjectionResponse())
    retried = pb.RetryProjectionResponse(
        keys_mended=1, events_folded=2, keys_failed=3, resumed=True
    )
    server.script("RetryProjection", retried)
    rebuilt = await driver.result(client.rebuild_projection("p", switch="when caught up"))
    assert (rebuilt.generation, rebuilt.created) == (2, True)
    (request,) = server.requests("RebuildProjection")
    assert (request.name, request.switch) == ("p", pb.PROJECTION_SWITCH_WHEN_CAUGHT_UP)
    switched = await driver.result(client.switch_projection("p", generation=2))
    assert (switched.active, switched.generation, switched.created) == (2, 0, False)
    await driver.result(client.switch_projection("p"))
    assert [one.generation for one in server.requests("SwitchProjection")] == [2, 0]
    assert await driver.result(client.drop_projection("p")) is None
    await driver.result(client.drop_projection("p", generation=1))
    assert [one.generation for one in server.requests("DropProjection")] == [0, 1]
    found = await driver.result(client.retry_projection("p", generation=1, keys=["a", "b"]))
    assert found == eventfold.ProjectionRetry(1, 2, 3, True)
    await driver.result(client.retry_projection("p"))
    keys = [(one.generation, list(one.keys)) for one in server.requests("RetryProjection")]
    assert keys == [(1, ["a", "b"]), (0, [])]


async def test_what_would_say_more_than_was_meant(driver: Any, server: Any) -> None:
    """On the wire, generation 0 is the whole projection and no keys are all of them."""
    client = driver.client(server.target)
    with pytest.raises(ValueError, match="count from 1"):
        await driver.result(client.drop_projection("p", generation=0))
    with pytest.raises(ValueError, match="name the keys"):
        await driver.result(client.retry_projection("p", keys=[]))
    with pytest.raises(TypeError, match="keys"):
        await driver.result(client.retry_projection("p", keys="u-1"))
    with pytest.raises(TypeError, match="order"):
        await driver.items(client.query_projection("p", order="name"))
    with pytest.raises(TypeError, match="columns"):
        await driver.items(client.query_projection("p", columns="name"))
    with pytest.raises(TypeError, match="at_least_position"):
        await driver.result(client.count_projection("p", at_least_position=True))
    assert server.calls == []


async def test_verify(driver: Any, server: Any, script: Any) -> None:
    last = pb.VerifyProjectionResponse(
        position=40, to_position=40, done=True, verification=pb.Verification(keys_checked=9)
    )
    middle = pb.VerifyProjectionResponse(position=20, to_position=40)
    gone = script.fail(grpc.StatusCode.UNAVAILABLE)
    server.script("VerifyProjection", [middle, gone], [middle, last])
    told: list[tuple[int, int]] = []
    client = driver.client(server.target)
    call = client.verify_projection(
        "p", generation=2, keys=9, on_progress=lambda *now: told.append(now)
    )
    found = await driver.result(call)
    assert (found.keys_checked, found.keys_differing, found.differing) == (9, 0, ())
    # A broken call begins anew.
    assert told == [(20, 40), (20, 40), (40, 40)]
    requests = server.requests("VerifyProjection")
    assert {(one.name, one.generation, one.keys) for one in requests} == {("p", 2, 9)}
    assert server.calls[0].seconds > 3_000
    server.script("VerifyProjection", [middle])
    with pytest.raises(eventfold.UnexpectedAnswer):
        await driver.result(client.verify_projection("p"))


async def test_rows_come_page_after_page(driver: Any, server: Any) -> None:
    server.script("QueryProjection", page("a", "b", token="t1"), page(token="t2"), page("c"))
    client = driver.client(server.target)
    rows = await driver.items(
        client.query_projection(
            "p",
            "born_on <= today",
            order=iter(["-born_on", "name"]),
            columns=iter(["name"]),
            at_least_position=7,
            page_size=2,
        )
    )
    assert [(one.key, one.version, one.position) for one in rows] == [
        ("a", 3, 30),
        ("b", 3, 30),
        ("c", 3, 30),
    ]
    requests = server.requests("QueryProjection")
    assert [one.page_token for one in requests] == ["", "t1", "t2"]
    for one in requests:
        assert (one.name, one.filter, one.page_size) == ("p", "born_on <= today", 2)
        assert [(by.column, by.descending) for by in one.order] == [
            ("born_on", True),
            ("name", False),
        ]
        assert (list(one.columns), one.at_least_position) == (["name"], 7)


COLUMNS = b'{"name":"Ada","born_on":"1815-12-10","spent":1.10,"tags":["x"],"gone":null}'


async def test_columns(driver: Any, server: Any) -> None:
    answer = page()
    answer.rows.append(row("u-1", COLUMNS))
    server.script("QueryProjection", answer)
    client = driver.client(server.target)
    (found,) = await driver.items(client.query_projection("p"))
    assert found.columns == {
        "name": "Ada",
        "born_on": "1815-12-10",
        "spent": Decimal("1.10"),
        "tags": ["x"],
        "gone": None,
    }
    assert str(found.columns["spent"]) == "1.10"
    assert list(found.columns) == ["name", "born_on", "spent", "tags", "gone"]
    assert found.columns_json == COLUMNS
    (found,) = await driver.items(client.query_projection("p", into=Adult))
    assert found.columns == Adult("Ada", dt.date(1815, 12, 10), Decimal("1.10"))
    floats = driver.client(server.target, numbers="float")
    (found,) = await driver.items(floats.query_projection("p"))
    assert type(found.columns["spent"]) is float
    (found,) = (await driver.result(client.query_projection_page("p", into=Adult))).rows
    assert found.columns.name == "Ada"
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.key = "x"
    answer.rows[0].columns = b'{"name":1}'
    (found,) = await driver.items(client.query_projection("p", into=Adult))
    with pytest.raises(eventfold.StateMismatch) as raised:
        _ = found.columns
    assert raised.value.path == "name"


async def test_one_page_and_how_fresh_it_is(driver: Any, server: Any) -> None:
    server.script("QueryProjection", page("a", token="t1", parked_keys=2))
    client = driver.client(server.target)
    found = await driver.result(client.query_projection_page("p", "true", page_token="t0"))
    assert [one.key for one in found.rows] == ["a"]
    assert found.next_page_token == "t1"
    assert found.freshness == eventfold.Freshness(2, 40, 50, None, 2)
    (request,) = server.requests("QueryProjection")
    assert (request.page_token, request.page_size, request.filter) == ("t0", 100, "true")
    server.script("QueryProjection", page(stopped=failed(key="k")))
    found = await driver.result(client.query_projection_page("p"))
    assert isinstance(found.freshness.stopped, eventfold.ProjectionFailed)


async def test_count(driver: Any, server: Any) -> None:
    fresh = pb.Freshness(generation=1, position=4, head=4)
    server.script("CountProjection", pb.CountProjectionResponse(rows=734, freshness=fresh))
    client = driver.client(server.target)
    found = await driver.result(client.count_projection("p", "spent > 500", at_least_position=4))
    assert found == eventfold.ProjectionCount(734, eventfold.Freshness(1, 4, 4, None, 0))
    (request,) = server.requests("CountProjection")
    assert (request.name, request.filter, request.at_least_position) == ("p", "spent > 500", 4)


async def test_trying_out(driver: Any, server: Any) -> None:
    answer = pb.TryProjectionResponse(
        rows=[row("u-1", COLUMNS)],
        rows_passing=1,
        rows_shown=2,
        rows_hidden=3,
        events=4,
        position=5,
        head=6,
        stopped=failed(key="u-9"),
        parked=[pb.ParkedKey(key="u-7", error=failed(), parked_at=STAMP)],
    )
    server.script("TryProjection", answer)
    client = driver.client(server.target)
    found = await driver.result(
        client.try_projection(
            {"projection": "p"},
            "true",
            order=["-name"],
            from_position=2,
            events_max=9,
            page_size=8,
            into=Adult,
        )
    )
    assert found.rows[0].columns.name == "Ada"
    counts = (found.rows_passing, found.rows_shown, found.rows_hidden, found.events)
    assert (*counts, found.position, found.head) == (1, 2, 3, 4, 5, 6)
    assert found.stopped.key == "u-9"
    assert [one.key for one in found.parked] == ["u-7"]
    (request,) = server.requests("TryProjection")
    assert request == pb.TryProjectionRequest(
        source='{"projection":"p"}',
        filter="true",
        order=[pb.RowOrder(column="name", descending=True)],
        from_position=2,
        events_max=9,
        page_size=8,
    )


DIFFERS = pb.Verification(keys_differing=1)
HAND = pb.PROJECTION_SWITCH_BY_HAND
SETTLED = {
    "it is active": ("active", got(generation(2, ACTIVE), active=2)),
    "it was switched away from": ("active", got(generation(2, STANDBY), active=1)),
    "it is for hands to switch": (
        "active",
        got(generation(1, ACTIVE), generation(2, READY, switch=HAND), active=1),
    ),
    "it was found to differ": (
        "active",
        got(generation(1, ACTIVE), generation(2, READY, verification=DIFFERS), active=1),
    ),
    "it has caught up": ("caught up", got(generation(2, READY, caught_up_at=STAMP))),
}
UNDER_WAY = {
    "it is building": ("active", got(generation(2, BUILDING))),
    "it is being verified": ("active", got(generation(1, ACTIVE), generation(2, READY), active=1)),
    "it is the first, which becomes active": (
        "active",
        got(generation(2, READY, switch=HAND, verification=DIFFERS)),
    ),
    "it has not caught up": ("caught up", got(generation(2, BUILDING))),
}


@pytest.mark.parametrize("what", SETTLED)
async def test_waiting_ends_when(driver: Any, server: Any, what: str) -> None:
    until, last = SETTLED[what]
    server.script("GetProjection", got(generation(2, position=10)), last)
    told: list[eventfold.ProjectionInfo] = []
    client = driver.client(server.target)
    found = await driver.result(
        client.wait_projection("p", generation=2, until=until, on_progress=told.append)
    )
    assert found == eventfold.ProjectionInfo._from_wire(last.projection).find(2)
    assert [one.find(2).position for one in told] == [10, 0]


@pytest.mark.parametrize("what", UNDER_WAY)
async def test_waiting_goes_on_while(driver: Any, server: Any, what: str) -> None:
    until, now = UNDER_WAY[what]
    server.script("GetProjection", now)
    client = driver.client(server.target)
    with pytest.raises(eventfold.DeadlineExceeded):
        await driver.result(client.wait_projection("p", until=until, timeout=0.6))
    assert len(server.calls) >= 2


async def test_waiting_for_what_does_not_come(driver: Any, server: Any, script: Any) -> None:
    client = driver.client(server.target)
    cause = failed(key="u-1")
    stopped = got(generation(1, ACTIVE), generation(2, position=9, stopped=cause), active=1)
    server.script("GetProjection", stopped)
    with pytest.raises(eventfold.ProjectionStopped) as raised:
        await driver.result(client.wait_projection("p"))
    facts = {"projection": "p", "generation": "2", "position": "9", "cause": "PROJECTION_FAILED"}
    assert raised.value.facts == facts
    assert isinstance(raised.value.__cause__, eventfold.ProjectionFailed)
    # Another document was put meanwhile, and its generation took the place of this one.
    server.script("GetProjection", got(generation(2)), got(generation(3)))
    with pytest.raises(eventfold.ProjectionNotFound):
        await driver.result(client.wait_projection("p"))
    server.script("GetProjection", script.refuse("PROJECTION_NOT_FOUND", "NOT_FOUND"))
    with pytest.raises(eventfold.ProjectionNotFound):
        await driver.result(client.wait_projection("p"))
    with pytest.raises(ValueError, match="until is"):
        await driver.result(client.wait_projection("p", until="ready"))


async def test_waiting_survives_a_restart(driver: Any, server: Any, script: Any) -> None:
    gone = script.fail(grpc.StatusCode.UNAVAILABLE)
    building = got(generation(2))
    last = got(generation(2, ACTIVE), active=2)
    # More failures in a row than one call repeats.
    server.script("GetProjection", building, *[gone] * 12, last)
    found = await driver.result(driver.client(server.target).wait_projection("p"))
    assert found.state == "active"
    assert len(server.calls) == 14
