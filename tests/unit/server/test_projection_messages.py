"""Goal: what is known of projections becomes messages that fit 4 MiB, the default of gRPC, and say
nothing where nothing is known.

Method: rows as the storage gives them, up to the largest that there can be.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.groups import reason_and_facts

from eventfold.v1 import projections_pb2 as pb
from eventfold_server.domain.projections.admin import Generation, Projection
from eventfold_server.errors import Refusal
from eventfold_server.limits import PAGE_BYTES
from eventfold_server.services.projection_messages import (
    projection_message,
    switch_of,
    within_page,
)

AT = datetime(2024, 5, 6, 7, 8, 9, 123456, UTC)
GENERATION = Generation(
    generation_no=7,
    generation=1,
    source="source",
    fold_source=None,
    digest="d",
    state=1,
    switch=1,
    verification=None,
    put_at=AT,
    put_by="admin",
    caught_up_at=None,
    switched_at=None,
    fold="",
    fold_revision=0,
    position=40,
    events=4,
    rate=20.0,
    stopped=None,
    parked_keys=0,
    remapped_types=(),
)


def message(generation: Generation, head: int = 100) -> pb.Generation:
    whole = projection_message(Projection("p", 0, [generation], head, "eventfold_query.p"))
    [one] = whole.generations
    return one


def test_a_generation_that_is_being_built() -> None:
    one = message(GENERATION)
    assert (one.position, one.positions_per_second, one.seconds_left) == (40, 20.0, 3.0)
    assert one.put_at.ToDatetime(UTC) == AT
    for absent in ("stopped", "verification", "caught_up_at", "switched_at"):
        assert not one.HasField(absent)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "more",
    [
        {"rate": 0.0},
        {"position": 100},
        {"position": 120},
        {"stopped": Refusal("PROJECTION_FAILED", "no")},
    ],
)
def test_nobody_knows_how_long_it_takes(more: dict[str, Any]) -> None:
    assert not message(replace(GENERATION, **more)).HasField("seconds_left")


def test_why_it_stopped_and_what_was_found() -> None:
    stopped = Refusal("PROJECTION_FAILED", "no", path="columns.age", key="User-1")
    found = """{"verified_at": "2024-05-06T07:08:09.123456Z", "position": "12", "rows_shown": 3,
                "keys_checked": 2, "keys_differing": 1, "differing": ["User-1"]}"""
    one = message(replace(GENERATION, stopped=stopped, verification=found, switched_at=AT))
    assert reason_and_facts(one.stopped) == (
        "PROJECTION_FAILED",
        {"path": "columns.age", "key": "User-1"},
    )
    assert one.verification.position == 12
    assert list(one.verification.differing) == ["User-1"]
    assert one.verification.verified_at.ToDatetime(UTC) == AT
    assert one.switched_at.ToDatetime(UTC) == AT


def test_a_page_has_an_end() -> None:
    large = pb.Projection(name="p", generations=[pb.Generation(source="x" * 60_000)] * 3)
    assert within_page([large] * 100) == ([large] * (PAGE_BYTES // large.ByteSize()), True)
    assert within_page([large]) == ([large], False)
    assert within_page([]) == ([], False)
    # One that is larger by itself comes alone.
    huge = pb.Projection(view="x" * (PAGE_BYTES + 1))
    assert within_page([huge, large]) == ([huge], True)


def test_the_default_is_when_verified() -> None:
    assert switch_of(pb.PROJECTION_SWITCH_UNSPECIFIED) == pb.PROJECTION_SWITCH_WHEN_VERIFIED
    assert switch_of(pb.PROJECTION_SWITCH_BY_HAND) == pb.PROJECTION_SWITCH_BY_HAND
    with pytest.raises(Refusal, match="switch"):
        switch_of(9)  # type: ignore[arg-type]
